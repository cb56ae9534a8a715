//! What lets a rollout lose requests, or never end.

use diagnostic::Diagnostic;

use super::{Input, warning};
use crate::task_definition::HealthCheck;

/// Programs that an image without a shell does not hold.
const SHELL_PROGRAMS: [&str; 6] = ["sh", "bash", "/bin/sh", "/bin/bash", "curl", "wget"];
/// What ECS takes at the least from the start of a task to the first answer, in seconds; observed on Fargate.
const TASK_START: u64 = 30;
/// Failed tasks after which the circuit breaker opens at the earliest (Amazon ECS documentation, "deployment circuit breaker").
const LEAST_FAILURES: u64 = 3;
/// Seconds between SIGTERM and SIGKILL when the container names none (ECS API reference, `stopTimeout`).
const STOP_TIMEOUT: u64 = 30;

pub(super) fn run(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    health_check(input, found);
    percentages(input, found);
    times(input, found);
    if input.pipeline.deploy.circuit_breaker != Some(true) {
        let message = "no deployment circuit breaker is asked for: without one, a rollout that cannot succeed goes on for ever when nobody watches";
        let problem = input.pipeline_file.error(
            "no-circuit-breaker",
            &["deploy", "circuit-breaker"],
            message,
        );
        found.push(warning(problem).help("set `circuit-breaker = true` under [deploy], or allow the rule when infrastructure code sets it"));
    }
}

fn health_check(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let Some((index, container)) = input.deployed() else {
        return;
    };
    let Some(check) = &container.health_check else {
        let message = "the deployed container has no health check: ECS takes it for healthy as soon as its process runs";
        let problem = input.task_file.error(
            "no-health-check",
            &["containerDefinitions", &index],
            message,
        );
        found.push(warning(problem).help("add `healthCheck` with a command of the program itself, such as [\"CMD\", \"/server\", \"health\"]"));
        return;
    };
    let own_base = input
        .pipeline
        .image
        .as_ref()
        .and_then(|image| image.base.as_deref())
        .is_none_or(|base| base.contains("distroless/static"));
    let words: Vec<&str> = check.command.iter().map(String::as_str).collect();
    let shell = match words.as_slice() {
        ["CMD-SHELL", ..] => true,
        ["CMD", program, ..] => SHELL_PROGRAMS.contains(program),
        _ => false,
    };
    let image = input.pipeline.image.as_ref();
    let probe = matches!(words.as_slice(), ["CMD", "/probe", ..]);
    if probe && image.and_then(|image| image.probe) != Some(true) {
        let message = "the health check runs `/probe`, and the image does not hold it";
        let problem = input.task_file.error(
            "no-probe",
            &["containerDefinitions", &index, "healthCheck", "command"],
            message,
        );
        found.push(warning(problem).help("set `probe = true` under [image]"));
    }
    if own_base && shell {
        let message = "the image has no shell, curl or wget: this health check always fails";
        let problem = input.task_file.error(
            "shell-health-check",
            &["containerDefinitions", &index, "healthCheck", "command"],
            message,
        );
        found.push(
            warning(problem)
                .help("let the program check itself, [\"CMD\", \"/server\", \"health\"]; or set `probe = true` under [image] and write [\"CMD\", \"/probe\", \"http://127.0.0.1:8080/health\"]"),
        );
    }
}

fn percentages(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let deploy = &input.pipeline.deploy;
    let least = deploy.minimum_healthy_percent.unwrap_or(100);
    let most = deploy.maximum_percent.unwrap_or(200);
    if least < 50 {
        let message = format!("a rollout may take the service down to {least} % of its tasks");
        let problem = input.pipeline_file.error(
            "few-healthy-tasks",
            &["deploy", "minimum-healthy-percent"],
            message,
        );
        found.push(warning(problem).help("100 keeps all of them; 50 halves the service"));
    }
    let counts = input
        .pipeline
        .environments
        .values()
        .filter_map(|environment| environment.embedded.as_ref());
    for desired in counts.map(|embedded| u64::from(embedded.desired_count.unwrap_or(2))) {
        let keep = (desired * u64::from(least)).div_ceil(100);
        let room = desired * u64::from(most) / 100;
        if desired > 0 && keep >= desired && room <= desired {
            let message = format!(
                "with {desired} tasks, none may stop ({least} % healthy) and none may start ({most} % at most): no rollout can begin"
            );
            let problem =
                input
                    .pipeline_file
                    .error("cannot-roll", &["deploy", "maximum-percent"], message);
            found.push(
                warning(problem)
                    .help("leave room for one task more, such as maximum-percent = 200"),
            );
            return;
        }
    }
}

fn times(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let Some((index, container)) = input.deployed() else {
        return;
    };
    let needed = LEAST_FAILURES
        * (TASK_START
            + container
                .health_check
                .as_ref()
                .map_or(0, seconds_to_unhealthy));
    if let Some(timeout) = input.pipeline.deploy.timeout
        && timeout.duration().as_secs() < needed
    {
        let message = format!(
            "ECS needs about {needed} s to find out that the tasks are unhealthy: the timeout comes first"
        );
        let problem = input
            .pipeline_file
            .error("short-timeout", &["deploy", "timeout"], message);
        found.push(warning(problem).help("give it longer, or make the health check quicker"));
    }
    if let Some(grace) = input.pipeline.service.grace {
        let stop = container
            .stop_timeout
            .and_then(|stop| u64::try_from(stop).ok())
            .unwrap_or(STOP_TIMEOUT);
        let grace = grace.duration().as_secs();
        if stop < grace {
            let message =
                format!("the service needs up to {grace} s to end and is killed after {stop} s");
            let problem = input.task_file.error(
                "short-stop-timeout",
                &["containerDefinitions", &index, "stopTimeout"],
                message,
            );
            found.push(
                warning(problem)
                    .help("set `stopTimeout` to more than `grace` (at most 120 on Fargate)"),
            );
        }
    }
}

/// How long ECS looks at a container that never answers before it calls it unhealthy (defaults of the ECS API reference, `HealthCheck`).
fn seconds_to_unhealthy(check: &HealthCheck) -> u64 {
    let or = |value: Option<i32>, default: u64| {
        value
            .and_then(|value| u64::try_from(value).ok())
            .unwrap_or(default)
    };
    or(check.start_period, 0) + or(check.retries, 3) * or(check.interval, 30)
}
