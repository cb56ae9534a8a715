//! The look before the first change: what a deployment relies on, asked for by name. Read-only, all findings at once.
//!
//! It never reads a secret's value: whether a secret exists is asked with calls that cannot answer with one. What the caller has no permission to ask is a note, never a failure.

mod questions;

use std::collections::BTreeSet;

pub use questions::{Named, questions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::facts::{Facts, ServiceView};
use crate::plan::{Marker, OnFailure, Plan, Step};
use crate::words::revision;

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Finding {
    /// Whether it stands in the way.
    pub severity: FindingSeverity,
    /// Stable name of the kind of finding: `no-such-secret`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// How much a finding matters.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum FindingSeverity {
    /// The deployment would fail or could not be taken back: it is refused.
    Error,
    /// Worth knowing.
    Note,
}

/// What one question was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<T> {
    /// It is there.
    Found(T),
    /// It is not there.
    Missing,
    /// It could not be asked: no permission, or no answer.
    Unknown(String),
}

/// What a deployment relies on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// SSM parameters.
    pub parameters: BTreeSet<Named>,
    /// Secrets Manager secrets by ARN, without what follows the name.
    pub secrets: BTreeSet<Named>,
    /// Log groups that must be there.
    pub log_groups: BTreeSet<Named>,
    /// ARNs of roles that tasks take on.
    pub roles: BTreeSet<String>,
    /// ARNs of target groups.
    pub target_groups: BTreeSet<String>,
    /// ARN of the revision to return to.
    pub way_back: Option<String>,
    /// Names of CloudWatch alarms.
    pub alarms: Vec<String>,
}

/// The answers, question by question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// The cluster's status.
    pub cluster: Option<Seen<String>>,
    /// Parameters by the name that was asked for, with the place where that is another one.
    pub parameters: Vec<(String, Seen<()>)>,
    /// Secrets by the name that was asked for, with the place where that is another one; found ones with whether they are scheduled for deletion.
    pub secrets: Vec<(String, Seen<bool>)>,
    /// Log groups.
    pub log_groups: Vec<(String, Seen<()>)>,
    /// Roles, with the policy that says who may take them on.
    pub roles: Vec<(String, Seen<String>)>,
    /// Target groups.
    pub target_groups: Vec<(String, Seen<TargetGroup>)>,
    /// Status of the revision to return to.
    pub way_back: Option<Seen<String>>,
    /// Names of the alarms that there are.
    pub alarms: Option<Seen<BTreeSet<String>>>,
    /// Operating systems and architectures that the image was built for: `linux/arm64`. Empty when that is not known.
    pub image_platforms: Vec<String>,
}

/// A target group, as far as it must agree with the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetGroup {
    /// `ip`, `instance`, …
    pub target_type: String,
    /// Port of the health check: a number, or `traffic-port`.
    pub health_port: String,
}

/// All that is wrong, the errors first.
pub fn findings(document: &Value, facts: &Facts, plan: &Plan, answers: &Answers) -> Vec<Finding> {
    let mut found = Vec::new();
    existence(answers, &mut found);
    alarms(plan, answers, &mut found);
    architecture(document, facts.service.as_ref(), answers, &mut found);
    if let Some(service) = &facts.service {
        agreement(document, service, answers, &mut found);
        guards(service, plan, &mut found);
        room(service, plan, &mut found);
    }
    way_back(plan, answers, &mut found);
    volumes(document, plan, &mut found);
    if let Some(why) = &facts.unread {
        found.push(unknown("ECS's record of the service's rollouts", why));
    }
    found.sort_by_key(|finding| finding.severity);
    found
}

