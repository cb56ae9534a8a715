//! How long things take: as on AWS, or as on a machine where someone waits for it.

use serde::{Deserialize, Serialize};

use crate::task::Millis;

/// Durations, in milliseconds, of what the model itself waits for. Pulling, starting and stopping take the time that the runner takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// From a change to the scheduler's look at the service.
    pub decide_ms: Millis,
    /// `PROVISIONING`: from the decision to start a task to `PENDING`.
    pub place_ms: Millis,
    /// `ACTIVATING`: from all containers running to `RUNNING`.
    pub activate_ms: Millis,
    /// `DEPROVISIONING`: from the end of the last container to `STOPPED`.
    pub deprovision_ms: Millis,
    /// How long a service must be as wanted before its deployment is `COMPLETED` and its state steady.
    pub settle_ms: Millis,
    /// How long a deployment that alarms guard is watched on after its last old task has gone. ECS computes it from the alarms' periods.
    pub alarm_bake_ms: Millis,
    /// How long a task must be `RUNNING` before it counts as healthy when neither containers nor targets are checked
    /// (40 s: *Amazon ECS service deployment parameters*, `minimumHealthyPercent`).
    pub unchecked_ms: Millis,
    /// The wait before the third task in a row is tried, after two have failed. It doubles with each further failure.
    pub retry_first_ms: Millis,
    /// The wait before a task that ran and then failed is replaced.
    pub replace_ms: Millis,
    /// The longest wait before a try.
    pub retry_most_ms: Millis,
    /// The longest that a target is drained, whatever its group's deregistration delay.
    pub drain_most_ms: Millis,
    /// Intervals, timeouts, start periods and grace periods of health checks, and deregistration delays, are divided by this.
    pub divide_checks_by: u64,
    /// No interval, start period or grace period gets shorter than this by the division (one of zero stays zero).
    pub shortest_interval_ms: Millis,
    /// No timeout of a health check gets shorter than this by the division.
    pub shortest_timeout_ms: Millis,
    /// How long a stopped task is shown (an hour at least: *DescribeTasks*).
    pub show_stopped_ms: Millis,
}

impl Pace {
    /// A deployment in a few seconds: fixed times are short, and the times of health checks are a tenth of those configured.
    pub fn quick() -> Self {
        Self {
            decide_ms: 100,
            place_ms: 50,
            activate_ms: 50,
            deprovision_ms: 50,
            settle_ms: 500,
            alarm_bake_ms: 2_000,
            unchecked_ms: 1_000,
            retry_first_ms: 500,
            replace_ms: 500,
            retry_most_ms: 5_000,
            drain_most_ms: 1_000,
            divide_checks_by: 10,
            shortest_interval_ms: 500,
            shortest_timeout_ms: 1_000,
            show_stopped_ms: 3_600_000,
        }
    }

    /// About the times that ECS takes with Fargate.
    pub fn aws() -> Self {
        Self {
            decide_ms: 10_000,
            place_ms: 15_000,
            activate_ms: 5_000,
            deprovision_ms: 15_000,
            settle_ms: 20_000,
            alarm_bake_ms: 5 * 60_000,
            unchecked_ms: 40_000,
            // Three tasks that could not pull were seen to fail 2.5, 4.8 and 11 minutes after the start.
            retry_first_ms: 240_000,
            replace_ms: 0,
            retry_most_ms: 27 * 60_000,
            drain_most_ms: 3_600_000,
            divide_checks_by: 1,
            shortest_interval_ms: 0,
            shortest_timeout_ms: 0,
            show_stopped_ms: 3_600_000,
        }
    }

    /// The interval, start period or grace period that takes the place of `configured` seconds.
    pub(super) fn interval(&self, configured: u64) -> Millis {
        if configured == 0 {
            return 0;
        }
        self.divided(configured).max(self.shortest_interval_ms)
    }

    /// The timeout of a check that takes the place of `configured` seconds.
    pub(super) fn timeout(&self, configured: u64) -> Millis {
        self.divided(configured).max(self.shortest_timeout_ms)
    }

    /// The deregistration delay that takes the place of `configured` seconds.
    pub(super) fn drain(&self, configured: u64) -> Millis {
        self.divided(configured).min(self.drain_most_ms)
    }

    /// How long to wait after `failures` failed tasks in a row.
    pub(super) fn retry(&self, failures: u32) -> Millis {
        match failures {
            0 | 1 => 0,
            _ => 1_u64
                .checked_shl(failures - 2)
                .unwrap_or(u64::MAX)
                .saturating_mul(self.retry_first_ms)
                .min(self.retry_most_ms),
        }
    }

    fn divided(&self, configured: u64) -> Millis {
        configured.saturating_mul(1_000) / self.divide_checks_by.max(1)
    }
}
