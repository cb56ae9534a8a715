//! AWS as one run sees it: the world, behind a network that fails as the run's faults say.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use fastrand::Rng;
use local_cloud::error::ApiError;
use rollout::execute::{Answer, Call, CallError, Cloud};
use rollout::facts::{AlarmView, Facts, Millis, ServiceDeploymentView, ServiceView, TaskView};
use rollout::plan::{NewService, ServiceSettings};
use serde_json::{Value, json};

use crate::faults::Faults;
use crate::version::SECRET;
use crate::views;
use crate::world::{Act, CLUSTER, SERVICE, World};

/// So many service deployments are read to watch one.
const WATCHED: usize = 5;
/// A run that has made so many calls will not end.
const MOST_CALLS: u64 = 20_000;

/// One run's connection to the world.
pub(crate) struct Connection<'a> {
    world: &'a RefCell<World>,
    faults: &'a Faults,
    began: Millis,
    rng: RefCell<Rng>,
    past: RefCell<VecDeque<Past>>,
    steps: Cell<u64>,
    /// So many service deployments are read.
    depth: Cell<usize>,
    /// Calls made.
    pub(crate) calls: Cell<u64>,
    /// When this run first changed anything of the service.
    pub(crate) touched: Cell<Option<Millis>>,
    /// Whether the run replaced somebody else's deployment that it had seen begin after its own.
    pub(crate) overrode: Cell<bool>,
    /// The time of the state that each look at the service showed.
    pub(crate) looks: RefCell<Vec<Millis>>,
}

/// What reads answered at an earlier time.
struct Past {
    at: Millis,
    service: Rc<Option<ServiceView>>,
    running: Rc<Vec<TaskView>>,
    stopped: Rc<Vec<TaskView>>,
    records: Rc<Vec<ServiceDeploymentView>>,
}

enum Fault {
    Throttled,
    ServerError,
    Lost,
    LostForGood,
}

impl<'a> Connection<'a> {
    pub(crate) fn new(world: &'a RefCell<World>, faults: &'a Faults, rng: Rng) -> Self {
        Self {
            began: world.borrow().now,
            world,
            faults,
            rng: RefCell::new(rng),
            past: RefCell::default(),
            steps: Cell::new(0),
            depth: Cell::new(WATCHED),
            calls: Cell::new(0),
            touched: Cell::new(None),
            overrode: Cell::new(false),
            looks: RefCell::default(),
        }
    }

    /// What is live, read as the client of the real AWS reads it; with the retries of its SDK.
    pub(crate) async fn facts(&self) -> Result<Facts, CallError> {
        let answer = self.patiently(Call::DescribeService).await?;
        let Answer::Service(Some(view)) = answer else {
            return Ok(Facts::default());
        };
        if view.status != "ACTIVE" {
            return Ok(Facts::default());
        }
        self.depth.set(usize::MAX);
        let history = self.patiently(Call::ServiceDeployments).await;
        self.depth.set(WATCHED);
        let history = match history? {
            Answer::ServiceDeployments(records) => records,
            _ => Vec::new(),
        };
        let primary = views::revision(&mut self.world.borrow_mut(), &view.task_definition);
        Ok(Facts {
            primary_tags: primary.map(|one| one.tags).unwrap_or_default(),
            primary_document: self.document(&view.task_definition),
            history,
            service: Some(view),
            ..Facts::default()
        })
    }

    /// DescribeTaskDefinition. What it answers never changes.
    pub(crate) fn document(&self, definition: &str) -> Option<Value> {
        let request = json!({"taskDefinition": definition, "include": ["TAGS"]});
        let answer = self
            .world
            .borrow_mut()
            .apply("DescribeTaskDefinition", &request);
        answer
            .ok()
            .and_then(|mut answer| answer.get_mut("taskDefinition").map(Value::take))
    }

    async fn patiently(&self, call: Call) -> Result<Answer, CallError> {
        let mut tries = 0;
        loop {
            match self.call(call.clone()).await {
                Err(error) if error.transient && tries < 2 => tries += 1,
                other => return other,
            }
            self.sleep(1_000).await;
        }
    }

