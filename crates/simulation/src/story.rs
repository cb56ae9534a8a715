//! One story from its seed: the service comes to be, run follows run, and each is judged.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use fastrand::Rng;
use local_cloud::ecs::TargetGroup;
use local_cloud::task::Millis;
use rollout::execute::{End, Ended, Event, execute};
use rollout::facts::{RolloutState, ServiceView};
use rollout::plan::{
    self, BeforeTask, Check, ExpectedImage, LoadBalancer, Marker, NewService, Placement, Plan,
    ServiceSettings, Wanted,
};
use rollout::preflight::{self, Answers, Finding, FindingSeverity};
use serde_json::Value;

use crate::cloud::{Connection, create_request};
use crate::judge::{Case, Truth, judge};
use crate::scenario::{Alarm, Run, Scenario, Task};
use crate::version::{self, Chores, Fate, SECRET};
use crate::views;
use crate::world::{Act, CLUSTER, SERVICE, World};

/// The version that runs before the first release.
const FIRST: u64 = 1;

/// A story that was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its seed.
    pub seed: u64,
    /// What was deployed and how that ended, for each run.
    pub runs: Vec<(&'static str, &'static str)>,
    /// What was wrong with outcomes.
    pub violations: Vec<String>,
    /// Requests to AWS.
    pub calls: u64,
    /// Virtual time that passed.
    pub virtual_ms: Millis,
    /// What happened, line by line; empty unless it was asked for.
    pub timeline: Vec<String>,
}

/// How a run came to its end.
enum Outcome {
    /// There was a plan, and it was carried out.
    Ended(Box<(Plan, Ended)>),
    /// Nothing was done: there was no plan.
    NoPlan(String),
    /// The process died.
    Died,
}

/// Tells the story of a seed; writes it down when `record` is set.
pub fn tell(seed: u64, record: bool) -> Told {
    let mut rng = Rng::with_seed(seed);
    let scenario = Scenario::draw(&mut rng);
    let mut world = World::new(
        seed,
        scenario.pace.clone(),
        scenario.checks,
        scenario.quick,
        record,
    );
    let began = world.now;
    let create = set_up(&scenario, &mut world);
    let mut story = Story {
        scenario: &scenario,
        create,
        world: RefCell::new(world),
        rng,
        target: None,
        died: false,
        told: Told {
            seed,
            runs: Vec::new(),
            violations: Vec::new(),
            calls: 0,
            virtual_ms: 0,
            timeline: Vec::new(),
        },
    };
    for run in &scenario.runs {
        story.run(run);
        if !story.told.violations.is_empty() {
            break;
        }
    }
    let world = story.world.get_mut();
    story.told.virtual_ms = world.now - began;
    story.told.timeline = world.take_story();
    story.told
}

/// What infrastructure code would have made; how the service is made where it is not there.
fn set_up(scenario: &Scenario, world: &mut World) -> NewService {
    let group = TargetGroup {
        interval_seconds: 10,
        deregistration_delay_seconds: 30,
        ..TargetGroup::new("api")
    };
    let now = world.now;
    let group = world.ecs.put_target_group(group, now);
    let create = NewService {
        desired_count: scenario.desired,
        load_balancer: scenario.checks.balancer.then(|| LoadBalancer {
            target_group_arn: group,
            container: "app".to_owned(),
            port: 8080,
        }),
        subnets: Vec::new(),
        settings: scenario.settings.clone(),
    };
    if scenario.exists {
        let document = version::document(FIRST, scenario.checks);
        let made = world
            .apply("RegisterTaskDefinition", &document)
            .and_then(|answer| {
                let arn = answer["taskDefinition"]["taskDefinitionArn"].as_str();
                world.apply(
                    "CreateService",
                    &create_request(arn.unwrap_or_default(), &create),
                )
            });
        if let Err(error) = made {
            world.note(|| format!("the service cannot be made: {error}"));
        }
        world.advance(now + 600_000);
    }
    create
}

