//! From the model's JSON answers to `rollout`'s plain data.
//!
//! Making and reading JSON is most of what a story costs, and most looks show what the look before showed: an answer is kept until the model changes.

use std::rc::Rc;

use local_cloud::error::ApiError;
use rollout::facts::{
    ContainerView, DeploymentRules, DeploymentView, EventView, Millis, RevisionView, RolloutState,
    ServiceDeploymentView, ServiceView, TaskView,
};
use rollout::plan::Breaker;
use serde_json::{Value, json};

use crate::world::{CLUSTER, SERVICE, World};

type Result<T> = std::result::Result<T, ApiError>;

/// So many service deployments are read.
const HISTORY: usize = 40;

/// Answers of the model as it is now.
#[derive(Default)]
pub(crate) struct Kept {
    /// The model's generation that they are of.
    generation: u64,
    service: Option<Rc<Option<ServiceView>>>,
    /// The stopped ones, and the others.
    tasks: [Option<Rc<Vec<TaskView>>>; 2],
    records: Option<Rc<Vec<ServiceDeploymentView>>>,
}

/// What was kept, as far as it is still true.
fn kept(world: &mut World) -> &mut Kept {
    let generation = world.generation();
    if world.kept.generation != generation {
        world.kept = Kept {
            generation,
            ..Kept::default()
        };
    }
    &mut world.kept
}

/// DescribeServices; none when the service is unknown.
pub(crate) fn service(world: &mut World) -> Result<Rc<Option<ServiceView>>> {
    if let Some(service) = &kept(world).service {
        return Ok(service.clone());
    }
    let request = json!({"cluster": CLUSTER, "services": [SERVICE]});
    let answer = world.apply("DescribeServices", &request)?;
    let service = Rc::new(answer["services"].get(0).map(service_view));
    kept(world).service = Some(service.clone());
    Ok(service)
}

/// A service, as CreateService and UpdateService answer too.
pub(crate) fn service_view(service: &Value) -> ServiceView {
    ServiceView {
        arn: text(&service["serviceArn"]),
        status: text(&service["status"]),
        desired_count: count(&service["desiredCount"]),
        running_count: count(&service["runningCount"]),
        task_definition: text(&service["taskDefinition"]),
        deployments: list(&service["deployments"]).map(deployment_view).collect(),
        events: list(&service["events"])
            .map(|event| EventView {
                at: millis(&event["createdAt"]),
                message: text(&event["message"]),
            })
            .collect(),
        controller: optional(&service["deploymentController"]["type"]),
        rules: rules(&service["deploymentConfiguration"]),
        ..ServiceView::default()
    }
}

fn rules(configuration: &Value) -> DeploymentRules {
    let percent = |name: &str| {
        configuration[name]
            .as_u64()
            .and_then(|percent| u32::try_from(percent).ok())
    };
    let breaker = &configuration["deploymentCircuitBreaker"];
    DeploymentRules {
        minimum_healthy_percent: percent("minimumHealthyPercent"),
        maximum_percent: percent("maximumPercent"),
        circuit_breaker: breaker.is_object().then(|| Breaker {
            enable: breaker["enable"] == true,
            rollback: breaker["rollback"] == true,
        }),
        strategy: optional(&configuration["strategy"]),
        ..DeploymentRules::default()
    }
}

/// DescribeTaskDefinition, as far as others' registrations matter; none when it is unknown.
pub(crate) fn revision(world: &mut World, name: &str) -> Option<RevisionView> {
    let request = json!({"taskDefinition": name, "include": ["TAGS"]});
    let answer = world.apply("DescribeTaskDefinition", &request).ok()?;
    let definition = &answer["taskDefinition"];
    Some(RevisionView {
        arn: text(&definition["taskDefinitionArn"]),
        status: text(&definition["status"]),
        registered_at: millis(&definition["registeredAt"]),
        registered_by: None,
        tags: list(&answer["tags"])
            .map(|tag| (text(&tag["key"]), text(&tag["value"])))
            .collect(),
    })
}

/// One task; none when the model does not know it.
pub(crate) fn task(world: &mut World, arn: &str) -> Result<Option<TaskView>> {
    let request = json!({"cluster": CLUSTER, "tasks": [arn]});
    let described = world.apply("DescribeTasks", &request)?;
    Ok(described["tasks"].get(0).map(task_view))
}

