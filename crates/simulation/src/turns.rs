//! Several runs over one world: whose turn it is follows from virtual time, and where that leaves a choice, from the seed.
//!
//! A run waits nowhere but in a call or a pause, so it is one future that is polled by hand. What it does between two waits takes no time and is not interrupted, as what one
//! process does between two requests cannot be seen by another.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use fastrand::Rng;
use local_cloud::task::Millis;

use crate::world::World;

/// When a run goes on; none while it acts, and when it never goes on.
#[derive(Debug)]
pub(crate) struct Turn(Cell<Option<Millis>>);

impl Turn {
    /// A run that begins at this time.
    pub(crate) fn new(begins: Millis) -> Self {
        Self(Cell::new(Some(begins)))
    }

    /// Waits until it is so late in the world, while others act.
    pub(crate) async fn wait(&self, until: Millis) {
        self.0.set(Some(until));
        let mut waited = false;
        poll_fn(|_| {
            if std::mem::replace(&mut waited, true) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// A run, and when it goes on.
pub(crate) struct Runner<'a, T> {
    pub(crate) turn: &'a Turn,
    pub(crate) future: Pin<Box<dyn Future<Output = T> + 'a>>,
}

/// Lets runs act in turn until all have ended. `ended` hears of each at once: which one, and what came of it; none when it died.
pub(crate) fn take_turns<T>(
    world: &RefCell<World>,
    runners: Vec<Runner<'_, T>>,
    rng: &mut Rng,
    mut ended: impl FnMut(usize, Option<T>),
) {
    let mut waiting: Vec<(usize, Runner<'_, T>)> = runners.into_iter().enumerate().collect();
    while let Some(until) = waiting.iter().filter_map(|(_, one)| one.turn.0.get()).min() {
        let next: Vec<usize> = (0..waiting.len())
            .filter(|at| waiting[*at].1.turn.0.get() == Some(until))
            .collect();
        let at = match next[..] {
            [only] => only,
            _ => next[rng.usize(0..next.len())],
        };
        world.borrow_mut().advance(until);
        let (index, runner) = &mut waiting[at];
        runner.turn.0.set(None);
        let mut context = Context::from_waker(Waker::noop());
        let over = match runner.future.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => Some((*index, Some(outcome))),
            Poll::Pending if runner.turn.0.get().is_none() => Some((*index, None)),
            Poll::Pending => None,
        };
        if let Some((index, outcome)) = over {
            waiting.remove(at);
            ended(index, outcome);
        }
    }
}
