//! Room for tasks: whether a task finds a place at all.

use serde_json::{Value, json};

use super::Ecs;
use super::service::ServiceKey;
use super::task_state::Status;
use crate::task::Millis;

/// What Fargate says when it has no room.
const FARGATE: &str = "Capacity is unavailable at this time. Please try again later or in a different availability zone";
/// Where the words of events point to.
const SEE: &str =
    "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.";

impl Ecs {
    /// Says how many tasks there is room for at once, in all clusters together; `None` for any number.
    ///
    /// Tasks that have their place keep it. What does not fit is not placed: a service says so in its events and tries again, `RunTask` answers with failures.
    pub fn set_capacity(&mut self, tasks: Option<usize>, now: Millis) {
        self.tick(now);
        if self.capacity != tasks {
            self.capacity = tasks;
            self.generation += 1;
        }
    }

    /// How many more tasks find a place.
    pub(super) fn places(&self) -> u64 {
        let Some(capacity) = self.capacity else {
            return u64::MAX;
        };
        let taken = self
            .tasks
            .values()
            .filter(|one| one.status < Status::Stopped);
        u64::try_from(capacity.saturating_sub(taken.count())).unwrap_or(u64::MAX)
    }

    /// A task of this deployment found no place. It counts as one that failed to start.
    pub(super) fn not_placed(&mut self, key: ServiceKey, deployment: &str, now: Millis) {
        let launch = self
            .services
            .get(&key)
            .and_then(|service| service.member_text("launchType"));
        let words = if launch == Some("EC2") {
            format!(
                "was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster. {SEE}"
            )
        } else {
            format!("was unable to place a task. Reason: {FARGATE}. {SEE}")
        };
        self.say(key, &words, now);
        self.note_failure(key, deployment, false, now);
        self.wake(key, now);
    }

    /// The failure of a task that `RunTask` cannot place.
    pub(super) fn no_place(&self, launch: &str) -> Value {
        if launch == "FARGATE" {
            return json!({"reason": FARGATE});
        }
        json!({
            "arn": self.settings.arn(["container-instance/local"]),
            "reason": "RESOURCE:MEMORY",
        })
    }
}
