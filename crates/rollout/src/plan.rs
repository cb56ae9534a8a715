//! A plan: immutable data that names every change before the first is made, what must still be true then, and the way back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cause::{Cause, CauseCode};
use crate::compare::{differences, same_task};
use crate::facts::{Facts, RolloutState, ServiceDeploymentView, TaskView};

/// What is going to be done to one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Version of this format: 1.
    pub format: u32,
    /// ECS cluster.
    pub cluster: String,
    /// ECS service.
    pub service: String,
    /// `repository@sha256:…` that the deployed container must run at the end, and that container's name.
    pub image: Option<ExpectedImage>,
    /// What must still be true when the first change is made.
    pub guard: Guard,
    /// ARN of the revision to return to; none for a service's first deployment.
    pub way_back: Option<String>,
    /// The changes, in order; none when nothing changes.
    pub steps: Vec<Step>,
    /// What differs from what is live, one line a member.
    pub differences: Vec<String>,
    /// Seconds that the deployment may take.
    pub timeout_seconds: u64,
}

impl Plan {
    /// The format that is written.
    pub const FORMAT: u32 = 1;

    /// ARN of the revision that an update names, when it is not one that is registered first.
    pub fn target(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Step::UpdateService {
                task_definition, ..
            } => task_definition.as_deref(),
            _ => None,
        })
    }
}

/// The image that the deployed container must run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
        let containers = document["containerDefinitions"].as_array()?;
        let reference = containers.iter().find(|c| c["name"] == container)?["image"].as_str()?;
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
    pub(crate) fn mismatch(&self, task: &TaskView) -> Option<Cause> {
        let container = task
            .containers
            .iter()
            .find(|container| container.name == self.container);
        let digest = container.and_then(|container| container.image_digest.as_deref());
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    },
}

/// Settings of a service that the pipeline file may own. What is none is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSettings {
    /// `deploymentConfiguration.minimumHealthyPercent`.
    pub minimum_healthy_percent: Option<u32>,
    /// `deploymentConfiguration.maximumPercent`.
    pub maximum_percent: Option<u32>,
    /// `deploymentConfiguration.deploymentCircuitBreaker`, with rollback.
    pub circuit_breaker: Option<bool>,
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

/// What is wanted of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// ECS cluster.
    pub cluster: String,
    /// ECS service.
    pub service: String,
    /// The rendered task definition.
    pub document: String,
    /// The image it must end up running.
    pub image: ExpectedImage,
    /// Settings that the pipeline file names.
    pub settings: ServiceSettings,
    /// How to make the service when it is not there; none where infrastructure code owns it.
    pub create: Option<NewService>,
    /// Seconds that the deployment may take.
    pub timeout_seconds: u64,
    /// Whether to start even though another deployment is in flight.
    pub supersede: bool,
}

/// Why there is no plan: refused before any change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The service is not there and must not be made.
    #[error(
        "there is no service `{service}` in cluster `{cluster}`; longshore deploys to services that exist: create it with your infrastructure code first"
    )]
    NoService {
        /// The service.
        service: String,
        /// The cluster.
        cluster: String,
    },
    /// Another deployment has not ended.
    #[error(
        "a deployment of `{service}` is in flight ({deployment}, {task_definition}); wait for it, or run again with --supersede to replace it"
    )]
    InFlight {
        /// The service.
        service: String,
        /// The deployment in flight.
        deployment: String,
        /// What it rolls out.
        task_definition: String,
    },
    /// There is nothing to go back to.
    #[error(
        "no earlier revision of `{service}` is on ECS's record as rolled out well; name one with --to"
    )]
    NoEarlier {
        /// The service.
        service: String,
    },
}

/// Plans a deployment from what is wanted and what is live.
pub fn deploy(wanted: Wanted, facts: &Facts) -> Result<Plan, Refusal> {
    let document: Value = serde_json::from_str(&wanted.document).unwrap_or_default();
    let register = Step::RegisterTaskDefinition {
        document: wanted.document,
    };
    let mut plan = Plan {
        format: Plan::FORMAT,
        cluster: wanted.cluster,
        service: wanted.service,
        image: Some(wanted.image),
        guard: Guard {
            primary_deployment: None,
        },
        way_back: facts.serving().map(str::to_owned),
        steps: Vec::new(),
        differences: Vec::new(),
        timeout_seconds: wanted.timeout_seconds,
    };
    let Some(service) = &facts.service else {
        let Some(settings) = wanted.create else {
            return Err(Refusal::NoService {
                service: plan.service,
                cluster: plan.cluster,
            });
        };
        plan.way_back = None;
        plan.steps = vec![register, Step::CreateService { settings }];
        return Ok(plan);
    };
    let Some(primary) = service.primary() else {
        return Err(Refusal::NoService {
            service: plan.service,
            cluster: plan.cluster,
        });
    };
    plan.guard.primary_deployment = Some(primary.id.clone());
    let live = facts.primary_document.as_ref();
    let same = live.is_some_and(|live| same_task(live, &document));
    if let Some(live) = live {
        plan.differences = differences(live, &document);
    }
    let all_run = primary.running_count >= primary.desired_count;
    if same && primary.rollout_state == Some(RolloutState::Completed) && all_run {
        return Ok(plan);
    }
    if same && primary.rollout_state != Some(RolloutState::Failed) {
        // A run before this one started it and did not see its end; or its tasks are just being replaced.
        plan.steps = vec![Step::Adopt {
            deployment: primary.id.clone(),
            task_definition: primary.task_definition.clone(),
        }];
        return Ok(plan);
    }
    if service.in_flight()
        && primary.rollout_state == Some(RolloutState::InProgress)
        && !wanted.supersede
    {
        return Err(Refusal::InFlight {
            service: plan.service,
            deployment: primary.id.clone(),
            task_definition: primary.task_definition.clone(),
        });
    }
    plan.steps = vec![
        register,
        Step::UpdateService {
            task_definition: None,
            settings: wanted.settings,
        },
    ];
    Ok(plan)
}

/// Plans a return to an earlier revision: the one named, else the last that was rolled out well before the present one.
pub fn rollback(
    cluster: String,
    service: String,
    facts: &Facts,
    to: Option<String>,
    image: Option<ExpectedImage>,
    timeout_seconds: u64,
) -> Result<Plan, Refusal> {
    let Some(view) = &facts.service else {
        return Err(Refusal::NoService { service, cluster });
    };
    let Some(primary) = view.primary() else {
        return Err(Refusal::NoService { service, cluster });
    };
    // With a release still failing, the way back is what served before it; also when ECS is on that way already.
    let returning = facts
        .history
        .first()
        .is_some_and(ServiceDeploymentView::rolling_back);
    let failing = facts
        .serving()
        .filter(|serving| returning || *serving != primary.task_definition);
    let Some(target) = to.or_else(|| failing.or_else(|| facts.earlier()).map(str::to_owned)) else {
        return Err(Refusal::NoEarlier { service });
    };
    let steps = if target == primary.task_definition
        && primary.rollout_state == Some(RolloutState::Completed)
    {
        Vec::new()
    } else {
        vec![Step::UpdateService {
            task_definition: Some(target.clone()),
            settings: ServiceSettings::default(),
        }]
    };
    Ok(Plan {
        format: Plan::FORMAT,
        cluster,
        service,
        image,
        guard: Guard {
            primary_deployment: Some(primary.id.clone()),
        },
        way_back: facts.serving().map(str::to_owned),
        differences: vec![format!(
            "taskDefinition: {} -> {target}",
            primary.task_definition
        )],
        steps,
        timeout_seconds,
    })
}
