//! What was read of ECS, reduced to what decisions need. Plain data: whoever fills it in, the decisions are the same.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::plan::{Breaker, Placement};

/// A point in time: milliseconds since the Unix epoch.
pub type Millis = u64;

/// A service, as DescribeServices answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceView {
    /// ARN of the service.
    pub arn: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// Tasks that should run.
    pub desired_count: u32,
    /// Tasks that run, of all deployments.
    pub running_count: u32,
    /// ARN of the task definition of the PRIMARY deployment.
    pub task_definition: String,
    /// The deployments that ECS still lists, PRIMARY first.
    pub deployments: Vec<DeploymentView>,
    /// Newest first.
    pub events: Vec<EventView>,
    /// Who carries deployments out: `ECS`, `CODE_DEPLOY`, `EXTERNAL`; none when AWS left it out, which means ECS.
    pub controller: Option<String>,
    /// How deployments are carried out.
    pub rules: DeploymentRules,
    /// Where and how its tasks run.
    pub placement: Placement,
    /// Target groups that its tasks are registered with.
    pub balancers: Vec<BalancerView>,
    /// Whether requests come from a Classic Load Balancer, which has no target groups.
    pub classic_balancer: bool,
}

/// A service's `deploymentConfiguration`, as far as decisions need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentRules {
    /// Healthy tasks that a rollout keeps, in percent.
    pub minimum_healthy_percent: Option<u32>,
    /// Tasks that a rollout may run at once, in percent.
    pub maximum_percent: Option<u32>,
    /// The circuit breaker.
    pub circuit_breaker: Option<Breaker>,
    /// `ROLLING`, `BLUE_GREEN`, `LINEAR`, `CANARY`; none means ROLLING.
    pub strategy: Option<String>,
    /// Minutes that ECS itself watches the new version under the strategies other than ROLLING.
    pub bake_minutes: u32,
    /// Names of the alarms that ECS watches during a deployment.
    pub alarms: Vec<String>,
    /// Whether ECS goes back by itself when one of them fires.
    pub alarms_roll_back: bool,
}

impl DeploymentRules {
    /// Whether ECS goes back by itself when a deployment fails.
    pub fn roll_back_by_themselves(&self) -> bool {
        self.alarms_roll_back || self.circuit_breaker.is_some_and(|b| b.enable && b.rollback)
    }

    /// Whether old and new version are exchanged task by task.
    pub fn rolling(&self) -> bool {
        self.strategy.as_deref().is_none_or(|one| one == "ROLLING")
    }
}

/// A target group that a service's tasks are registered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BalancerView {
    /// Its ARN.
    pub target_group_arn: String,
    /// Container that takes the requests.
    pub container: String,
    /// Its port.
    pub port: u16,
}

/// A registered task definition, as far as others' registrations matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevisionView {
    /// Its ARN.
    pub arn: String,
    /// `ACTIVE`, `INACTIVE`, ….
    pub status: String,
    /// When it was registered, by AWS's clock.
    pub registered_at: Millis,
    /// ARN of who registered it.
    pub registered_by: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A CloudWatch alarm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlarmView {
    /// Its name.
    pub name: String,
    /// `OK`, `ALARM`, `INSUFFICIENT_DATA`.
    pub state: String,
    /// AWS's words about the state.
    pub reason: String,
    /// Since when it is in that state, by AWS's clock; none when AWS left it out.
    pub since: Option<Millis>,
}

impl ServiceView {
    /// The deployment that ECS works towards.
    pub fn primary(&self) -> Option<&DeploymentView> {
        self.deployments
            .iter()
            .find(|deployment| deployment.status == "PRIMARY")
    }

    /// Whether this was read before a deployment that was created at `created_at` by AWS's clock: nothing in it is as new as that.
    ///
    /// A deployment that comes back, because ECS returned to it, has been updated since.
    pub fn predates(&self, created_at: Millis) -> bool {
        let mut deployments = self.deployments.iter();
        !self.deployments.is_empty() && deployments.all(|d| d.updated_at < created_at)
    }

    /// Whether ECS says that it returned to this deployment by itself: in the deployment's reason while it is on its way back, in the service's events also afterwards.
    pub fn went_back_to(&self, deployment: &DeploymentView) -> bool {
        let words = format!("rolling back to deployment {}.", deployment.id);
        deployment
            .reason
            .as_deref()
            .is_some_and(|reason| reason.contains("rolling back"))
            || self
                .events
                .iter()
                .any(|event| event.message.contains(&words))
    }

    /// Who carries the deployments out, when it is not ECS itself.
    pub fn foreign_controller(&self) -> Option<&str> {
        self.controller.as_deref().filter(|one| *one != "ECS")
    }

    /// Whether a deployment has not ended yet.
    ///
    /// One that ECS has given up without going back stays beside those before it, and nothing of that moves any more.
    pub fn in_flight(&self) -> bool {
        let primary = self.primary();
        if primary.is_some_and(|primary| primary.rollout_state == Some(RolloutState::Failed)) {
            return false;
        }
        self.deployments.len() > 1
            || self
                .deployments
                .iter()
                .any(|d| d.rollout_state == Some(RolloutState::InProgress))
    }
}

