//! The verdict on a deployment that is on its way: a pure function of what was seen.
//!
//! It is bound to the deployment that UpdateService answered with. A service that merely looks stable proves nothing: ECS may have gone back to the old revision in the
//! meantime, and then everything is steady and nothing was deployed.

use crate::cause::{Cause, CauseCode, classify_for};
use crate::facts::{
    DeploymentView, Millis, RolloutState, ServiceDeploymentView, ServiceView, TaskView,
};
use crate::plan::ExpectedImage;
use crate::threshold::{Scale, enough};

/// The deployment that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its ID.
    pub deployment: String,
    /// ARN of the task definition that it rolls out.
    pub task_definition: String,
    /// What the container must run at the end.
    pub image: Option<ExpectedImage>,
    /// When it was started.
    pub since: Millis,
    /// When it was created, by AWS's clock; 0 when AWS left that out.
    pub created_at: Millis,
    /// When it counts as failed.
    pub deadline: Millis,
    /// Whether a read has shown it yet: reads may lag behind the write.
    pub seen: bool,
}

/// How long a read may lag behind the write before a missing deployment means something.
const LAG: Millis = 60_000;

/// A task that has run for so long is not asked to outlive one that failed.
const LONG_ENOUGH: Millis = 120_000;

/// What was seen in one look. Tasks are only looked at when the service's state calls for it.
#[derive(Clone, Debug, Default)]
pub struct Observation<'a> {
    /// The service, if it is there.
    pub service: Option<&'a ServiceView>,
    /// Stopped tasks of the service.
    pub stopped: &'a [TaskView],
    /// Running tasks of the service, if they were looked at.
    pub running: Option<&'a [TaskView]>,
    /// ECS's record of this deployment, if it was looked at.
    pub record: Option<&'a ServiceDeploymentView>,
    /// Whether no task of the deployment has been seen to fail for minutes, by the clock of whoever looks.
    pub calm: bool,
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not decided yet.
    Going,
    /// All looks done; the running tasks must be seen before it is believed.
    ShowTasks,
    /// The deployment ended well, the service's task definition is this one, its tasks run the image.
    Succeeded,
    /// It failed.
    Failed(Cause),
}

/// Judges one look at the deployment.
pub fn judge(watched: &Watched, seen: &Observation<'_>, now: Millis) -> Verdict {
    let Some(service) = seen.service.filter(|service| service.status == "ACTIVE") else {
        return lagging(watched, now, || {
            Cause::new(
                CauseCode::ServiceDeleted,
                "the service was deleted during the deployment",
            )
        });
    };
    let Some(own) = service
        .deployments
        .iter()
        .find(|d| d.id == watched.deployment)
    else {
        return lagging(watched, now, || gone(watched, service, seen));
    };
    if own.rollout_state == Some(RolloutState::Failed) {
        return Verdict::Failed(ended_by_ecs(watched, own, seen));
    }
    if own.status != "PRIMARY" {
        return Verdict::Failed(gone(watched, service, seen));
    }
    if seen.record.is_some_and(ServiceDeploymentView::rolling_back) {
        return Verdict::Failed(ended_by_ecs(watched, own, seen));
    }
    // Also of a deployment that ECS calls complete: one healthy moment is enough for that, and a crash loop has many.
    let scale = Scale {
        desired: service.desired_count,
        some_run: own.running_count > 0,
    };
    if let Some(cause) = failing(watched, seen.stopped, scale) {
        return Verdict::Failed(cause);
    }
    let verdict = if own.rollout_state == Some(RolloutState::Completed) {
        completed(watched, service, own, seen, now)
    } else {
        Verdict::Going
    };
    // Also of a deployment that ECS calls complete while its tasks are gone and do not come back.
    if verdict == Verdict::Going && now >= watched.deadline {
        return Verdict::Failed(late(watched, own, seen));
    }
    verdict
}

