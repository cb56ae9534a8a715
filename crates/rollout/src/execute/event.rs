//! What an execution tells while it runs, and what it leaves at its end.

use crate::cause::{Cause, CauseCode};
use crate::facts::Millis;
use crate::receipt::{FailedTask, Moment};

/// What happens, for those who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The task definition was registered.
    Registered(String),
    /// Something that a person should know, and that stops nothing.
    Note(String),
    /// A task that comes before the release, or the reverse of one, was started.
    TaskStarted {
        /// Its name in the pipeline file.
        name: String,
        /// ID of the task.
        task: String,
    },
    /// It ended well.
    TaskDone(String),
    /// A line that it wrote.
    TaskOutput(String),
    /// The deployment was started, or found on its way.
    Started {
        /// Its ID.
        deployment: String,
        /// ARN of what it rolls out.
        task_definition: String,
    },
    /// How far it is.
    Progress {
        /// ARN of the revision whose tasks these are.
        task_definition: String,
        /// Its tasks that run.
        running: u32,
        /// Tasks that are wanted.
        desired: u32,
        /// Tasks on their way up.
        pending: u32,
        /// Tasks that failed, as ECS counts.
        failed: u32,
    },
    /// The lifecycle stage of a blue/green, linear or canary deployment.
    Stage(String),
    /// A task of the deployment failed.
    TaskFailed {
        /// ID of the task.
        task: String,
        /// Why.
        code: CauseCode,
        /// In words.
        message: String,
        /// Whether a task failed in the same way before, in the same words.
        again: bool,
    },
    /// The rollout is done; what comes now are the checks and the bake time.
    RolledOut,
    /// A request to the public address is tried.
    Checking(String),
    /// It was answered as it should be.
    Checked(String),
    /// The new version is watched for so many seconds.
    Baking(u64),
    /// A line of ECS's own record of the service.
    Service(String),
    /// A call is tried again.
    Retrying(String),
    /// The deployment failed.
    Failed(Cause),
    /// The way back begins.
    RollingBack {
        /// ARN of the revision that is returned to.
        to: String,
        /// By whom or by what.
        by: &'static str,
    },
    /// The revision before serves again, and that was verified.
    Back(String),
    /// What was wanted is live, and that was verified.
    Succeeded,
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// There was nothing to do.
    #[default]
    Unchanged,
    /// The plan's deployment ended well, and that was verified.
    Succeeded,
    /// It failed, and the revision before serves again; that was verified.
    RolledBack,
    /// It failed, and the revision before could not be brought back.
    Failed,
    /// A task that comes before the release failed; the service was not touched.
    Unreleased,
    /// Nothing was changed, because something forbade it.
    Refused,
}

/// The end of an execution.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ended {
    /// How.
    pub end: End,
    /// Why, unless it went well.
    pub cause: Option<Cause>,
    /// ARN of the revision that the plan deploys, as far as it is known.
    pub task_definition: Option<String>,
    /// ARN of the task definition that the service works with at the end, when it could be read.
    pub live: Option<String>,
    /// ID of the deployment that was watched.
    pub deployment: Option<String>,
    /// When it began.
    pub began_at: Millis,
    /// When the service was changed, if it was.
    pub changed_at: Option<Millis>,
    /// When the verdict was reached.
    pub judged_at: Option<Millis>,
    /// When it ended.
    pub ended_at: Millis,
    /// By whom or by what the service went back, if it did.
    pub back_by: Option<&'static str>,
    /// Why the way back failed.
    pub rollback_failure: Option<String>,
    /// Tasks of the deployment that failed, oldest first.
    pub failed_tasks: Vec<FailedTask>,
    /// ECS's own record of the service since the change, oldest first.
    pub events: Vec<Moment>,
    /// What happened, in order.
    pub timeline: Vec<Moment>,
    /// Whether it succeeded without a task, because the service wants none.
    pub none_ran: bool,
    /// Requests to AWS.
    pub calls: u64,
}