fn existence(answers: &Answers, found: &mut Vec<Finding>) {
    match &answers.cluster {
        Some(Seen::Found(status)) if status != "ACTIVE" => found.push(error(
            "cluster-not-active",
            format!("the cluster is {status}, not ACTIVE"),
            "see who deletes it, and name another one in pipeline.toml",
        )),
        Some(Seen::Missing) => found.push(error(
            "no-such-cluster",
            "the cluster is not there",
            "see the name, the region and the account in pipeline.toml",
        )),
        Some(Seen::Unknown(why)) => found.push(unknown("the cluster", why)),
        _ => {}
    }
    for (name, seen) in &answers.parameters {
        match seen {
            Seen::Missing => found.push(error(
                "no-such-secret",
                format!("there is no SSM parameter `{name}`"),
                "create it, or correct `secrets`; tasks cannot start without it",
            )),
            Seen::Unknown(why) => found.push(unknown(&format!("SSM parameter `{name}`"), why)),
            Seen::Found(()) => {}
        }
    }
    for (name, seen) in &answers.secrets {
        match seen {
            Seen::Missing => found.push(error(
                "no-such-secret",
                format!("there is no secret `{name}`"),
                "create it, or correct `secrets`; tasks cannot start without it",
            )),
            Seen::Found(true) => found.push(error(
                "secret-deleted",
                format!("secret `{name}` is scheduled for deletion and cannot be read"),
                "restore it, or name another one",
            )),
            Seen::Unknown(why) => found.push(unknown(&format!("secret `{name}`"), why)),
            Seen::Found(false) => {}
        }
    }
    for (name, seen) in &answers.log_groups {
        match seen {
            Seen::Missing => found.push(error(
                "no-such-log-group",
                format!("there is no log group `{name}`"),
                "create it, or set the log option `awslogs-create-group` to \"true\" and allow the execution role logs:CreateLogGroup",
            )),
            Seen::Unknown(why) => found.push(unknown(&format!("log group `{name}`"), why)),
            Seen::Found(()) => {}
        }
    }
    for (arn, seen) in &answers.roles {
        match seen {
            Seen::Missing => found.push(error(
                "no-such-role",
                format!("there is no role `{arn}`"),
                "create it, or correct the task definition",
            )),
            Seen::Found(trust) if !trust.contains("ecs-tasks") => found.push(error(
                "role-not-for-tasks",
                format!("role `{arn}` may not be taken on by ECS tasks"),
                "allow sts:AssumeRole to the principal ecs-tasks.amazonaws.com in its trust policy",
            )),
            Seen::Unknown(why) => found.push(unknown(&format!("role `{arn}`"), why)),
            Seen::Found(_) => {}
        }
    }
}

/// Whether the alarms that are to be watched are there.
fn alarms(plan: &Plan, answers: &Answers, found: &mut Vec<Finding>) {
    match &answers.alarms {
        Some(Seen::Unknown(why)) => found.push(unknown("the alarms", why)),
        Some(Seen::Found(known)) => {
            for name in plan.alarms.iter().filter(|name| !known.contains(*name)) {
                found.push(error(
                    "no-such-alarm",
                    format!("there is no CloudWatch alarm `{name}`"),
                    "correct `alarms` in pipeline.toml: an alarm that is not there never fires",
                ));
            }
        }
        Some(Seen::Missing) | None => {}
    }
}

/// Whether the image can run on the machines that the task definition asks for.
///
/// Without `runtimePlatform` Fargate takes X86_64; elsewhere the task runs on whatever machine there is (ECS API, `RuntimePlatform`; Amazon ECS documentation, "ARM workloads").
fn architecture(
    document: &Value,
    service: Option<&ServiceView>,
    answers: &Answers,
    found: &mut Vec<Finding>,
) {
    let named = document["runtimePlatform"]["cpuArchitecture"].as_str();
    let default = on_fargate(document, service).then_some("X86_64");
    let Some(wanted) = named.or(default) else {
        return;
    };
    let fits = |platform: &String| platform.ends_with("/arm64") == (wanted == "ARM64");
    let platforms = &answers.image_platforms;
    if !platforms.is_empty() && !platforms.iter().any(fits) {
        found.push(error(
            "architecture",
            format!(
                "the image is built for {}, and the task definition asks for {wanted} (`runtimePlatform.cpuArchitecture`)",
                platforms.join(", ")
            ),
            "change `build.platform` in pipeline.toml, or the task definition",
        ));
    }
}

/// Whether the tasks run on Fargate: the service says so, or, where there is none yet, the task definition.
fn on_fargate(document: &Value, service: Option<&ServiceView>) -> bool {
    let placement = service.map(|service| &service.placement);
    let providers = placement.map_or(&[][..], |placement| &placement.capacity_providers);
    let launch = placement.and_then(|placement| placement.launch_type.as_deref());
    match (launch, providers.first()) {
        (Some(launch), _) => launch == "FARGATE",
        (None, Some(provider)) => provider.name.starts_with("FARGATE"),
        (None, None) => {
            let fits = document["requiresCompatibilities"].as_array();
            fits.is_some_and(|fits| fits.iter().all(|one| one == "FARGATE") && !fits.is_empty())
        }
    }
}

