//! What ECS makes of a task definition at registration: the defaults it fills in, the documents it refuses, and what it derives.

use serde_json::{Map, Value, json};

use super::Result;
use super::cluster::check_name;
use super::request::client;

/// Memory in MiB that Fargate has for `cpu` units: least, most, step (*Amazon ECS task definition parameters for Fargate*, task size).
const FARGATE: [(u64, u64, u64, u64); 7] = [
    (256, 512, 2_048, 512),
    (512, 1_024, 4_096, 1_024),
    (1_024, 2_048, 8_192, 1_024),
    (2_048, 4_096, 16_384, 1_024),
    (4_096, 8_192, 30_720, 1_024),
    (8_192, 16_384, 61_440, 4_096),
    (16_384, 32_768, 122_880, 8_192),
];

/// Seconds that `startTimeout` and `stopTimeout` may have on Fargate (`ContainerDefinition` in the API reference).
const TIMEOUTS: std::ops::RangeInclusive<u64> = 2..=120;

/// Adds what ECS adds to a document when it is registered.
pub(super) fn fill_in(document: &mut Map<String, Value>) -> Result<()> {
    let awsvpc = document
        .get("networkMode")
        .is_some_and(|mode| mode == "awsvpc");
    for list in ["volumes", "placementConstraints"] {
        document.entry(list).or_insert_with(|| json!([]));
    }
    document
        .entry("enableFaultInjection")
        .or_insert_with(|| false.into());
    for efs in document["volumes"]
        .as_array_mut()
        .into_iter()
        .flatten()
        .filter_map(|volume| volume.get_mut("efsVolumeConfiguration")?.as_object_mut())
    {
        efs.entry("rootDirectory").or_insert_with(|| "/".into());
    }
    for (size, unit) in [("cpu", "vcpu"), ("memory", "gb")] {
        if let Some(Value::String(text)) = document.get_mut(size)
            && let Some(number) = whole(text, unit)
        {
            *text = number.to_string();
        }
    }
    let Some(Value::Array(containers)) = document.get_mut("containerDefinitions") else {
        return Err(client("Container list cannot be empty."));
    };
    for container in containers.iter_mut().filter_map(Value::as_object_mut) {
        container.entry("cpu").or_insert_with(|| 0.into());
        container.entry("essential").or_insert_with(|| true.into());
        for list in [
            "portMappings",
            "environment",
            "mountPoints",
            "volumesFrom",
            "systemControls",
        ] {
            container.entry(list).or_insert_with(|| json!([]));
        }
        if let Some(Value::Object(health)) = container.get_mut("healthCheck") {
            for (member, default) in [("interval", 30), ("timeout", 5), ("retries", 3)] {
                health.entry(member).or_insert_with(|| default.into());
            }
        }
        let mappings = container
            .get_mut("portMappings")
            .and_then(Value::as_array_mut);
        for mapping in mappings
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            mapping.entry("protocol").or_insert_with(|| "tcp".into());
            if let Some(port) = mapping.get("containerPort").cloned() {
                let host = if awsvpc { port } else { 0.into() };
                mapping.entry("hostPort").or_insert(host);
            }
        }
    }
    Ok(())
}

/// `256`, `.25 vCPU`, `1024` or `1 GB` as a number of units or MiB.
fn whole(text: &str, unit: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let Some(number) = text.strip_suffix(unit) else {
        return text.parse().ok();
    };
    let (whole, part) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let digits = u32::try_from(part.len())
        .ok()
        .filter(|digits| *digits < 6)?;
    let part: u64 = if part.is_empty() {
        0
    } else {
        part.parse().ok()?
    };
    Some(whole.checked_mul(1_024)? + part * 1_024 / 10_u64.pow(digits))
}

fn number(document: &Map<String, Value>, member: &str) -> Option<u64> {
    document.get(member)?.as_str()?.parse().ok()
}

pub(super) fn fits_fargate(document: &Map<String, Value>) -> bool {
    let (Some(cpu), Some(memory)) = (number(document, "cpu"), number(document, "memory")) else {
        return false;
    };
    FARGATE.iter().any(|(units, least, most, step)| {
        // 256 units go with 0.5, 1 and 2 GB, not with 1.5.
        cpu == *units
            && (*least..=*most).contains(&memory)
            && (memory - least) % step == 0
            && (cpu, memory) != (256, 1_536)
    })
}

