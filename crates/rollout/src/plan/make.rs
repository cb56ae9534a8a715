//! The making of plans: what is wanted, held against what is live.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ran::{RAN_TAG, remembered};
use super::told::{NOT_PROVEN, told};
use super::{
    BeforeTask, Check, ExpectedImage, Guard, NewService, OnFailure, PROVEN_TAG, Placement, Plan,
    Present, ServiceSettings, Step,
};
use crate::compare::same_task;
use crate::execute::GUARD_TAG;
use crate::facts::{DeploymentView, Facts, RolloutState, ServiceDeploymentView, ServiceView};

/// What is wanted of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Whether a failed deployment is taken back.
    pub on_failure: OnFailure,
    /// Tasks that run before the service is changed. Where they run is filled in here.
    pub before: Vec<BeforeTask>,
    /// Requests that must be answered well afterwards.
    pub checks: Vec<Check>,
    /// Seconds that the new version is watched after its rollout.
    pub bake_seconds: u64,
    /// CloudWatch alarms that are watched.
    pub alarms: Vec<String>,
    /// Tags of the revision.
    pub tags: BTreeMap<String, String>,
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
        "a deployment of `{service}` is in flight ({deployment}, {task_definition}); run again with --wait to wait for its end, or with --supersede to replace it"
    )]
    InFlight {
        /// The service.
        service: String,
        /// The deployment in flight.
        deployment: String,
        /// What it rolls out.
        task_definition: String,
    },
    /// Somebody else carries this service's deployments out.
    #[error(
        "deployments of `{service}` are carried out by {controller}, not by ECS; longshore deploys services with the deployment controller ECS only"
    )]
    Controller {
        /// The service.
        service: String,
        /// Its deployment controller.
        controller: String,
    },
    /// ECS does not say how far a deployment has come.
    #[error(
        "ECS does not tell how far a deployment of `{service}` has come (no rolloutState){why}; longshore could neither call it good nor go back"
    )]
    NoRolloutState {
        /// The service.
        service: String,
        /// What is known about why.
        why: &'static str,
    },
    /// There is nothing to go back to.
    #[error(
        "no earlier revision of `{service}` has a SUCCESSFUL deployment on ECS's record; name one with --to (`cargo xtask history` lists them)"
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
    let mut before = wanted.before;
    for task in &mut before {
        task.placement = placement(facts, wanted.create.as_ref());
    }
    let run = before
        .iter()
        .map(|task| Step::RunTask { task: task.clone() });
    let mut plan = Plan {
        format: Plan::FORMAT,
        cluster: wanted.cluster,
        service: wanted.service,
        image: Some(wanted.image),
        guard: Guard::default(),
        way_back: facts.serving().map(str::to_owned),
        timeout_seconds: wanted.timeout_seconds,
        on_failure: wanted.on_failure,
        checks: wanted.checks,
        bake_seconds: wanted.bake_seconds,
        alarms: wanted.alarms,
        tags: wanted.tags,
        ..Plan::default()
    };
    if let Some(ran) = remembered(&before) {
        plan.tags.insert(RAN_TAG.to_owned(), ran);
    }
    let Some(service) = &facts.service else {
        let Some(settings) = wanted.create else {
            return Err(Refusal::NoService {
                service: plan.service,
                cluster: plan.cluster,
            });
        };
        plan.way_back = None;
        plan.steps = std::iter::once(register)
            .chain(run)
            .chain([Step::CreateService { settings }])
            .collect();
        return Ok(plan);
    };
    if let Some(controller) = service.foreign_controller() {
        return Err(Refusal::Controller {
            service: plan.service,
            controller: controller.to_owned(),
        });
    }
    let Some(primary) = service.primary() else {
        return Err(Refusal::NoService {
            service: plan.service,
            cluster: plan.cluster,
        });
    };
    can_be_judged(service, &plan.service)?;
    plan.guard.primary_deployment = Some(primary.id.clone());
    let container = plan.image.as_ref().map(|image| image.container.as_str());
    plan.present = Some(Present::of(service, facts, container));
    let live = facts.primary_document.as_ref();
    let same = live.is_some_and(|live| same_task(live, &document));
    let changed = wanted.settings.changed(&service.rules);
    plan.differences = told(facts, Some(&document), Some(&wanted.settings));
    let all_run = primary.running_count >= primary.desired_count;
    let at_rest = primary.rollout_state == Some(RolloutState::Completed) && all_run;
    let in_flight = service.in_flight() && primary.rollout_state == Some(RolloutState::InProgress);
    if same && at_rest && changed.is_none() {
        if proven(&plan, facts) {
            return Ok(plan);
        }
        plan.differences.push(NOT_PROVEN.to_owned());
        plan.way_back = before_a_dead_run(facts).or(plan.way_back);
        plan.steps = vec![adopt(primary, before, ServiceSettings::default())];
        return Ok(plan);
    }
    let given_up = primary.rollout_state == Some(RolloutState::Failed);
    let replaced = in_flight && wanted.supersede;
    if same && !(at_rest || given_up || replaced) {
        // A run before this one started it and did not see its end; or its tasks are just being replaced.
        let (settings, settings_before) = changed.unzip();
        plan.settings_before = settings_before;
        plan.steps = vec![adopt(primary, before, settings.unwrap_or_default())];
        return Ok(plan);
    }
    if in_flight && !wanted.supersede {
        return Err(Refusal::InFlight {
            service: plan.service,
            deployment: primary.id.clone(),
            task_definition: primary.task_definition.clone(),
        });
    }
    let (settings, settings_before) = changed.unzip();
    plan.settings_before = settings_before;
    let settings = settings.unwrap_or_default();
    plan.steps = if same && at_rest {
        // Nothing but the service's settings: no new revision, and no new deployment.
        vec![Step::UpdateService {
            task_definition: Some(primary.task_definition.clone()),
            settings,
        }]
    } else {
        std::iter::once(register)
            .chain(run)
            .chain([Step::UpdateService {
                task_definition: None,
                settings,
            }])
            .collect()
    };
    Ok(plan)
}

