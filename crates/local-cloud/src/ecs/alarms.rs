//! CloudWatch alarms that guard a deployment (*How CloudWatch alarms detect Amazon ECS deployment failures*).
//!
//! The alarms themselves are not ECS's: it is told of their states. An alarm that is in `ALARM` already when a deployment starts switches the guard off for that
//! deployment, so that a deployment that mends what is broken gets through.

use serde::{Deserialize, Serialize};

use super::Ecs;
use super::deployment::Why;
use super::request::{Request, invalid};
use super::service::{Rollout, Service, ServiceDeployment, ServiceKey};
use crate::task::Millis;

/// The state of a CloudWatch alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// The metric is within its bounds.
    Ok,
    /// The metric is outside.
    Alarm,
    /// Nobody knows; ECS takes it for good.
    InsufficientData,
}

/// Alarms that a service's deployments are watched with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alarms {
    pub(super) names: Vec<String>,
    pub(super) rollback: bool,
}

/// Reads `alarms`; none when they are off.
pub(super) fn read(given: Request<'_>) -> super::Result<Option<Alarms>> {
    let enable = given.flag("enable")?.unwrap_or(false);
    let rollback = given.flag("rollback")?.unwrap_or(false);
    let names = given.texts("alarmNames")?;
    if enable && names.is_empty() {
        return Err(invalid(
            "alarmNames cannot be empty when deployment alarms are enabled.",
        ));
    }
    Ok(enable.then(|| Alarms {
        names: names.into_iter().map(str::to_owned).collect(),
        rollback,
    }))
}

impl Ecs {
    /// Says in what state a CloudWatch alarm is. ECS takes alarms that nobody spoke of for good ones.
    ///
    /// A deployment that the alarm guards fails when the alarm goes into `ALARM`.
    pub fn set_alarm(&mut self, name: &str, state: AlarmState, now: Millis) {
        self.tick(now);
        let before = if state == AlarmState::Ok {
            self.alarms.remove(name)
        } else {
            self.alarms.insert(name.to_owned(), state)
        };
        if before.unwrap_or(AlarmState::Ok) == state {
            return;
        }
        self.generation += 1;
        if state == AlarmState::Alarm {
            let guarded: Vec<ServiceKey> = self
                .services
                .iter()
                .filter(|(_, service)| service.is_guarded_by(name))
                .map(|(key, _)| *key)
                .collect();
            for key in guarded {
                self.alarmed(key, name);
            }
        }
    }

    /// Whether alarms guard a deployment of the service that begins now.
    pub(super) fn guards(&self, service: ServiceKey) -> bool {
        let service = self.services.get(&service);
        let alarms = service.and_then(|service| service.rules.alarms.as_ref());
        let silent = |name| self.alarms.get(name) != Some(&AlarmState::Alarm);
        alarms.is_some_and(|alarms| alarms.names.iter().all(silent))
    }

    fn alarmed(&mut self, key: ServiceKey, name: &str) {
        let now = self.clock;
        if let Some(current) = self.services.get_mut(&key).and_then(Service::current) {
            current.triggered.push(name.to_owned());
        }
        self.fail_deployment(key, Why::Alarm, now);
    }
}

impl Service {
    /// Whether the deployment in flight fails when this alarm goes off.
    fn is_guarded_by(&self, name: &str) -> bool {
        let in_flight = self
            .deployments
            .first()
            .is_some_and(|primary| primary.rollout == Rollout::InProgress);
        let named = self
            .rules
            .alarms
            .as_ref()
            .is_some_and(|alarms| alarms.names.iter().any(|one| one == name));
        in_flight
            && named
            && self
                .history
                .last()
                .is_some_and(ServiceDeployment::is_watched)
    }
}
