//! What a seed stands for, before anything happens: the service, the releases, and what goes wrong.

use fastrand::Rng;
use local_cloud::ecs::Pace;
use local_cloud::task::Millis;
use rollout::plan::{Breaker, Marker, ServiceSettings};

use crate::faults::Faults;
use crate::version::{Checks, Chore, Chores, Fate};
use crate::world::Act;

/// A service and what is done to it.
pub(crate) struct Scenario {
    /// Whether ECS and the runner are as quick as on one machine; else as slow as Fargate.
    pub(crate) quick: bool,
    pub(crate) pace: Pace,
    pub(crate) checks: Checks,
    pub(crate) desired: u32,
    /// The service's own settings.
    pub(crate) settings: ServiceSettings,
    /// Whether the service is there before the first release.
    pub(crate) exists: bool,
    /// What follows each other: single runs, and runs that race.
    pub(crate) chapters: Vec<Vec<Run>>,
}

/// What one run is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Deploy a version with this number and fate.
    Deploy(u64, Fate),
    /// Deploy what the run before was to deploy, once more.
    Again,
    /// Go back to the revision before.
    Rollback,
}

/// What becomes of the alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// Nobody watches it.
    Unwatched,
    /// It is watched, and stays quiet.
    Quiet,
    /// It is watched, and fires so long after the beginning of the run.
    Fires(Millis),
}

impl Alarm {
    pub(crate) fn fires(self) -> Option<Millis> {
        match self {
            Self::Fires(after) => Some(after),
            Self::Unwatched | Self::Quiet => None,
        }
    }
}

/// One run and what happens meanwhile.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) task: Task,
    pub(crate) supersede: bool,
    pub(crate) settings: ServiceSettings,
    pub(crate) timeout_seconds: u64,
    /// Whether that may be too short for a good version.
    pub(crate) tight: bool,
    /// How long after the chapter before, or after the beginning of the run that this one races with.
    pub(crate) pause: Millis,
    /// What a task that runs before the release says about the way back, and what becomes of it and of its reverse.
    pub(crate) before: Option<(Marker, Chores)>,
    /// Whether the public address is asked afterwards.
    pub(crate) checked: bool,
    /// Seconds that the new version is watched.
    pub(crate) bake_seconds: u64,
    /// The alarm; it fires so long after the beginning of the chapter.
    pub(crate) alarm: Alarm,
    pub(crate) faults: Faults,
    /// What others do, and how long after the beginning of the run.
    pub(crate) acts: Vec<(Millis, Act)>,
}

impl Scenario {
    /// A service on which nothing happens yet.
    fn stage(rng: &mut Rng) -> Self {
        let quick = rng.u32(0..10) < 8;
        let checks = Checks {
            container: rng.bool(),
            balancer: rng.bool(),
        };
        let desired = rng.u32(1..5);
        Self {
            quick,
            pace: if quick { Pace::quick() } else { Pace::aws() },
            checks,
            desired,
            settings: draw_settings(rng, desired),
            exists: false,
            chapters: Vec::new(),
        }
    }

    /// Runs that follow each other.
    pub(crate) fn alone(rng: &mut Rng) -> Self {
        let stage = Self::stage(rng);
        let (checks, quick) = (stage.checks, stage.quick);
        let number = rng.usize(1..4);
        let mut runs: Vec<Run> = Vec::with_capacity(number);
        for index in 0..number {
            let run = Run::draw(rng, index, &runs, checks, quick);
            runs.push(run);
        }
        Self {
            exists: rng.u32(0..6) > 0,
            chapters: runs.into_iter().map(|run| vec![run]).collect(),
            ..stage
        }
    }

    /// Runs that race: pipelines and people that do not know of each other. What served before comes first, and what is deployed afterwards last.
    pub(crate) fn race(rng: &mut Rng) -> Self {
        let stage = Self::stage(rng);
        let (checks, quick) = (stage.checks, stage.quick);
        let exists = rng.u32(0..6) > 0;
        let mut chapters = Vec::new();
        if rng.bool() {
            // A second revision, so that there is something to go back to.
            chapters.push(vec![Run::plain(Task::Deploy(100, Fate::Good), quick)]);
        }
        let race = draw_race(rng, checks, quick);
        let next = match rng.u32(0..3) {
            // The pipeline is simply run again.
            0 => Run {
                faults: Faults::default(),
                acts: Vec::new(),
                ..race[0].clone()
            },
            _ => Run::plain(Task::Deploy(120, Fate::Good), quick),
        };
        chapters.push(race);
        chapters.push(vec![Run {
            pause: rng.u64(0..300_000),
            ..next
        }]);
        Self {
            exists,
            chapters,
            ..stage
        }
    }
}

/// Two runs, now and then three, that begin within moments.
fn draw_race(rng: &mut Rng, checks: Checks, quick: bool) -> Vec<Run> {
    let runners = if rng.u32(0..8) == 0 { 3 } else { 2 };
    let mut race: Vec<Run> = Vec::with_capacity(runners);
    for index in 0..runners {
        let number = 110 + index as u64;
        let (task, same) = match rng.u32(0..8) {
            0 => (Task::Rollback, None),
            // The same commit in two pipelines.
            1 if index > 0 => (race[0].task, Some(race[0].clone())),
            _ => {
                let fate = Fate::draw(rng, checks.container || checks.balancer, quick);
                (Task::Deploy(number, fate), None)
            }
        };
        let mut run = Run::around(rng, task, number, same.as_ref(), quick);
        if let Some(same) = same {
            run.settings = same.settings;
            run.checked = same.checked;
            run.bake_seconds = same.bake_seconds;
        }
        if let Some(first) = race.first() {
            run.pause = match rng.u32(0..4) {
                0 | 1 => rng.u64(0..2_000),
                2 => rng.u64(0..20_000),
                _ => rng.u64(0..if quick { 120_000 } else { 900_000 }),
            };
            // There is one alarm, and who watches it sees the same.
            run.alarm = match run.alarm {
                Alarm::Unwatched => Alarm::Unwatched,
                Alarm::Quiet | Alarm::Fires(_) => first.alarm,
            };
        }
        race.push(run);
    }
    race
}