    /// The end of the process, when its time has come: it never gets any further.
    async fn step(&self) {
        let step = self.steps.replace(self.steps.get() + 1);
        if self.faults.death == Some(step) {
            self.note(|| "the run dies".to_owned());
        }
        if self.faults.death.is_some_and(|death| death <= step) || self.calls.get() > MOST_CALLS {
            std::future::pending::<()>().await;
        }
    }

    fn note(&self, line: impl FnOnce() -> String) {
        self.world.borrow_mut().note(line);
    }

    fn attempt(&self, call: Call) -> Result<Answer, CallError> {
        let name = operation(&call);
        self.advance(self.rng.borrow_mut().u64(10..300));
        let since = self.world.borrow().now - self.began;
        if let Some((from, duration)) = self.faults.outage
            && (from..from + duration).contains(&since)
        {
            self.advance(5_000);
            self.note(|| format!("{name}: no connection"));
            return Err(error(true, false, "ConnectTimeout: no connection"));
        }
        if self.faults.forbidden.contains(&name) {
            self.note(|| format!("{name}: no permission"));
            return Err(error(false, true, "AccessDeniedException: not authorized"));
        }
        match self.fault(&call) {
            Some(Fault::Throttled) => {
                self.note(|| format!("{name}: throttled"));
                Err(error(true, true, "ThrottlingException: Rate exceeded"))
            }
            Some(Fault::ServerError) => {
                self.note(|| format!("{name}: server error"));
                Err(error(true, false, "ServerException: Service Unavailable"))
            }
            Some(Fault::Lost) => {
                let lost = self.perform_unheard(call);
                self.note(|| format!("{name}: the answer is lost (effect: {lost})"));
                Err(error(true, false, "ReadTimeout: no answer"))
            }
            Some(Fault::LostForGood) => {
                let lost = self.perform_unheard(call);
                self.note(|| format!("{name}: the answer cannot be read (effect: {lost})"));
                Err(error(false, false, "DispatchFailure: other"))
            }
            None => {
                let answer = self.perform(call);
                self.note(|| format!("{name}: {}", brief(&answer)));
                answer.map_err(|api| error(false, true, &api.to_string()))
            }
        }
    }

    fn fault(&self, call: &Call) -> Option<Fault> {
        let faults = self.faults;
        let mut rng = self.rng.borrow_mut();
        let mut hits = |rate: u32| rate > 0 && rng.u32(0..100) < rate;
        if hits(faults.refused_for_now) {
            return Some(if hits(50) {
                Fault::Throttled
            } else {
                Fault::ServerError
            });
        }
        if hits(faults.lost) {
            return Some(Fault::Lost);
        }
        (is_write(call) && hits(faults.lost_for_good)).then_some(Fault::LostForGood)
    }

    fn touch(&self, now: Millis) {
        self.touched.set(self.touched.get().or(Some(now)));
    }

    /// Somebody else deployed after this run did, that is live, this run has seen it, and now it updates the service all the same.
    fn overrides(&self, world: &mut World) -> bool {
        let Some(touched) = self.touched.get() else {
            return false;
        };
        let service = views::service(world).unwrap_or_default();
        let live = Option::as_ref(&service).map(|service| service.task_definition.as_str());
        let live = live.and_then(|definition| world.version_of(definition));
        let looks = self.looks.borrow();
        world.done.iter().any(|(at, act)| {
            matches!(act, Act::Deploy(number) if Some(*number) == live)
                && *at > touched
                && looks.iter().any(|look| look > at)
        })
    }

    fn advance(&self, duration: Millis) {
        let mut world = self.world.borrow_mut();
        let until = world.now + duration;
        world.advance(until);
    }

