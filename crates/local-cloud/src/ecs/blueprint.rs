//! What a task definition means for running a task: read once at registration, so that starting a task reads no documents.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Result;
use super::ordering::{Condition, Restart, Wait, read_restart, read_waits};
use super::request::{Request, client, invalid};
use super::task_definition::TaskDefinition;
use crate::task::{ContainerSpec, LogTarget, Millis, TaskSpec};

/// The containers of a task definition, in an order in which `dependsOn` holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Blueprint {
    pub(super) containers: Vec<Plan>,
}

/// One container to be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    /// What the runner gets; the log stream still lacks the task's id.
    pub(super) spec: ContainerSpec,
    pub(super) essential: bool,
    /// Whether a tag goes on meaning the image that it meant first (`versionConsistency`).
    pub(super) pinned: bool,
    pub(super) check: Option<Check>,
    #[serde(default)]
    pub(super) waits: Vec<Wait>,
    #[serde(default)]
    pub(super) restart: Option<Restart>,
    /// `startTimeout` in milliseconds.
    #[serde(default)]
    pub(super) start_timeout_ms: Option<Millis>,
}

/// A container's health check, times in seconds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    pub(super) command: Vec<String>,
    pub(super) interval: u64,
    pub(super) timeout: u64,
    pub(super) retries: u64,
    pub(super) start_period: u64,
}

/// What `RunTask` changes in one container.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Override {
    pub(super) container: String,
    pub(super) command: Option<Vec<String>>,
    pub(super) environment: Vec<(String, String)>,
    /// Hard memory limit in MiB.
    #[serde(default)]
    pub(super) memory: Option<u64>,
}

impl Blueprint {
    /// Reads the container definitions of a document that has ECS's defaults filled in.
    pub(super) fn read(definition: Request<'_>) -> Result<Self> {
        let memory = definition
            .text("memory")?
            .and_then(|text| text.parse().ok());
        let mut plans = Vec::new();
        for container in definition.structures("containerDefinitions")? {
            plans.push(plan(container, memory)?);
        }
        let mut containers = ordered(plans)?;
        for index in 0..containers.len() {
            let held = containers[index].waits.iter().any(|wait| {
                wait.condition != Condition::Start
                    || containers
                        .iter()
                        .any(|other| other.spec.name == wait.container && other.spec.held)
            });
            containers[index].spec.held = held;
        }
        Ok(Self { containers })
    }

    /// The task for the runner. `image` gives the image that stands in for a container's own.
    pub(super) fn spec(
        &self,
        id: &str,
        cluster: &str,
        family: &str,
        overrides: &[Override],
        image: impl Fn(&ContainerSpec) -> Option<String>,
    ) -> TaskSpec {
        let containers = self.containers.iter().map(|plan| {
            let mut spec = plan.spec.clone();
            if let Some(image) = image(&spec) {
                spec.image = image;
            }
            if let Some(log) = &mut spec.log {
                log.stream.push('/');
                log.stream.push_str(id);
            }
            for change in overrides
                .iter()
                .filter(|change| change.container == spec.name)
            {
                spec.memory_mib = change.memory.or(spec.memory_mib);
                if let Some(command) = &change.command {
                    spec.command = Some(command.clone());
                }
                for (name, value) in &change.environment {
                    spec.environment.retain(|(known, _)| known != name);
                    spec.environment.push((name.clone(), value.clone()));
                }
            }
            spec
        });
        TaskSpec {
            id: id.to_owned(),
            cluster: cluster.to_owned(),
            family: family.to_owned(),
            containers: containers.collect(),
        }
    }
}

fn plan(container: Request<'_>, task_memory: Option<u64>) -> Result<Plan> {
    let owned = |text: &str| text.to_owned();
    let strings = |name| -> Result<Option<Vec<String>>> {
        let texts = container.texts(name)?;
        Ok((!texts.is_empty()).then(|| texts.into_iter().map(owned).collect()))
    };
    let pairs = |list, first, second| -> Result<Vec<(String, String)>> {
        let mut pairs = Vec::new();
        for pair in container.structures(list)? {
            let value = pair.text(second)?.unwrap_or_default();
            pairs.push((pair.required(first)?.to_owned(), value.to_owned()));
        }
        Ok(pairs)
    };
    let mut ports = Vec::new();
    for mapping in container.structures("portMappings")? {
        if let Some(port) = mapping.count("containerPort", 0, 65_535)? {
            ports.extend(u16::try_from(port));
        }
    }
    let check = container.structure("healthCheck")?.map(check).transpose()?;
    let name = container.required("name")?;
    let restart = read_restart(container)?;
    let start_timeout = container.count("startTimeout", 0, 86_400)?;
    let spec = ContainerSpec {
        name: name.to_owned(),
        image: container.required("image")?.to_owned(),
        entry_point: strings("entryPoint")?,
        command: strings("command")?,
        working_directory: container.text("workingDirectory")?.map(owned),
        user: container.text("user")?.map(owned),
        environment: pairs("environment", "name", "value")?,
        secrets: pairs("secrets", "name", "valueFrom")?,
        ports,
        readonly_root: container.flag("readonlyRootFilesystem")?.unwrap_or(false),
        memory_mib: container.count("memory", 4, u64::MAX)?.or(task_memory),
        stop_timeout_ms: container.count("stopTimeout", 0, 86_400)?.unwrap_or(30) * 1_000,
        log: log(container, name)?,
        held: false,
        restarts: restart.is_some(),
    };
    Ok(Plan {
        spec,
        essential: container.flag("essential")?.unwrap_or(true),
        pinned: container.text("versionConsistency")? != Some("disabled"),
        check: check.flatten(),
        waits: read_waits(container)?,
        restart,
        // As long as it says, whatever the pace: it bounds what real programs do.
        start_timeout_ms: start_timeout
            .filter(|seconds| *seconds > 0)
            .map(|seconds| seconds * 1_000),
    })
}

