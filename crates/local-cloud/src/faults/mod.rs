//! Faults on command: what a client must cope with on AWS, made to happen here.
//!
//! This module only says what is to go wrong; the skin (`http/`), the runner's host and the daemon make it so. Faults are forgotten when the instance stops, in
//! an orderly way or not: a restart is the way out of any fault.

mod history;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::iam::policy::like;
use crate::task::Millis;
pub(crate) use history::History;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum FaultKind {
    /// Requests are answered with the service's throttling error, and nothing is done.
    Throttle {
        /// Which requests.
        requests: Requests,
    },
    /// Requests are answered with an error of the server (5xx), and nothing is done.
    ServerError {
        /// Which requests.
        requests: Requests,
    },
    /// Requests are answered later.
    Delay {
        /// Which requests.
        requests: Requests,
        /// How much later.
        millis: u64,
    },
    /// The connection is reset before anything is done.
    Reset {
        /// Which requests.
        requests: Requests,
    },
    /// The request takes effect, then the connection is reset instead of an answer.
    LoseResponse {
        /// Which requests.
        requests: Requests,
    },
    /// Reads of ECS show the state of some time ago.
    LagReads {
        /// How long ago.
        millis: u64,
    },
    /// The clock that signatures are checked against goes ahead, or behind when negative.
    SkewClock {
        /// By how much.
        seconds: i64,
    },
    /// Images cannot be pulled.
    FailPulls {
        /// Only images whose reference contains this.
        image: Option<String>,
        /// After so many it ends by itself.
        times: Option<u64>,
    },
    /// No more tasks find a place than this.
    FailPlacement {
        /// How many tasks there is room for, those that run included.
        room: usize,
    },
    /// The containers of a task are killed, once.
    KillTask {
        /// ID of the task, or the name of a service, whose oldest running task is meant.
        target: String,
    },
    /// A CloudWatch alarm changes its state, once; it is made if it is not there.
    SetAlarm {
        /// Name of the alarm.
        name: String,
        /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
        state: crate::ecs::AlarmState,
    },
}

/// Which requests a fault meets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requests {
    /// The action as in policies, with `*` and `?`: `ecs:UpdateService`, `ecs:Describe*`. The registry's are ECR's: `ecr:PutImage`.
    pub action: String,
    /// After so many requests the fault ends by itself.
    pub times: Option<u64>,
    /// How many of them it meets: 1 all, 0.5 every second one on average.
    pub probability: Option<f64>,
}

impl FaultKind {
    /// The name, as on the command line and in the call log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Throttle { .. } => "throttle",
            Self::ServerError { .. } => "server-error",
            Self::Delay { .. } => "delay",
            Self::Reset { .. } => "reset",
            Self::LoseResponse { .. } => "lose-response",
            Self::LagReads { .. } => "lag-reads",
            Self::SkewClock { .. } => "skew-clock",
            Self::FailPulls { .. } => "fail-pulls",
            Self::FailPlacement { .. } => "fail-placement",
            Self::KillTask { .. } => "kill-task",
            Self::SetAlarm { .. } => "set-alarm",
        }
    }

    fn requests(&mut self) -> Option<&mut Requests> {
        match self {
            Self::Throttle { requests }
            | Self::ServerError { requests }
            | Self::Delay { requests, .. }
            | Self::Reset { requests }
            | Self::LoseResponse { requests } => Some(requests),
            _ => None,
        }
    }

    /// What is wrong with it, if anything.
    fn problem(&mut self) -> Option<String> {
        if let Self::FailPulls { times: Some(0), .. } = self {
            return Some("times must be 1 at least".to_owned());
        }
        let requests = self.requests()?;
        if requests.times == Some(0) {
            return Some("times must be 1 at least".to_owned());
        }
        if let Some(share) = requests.probability
            && !(share > 0.0 && share <= 1.0)
        {
            return Some(format!(
                "the probability must be above 0 and at most 1, not {share}"
            ));
        }
        if !requests.action.contains(':') && requests.action != "*" {
            return Some(format!(
                "'{}' is not an action: write it as in a policy, such as ecs:UpdateService, ecs:* or *",
                requests.action
            ));
        }
        None
    }
}