/// Whether the service, its target groups and the task definition fit together.
fn agreement(document: &Value, service: &ServiceView, answers: &Answers, found: &mut Vec<Finding>) {
    if service.status != "ACTIVE" {
        found.push(error(
            "service-not-active",
            format!("the service is {}, not ACTIVE", service.status),
            "wait until it is gone, and create it anew with your infrastructure code",
        ));
    }
    for balancer in &service.balancers {
        let ports = ports_of(document, &balancer.container);
        match ports {
            None => found.push(error(
                "no-such-container",
                format!(
                    "the service's load balancer sends requests to container `{}`, which the task definition does not have",
                    balancer.container
                ),
                "keep the container's name, or change the service with your infrastructure code first",
            )),
            Some(ports) if !ports.contains(&u64::from(balancer.port)) => found.push(error(
                "port-mismatch",
                format!(
                    "the service's load balancer sends requests to port {} of container `{}`, whose ports are {ports:?}",
                    balancer.port, balancer.container
                ),
                "map that port in the task definition, or change the service with your infrastructure code first",
            )),
            Some(_) => {}
        }
    }
    let awsvpc = document["networkMode"] == "awsvpc";
    for (arn, seen) in &answers.target_groups {
        let name = arn.rsplit('/').nth(1).unwrap_or(arn);
        match seen {
            Seen::Missing => found.push(error(
                "no-such-target-group",
                format!("target group `{name}` of the service is not there"),
                "see your infrastructure code",
            )),
            Seen::Unknown(why) => found.push(unknown(&format!("target group `{name}`"), why)),
            Seen::Found(group) => {
                if awsvpc && group.target_type == "instance" {
                    found.push(error(
                        "target-type",
                        format!("target group `{name}` takes instances, and tasks under awsvpc are registered by address"),
                        "make a target group of the target type `ip`",
                    ));
                }
                let port = group.health_port.parse::<u64>().ok();
                // A task has one address: the health may be another container's to tell.
                let known = all_ports(document);
                if let Some(port) = port
                    && awsvpc
                    && !known.contains(&port)
                {
                    found.push(error(
                        "health-port",
                        format!(
                            "target group `{name}` checks the health at port {port}; the task's containers have {known:?}"
                        ),
                        "set the health check's port to `traffic-port`, or map that port",
                    ));
                }
            }
        }
    }
}

/// Container ports of one container; none when there is no such container.
fn ports_of(document: &Value, container: &str) -> Option<Vec<u64>> {
    let containers = document["containerDefinitions"].as_array()?;
    let container = containers.iter().find(|one| one["name"] == container)?;
    let mappings = container["portMappings"].as_array().into_iter().flatten();
    Some(
        mappings
            .filter_map(|mapping| mapping["containerPort"].as_u64())
            .collect(),
    )
}

/// The ports of all containers.
fn all_ports(document: &Value) -> Vec<u64> {
    let containers = document["containerDefinitions"].as_array();
    let names = containers
        .into_iter()
        .flatten()
        .filter_map(|one| one["name"].as_str());
    let ports = names.filter_map(|name| ports_of(document, name));
    ports.flatten().collect()
}

/// Whether the percentages leave room for a rolling update: one task more than are wanted, or one less (Amazon ECS documentation, "Deployment configuration").
fn room(service: &ServiceView, plan: &Plan, found: &mut Vec<Finding>) {
    let starts = plan.steps.iter().find_map(|step| match step {
        Step::UpdateService { settings, .. } => Some(settings),
        _ => None,
    });
    let Some(settings) = starts.filter(|_| service.rules.rolling()) else {
        return;
    };
    let rules = &service.rules;
    let minimum = settings
        .minimum_healthy_percent
        .or(rules.minimum_healthy_percent);
    let maximum = settings.maximum_percent.or(rules.maximum_percent);
    let (minimum, maximum) = (
        u64::from(minimum.unwrap_or(100)),
        u64::from(maximum.unwrap_or(200)),
    );
    let desired = u64::from(service.desired_count);
    let (fewest, most) = ((desired * minimum).div_ceil(100), desired * maximum / 100);
    if desired > 0 && fewest >= desired && most <= desired {
        found.push(error(
            "no-room-to-deploy",
            format!(
                "of {desired} tasks none may stop (minimum-healthy-percent {minimum}) and none may be added (maximum-percent {maximum}): a rolling update can never begin"
            ),
            "set `maximum-percent = 200` under [deploy], or `minimum-healthy-percent` lower",
        ));
    }
}

