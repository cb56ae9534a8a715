//! Target groups: which tasks a load balancer probes and sends requests to.
//!
//! They belong to Elastic Load Balancing, but live here because the scheduler waits for their targets' health. Left out: an Application Load Balancer whose targets are all
//! unhealthy sends requests to all of them; this one to none.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::Ecs;
use super::agenda::Timer;
use super::task_state::{Health, Status, Task};
use crate::task::{Effect, Millis};

/// How a group's targets are checked; times in seconds, as on AWS (*CreateTargetGroup*). The pace may shorten them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetGroup {
    /// Its name, one in the account.
    pub name: String,
    /// Path that is asked for; 200 is the answer of a healthy target.
    pub health_check_path: String,
    /// Between two probes of one target.
    pub interval_seconds: u64,
    /// After this long a probe has failed.
    pub timeout_seconds: u64,
    /// So many probes in a row make an unhealthy target healthy. For one that is new, one is enough (*Health checks for Application Load Balancer target groups*).
    pub healthy_threshold: u64,
    /// So many failed probes in a row make a target unhealthy.
    pub unhealthy_threshold: u64,
    /// How long requests under way may go on after a target was deregistered.
    pub deregistration_delay_seconds: u64,
}

impl TargetGroup {
    /// A group with the defaults of Elastic Load Balancing.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            health_check_path: "/".to_owned(),
            interval_seconds: 30,
            timeout_seconds: 5,
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            deregistration_delay_seconds: 300,
        }
    }
}

/// A target as `DescribeTargetHealth` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetHealth {
    /// ID of the task.
    pub task: String,
    /// The address that the task is shown with.
    pub address: Ipv4Addr,
    /// Container port.
    pub port: u16,
    /// `initial`, `healthy`, `unhealthy` or `draining`.
    pub state: String,
    /// Why, when it is unhealthy.
    pub reason: String,
}

/// A group in the model.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Group {
    settings: TargetGroup,
}

/// A task's place in a group.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    /// ARN of the group.
    pub(super) group: String,
    pub(super) port: u16,
    pub(super) state: TargetState,
    /// Why the last probe failed.
    pub(super) reason: String,
    /// Probes in a row that ended as the last one did.
    passed: u64,
    failed: u64,
    /// Whether the load balancer sends requests there.
    #[serde(default)]
    pub(super) serving: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum TargetState {
    /// The task is not yet ready to be registered.
    Unregistered,
    Initial,
    Healthy,
    Unhealthy,
    Draining,
}

impl TargetState {
    fn name(self) -> &'static str {
        match self {
            Self::Unregistered => "unused",
            Self::Initial => "initial",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
        }
    }
}

impl Target {
    pub(super) fn new(group: String, port: u16) -> Self {
        Self {
            group,
            port,
            state: TargetState::Unregistered,
            reason: String::new(),
            passed: 0,
            failed: 0,
            serving: false,
        }
    }

    /// Takes in a probe's outcome; whether the state changed.
    fn probed(&mut self, outcome: Result<u16, String>, group: &TargetGroup) -> bool {
        let before = self.state;
        match outcome {
            Ok(200) => {
                self.passed += 1;
                self.failed = 0;
                let needed = match self.state {
                    TargetState::Initial => 1,
                    _ => group.healthy_threshold,
                };
                if self.passed >= needed {
                    self.state = TargetState::Healthy;
                }
            }
            failure => {
                self.failed += 1;
                self.passed = 0;
                self.reason = match failure {
                    Ok(status) => format!("Health checks failed with these codes: [{status}]"),
                    Err(words) => words,
                };
                if self.failed >= group.unhealthy_threshold {
                    self.state = TargetState::Unhealthy;
                }
            }
        }
        self.state != before
    }
}

impl Ecs {
    /// Makes the group, or changes the one of that name; its ARN.
    pub fn put_target_group(&mut self, group: TargetGroup, now: Millis) -> String {
        self.tick(now);
        let known = self
            .target_groups
            .iter()
            .find(|(_, known)| known.settings.name == group.name);
        let arn = match known {
            Some((_, known)) if known.settings == group => None,
            Some((arn, _)) => Some(arn.clone()),
            None => Some(format!(
                "arn:aws:elasticloadbalancing:{}:{}:targetgroup/{}/{}",
                self.settings.region,
                self.settings.account,
                group.name,
                self.random.short_hex()
            )),
        };
        let Some(arn) = arn else {
            return known.map(|(arn, _)| arn.clone()).unwrap_or_default();
        };
        self.target_groups
            .insert(arn.clone(), Group { settings: group });
        self.generation += 1;
        arn
    }

