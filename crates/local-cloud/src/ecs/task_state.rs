//! A task as data: where it stands in its life, its containers, its targets.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::blueprint::{Check, Override, Plan};
use super::ordering::{Restart, Wait};
use super::service::ServiceKey;
use super::tags::Tags;
use super::target_group::Target;
use super::task_definition::DefinitionId;
use crate::task::Millis;

/// `lastStatus`, in the order of a task's life (*Amazon ECS task lifecycle*).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Status {
    Provisioning,
    Pending,
    Activating,
    Running,
    /// Its targets are drained.
    Deactivating,
    /// Its containers are told to stop.
    Stopping,
    Deprovisioning,
    Stopped,
}

/// `stopCode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StopCode {
    TaskFailedToStart,
    EssentialContainerExited,
    ServiceSchedulerInitiated,
    UserInitiated,
    /// The ground went away under the task: the local cloud was restarted.
    TerminationNotice,
}

/// That a task is to stop, and why.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stop {
    pub(super) code: StopCode,
    pub(super) reason: String,
    pub(super) at: Millis,
}

/// `healthStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Health {
    Unknown,
    Healthy,
    Unhealthy,
}

/// What makes a task part of a service.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Membership {
    pub(super) service: ServiceKey,
    /// Id of the deployment that started it, `ecs-svc/…`.
    pub(super) deployment: String,
    /// Id of the service revision that it runs.
    pub(super) revision: String,
}

/// One container of a task.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Container {
    pub(super) name: String,
    /// The last part of its ARN.
    pub(super) id: String,
    pub(super) image: String,
    pub(super) essential: bool,
    pub(super) state: ContainerState,
    pub(super) digest: Option<String>,
    pub(super) exit_code: Option<i32>,
    pub(super) reason: Option<String>,
    pub(super) check: Option<CheckState>,
    /// What it waits for before its first start.
    #[serde(default)]
    pub(super) waits: Vec<Wait>,
    /// Whether it still waits.
    #[serde(default)]
    pub(super) held: bool,
    #[serde(default)]
    pub(super) restart: Option<Restart>,
    /// When it started last.
    #[serde(default)]
    pub(super) started_at: Option<Millis>,
    /// How long after its start containers wait for it to come to an end or to be healthy.
    #[serde(default)]
    pub(super) start_timeout_ms: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ContainerState {
    Pending,
    Running,
    Stopped,
}

/// A container's health check as it goes on, times in milliseconds as the pace has them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckState {
    pub(super) health: Health,
    pub(super) failures: u64,
    pub(super) started_at: Millis,
    pub(super) command: Vec<String>,
    pub(super) interval_ms: Millis,
    pub(super) timeout_ms: Millis,
    pub(super) start_period_ms: Millis,
    pub(super) retries: u64,
}

/// When the task passed each point of its life.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Times {
    pub(super) created: Millis,
    pub(super) pull_started: Option<Millis>,
    pub(super) pull_stopped: Option<Millis>,
    pub(super) started: Option<Millis>,
    pub(super) execution_stopped: Option<Millis>,
    pub(super) stopped: Option<Millis>,
}

/// One task.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) cluster: String,
    pub(super) definition: DefinitionId,
    pub(super) membership: Option<Membership>,
    pub(super) started_by: Option<String>,
    pub(super) group: String,
    pub(super) launch_type: String,
    /// The capacity provider, when a strategy chose one.
    #[serde(default)]
    pub(super) provider: Option<String>,
    pub(super) platform_version: Option<String>,
    /// The subnet that its network interface is said to be in.
    #[serde(default)]
    pub(super) subnet: Option<String>,
    /// The `overrides` of `RunTask`, as given.
    pub(super) given_overrides: Option<Value>,
    pub(super) overrides: Vec<Override>,
    pub(super) tags: Tags,
    pub(super) status: Status,
    pub(super) stop: Option<Stop>,
    pub(super) containers: Vec<Container>,
    pub(super) targets: Vec<Target>,
    /// Whether it counts towards the minimum healthy percent.
    pub(super) healthy: bool,
    pub(super) times: Times,
    /// Counts the changes that DescribeTasks shows.
    pub(super) version: u64,
}

impl Container {
    pub(super) fn new(plan: &Plan, id: String, check: Option<CheckState>) -> Self {
        Self {
            name: plan.spec.name.clone(),
            id,
            image: plan.spec.image.clone(),
            essential: plan.essential,
            state: ContainerState::Pending,
            digest: None,
            exit_code: None,
            reason: None,
            check,
            waits: plan.waits.clone(),
            held: plan.spec.held,
            restart: plan.restart.clone(),
            started_at: None,
            start_timeout_ms: plan.start_timeout_ms,
        }
    }

    pub(super) fn health(&self) -> Health {
        self.check
            .as_ref()
            .map_or(Health::Unknown, |check| check.health)
    }
}

impl CheckState {
    pub(super) fn new(check: &Check, pace: &super::Pace) -> Self {
        Self {
            health: Health::Unknown,
            failures: 0,
            started_at: 0,
            command: check.command.clone(),
            interval_ms: pace.interval(check.interval),
            timeout_ms: pace.timeout(check.timeout),
            start_period_ms: pace.interval(check.start_period),
            retries: check.retries,
        }
    }
}

impl Task {
    /// Whether it is one of `runningCount`.
    pub(super) fn is_running(&self) -> bool {
        self.status == Status::Running
    }

    /// Whether it is one of `pendingCount`.
    pub(super) fn is_pending(&self) -> bool {
        self.status < Status::Running && self.stop.is_none()
    }

    /// Whether anything of it may still run or serve.
    pub(super) fn is_there(&self) -> bool {
        self.status < Status::Deprovisioning
    }

    pub(super) fn container_mut(&mut self, name: &str) -> Option<&mut Container> {
        self.containers
            .iter_mut()
            .find(|container| container.name == name)
    }

    /// The health of the essential containers that have a check (`Task.healthStatus` in the API reference).
    pub(super) fn health(&self) -> Health {
        let mut health = Health::Unknown;
        let checked = self
            .containers
            .iter()
            .filter(|one| one.essential && one.check.is_some());
        for container in checked {
            match container.health() {
                Health::Unhealthy => return Health::Unhealthy,
                Health::Unknown => return Health::Unknown,
                Health::Healthy => health = Health::Healthy,
            }
        }
        health
    }
}
