//! What to do next: for each way to fail, the few steps that a person would take, with the commands.

use crate::cause::{Cause, CauseCode};
use crate::receipt::{NextStep, Outcome, Receipt};
use crate::words::revision;

/// The steps, the first thing first. None when there is nothing to do.
pub fn steps(receipt: &Receipt) -> Vec<NextStep> {
    let mut steps = Vec::new();
    match receipt.outcome {
        Outcome::Succeeded | Outcome::Unchanged => return steps,
        Outcome::Failed if receipt.needs_a_person() => by_hand(receipt, &mut steps),
        Outcome::Failed | Outcome::RolledBack | Outcome::Refused => {}
    }
    if let Some(cause) = &receipt.cause {
        if let Some(what) = hint(cause) {
            steps.push(words(what));
        }
        if let Some(task) = cause.task.as_ref().filter(|_| wrote(cause)) {
            steps.push(command(
                "read all that the task wrote",
                format!("cargo xtask logs {}--task {task}", target(receipt)),
            ));
        }
    }
    match receipt.outcome {
        Outcome::RolledBack => steps.push(command(
            match receipt.cause.as_ref().map(|cause| cause.code) {
                Some(CauseCode::Interrupted) => {
                    "nothing is urgent: the service is as it was; to deploy again"
                }
                _ => "nothing is urgent: the service is as it was; once the cause is fixed",
            },
            format!("cargo xtask deploy {}", target(receipt))
                .trim_end()
                .to_owned(),
        )),
        Outcome::Refused => steps.push(command(
            "nothing was changed; see what runs",
            format!("cargo xtask status {}", target(receipt))
                .trim_end()
                .to_owned(),
        )),
        _ => {}
    }
    steps
}

/// The service is not as anybody wants it.
fn by_hand(receipt: &Receipt, steps: &mut Vec<NextStep>) {
    steps.push(command(
        "see what the service runs now",
        format!("cargo xtask status {}", target(receipt))
            .trim_end()
            .to_owned(),
    ));
    let not_ours = receipt.cause.as_ref().is_some_and(|cause| {
        matches!(
            cause.code,
            CauseCode::Superseded | CauseCode::ServiceDeleted
        )
    });
    if not_ours {
        steps.push(words(
            "ask who else deploys this service; longshore left it as it found it",
        ));
        return;
    }
    match (
        &receipt.previous_task_definition,
        &receipt.live_task_definition,
    ) {
        (Some(back), live) if live.as_ref() != Some(back) => {
            steps.push(command(
                &format!("if {} is to serve again", revision(back)),
                format!(
                    "cargo xtask rollback {}--to {}",
                    target(receipt),
                    revision(back)
                ),
            ));
            if let (Some(cluster), Some(service)) = (&receipt.cluster, &receipt.ecs_service) {
                steps.push(command(
                    "the same without longshore",
                    format!(
                        "aws ecs update-service --cluster {cluster} --service {service} --task-definition {}",
                        revision(back)
                    ),
                ));
            }
        }
        (Some(_), Some(live)) if receipt.task_definition.as_ref() == Some(live) => {
            steps.push(command(
                &format!(
                    "{} was live before this run: if it is not to stay",
                    revision(live)
                ),
                format!("cargo xtask rollback {}", target(receipt))
                    .trim_end()
                    .to_owned(),
            ));
        }
        (None, _) => steps.push(command(
            "there is no earlier revision: fix the cause and deploy over it",
            format!("cargo xtask deploy {}--supersede", target(receipt)),
        )),
        _ => {}
    }
}

/// What usually helps. ECS's own words stand in the cause already.
fn hint(cause: &Cause) -> Option<&'static str> {
    Some(match cause.code {
        CauseCode::ImagePull => {
            "see that the image is in the registry, that the execution role may pull it (ecr:BatchGetImage, ecr:GetDownloadUrlForLayer, ecr:GetAuthorizationToken), and that the subnets reach the registry"
        }
        CauseCode::Secret => {
            "see that every secret, parameter and log group of the task definition exists, and that the execution role may read or write it"
        }
        CauseCode::CannotStart => {
            "see that `entryPoint` and `command` name a program of the image, built for the task's architecture"
        }
        CauseCode::OutOfMemory => {
            "give the task more memory (`memory` in pipeline.toml or the task definition), or let GOMEMLIMIT hold the program back"
        }
        CauseCode::Exit if cause.log_tail.is_empty() => {
            "the program ended by itself, and CloudWatch Logs has no line of it: see that it logs to standard output or standard error"
        }
        CauseCode::Exit
            if cause
                .log_tail
                .iter()
                .any(|line| line.starts_with("panic: ")) =>
        {
            "the program panicked: the line of its stack that names your own code says where"
        }
        CauseCode::Exit => "the program ended by itself: its last lines say why",
        CauseCode::CircuitBreaker if cause.message.contains("circuit breaker") => {
            "no failed task is on record any more: see ECS's service events below, and the log group"
        }
        CauseCode::HealthCheck => {
            "see that the health check's command is in the image and passes within `startPeriod` and `retries`"
        }
        CauseCode::TargetHealth => {
            "see that the program listens on 0.0.0.0 at the port of the target group, that the health check's path answers 200, and that the security group lets the load balancer in"
        }
        CauseCode::Capacity => {
            "there was no room for the tasks: add capacity, or ask for less CPU and memory; the version itself may be good"
        }
        CauseCode::Alarm => "look at the alarm's metric from the change on",
        CauseCode::Check => {
            "ask the address yourself, and see what the program logged at that time"
        }
        CauseCode::BeforeTask => {
            "the service was not touched; what the task did until it failed stays"
        }
        CauseCode::Timeout => {
            "see what the tasks wait for; `deploy.timeout` in pipeline.toml is how long a deployment may take"
        }
        CauseCode::WrongImage => {
            "a task runs another image than the one that was pushed: see who else changes the task definition or the tag"
        }
        CauseCode::CircuitBreaker
        | CauseCode::Stopped
        | CauseCode::SpotInterruption
        | CauseCode::Superseded
        | CauseCode::ServiceDeleted
        | CauseCode::Interrupted
        | CauseCode::Stage
        | CauseCode::Refused
        | CauseCode::Aws => return None,
    })
}

/// Whether the task came so far that its program can have written something.
fn wrote(cause: &Cause) -> bool {
    let never_ran = matches!(
        cause.code,
        CauseCode::ImagePull | CauseCode::Secret | CauseCode::CannotStart | CauseCode::Capacity
    );
    !never_ran || !cause.log_tail.is_empty()
}

/// `--service api --env production `, so that the command can be copied.
fn target(receipt: &Receipt) -> String {
    format!(
        "--service {} --env {} ",
        receipt.service, receipt.environment
    )
}

fn words(what: &str) -> NextStep {
    NextStep {
        what: what.to_owned(),
        command: None,
    }
}

fn command(what: &str, command: String) -> NextStep {
    NextStep {
        what: what.to_owned(),
        command: Some(command),
    }
}