fn deployment_view(deployment: &Value) -> DeploymentView {
    DeploymentView {
        id: text(&deployment["id"]),
        status: text(&deployment["status"]),
        task_definition: text(&deployment["taskDefinition"]),
        desired_count: count(&deployment["desiredCount"]),
        pending_count: count(&deployment["pendingCount"]),
        running_count: count(&deployment["runningCount"]),
        failed_tasks: count(&deployment["failedTasks"]),
        rollout_state: match deployment["rolloutState"].as_str() {
            Some("COMPLETED") => Some(RolloutState::Completed),
            Some("FAILED") => Some(RolloutState::Failed),
            Some("IN_PROGRESS") => Some(RolloutState::InProgress),
            _ => None,
        },
        reason: optional(&deployment["rolloutStateReason"]),
        created_at: millis(&deployment["createdAt"]),
        updated_at: millis(&deployment["updatedAt"]),
    }
}

/// ListTasks and DescribeTasks, one page, as the client of the real AWS asks.
pub(crate) fn tasks(world: &mut World, running: bool) -> Result<Rc<Vec<TaskView>>> {
    let which = usize::from(running);
    if let Some(tasks) = &kept(world).tasks[which] {
        return Ok(tasks.clone());
    }
    let tasks = Rc::new(read_tasks(world, running)?);
    kept(world).tasks[which] = Some(tasks.clone());
    Ok(tasks)
}

fn read_tasks(world: &mut World, running: bool) -> Result<Vec<TaskView>> {
    let status = if running { "RUNNING" } else { "STOPPED" };
    let request = json!({"cluster": CLUSTER, "serviceName": SERVICE, "desiredStatus": status});
    let listed = world.apply("ListTasks", &request)?;
    if list(&listed["taskArns"]).next().is_none() {
        return Ok(Vec::new());
    }
    let request = json!({"cluster": CLUSTER, "tasks": listed["taskArns"]});
    let described = world.apply("DescribeTasks", &request)?;
    Ok(list(&described["tasks"]).map(task_view).collect())
}

pub(crate) fn task_view(task: &Value) -> TaskView {
    TaskView {
        arn: text(&task["taskArn"]),
        started_by: text(&task["startedBy"]),
        last_status: text(&task["lastStatus"]),
        task_definition: text(&task["taskDefinitionArn"]),
        stop_code: optional(&task["stopCode"]),
        stopped_reason: optional(&task["stoppedReason"]),
        started_at: task.get("startedAt").map(millis),
        stopped_at: task.get("stoppedAt").map(millis),
        containers: list(&task["containers"])
            .map(|container| ContainerView {
                image: optional(&container["image"]),
                name: text(&container["name"]),
                image_digest: optional(&container["imageDigest"]),
                exit_code: container["exitCode"]
                    .as_i64()
                    .and_then(|code| i32::try_from(code).ok()),
                health: optional(&container["healthStatus"]),
                reason: optional(&container["reason"]),
            })
            .collect(),
    }
}

/// ListServiceDeployments and DescribeServiceRevisions; the newest first.
pub(crate) fn records(world: &mut World) -> Result<Rc<Vec<ServiceDeploymentView>>> {
    if let Some(records) = &kept(world).records {
        return Ok(records.clone());
    }
    let records = Rc::new(read_records(world)?);
    kept(world).records = Some(records.clone());
    Ok(records)
}

fn read_records(world: &mut World) -> Result<Vec<ServiceDeploymentView>> {
    let request = json!({"cluster": CLUSTER, "service": SERVICE, "maxResults": HISTORY});
    let listed = world.apply("ListServiceDeployments", &request)?;
    let listed: Vec<&Value> = list(&listed["serviceDeployments"]).collect();
    let mut records = Vec::with_capacity(listed.len());
    // DescribeServiceRevisions takes 20 at a time.
    for chunk in listed.chunks(20) {
        let arns: Vec<&Value> = chunk
            .iter()
            .map(|brief| &brief["targetServiceRevisionArn"])
            .collect();
        let request = json!({"serviceRevisionArns": arns});
        let described = world.apply("DescribeServiceRevisions", &request)?;
        for brief in chunk {
            let revision = list(&described["serviceRevisions"])
                .find(|one| one["serviceRevisionArn"] == brief["targetServiceRevisionArn"]);
            records.push(ServiceDeploymentView {
                arn: text(&brief["serviceDeploymentArn"]),
                status: text(&brief["status"]),
                reason: optional(&brief["statusReason"]),
                task_definition: revision
                    .map(|revision| text(&revision["taskDefinition"]))
                    .unwrap_or_default(),
                created_at: millis(&brief["createdAt"]),
                finished_at: brief.get("finishedAt").map(millis),
            });
        }
    }
    Ok(records)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn optional(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn text(value: &Value) -> String {
    optional(value).unwrap_or_default()
}

fn count(value: &Value) -> u32 {
    value
        .as_u64()
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or_default()
}

/// Seconds with a fraction, as the wire has them.
fn millis(value: &Value) -> Millis {
    let seconds = value.as_f64().unwrap_or_default().max(0.0);
    let since = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or_default()
}
