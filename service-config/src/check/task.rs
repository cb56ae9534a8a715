//! What ECS refuses when a task definition is registered, or only when a task starts: found before anything is built.

use std::collections::BTreeMap;

use diagnostic::Diagnostic;

use super::arn;
use crate::File;
use crate::decode::closest;
use crate::hints;
use crate::normalize::{bad_size, is_size};
use crate::task_definition::{Compatibility, ContainerDefinition, NetworkMode, TaskDefinition};
use crate::tree::Value;

/// Memory in MiB that Fargate allows for a CPU size: from, to, step (Amazon ECS documentation, "Task CPU and memory").
const FARGATE: [(u32, u32, u32, u32); 7] = [
    (256, 512, 2048, 512),
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];

/// Findings about the task definition by itself.
pub(crate) fn check(task: &TaskDefinition, file: &File, problems: &mut Vec<Diagnostic>) {
    let containers = &task.container_definitions;
    // A list that could not be read is empty here and not in the file.
    let read = match file
        .root
        .get("containerDefinitions")
        .map(|node| &node.value)
    {
        Some(Value::List(items)) => items.len() == containers.len(),
        _ => false,
    };
    let essential = |container: &ContainerDefinition| container.essential.unwrap_or(true);
    if read && !containers.iter().any(essential) {
        problems.push(
            file.error(
                "no-essential-container",
                &["containerDefinitions"],
                "no container is essential; ECS refuses such a task definition",
            )
            .help("leave `essential` out of the container that matters, or set it to true"),
        );
    }
    names(containers, file, problems);
    for (index, container) in containers.iter().enumerate() {
        let index = index.to_string();
        references(task, container, &index, file, problems);
        ports(task, container, &index, file, problems);
        health_check(container, &index, file, problems);
    }
    cycle(containers, file, problems);
    for (member, size) in [("cpu", &task.cpu), ("memory", &task.memory)] {
        if let Some(size) = size.as_deref().filter(|size| !is_size(size)) {
            let (message, help) = bad_size(member, size);
            problems.push(file.error("bad-size", &[member], message).help(help));
        }
    }
    fargate(task, file, problems);
    roles(task, file, problems);
}

/// ECS takes any ARN when a task definition is registered, and then no task starts.
fn roles(task: &TaskDefinition, file: &File, problems: &mut Vec<Diagnostic>) {
    for (member, role) in [
        ("taskRoleArn", &task.task_role_arn),
        ("executionRoleArn", &task.execution_role_arn),
    ] {
        if let Some(problem) = role.as_deref().and_then(arn::role_problem) {
            problems.push(
                file.error("not-a-role", &[member], problem)
                    .help("write the ARN of the role: arn:aws:iam::${account}:role/NAME"),
            );
        }
    }
}

fn names(containers: &[ContainerDefinition], file: &File, problems: &mut Vec<Diagnostic>) {
    for (index, container) in containers.iter().enumerate() {
        let place = index.to_string();
        match &container.name {
            None => problems.push(file.error(
                "incomplete-container",
                &["containerDefinitions", &place],
                "the container has no `name`",
            )),
            Some(name)
                if containers[..index]
                    .iter()
                    .any(|other| other.name.as_ref() == Some(name)) =>
            {
                let message = format!("two containers are named `{name}`");
                problems.push(file.error(
                    "repeated-container",
                    &["containerDefinitions", &place, "name"],
                    message,
                ));
            }
            Some(_) => {}
        }
        let environment = container
            .environment
            .iter()
            .flatten()
            .map(|pair| pair.name.as_deref());
        let secrets = container
            .secrets
            .iter()
            .flatten()
            .map(|secret| Some(secret.name.as_str()));
        let environment = environment
            .enumerate()
            .map(|(entry, name)| ("environment", entry, name));
        let secrets = secrets
            .enumerate()
            .map(|(entry, name)| ("secrets", entry, name));
        let mut seen = Vec::new();
        for (list, entry, name) in environment.chain(secrets) {
            let Some(name) = name else { continue };
            if seen.contains(&name) {
                let entry = entry.to_string();
                let message = format!("the variable `{name}` is set twice in one container");
                problems.push(file.error(
                    "repeated-variable",
                    &["containerDefinitions", &place, list, &entry, "name"],
                    message,
                ));
            }
            seen.push(name);
        }
    }
}

