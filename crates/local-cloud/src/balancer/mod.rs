//! A load balancer for one machine: for each target group, an HTTP/1.1 reverse proxy on a port of 127.0.0.1.
//!
//! It behaves as an Application Load Balancer does where a deployment can notice: new requests go round the targets that serve, requests under way on a draining target go on, a
//! target that fails is answered for with 502, one that does not answer in time with 504, and 503 stands for "no target". WebSockets and other upgrades are not
//! carried.

mod headers;
mod probe;
mod proxy;
mod target;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::runner::Dial;
use target::{Target, Use};

/// How the balancer reaches a container port of a task: `None` when the task is not there.
pub type DialTask = Arc<dyn Fn(&str, u16) -> Option<Dial> + Send + Sync>;

/// All target groups of the environment. When it is dropped, all connections are closed.
pub struct Balancer {
    dial: DialTask,
    groups: Mutex<HashMap<String, Arc<Group>>>,
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    jobs: JoinSet<()>,
    addresses: HashMap<String, SocketAddr>,
}

/// The targets of a target group: those that serve, and those with requests still under way.
#[derive(Default)]
struct Group {
    targets: Mutex<Vec<Arc<Target>>>,
    turn: AtomicUsize,
}

impl Balancer {
    /// A balancer without target groups.
    pub fn new(dial: DialTask) -> Self {
        Self {
            dial,
            groups: Mutex::default(),
            listeners: Mutex::default(),
        }
    }

    /// Opens the group's port on 127.0.0.1, any free one for 0, and answers its address. A group that listens already keeps its port. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub fn listen(&self, target_group: &str, port: u16) -> io::Result<SocketAddr> {
        let mut listeners = lock(&self.listeners);
        if let Some(&address) = listeners.addresses.get(target_group) {
            return Ok(address);
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        listeners
            .jobs
            .spawn(proxy::serve(listener, self.group(target_group)));
        listeners.addresses.insert(target_group.to_owned(), address);
        Ok(address)
    }

    /// From now on new requests go to this target (`serving`), or none does. Requests under way go on; idle connections to a target that no longer serves are closed.
    pub fn route(&self, target_group: &str, task: &str, port: u16, serving: bool) {
        let group = self.group(target_group);
        let mut targets = lock(&group.targets);
        let found = targets
            .iter()
            .position(|target| target.is(task, port) && target.serves());
        match (found, serving) {
            (None, true) => {
                let target = Target::new(Arc::clone(&self.dial), task, port);
                targets.push(Arc::new(target));
            }
            (Some(at), false) => targets[at].drain(),
            _ => {}
        }
        targets.retain(|target| target.serves() || target.in_flight() > 0);
    }

    /// Asks a target for its health check path over a new connection and answers the HTTP status.
    ///
    /// # Errors
    /// Why there was no status: refused, timed out, closed.
    pub async fn probe(
        &self,
        task: &str,
        port: u16,
        path: &str,
        timeout: Duration,
    ) -> Result<u16, String> {
        let dial = (self.dial)(task, port).ok_or_else(|| "connection refused".to_owned())?;
        probe::probe(&dial, port, path, timeout).await
    }

    /// Requests that are under way to a task, over all target groups.
    pub fn in_flight(&self, task: &str) -> usize {
        lock(&self.groups)
            .values()
            .map(|group| {
                lock(&group.targets)
                    .iter()
                    .filter(|target| target.task() == task)
                    .map(|target| target.in_flight())
                    .sum::<usize>()
            })
            .sum()
    }

    fn group(&self, target_group: &str) -> Arc<Group> {
        Arc::clone(
            lock(&self.groups)
                .entry(target_group.to_owned())
                .or_default(),
        )
    }
}

impl Group {
    /// The target whose turn it is, counted as in use from here on.
    fn choose(&self) -> Option<Use> {
        let targets = lock(&self.targets);
        let serving: Vec<&Arc<Target>> = targets.iter().filter(|target| target.serves()).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let target = serving.get(turn.checked_rem(serving.len())?)?;
        Some(Use::new(target))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
