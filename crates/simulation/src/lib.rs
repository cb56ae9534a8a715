//! The real executor and verdict of `rollout` against the real ECS model of `local-cloud`, with a virtual clock and random faults.
//!
//! A seed is a story of each kind: a service, one to three releases of it in a row, and all that goes wrong meanwhile; and a service that two or three runs deploy to at the same
//! time, without knowing of each other. After each release the judge looks at the model itself, not through the faulty API that the executor had, and decides whether the outcome
//! told the truth. The same seed always gives the same story.

mod cloud;
mod command;
mod faults;
mod judge;
mod past;
mod race;
mod report;
mod request;
mod scenario;
mod story;
mod turns;
mod version;
mod views;
mod weigh;
mod world;

pub use report::{Report, Violation};
pub use story::{Kind, Told, tell};

use std::num::NonZeroUsize;

/// Tells the stories of `count` seeds from `first` on, one of each of the kinds, with `threads` threads. The report does not depend on their number.
pub fn simulate(kinds: &[Kind], first: u64, count: u64, threads: NonZeroUsize) -> Report {
    let stride = threads.get();
    let work = |offset: usize| {
        let mut report = Report::default();
        for seed in (first..first.saturating_add(count))
            .skip(offset)
            .step_by(stride)
        {
            for kind in kinds {
                report.add(&tell(*kind, seed, false));
            }
        }
        report
    };
    let mut whole = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..stride)
            .map(|offset| scope.spawn(move || work(offset)))
            .collect();
        let mut whole = Report::default();
        for thread in threads {
            match thread.join() {
                Ok(part) => whole.merge(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        whole
    });
    whole.finish();
    whole
}