/// Names of other containers and of volumes.
fn references(
    task: &TaskDefinition,
    container: &ContainerDefinition,
    index: &str,
    file: &File,
    problems: &mut Vec<Diagnostic>,
) {
    let containers = || {
        task.container_definitions
            .iter()
            .filter_map(|container| container.name.as_deref())
    };
    let volumes = || {
        task.volumes
            .iter()
            .flatten()
            .filter_map(|volume| volume.name.as_deref())
    };
    let mut unknown = |code, path: [&str; 3], name: &str, kind, known: Vec<&str>| {
        if known.contains(&name) {
            return;
        }
        let [list, entry, member] = path;
        let mut problem = file.error(
            code,
            &["containerDefinitions", index, list, entry, member],
            format!("there is no {kind} `{name}`"),
        );
        problem.help = closest(name, known.iter().copied())
            .map(|name| format!("did you mean `{name}`?"))
            .or_else(|| (!known.is_empty()).then(|| format!("there are: {}", known.join(", "))));
        problems.push(problem);
    };
    for (entry, dependency) in container.depends_on.iter().flatten().enumerate() {
        let entry = entry.to_string();
        unknown(
            "unknown-container",
            ["dependsOn", &entry, "containerName"],
            &dependency.container_name,
            "container",
            containers().collect(),
        );
    }
    for (entry, from) in container.volumes_from.iter().flatten().enumerate() {
        let entry = entry.to_string();
        let Some(name) = &from.source_container else {
            continue;
        };
        unknown(
            "unknown-container",
            ["volumesFrom", &entry, "sourceContainer"],
            name,
            "container",
            containers().collect(),
        );
    }
    for (entry, mount) in container.mount_points.iter().flatten().enumerate() {
        let entry = entry.to_string();
        let Some(name) = &mount.source_volume else {
            continue;
        };
        unknown(
            "unknown-volume",
            ["mountPoints", &entry, "sourceVolume"],
            name,
            "volume",
            volumes().collect(),
        );
    }
}

fn ports(
    task: &TaskDefinition,
    container: &ContainerDefinition,
    index: &str,
    file: &File,
    problems: &mut Vec<Diagnostic>,
) {
    for (entry, port) in container.port_mappings.iter().flatten().enumerate() {
        let entry = entry.to_string();
        let place = |member| {
            [
                "containerDefinitions",
                index,
                "portMappings",
                entry.as_str(),
                member,
            ]
        };
        let differs = port
            .host_port
            .is_some_and(|host| host != 0 && Some(host) != port.container_port);
        if task.network_mode == Some(NetworkMode::Awsvpc) && differs {
            let message = "under awsvpc the host port must be the container port, or be left out";
            problems.push(file.error("awsvpc-host-port", &place("hostPort"), message));
        }
    }
}

/// What the ECS API reference says of `HealthCheck`, ranges aside.
fn health_check(
    container: &ContainerDefinition,
    index: &str,
    file: &File,
    problems: &mut Vec<Diagnostic>,
) {
    let Some(check) = &container.health_check else {
        return;
    };
    let place = |member| ["containerDefinitions", index, "healthCheck", member];
    let first = check.command.first().map(String::as_str);
    if first.is_some() && !matches!(first, Some("CMD" | "CMD-SHELL" | "NONE")) {
        problems.push(
            file.error(
                "health-check-command",
                &place("command"),
                "a health check command begins with CMD, CMD-SHELL or NONE",
            )
            .help(match first {
                Some(first) if check.command.len() == 1 => hints::health_check_command(first),
                _ => "[\"CMD\", program, argument, …] runs a program without a shell".to_owned(),
            }),
        );
    }
    let (timeout, interval) = (check.timeout.unwrap_or(5), check.interval.unwrap_or(30));
    if timeout > interval {
        let message =
            format!("a check may take {timeout} s and the next begins after {interval} s");
        problems.push(
            file.error("health-check-overlap", &place("timeout"), message)
                .help("make `timeout` shorter than `interval`"),
        );
    }
}

