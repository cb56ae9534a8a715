//! A plan: immutable data that names every change before the first is made, what must still be true then, and the way back.

mod make;
mod proof;
mod ran;
mod settings;
mod told;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use make::{Refusal, Wanted, deploy, rollback};
pub(crate) use proof::PROVEN_TAG;
pub(crate) use ran::RAN_TAG;
pub use ran::{InTheWay, in_the_way, since};
pub use settings::{Breaker, ServiceSettings};

use crate::cause::{Cause, CauseCode};
use crate::facts::{Facts, ServiceView, TaskView};

/// Tag of a revision: the commit that it was built from.
pub const COMMIT_TAG: &str = "longshore:commit";

/// What is going to be done to one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Version of this format: 2.
    pub format: u32,
    /// ECS cluster.
    pub cluster: String,
    /// ECS service.
    pub service: String,
    /// `repository@sha256:…` that the deployed container must run at the end, and that container's name.
    pub image: Option<ExpectedImage>,
    /// What must still be true when the first change is made.
    pub guard: Guard,
    /// What the service had when the plan was made; none for a service's first deployment.
    pub present: Option<Present>,
    /// ARN of the revision to return to; none for a service's first deployment.
    pub way_back: Option<String>,
    /// The changes, in order; none when nothing changes.
    pub steps: Vec<Step>,
    /// What differs from what is live, one line a member.
    pub differences: Vec<String>,
    /// Seconds that the deployment may take.
    pub timeout_seconds: u64,
    /// Whether a failed deployment is taken back.
    pub on_failure: OnFailure,
    /// Service settings that the steps change, as they were before: what is put back on the way back.
    pub settings_before: Option<ServiceSettings>,
    /// Requests that must be answered well before the deployment counts as succeeded.
    pub checks: Vec<Check>,
    /// Seconds that the new version is watched after its rollout.
    pub bake_seconds: u64,
    /// Names of CloudWatch alarms: one that goes to ALARM during the rollout or afterwards fails the deployment.
    pub alarms: Vec<String>,
    /// Tags that the registered revision gets, so that others can tell where it came from.
    pub tags: BTreeMap<String, String>,
}

impl Plan {
    /// The format that is written.
    pub const FORMAT: u32 = 2;

    /// ARN of the revision that an update names or that is followed, when it is not one that is registered first.
    pub fn target(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Step::UpdateService {
                task_definition, ..
            } => task_definition.as_deref(),
            Step::Adopt {
                task_definition, ..
            } => Some(task_definition),
            _ => None,
        })
    }
}

/// What a service has when a plan is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Present {
    /// ARN of the PRIMARY deployment's revision.
    pub task_definition: String,
    /// Commit of that revision, when longshore registered it.
    pub commit: Option<String>,
    /// Image of the container that is deployed.
    pub image: Option<String>,
    /// Tasks that the service runs, of all deployments.
    pub running_count: u32,
    /// Tasks that it should run.
    pub desired_count: u32,
}

impl Present {
    fn of(service: &ServiceView, facts: &Facts, container: Option<&str>) -> Self {
        let live = facts.primary_document.as_ref().zip(container);
        let image = live.and_then(|(live, container)| image_of(live, container));
        Self {
            task_definition: service.task_definition.clone(),
            commit: facts.primary_tags.get(COMMIT_TAG).cloned(),
            image: image.map(str::to_owned),
            running_count: service.running_count,
            desired_count: service.desired_count,
        }
    }
}

/// The image that a task definition names for a container.
pub fn image_of<'a>(document: &'a Value, container: &str) -> Option<&'a str> {
    let containers = document["containerDefinitions"].as_array()?;
    containers.iter().find(|one| one["name"] == container)?["image"].as_str()
}

/// The image that the deployed container must run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedImage {
    /// Name of the container.
    pub container: String,
    /// `repository@sha256:…`.
    pub reference: String,
}

impl ExpectedImage {
    /// What a task definition says of a container, when it names its image by digest.
    pub fn of(document: &Value, container: &str) -> Option<Self> {
        let reference = image_of(document, container)?;
        reference.contains("@sha256:").then(|| Self {
            container: container.to_owned(),
            reference: reference.to_owned(),
        })
    }

    /// The part behind the `@`.
    pub fn digest(&self) -> &str {
        self.reference.rsplit('@').next().unwrap_or_default()
    }

    /// That a running task's container does not run this image; none when it does.
    ///
    /// Where ECS does not tell the digest, the name that the container was started by does: a reference by digest stands for nothing else.
    pub(crate) fn mismatch(&self, task: &TaskView) -> Option<Cause> {
        let container = task
            .containers
            .iter()
            .find(|container| container.name == self.container);
        let digest = container.and_then(|container| {
            let named = || container.image.as_deref()?.split_once('@');
            let told = container.image_digest.as_deref();
            told.or_else(|| named().map(|(_, digest)| digest))
        });
        (digest != Some(self.digest())).then(|| {
            Cause::new(
                CauseCode::WrongImage,
                format!(
                    "task {} runs {} in container `{}`, not {}",
                    task.id(),
                    digest.unwrap_or("an image without a digest"),
                    self.container,
                    self.digest()
                ),
            )
        })
    }
}

