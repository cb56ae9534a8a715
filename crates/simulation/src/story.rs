//! One story from its seed: the service comes to be, chapter follows chapter, and each run is judged.

use std::cell::RefCell;

use fastrand::Rng;
use local_cloud::ecs::TargetGroup;
use local_cloud::task::Millis;
use rollout::execute::End;
use rollout::facts::ServiceView;
use rollout::plan::{LoadBalancer, NewService};
use serde::Serialize;

use crate::cloud::{Connection, Who};
use crate::command::{Command, Outcome};
use crate::judge::Truth;
use crate::request::create_request;
use crate::scenario::{Run, Scenario, Task};
use crate::turns::{Runner, Turn, take_turns};
use crate::version::{self, Fate};
use crate::views;
use crate::weigh::{Chores, look};
use crate::world::World;

/// The version that runs before the first release.
const FIRST: u64 = 1;

/// What a story is about. Each seed has one of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Releases and rollbacks, one after the other.
    Alone,
    /// Runs that do not know of each other, at the same time.
    Race,
}

/// A story that was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What it is about.
    pub kind: Kind,
    /// Its seed.
    pub seed: u64,
    /// What was deployed and how that ended, for each run.
    pub runs: Vec<(&'static str, &'static str)>,
    /// How the runs that raced ended: `deploy succeeded, rollback refused`.
    pub races: Vec<String>,
    /// What was wrong with outcomes.
    pub violations: Vec<String>,
    /// Requests to AWS.
    pub calls: u64,
    /// Virtual time that passed.
    pub virtual_ms: Millis,
    /// What happened, line by line; empty unless it was asked for.
    pub timeline: Vec<String>,
}

/// Tells the story of a seed; writes it down when `record` is set.
pub fn tell(kind: Kind, seed: u64, record: bool) -> Told {
    let mut rng = Rng::with_seed(match kind {
        Kind::Alone => seed,
        // Another story than that of the same seed alone.
        Kind::Race => seed ^ 0x72ac_e000_0000_0000,
    });
    let scenario = match kind {
        Kind::Alone => Scenario::alone(&mut rng),
        Kind::Race => Scenario::race(&mut rng),
    };
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
            kind,
            seed,
            runs: Vec::new(),
            races: Vec::new(),
            violations: Vec::new(),
            calls: 0,
            virtual_ms: 0,
            timeline: Vec::new(),
        },
    };
    for runs in &scenario.chapters {
        story.chapter(runs);
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

pub(crate) struct Story<'a> {
    pub(crate) scenario: &'a Scenario,
    create: NewService,
    pub(crate) world: RefCell<World>,
    rng: Rng,
    /// What the last release was to bring.
    target: Option<(u64, Fate)>,
    /// Whether the run before died, on its way to a release.
    pub(crate) died: bool,
    pub(crate) told: Told,
}

/// A chapter as it is when it begins.
pub(crate) struct Opening {
    /// The service before.
    pub(crate) service: Option<ServiceView>,
    pub(crate) began: Millis,
}

/// A run that is over.
pub(crate) struct Over<'a> {
    /// Which of those that raced.
    pub(crate) index: usize,
    pub(crate) run: &'a Run,
    /// The version that it was to bring; none for a rollback.
    pub(crate) wanted: Option<u64>,
    pub(crate) fate: Fate,
    pub(crate) began: Millis,
    pub(crate) at: Millis,
    pub(crate) outcome: Outcome,
    /// What the model knew at its end.
    pub(crate) truth: Truth,
    pub(crate) chores: Chores,
    pub(crate) calls: u64,
    /// Whether it changed anything of the service.
    pub(crate) touched: bool,
    /// Whether it replaced somebody else's deployment that it had seen begin after its own.
    pub(crate) overrode: bool,
    /// Whether it replaced the release of another without knowing of it.
    pub(crate) overran: bool,
    /// The time of the state that each of its looks at the service showed.
    pub(crate) looks: Vec<Millis>,
    pub(crate) events: Vec<String>,
    /// So many of the others' acts and writes had happened by its end.
    pub(crate) acts: usize,
    pub(crate) writes: usize,
}

impl Over<'_> {
    /// How it ended, for reports.
    pub(crate) fn name(&self) -> &'static str {
        match &self.outcome {
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
        }
    }
}

