//! What ECS looked like a while ago, for reads that lag behind.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ecs::Ecs;
use crate::task::Millis;

/// States of ECS, each from its time on. Empty unless reads lag.
#[derive(Debug, Default)]
pub(crate) struct History {
    states: VecDeque<(Millis, u64, Arc<[u8]>)>,
}

impl History {
    /// Keeps the state of now, if it is another one than the last; forgets what no read can ask for any more.
    pub(crate) fn remember(&mut self, ecs: &Ecs, now: Millis, lag: Millis) {
        let last = self.states.back().map(|(_, generation, _)| *generation);
        if last != Some(ecs.generation()) {
            match serde_json::to_vec(ecs) {
                Ok(state) => self.states.push_back((now, ecs.generation(), state.into())),
                Err(error) => {
                    tracing::error!(%error, "the state cannot be kept for reads that lag");
                }
            }
        }
        let wanted = now.saturating_sub(lag);
        while self.states.get(1).is_some_and(|(at, ..)| *at <= wanted) {
            self.states.pop_front();
        }
    }

    /// The state at a time, or the first one that is known.
    pub(crate) fn at(&self, time: Millis) -> Option<Arc<[u8]>> {
        let before = self.states.iter().rev().find(|(at, ..)| *at <= time);
        before
            .or(self.states.front())
            .map(|(_, _, state)| Arc::clone(state))
    }

    /// Forgets everything.
    pub(crate) fn forget(&mut self) {
        self.states.clear();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ecs::{Pace, Settings};

    #[test]
    fn a_read_sees_the_state_of_its_time() {
        let mut ecs = Ecs::new(Settings {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            pace: Pace::quick(),
            seed: 1,
        });
        let mut history = History::default();
        let mut make = |name: &str, now: Millis, history: &mut History| {
            let request = json!({"clusterName": name});
            ecs.apply("CreateCluster", &request, "arn", now).unwrap();
            history.remember(&ecs, now, 100);
        };
        make("a", 1000, &mut history);
        make("b", 1050, &mut history);
        make("c", 1200, &mut history);
        let clusters = |at: Millis| {
            let state = history.at(at).unwrap();
            let mut ecs: Ecs = serde_json::from_slice(&state).unwrap();
            let answer = ecs.apply("ListClusters", &json!({}), "arn", at).unwrap();
            let answer = Value::from(answer);
            answer["clusterArns"].as_array().unwrap().len()
        };
        // What is older than the lag was forgotten when the last one came.
        assert_eq!(history.states.len(), 2);
        assert_eq!([900, 1100, 1199, 1200, 1300].map(clusters), [2, 2, 2, 3, 3]);
        history.forget();
        assert!(history.at(1300).is_none());
    }
}
