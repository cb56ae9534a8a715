//! What reads answered at an earlier time, for reads that lag.

use std::rc::Rc;

use rollout::execute::{Answer, Call};
use rollout::facts::{Millis, ServiceDeploymentView, ServiceView, TaskView};

use crate::views;
use crate::world::World;

/// All that reads would have answered at one time.
pub(crate) struct Past {
    pub(crate) at: Millis,
    service: Rc<Option<ServiceView>>,
    running: Rc<Vec<TaskView>>,
    stopped: Rc<Vec<TaskView>>,
    records: Rc<Vec<ServiceDeploymentView>>,
}

impl Past {
    /// What they would answer now.
    pub(crate) fn of(world: &mut World) -> Self {
        Self {
            at: world.now,
            service: views::service(world).unwrap_or_default(),
            running: views::tasks(world, true).unwrap_or_default(),
            stopped: views::tasks(world, false).unwrap_or_default(),
            records: views::records(world).unwrap_or_default(),
        }
    }

    /// The answer to a call, with so many service deployments; none to one that does not lag.
    pub(crate) fn answer(&self, call: &Call, depth: usize) -> Option<Answer> {
        Some(match call {
            Call::DescribeService => Answer::Service(Option::clone(&*self.service)),
            Call::Tasks { running: true } => Answer::Tasks(self.running.to_vec()),
            Call::Tasks { running: false } => Answer::Tasks(self.stopped.to_vec()),
            Call::ServiceDeployments => {
                let newest = self.records.iter().take(depth);
                Answer::ServiceDeployments(newest.cloned().collect())
            }
            _ => return None,
        })
    }
}