/// Until a read has shown the deployment, its absence may be a read that lags.
fn lagging(watched: &Watched, now: Millis, cause: impl FnOnce() -> Cause) -> Verdict {
    if !watched.seen && now < watched.since + LAG {
        Verdict::Going
    } else {
        Verdict::Failed(cause())
    }
}

/// The deployment is not (or no longer) what ECS works towards.
fn gone(watched: &Watched, service: &ServiceView, seen: &Observation<'_>) -> Cause {
    let primary = service.primary();
    let rolled_back = seen
        .record
        .is_some_and(|record| record.status.starts_with("ROLLBACK"))
        || primary
            .and_then(|p| p.reason.as_deref())
            .is_some_and(|reason| reason.contains("rolling back"));
    if rolled_back {
        // Tasks that found no room count as failed for the breaker, too.
        let evidence = best_evidence(watched, seen).or_else(|| no_room(watched, seen));
        return evidence.unwrap_or_else(|| {
            let words = seen.record.and_then(|record| record.reason.as_deref());
            words
                .or(primary.and_then(|p| p.reason.as_deref()))
                .map_or_else(
                    || {
                        Cause::new(
                            CauseCode::CircuitBreaker,
                            "ECS ended the deployment and went back to the revision before it",
                        )
                    },
                    in_words_of_ecs,
                )
        });
    }
    let other = primary.map_or("nothing", |primary| primary.task_definition.as_str());
    Cause::new(
        CauseCode::Superseded,
        format!("another deployment took this one's place: the service now rolls out {other}"),
    )
}

fn ended_by_ecs(watched: &Watched, own: &DeploymentView, seen: &Observation<'_>) -> Cause {
    best_evidence(watched, seen).unwrap_or_else(|| {
        let words = seen
            .record
            .and_then(|record| record.reason.clone())
            .or_else(|| own.reason.clone());
        let words = words.unwrap_or_else(|| "ECS gave no reason".to_owned());
        // Tasks that found no room count as failed for the breaker, too.
        if let Some(no_room) = no_room(watched, seen) {
            return no_room;
        }
        in_words_of_ecs(&words)
    })
}

/// What ECS says of a deployment that it has ended.
fn in_words_of_ecs(words: &str) -> Cause {
    let code = if words.contains("circuit breaker") || words.contains("tasks failed to start") {
        CauseCode::CircuitBreaker
    } else if words.to_lowercase().contains("alarm") {
        CauseCode::Alarm
    } else {
        CauseCode::Stopped
    };
    Cause::new(code, format!("ECS ended the deployment: {words}"))
}

fn completed(
    watched: &Watched,
    service: &ServiceView,
    own: &DeploymentView,
    seen: &Observation<'_>,
    now: Millis,
) -> Verdict {
    if service.task_definition != watched.task_definition
        || own.task_definition != watched.task_definition
    {
        return Verdict::Failed(Cause::new(
            CauseCode::Superseded,
            format!(
                "the deployment ended, but the service's task definition is {}",
                service.task_definition
            ),
        ));
    }
    let Some(running) = seen.running else {
        return Verdict::ShowTasks;
    };
    let own_tasks: Vec<&TaskView> = running
        .iter()
        .filter(|task| task.started_by == watched.deployment && task.last_status == "RUNNING")
        .collect();
    if own_tasks.len() < service.desired_count as usize {
        // A task may have died just now, or the read lags; ECS replaces it, and the next look tells.
        return Verdict::Going;
    }
    let image = watched.image.as_ref();
    let wrong = image.and_then(|image| own_tasks.iter().find_map(|task| image.mismatch(task)));
    if let Some(cause) = wrong {
        return Verdict::Failed(cause);
    }
    // The times of tasks are by AWS's clock. Where this machine's is behind that, calm is enough.
    if !seen.calm && !outlived(watched, &own_tasks, seen.stopped, now) {
        return Verdict::Going;
    }
    Verdict::Succeeded
}