    /// Keeps what reads would answer now, for reads that lag.
    fn remember(&self) {
        if self.faults.stale == 0 {
            return;
        }
        let mut world = self.world.borrow_mut();
        let now = Past {
            at: world.now,
            service: views::service(&mut world).unwrap_or_default(),
            running: views::tasks(&mut world, true).unwrap_or_default(),
            stopped: views::tasks(&mut world, false).unwrap_or_default(),
            records: views::records(&mut world).unwrap_or_default(),
        };
        let mut past = self.past.borrow_mut();
        past.push_back(now);
        if past.len() > 32 {
            past.pop_front();
        }
    }

    /// What a read that lags answers; none when this one does not.
    fn stale(&self, call: &Call) -> Option<Answer> {
        let mut rng = self.rng.borrow_mut();
        if self.faults.stale == 0 || is_write(call) || rng.u32(0..100) >= self.faults.stale {
            return None;
        }
        let behind = rng.u64(0..=self.faults.lag);
        let now = self.world.borrow().now;
        let as_of = now.saturating_sub(behind);
        let past = self.past.borrow();
        let then = past.iter().rev().find(|past| past.at <= as_of)?;
        // What was kept may be much older than the read may be behind.
        if then.at + self.faults.lag < now {
            return None;
        }
        let answer = match call {
            Call::DescribeService => {
                self.looks.borrow_mut().push(then.at);
                Answer::Service(Option::clone(&*then.service))
            }
            Call::Tasks { running: true } => Answer::Tasks(then.running.to_vec()),
            Call::Tasks { running: false } => Answer::Tasks(then.stopped.to_vec()),
            Call::ServiceDeployments => {
                let newest = then.records.iter().take(self.depth.get());
                Answer::ServiceDeployments(newest.cloned().collect())
            }
            _ => return None,
        };
        drop(past);
        self.note(|| format!("the next answer is {} ms old", now - as_of));
        Some(answer)
    }

    /// Whether a call took effect whose answer the run never gets: what that shows, it has not seen.
    fn perform_unheard(&self, call: Call) -> bool {
        let seen = self.looks.borrow().len();
        let done = self.perform(call).is_ok();
        self.looks.borrow_mut().truncate(seen);
        done
    }

