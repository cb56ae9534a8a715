//! Carries out a plan. It makes no choices that the plan or the verdict has not made, and it sees AWS only through [`Cloud`], so the same code runs against AWS, against
//! the AWS of one machine, and against a simulation with a clock of its own.
//!
//! 1. The guard: the PRIMARY deployment must still be the one that the plan was made for.
//! 2. Register the task definition; look at the guard again; create or update the service.
//! 3. Watch the deployment that the answer names, until there is a verdict.
//! 4. On failure: gather the evidence, then go back: let ECS finish a rollback of its own, else ask ECS to stop and roll back, else update the service to the revision
//!    that served before. Then see that it serves.

use serde_json::Value;

use crate::cause::{Cause, CauseCode, classify};
use crate::facts::{
    DeploymentView, Millis, RolloutState, ServiceDeploymentView, ServiceView, TaskView,
};
use crate::plan::{NewService, Plan, ServiceSettings, Step};
use crate::verdict::{Observation, Verdict, Watched, judge};

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
        /// Log group.
        group: String,
        /// Log stream.
        stream: String,
        /// How many lines.
        lines: usize,
    },
}

/// The answer to a [`Call`].
#[derive(Clone, Debug, PartialEq)]
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

/// What happens, for those who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The task definition was registered.
    Registered(String),
    /// The deployment was started, or found on its way.
    Started {
        /// Its ID.
        deployment: String,
        /// ARN of what it rolls out.
        task_definition: String,
    },
    /// How far it is.
    Progress {
        /// Tasks of the new revision that run.
        running: u32,
        /// Tasks that are wanted.
        desired: u32,
        /// Tasks on their way up.
        pending: u32,
        /// Tasks that failed, as ECS counts.
        failed: u32,
    },
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
        /// Who does it, in words.
        how: &'static str,
    },
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// There was nothing to do.
    Unchanged,
    /// The plan's deployment ended well, and that was verified.
    Succeeded,
    /// It failed, and the revision before serves again; that was verified.
    RolledBack,
    /// It failed, and the revision before could not be brought back.
    Failed,
    /// Nothing was changed, because something forbade it.
    Refused,
}

/// The end of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub end: End,
    /// Why, unless it went well.
    pub cause: Option<Cause>,
    /// ARN of the revision that the plan deploys, as far as it is known.
    pub task_definition: Option<String>,
    /// ARN of the task definition that the service works with at the end, when it could be read.
    pub live: Option<String>,
    /// When the service was changed, if it was.
    pub changed_at: Option<Millis>,
    /// When the verdict was reached.
    pub judged_at: Option<Millis>,
    /// Why the way back failed.
    pub rollback_failure: Option<String>,
}

/// How long calls that fail for now are tried again.
const PATIENCE: Millis = 180_000;
/// How long a read may lag behind a write.
const LAG: Millis = 60_000;
/// The least time that a way back is given.
const LEAST_TIME_BACK: Millis = 600_000;
/// Lines of a failing container's log that are shown.
const LOG_LINES: usize = 20;

/// Carries out a plan, and tells what happens on the way.
pub async fn execute<C: Cloud>(plan: &Plan, cloud: &C, tell: &mut dyn FnMut(Event)) -> Ended {
    let mut execution = Execution {
        plan,
        cloud,
        tell,
        document: None,
        told: Vec::new(),
        before: None,
        created_at: 0,
        believed_at: 0,
        ended: Ended {
            end: End::Unchanged,
            cause: None,
            task_definition: None,
            live: None,
            changed_at: None,
            judged_at: None,
            rollback_failure: None,
        },
    };
    execution.run().await;
    execution.ended
}