impl Story<'_> {
    /// One run, or several that race.
    fn chapter(&mut self, runs: &[Run]) {
        let opening = self.begin(runs);
        let orders: Vec<(Option<u64>, Fate)> = runs.iter().map(|run| self.order(run)).collect();
        let alarm = runs.iter().filter_map(|run| run.alarm.fires()).min();
        self.world.get_mut().alarm_at = alarm.map(|after| opening.began + after);
        let over = self.let_run(runs, &orders, opening.began);
        self.world.get_mut().acts.clear();
        for one in &over {
            let scenario = match one.wanted {
                Some(_) => one.fate.name(),
                None => "rollback",
            };
            self.told.runs.push((scenario, one.name()));
            self.told.calls += one.calls;
        }
        if over.len() > 1 {
            let ends: Vec<String> = over
                .iter()
                .map(|one| {
                    let command = one.wanted.map_or("rollback", |_| "deploy");
                    format!("{command} {}", one.name())
                })
                .collect();
            self.told.races.push(ends.join(", "));
        }
        self.weigh(&opening, &over);
        let died = matches!(&over[..], [only] if matches!(only.outcome, Outcome::Died));
        // One that was on its way back has left nothing that another could bring to a good end.
        self.died = died && self.world.get_mut().writes.iter().all(|one| one.releases);
    }

    /// Lets the pause pass and draws up what others do; the service before the chapter, and the time.
    fn begin(&mut self, runs: &[Run]) -> Opening {
        let world = self.world.get_mut();
        world.advance(world.now + runs.first().map_or(0, |run| run.pause));
        let began = world.now;
        world.acts.clear();
        for (index, run) in runs.iter().enumerate() {
            let begins = begins(began, index, run);
            let acts = run.acts.iter().map(|(after, act)| (begins + after, *act));
            world.acts.extend(acts);
        }
        world.acts.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        world.done.clear();
        world.writes.clear();
        for (index, run) in runs.iter().enumerate() {
            let name = name(runs, index);
            world.note(|| {
                format!(
                    "{name}A RUN: {:?} {:?} timeout {} s",
                    run.task, run.faults, run.timeout_seconds
                )
            });
        }
        let service = views::service(world).ok();
        Opening {
            service: service.and_then(|service| Option::clone(&*service)),
            began,
        }
    }

    /// The version that a run is to bring, and what becomes of it.
    fn order(&mut self, run: &Run) -> (Option<u64>, Fate) {
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
        (wanted, fate)
    }

    /// Carries the runs out, in turn, until all are over; in the order in which they began.
    fn let_run<'r>(
        &mut self,
        runs: &'r [Run],
        orders: &[(Option<u64>, Fate)],
        began: Millis,
    ) -> Vec<Over<'r>> {
        let world = &self.world;
        let turns: Vec<Turn> = runs
            .iter()
            .enumerate()
            .map(|(index, run)| Turn::new(begins(began, index, run)))
            .collect();
        let connections: Vec<Connection<'_>> = runs
            .iter()
            .zip(&turns)
            .enumerate()
            .map(|(index, (run, turn))| {
                let who = Who {
                    index,
                    name: name(runs, index),
                    turn,
                    began: begins(began, index, run),
                };
                Connection::new(world, &run.faults, who, self.rng.fork())
            })
            .collect();
        let commands: Vec<Command<'_>> = runs
            .iter()
            .zip(orders)
            .map(|(run, (wanted, _))| Command {
                scenario: self.scenario,
                create: &self.create,
                run,
                wanted: *wanted,
            })
            .collect();
        let mut events: Vec<Vec<String>> = vec![Vec::new(); runs.len()];
        let mut over: Vec<Over<'r>> = Vec::new();
        let runners: Vec<Runner<'_, Outcome>> = commands
            .iter()
            .zip(&connections)
            .zip(&turns)
            .zip(&mut events)
            .map(|(((command, connection), turn), events)| Runner {
                turn,
                future: Box::pin(command.carry_out(connection, events)),
            })
            .collect();
        take_turns(world, runners, &mut self.rng, |index, outcome| {
            let outcome = outcome.unwrap_or(Outcome::Died);
            connections[index].note(|| match &outcome {
                Outcome::Ended(done) => format!("THE END: {:?}", done.1),
                Outcome::NoPlan(why) => format!("THE END: no plan: {why}"),
                Outcome::Died => "THE END: died".to_owned(),
            });
            let world = &mut *world.borrow_mut();
            let (run, connection) = (&runs[index], &connections[index]);
            over.push(Over {
                index,
                run,
                wanted: orders[index].0,
                fate: orders[index].1,
                began: begins(began, index, run),
                at: world.now,
                truth: look(world),
                chores: Chores::of(world, &outcome),
                outcome,
                calls: connection.calls.get(),
                touched: connection.touched.get().is_some(),
                overrode: connection.overrode.get(),
                overran: connection.overran.get(),
                looks: connection.looks.take(),
                events: Vec::new(),
                acts: world.done.len(),
                writes: world.writes.len(),
            });
        });
        over.sort_by_key(|one| one.index);
        for (one, events) in over.iter_mut().zip(events) {
            one.events = events;
        }
        over
    }

    pub(crate) fn wrong(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.world.get_mut().note(|| format!("WRONG: {what}"));
        self.told.violations.push(what);
    }
}

/// When a run of a chapter begins: the first one with it.
fn begins(chapter: Millis, index: usize, run: &Run) -> Millis {
    if index == 0 {
        chapter
    } else {
        chapter + run.pause
    }
}

/// What stands before the lines of a run in the story.
fn name(runs: &[Run], index: usize) -> &'static str {
    match index {
        _ if runs.len() == 1 => "",
        0 => "A: ",
        1 => "B: ",
        _ => "C: ",
    }
}