struct Story<'a> {
    scenario: &'a Scenario,
    create: NewService,
    world: RefCell<World>,
    rng: Rng,
    /// What the last release was to bring.
    target: Option<(u64, Fate)>,
    /// Whether the run before died.
    died: bool,
    told: Told,
}

impl Story<'_> {
    fn run(&mut self, run: &Run) {
        let (before, began) = self.begin(run);
        let (wanted, fate) = match run.task {
            Task::Deploy(number, fate) => (Some(number), fate),
            Task::Again => self
                .target
                .map_or((Some(FIRST), Fate::Good), |(number, fate)| {
                    (Some(number), fate)
                }),
            Task::Rollback => (None, Fate::Good),
        };
        if let Some(number) = wanted {
            self.target = Some((number, fate));
            self.world.get_mut().set_fate(number, fate);
            if let Some((_, chores)) = run.before {
                self.world.get_mut().set_chores(number, chores);
            }
        }
        self.world.get_mut().alarm_at = run.alarm.fires().map(|after| began + after);
        let connection = Connection::new(&self.world, &run.faults, self.rng.fork());
        let mut events = Vec::new();
        let outcome = {
            let future = pin!(self.carry_out(run, wanted, &connection, &mut events));
            poll_once(future)
        };
        let (calls, touched) = (connection.calls.get(), connection.touched.get().is_some());
        let overrode = connection.overrode.get();
        let looks = connection.looks.take();
        self.told.calls += calls;
        let scenario = match wanted {
            Some(_) => fate.name(),
            None => "rollback",
        };
        let ended_at = self.world.get_mut().now;
        self.world.get_mut().acts.clear();
        let name = match &outcome {
            Outcome::Ended(done) => match done.1.end {
                End::Unchanged => "unchanged",
                End::Succeeded => "succeeded",
                End::RolledBack => "rolled back",
                End::Failed => "failed",
                End::Unreleased => "unreleased",
                End::Refused => "refused",
            },
            Outcome::NoPlan(_) => "no plan",
            Outcome::Died => "died",
        };
        self.told.runs.push((scenario, name));
        self.world.get_mut().note(|| match &outcome {
            Outcome::Ended(done) => format!("THE END: {:?}", done.1),
            Outcome::NoPlan(why) => format!("THE END: no plan: {why}"),
            Outcome::Died => "THE END: died".to_owned(),
        });

        if events.iter().any(|event| event.contains(SECRET)) {
            self.told
                .violations
                .push("an event holds a secret".to_owned());
        }
        if overrode {
            self.wrong("the run replaced a deployment of somebody else");
        }
        let again = self.died;
        self.died = matches!(outcome, Outcome::Died);
        match outcome {
            Outcome::Died if run.faults.death.is_none() => self.wrong("the run does not end"),
            Outcome::Died => {}
            Outcome::NoPlan(why) => {
                if why.contains(SECRET) {
                    self.wrong("a refusal holds a secret");
                }
                if touched {
                    self.wrong("there was no plan, but the service was changed");
                }
            }
            Outcome::Ended(done) => {
                let (plan, ended) = *done;
                if format!("{ended:?}{:?}", plan.differences).contains(SECRET) {
                    self.wrong("the outcome holds a secret");
                }
                // The last looks at the service are what the outcome rests on.
                let evidence = looks.iter().rev().nth(2).or(looks.first());
                let since = evidence.copied().unwrap_or(began);
                let calm = before
                    .as_ref()
                    .is_some_and(|service| is_calm(service, self.scenario.desired));
                let manned = before
                    .as_ref()
                    .is_some_and(|service| service.desired_count == self.scenario.desired);
                let hope = Hope {
                    undisturbed: run.acts.is_empty() && run.faults.pass() && !run.tight,
                    calm,
                    fate,
                    again: again && manned,
                    old: before
                        .filter(|_| calm)
                        .map(|service| service.task_definition),
                    exact: run.faults.lag == 0,
                    unhindered: run.alarm.fires().is_none()
                        && run.before.is_none_or(|(marker, chores)| {
                            marker != Marker::Never && chores == Chores::default()
                        }),
                };
                let chores = self.chores(&plan, &ended);
                let alarmed = self.alarmed(run, &plan, &ended, began);
                let wrong_answers = run.checked && fate == Fate::AnswersWrongly;
                let around = Around {
                    touched,
                    since,
                    chores,
                    alarmed,
                    wrong_answers: wrong_answers && !plan.checks.is_empty(),
                };
                self.check(&plan, &ended, wanted, &around);
                self.hope(&plan, &ended, wanted, &hope);
                let took = (ended_at - began) / 1000;
                if run.faults.pass() && took > 2 * run.timeout_seconds + 2_000 {
                    self.wrong(format!("the run took {took} s"));
                }
            }
        }
    }

    /// Lets the pause pass and draws up what others do; the service before the run, and the time.
    fn begin(&mut self, run: &Run) -> (Option<ServiceView>, Millis) {
        let world = self.world.get_mut();
        world.advance(world.now + run.pause);
        let began = world.now;
        world.acts = run
            .acts
            .iter()
            .map(|(after, act)| (began + after, *act))
            .collect();
        world.acts.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        world.done.clear();
        let task = run.task;
        world.note(|| {
            format!(
                "A RUN: {task:?} {:?} timeout {} s",
                run.faults, run.timeout_seconds
            )
        });
        (
            views::service(world)
                .ok()
                .and_then(|service| Option::clone(&*service)),
            began,
        )
    }

    /// What the commands `deploy` and `rollback` do once there is an image.
    async fn carry_out(
        &self,
        run: &Run,
        wanted: Option<u64>,
        connection: &Connection<'_>,
        events: &mut Vec<String>,
    ) -> Outcome {
        let facts = match connection.facts().await {
            Ok(facts) => facts,
            Err(error) => return Outcome::NoPlan(error.message),
        };
        let planned = match wanted {
            Some(number) => plan::deploy(self.wanted(run, number), &facts),
            None => plan::rollback(
                CLUSTER.to_owned(),
                SERVICE.to_owned(),
                &facts,
                None,
                None,
                run.timeout_seconds,
            ),
        };
        let mut plan = match planned {
            Ok(plan) => plan,
            Err(refusal) => return Outcome::NoPlan(refusal.to_string()),
        };
        let found = preflight::findings(&Value::Null, &facts, &plan, &Answers::default());
        let stops = |finding: &&Finding| finding.severity == FindingSeverity::Error;
        if let Some(finding) = found.iter().find(stops) {
            return Outcome::NoPlan(finding.message.clone());
        }
        if wanted.is_none()
            && let Some(document) = plan.target().and_then(|target| connection.document(target))
        {
            plan.image = ExpectedImage::of(&document, "app");
        }
        let mut tell = |event: Event| {
            let event = format!("{event:?}");
            self.world.borrow_mut().note(|| event.clone());
            events.push(event);
        };
        let ended = execute(&plan, connection, &mut tell).await;
        Outcome::Ended(Box::new((plan, ended)))
    }

    fn wanted(&self, run: &Run, number: u64) -> Wanted {
        Wanted {
            cluster: CLUSTER.to_owned(),
            service: SERVICE.to_owned(),
            document: version::document(number, self.scenario.checks).to_string(),
            image: ExpectedImage {
                container: "app".to_owned(),
                reference: version::image(number),
            },
            settings: ServiceSettings {
                circuit_breaker: run.settings.circuit_breaker,
                ..ServiceSettings::default()
            },
            create: Some(self.create.clone()),
            timeout_seconds: run.timeout_seconds,
            supersede: run.supersede,
            before: run
                .before
                .map(|(marker, _)| chore(marker))
                .into_iter()
                .collect(),
            checks: run.checked.then(|| check(number)).into_iter().collect(),
            bake_seconds: run.bake_seconds,
            alarms: match run.alarm {
                Alarm::Unwatched => Vec::new(),
                Alarm::Quiet | Alarm::Fires(_) => vec!["errors".to_owned()],
            },
            tags: BTreeMap::from([("longshore:service".to_owned(), SERVICE.to_owned())]),
            ..Wanted::default()
        }
    }

    /// What the task before says about the way back, whether it did its work, and whether its reverse did.
    fn chores(&mut self, plan: &Plan, ended: &Ended) -> (Option<Marker>, bool, bool) {
        let marker = plan.steps.iter().find_map(|step| match step {
            plan::Step::RunTask { task } => Some(task.marker),
            plan::Step::Adopt { ran, .. } => ran.first().map(|task| task.marker),
            _ => None,
        });
        // Not what a run before this one had begun, with a revision of its own.
        let done = &self.world.get_mut().ended_well;
        let did = |command: &str| {
            done.iter().any(|(definition, done)| {
                ended.task_definition.as_ref() == Some(definition) && done == command
            })
        };
        (marker, did(version::MIGRATE), did(version::REVERSE))
    }

    /// Whether the alarm fired while it was watched, and long enough before the verdict to be seen.
    fn alarmed(&mut self, run: &Run, plan: &Plan, ended: &Ended, began: Millis) -> bool {
        let judged = self.world.get_mut().now;
        let fired = run.alarm.fires().map(|after| began + after);
        let readable = run.faults.pass() && run.faults.skew == 0;
        fired.is_some_and(|at| {
            // Alarms are looked at every ten seconds, where something else goes wrong less often.
            readable
                && !plan.alarms.is_empty()
                && !plan.steps.is_empty()
                && ended.changed_at.is_some_and(|changed| at > changed)
                && at + 60_000 < judged
                && plan.bake_seconds > 90
        })
    }

    /// Whether the outcome is true now, and still is after a while.
    fn check(&mut self, plan: &Plan, ended: &Ended, wanted: Option<u64>, around: &Around) {
        let (marker, migrated, reversed) = around.chores;
        for settled in [false, true] {
            let world = self.world.get_mut();
            if settled {
                world.advance(world.now + 90_000);
            }
            let truth = look(world);
            let live = truth
                .version
                .map_or(Fate::Good, |number| world.fate(number));
            let killed = world
                .done
                .iter()
                .any(|(_, act)| matches!(act, Act::KillTask | Act::Scale(_)));
            let case = Case {
                plan,
                ended,
                wanted,
                touched: around.touched,
                disturbed: world
                    .done
                    .iter()
                    .any(|(at, act)| *at >= around.since && *act != Act::KillTask),
                steady: matches!(live, Fate::Good | Fate::AnswersWrongly) && !killed,
                marker,
                migrated,
                reversed,
                alarmed: around.alarmed,
                wrong_answers: around.wrong_answers,
            };
            if let Some(what) = judge(&case, &truth) {
                let when = if settled { " (after a while)" } else { "" };
                self.wrong(format!("{what}{when}"));
                return;
            }
        }
    }

    /// Where nothing but what passes went wrong, the outcome is not free: a good release succeeds, a hopeless one is rolled back.
    fn hope(&mut self, plan: &Plan, ended: &Ended, wanted: Option<u64>, hope: &Hope) {
        if !hope.undisturbed {
            return;
        }
        // What is live already and is to prove itself is none to return to.
        let again = |old: &String| {
            plan.steps.iter().any(|step| matches!(step, plan::Step::Adopt { task_definition, .. } if task_definition == old))
        };
        if hope.exact
            && let Some(old) = &hope.old
            && !plan.steps.is_empty()
            && !again(old)
            && plan.way_back.as_ref() != Some(old)
        {
            self.wrong(format!(
                "the way back is {:?}, but {old} served",
                plan.way_back
            ));
        }
        let first = wanted.is_some() && plan.guard.primary_deployment.is_none();
        let good = hope.fate == Fate::Good && wanted.is_some() && hope.unhindered;
        let done = matches!(ended.end, End::Succeeded | End::Unchanged);
        if good && (hope.calm || first || hope.again && self.is_own(plan, wanted)) && !done {
            self.wrong(format!("a good release ended as {:?}", ended.end));
        }
        let old_is_good = hope
            .old
            .as_ref()
            .and_then(|old| self.world.get_mut().version_of(old))
            .is_some_and(|number| self.world.get_mut().fate(number) == Fate::Good);
        let hopeless = wanted.is_some() && hope.fate.is_hopeless();
        if hopeless && done && (hope.calm || first) {
            self.wrong(format!("a hopeless release ended as {:?}", ended.end));
        }
        let back = !matches!(ended.end, End::RolledBack);
        if hopeless && hope.calm && old_is_good && hope.unhindered && back {
            self.wrong(format!("a hopeless release ended as {:?}", ended.end));
        }
    }

    /// Whether the plan follows a deployment of what it wants.
    fn is_own(&mut self, plan: &Plan, wanted: Option<u64>) -> bool {
        plan.steps.iter().any(|step| match step {
            plan::Step::Adopt {
                task_definition, ..
            } => self.world.get_mut().version_of(task_definition) == wanted,
            _ => false,
        })
    }

    fn wrong(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.world.get_mut().note(|| format!("WRONG: {what}"));
        self.told.violations.push(what);
    }
}