struct Execution<'a, C> {
    plan: &'a Plan,
    cloud: &'a C,
    tell: &'a mut dyn FnMut(Event),
    /// What was registered, to find the log streams of its containers.
    document: Option<Value>,
    /// Lines of the service's record that were told.
    told: Vec<String>,
    /// The PRIMARY deployment as the guard last saw it.
    before: Option<DeploymentView>,
    /// When the deployment that is watched was created, by AWS's clock.
    created_at: Millis,
    /// When a look at the service was last believed.
    believed_at: Millis,
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
            Err(cause) => {
                let untouched = self.ended.changed_at.is_none();
                self.ended.end = if untouched { End::Refused } else { End::Failed };
                self.ended.cause = Some(cause);
                return;
            }
        };
        self.ended.task_definition = Some(watched.task_definition.clone());
        self.believed_at = watched.since;
        (self.tell)(Event::Started {
            deployment: watched.deployment.clone(),
            task_definition: watched.task_definition.clone(),
        });
        let result = self.watch(&mut watched).await;
        self.ended.judged_at = Some(self.cloud.now());
        match result {
            Ok(()) => {
                self.ended.end = End::Succeeded;
                self.ended.live = Some(watched.task_definition);
            }
            Err(cause) => self.fail(&watched, cause).await,
        }
    }

    /// There is nothing to do if what is wanted is still live.
    async fn confirm(&mut self) -> Result<(), (End, Cause)> {
        let refuse = |cause| (End::Refused, cause);
        let service = self.guard().await.map_err(refuse)?;
        let Some((service, image)) = service.zip(self.plan.image.as_ref()) else {
            return Ok(());
        };
        self.ended.live = Some(service.task_definition.clone());
        let running = self
            .tasks(true)
            .await
            .map_err(|error| refuse(refused(&error)))?;
        let mut own = running.iter().filter(|task| {
            task.last_status == "RUNNING" && task.task_definition == service.task_definition
        });
        match own.find_map(|task| image.mismatch(task)) {
            Some(cause) => Err((End::Failed, cause)),
            None => Ok(()),
        }
    }

    /// Everything up to the moment in which a deployment is on its way. An error means that nothing live was touched.
    async fn change(&mut self) -> Result<Watched, Cause> {
        let mut registered = None;
        for step in &self.plan.steps {
            if self.cloud.interrupted() {
                return Err(Cause::new(
                    CauseCode::Interrupted,
                    "interrupted before anything was changed",
                ));
            }
            let service = self.guard().await?;
            match step {
                Step::RegisterTaskDefinition { document } => {
                    self.document = serde_json::from_str(document).ok();
                    let call = Call::RegisterTaskDefinition {
                        document: document.clone(),
                    };
                    if let Answer::Registered(arn) =
                        self.ask(call).await.map_err(|error| refused(&error))?
                    {
                        (self.tell)(Event::Registered(arn.clone()));
                        self.ended.task_definition = Some(arn.clone());
                        registered = Some(arn);
                    }
                }
                Step::CreateService { settings } => {
                    let task_definition = registered.clone().unwrap_or_default();
                    let call = Call::CreateService {
                        task_definition: task_definition.clone(),
                        settings: settings.clone(),
                    };
                    return self.start(call, task_definition).await;
                }
                Step::UpdateService {
                    task_definition,
                    settings,
                } => {
                    let task_definition = task_definition
                        .clone()
                        .or_else(|| registered.clone())
                        .unwrap_or_default();
                    let call = Call::UpdateService {
                        task_definition: task_definition.clone(),
                        settings: settings.clone(),
                    };
                    return self.start(call, task_definition).await;
                }
                Step::Adopt {
                    deployment,
                    task_definition,
                } => {
                    let primary = service.as_ref().and_then(ServiceView::primary);
                    self.created_at = primary.map_or(0, |primary| primary.created_at);
                    return Ok(self.watched(deployment.clone(), task_definition.clone(), true));
                }
            }
        }
        Err(Cause::new(
            CauseCode::Refused,
            "the plan registers a task definition and deploys nothing",
        ))
    }

    async fn guard(&mut self) -> Result<Option<ServiceView>, Cause> {
        let service = self.describe().await.map_err(|error| refused(&error))?;
        let service = service.filter(|service| service.status == "ACTIVE");
        let primary = service.as_ref().and_then(ServiceView::primary);
        self.before = primary.cloned();
        let moved = match (&self.plan.guard.primary_deployment, primary) {
            (Some(expected), Some(primary)) if *expected == primary.id => return Ok(service),
            (None, None) => return Ok(service),
            (_, Some(primary)) => format!(
                "it now works with {} (deployment {})",
                primary.task_definition, primary.id
            ),
            (Some(_), None) => "it is gone".to_owned(),
        };
        Err(Cause::new(
            CauseCode::Refused,
            format!(
                "service `{}` changed after the plan was made: {moved}; nothing was changed, plan again",
                self.plan.service
            ),
        ))
    }

    /// The one call that changes the service. When its answer is lost, the service itself tells whether it took effect.
    async fn start(&mut self, call: Call, task_definition: String) -> Result<Watched, Cause> {
        let now = self.cloud.now();
        let service = match self.ask(call).await {
            Ok(Answer::Service(service)) => service,
            Ok(_) => None,
            Err(error) if error.declined => return Err(refused(&error)),
            Err(error) => self.find_out(&task_definition, now, &error).await?,
        };
        self.ended.changed_at = Some(now);
        let primary = service.as_ref().and_then(ServiceView::primary);
        match primary.filter(|primary| primary.task_definition == task_definition) {
            Some(primary) => {
                self.created_at = primary.created_at;
                Ok(self.watched(primary.id.clone(), task_definition, false))
            }
            None => Err(Cause::new(
                CauseCode::Aws,
                format!(
                    "AWS's answer does not show a deployment of {task_definition}; look at the service before you go on"
                ),
            )),
        }
    }

    /// Whether a change whose answer was lost took effect. Reads may lag, so that its absence is believed only after a while.
    async fn find_out(
        &mut self,
        task_definition: &str,
        changed_at: Millis,
        error: &CallError,
    ) -> Result<Option<ServiceView>, Cause> {
        let since = self.cloud.now();
        loop {
            let service = self.describe().await;
            let waited = self.cloud.now().saturating_sub(since);
            match service {
                Ok(service) => {
                    let primary = service.as_ref().and_then(ServiceView::primary);
                    if primary.is_some_and(|primary| primary.task_definition == task_definition) {
                        return Ok(service);
                    }
                    if waited >= LAG {
                        let same = |now: &DeploymentView, before: &DeploymentView| {
                            (&now.id, now.updated_at) == (&before.id, before.updated_at)
                        };
                        let untouched = match (primary, &self.before) {
                            (Some(now), Some(before)) => same(now, before),
                            (now, before) => now.is_none() && before.is_none(),
                        };
                        if untouched {
                            return Err(refused(error));
                        }
                        self.ended.changed_at = Some(changed_at);
                        return Err(Cause::new(
                            CauseCode::Aws,
                            format!(
                                "the answer to the deployment was lost ({error}), and the service has changed since, but does not work with {task_definition} now"
                            ),
                        ));
                    }
                }
                Err(unreadable) if waited >= LAG => {
                    self.ended.changed_at = Some(changed_at);
                    return Err(Cause::new(
                        CauseCode::Aws,
                        format!(
                            "it is not known whether the deployment began ({error}), and the service cannot be looked at ({unreadable})"
                        ),
                    ));
                }
                Err(_) => {}
            }
            self.cloud.sleep(pause(waited, false)).await;
        }
    }

    fn watched(&self, deployment: String, task_definition: String, seen: bool) -> Watched {
        let since = self.cloud.now();
        Watched {
            deployment,
            task_definition,
            image: self.plan.image.clone(),
            since,
            deadline: since + self.plan.timeout_seconds * 1000,
            seen,
        }
    }

    async fn watch(&mut self, watched: &mut Watched) -> Result<(), Cause> {
        let mut failed = 0;
        let mut last = None;
        let mut look = 0_u32;
        loop {
            look = look.wrapping_add(1);
            let service = self.look().await.map_err(|error| lost(&error))?;
            let own = service
                .as_ref()
                .and_then(|s| s.deployments.iter().find(|d| d.id == watched.deployment));
            watched.seen |= own.is_some();
            let quiet = own.is_some_and(|own| {
                own.status == "PRIMARY" && own.rollout_state == Some(RolloutState::InProgress)
            });
            let more_failed = own.is_some_and(|own| own.failed_tasks != failed);
            failed = own.map_or(failed, |own| own.failed_tasks);
            if let Some(own) = own {
                (self.tell)(Event::Progress {
                    running: own.running_count,
                    desired: own.desired_count,
                    pending: own.pending_count,
                    failed: own.failed_tasks,
                });
            }
            self.tell_events(watched.since, service.as_ref());
            let changed = last.replace(own.cloned()).flatten() != own.cloned();

            let expired = self.cloud.now() >= watched.deadline;
            let stopped = if !quiet || more_failed || expired || look.is_multiple_of(3) {
                self.tasks(false).await.map_err(|error| lost(&error))?
            } else {
                Vec::new()
            };
            let records = if !quiet || look.is_multiple_of(5) {
                self.records().await
            } else {
                Vec::new()
            };
            let record = records
                .iter()
                .find(|record| record.task_definition == watched.task_definition);
            let mut observation = Observation {
                service: service.as_ref(),
                stopped: &stopped,
                running: None,
                record,
            };
            let now = self.cloud.now();
            let mut verdict = judge(watched, &observation, now);
            let running;
            if verdict == Verdict::ShowTasks {
                running = self.tasks(true).await.map_err(|error| lost(&error))?;
                observation.running = Some(&running);
                verdict = judge(watched, &observation, now);
            }
            match verdict {
                Verdict::Succeeded => return Ok(()),
                Verdict::Failed(cause) => return Err(cause),
                Verdict::Going | Verdict::ShowTasks => {}
            }
            let elapsed = now.saturating_sub(watched.since);
            self.cloud.sleep(pause(elapsed, changed || !quiet)).await;
            if self.cloud.interrupted() {
                return Err(Cause::new(CauseCode::Interrupted, "interrupted"));
            }
        }
    }

    /// Evidence, then the way back.
    async fn fail(&mut self, watched: &Watched, mut cause: Cause) {
        if cause.code == CauseCode::Superseded && self.is_back().await {
            cause = Cause::new(
                CauseCode::Stopped,
                "the deployment was ended, and the service went back to the revision before it",
            );
        }
        self.gather_evidence(watched, &mut cause).await;
        (self.tell)(Event::Failed(cause.clone()));
        let not_ours = matches!(
            cause.code,
            CauseCode::Superseded | CauseCode::ServiceDeleted
        );
        self.ended.cause = Some(cause);
        let back = match &self.plan.way_back {
            _ if not_ours => Err("the service is in other hands; it was left as it is".to_owned()),
            None => Err("there is no earlier revision to return to".to_owned()),
            Some(back) if *back == watched.task_definition => {
                Err("the revision that failed is also the one to return to".to_owned())
            }
            Some(back) => self.go_back(watched, back).await,
        };
        match back {
            // That look is the evidence; another one could only be older.
            Ok(()) => {
                self.ended.end = End::RolledBack;
                self.ended.live.clone_from(&self.plan.way_back);
            }
            Err(why) => {
                self.ended.live = self.live().await;
                self.ended.end = End::Failed;
                self.ended.rollback_failure = Some(why);
            }
        }
    }

    /// Whether the service works with the revision to return to, whoever brought it there.
    async fn is_back(&mut self) -> bool {
        let live = self.live().await;
        live.is_some() && live == self.plan.way_back
    }

    /// A better name for the cause where stopped tasks give one, and the last lines of the container at fault.
    async fn gather_evidence(&mut self, watched: &Watched, cause: &mut Cause) {
        let Ok(stopped) = self.tasks(false).await else {
            return;
        };
        let mut own: Vec<&TaskView> = stopped
            .iter()
            .filter(|task| task.started_by == watched.deployment)
            .collect();
        own.sort_by_key(|task| task.stopped_at);
        let vague = matches!(
            cause.code,
            CauseCode::CircuitBreaker | CauseCode::Stopped | CauseCode::Timeout
        );
        if vague && let Some(better) = own.iter().find_map(|task| classify(task)) {
            *cause = better;
        }
        let task = own
            .iter()
            .rev()
            .find(|task| classify(task).is_some_and(|found| found.code == cause.code));
        let container = cause.container.clone().or_else(|| {
            self.plan
                .image
                .as_ref()
                .map(|image| image.container.clone())
        });
        if let (Some(task), Some(container)) = (task, container)
            && let Some((group, stream)) = self.log_stream(&container, task.id())
            && let Ok(Answer::Log(lines)) = self
                .cloud
                .call(Call::LogTail {
                    group,
                    stream,
                    lines: LOG_LINES,
                })
                .await
        {
            cause.log_tail = lines;
        }
    }

    /// Group and stream of a container's output: `awslogs-stream-prefix/container/task` (Amazon ECS documentation, "awslogs log driver").
    fn log_stream(&self, container: &str, task: &str) -> Option<(String, String)> {
        let containers = self.document.as_ref()?["containerDefinitions"].as_array()?;
        let options =
            &containers.iter().find(|c| c["name"] == container)?["logConfiguration"]["options"];
        let group = options["awslogs-group"].as_str()?;
        let prefix = options["awslogs-stream-prefix"].as_str()?;
        Some((group.to_owned(), format!("{prefix}/{container}/{task}")))
    }

    async fn go_back(&mut self, watched: &Watched, back: &str) -> Result<(), String> {
        let since = self.cloud.now();
        let deadline = since + LEAST_TIME_BACK.max(self.plan.timeout_seconds * 1000);
        self.turn_round(watched, back).await?;
        let mut pushed = false;
        loop {
            let service = self.look().await.map_err(|error| error.message)?;
            let Some(service) = service.filter(|service| service.status == "ACTIVE") else {
                return Err("the service is gone".to_owned());
            };
            self.tell_events(watched.since, Some(&service));
            let primary = service.primary();
            if let Some(primary) = primary.filter(|primary| primary.task_definition == back) {
                (self.tell)(Event::Progress {
                    running: primary.running_count,
                    desired: primary.desired_count,
                    pending: primary.pending_count,
                    failed: primary.failed_tasks,
                });
                let done = primary.rollout_state == Some(RolloutState::Completed)
                    && primary.running_count >= primary.desired_count
                    && service.task_definition == back;
                if done && self.all_run(back, service.desired_count).await? {
                    return Ok(());
                }
                if primary.rollout_state == Some(RolloutState::Failed) {
                    return Err("the earlier revision failed as well".to_owned());
                }
            } else if !pushed {
                let records = self.records().await;
                if let Some(other) = newer(&records, watched, back) {
                    return Err(in_other_hands(&other.task_definition));
                }
                if !records.iter().any(ServiceDeploymentView::in_flight) {
                    // ECS has come to rest on something else: it was asked to go back, and did not, or not there.
                    self.update_to(back).await?;
                    pushed = true;
                }
            }
            let now = self.cloud.now();
            let waited = now.saturating_sub(since);
            if now >= deadline {
                return Err(format!(
                    "the earlier revision did not serve again within {} s",
                    waited / 1000
                ));
            }
            self.cloud.sleep(pause(waited, false)).await;
        }
    }

    /// Sets the service on its way back, by the gentlest means that works.
    async fn turn_round(&mut self, watched: &Watched, back: &str) -> Result<(), String> {
        let to = back.to_owned();
        let records = self.records().await;
        let record = records
            .iter()
            .find(|record| record.task_definition == watched.task_definition);
        if let Some(other) = newer(&records, watched, back) {
            return Err(in_other_hands(&other.task_definition));
        }
        let primary = self
            .look()
            .await
            .ok()
            .flatten()
            .and_then(|service| service.primary().cloned());
        if record.is_some_and(ServiceDeploymentView::rolling_back)
            || primary.is_some_and(|primary| primary.task_definition == back)
        {
            (self.tell)(Event::RollingBack {
                to,
                how: "ECS does it by itself",
            });
            return Ok(());
        }
        if let Some(record) = record.filter(|record| record.in_flight()) {
            let call = Call::StopServiceDeployment {
                arn: record.arn.clone(),
            };
            if self.ask(call).await.is_ok() {
                (self.tell)(Event::RollingBack {
                    to,
                    how: "ECS was asked to stop the deployment",
                });
                return Ok(());
            }
        }
        (self.tell)(Event::RollingBack {
            to,
            how: "the service is updated to it",
        });
        self.update_to(back).await
    }

    async fn update_to(&mut self, task_definition: &str) -> Result<(), String> {
        let call = Call::UpdateService {
            task_definition: task_definition.to_owned(),
            settings: ServiceSettings::default(),
        };
        self.ask(call)
            .await
            .map(|_| ())
            .map_err(|error| error.message)
    }

    async fn all_run(&mut self, task_definition: &str, desired: u32) -> Result<bool, String> {
        let running = self.tasks(true).await.map_err(|error| error.message)?;
        let alike = running.iter().filter(|task| {
            task.last_status == "RUNNING" && task.task_definition == task_definition
        });
        Ok(alike.count() >= desired as usize)
    }

    async fn live(&mut self) -> Option<String> {
        self.look()
            .await
            .ok()
            .flatten()
            .map(|service| service.task_definition)
    }

    /// The service, as of after the watched deployment began: an answer from before is a read that lags, unless there is no other for a while.
    async fn look(&mut self) -> Result<Option<ServiceView>, CallError> {
        loop {
            let service = self.describe().await?;
            let now = self.cloud.now();
            let lags = match &service {
                Some(service) if service.status != "INACTIVE" => service.predates(self.created_at),
                // A service that was there cannot be missing because of a lag.
                _ => self.created_at > 0 && self.plan.guard.primary_deployment.is_none(),
            };
            if !lags || now >= self.believed_at + LAG {
                self.believed_at = now;
                return Ok(service);
            }
            self.cloud.sleep(1_000).await;
        }
    }

    async fn describe(&mut self) -> Result<Option<ServiceView>, CallError> {
        match self.ask(Call::DescribeService).await? {
            Answer::Service(service) => Ok(service),
            _ => Ok(None),
        }
    }

    async fn tasks(&mut self, running: bool) -> Result<Vec<TaskView>, CallError> {
        match self.ask(Call::Tasks { running }).await? {
            Answer::Tasks(tasks) => Ok(tasks),
            _ => Ok(Vec::new()),
        }
    }

    /// ECS's record of rollouts. Without the permission to read it there is still the service itself.
    async fn records(&mut self) -> Vec<ServiceDeploymentView> {
        match self.ask(Call::ServiceDeployments).await {
            Ok(Answer::ServiceDeployments(records)) => records,
            _ => Vec::new(),
        }
    }

    /// A call, tried again while it fails for now.
    async fn ask(&mut self, call: Call) -> Result<Answer, CallError> {
        let since = self.cloud.now();
        let mut wait = 500;
        let mut declined = true;
        loop {
            match self.cloud.call(call.clone()).await {
                Err(error) if error.transient && self.cloud.now() < since + PATIENCE => {
                    declined &= error.declined;
                    (self.tell)(Event::Retrying(error.message));
                    self.cloud.sleep(wait).await;
                    wait = (wait * 2).min(15_000);
                }
                // One attempt of several may have taken effect.
                Err(error) => {
                    return Err(CallError {
                        declined: declined && error.declined,
                        ..error
                    });
                }
                answer => return answer,
            }
        }
    }

    fn tell_events(&mut self, since: Millis, service: Option<&ServiceView>) {
        for event in service
            .into_iter()
            .flat_map(|service| service.events.iter().rev())
        {
            if event.at >= since && !self.told.contains(&event.message) {
                self.told.push(event.message.clone());
                (self.tell)(Event::Service(event.message.clone()));
            }
        }
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

/// A deployment of something else that somebody started after the one that is watched. The newest record comes first.
fn newer<'a>(
    records: &'a [ServiceDeploymentView],
    watched: &Watched,
    back: &str,
) -> Option<&'a ServiceDeploymentView> {
    let own = records
        .iter()
        .position(|record| record.task_definition == watched.task_definition)?;
    records[..own]
        .iter()
        .find(|record| record.task_definition != back)
}

fn in_other_hands(task_definition: &str) -> String {
    format!("another deployment took over: the service now rolls out {task_definition}")
}

fn refused(error: &CallError) -> Cause {
    Cause::new(CauseCode::Aws, error.message.clone())
}

fn lost(error: &CallError) -> Cause {
    Cause::new(
        CauseCode::Aws,
        format!("AWS cannot be asked any more: {}", error.message),
    )
}