/// Whether what is meant to protect the service can do so.
fn guards(service: &ServiceView, plan: &Plan, found: &mut Vec<Finding>) {
    let rules = &service.rules;
    let settings = plan.steps.iter().find_map(|step| match step {
        Step::UpdateService { settings, .. } => Some(settings),
        _ => None,
    });
    let breaker = settings
        .and_then(|settings| settings.circuit_breaker)
        .or(rules.circuit_breaker);
    let enabled = breaker.is_some_and(|breaker| breaker.enable);
    let by_itself = rules.alarms_roll_back || breaker.is_some_and(|b| b.enable && b.rollback);
    let never = plan.steps.iter().find_map(|step| match step {
        Step::RunTask { task } if task.marker == Marker::Never => Some(task),
        _ => None,
    });
    if let Some(task) = never
        && by_itself
    {
        found.push(error(
            "rolls-back-by-itself",
            format!(
                "ECS takes a failed deployment of this service back by itself, and task `{}` says that the revision before does not work after it",
                task.name
            ),
            "set `circuit-breaker = false` under [deploy], or turn the rollback of the breaker and of the alarms off with your infrastructure code",
        ));
    }
    if !enabled && !plan.steps.is_empty() {
        found.push(note(
            "no-circuit-breaker",
            "the service's circuit breaker is off: if this run dies in the middle of a bad release, nobody takes that back until the next run",
            "set `circuit-breaker = true` under [deploy]",
        ));
    }
    // The breaker counts max(3, half of the tasks) failures, each of which takes about a minute to start and to fail, more where a health check must time out first.
    let failures = u64::from(service.desired_count.div_ceil(2)).clamp(3, 200);
    let decides_after = failures.min(12) * 60;
    if enabled && plan.timeout_seconds < decides_after {
        found.push(note(
            "timeout-before-breaker",
            format!(
                "the deployment may take {} s, and ECS's circuit breaker needs {failures} failed tasks to decide, about {decides_after} s: longshore will decide first",
                plan.timeout_seconds
            ),
            "raise `deploy.timeout` where ECS shall decide",
        ));
    }
    let bake = u64::from(rules.bake_minutes) * 60;
    if !rules.rolling() && plan.timeout_seconds <= bake {
        found.push(error(
            "timeout-within-bake",
            format!(
                "the service's own {} deployments watch the new version for {bake} s, and `deploy.timeout` is {} s",
                rules.strategy.as_deref().unwrap_or_default(),
                plan.timeout_seconds
            ),
            "raise `deploy.timeout` above the service's bake time",
        ));
    }
}

/// Whether there is something to go back to.
fn way_back(plan: &Plan, answers: &Answers, found: &mut Vec<Finding>) {
    let Some(back) = plan.way_back.as_deref().map(revision) else {
        return;
    };
    if plan.on_failure == OnFailure::Stay || plan.steps.is_empty() {
        return;
    }
    match &answers.way_back {
        Some(Seen::Found(status)) if status != "ACTIVE" => found.push(error(
            "no-way-back",
            format!("{back}, which serves now, is {status}: the service could not be brought back to it"),
            "somebody deregistered it: register its content again and point the service at that (`aws ecs register-task-definition`, `aws ecs update-service`)",
        )),
        Some(Seen::Missing) => found.push(error(
            "no-way-back",
            format!("{back}, which serves now, does not exist any more: the service could not be brought back to it"),
            "register its content again and point the service at that (`aws ecs register-task-definition`, `aws ecs update-service`)",
        )),
        Some(Seen::Unknown(why)) => found.push(unknown(back, why)),
        _ => {}
    }
}

/// Whether a task can run before the release at all: a volume that is configured at launch is configured in the service, and not for it.
fn volumes(document: &Value, plan: &Plan, found: &mut Vec<Finding>) {
    let before = plan.steps.iter().find_map(|step| match step {
        Step::RunTask { task } => Some(task),
        _ => None,
    });
    let mut volumes = document["volumes"].as_array().into_iter().flatten();
    let at_launch = volumes.find(|volume| volume["configuredAtLaunch"] == true);
    if let Some((task, volume)) = before.zip(at_launch) {
        found.push(error(
            "volume-at-launch",
            format!(
                "task `{}` cannot run before the release: volume `{}` is configured at launch, and longshore does not configure it",
                task.name,
                volume["name"].as_str().unwrap_or_default()
            ),
            "run it from the service's own program, or leave the volume out of this task definition",
        ));
    }
}

fn error(code: &str, message: impl Into<String>, help: &str) -> Finding {
    Finding {
        severity: FindingSeverity::Error,
        code: code.to_owned(),
        message: message.into(),
        help: Some(help.to_owned()),
    }
}

fn note(code: &str, message: impl Into<String>, help: &str) -> Finding {
    Finding {
        severity: FindingSeverity::Note,
        ..error(code, message, help)
    }
}

fn unknown(what: &str, why: &str) -> Finding {
    Finding {
        severity: FindingSeverity::Note,
        code: "not-checked".to_owned(),
        message: format!("{what} was not looked at: {why}"),
        help: None,
    }
}