/// Whether the live revision has passed all that the plan asks after a rollout.
fn proven(plan: &Plan, facts: &Facts) -> bool {
    plan.proof()
        .is_none_or(|proof| facts.primary_tags.get(PROVEN_TAG) == Some(&proof))
}

/// The revision that served before the live one, when the run that deployed that has died: its claim is still there, and nothing says that it passed. What has
/// stayed for any other reason stays.
fn before_a_dead_run(facts: &Facts) -> Option<String> {
    let tags = &facts.primary_tags;
    let died = tags.contains_key(GUARD_TAG) && !tags.contains_key(PROVEN_TAG);
    facts.earlier().filter(|_| died).map(str::to_owned)
}

fn adopt(primary: &DeploymentView, ran: Vec<BeforeTask>, settings: ServiceSettings) -> Step {
    Step::Adopt {
        deployment: primary.id.clone(),
        task_definition: primary.task_definition.clone(),
        ran,
        settings,
    }
}

/// Refuses services of which ECS leaves out what every verdict rests on (ECS API, `Deployment.rolloutState`: only for rolling updates that are not behind a Classic Load Balancer).
fn can_be_judged(service: &ServiceView, name: &str) -> Result<(), Refusal> {
    let silent = service
        .primary()
        .is_some_and(|primary| primary.rollout_state.is_none());
    if !service.classic_balancer && !silent {
        return Ok(());
    }
    Err(Refusal::NoRolloutState {
        service: name.to_owned(),
        why: if service.classic_balancer {
            ", because it stands behind a Classic Load Balancer: give it a target group of an Application or Network Load Balancer"
        } else {
            ""
        },
    })
}

/// Tasks run where the service's own do.
fn placement(facts: &Facts, create: Option<&NewService>) -> Placement {
    match (&facts.service, create) {
        (Some(service), _) => service.placement.clone(),
        (None, Some(new)) => Placement {
            subnets: new.subnets.clone(),
            ..Placement::default()
        },
        (None, None) => Placement::default(),
    }
}

/// Plans a return to an earlier revision: the one named, else the last with a SUCCESSFUL deployment before the present one.
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
    if let Some(controller) = view.foreign_controller() {
        let controller = controller.to_owned();
        return Err(Refusal::Controller {
            service,
            controller,
        });
    }
    let Some(primary) = view.primary() else {
        return Err(Refusal::NoService { service, cluster });
    };
    can_be_judged(view, &service)?;
    let live = primary.task_definition.as_str();
    let on_its_way = primary.rollout_state == Some(RolloutState::InProgress);
    // With a release still failing, the way back is what served before it; also when ECS is on that way already.
    let returning = facts
        .history
        .first()
        .is_some_and(ServiceDeploymentView::rolling_back);
    let failing = facts
        .serving()
        .filter(|serving| returning || *serving != live);
    // Somebody takes a release back that was completed: what served last is what nobody wants.
    let taken_back = failing.is_some_and(|serving| serving != live)
        && on_its_way
        && facts
            .history
            .iter()
            .any(|record| record.status == "SUCCESSFUL" && record.task_definition == live);
    let back = if taken_back { Some(live) } else { failing };
    let Some(target) = to.or_else(|| back.or_else(|| facts.earlier()).map(str::to_owned)) else {
        return Err(Refusal::NoEarlier { service });
    };
    let steps = if target != live {
        vec![Step::UpdateService {
            task_definition: Some(target.clone()),
            settings: ServiceSettings::default(),
        }]
    } else if primary.rollout_state == Some(RolloutState::Completed) {
        Vec::new()
    } else if on_its_way {
        vec![Step::Adopt {
            deployment: primary.id.clone(),
            task_definition: target.clone(),
            ran: Vec::new(),
            settings: ServiceSettings::default(),
        }]
    } else {
        vec![Step::UpdateService {
            task_definition: Some(target.clone()),
            settings: ServiceSettings::default(),
        }]
    };
    let mut differences = Vec::new();
    if target != primary.task_definition {
        differences.push(format!(
            "taskDefinition: {} -> {target}",
            primary.task_definition
        ));
    }
    if view.in_flight() && matches!(&steps[..], [Step::UpdateService { .. }]) {
        differences.push(format!(
            "deployment {} of {}, which is in flight, is replaced",
            primary.id, primary.task_definition
        ));
    }
    Ok(Plan {
        format: Plan::FORMAT,
        cluster,
        service,
        image,
        guard: Guard {
            primary_deployment: Some(primary.id.clone()),
        },
        present: Some(Present::of(view, facts, None)),
        way_back: facts.serving().map(str::to_owned),
        differences,
        steps,
        timeout_seconds,
        ..Plan::default()
    })
}