/// What ECS refuses at registration and a document can be judged for alone.
pub(super) fn check(document: &Map<String, Value>) -> Result<()> {
    let containers: Vec<&Map<String, Value>> = document
        .get("containerDefinitions")
        .and_then(Value::as_array)
        .map(|all| all.iter().filter_map(Value::as_object).collect())
        .unwrap_or_default();
    if containers.is_empty() {
        return Err(client("Container list cannot be empty."));
    }
    let fargate = document
        .get("requiresCompatibilities")
        .and_then(Value::as_array)
        .is_some_and(|all| all.iter().any(|one| one == "FARGATE"));
    for size in ["cpu", "memory"] {
        if document.contains_key(size) && number(document, size).is_none() {
            return Err(client(format!("Invalid '{size}' setting for task.")));
        }
    }
    if fargate {
        if document
            .get("networkMode")
            .is_none_or(|mode| mode != "awsvpc")
        {
            return Err(client("Fargate only supports network mode 'awsvpc'."));
        }
        for size in ["cpu", "memory"] {
            if !document.contains_key(size) {
                return Err(client(format!(
                    "Fargate requires that '{size}' be defined at the task level."
                )));
            }
        }
        if !fits_fargate(document) {
            return Err(client("No Fargate configuration exists for given values."));
        }
    }
    let memory = number(document, "memory");
    let mut names_seen = Vec::new();
    for container in &containers {
        let text = |member| {
            container
                .get(member)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        for member in ["name", "image"] {
            if text(member).is_empty() {
                return Err(client(format!(
                    "Container.{member} should not be null or empty."
                )));
            }
        }
        let name = text("name");
        check_name(name, "Container name").map_err(|error| client(error.message))?;
        if names_seen.contains(&name) {
            return Err(client(format!(
                "Container.name should be unique: '{name}'."
            )));
        }
        names_seen.push(name);
        check_container(container, name, memory, document)?;
    }
    if !containers
        .iter()
        .any(|container| container["essential"] == true)
    {
        return Err(client(
            "Task definition must have at least one essential container.",
        ));
    }
    Ok(())
}

fn check_container(
    container: &Map<String, Value>,
    name: &str,
    task_memory: Option<u64>,
    document: &Map<String, Value>,
) -> Result<()> {
    let hard = container.get("memory").and_then(Value::as_u64);
    let soft = container.get("memoryReservation").and_then(Value::as_u64);
    if task_memory.is_none() && hard.is_none() && soft.is_none() {
        return Err(client(format!(
            "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
        )));
    }
    if let (Some(hard), Some(soft)) = (hard, soft)
        && soft > hard
    {
        return Err(client(format!(
            "Invalid setting for container '{name}'. 'memory' must be greater than 'memoryReservation'."
        )));
    }
    if let (Some(hard), Some(all)) = (hard, task_memory)
        && hard > all
    {
        return Err(client(format!(
            "Invalid setting for container '{name}'. 'memory' ({hard}) is greater than the task's memory ({all})."
        )));
    }
    let awsvpc = document
        .get("networkMode")
        .is_some_and(|mode| mode == "awsvpc");
    let mappings = container["portMappings"].as_array();
    for mapping in mappings.into_iter().flatten() {
        if awsvpc && mapping["hostPort"] != mapping["containerPort"] {
            return Err(client(
                "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
            ));
        }
    }
    let volumes = document["volumes"].as_array();
    for mount in container["mountPoints"].as_array().into_iter().flatten() {
        let known = volumes
            .into_iter()
            .flatten()
            .any(|volume| volume["name"] == mount["sourceVolume"]);
        if !known {
            return Err(client(format!(
                "Unknown volume {} in mount point of container '{name}'.",
                mount["sourceVolume"]
            )));
        }
    }
    let awslogs = container
        .get("logConfiguration")
        .is_some_and(|log| log["logDriver"] == "awslogs");
    let fargate = document
        .get("requiresCompatibilities")
        .and_then(Value::as_array)
        .is_some_and(|all| all.iter().any(|one| one == "FARGATE"));
    if awslogs && fargate && !document.contains_key("executionRoleArn") {
        return Err(client(
            "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
        ));
    }
    for timeout in ["startTimeout", "stopTimeout"] {
        let seconds = container.get(timeout).and_then(Value::as_u64);
        if fargate && seconds.is_some_and(|seconds| !TIMEOUTS.contains(&seconds)) {
            return Err(client(format!(
                "Invalid setting for container '{name}'. '{timeout}' must be between {} and {} seconds on Fargate.",
                TIMEOUTS.start(),
                TIMEOUTS.end()
            )));
        }
    }
    let needs_role = container
        .get("secrets")
        .is_some_and(|secrets| secrets != &json!([]));
    if needs_role && !document.contains_key("executionRoleArn") {
        return Err(client(
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
        ));
    }
    Ok(())
}

pub(super) fn compatibilities(document: &Value) -> Value {
    let awsvpc = document["networkMode"] == "awsvpc";
    let fargate = awsvpc && document.as_object().is_some_and(fits_fargate);
    let mut all = vec!["EC2"];
    if fargate {
        all.push("FARGATE");
    }
    if !awsvpc {
        all.push("EXTERNAL");
    }
    all.push("MANAGED_INSTANCES");
    all.into()
}

/// The capabilities that a container instance needs for the task: those that common members ask for.
pub(super) fn requires(document: &Value) -> Value {
    let containers = document["containerDefinitions"].as_array();
    let any = |test: &dyn Fn(&Value) -> bool| containers.into_iter().flatten().any(test);
    let table = [
        ("com.amazonaws.ecs.capability.docker-remote-api.1.18", true),
        (
            "ecs.capability.task-eni",
            document["networkMode"] == "awsvpc",
        ),
        (
            "com.amazonaws.ecs.capability.task-iam-role",
            document["taskRoleArn"].is_string(),
        ),
        (
            "com.amazonaws.ecs.capability.logging-driver.awslogs",
            any(&|one| one["logConfiguration"]["logDriver"] == "awslogs"),
        ),
        (
            "ecs.capability.execution-role-awslogs",
            document["executionRoleArn"].is_string()
                && any(&|one| one["logConfiguration"]["logDriver"] == "awslogs"),
        ),
        (
            "ecs.capability.execution-role-ecr-pull",
            document["executionRoleArn"].is_string()
                && any(&|one| {
                    one["image"]
                        .as_str()
                        .is_some_and(|image| image.contains(".dkr.ecr."))
                }),
        ),
        (
            "ecs.capability.container-health-check",
            any(&|one| one["healthCheck"].is_object()),
        ),
        (
            "ecs.capability.container-ordering",
            any(&|one| one["dependsOn"].is_array()),
        ),
    ];
    table
        .iter()
        .filter(|(_, needed)| *needed)
        .map(|(name, _)| json!({"name": name}))
        .collect()
}