    /// All groups, by ARN.
    pub fn target_groups(&self) -> impl Iterator<Item = (&str, &TargetGroup)> {
        let groups = self.target_groups.iter();
        groups.map(|(arn, group)| (arn.as_str(), &group.settings))
    }

    /// The group's targets, for display.
    pub fn target_health(&self, arn: &str) -> Vec<TargetHealth> {
        self.tasks
            .values()
            .filter(|task| task.is_there())
            .flat_map(|task| task.targets.iter().map(move |target| (task, target)))
            .filter(|(_, target)| target.group == arn && target.state != TargetState::Unregistered)
            .map(|(task, target)| TargetHealth {
                task: task.id.clone(),
                address: self.address(task),
                port: target.port,
                state: target.state.name().to_owned(),
                reason: match target.state {
                    TargetState::Unhealthy => target.reason.clone(),
                    _ => String::new(),
                },
            })
            .collect()
    }

    /// Registers the targets of a task that runs, unless its containers are still to prove healthy.
    pub(super) fn register_targets(&mut self, id: &str, now: Millis) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        if task.status != Status::Running || task.stop.is_some() || waits_for_containers(task) {
            return;
        }
        let mut groups = Vec::new();
        for (index, target) in task.targets.iter_mut().enumerate() {
            if target.state == TargetState::Unregistered {
                target.state = TargetState::Initial;
                groups.push(target.group.clone());
                let timer = Timer::Probe {
                    task: id.to_owned(),
                    target: index,
                };
                self.agenda.set(now, timer);
            }
        }
        if let Some((service, _)) = self.membership(id) {
            for group in groups {
                let words = format!("registered 1 targets in (target-group {group})");
                self.say(service, &words, now);
            }
        }
    }

    /// Time for the next probe of a target.
    pub(super) fn probe(&mut self, id: &str, target: usize) {
        let Some(task) = self.tasks.get(id).filter(|task| task.stop.is_none()) else {
            return;
        };
        let Some(target) = task.targets.get(target) else {
            return;
        };
        let Some(group) = self.target_groups.get(&target.group) else {
            return;
        };
        self.effects.push(Effect::ProbeTarget {
            target_group: target.group.clone(),
            task: id.to_owned(),
            port: target.port,
            path: group.settings.health_check_path.clone(),
            timeout_ms: self.settings.pace.timeout(group.settings.timeout_seconds),
        });
    }

    pub(super) fn target_probed(
        &mut self,
        arn: &str,
        id: &str,
        outcome: Result<u16, String>,
        now: Millis,
    ) {
        let Some(group) = self.target_groups.get(arn) else {
            return;
        };
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.stop.is_none()) else {
            return;
        };
        let Some(index) = task.targets.iter().position(|target| target.group == arn) else {
            return;
        };
        let target = &mut task.targets[index];
        if matches!(
            target.state,
            TargetState::Unregistered | TargetState::Draining
        ) {
            return;
        }
        let changed = target.probed(outcome, &group.settings);
        let due = now + self.settings.pace.interval(group.settings.interval_seconds);
        let timer = Timer::Probe {
            task: id.to_owned(),
            target: index,
        };
        self.agenda.set(due, timer);
        if !changed {
            return;
        }
        self.route_task(id);
        self.generation += 1;
        self.refresh_health(id, now);
        self.replace_if_unhealthy(id, now);
    }

    /// Takes a task's targets out of their groups. If one was serving: how long what is under way may go on.
    pub(super) fn deregister_targets(&mut self, id: &str) -> Option<Millis> {
        let task = self.tasks.get_mut(id)?;
        let mut longest = None;
        for target in &mut task.targets {
            if target.state == TargetState::Healthy {
                if std::mem::take(&mut target.serving) {
                    self.effects.push(Effect::Route {
                        target_group: target.group.clone(),
                        task: id.to_owned(),
                        port: target.port,
                        serving: false,
                    });
                }
                let delay = self.target_groups.get(&target.group).map_or(0, |group| {
                    self.settings
                        .pace
                        .drain(group.settings.deregistration_delay_seconds)
                });
                longest = longest.max(Some(delay));
            }
            target.state = match target.state {
                TargetState::Unregistered => TargetState::Unregistered,
                _ => TargetState::Draining,
            };
        }
        longest
    }
}

/// Whether an essential container has a check that it has not yet passed.
fn waits_for_containers(task: &Task) -> bool {
    task.containers
        .iter()
        .any(|one| one.essential && one.check.is_some() && one.health() != Health::Healthy)
}
