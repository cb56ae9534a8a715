//! A service's events, in ECS's words (*Viewing Amazon ECS service event messages*).

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::Ecs;
use super::describe::object;
use super::names::joined;
use super::service::ServiceKey;
use crate::place::seconds;
use crate::task::Millis;
use crate::view::View;

/// A service shows this many events.
const MOST: usize = 100;

/// One event. It is made once and shown up to a hundred at a time in every answer about its service, so it is held in the form in which it is shown, and shared with them.
#[derive(Debug, Deserialize)]
#[serde(from = "Saved")]
pub(super) struct Event {
    at: Millis,
    shown: Arc<Value>,
}

/// An event as it is saved.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    id: String,
    at: Millis,
    message: String,
}

impl Event {
    /// As DescribeServices shows it.
    pub(super) fn view(&self) -> View {
        View::Shared(Arc::clone(&self.shown))
    }
}

impl From<Saved> for Event {
    fn from(saved: Saved) -> Self {
        let Saved { id, at, message } = saved;
        let shown = object([
            ("id", id.into()),
            ("createdAt", seconds(at)),
            ("message", message.into()),
        ]);
        Self {
            at,
            shown: Arc::new(shown),
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |member: &str| self.shown[member].as_str().unwrap_or_default().to_owned();
        let saved = Saved {
            id: text("id"),
            at: self.at,
            message: text("message"),
        };
        saved.serialize(serializer)
    }
}

impl Ecs {
    /// Adds the event `(service NAME) words`.
    pub(super) fn say(&mut self, key: ServiceKey, words: &str, now: Millis) {
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        let event = Saved {
            id: self.random.uuid(),
            at: now,
            message: joined(&["(service ", &service.name, ") ", words]),
        };
        service.events.push_front(event.into());
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
