//! What a person needs to see the cause: failed tasks, exit codes, the last lines of the container at fault.

use super::{Answer, Call, Cloud, Execution, LOG_LINES};
use crate::cause::{Cause, CauseCode};
use crate::facts::TaskView;
use crate::mask::mask;
use crate::receipt::{ContainerEnd, FailedTask};
use crate::verdict::{Watched, failed_tasks};

/// Failed tasks that a receipt holds: the first ones, which are the ones that tell.
const MOST_TASKS: usize = 10;

/// Where a container's output is.
pub(super) struct LogStream {
    pub(super) region: Option<String>,
    pub(super) group: String,
    pub(super) stream: String,
}

impl<C: Cloud> Execution<'_, C> {
    /// A better name for the cause where stopped tasks give one, and the last lines of the container at fault.
    pub(super) async fn gather_evidence(&mut self, watched: &Watched, cause: &mut Cause) {
        cause.message = mask(&cause.message);
        let Ok(stopped) = self.tasks(false).await else {
            return;
        };
        self.tell_failed(watched, &stopped);
        let failed = failed_tasks(watched, &stopped);
        let vague = matches!(
            cause.code,
            CauseCode::CircuitBreaker | CauseCode::Stopped | CauseCode::Timeout
        );
        let first = failed
            .iter()
            .find(|(_, found)| !found.waits())
            .or(failed.first());
        if vague && let Some((_, better)) = first {
            let why = std::mem::replace(cause, better.clone()).message;
            cause.message = mask(&format!("{} ({why})", better.message));
        }
        let task = failed
            .iter()
            .find(|(_, found)| found.code == cause.code)
            .map(|(task, _)| *task);
        let running;
        let task = if task.is_some() {
            task
        } else {
            // Where nothing has stopped, what still runs may tell what it waits for.
            running = self.tasks(true).await.unwrap_or_default();
            running
                .iter()
                .find(|task| task.started_by == watched.deployment)
        };
        let container = cause.container.clone().or_else(|| {
            self.plan
                .image
                .as_ref()
                .map(|image| image.container.clone())
        });
        if let (Some(task), Some(container)) = (task, container) {
            cause.task = Some(task.id().to_owned());
            cause.log_tail = self.log_tail(&container, task.id()).await;
        }
    }

    /// The last lines of a container of a task, with what looks like a secret hidden. Empty where they cannot be read.
    pub(super) async fn log_tail(&mut self, container: &str, task: &str) -> Vec<String> {
        let Some(log) = self.log_stream(container, task) else {
            return Vec::new();
        };
        let call = Call::LogTail {
            region: log.region,
            group: log.group,
            stream: log.stream,
            lines: LOG_LINES,
        };
        let answer = self.cloud.call(call).await;
        self.count(1);
        match answer {
            Ok(Answer::Log(lines)) => lines
                .iter()
                .flat_map(|event| event.lines())
                .map(mask)
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Where a container's output is: `awslogs-stream-prefix/container/task` (Amazon ECS documentation, "awslogs log driver").
    pub(super) fn log_stream(&self, container: &str, task: &str) -> Option<LogStream> {
        let containers = self.document.as_ref()?["containerDefinitions"].as_array()?;
        let options =
            &containers.iter().find(|c| c["name"] == container)?["logConfiguration"]["options"];
        let group = options["awslogs-group"].as_str()?;
        let prefix = options["awslogs-stream-prefix"].as_str()?;
        Some(LogStream {
            region: options["awslogs-region"].as_str().map(str::to_owned),
            group: group.to_owned(),
            stream: format!("{prefix}/{container}/{task}"),
        })
    }

    /// Keeps a failed task for the receipt.
    pub(super) fn keep_failed(&mut self, task: &TaskView, cause: &Cause) {
        if self.ended.failed_tasks.len() >= MOST_TASKS {
            return;
        }
        self.ended.failed_tasks.push(FailedTask {
            task: task.id().to_owned(),
            code: cause.code,
            stop_code: task.stop_code.clone(),
            reason: task.stopped_reason.as_deref().map(mask),
            containers: task
                .containers
                .iter()
                .map(|container| ContainerEnd {
                    name: container.name.clone(),
                    exit_code: container.exit_code,
                    health: container.health.clone(),
                    reason: container.reason.as_deref().map(mask),
                })
                .collect(),
        });
    }
}