/// A fault that is active.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// What it is cleared by.
    pub id: u64,
    /// What goes wrong.
    pub fault: FaultKind,
    /// How often it has met something.
    pub met: u64,
}

/// What happens to one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Injection {
    pub(crate) delay: Duration,
    pub(crate) instead: Option<Instead>,
    /// The faults' names, for the call log.
    pub(crate) names: Option<String>,
}

/// What happens instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instead {
    Throttle,
    ServerError,
    Reset,
    LoseResponse,
}

/// All faults that are active.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: Vec<Fault>,
    last: u64,
}

impl Faults {
    /// Adds one that stays until it is cleared or has met all that it was to meet.
    pub(crate) fn add(&mut self, mut fault: FaultKind) -> Result<Fault, String> {
        if let Some(problem) = fault.problem() {
            return Err(problem);
        }
        self.last += 1;
        let fault = Fault {
            id: self.last,
            fault,
            met: 0,
        };
        self.active.push(fault.clone());
        Ok(fault)
    }

    pub(crate) fn list(&self) -> &[Fault] {
        &self.active
    }

    /// Ends one fault, or all of them; those that ended.
    pub(crate) fn clear(&mut self, id: Option<u64>) -> Vec<Fault> {
        let ends = |fault: &mut Fault| id.is_none_or(|id| fault.id == id);
        self.active.extract_if(.., ends).collect()
    }

    /// What happens to a request of this action. `roll` gives numbers from 0 to 1.
    pub(crate) fn meet(&mut self, action: &str, mut roll: impl FnMut() -> f64) -> Injection {
        let mut injection = Injection::default();
        let mut names: Vec<&str> = Vec::new();
        for fault in &mut self.active {
            let Some(requests) = fault.fault.requests() else {
                continue;
            };
            let meant = like(&requests.action.to_lowercase(), &action.to_lowercase());
            if !meant || requests.probability.is_some_and(|share| roll() >= share) {
                continue;
            }
            let instead = match fault.fault {
                FaultKind::Throttle { .. } => Instead::Throttle,
                FaultKind::ServerError { .. } => Instead::ServerError,
                FaultKind::Reset { .. } => Instead::Reset,
                FaultKind::LoseResponse { .. } => Instead::LoseResponse,
                FaultKind::Delay { millis, .. } => {
                    injection.delay += Duration::from_millis(millis);
                    fault.met += 1;
                    names.push(fault.fault.name());
                    continue;
                }
                _ => continue,
            };
            // One request ends in one way.
            if injection.instead.is_none() {
                injection.instead = Some(instead);
                fault.met += 1;
                names.push(fault.fault.name());
            }
        }
        if !names.is_empty() {
            injection.names = Some(names.join(", "));
        }
        self.retire();
        injection
    }

    /// Whether pulling this image fails now.
    pub(crate) fn pull_fails(&mut self, image: &str) -> bool {
        let meant = self.active.iter_mut().find(|fault| match &fault.fault {
            FaultKind::FailPulls { image: only, .. } => {
                only.as_ref().is_none_or(|only| image.contains(only))
            }
            _ => false,
        });
        let fails = meant.map(|fault| fault.met += 1).is_some();
        self.retire();
        fails
    }

    /// How far reads of ECS lag behind; `None` when they do not.
    pub(crate) fn lag(&self) -> Option<Millis> {
        let lags = self.active.iter().filter_map(|fault| match fault.fault {
            FaultKind::LagReads { millis } => Some(millis),
            _ => None,
        });
        lags.max()
    }

    /// By how many milliseconds the clock of signatures is wrong.
    pub(crate) fn skew(&self) -> i64 {
        let skews = self.active.iter().filter_map(|fault| match fault.fault {
            FaultKind::SkewClock { seconds } => Some(seconds.saturating_mul(1000)),
            _ => None,
        });
        skews.fold(0, i64::saturating_add)
    }

