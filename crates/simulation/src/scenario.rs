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
    pub(crate) runs: Vec<Run>,
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
pub(crate) struct Run {
    pub(crate) task: Task,
    pub(crate) supersede: bool,
    pub(crate) settings: ServiceSettings,
    pub(crate) timeout_seconds: u64,
    /// Whether that may be too short for a good version.
    pub(crate) tight: bool,
    /// How long after the run before.
    pub(crate) pause: Millis,
    /// What a task that runs before the release says about the way back, and what becomes of it and of its reverse.
    pub(crate) before: Option<(Marker, Chores)>,
    /// Whether the public address is asked afterwards.
    pub(crate) checked: bool,
    /// Seconds that the new version is watched.
    pub(crate) bake_seconds: u64,
    /// The alarm.
    pub(crate) alarm: Alarm,
    pub(crate) faults: Faults,
    /// What others do, and how long after the beginning of the run.
    pub(crate) acts: Vec<(Millis, Act)>,
}

impl Scenario {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let quick = rng.u32(0..10) < 8;
        let checks = Checks {
            container: rng.bool(),
            balancer: rng.bool(),
        };
        let desired = rng.u32(1..5);
        let settings = draw_settings(rng, desired);
        let number = rng.usize(1..4);
        let mut runs: Vec<Run> = Vec::with_capacity(number);
        for index in 0..number {
            let run = Run::draw(rng, index, &runs, checks, quick);
            runs.push(run);
        }
        Self {
            quick,
            pace: if quick { Pace::quick() } else { Pace::aws() },
            checks,
            desired,
            settings,
            exists: rng.u32(0..6) > 0,
            runs,
        }
    }
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
                match runs.iter().rfind(|run| run.task != Task::Rollback) {
                    // The same pipeline file; only what becomes of the task may be another matter now.
                    Some(Self { before, .. }) if task == Task::Again => before
                        .map(|(marker, chores)| (marker, drawn.map_or(chores, |(_, now)| now))),
                    _ => drawn,
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