/// What must still be true when the first change is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Guard {
    /// ID of the PRIMARY deployment; none when the service must not exist.
    pub primary_deployment: Option<String>,
}

/// One change, or the watching of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    rename_all = "kebab-case",
    rename_all_fields = "camelCase",
    tag = "step",
    deny_unknown_fields
)]
pub enum Step {
    /// RegisterTaskDefinition with exactly this document.
    RegisterTaskDefinition {
        /// The bytes that are sent.
        document: String,
    },
    /// RunTask with the revision that was registered; goes on when it ends with 0.
    RunTask {
        /// The task.
        task: BeforeTask,
    },
    /// CreateService with the revision that was registered.
    CreateService {
        /// What only a new service needs.
        settings: NewService,
    },
    /// UpdateService.
    UpdateService {
        /// ARN of the revision; none for the one that was registered.
        task_definition: Option<String>,
        /// Settings that the pipeline file names; nothing else is sent.
        settings: ServiceSettings,
    },
    /// Watches a deployment that is already on its way.
    Adopt {
        /// ID of that deployment.
        deployment: String,
        /// ARN of its task definition.
        task_definition: String,
        /// Tasks that ran before it; what they say about the way back still holds.
        ran: Vec<BeforeTask>,
        /// Settings of the service that are changed first (UpdateService): what holds the deployment up may be just those.
        settings: ServiceSettings,
    },
}

/// What happens when a deployment fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The service goes back to the revision that served before.
    #[default]
    Rollback,
    /// Nothing: a person decides.
    Stay,
}

/// Whether the revision before still works after a task has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Marker {
    /// It does.
    #[default]
    Safe,
    /// It does once the reverse has run.
    Reverse,
    /// It does not.
    Never,
}

/// A task that runs to its end, with the new image, before the service is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BeforeTask {
    /// Its name, for people.
    pub name: String,
    /// The container that runs the command.
    pub container: String,
    /// What it runs in place of the task definition's command.
    pub command: Vec<String>,
    /// Seconds that it may take.
    pub timeout_seconds: u64,
    /// What a rollback needs once it has run.
    pub marker: Marker,
    /// The command that undoes it.
    pub reverse: Option<Vec<String>>,
    /// Where and how it runs: as the service's own tasks do.
    pub placement: Placement,
}

/// Where and how tasks run. What is none is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Placement {
    /// `FARGATE`, `EC2`, …; none where capacity providers are named.
    pub launch_type: Option<String>,
    /// Fargate platform version.
    pub platform_version: Option<String>,
    /// Capacity providers.
    pub capacity_providers: Vec<CapacityProvider>,
    /// IDs of the subnets; empty where the network mode is not awsvpc.
    pub subnets: Vec<String>,
    /// IDs of the security groups.
    pub security_groups: Vec<String>,
    /// Whether tasks get a public address.
    pub public_ip: bool,
    /// Which machines of the cluster may run them.
    #[serde(default)]
    pub constraints: Vec<PlacementRule>,
    /// Which of these are taken first.
    #[serde(default)]
    pub strategy: Vec<PlacementRule>,
}

/// A placement constraint or strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlacementRule {
    /// `memberOf`, `distinctInstance`; `spread`, `binpack`, `random`.
    pub kind: String,
    /// The expression of a constraint, the field of a strategy.
    pub value: Option<String>,
}

/// One entry of a capacity provider strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CapacityProvider {
    /// Its name: `FARGATE_SPOT`.
    pub name: String,
    /// Tasks that run on it at least.
    pub base: u32,
    /// Its share of the others.
    pub weight: u32,
}

/// A request to the public address that must be answered well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// The whole address.
    pub url: String,
    /// The status that the answer must have.
    pub status: u16,
    /// A text that its body must hold.
    pub contains: Option<String>,
    /// Seconds that it is tried until it is answered so.
    pub within_seconds: u64,
}

/// What only a new service needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewService {
    /// Tasks to run.
    pub desired_count: u32,
    /// Where requests come from.
    pub load_balancer: Option<LoadBalancer>,
    /// IDs of the subnets that tasks run in; needed under the network mode awsvpc.
    pub subnets: Vec<String>,
    /// As for any service.
    pub settings: ServiceSettings,
}

/// A target group that tasks are registered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBalancer {
    /// ARN of the target group.
    pub target_group_arn: String,
    /// Container that takes the requests.
    pub container: String,
    /// Its port.
    pub port: u16,
}
