//! Carries out a plan. It makes no choices that the plan or the verdict has not made, and it sees AWS only through [`Cloud`], so the same code runs against AWS, against
//! the AWS of one machine, and against a simulation with a clock of its own.
//!
//! 1. The guard: the PRIMARY deployment must still be the one that the plan was made for ([`change`]).
//! 2. Register the task definition; run the tasks that come before ([`before`]); look at the guard again; create or update the service.
//! 3. Watch the deployment that the answer names, until there is a verdict ([`watch`]); then the checks and the bake time ([`after`]).
//! 4. On failure: gather the evidence ([`evidence`]), then go back ([`back`]): let ECS finish a rollback of its own, else ask ECS to stop and roll back, else update the
//!    service to the revision that served before. Then see that it serves.

mod after;
mod ask;
mod back;
mod before;
mod change;
mod claim;
mod cloud;
mod event;
mod evidence;
mod watch;

use std::collections::{BTreeSet, VecDeque};

pub(crate) use claim::GUARD_TAG;
pub use cloud::{Answer, Call, CallError, Cloud};
pub use event::{End, Ended, Event};
use serde_json::Value;

use crate::cause::{Cause, CauseCode};
use crate::facts::{DeploymentView, Millis};
use crate::plan::{BeforeTask, Plan};
use crate::receipt::Moment;
use crate::words;

/// How long calls that fail for now are tried again, at least.
const PATIENCE: Millis = 180_000;
/// How long a read may lag behind a write.
const LAG: Millis = 60_000;
/// The least time that a way back is given.
const LEAST_TIME_BACK: Millis = 600_000;
/// Lines of a failing container's log that are shown.
const LOG_LINES: usize = 20;
/// Requests to AWS in a minute, at most: two a second. ECS's own limits are far above (DescribeServices: 20 a second); a pipeline may watch many services at once.
const BUDGET: usize = 120;
/// Moments that a timeline holds at most, and the tasks and events that are kept beside it.
const MOST_MOMENTS: usize = 200;

/// What is said of a release that no task has shown to work.
const NONE_RAN: &str =
    "the service wants no tasks (its desired count is 0): none of this release has run";

/// Carries out a plan, and tells what happens on the way.
pub async fn execute<C: Cloud>(plan: &Plan, cloud: &C, tell: &mut dyn FnMut(Event)) -> Ended {
    let mut execution = Execution {
        plan,
        cloud,
        tell,
        document: None,
        told: BTreeSet::new(),
        failed: BTreeSet::new(),
        failed_at: None,
        empty: false,
        reasons: BTreeSet::new(),
        progress: String::new(),
        stage: None,
        before: None,
        ran: Vec::new(),
        tasks_began: false,
        unknown: None,
        deaf: false,
        alarms_before: BTreeSet::new(),
        alarms_at: 0,
        recent: VecDeque::new(),
        created_at: 0,
        newest: 0,
        gone: false,
        watching_until: 0,
        ended: Ended::default(),
    };
    execution.ended.began_at = cloud.now();
    execution.run().await;
    execution.ended.ended_at = cloud.now();
    execution.ended
}

