//! A service as data: what is wanted, its deployments, and the history of both.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::alarms::Alarms;
use super::breaker::Breaker;
use super::events::Event;
use super::request::Request;
use super::stages::{Shift, Strategy};
use super::tags::Tags;
use super::task_definition::DefinitionId;
use crate::task::Millis;

/// Names a service for as long as the model lives, whatever service takes its name later.
pub(super) type ServiceKey = u32;

/// `status` of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ServiceState {
    Active,
    Draining,
    Inactive,
}

/// One service.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) cluster: String,
    pub(super) name: String,
    pub(super) state: ServiceState,
    pub(super) desired: u64,
    /// The members of `CreateService` and `UpdateService` as they stand now, as they are shown.
    pub(super) members: Map<String, Value>,
    pub(super) rules: Rules,
    pub(super) grace_seconds: u64,
    pub(super) created_at: Millis,
    pub(super) created_by: String,
    /// The request that made it, if that had a client token.
    #[serde(default)]
    pub(super) made_by: Option<Map<String, Value>>,
    pub(super) tags: Tags,
    /// The newest first.
    pub(super) events: VecDeque<Event>,
    /// The first is `PRIMARY`, all others are `ACTIVE`. Only a deleted service has none.
    pub(super) deployments: Vec<Deployment>,
    /// The oldest first.
    pub(super) history: Vec<ServiceDeployment>,
    /// The oldest first.
    pub(super) revisions: Vec<ServiceRevision>,
    /// Id of the revision that the last successful deployment brought: the one to return to.
    pub(super) completed: Option<String>,
    /// Ids of its tasks that are not `STOPPED`, the oldest first.
    pub(super) tasks: Vec<String>,
    /// When the scheduler looks at it next.
    pub(super) decide_at: Option<Millis>,
    /// Since when everything is as wanted.
    pub(super) calm_since: Option<Millis>,
    /// Whether the event for the present calm was given.
    pub(super) steady: bool,
    /// Whether "unable to consistently start tasks" was said of the present run of failures.
    pub(super) struggling: bool,
    /// Whether it was said that the percentages leave no room to deploy.
    pub(super) blocked: bool,
}

/// What bounds a rolling deployment.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    pub(super) minimum_percent: u64,
    pub(super) maximum_percent: u64,
    pub(super) breaker: Option<Breaker>,
    #[serde(default)]
    pub(super) alarms: Option<Alarms>,
    #[serde(default)]
    pub(super) strategy: Strategy,
    #[serde(default)]
    pub(super) bake_minutes: u64,
}

/// `rolloutState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Rollout {
    InProgress,
    Completed,
    Failed,
}

/// One of a service's current deployments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deployment {
    /// `ecs-svc/` and digits.
    pub(super) id: String,
    pub(super) definition: DefinitionId,
    /// Id of the service revision it brings.
    pub(super) revision: String,
    pub(super) desired: u64,
    /// Failed tasks that count for the breaker.
    pub(super) failed: u64,
    /// Failed tasks since one was last healthy.
    pub(super) streak: u32,
    /// No task is started before.
    pub(super) retry_at: Millis,
    pub(super) rollout: Rollout,
    pub(super) reason: String,
    pub(super) created_at: Millis,
    pub(super) updated_at: Millis,
    /// Id of the service deployment that it is part of.
    pub(super) carries_out: String,
}

/// `status` of a service deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(clippy::enum_variant_names, reason = "the names are those of the API")]
pub(super) enum Progress {
    Pending,
    InProgress,
    Successful,
    StopRequested,
    Stopped,
    RollbackRequested,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

/// One way of a service from some revisions to another, and what became of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceDeployment {
    pub(super) id: String,
    /// Grows by one with each; orders lists.
    pub(super) number: u64,
    /// Ids of the revisions that ran when it began, and how many tasks of each were wanted.
    pub(super) sources: Vec<(String, u64)>,
    /// Id of the revision that it brings.
    pub(super) target: String,
    /// How many tasks of the target are wanted.
    pub(super) requested: u64,
    pub(super) status: Progress,
    pub(super) reason: Option<String>,
    pub(super) created_at: Millis,
    pub(super) started_at: Option<Millis>,
    pub(super) finished_at: Option<Millis>,
    pub(super) stopped_at: Option<Millis>,
    pub(super) updated_at: Millis,
    /// The deployment configuration at its beginning.
    pub(super) configuration: Value,
    pub(super) rollback: Option<Rollback>,
    /// Whether the breaker ended it.
    pub(super) tripped: bool,
    pub(super) failures: u64,
    pub(super) threshold: u64,
    /// Whether alarms guard it: they are on, and none was in `ALARM` when it began.
    #[serde(default)]
    pub(super) guarded: bool,
    /// Names of the alarms that ended it.
    #[serde(default)]
    pub(super) triggered: Vec<String>,
    /// Where it stands, when it goes in stages.
    #[serde(default)]
    pub(super) shift: Option<Shift>,
}

/// That a service deployment is rolled back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollback {
    pub(super) reason: String,
    pub(super) at: Millis,
    /// Id of the revision that is gone back to.
    pub(super) revision: String,
}

/// What a service was to be when a deployment began. It never changes, but for the digests that are found when its first task starts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceRevision {
    pub(super) id: String,
    pub(super) definition: DefinitionId,
    /// The service's members that are part of a revision.
    pub(super) members: Map<String, Value>,
    pub(super) targets: Vec<(String, u16)>,
    /// Container name to image digest.
    pub(super) digests: BTreeMap<String, String>,
    pub(super) created_at: Millis,
}

impl Progress {
    /// Whether its service is what it, or its rollback, made of it.
    pub(super) fn is_success(self) -> bool {
        matches!(self, Self::Successful | Self::RollbackSuccessful)
    }

    /// Whether nothing more will happen to it.
    pub(super) fn is_over(self) -> bool {
        matches!(
            self,
            Self::Successful | Self::Stopped | Self::RollbackSuccessful | Self::RollbackFailed
        )
    }
}

impl ServiceDeployment {
    /// Whether it fails when one of its alarms goes off.
    pub(super) fn is_watched(&self) -> bool {
        self.guarded && self.rollback.is_none() && !self.status.is_over()
    }
}

impl Rules {
    /// So many tasks must stay healthy.
    pub(super) fn at_least(&self, desired: u64) -> u64 {
        desired.saturating_mul(self.minimum_percent).div_ceil(100)
    }

    /// So many tasks may be there at once.
    pub(super) fn at_most(&self, desired: u64) -> u64 {
        desired.saturating_mul(self.maximum_percent) / 100
    }
}

impl Service {
    /// Whether this is the request that made it, come again with its client token.
    pub(super) fn is_made_by(&self, request: Request<'_>) -> bool {
        self.made_by.as_ref() == Some(request.members())
    }

    /// The present service deployment, or the last one.
    pub(super) fn current(&mut self) -> Option<&mut ServiceDeployment> {
        self.history.last_mut()
    }

    /// Whether it runs this task definition, or would go back to it.
    pub(super) fn uses(&self, definition: &DefinitionId) -> bool {
        let completed = self.completed.as_ref().and_then(|id| self.revision(id));
        let mut deployments = self.deployments.iter();
        self.state != ServiceState::Inactive
            && (deployments.any(|one| one.definition == *definition)
                || completed.is_some_and(|one| one.definition == *definition))
    }

    pub(super) fn revision(&self, id: &str) -> Option<&ServiceRevision> {
        self.revisions.iter().find(|revision| revision.id == id)
    }
}
