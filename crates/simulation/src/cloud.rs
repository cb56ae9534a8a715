//! AWS as one run sees it: the world, behind a network that fails as the run's faults say.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use fastrand::Rng;
use local_cloud::error::ApiError;
use rollout::execute::{Answer, Call, CallError, Cloud};
use rollout::facts::{AlarmView, Facts, Millis, ServiceView};
use rollout::plan::Plan;
use serde_json::{Value, json};

use crate::faults::Faults;
use crate::past::Past;
use crate::request::{brief, configure, create_request, error, is_write, operation};
use crate::turns::Turn;
use crate::version::SECRET;
use crate::views;
use crate::world::{Act, CLUSTER, SERVICE, World, Write};

/// So many service deployments are read to watch one.
const WATCHED: usize = 5;
/// A run that has made so many calls will not end.
const MOST_CALLS: u64 = 20_000;

/// One run's connection to the world.
pub(crate) struct Connection<'a> {
    world: &'a RefCell<World>,
    faults: &'a Faults,
    /// Which of the runs that race this is.
    who: usize,
    /// Stands before each line that the run adds to the story.
    name: &'a str,
    turn: &'a Turn,
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
    /// The PRIMARY deployment that the run's plan was made for.
    guard: RefCell<Option<String>>,
    /// What the run registered.
    registered: RefCell<Option<String>>,
    /// Whether the run replaced the release of another without knowing of it, though both have made a claim.
    pub(crate) overran: Cell<bool>,
    /// The time of the state that each look at the service showed.
    pub(crate) looks: RefCell<Vec<Millis>>,
}

enum Fault {
    Throttled,
    ServerError,
    Lost,
    LostForGood,
}

/// Which run a connection belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Who<'a> {
    /// Which of those that race.
    pub(crate) index: usize,
    /// Stands before each line that the run adds to the story.
    pub(crate) name: &'a str,
    pub(crate) turn: &'a Turn,
    /// When it begins.
    pub(crate) began: Millis,
}

impl<'a> Connection<'a> {
    pub(crate) fn new(
        world: &'a RefCell<World>,
        faults: &'a Faults,
        who: Who<'a>,
        rng: Rng,
    ) -> Self {
        Self {
            began: who.began,
            who: who.index,
            name: who.name,
            turn: who.turn,
            world,
            faults,
            rng: RefCell::new(rng),
            past: RefCell::default(),
            steps: Cell::new(0),
            depth: Cell::new(WATCHED),
            calls: Cell::new(0),
            touched: Cell::new(None),
            overrode: Cell::new(false),
            guard: RefCell::default(),
            registered: RefCell::default(),
            overran: Cell::new(false),
            looks: RefCell::default(),
        }
    }

    /// The plan that the run carries out.
    pub(crate) fn follow(&self, plan: &Plan) {
        self.guard.replace(plan.guard.primary_deployment.clone());
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

    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        let name = self.name;
        self.world.borrow_mut().note(|| format!("{name}{}", line()));
    }

    async fn attempt(&self, call: Call) -> Result<Answer, CallError> {
        let name = operation(&call);
        let latency = self.rng.borrow_mut().u64(10..300);
        self.pass(latency).await;
        let since = self.world.borrow().now - self.began;
        if let Some((from, duration)) = self.faults.outage
            && (from..from + duration).contains(&since)
        {
            self.pass(5_000).await;
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

    /// Keeps that the run changed the service.
    fn touch(&self, world: &mut World, deploys: Option<&str>, begins: bool) {
        self.touched.set(self.touched.get().or(Some(world.now)));
        world.writes.push(Write {
            at: world.now,
            who: self.who,
            deploys: deploys.map(str::to_owned),
            begins,
            releases: deploys.is_some() && deploys == self.registered.borrow().as_deref(),
        });
    }

    /// Somebody else deployed after this run did, that is live, this run has seen it, and now it updates the service to something else all the same.
    fn overrides(&self, world: &mut World, target: &str) -> bool {
        let Some(touched) = self.touched.get() else {
            return false;
        };
        let service = views::service(world).unwrap_or_default();
        let Some(live) = Option::as_ref(&service).map(|service| &service.task_definition) else {
            return false;
        };
        let version = world.version_of(live);
        let looks = self.looks.borrow();
        let seen = |at: Millis| at > touched && looks.iter().any(|look| *look > at);
        let acts = world.done.iter().any(|(at, act)| {
            matches!(act, Act::Deploy(number) if Some(*number) == version) && seen(*at)
        });
        acts || live != target
            && world.writes.iter().any(|write| {
                write.who != self.who
                    && write.begins
                    && write.deploys.as_ref() == Some(live)
                    && seen(write.at)
            })
    }

    /// Another has just deployed what it registered, this run does not know of it, and is about to deploy what it registered itself.
    fn overruns(&self, world: &mut World, target: &str) -> bool {
        let guard = self.guard.borrow();
        let (None, Some(guard)) = (self.touched.get(), guard.as_ref()) else {
            return false;
        };
        let service = views::service(world).unwrap_or_default();
        let primary = Option::as_ref(&service).and_then(ServiceView::primary);
        let other = world.writes.last().filter(|last| last.who != self.who);
        let (Some(primary), Some(other)) = (primary, other) else {
            return false;
        };
        let somebody = world.done.iter().any(|(at, _)| *at >= other.at);
        primary.id != *guard
            && other.releases
            && other.deploys.as_ref() == Some(&primary.task_definition)
            && !somebody
            && self.registered.borrow().as_deref() == Some(target)
    }

    /// Lets time pass, and others act meanwhile.
    async fn pass(&self, duration: Millis) {
        let until = self.world.borrow().now + duration;
        self.turn.wait(until).await;
    }

    /// Keeps what reads would answer now, for reads that lag.
    fn remember(&self) {
        if self.faults.stale == 0 {
            return;
        }
        let now = Past::of(&mut self.world.borrow_mut());
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
        let answer = then.answer(call, self.depth.get())?;
        if *call == Call::DescribeService {
            self.looks.borrow_mut().push(then.at);
        }
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
                self.registered.replace(arn.map(str::to_owned));
                Answer::Registered(arn.unwrap_or_default().to_owned())
            }
            Call::CreateService {
                task_definition,
                settings,
            } => {
                let request = create_request(&task_definition, &settings);
                let answer = world.apply("CreateService", &request)?;
                self.touch(world, Some(&task_definition), true);
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
                let overrides = self.overrides(world, &task_definition);
                let overruns = self.overruns(world, &task_definition);
                let before = primary(world);
                let answer = world.apply("UpdateService", &request)?;
                let begins = primary(world) != before;
                self.overrode.set(self.overrode.get() || overrides);
                self.overran.set(self.overran.get() || overruns);
                self.touch(world, Some(&task_definition), begins);
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
                self.touch(world, None, false);
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
        let answer = self.attempt(call).await;
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
        self.pass(duration).await;
    }

    fn interrupted(&self) -> bool {
        let now = self.world.borrow().now;
        self.faults
            .interrupt
            .is_some_and(|after| now >= self.began + after)
    }
}

/// ID of the PRIMARY deployment.
fn primary(world: &mut World) -> Option<String> {
    let service = views::service(world).unwrap_or_default();
    let primary = Option::as_ref(&service).and_then(ServiceView::primary);
    primary.map(|primary| primary.id.clone())
}