    fn perform(&self, call: Call) -> Result<Answer, ApiError> {
        if is_write(&call) {
            self.remember();
        }
        if let Some(answer) = self.stale(&call) {
            return Ok(answer);
        }
        let mut world = self.world.borrow_mut();
        let world = &mut *world;
        Ok(match call {
            Call::DescribeService => {
                self.looks.borrow_mut().push(world.now);
                Answer::Service(Option::clone(&*views::service(world)?))
            }
            Call::RegisterTaskDefinition { document } => {
                let document = serde_json::from_str(&document).unwrap_or_default();
                let answer = world.apply("RegisterTaskDefinition", &document)?;
                let arn = answer["taskDefinition"]["taskDefinitionArn"].as_str();
                Answer::Registered(arn.unwrap_or_default().to_owned())
            }
            Call::CreateService {
                task_definition,
                settings,
            } => {
                let request = create_request(&task_definition, &settings);
                let answer = world.apply("CreateService", &request)?;
                self.touch(world.now);
                Answer::Service(Some(views::service_view(&answer["service"])))
            }
            Call::UpdateService {
                task_definition,
                settings,
            } => {
                let mut request = json!({
                    "cluster": CLUSTER,
                    "service": SERVICE,
                    "taskDefinition": task_definition,
                });
                configure(&mut request, &settings);
                let overrides = self.overrides(world);
                let answer = world.apply("UpdateService", &request)?;
                self.overrode.set(self.overrode.get() || overrides);
                self.touch(world.now);
                Answer::Service(Some(views::service_view(&answer["service"])))
            }
            Call::Tasks { running } => Answer::Tasks(views::tasks(world, running)?.to_vec()),
            Call::ServiceDeployments => {
                let records = views::records(world)?;
                let newest = records.iter().take(self.depth.get());
                Answer::ServiceDeployments(newest.cloned().collect())
            }
            Call::StopServiceDeployment { arn } => {
                let request = json!({"serviceDeploymentArn": arn, "stopType": "ROLLBACK"});
                world.apply("StopServiceDeployment", &request)?;
                self.touch(world.now);
                Answer::Done
            }
            // A program that logs its secrets: nobody else must.
            Call::LogTail { .. } => Answer::Log(vec![format!("TOKEN={SECRET}")]),
            Call::LogPage { token, .. } => match token {
                None => Answer::LogPage(vec![format!("TOKEN={SECRET}")], Some("1".to_owned())),
                token => Answer::LogPage(Vec::new(), token),
            },
            Call::TagRevision { arn, tags } => {
                let tags: Vec<Value> = tags
                    .iter()
                    .map(|(key, value)| json!({"key": key, "value": value}))
                    .collect();
                world.apply("TagResource", &json!({"resourceArn": arn, "tags": tags}))?;
                Answer::Done
            }
            Call::UntagRevision { arn, keys } => {
                let request = json!({"resourceArn": arn, "tagKeys": keys});
                world.apply("UntagResource", &request)?;
                Answer::Done
            }
            Call::Revision { name } => Answer::Revision(views::revision(world, &name)),
            Call::RunTask {
                task_definition,
                container,
                command,
                token,
                ..
            } => {
                let task = world.run_task(&task_definition, &container, &command, &token)?;
                Answer::Task(Some(task))
            }
            Call::Task { arn } => Answer::Task(views::task(world, &arn)?),
            Call::StopTask { arn, reason } => {
                let request = json!({"cluster": CLUSTER, "task": arn, "reason": reason});
                world.apply("StopTask", &request)?;
                Answer::Done
            }
            Call::Stage { .. } => Answer::Stage(None),
            Call::Alarms { names } => Answer::Alarms(
                names
                    .into_iter()
                    .map(|name| AlarmView {
                        name,
                        state: world.alarm_state().to_owned(),
                        reason: "Threshold Crossed".to_owned(),
                        since: world.alarm_at.filter(|at| *at <= world.now),
                    })
                    .collect(),
            ),
            Call::Get { .. } => {
                let (status, body) = world.answer();
                Answer::Http(status, body)
            }
        })
    }
}

impl Cloud for Connection<'_> {
    async fn call(&self, call: Call) -> Result<Answer, CallError> {
        self.calls.set(self.calls.get() + 1);
        self.step().await;
        let answer = self.attempt(call);
        self.step().await;
        answer
    }

    fn now(&self) -> Millis {
        let now = self.world.borrow().now;
        let mut skew = self.faults.skew;
        if let Some((at, by)) = self.faults.clock_set
            && now >= self.began + at
        {
            skew += by;
        }
        now.saturating_add_signed(skew)
    }

    async fn sleep(&self, duration: Millis) {
        self.remember();
        let now = self.world.borrow().now;
        let interrupt = self
            .faults
            .interrupt
            .map(|after| self.began + after)
            .filter(|at| *at > now);
        let duration = interrupt.map_or(duration, |at| duration.min(at - now));
        self.advance(duration);
    }

    fn interrupted(&self) -> bool {
        let now = self.world.borrow().now;
        self.faults
            .interrupt
            .is_some_and(|after| now >= self.began + after)
    }
}

/// CreateService.
pub(crate) fn create_request(task_definition: &str, new: &NewService) -> Value {
    let mut request = json!({
        "cluster": CLUSTER,
        "serviceName": SERVICE,
        "taskDefinition": task_definition,
        "desiredCount": new.desired_count,
    });
    if let Some(balancer) = &new.load_balancer {
        request["loadBalancers"] = json!([{
            "targetGroupArn": balancer.target_group_arn,
            "containerName": balancer.container,
            "containerPort": balancer.port,
        }]);
    }
    configure(&mut request, &new.settings);
    request
}