/// What is known of a run besides its plan and end.
struct Around {
    /// Whether it changed anything of the service.
    touched: bool,
    /// The time of the last looks that it rests on.
    since: Millis,
    chores: (Option<Marker>, bool, bool),
    alarmed: bool,
    wrong_answers: bool,
}

fn chore(marker: Marker) -> BeforeTask {
    BeforeTask {
        name: "migrate".to_owned(),
        container: "app".to_owned(),
        command: vec![version::MIGRATE.to_owned()],
        timeout_seconds: 120,
        marker,
        reverse: (marker == Marker::Reverse).then(|| vec![version::REVERSE.to_owned()]),
        placement: Placement::default(),
    }
}

fn check(number: u64) -> Check {
    Check {
        url: "https://api.example.com/version".to_owned(),
        status: 200,
        contains: Some(version::body(number)),
        within_seconds: 60,
    }
}

/// What may be asked of a run besides the truth.
struct Hope {
    /// Nothing went wrong but what passes.
    undisturbed: bool,
    /// The service was at rest before.
    calm: bool,
    fate: Fate,
    /// The run before died, and nobody has changed the number of tasks, for which the percentages may leave no room.
    again: bool,
    /// ARN of the revision that served before, if it was at rest.
    old: Option<String>,
    /// No read lagged.
    exact: bool,
    /// Nothing but the rollout itself decides.
    unhindered: bool,
}

/// Whether the service is at rest, with the number of tasks that its percentages are made for.
fn is_calm(service: &ServiceView, desired: u32) -> bool {
    service.status == "ACTIVE"
        && service.desired_count == desired
        && service.deployments.len() == 1
        && service
            .primary()
            .is_some_and(|primary| primary.rollout_state == Some(RolloutState::Completed))
}

fn look(world: &mut World) -> Truth {
    let service = views::service(world)
        .ok()
        .and_then(|service| Option::clone(&*service));
    let definition = service
        .as_ref()
        .map(|service| service.task_definition.clone());
    Truth {
        version: definition.and_then(|definition| world.version_of(&definition)),
        running: views::tasks(world, true).unwrap_or_default().to_vec(),
        service,
    }
}

/// Virtual time never has to be waited for: what is not done after one poll never will be.
fn poll_once(mut future: std::pin::Pin<&mut impl Future<Output = Outcome>>) -> Outcome {
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Outcome::Died,
    }
}
