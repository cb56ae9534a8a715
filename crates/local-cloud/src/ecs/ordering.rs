//! The order in which a task's containers start (`dependsOn`), and starting one again (`restartPolicy`).
//!
//! A container that waits for more than another's start is held back by the runner until the model lets it go.

use serde::{Deserialize, Serialize};

use super::Ecs;
use super::request::{Request, client};
use super::task_life::By;
use super::task_state::{Container, ContainerState, Health, StopCode};
use crate::task::{Effect, Millis, StartFailure};

/// What a container waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// Name of the other container.
    pub(super) container: String,
    pub(super) condition: Condition,
}

/// `condition` of a `ContainerDependency`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Condition {
    Start,
    Complete,
    Success,
    Healthy,
}

/// A restart policy that is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restart {
    ignored: Vec<i32>,
    /// So many seconds a container must have run.
    period: u64,
}

/// Reads `dependsOn`.
pub(super) fn read_waits(container: Request<'_>) -> super::Result<Vec<Wait>> {
    let conditions = ["START", "COMPLETE", "SUCCESS", "HEALTHY"];
    let mut waits = Vec::new();
    for dependency in container.structures("dependsOn")? {
        let condition = match dependency.choice("condition", &conditions)? {
            Some("COMPLETE") => Condition::Complete,
            Some("SUCCESS") => Condition::Success,
            Some("HEALTHY") => Condition::Healthy,
            _ => Condition::Start,
        };
        waits.push(Wait {
            container: dependency.required("containerName")?.to_owned(),
            condition,
        });
    }
    Ok(waits)
}

/// Reads `restartPolicy`; none when it is off.
pub(super) fn read_restart(container: Request<'_>) -> super::Result<Option<Restart>> {
    let Some(given) = container.structure("restartPolicy")? else {
        return Ok(None);
    };
    let period = given.count("restartAttemptPeriod", 60, 1_800)?;
    let codes = given.list("ignoredExitCodes")?.iter();
    let ignored = codes
        .filter_map(|code| i32::try_from(code.as_i64()?).ok())
        .collect::<Vec<_>>();
    if ignored.len() > 50 {
        return Err(client("ignoredExitCodes cannot exceed 50 elements."));
    }
    let enabled = given.flag("enabled")?.unwrap_or(false);
    Ok(enabled.then(|| Restart {
        ignored,
        period: period.unwrap_or(300),
    }))
}

/// Whether what `wait` asks for has come, or does not come any more and why.
fn outcome(
    wait: &Wait,
    target: &str,
    containers: &[Container],
    now: Millis,
) -> Result<bool, String> {
    let name = &wait.container;
    let Some(other) = containers.iter().find(|one| one.name == *name) else {
        return Ok(true);
    };
    let stopped = other.state == ContainerState::Stopped;
    let met = match wait.condition {
        Condition::Start => Ok(other.state != ContainerState::Pending),
        Condition::Success if stopped && other.exit_code != Some(0) => Err(format!(
            "dependency container '{name}' did not exit successfully"
        )),
        Condition::Complete | Condition::Success => Ok(stopped),
        Condition::Healthy if other.health() == Health::Healthy => Ok(true),
        Condition::Healthy if stopped || other.health() == Health::Unhealthy => Err(format!(
            "dependency container '{name}' did not become healthy"
        )),
        Condition::Healthy => Ok(false),
    }?;
    let due = other.started_at.zip(other.start_timeout_ms);
    let late = due.is_some_and(|(started, timeout)| now >= started + timeout);
    if !met && late && wait.condition != Condition::Start {
        // The words of ECS's agent, which shows more of the containers than their names (`agent/engine/dependencygraph/graph.go`).
        return Err(format!(
            "dependency graph: container ordering dependency [{name}] for target [{target}] has timed out."
        ));
    }
    Ok(met)
}

impl Ecs {
    /// Lets go those containers of the task whose dependencies are met by now. One whose dependencies cannot be met any more ends the task.
    pub(super) fn release(&mut self, id: &str, now: Millis) {
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.stop.is_none()) else {
            return;
        };
        let mut failure = None;
        for index in 0..task.containers.len() {
            let container = &task.containers[index];
            if !container.held || container.state != ContainerState::Pending {
                continue;
            }
            let waits = container.waits.iter();
            let met: Result<Vec<bool>, String> = waits
                .map(|wait| outcome(wait, &container.name, &task.containers, now))
                .collect();
            match met {
                Ok(met) if met.iter().all(|met| *met) => {
                    let container = &mut task.containers[index];
                    container.held = false;
                    self.effects.push(Effect::StartContainer {
                        task: id.to_owned(),
                        container: container.name.clone(),
                    });
                }
                Ok(_) => {}
                Err(why) => {
                    let container = &mut task.containers[index];
                    let kind = StartFailure::CannotStartContainerError.name();
                    let reason = format!("{kind}: {why}");
                    container.reason = Some(reason.clone());
                    failure = Some(reason);
                    break;
                }
            }
        }
        if let Some(reason) = failure {
            self.begin_stop(id, StopCode::TaskFailedToStart, reason, By::Itself, now);
        }
    }

    /// Has a container that exited started again, if its restart policy says so; whether it does.
    pub(super) fn restart(&mut self, id: &str, name: &str, code: i32, now: Millis) -> bool {
        let pace = &self.settings.pace;
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.stop.is_none()) else {
            return false;
        };
        let Some(container) = task.container_mut(name) else {
            return false;
        };
        let (Some(policy), Some(started)) = (&container.restart, container.started_at) else {
            return false;
        };
        if policy.ignored.contains(&code) || now < started + pace.interval(policy.period) {
            return false;
        }
        container.state = ContainerState::Pending;
        if let Some(check) = &mut container.check {
            check.health = Health::Unknown;
            check.failures = 0;
        }
        task.version += 1;
        self.effects.push(Effect::StartContainer {
            task: id.to_owned(),
            container: name.to_owned(),
        });
        self.generation += 1;
        self.refresh_health(id, now);
        true
    }
}