struct Execution<'a, C> {
    plan: &'a Plan,
    cloud: &'a C,
    tell: &'a mut dyn FnMut(Event),
    /// What was registered, to find the log streams of its containers.
    document: Option<Value>,
    /// Lines of the service's record that were told, as ECS wrote them, and notes: when, and what.
    told: BTreeSet<(Millis, String)>,
    /// Tasks whose failure was told, by ARN.
    failed: BTreeSet<String>,
    /// When the last of these was seen.
    failed_at: Option<Millis>,
    /// Whether the service wanted no tasks when its deployment was done.
    empty: bool,
    /// The reasons that were told, each once in full.
    reasons: BTreeSet<String>,
    /// The progress that was told last.
    progress: String,
    /// The lifecycle stage that was told last.
    stage: Option<String>,
    /// The PRIMARY deployment as the guard last saw it.
    before: Option<DeploymentView>,
    /// The tasks that have run before the release, in order.
    ran: Vec<&'a BeforeTask>,
    /// Whether a task before the release was asked for.
    tasks_began: bool,
    /// A task of which it is not known whether it has done its work.
    unknown: Option<String>,
    /// Whether an interrupt is no news any more: the way back is not interrupted.
    deaf: bool,
    /// Alarms that were in ALARM before anything was changed: they say nothing about the new version.
    alarms_before: BTreeSet<String>,
    /// When the alarms were last looked at.
    alarms_at: Millis,
    /// When the requests of the last minute were made.
    recent: VecDeque<Millis>,
    /// When the deployment that is watched was created, by AWS's clock.
    created_at: Millis,
    /// When the newest PRIMARY that was seen since was created, by AWS's clock.
    newest: Millis,
    /// Whether the service was last seen deleted.
    gone: bool,
    /// Until when what is watched must have ended; 0 while nothing is watched.
    watching_until: Millis,
    ended: Ended,
}

impl<C: Cloud> Execution<'_, C> {
    async fn run(&mut self) {
        if self.plan.steps.is_empty() {
            if let Err((end, cause)) = self.confirm().await {
                self.ended.end = end;
                self.ended.cause = Some(cause);
            }
            return;
        }
        let mut watched = match self.change().await {
            Ok(watched) => watched,
            Err(cause) => return self.unchanged(cause).await,
        };
        self.ended.task_definition = Some(watched.task_definition.clone());
        self.ended.deployment = Some(watched.deployment.clone());
        self.say(Event::Started {
            deployment: watched.deployment.clone(),
            task_definition: watched.task_definition.clone(),
        });
        let mut result = self.watch(&mut watched).await;
        if result.is_ok() {
            result = self.prove(&mut watched).await;
        }
        self.watching_until = 0;
        self.ended.judged_at = Some(self.cloud.now());
        match result {
            Ok(()) => {
                self.ended.end = End::Succeeded;
                if self.empty {
                    self.ended.none_ran = true;
                    self.say(Event::Note(NONE_RAN.to_owned()));
                }
                self.keep_proof(&watched.task_definition).await;
                self.ended.live = Some(watched.task_definition);
                self.say(Event::Succeeded);
            }
            Err(cause) => self.fail(&watched, cause).await,
        }
    }

    /// Tells an event, and keeps it for the timeline.
    fn say(&mut self, event: Event) {
        if let Some(what) = words::timeline(&event)
            && self.ended.timeline.len() < MOST_MOMENTS
        {
            let news = match &event {
                Event::Progress { .. } => {
                    let news = self.progress != what;
                    self.progress.clone_from(&what);
                    news
                }
                // What fails for half an hour is one moment.
                Event::Retrying(_) => {
                    let last = self.ended.timeline.last();
                    last.is_none_or(|last| last.what != what)
                }
                _ => true,
            };
            if news {
                let at = self.cloud.now();
                self.ended.timeline.push(Moment::new(at, what));
            }
        }
        (self.tell)(event);
    }

    /// Whether somebody wants the run to stop, and has not been heard yet.
    fn interrupted(&self) -> bool {
        !self.deaf && self.cloud.interrupted()
    }

    /// Lets time pass, and so many more seconds as the budget of requests asks for.
    async fn pause(&mut self, duration: Millis) {
        let more = self.over_budget();
        self.cloud.sleep(duration.max(more)).await;
    }
}

/// Quick at first and when something moves, slower the longer nothing does: from half a second to 15 s.
fn pause(elapsed: Millis, moving: bool) -> Millis {
    if moving {
        500.max(elapsed / 40).min(5_000)
    } else {
        500.max(elapsed / 10).min(15_000)
    }
}

fn refused(error: &CallError) -> Cause {
    Cause::new(CauseCode::Aws, error.message.clone())
}
