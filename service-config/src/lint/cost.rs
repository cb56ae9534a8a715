//! Mistakes that only show when a task cannot start: minutes into a rollout.

use diagnostic::Diagnostic;

use super::{Input, warning};
use crate::pipeline::Platform;
use crate::task_definition::{Compatibility, CpuArchitecture, LogDriver};

pub(super) fn run(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    architecture(input, found);
    memory(input, found);
    execution_role(input, found);
}

fn architecture(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let platforms = input.pipeline.build.platforms();
    let runtime = input
        .task_definition
        .runtime_platform
        .as_ref()
        .and_then(|runtime| runtime.cpu_architecture);
    let wanted = match runtime.unwrap_or(CpuArchitecture::X8664) {
        CpuArchitecture::X8664 => Platform::LinuxAmd64,
        CpuArchitecture::Arm64 => Platform::LinuxArm64,
    };
    if !platforms.contains(&wanted) {
        let task = if wanted == Platform::LinuxAmd64 {
            "X86_64"
        } else {
            "ARM64"
        };
        let built: Vec<&str> = platforms.iter().map(|platform| platform.name()).collect();
        let message = format!(
            "the image is built for {}, the task runs on {task}: no container would start",
            built.join(" and ")
        );
        let problem = input.task_file.error(
            "architecture-mismatch",
            &["runtimePlatform", "cpuArchitecture"],
            message,
        );
        found.push(
            warning(problem)
                .help("make `platform` under [build] and `runtimePlatform.cpuArchitecture` agree"),
        );
    }
}

fn memory(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let Some(task) = input
        .task_definition
        .memory
        .as_deref()
        .and_then(|memory| memory.parse::<i64>().ok())
    else {
        return;
    };
    let mut sum = 0;
    for (index, container) in input.containers() {
        let own = i64::from(
            container
                .memory
                .or(container.memory_reservation)
                .unwrap_or(0),
        );
        sum += own;
        if sum > task && own > 0 {
            let name = container.name.as_deref().unwrap_or("?");
            let member = if container.memory.is_some() {
                "memory"
            } else {
                "memoryReservation"
            };
            let message = format!(
                "with container `{name}` the containers ask for {sum} MiB of the task's {task}"
            );
            let problem = input.task_file.error(
                "memory-over-task",
                &["containerDefinitions", &index, member],
                message,
            );
            found.push(warning(problem).help("raise the task's `memory` or lower the containers'"));
            return;
        }
    }
}

fn execution_role(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    if input.task_definition.execution_role_arn.is_some() {
        return;
    }
    let fargate = input
        .task_definition
        .requires_compatibilities
        .iter()
        .flatten()
        .any(|kind| *kind == Compatibility::Fargate);
    let secrets = input.containers().any(|(_, container)| {
        let logs = container.log_configuration.as_ref();
        container.secrets.is_some() || logs.is_some_and(|logs| logs.secret_options.is_some())
    }) || input
        .pipeline
        .environments
        .values()
        .any(|environment| environment.secrets.is_some());
    let logs = input.containers().any(|(_, container)| {
        container
            .log_configuration
            .as_ref()
            .is_some_and(|log| log.log_driver == LogDriver::Awslogs)
    });
    let why = if secrets {
        "secrets are read"
    } else if fargate && logs {
        "logs are written"
    } else if fargate {
        "the image is pulled from ECR"
    } else {
        return;
    };
    let message = format!("there is no `executionRoleArn`, and with it {why}");
    let problem = input
        .task_file
        .error("no-execution-role", &["executionRoleArn"], message);
    found.push(
        warning(problem).help(
            "name the role that has AmazonECSTaskExecutionRolePolicy and may read the secrets",
        ),
    );
}
