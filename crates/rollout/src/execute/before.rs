//! Tasks that run to their end, with the new image, before the service is changed; and their reverse.

use super::{Answer, Call, Cloud, Event, Execution, LAG};
use crate::cause::{Cause, CauseCode, classify};
use crate::facts::{Millis, TaskView};
use crate::mask::mask;
use crate::plan::{BeforeTask, Marker};
use crate::words;

/// How long a task that was told to stop may take: the longest stop timeout on Fargate is 120 s.
const STOPPING: Millis = 150_000;

/// How a task before the release ended.
enum Run {
    /// With 0.
    Well,
    /// Not well; it has not done its work.
    Failed(Cause),
    /// It was to be stopped, and had done its work by then.
    TooLate(Cause),
    /// It is not known whether it has done its work.
    Unknown(Cause),
}

impl<'a, C: Cloud> Execution<'a, C> {
    /// Runs a task before the release. It ends well or the release does not begin.
    pub(super) async fn run_before(
        &mut self,
        task: &'a BeforeTask,
        task_definition: &str,
    ) -> Result<(), Cause> {
        self.tasks_began = true;
        match self
            .run_task(task, &task.name, &task.command, task_definition)
            .await
        {
            Run::Well => {
                self.ran.push(task);
                Ok(())
            }
            Run::Failed(cause) => Err(cause),
            Run::TooLate(cause) => {
                self.ran.push(task);
                Err(cause)
            }
            Run::Unknown(cause) => {
                self.unknown = Some(task.name.clone());
                Err(cause)
            }
        }
    }

    /// Undoes what has run, the last first, as far as the pipeline file says that a way back needs that.
    pub(super) async fn reverse(&mut self, task_definition: &str) -> Result<(), String> {
        self.deaf = true;
        if let Some(name) = &self.unknown {
            return Err(format!(
                "it is not known whether task `{name}` has done its work; look at it before anything else is done"
            ));
        }
        while let Some(task) = self.ran.pop() {
            match (task.marker, &task.reverse) {
                (Marker::Safe, _) => {}
                (Marker::Reverse, Some(command)) => {
                    let name = format!("{} (reverse)", task.name);
                    let run = self.run_task(task, &name, command, task_definition).await;
                    if let Run::Failed(cause) | Run::Unknown(cause) = run {
                        return Err(cause.message);
                    }
                }
                (Marker::Never | Marker::Reverse, _) => return Err(no_way_back(task)),
            }
        }
        Ok(())
    }

    /// While it runs, and while it is not known whether it does, its own time limit is all that ends the asking.
    async fn run_task(
        &mut self,
        task: &BeforeTask,
        name: &str,
        command: &[String],
        task_definition: &str,
    ) -> Run {
        self.watching_until = self.cloud.now() + task.timeout_seconds * 1000;
        let run = self.watch_task(task, name, command, task_definition).await;
        self.watching_until = 0;
        run
    }

    async fn watch_task(
        &mut self,
        task: &BeforeTask,
        name: &str,
        command: &[String],
        task_definition: &str,
    ) -> Run {
        let failed = |why: &str| Cause {
            container: Some(task.container.clone()),
            ..Cause::new(
                CauseCode::BeforeTask,
                format!("task `{name}` failed: {}", mask(why)),
            )
        };
        let call = Call::RunTask {
            task_definition: task_definition.to_owned(),
            container: task.container.clone(),
            command: command.to_vec(),
            placement: task.placement.clone(),
            token: token(task_definition, name),
        };
        let since = self.cloud.now();
        let mut declined = true;
        let mut view = loop {
            let error = match self.ask(call.clone()).await {
                Ok(Answer::Task(Some(view))) => break view,
                Ok(_) => return Run::Failed(failed("ECS started no task")),
                Err(error) => error,
            };
            declined &= error.declined;
            if declined {
                return Run::Failed(failed(&error.message));
            }
            // It may have been started. The same token starts no second one, so asking again finds out.
            let patient = error.transient && !self.interrupted();
            let until = if patient { self.watching_until } else { 0 };
            if self.cloud.now() >= until.max(since + LAG) {
                return Run::Unknown(failed(&error.message));
            }
            self.pause(2_000).await;
        };
        let (arn, id) = (view.arn.clone(), view.id().to_owned());
        self.say(Event::TaskStarted {
            name: name.to_owned(),
            task: id.clone(),
        });
        let mut log = Output::default();
        let mut seen_at = self.cloud.now();
        let mut look = 0_u64;
        while view.last_status != "STOPPED" {
            let waited = self.cloud.now().saturating_sub(since);
            let cause = if self.interrupted() {
                Some(Cause::new(
                    CauseCode::Interrupted,
                    format!("interrupted while task `{name}` ran; it was stopped"),
                ))
            } else if waited >= task.timeout_seconds * 1000 {
                Some(failed(&format!(
                    "not done after {} s; it was stopped",
                    task.timeout_seconds
                )))
            } else {
                None
            };
            if let Some(cause) = cause {
                return self.stopped(&arn, task, cause).await;
            }
            self.pause((250 * (look + 1)).min(5_000)).await;
            look += 1;
            match self.insist(Call::Task { arn: arn.clone() }).await {
                Ok(Answer::Task(Some(found))) => {
                    view = found;
                    seen_at = self.cloud.now();
                }
                // A read that lags, or one that fails for longer than that.
                Ok(_) if self.cloud.now() < seen_at + LAG => {}
                Ok(_) => return Run::Unknown(failed("ECS does not know it any more")),
                // The loop stops it.
                Err(_) if self.interrupted() => continue,
                Err(error) => return self.stopped(&arn, task, failed(&error.message)).await,
            }
            self.stream(&task.container, &id, &mut log).await;
        }
        // The log arrives a moment after the end.
        self.pause(500).await;
        self.stream(&task.container, &id, &mut log).await;
        let exit = exit_code(&view, &task.container);
        if exit == Some(0) {
            self.say(Event::TaskDone(name.to_owned()));
            return Run::Well;
        }
        let mut cause = failed(&why(&view));
        cause.exit_code = exit;
        self.last_lines(&mut cause, &id).await;
        Run::Failed(cause)
    }

