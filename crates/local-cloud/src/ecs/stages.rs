//! Blue/green, linear and canary deployments (*Amazon ECS blue/green service deployments workflow*): the new revision, green, is brought up whole beside the old one, blue;
//! then traffic moves over, at once or in steps; both run on for the bake time; then blue goes.
//!
//! Left out: lifecycle hooks, and the listener rules and alternate target group that move the traffic on AWS. Here both revisions stand in one target group, whose load
//! balancer sends nothing to green before production traffic begins to move, and nothing to blue once all of it has.

use serde::{Deserialize, Serialize};

use super::Ecs;
use super::request::{Request, invalid};
use super::schedule::{Seen, Survey, count};
use super::service::{Deployment, Service, ServiceDeployment, ServiceKey};
use super::target_group::TargetState;
use crate::task::{Effect, Millis};

/// All of the traffic, in thousandths.
const ALL: u64 = 1_000;

/// How a service's deployments go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Strategy {
    /// Some tasks at a time.
    #[default]
    Rolling,
    /// All traffic at once.
    BlueGreen,
    /// Traffic in equal steps.
    Linear {
        /// Thousandths of the traffic.
        step: u64,
        /// Wait between two steps.
        minutes: u64,
    },
    /// A little of the traffic, then the rest.
    Canary {
        /// Thousandths of the traffic.
        first: u64,
        /// Wait between the two.
        minutes: u64,
    },
}

/// `lifecycleStage`, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Stage {
    /// What an earlier deployment left unfinished is cleared away.
    ReconcileService,
    PreScaleUp,
    /// Green's tasks start.
    ScaleUp,
    PostScaleUp,
    TestTrafficShift,
    PostTestTrafficShift,
    /// Production traffic moves over.
    ProductionTrafficShift,
    PostProductionTrafficShift,
    /// Both run on.
    BakeTime,
    /// Blue's tasks stop.
    CleanUp,
}

/// Where a deployment in stages stands.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shift {
    pub(super) stage: Stage,
    /// When the stage, or the present step of it, began.
    since: Millis,
    /// Id of the deployment of the new revision.
    green: String,
    /// Thousandths of the production traffic that green gets.
    production: u64,
    strategy: Strategy,
    bake_minutes: u64,
}

/// Reads the strategy and what belongs to it.
pub(super) fn read(configuration: Request<'_>) -> super::Result<(Strategy, u64)> {
    let strategies = ["ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"];
    let bake = configuration.count("bakeTimeInMinutes", 0, 1_440)?;
    let strategy = match configuration.choice("strategy", &strategies)? {
        Some("BLUE_GREEN") => Strategy::BlueGreen,
        Some("LINEAR") => {
            let given = configuration.structure("linearConfiguration")?;
            let (step, minutes) = match given {
                Some(given) => (
                    percent(given, "stepPercent", 30)?,
                    given.count("stepBakeTimeInMinutes", 0, 1_440)?,
                ),
                None => (None, None),
            };
            Strategy::Linear {
                step: step.unwrap_or(100),
                minutes: minutes.unwrap_or(6),
            }
        }
        Some("CANARY") => {
            let given = configuration.structure("canaryConfiguration")?;
            let (first, minutes) = match given {
                Some(given) => (
                    percent(given, "canaryPercent", 1)?,
                    given.count("canaryBakeTimeInMinutes", 0, 1_440)?,
                ),
                None => (None, None),
            };
            Strategy::Canary {
                first: first.unwrap_or(50),
                minutes: minutes.unwrap_or(10),
            }
        }
        _ => Strategy::Rolling,
    };
    Ok((strategy, bake.unwrap_or(0)))
}

/// A percentage with one decimal, in thousandths.
fn percent(given: Request<'_>, name: &str, least: u64) -> super::Result<Option<u64>> {
    let Some(value) = given.value(name) else {
        return Ok(None);
    };
    let number = value
        .as_f64()
        .ok_or_else(|| super::request::serialization(value, "a Double"))?;
    let thousandths = (least..=ALL).find(|one| (decimal(*one) - number).abs() < 1e-9);
    thousandths.map(Some).ok_or_else(|| {
        invalid(format!(
            "{name} must be a multiple of 0.1 between {} and 100.0, not {value}.",
            decimal(least)
        ))
    })
}

