//! The world as a plan's execution sees it: one trait, one enum of requests, one of answers.

use std::collections::BTreeMap;

use crate::facts::{AlarmView, Millis, RevisionView, ServiceDeploymentView, ServiceView, TaskView};
use crate::plan::{NewService, Placement, ServiceSettings};

/// One request to AWS, about the plan's service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// DescribeServices.
    DescribeService,
    /// RegisterTaskDefinition with these bytes.
    RegisterTaskDefinition {
        /// The body.
        document: String,
    },
    /// CreateService.
    CreateService {
        /// ARN of the task definition.
        task_definition: String,
        /// Its settings.
        settings: NewService,
    },
    /// UpdateService.
    UpdateService {
        /// ARN of the task definition.
        task_definition: String,
        /// Its settings; what is none is not sent.
        settings: ServiceSettings,
    },
    /// TagResource of a revision.
    TagRevision {
        /// Its ARN.
        arn: String,
        /// The tags; others that it has stay.
        tags: BTreeMap<String, String>,
    },
    /// UntagResource of a revision.
    UntagRevision {
        /// Its ARN.
        arn: String,
        /// Keys of the tags.
        keys: Vec<String>,
    },
    /// DescribeTaskDefinition, for what others registered.
    Revision {
        /// ARN or `family:revision`.
        name: String,
    },
    /// RunTask, one task.
    RunTask {
        /// ARN of the task definition.
        task_definition: String,
        /// Container whose command is replaced.
        container: String,
        /// The command.
        command: Vec<String>,
        /// Where and how it runs.
        placement: Placement,
        /// The same token starts no second task. At most 64 characters.
        token: String,
    },
    /// DescribeTasks of one task.
    Task {
        /// Its ARN.
        arn: String,
    },
    /// StopTask.
    StopTask {
        /// Its ARN.
        arn: String,
        /// Why, for ECS's record.
        reason: String,
    },
    /// ListTasks and DescribeTasks of the service.
    Tasks {
        /// Running tasks, else stopped ones.
        running: bool,
    },
    /// ListServiceDeployments, with what each rolls out; newest first.
    ServiceDeployments,
    /// StopServiceDeployment with a rollback.
    StopServiceDeployment {
        /// ARN of the service deployment.
        arn: String,
    },
    /// The end of a log stream.
    LogTail {
        /// Its region, when the log driver names one.
        region: Option<String>,
        /// Log group.
        group: String,
        /// Log stream.
        stream: String,
        /// How many lines.
        lines: usize,
    },
    /// A log stream from its beginning, page by page.
    LogPage {
        /// Its region, when the log driver names one.
        region: Option<String>,
        /// Log group.
        group: String,
        /// Log stream.
        stream: String,
        /// Where the page before ended.
        token: Option<String>,
    },
    /// The lifecycle stage of a service deployment (DescribeServiceDeployments).
    Stage {
        /// ARN of the service deployment.
        arn: String,
    },
    /// DescribeAlarms of CloudWatch.
    Alarms {
        /// Their names.
        names: Vec<String>,
    },
    /// A GET request to the service's own address; not a request to AWS.
    Get {
        /// The address.
        url: String,
    },
}

impl Call {
    /// Whether it changes nothing, so that whoever is interrupted need not wait for its answer.
    pub fn reads(&self) -> bool {
        !matches!(
            self,
            Self::RegisterTaskDefinition { .. }
                | Self::CreateService { .. }
                | Self::UpdateService { .. }
                | Self::TagRevision { .. }
                | Self::UntagRevision { .. }
                | Self::RunTask { .. }
                | Self::StopTask { .. }
                | Self::StopServiceDeployment { .. }
        )
    }

    /// Requests to AWS that it took, as far as the answer tells: lists come in pages of 100, and each page is described.
    pub(super) fn cost(&self, answer: &Result<Answer, CallError>) -> u64 {
        match (self, answer) {
            (Self::Get { .. }, _) => 0,
            (Self::Tasks { .. }, Ok(Answer::Tasks(tasks))) => {
                2 * (tasks.len() as u64).div_ceil(100).max(1)
            }
            (Self::ServiceDeployments, Ok(_)) => 2,
            _ => 1,
        }
    }
}

/// The answer to a [`Call`].
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, and the largest is the most frequent"
)]
pub enum Answer {
    /// The service, when it is there. Also what CreateService and UpdateService answer.
    Service(Option<ServiceView>),
    /// ARN of the revision that was registered.
    Registered(String),
    /// Tasks.
    Tasks(Vec<TaskView>),
    /// Service deployments, newest first.
    ServiceDeployments(Vec<ServiceDeploymentView>),
    /// Lines, oldest first.
    Log(Vec<String>),
    /// Lines, oldest first, and where the page ends; none when there is nothing yet.
    LogPage(Vec<String>, Option<String>),
    /// A task, when ECS knows it. Also what RunTask answers.
    Task(Option<TaskView>),
    /// A revision, when it is there.
    Revision(Option<RevisionView>),
    /// A lifecycle stage, when the deployment has one.
    Stage(Option<String>),
    /// Alarms.
    Alarms(Vec<AlarmView>),
    /// Status and body of an HTTP answer.
    Http(u16, String),
    /// Done.
    Done,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// Whether the same call may go through later: throttled, timed out, a server's fault.
    pub transient: bool,
    /// Whether AWS answered that it did not do it. Otherwise it may have taken effect.
    pub declined: bool,
    /// In words, with AWS's error code.
    pub message: String,
}

/// The world as a plan's execution sees it.
pub trait Cloud {
    /// Carries out one call.
    fn call(&self, call: Call) -> impl Future<Output = Result<Answer, CallError>>;
    /// The time.
    fn now(&self) -> Millis;
    /// Lets time pass; shorter when an interrupt comes in.
    fn sleep(&self, duration: Millis) -> impl Future<Output = ()>;
    /// Whether a person or the pipeline wants the deployment to stop.
    fn interrupted(&self) -> bool;
}