    /// How many tasks there is room for; `None` for any number.
    pub(crate) fn room(&self) -> Option<usize> {
        let rooms = self.active.iter().filter_map(|fault| match fault.fault {
            FaultKind::FailPlacement { room } => Some(room),
            _ => None,
        });
        rooms.min()
    }

    /// Ends those that have met all that they were to meet.
    fn retire(&mut self) {
        self.active.retain_mut(|fault| {
            let times = match &mut fault.fault {
                FaultKind::FailPulls { times, .. } => *times,
                other => other.requests().and_then(|requests| requests.times),
            };
            times.is_none_or(|times| fault.met < times)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(action: &str, times: Option<u64>, probability: Option<f64>) -> Requests {
        Requests {
            action: action.to_owned(),
            times,
            probability,
        }
    }

    #[test]
    fn a_fault_meets_what_it_is_for_and_ends() {
        let mut faults = Faults::default();
        let update = requests("ecs:Update*", Some(2), None);
        faults
            .add(FaultKind::Throttle { requests: update })
            .unwrap();
        let slow = FaultKind::Delay {
            requests: requests("*", None, None),
            millis: 5,
        };
        let slow = faults.add(slow).unwrap();
        let outcome = |faults: &mut Faults, action: &str| {
            let injection = faults.meet(action, || 0.5);
            (injection.instead, injection.names.unwrap_or_default())
        };
        let throttled = (Some(Instead::Throttle), "throttle, delay".to_owned());
        let delayed = (None, "delay".to_owned());
        assert_eq!(outcome(&mut faults, "ecs:UpdateService"), throttled);
        assert_eq!(outcome(&mut faults, "ecs:DescribeServices"), delayed);
        assert_eq!(outcome(&mut faults, "ecs:updateservice"), throttled);
        assert_eq!(outcome(&mut faults, "ecs:UpdateService"), delayed);
        assert_eq!(faults.list().len(), 1);
        assert_eq!(faults.list()[0].met, 4);
        assert_eq!(faults.clear(Some(99)), []);
        assert_eq!(faults.clear(Some(slow.id)).len(), 1);
        assert_eq!(
            faults.meet("ecs:UpdateService", || 0.0),
            Injection::default()
        );
    }

    #[test]
    fn a_probability_is_a_share() {
        let mut faults = Faults::default();
        let half = requests("*", None, Some(0.5));
        faults.add(FaultKind::Reset { requests: half }).unwrap();
        assert_eq!(faults.meet("ecs:A", || 0.49).instead, Some(Instead::Reset));
        assert_eq!(faults.meet("ecs:A", || 0.5).instead, None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut faults = Faults::default();
        for bad in [
            requests("*", Some(0), None),
            requests("*", None, Some(0.0)),
            requests("*", None, Some(1.5)),
            requests("*", None, Some(f64::NAN)),
            requests("UpdateService", None, None),
        ] {
            assert!(faults.add(FaultKind::Reset { requests: bad }).is_err());
        }
        assert_eq!(faults.list(), []);
    }

    #[test]
    fn pulls_fail_for_a_while() {
        let mut faults = Faults::default();
        let fail = FaultKind::FailPulls {
            image: Some("api".to_owned()),
            times: Some(1),
        };
        faults.add(fail).unwrap();
        assert!(!faults.pull_fails("127.0.0.1:1/web:1"));
        assert!(faults.pull_fails("127.0.0.1:1/api:1"));
        assert!(!faults.pull_fails("127.0.0.1:1/api:1"));
    }

    #[test]
    fn the_state_of_the_world_is_the_sum_of_the_faults() {
        let mut faults = Faults::default();
        assert_eq!(
            (faults.lag(), faults.skew(), faults.room()),
            (None, 0, None)
        );
        for fault in [
            FaultKind::LagReads { millis: 10 },
            FaultKind::LagReads { millis: 20 },
            FaultKind::SkewClock { seconds: -600 },
            FaultKind::FailPlacement { room: 3 },
            FaultKind::FailPlacement { room: 1 },
        ] {
            faults.add(fault).unwrap();
        }
        let world = (faults.lag(), faults.skew(), faults.room());
        assert_eq!(world, (Some(20), -600_000, Some(1)));
    }
}