impl Run {
    fn draw(rng: &mut Rng, index: usize, runs: &[Self], checks: Checks, quick: bool) -> Self {
        let number = 100 + index as u64;
        let task = match runs.last() {
            // After a death the pipeline is simply run again.
            Some(before) if before.faults.death.is_some() && rng.u32(0..4) > 0 => Task::Again,
            Some(_) if rng.u32(0..10) == 0 => Task::Again,
            Some(_) if rng.u32(0..6) == 0 => Task::Rollback,
            _ => Task::Deploy(
                number,
                Fate::draw(rng, checks.container || checks.balancer, quick),
            ),
        };
        let before = runs.iter().rfind(|run| run.task != Task::Rollback);
        let same = before.filter(|_| task == Task::Again);
        Self::around(rng, task, number, same, quick)
    }

    /// A run in which nothing goes wrong.
    fn plain(task: Task, quick: bool) -> Self {
        Self {
            task,
            supersede: false,
            settings: ServiceSettings::default(),
            timeout_seconds: if quick { 900 } else { 3_600 },
            tight: false,
            pause: 0,
            before: None,
            checked: false,
            bake_seconds: 0,
            alarm: Alarm::Unwatched,
            faults: Faults::default(),
            acts: Vec::new(),
        }
    }

    /// All but what the run is asked to do; `same` is another run of the same pipeline file.
    fn around(rng: &mut Rng, task: Task, number: u64, same: Option<&Self>, quick: bool) -> Self {
        // A third of the runs each: nothing goes wrong, only what passes, anything.
        let kind = rng.u32(0..3);
        let faults = match kind {
            0 => Faults::default(),
            1 => Faults::passing(rng),
            _ => Faults::any(rng, quick),
        };
        let mut acts = Vec::new();
        if kind == 2 && rng.bool() {
            for _ in 0..rng.u32(1..4) {
                let after = rng.u64(0..if quick { 30_000 } else { 900_000 });
                acts.push((after, draw_act(rng, number)));
            }
        }
        // Short enough to run out now and then, where no outcome is asked for.
        let tight = kind == 2 && rng.u32(0..4) == 0;
        Self {
            task,
            supersede: rng.u32(0..8) == 0,
            settings: if rng.u32(0..4) == 0 {
                ServiceSettings {
                    circuit_breaker: Some(draw_breaker(rng)),
                    ..ServiceSettings::default()
                }
            } else {
                ServiceSettings::default()
            },
            timeout_seconds: if tight {
                rng.u64(5..300)
            } else if quick {
                900
            } else {
                3_600
            },
            tight,
            pause: if rng.bool() {
                rng.u64(0..20_000)
            } else {
                rng.u64(0..1_200_000)
            },
            before: {
                let drawn = (rng.u32(0..4) == 0).then(|| draw_chores(rng));
                match same {
                    // Only what becomes of the task may be another matter now.
                    Some(Self { before, .. }) => before
                        .map(|(marker, chores)| (marker, drawn.map_or(chores, |(_, now)| now))),
                    None => drawn,
                }
            },
            checked: rng.u32(0..4) == 0,
            bake_seconds: if rng.u32(0..4) == 0 {
                rng.u64(1..180)
            } else {
                0
            },
            alarm: match rng.u32(0..10) {
                0 => Alarm::Quiet,
                1 => Alarm::Fires(rng.u64(0..if quick { 60_000 } else { 900_000 })),
                _ => Alarm::Unwatched,
            },
            faults,
            acts,
        }
    }
}

fn draw_chores(rng: &mut Rng) -> (Marker, Chores) {
    let marker = [Marker::Safe, Marker::Reverse, Marker::Never][rng.usize(0..3)];
    let mut chore = || match rng.u32(0..10) {
        0 => Chore::Ends(1),
        1 => Chore::Hangs,
        _ => Chore::Ends(0),
    };
    let (migrate, reverse) = (chore(), chore());
    (marker, Chores { migrate, reverse })
}

fn draw_act(rng: &mut Rng, number: u64) -> Act {
    match rng.u32(0..12) {
        0..4 => Act::Deploy(number + 50),
        4 => Act::Redeploy,
        5..7 => Act::Scale(rng.u64(0..6)),
        7 => Act::Delete,
        8 => Act::Stop { rollback: true },
        9 => Act::Stop { rollback: false },
        _ => Act::KillTask,
    }
}

/// Percentages that leave room to deploy, and a circuit breaker or none.
fn draw_settings(rng: &mut Rng, desired: u32) -> ServiceSettings {
    let bounds = [(100, 200), (50, 100), (0, 100), (50, 200), (100, 150)];
    let (minimum, maximum) = bounds[rng.usize(0..bounds.len())];
    let room = desired * maximum / 100 > desired || (desired * minimum).div_ceil(100) < desired;
    let (minimum, maximum) = if room { (minimum, maximum) } else { (100, 200) };
    ServiceSettings {
        minimum_healthy_percent: Some(minimum),
        maximum_percent: Some(maximum),
        circuit_breaker: Some(draw_breaker(rng)),
    }
}

fn draw_breaker(rng: &mut Rng) -> Breaker {
    let enable = rng.bool();
    Breaker {
        enable,
        // Where nobody is to go back but longshore, a breaker only ends the deployment.
        rollback: enable && rng.u32(0..4) > 0,
    }
}