    /// Stops a task, and sees whether it had done its work by then.
    async fn stopped(&mut self, arn: &str, task: &BeforeTask, mut cause: Cause) -> Run {
        let view = self.stop(arn, &cause.message).await;
        let id = arn.rsplit('/').next().unwrap_or_default();
        let interrupted = cause.code == CauseCode::Interrupted;
        if !interrupted {
            self.last_lines(&mut cause, id).await;
        }
        match view {
            Some(view) if exit_code(&view, &task.container) == Some(0) => Run::TooLate(cause),
            Some(_) => Run::Failed(cause),
            None => Run::Unknown(cause),
        }
    }

    async fn last_lines(&mut self, cause: &mut Cause, id: &str) {
        let container = cause.container.clone().unwrap_or_default();
        cause.log_tail = self.log_tail(&container, id).await;
        cause.task = Some(id.to_owned());
    }

    /// Stops a task and waits until it has stopped: nothing of it must go on while something else begins. None when that could not be seen.
    async fn stop(&mut self, arn: &str, reason: &str) -> Option<TaskView> {
        let call = Call::StopTask {
            arn: arn.to_owned(),
            // ECS takes 1,024 characters.
            reason: format!("longshore: {reason}").chars().take(200).collect(),
        };
        self.deaf = true;
        if let Err(error) = self.ask(call).await {
            self.say(Event::Note(format!(
                "task {} could not be stopped: {}; stop it with `aws ecs stop-task --cluster {} --task {arn}`",
                arn.rsplit('/').next().unwrap_or_default(),
                error.message,
                self.plan.cluster
            )));
        }
        let since = self.cloud.now();
        while self.cloud.now() < since + STOPPING {
            match self
                .ask(Call::Task {
                    arn: arn.to_owned(),
                })
                .await
            {
                Ok(Answer::Task(Some(view))) if view.last_status == "STOPPED" => return Some(view),
                Ok(_) => {}
                Err(_) => return None,
            }
            self.pause(1_000).await;
        }
        None
    }

    /// Shows what the task has written since the last time.
    async fn stream(&mut self, container: &str, task: &str, output: &mut Output) {
        let Some(log) = self.log_stream(container, task) else {
            return;
        };
        // Without the permission to read, the exit code still decides.
        while output.readable {
            let call = Call::LogPage {
                region: log.region.clone(),
                group: log.group.clone(),
                stream: log.stream.clone(),
                token: output.token.clone(),
            };
            let answer = self.cloud.call(call).await;
            self.count(1);
            let (lines, token) = match answer {
                Ok(Answer::LogPage(lines, token)) => (lines, token),
                Ok(_) => return,
                Err(error) => {
                    output.readable = error.transient;
                    return;
                }
            };
            for line in &lines {
                self.say(Event::TaskOutput(mask(line)));
            }
            let at_end = lines.is_empty() || token == output.token;
            output.token = token.or(output.token.take());
            if at_end {
                return;
            }
        }
    }
}

/// How far a task's output has been shown.
struct Output {
    token: Option<String>,
    readable: bool,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            token: None,
            readable: true,
        }
    }
}

/// Why a task keeps the service where it is.
pub(super) fn no_way_back(task: &BeforeTask) -> String {
    format!(
        "task `{}` has run, and pipeline.toml says that the revision before does not work after it (`rollback = \"never\"`)",
        task.name
    )
}

fn exit_code(task: &TaskView, container: &str) -> Option<i32> {
    let mut containers = task.containers.iter();
    containers.find(|one| one.name == container)?.exit_code
}

fn why(task: &TaskView) -> String {
    classify(task).map_or_else(
        || {
            let reason = task.stopped_reason.clone();
            reason.unwrap_or_else(|| "it ended without an exit code".to_owned())
        },
        |cause| cause.message,
    )
}

/// A revision is registered by one run, so that it and the task's name are a token that no other run has.
fn token(task_definition: &str, name: &str) -> String {
    let token = format!("{}/{name}", words::revision(task_definition));
    let start = token.len().saturating_sub(64);
    token
        .char_indices()
        .filter(|(at, c)| *at >= start && c.is_ascii_graphic())
        .map(|(_, c)| c)
        .collect()
}