/// One entry of a service's `deployments`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeploymentView {
    /// `ecs-svc/…`; tasks carry it as `startedBy`.
    pub id: String,
    /// `PRIMARY`, `ACTIVE` (on its way out) or `INACTIVE`.
    pub status: String,
    /// ARN of its task definition.
    pub task_definition: String,
    /// Tasks that it should run.
    pub desired_count: u32,
    /// Tasks on their way up.
    pub pending_count: u32,
    /// Tasks that run.
    pub running_count: u32,
    /// Tasks that ECS counted as failed.
    pub failed_tasks: u32,
    /// How far it has come; ECS leaves it out for other deployment controllers.
    pub rollout_state: Option<RolloutState>,
    /// ECS's own words about the state.
    pub reason: Option<String>,
    /// When it began, by AWS's clock; 0 when AWS left it out.
    pub created_at: Millis,
    /// When anything of it last changed, by AWS's clock; 0 when AWS left it out.
    pub updated_at: Millis,
}

/// How far a deployment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutState {
    /// It goes on.
    InProgress,
    /// It has ended well.
    Completed,
    /// ECS has given it up.
    Failed,
}

/// A line of a service's history.
#[derive(Clone, Debug, PartialEq)]
pub struct EventView {
    /// When.
    pub at: Millis,
    /// ECS's words.
    pub message: String,
}

/// A task, as DescribeTasks answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskView {
    /// ARN of the task.
    pub arn: String,
    /// ID of the deployment that started it.
    pub started_by: String,
    /// `RUNNING`, `STOPPED`, ….
    pub last_status: String,
    /// ARN of its task definition.
    pub task_definition: String,
    /// `TaskFailedToStart`, `EssentialContainerExited`, `ServiceSchedulerInitiated`, ….
    pub stop_code: Option<String>,
    /// ECS's words about why it stopped.
    pub stopped_reason: Option<String>,
    /// When all its containers ran.
    pub started_at: Option<Millis>,
    /// When it stopped.
    pub stopped_at: Option<Millis>,
    /// Its containers.
    pub containers: Vec<ContainerView>,
}

impl TaskView {
    /// The last part of the ARN.
    pub fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }
}

/// One container of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerView {
    /// Its name.
    pub name: String,
    /// The image as the task definition names it.
    pub image: Option<String>,
    /// Digest of the image that it really runs. ECS leaves it out for some registries, and before the container runs.
    pub image_digest: Option<String>,
    /// Exit code, when it has ended.
    pub exit_code: Option<i32>,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`, where it has a health check.
    pub health: Option<String>,
    /// Words about why it stopped (`CannotPullContainerError: …`, `OutOfMemoryError: …`).
    pub reason: Option<String>,
}

/// One service deployment: ECS's record of a rollout, kept for 90 days.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceDeploymentView {
    /// Its ARN.
    pub arn: String,
    /// `SUCCESSFUL`, `ROLLBACK_IN_PROGRESS`, ….
    pub status: String,
    /// ECS's words about the status.
    pub reason: Option<String>,
    /// ARN of the task definition that it rolls out.
    pub task_definition: String,
    /// When it was asked for.
    pub created_at: Millis,
    /// When it ended.
    pub finished_at: Option<Millis>,
}

impl ServiceDeploymentView {
    /// Whether it has not ended.
    pub fn in_flight(&self) -> bool {
        matches!(
            self.status.as_str(),
            "PENDING"
                | "IN_PROGRESS"
                | "STOP_REQUESTED"
                | "ROLLBACK_REQUESTED"
                | "ROLLBACK_IN_PROGRESS"
        )
    }

    /// Whether ECS is going back, or has been asked to.
    pub fn rolling_back(&self) -> bool {
        matches!(
            self.status.as_str(),
            "STOP_REQUESTED" | "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS"
        )
    }
}

/// What is live before a plan is made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The service, when it is there and not being deleted.
    pub service: Option<ServiceView>,
    /// The PRIMARY's task definition, as DescribeTaskDefinition answers.
    pub primary_document: Option<Value>,
    /// That revision's tags.
    pub primary_tags: BTreeMap<String, String>,
    /// Service deployments, newest first.
    pub history: Vec<ServiceDeploymentView>,
    /// Why the service deployments could not be read; none when they were.
    pub unread: Option<String>,
}

impl Facts {
    /// Whether something is on its way that a deployment would have to wait for, a return of ECS's own included.
    pub fn busy(&self) -> bool {
        let returning = self
            .history
            .first()
            .is_some_and(ServiceDeploymentView::rolling_back);
        returning || self.service.as_ref().is_some_and(ServiceView::in_flight)
    }

    /// ARN of the revision that serves: that of the deployment that completed, not simply the PRIMARY's, which may be a release that is just failing.
    pub fn serving(&self) -> Option<&str> {
        let service = self.service.as_ref()?;
        let completed = service
            .deployments
            .iter()
            .find(|deployment| deployment.rollout_state == Some(RolloutState::Completed));
        if let Some(deployment) = completed {
            return Some(&deployment.task_definition);
        }
        let successful = self
            .history
            .iter()
            .find(|deployment| deployment.status == "SUCCESSFUL");
        successful.map(|deployment| deployment.task_definition.as_str())
    }

    /// ARN of the revision that served before the one that serves now: the newest that was rolled out well before the present one first was.
    ///
    /// A revision whose rollout failed never counts, and a second rollback goes further back instead of forward again.
    pub fn earlier(&self) -> Option<&str> {
        let serving = self.serving()?;
        let first = self
            .history
            .iter()
            .rposition(|d| d.status == "SUCCESSFUL" && d.task_definition == serving)?;
        self.history[first + 1..]
            .iter()
            .find(|d| d.status == "SUCCESSFUL" && d.task_definition != serving)
            .map(|d| d.task_definition.as_str())
    }
}