/// The check, none for `["NONE"]`. The defaults are those of the `HealthCheck` type in the API reference.
fn check(given: Request<'_>) -> Result<Option<Check>> {
    let command: Vec<String> = given
        .texts("command")?
        .into_iter()
        .map(str::to_owned)
        .collect();
    match command.first().map(String::as_str) {
        Some("NONE") => return Ok(None),
        Some("CMD" | "CMD-SHELL") if command.len() > 1 => {}
        _ => {
            return Err(client(
                "Invalid health check: the command must begin with CMD or CMD-SHELL and name a command.",
            ));
        }
    }
    Ok(Some(Check {
        command,
        interval: given.count("interval", 5, 300)?.unwrap_or(30),
        timeout: given.count("timeout", 2, 120)?.unwrap_or(5),
        retries: given.count("retries", 1, 10)?.unwrap_or(3),
        start_period: given.count("startPeriod", 0, 300)?.unwrap_or(0),
    }))
}

fn log(container: Request<'_>, name: &str) -> Result<Option<LogTarget>> {
    let Some(configuration) = container.structure("logConfiguration")? else {
        return Ok(None);
    };
    if configuration.text("logDriver")? != Some("awslogs") {
        return Ok(None);
    }
    let options = configuration.structure("options")?;
    let option = |name| options.map_or(Ok(None), |options| options.text(name));
    let Some(group) = option("awslogs-group")? else {
        return Err(client(format!(
            "Log driver awslogs requires options: awslogs-group (container '{name}')."
        )));
    };
    let stream = match option("awslogs-stream-prefix")? {
        Some(prefix) => format!("{prefix}/{name}"),
        None => name.to_owned(),
    };
    Ok(Some(LogTarget {
        group: group.to_owned(),
        stream,
        create_group: option("awslogs-create-group")? == Some("true"),
    }))
}

/// Puts containers after those they wait for, else in the order of the document.
fn ordered(mut waiting: Vec<Plan>) -> Result<Vec<Plan>> {
    for plan in &waiting {
        for wait in &plan.waits {
            check_wait(&plan.spec.name, wait, &waiting)?;
        }
    }
    let mut ordered: Vec<Plan> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|plan| {
            plan.waits
                .iter()
                .all(|wait| ordered.iter().any(|one| one.spec.name == wait.container))
        });
        let Some(ready) = ready else {
            return Err(client(format!(
                "Containers depend on each other in a cycle: '{}' is part of it.",
                waiting[0].spec.name
            )));
        };
        ordered.push(waiting.remove(ready));
    }
    Ok(ordered)
}

/// What the `ContainerDependency` type in the API reference says of its conditions.
fn check_wait(name: &str, wait: &Wait, plans: &[Plan]) -> Result<()> {
    let on = &wait.container;
    let Some(other) = plans.iter().find(|other| other.spec.name == *on) else {
        return Err(client(format!(
            "Container '{name}' depends on container '{on}', which is not in the task definition."
        )));
    };
    match wait.condition {
        Condition::Complete | Condition::Success if other.essential => Err(client(format!(
            "Container '{name}' waits for the end of container '{on}', which is essential: COMPLETE and SUCCESS are for containers that are not."
        ))),
        Condition::Healthy if other.check.is_none() => Err(client(format!(
            "Container '{name}' waits for container '{on}' to be healthy, which has no health check."
        ))),
        _ => Ok(()),
    }
}

/// The overrides of a `RunTask` request; an error when one names a container that is not there.
pub(super) fn overrides(
    given: Option<&Value>,
    definition: &TaskDefinition,
) -> Result<Vec<Override>> {
    let Some(given) = given else {
        return Ok(Vec::new());
    };
    let given = Request::of(given)?;
    let mut overrides = Vec::new();
    // The task's memory is the limit of containers that have none of their own.
    if let Some(memory) = given.text("memory")? {
        let memory = memory
            .parse()
            .map_err(|_| invalid("Invalid 'memory' setting for task."))?;
        let document = Request::of(&definition.document)?;
        for container in document.structures("containerDefinitions")? {
            if container.value("memory").is_none() {
                overrides.push(Override {
                    container: container.required("name")?.to_owned(),
                    memory: Some(memory),
                    ..Override::default()
                });
            }
        }
    }
    for change in given.structures("containerOverrides")? {
        let name = change.required("name")?;
        let mut known = definition.blueprint.containers.iter();
        if !known.any(|plan| plan.spec.name == name) {
            return Err(invalid(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
        let mut environment = Vec::new();
        for pair in change.structures("environment")? {
            let value = pair.text("value")?.unwrap_or_default();
            environment.push((pair.required("name")?.to_owned(), value.to_owned()));
        }
        let command = change
            .value("command")
            .is_some()
            .then(|| change.texts("command"));
        overrides.push(Override {
            container: name.to_owned(),
            command: command
                .transpose()?
                .map(|words| words.into_iter().map(str::to_owned).collect()),
            environment,
            memory: change.count("memory", 4, u64::MAX)?,
        });
    }
    Ok(overrides)
}