/// Whether the tasks that run have run for twice as long as any of the deployment's tasks that failed.
///
/// A crash loop has many healthy moments, and one of them is enough for ECS to call a deployment complete.
fn outlived(watched: &Watched, running: &[&TaskView], stopped: &[TaskView], now: Millis) -> bool {
    let failed = failed_tasks(watched, stopped);
    let lived = failed
        .iter()
        .filter(|(_, cause)| !cause.waits())
        .filter_map(|(task, _)| task.stopped_at?.checked_sub(task.started_at?))
        .max();
    let Some(lived) = lived else {
        return true;
    };
    let newest = running.iter().filter_map(|task| task.started_at).max();
    newest.is_none_or(|newest| now.saturating_sub(newest) >= (lived * 2).min(LONG_ENOUGH))
}

/// The failures of this deployment's own tasks, oldest first.
fn failures<'a>(watched: &'a Watched, stopped: &'a [TaskView]) -> Vec<Cause> {
    let own = failed_tasks(watched, stopped);
    own.into_iter().map(|(_, cause)| cause).collect()
}

/// The tasks of a deployment that failed, oldest first, and why.
pub fn failed_tasks<'a>(watched: &Watched, stopped: &'a [TaskView]) -> Vec<(&'a TaskView, Cause)> {
    let container = watched.image.as_ref().map(|image| image.container.as_str());
    let mut own: Vec<(&TaskView, Cause)> = stopped
        .iter()
        .filter(|task| task.started_by == watched.deployment)
        .filter_map(|task| Some((task, classify_for(task, container)?)))
        .collect();
    own.sort_by_key(|(task, _)| task.stopped_at);
    own
}

/// Enough tasks failed in one way to know the end, whatever ECS still counts.
fn failing(watched: &Watched, stopped: &[TaskView], scale: Scale) -> Option<Cause> {
    let failures = failures(watched, stopped);
    let first = failures.iter().find(|cause| {
        let alike = failures.iter().filter(|other| like(cause, other)).count();
        enough(cause, alike, scale)
    })?;
    let alike = failures.iter().filter(|other| like(first, other)).count();
    let mut cause = first.clone();
    cause.message = format!("{} ({alike} tasks so far)", cause.message);
    Some(cause)
}

/// Whether two failures count as one kind: what passes by itself does not add to what does not, nor an end with 0 to a crash.
fn like(one: &Cause, other: &Cause) -> bool {
    let kind = |cause: &Cause| (cause.code, cause.waits(), cause.exit_code == Some(0));
    kind(one) == kind(other)
}

fn best_evidence(watched: &Watched, seen: &Observation<'_>) -> Option<Cause> {
    // What the version is not to blame for is the last thing to name.
    let mut failures = failures(watched, seen.stopped);
    failures.sort_by_key(Cause::waits);
    failures.into_iter().next()
}

/// ECS's own words that a task of the service found no room, since the deployment began. Both times are by AWS's clock, which need not be this machine's.
fn no_room(watched: &Watched, seen: &Observation<'_>) -> Option<Cause> {
    let event = seen.service?.events.iter().find(|event| {
        event.at >= watched.created_at && event.message.contains("unable to place a task")
    })?;
    Some(Cause::new(CauseCode::Capacity, event.message.clone()))
}

fn late(watched: &Watched, own: &DeploymentView, seen: &Observation<'_>) -> Cause {
    let waited = watched.deadline.saturating_sub(watched.since) / 1000;
    if let Some(mut cause) = best_evidence(watched, seen) {
        cause.message = format!("not done after {waited} s; {}", cause.message);
        return cause;
    }
    if let Some(no_room) = no_room(watched, seen) {
        return no_room;
    }
    Cause::new(
        CauseCode::Timeout,
        format!(
            "not done after {waited} s: {} of {} tasks running",
            own.running_count, own.desired_count
        ),
    )
}