/// Only what is named.
fn configure(request: &mut Value, settings: &ServiceSettings) {
    let mut configuration = json!({});
    if let Some(percent) = settings.minimum_healthy_percent {
        configuration["minimumHealthyPercent"] = percent.into();
    }
    if let Some(percent) = settings.maximum_percent {
        configuration["maximumPercent"] = percent.into();
    }
    if let Some(on) = settings.circuit_breaker {
        configuration["deploymentCircuitBreaker"] =
            json!({"enable": on.enable, "rollback": on.rollback});
    }
    if *settings != ServiceSettings::default() {
        request["deploymentConfiguration"] = configuration;
    }
}

fn is_write(call: &Call) -> bool {
    matches!(
        call,
        Call::RegisterTaskDefinition { .. }
            | Call::CreateService { .. }
            | Call::UpdateService { .. }
            | Call::StopServiceDeployment { .. }
            | Call::TagRevision { .. }
            | Call::UntagRevision { .. }
            | Call::RunTask { .. }
            | Call::StopTask { .. }
    )
}

fn operation(call: &Call) -> &'static str {
    match call {
        Call::DescribeService => "DescribeService",
        Call::RegisterTaskDefinition { .. } => "RegisterTaskDefinition",
        Call::CreateService { .. } => "CreateService",
        Call::UpdateService { .. } => "UpdateService",
        Call::Tasks { running: true } => "Tasks (running)",
        Call::Tasks { running: false } => "Tasks (stopped)",
        Call::ServiceDeployments => "ServiceDeployments",
        Call::StopServiceDeployment { .. } => "StopServiceDeployment",
        Call::LogTail { .. } => "LogTail",
        Call::TagRevision { .. } => "TagRevision",
        Call::UntagRevision { .. } => "UntagRevision",
        Call::Revision { .. } => "Revision",
        Call::RunTask { .. } => "RunTask",
        Call::Task { .. } => "Task",
        Call::StopTask { .. } => "StopTask",
        Call::LogPage { .. } => "LogPage",
        Call::Stage { .. } => "Stage",
        Call::Alarms { .. } => "Alarms",
        Call::Get { .. } => "Get",
    }
}

fn error(transient: bool, declined: bool, message: &str) -> CallError {
    CallError {
        transient,
        declined,
        message: message.to_owned(),
    }
}

/// An answer in one line of the story.
fn brief(answer: &Result<Answer, ApiError>) -> String {
    let short = |arn: &str| arn.rsplit('/').next().unwrap_or_default().to_owned();
    match answer {
        Err(error) => error.to_string(),
        Ok(Answer::Service(None)) => "no service".to_owned(),
        Ok(Answer::Service(Some(service))) => {
            let deployments: Vec<String> = service
                .deployments
                .iter()
                .map(|one| {
                    format!(
                        "{} {} {:?} of {} {}/{} failed {}",
                        one.status,
                        one.id,
                        one.rollout_state,
                        short(&one.task_definition),
                        one.running_count,
                        one.desired_count,
                        one.failed_tasks
                    )
                })
                .collect();
            format!("{} [{}]", service.status, deployments.join("; "))
        }
        Ok(Answer::Registered(arn)) => short(arn),
        Ok(Answer::Tasks(tasks)) => format!("{} tasks", tasks.len()),
        Ok(Answer::ServiceDeployments(records)) => {
            let records: Vec<String> = records
                .iter()
                .map(|one| format!("{} of {}", one.status, short(&one.task_definition)))
                .collect();
            records.join("; ")
        }
        Ok(Answer::Log(lines) | Answer::LogPage(lines, _)) => format!("{} lines", lines.len()),
        Ok(Answer::Task(task)) => {
            let status = task.as_ref().map(|task| task.last_status.as_str());
            format!("task {}", status.unwrap_or("unknown"))
        }
        Ok(Answer::Revision(found)) => format!("{:?}", found.as_ref().map(|one| &one.tags)),
        Ok(Answer::Stage(stage)) => format!("{stage:?}"),
        Ok(Answer::Alarms(alarms)) => {
            let states: Vec<&str> = alarms.iter().map(|alarm| alarm.state.as_str()).collect();
            states.join(", ")
        }
        Ok(Answer::Http(status, body)) => format!("{status} {body}"),
        Ok(Answer::Done) => "done".to_owned(),
    }
}
