//! A service's events, in ECS's words (*Viewing Amazon ECS service event messages*).

use serde::{Deserialize, Serialize};

use super::Ecs;
use super::service::ServiceKey;
use crate::task::Millis;

/// A service shows this many events.
const MOST: usize = 100;

/// One event.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) at: Millis,
    pub(super) message: String,
}

impl Ecs {
    /// Adds the event `(service NAME) words`.
    pub(super) fn say(&mut self, key: ServiceKey, words: &str, now: Millis) {
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        service.events.push_front(Event {
            id: self.random.uuid(),
            at: now,
            message: format!("(service {}) {words}", service.name),
        });
        service.events.truncate(MOST);
    }

    /// Adds the event of tasks that were started or stopped: `(service NAME) has started 2 tasks: (task A) (task B).`
    pub(super) fn say_tasks(&mut self, key: ServiceKey, what: &str, ids: &[String], now: Millis) {
        if ids.is_empty() {
            return;
        }
        let list: Vec<String> = ids.iter().map(|id| format!("(task {id})")).collect();
        let words = what.replace("{}", &ids.len().to_string());
        self.say(key, &format!("{words}: {}.", list.join(" ")), now);
    }
}