/// A container that waits for itself, by whatever way round.
fn cycle(containers: &[ContainerDefinition], file: &File, problems: &mut Vec<Diagnostic>) {
    let edges: BTreeMap<&str, Vec<&str>> = containers
        .iter()
        .filter_map(|container| {
            let on = container
                .depends_on
                .iter()
                .flatten()
                .map(|dependency| dependency.container_name.as_str());
            Some((container.name.as_deref()?, on.collect()))
        })
        .collect();
    for (index, container) in containers.iter().enumerate() {
        let Some(name) = container.name.as_deref() else {
            continue;
        };
        let mut reached = Vec::new();
        let mut next: Vec<&str> = edges.get(name).cloned().unwrap_or_default();
        while let Some(other) = next.pop() {
            if !reached.contains(&other) {
                reached.push(other);
                next.extend(edges.get(other).into_iter().flatten());
            }
        }
        if reached.contains(&name) {
            let index = index.to_string();
            let message = format!(
                "container `{name}` waits for itself (by way of {})",
                reached.join(", ")
            );
            problems.push(file.error(
                "dependency-cycle",
                &["containerDefinitions", &index, "dependsOn"],
                message,
            ));
            // The others on the way round would say the same.
            return;
        }
    }
}

fn fargate(task: &TaskDefinition, file: &File, problems: &mut Vec<Diagnostic>) {
    let fargate = task
        .requires_compatibilities
        .iter()
        .flatten()
        .any(|kind| *kind == Compatibility::Fargate);
    if !fargate {
        return;
    }
    if task
        .network_mode
        .is_some_and(|mode| mode != NetworkMode::Awsvpc)
    {
        problems.push(file.error(
            "fargate-network",
            &["networkMode"],
            "Fargate knows the network mode awsvpc only",
        ));
    }
    for (index, container) in task.container_definitions.iter().enumerate() {
        let index = index.to_string();
        for (member, value) in [
            ("startTimeout", container.start_timeout),
            ("stopTimeout", container.stop_timeout),
        ] {
            if let Some(value) = value.filter(|value| *value > 120) {
                let message = format!("{value} is more than the 120 seconds that Fargate waits");
                let place = ["containerDefinitions", index.as_str(), member];
                problems.push(file.error("fargate-timeout", &place, message));
            }
        }
    }
    if let Some(problem) = size(task.cpu.as_deref(), task.memory.as_deref()) {
        let member = if task.cpu.is_none() { "cpu" } else { "memory" };
        problems.push(file.error("fargate-size", &[member], problem));
    }
}

/// What is wrong with a size on Fargate; none when nothing is, or when it cannot be told yet.
pub(super) fn size(cpu: Option<&str>, memory: Option<&str>) -> Option<String> {
    let (Some(cpu), Some(memory)) = (cpu, memory) else {
        return Some("on Fargate, `cpu` and `memory` of the task are required".to_owned());
    };
    let digits = |size: &str| size.bytes().all(|byte| byte.is_ascii_digit());
    if !is_size(cpu) || !is_size(memory) || !digits(cpu) || !digits(memory) {
        // Filled in later, or told already.
        return None;
    }
    let known = FARGATE
        .iter()
        .map(|(cpu, ..)| cpu.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let row = cpu
        .parse()
        .ok()
        .and_then(|cpu: u32| FARGATE.iter().find(|row| row.0 == cpu));
    let Some(&(_, from, to, step)) = row else {
        return Some(format!(
            "Fargate has no tasks with {cpu} CPU units; it has {known}"
        ));
    };
    let fits = memory
        .parse::<u32>()
        .is_ok_and(|memory| (from..=to).contains(&memory) && memory.is_multiple_of(step));
    // 256 CPU units know 512, 1024 and 2048 only.
    let fits = fits && !(cpu == "256" && memory == "1536");
    (!fits).then(|| {
        let what = if cpu == "256" {
            "512, 1024 or 2048".to_owned()
        } else {
            format!("{from} to {to} in steps of {step}")
        };
        format!("on Fargate, {cpu} CPU units go with {what} MiB of memory, not with {memory}")
    })
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn fargate_knows_some_sizes_only() {
        for (cpu, memory, good) in [
            ("256", "512", true),
            ("256", "1024", true),
            ("256", "1536", false),
            ("256", "2048", true),
            ("256", "4096", false),
            ("512", "512", false),
            ("512", "3072", true),
            ("4096", "30720", true),
            ("8192", "20480", true),
            ("8192", "17408", false),
            ("16384", "122880", true),
            ("300", "512", false),
            ("${CPU}", "512", true),
        ] {
            assert_eq!(
                size(Some(cpu), Some(memory)).is_none(),
                good,
                "{cpu} {memory}"
            );
        }
        assert!(size(None, Some("512")).is_some());
    }
}