/// Thousandths as a percentage.
pub(super) fn decimal(thousandths: u64) -> f64 {
    u32::try_from(thousandths).map_or(100.0, |whole| f64::from(whole) / 10.0)
}

impl Strategy {
    fn first_step(&self) -> u64 {
        match self {
            Self::Rolling | Self::BlueGreen => ALL,
            Self::Linear { step, .. } => *step,
            Self::Canary { first, .. } => *first,
        }
    }

    fn next_step(&self, production: u64) -> u64 {
        match self {
            Self::Linear { step, .. } => ALL.min(production + step),
            Self::Rolling | Self::BlueGreen | Self::Canary { .. } => ALL,
        }
    }

    fn step_minutes(&self) -> u64 {
        match self {
            Self::Rolling | Self::BlueGreen => 0,
            Self::Linear { minutes, .. } | Self::Canary { minutes, .. } => *minutes,
        }
    }
}

impl Stage {
    fn next(self) -> Self {
        match self {
            Self::ReconcileService => Self::PreScaleUp,
            Self::PreScaleUp => Self::ScaleUp,
            Self::ScaleUp => Self::PostScaleUp,
            Self::PostScaleUp => Self::TestTrafficShift,
            Self::TestTrafficShift => Self::PostTestTrafficShift,
            Self::PostTestTrafficShift => Self::ProductionTrafficShift,
            Self::ProductionTrafficShift => Self::PostProductionTrafficShift,
            Self::PostProductionTrafficShift => Self::BakeTime,
            Self::BakeTime | Self::CleanUp => Self::CleanUp,
        }
    }
}

impl Shift {
    /// The first stage of a deployment of the service; none when it rolls, or when there is nothing that green could take over from.
    pub(super) fn begin(service: &Service, green: &str, now: Millis) -> Option<Self> {
        let deployments = || service.deployments.iter();
        if service.rules.strategy == Strategy::Rolling
            || !deployments().any(|one| service.is_blue(one))
        {
            return None;
        }
        let reconcile = deployments().any(|one| !service.is_blue(one));
        Some(Self {
            stage: if reconcile {
                Stage::ReconcileService
            } else {
                Stage::PreScaleUp
            },
            since: now,
            green: green.to_owned(),
            production: 0,
            strategy: service.rules.strategy.clone(),
            bake_minutes: service.rules.bake_minutes,
        })
    }

    /// Thousandths of the test and of the production traffic that green gets.
    pub(super) fn weights(&self) -> (u64, u64) {
        let tested = self.stage >= Stage::TestTrafficShift;
        (if tested { ALL } else { 0 }, self.production)
    }

    /// Green gives back what traffic it got.
    pub(super) fn back(&mut self) {
        self.production = 0;
    }

    /// Whether tasks of this deployment get requests.
    fn admits(&self, deployment: &str) -> bool {
        if deployment == self.green {
            self.production > 0
        } else {
            self.production < ALL
        }
    }
}

impl Service {
    /// Whether it is the deployment of the revision that served before.
    fn is_blue(&self, deployment: &Deployment) -> bool {
        self.completed.as_ref() == Some(&deployment.revision)
    }
}

impl ServiceDeployment {
    /// Whether it goes on in stages.
    pub(super) fn is_staged(&self) -> bool {
        self.shift.is_some() && self.rollback.is_none() && !self.status.is_over()
    }

    /// Whether it is in a stage in which blue must be there.
    pub(super) fn keeps_blue(&self) -> bool {
        let shift = self.shift.as_ref();
        self.is_staged() && shift.is_some_and(|shift| shift.stage < Stage::CleanUp)
    }
}

