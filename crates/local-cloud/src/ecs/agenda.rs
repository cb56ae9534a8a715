//! What will happen when: one ordered set, so that asking whether anything is due costs nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::service::ServiceKey;
use crate::task::Millis;

/// Something that happens at its time, unless what it is about has moved on by then.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Timer {
    /// The scheduler looks at a service.
    Decide { service: ServiceKey },
    /// A place for the task is found: it may start.
    Placed { task: String },
    /// All its containers run and the task is about to count as running.
    Activated { task: String },
    /// A task without checks has run long enough to count as healthy.
    Proven { task: String },
    /// From now on unhealthy means replaced.
    GraceOver { task: String },
    /// The next check of a container's health.
    CheckHealth { task: String, container: usize },
    /// The next probe of a target.
    Probe { task: String, target: usize },
    /// The load balancer is done with the task's targets.
    Drained { task: String },
    /// Nothing is left of the task.
    Deprovisioned { task: String },
    /// A task definition is deleted, unless something still uses it.
    Delete { family: String, revision: u32 },
    /// A stopped task is no longer shown.
    Forget { task: String },
    /// What waits for a container of the task has waited long enough.
    StartTimeout { task: String },
}

/// Timers by due time.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Agenda {
    entries: BTreeSet<(Millis, Timer)>,
}

impl Agenda {
    pub(super) fn set(&mut self, due: Millis, timer: Timer) {
        self.entries.insert((due, timer));
    }

    /// Takes the first timer that is due at `now`.
    pub(super) fn pop(&mut self, now: Millis) -> Option<(Millis, Timer)> {
        let due = self.next_due()?;
        if due > now {
            return None;
        }
        self.entries.pop_first()
    }

    pub(super) fn next_due(&self) -> Option<Millis> {
        self.entries.first().map(|(due, _)| *due)
    }
}
