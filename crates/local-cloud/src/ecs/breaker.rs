//! Failed tasks: how many a deployment may have, how long to wait before the next try, and what the circuit breaker does (*How the Amazon ECS deployment circuit
//! breaker detects failures*).

use serde::{Deserialize, Serialize};

use super::Ecs;
use super::deployment::Why;
use super::request::{Request, invalid};
use super::service::{Rollout, ServiceKey};
use crate::task::Millis;

/// After so many failed tasks in a row a service is said to struggle.
const STRUGGLES_AFTER: u32 = 3;

/// A circuit breaker that is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Breaker {
    pub(super) rollback: bool,
    pub(super) threshold: Threshold,
    /// Whether one healthy task sets the count back to zero.
    pub(super) reset: bool,
}

/// How many failed tasks are too many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Threshold {
    Count(u64),
    /// Percent of the desired count, 3 at least and 200 at most.
    Bounded(u64),
    /// Percent of the desired count.
    Unbounded(u64),
}

impl Threshold {
    pub(super) fn of(&self, desired: u64) -> u64 {
        let percent = |percent| desired.saturating_mul(percent).div_ceil(100);
        match self {
            Self::Count(count) => *count,
            Self::Bounded(value) => percent(*value).clamp(3, 200),
            Self::Unbounded(value) => percent(*value).max(1),
        }
    }
}

/// Reads `deploymentCircuitBreaker`; none when it is off.
pub(super) fn read(given: Request<'_>) -> super::Result<Option<Breaker>> {
    let enable = given.flag("enable")?.unwrap_or(false);
    let rollback = given.flag("rollback")?.unwrap_or(false);
    let threshold = match given.structure("thresholdConfiguration")? {
        None => Threshold::Bounded(50),
        Some(threshold) => {
            let value = threshold
                .count("value", 1, 10_000)?
                .ok_or_else(|| invalid("thresholdConfiguration.value must be specified."))?;
            let kinds = ["COUNT", "BOUNDED_PERCENT", "UNBOUNDED_PERCENT"];
            match threshold.choice("type", &kinds)? {
                Some("COUNT") => Threshold::Count(value),
                Some("UNBOUNDED_PERCENT") => Threshold::Unbounded(value),
                Some(_) => Threshold::Bounded(value),
                None => return Err(invalid("thresholdConfiguration.type must be specified.")),
            }
        }
    };
    Ok(enable.then_some(Breaker {
        rollback,
        threshold,
        reset: given.flag("resetOnHealthyTask")?.unwrap_or(true),
    }))
}

impl Ecs {
    /// Counts a task that found no place, died by itself or failed its checks. Only tasks that never got to run are throttled (*Amazon ECS service throttle logic*).
    pub(super) fn note_failure(
        &mut self,
        key: ServiceKey,
        deployment: &str,
        ran: bool,
        now: Millis,
    ) {
        let pace = &self.settings.pace;
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        let Some(index) = service
            .deployments
            .iter()
            .position(|one| one.id == deployment)
        else {
            return;
        };
        let one = &mut service.deployments[index];
        if ran {
            one.retry_at = one.retry_at.max(now + pace.replace_ms);
        } else {
            one.streak = one.streak.saturating_add(1);
            one.retry_at = now + pace.retry(one.streak);
        }
        if one.rollout == Rollout::InProgress {
            one.failed += 1;
            one.updated_at = now;
        }
        let struggles = one.streak >= STRUGGLES_AFTER && !service.struggling;
        let failed = one.failed;
        let primary = index == 0 && one.rollout == Rollout::InProgress;
        service.struggling |= struggles;
        let threshold = service
            .rules
            .breaker
            .as_ref()
            .map(|breaker| breaker.threshold.of(service.desired));
        let trips = primary && threshold.is_some_and(|threshold| failed >= threshold);
        if primary && let Some(current) = service.current() {
            current.failures = failed;
            current.threshold = threshold.unwrap_or(0);
            current.updated_at = now;
        }
        if struggles {
            self.say(
                key,
                "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section.",
                now,
            );
        }
        if trips {
            self.fail_deployment(key, Why::Breaker, now);
        }
    }

    /// A task became healthy: what failed before it no longer counts.
    pub(super) fn note_healthy(&mut self, key: ServiceKey, deployment: &str) {
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        let keeps = service
            .rules
            .breaker
            .as_ref()
            .is_some_and(|breaker| !breaker.reset);
        let Some(index) = service
            .deployments
            .iter()
            .position(|one| one.id == deployment)
        else {
            return;
        };
        let one = &mut service.deployments[index];
        one.streak = 0;
        one.retry_at = 0;
        let counts = one.rollout == Rollout::InProgress && !keeps;
        if counts {
            one.failed = 0;
        }
        service.struggling = false;
        if counts
            && index == 0
            && let Some(current) = service.current()
        {
            current.failures = 0;
        }
    }
}