/// Ids of the tasks beyond `desired`: those first that do not count as healthy, then the newest.
fn surplus(seen: &[&Seen], desired: u64) -> Vec<String> {
    let number = count(seen.len()).saturating_sub(desired);
    let mut newest_first: Vec<&&Seen> = seen.iter().rev().collect();
    newest_first.sort_by_key(|one| one.healthy);
    let going = newest_first
        .into_iter()
        .take(usize::try_from(number).unwrap_or(usize::MAX));
    going.map(|one| one.id.clone()).collect()
}

impl Ecs {
    /// Whether the load balancer may send requests to tasks of this deployment.
    fn gets_traffic(&self, service: ServiceKey, deployment: &str) -> bool {
        let service = self.services.get(&service);
        let current = service.and_then(|service| service.history.last());
        current
            .filter(|current| !current.status.is_success())
            .and_then(|current| current.shift.as_ref())
            .is_none_or(|shift| shift.admits(deployment))
    }

    /// Tells the load balancer which of the service's healthy targets get requests, where that has changed.
    pub(super) fn route_anew(&mut self, key: ServiceKey) {
        let Some(service) = self.services.get(&key) else {
            return;
        };
        for id in service.tasks.clone() {
            self.route_task(&id);
        }
    }

    /// As [`Self::route_anew`], for one task.
    pub(super) fn route_task(&mut self, id: &str) {
        let Some((service, deployment)) = self.membership(id) else {
            return;
        };
        let admitted = self.gets_traffic(service, &deployment);
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.stop.is_none()) else {
            return;
        };
        for target in &mut task.targets {
            let serving = admitted && target.state == TargetState::Healthy;
            if target.serving != serving {
                target.serving = serving;
                self.effects.push(Effect::Route {
                    target_group: target.group.clone(),
                    task: id.to_owned(),
                    port: target.port,
                    serving,
                });
            }
        }
    }

    /// What the scheduler does for a deployment in stages, instead of replacing task by task.
    pub(super) fn decide_staged(&mut self, key: ServiceKey, now: Millis) {
        let Some(service) = self.services.get(&key) else {
            return;
        };
        let Some(shift) = service.history.last().and_then(|one| one.shift.as_ref()) else {
            return;
        };
        let (stage, since, production) = (shift.stage, shift.since, shift.production);
        let pace = &self.settings.pace;
        let step_over = since + pace.interval(shift.strategy.step_minutes() * 60);
        let bake_over = since + pace.interval(shift.bake_minutes * 60);
        let next_step = shift.strategy.next_step(production);
        let survey = self.survey(service);
        let desired = service.desired;
        let healthy =
            Survey::healthy(&survey.primary) == desired && count(survey.primary.len()) == desired;

        let scaled = stage >= Stage::ScaleUp;
        if stage < Stage::CleanUp {
            self.keep_blue(key, &survey, stage == Stage::ReconcileService, now);
        }
        if scaled {
            self.keep_green(key, &survey, now);
        }
        let goes_on = match stage {
            Stage::ReconcileService => self.is_reconciled(key),
            // Whatever green lost meanwhile comes first.
            _ if scaled && stage < Stage::CleanUp && !healthy => false,
            Stage::ProductionTrafficShift if production < ALL => {
                if now < step_over {
                    self.wake_at(key, step_over);
                } else {
                    self.shift_to(key, next_step, now);
                }
                false
            }
            Stage::BakeTime if now < bake_over => {
                self.wake_at(key, bake_over);
                false
            }
            Stage::CleanUp => {
                self.clean_up(key, &survey, healthy, now);
                false
            }
            Stage::PreScaleUp
            | Stage::ScaleUp
            | Stage::PostScaleUp
            | Stage::TestTrafficShift
            | Stage::PostTestTrafficShift
            | Stage::ProductionTrafficShift
            | Stage::PostProductionTrafficShift
            | Stage::BakeTime => true,
        };
        if goes_on {
            self.next_stage(key, now);
        }
    }

    fn next_stage(&mut self, key: ServiceKey, now: Millis) {
        let Some(current) = self.services.get_mut(&key).and_then(Service::current) else {
            return;
        };
        let Some(shift) = &mut current.shift else {
            return;
        };
        shift.stage = shift.stage.next();
        shift.since = now;
        current.updated_at = now;
        let first = shift.strategy.first_step();
        if shift.stage == Stage::ProductionTrafficShift {
            self.shift_to(key, first, now);
        }
        self.wake(key, now);
    }

    /// Gives green so many thousandths of the production traffic.
    fn shift_to(&mut self, key: ServiceKey, production: u64, now: Millis) {
        let Some(current) = self.services.get_mut(&key).and_then(Service::current) else {
            return;
        };
        if let Some(shift) = &mut current.shift {
            shift.production = production;
            shift.since = now;
        }
        current.updated_at = now;
        self.route_anew(key);
        self.wake(key, now);
    }

    /// Starts the tasks that green lacks, and stops those beyond the desired count.
    fn keep_green(&mut self, key: ServiceKey, survey: &Survey, now: Millis) {
        let Some(service) = self.services.get(&key) else {
            return;
        };
        let Some(green) = service.deployments.first() else {
            return;
        };
        let (id, retry_at, desired) = (green.id.clone(), green.retry_at, service.desired);
        let present = count(survey.primary.len());
        if present < desired && retry_at > now {
            self.wake_at(key, retry_at);
        } else {
            self.start_tasks(key, &id, desired.saturating_sub(present), now);
        }
        let stop = surplus(&survey.primary.iter().collect::<Vec<_>>(), desired);
        self.stop_tasks(key, &id, &stop, now);
    }

    /// Keeps the revision that serves at the desired count; with `reconcile` stops the tasks of all others.
    fn keep_blue(&mut self, key: ServiceKey, survey: &Survey, reconcile: bool, now: Millis) {
        let Some(service) = self.services.get(&key) else {
            return;
        };
        let mut earlier = service.deployments.iter().skip(1);
        let Some(blue) = earlier.find(|one| service.is_blue(one)) else {
            return;
        };
        let (id, retry_at) = (blue.id.clone(), blue.retry_at);
        let green = service.deployments.first().map(|one| one.id.clone());
        let is_blue = |task: &str| self.membership(task).is_some_and(|(_, of)| of == id);
        let (blues, strays): (Vec<_>, Vec<_>) =
            survey.others.iter().partition(|one| is_blue(&one.id));
        let missing = service.desired.saturating_sub(count(blues.len()));
        let mut going = surplus(&blues, service.desired);
        if reconcile {
            let healthy = Survey::healthy(&survey.others);
            let may_go = healthy.saturating_sub(service.rules.at_least(service.desired));
            let (sound, unsound): (Vec<&Seen>, Vec<&Seen>) =
                strays.into_iter().partition(|one| one.healthy);
            let may_go = usize::try_from(may_go).unwrap_or(usize::MAX);
            let strays = unsound.into_iter().chain(sound.into_iter().take(may_go));
            going.extend(strays.map(|one| one.id.clone()));
        }
        if missing > 0 && retry_at > now {
            self.wake_at(key, retry_at);
        } else {
            self.start_tasks(key, &id, missing, now);
        }
        self.stop_tasks(key, &green.unwrap_or_default(), &going, now);
    }

    /// Whether of all earlier deployments only blue is left.
    fn is_reconciled(&self, key: ServiceKey) -> bool {
        let service = self.services.get(&key);
        service.is_some_and(|service| {
            let mut earlier = service.deployments.iter().skip(1);
            earlier.all(|one| service.is_blue(one))
        })
    }

    /// Stops blue's tasks; when they have gone, the deployment is complete.
    fn clean_up(&mut self, key: ServiceKey, survey: &Survey, healthy: bool, now: Millis) {
        let service = self.services.get(&key);
        let green = service.and_then(|service| service.deployments.first());
        let green = green.map(|one| one.id.clone()).unwrap_or_default();
        let blue: Vec<String> = survey.others.iter().map(|one| one.id.clone()).collect();
        if healthy {
            self.stop_tasks(key, &green, &blue, now);
        }
        let calm = healthy && blue.is_empty() && !survey.leaving;
        self.settle(key, calm, now);
    }
}
