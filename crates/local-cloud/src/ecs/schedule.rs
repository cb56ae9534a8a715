//! The scheduler: looks at one service's tasks and decides what to start, what to stop, and whether a deployment is done.
//!
//! 1. Requests to stop the deployment are carried out first: they change which deployment is the primary one.
//! 2. Tasks of the primary deployment beyond the desired count are stopped.
//! 3. New ones are started, as many as are missing and as the maximum percent has room for; after failures not before the wait is over.
//! 4. Tasks of other deployments are stopped: at once those that do not count as healthy; of the others those that healthy new ones stand in for, and, when there is
//!    no room to start, as many as the minimum percent lets go.
//! 5. When all is as wanted and stays so, the deployment is complete and the service steady.

use super::Ecs;
use super::agenda::Timer;
use super::capacity_providers::{platform, provider};
use super::deployment::Why;
use super::network;
use super::service::{
    Progress, Rollout, Rules, Service, ServiceDeployment, ServiceKey, ServiceState,
};
use super::target_group::Target;
use super::task_life::{By, NewTask};
use super::task_state::{Membership, StopCode};
use crate::task::Millis;

/// What the scheduler sees of one task that is not being stopped.
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) healthy: bool,
}

/// A service's tasks, the oldest first.
pub(super) struct Survey {
    /// Of the primary deployment.
    pub(super) primary: Vec<Seen>,
    /// Of all others.
    pub(super) others: Vec<Seen>,
    /// Whether tasks of other deployments are still on their way out.
    pub(super) leaving: bool,
}

/// What is to be done about a service's tasks.
struct Decision {
    /// So many tasks of the primary deployment are started.
    start: u64,
    /// Ids of the tasks that are stopped.
    stop: Vec<String>,
    /// Whether tasks are missing that it is too early to start.
    waits: bool,
    /// Whether the percentages leave no room to go on.
    stuck: bool,
    /// Whether all is as wanted.
    calm: bool,
}

impl Survey {
    fn total(&self) -> u64 {
        count(self.primary.len()) + count(self.others.len())
    }

    pub(super) fn healthy(seen: &[Seen]) -> u64 {
        count(seen.iter().filter(|one| one.healthy).count())
    }
}

pub(super) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Ecs {
    /// Has the scheduler look at a service soon.
    pub(super) fn wake(&mut self, key: ServiceKey, now: Millis) {
        self.wake_at(key, now + self.settings.pace.decide_ms);
    }

    pub(super) fn wake_at(&mut self, key: ServiceKey, due: Millis) {
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        if service.decide_at.is_none_or(|known| due < known) {
            service.decide_at = Some(due);
            self.agenda.set(due, Timer::Decide { service: key });
        }
    }

    /// A timer may have been overtaken by an earlier one.
    pub(super) fn decide_if_due(&mut self, key: ServiceKey, now: Millis) {
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        if service.decide_at.is_some_and(|due| due <= now) {
            service.decide_at = None;
            match service.state {
                ServiceState::Active => self.decide(key, now),
                ServiceState::Draining => self.drain_service(key, now),
                ServiceState::Inactive => {}
            }
        }
    }

    fn decide(&mut self, key: ServiceKey, now: Millis) {
        self.forget_finished(key);
        self.carry_out_requests(key, now);
        let Some(service) = self.services.get(&key) else {
            return;
        };
        let Some(primary) = service.deployments.first() else {
            return;
        };
        if service
            .history
            .last()
            .is_some_and(ServiceDeployment::is_staged)
        {
            self.decide_staged(key, now);
            return;
        }
        let survey = self.survey(service);
        if primary.rollout == Rollout::Failed {
            self.keep_up(key, &survey, now);
            return;
        }
        let (id, retry_at) = (primary.id.clone(), primary.retry_at);
        let decision = weigh(&survey, service.desired, &service.rules, retry_at > now);
        if decision.waits {
            self.wake_at(key, retry_at);
        }
        self.start_tasks(key, &id, decision.start, now);
        self.stop_tasks(key, &id, &decision.stop, now);
        if decision.stuck {
            self.say_blocked(key, now);
        }
        self.settle(key, decision.calm, now);
    }

    /// Starts what `StopServiceDeployment` asked for, and marks a new service deployment as begun.
    fn carry_out_requests(&mut self, key: ServiceKey, now: Millis) {
        let Some(current) = self.services.get_mut(&key).and_then(Service::current) else {
            return;
        };
        match current.status {
            Progress::Pending => {
                current.status = Progress::InProgress;
                current.started_at = Some(now);
                current.updated_at = now;
            }
            Progress::RollbackRequested => self.fail_deployment(key, Why::RollbackRequest, now),
            Progress::StopRequested => self.fail_deployment(key, Why::AbortRequest, now),
            _ => {}
        }
    }

    pub(super) fn survey(&self, service: &Service) -> Survey {
        let mut survey = Survey {
            primary: Vec::new(),
            others: Vec::new(),
            leaving: false,
        };
        let primary = service.deployments.first().map(|one| one.id.as_str());
        for task in service.tasks.iter().filter_map(|id| self.tasks.get(id)) {
            let deployment = task
                .membership
                .as_ref()
                .map(|member| member.deployment.as_str());
            let is_primary = deployment == primary;
            if task.stop.is_some() {
                survey.leaving |= !is_primary && task.is_there();
                continue;
            }
            let seen = Seen {
                id: task.id.clone(),
                healthy: task.healthy,
            };
            if is_primary {
                survey.primary.push(seen);
            } else {
                survey.others.push(seen);
            }
        }
        survey
    }

    /// The primary deployment has failed and starts nothing: what ran before it is kept up.
    fn keep_up(&mut self, key: ServiceKey, survey: &Survey, now: Millis) {
        let Some(service) = self.services.get(&key) else {
            return;
        };
        let desired = service.desired;
        let keeper = service
            .deployments
            .iter()
            .find(|one| one.rollout == Rollout::Completed);
        let Some(keeper) = keeper else {
            return;
        };
        let (id, retry_at) = (keeper.id.clone(), keeper.retry_at);
        let missing = desired.saturating_sub(survey.total());
        if missing > 0 && retry_at > now {
            self.wake_at(key, retry_at);
        } else {
            self.start_tasks(key, &id, missing, now);
        }
    }

    /// So many tasks of a deployment are there.
    fn number_of(&self, service: &Service, deployment: &str) -> usize {
        let tasks = service.tasks.iter().filter_map(|id| self.tasks.get(id));
        let members = tasks.filter_map(|task| task.membership.as_ref());
        members
            .filter(|member| member.deployment == deployment)
            .count()
    }

    pub(super) fn start_tasks(
        &mut self,
        key: ServiceKey,
        deployment: &str,
        number: u64,
        now: Millis,
    ) {
        let mut ids = Vec::new();
        let fits = number.min(self.places());
        for _ in 0..fits {
            let Some(service) = self.services.get(&key) else {
                return;
            };
            let Some(one) = service.deployments.iter().find(|one| one.id == deployment) else {
                return;
            };
            let revision = service.revision(&one.revision);
            let targets = revision.map(|revision| &revision.targets);
            let network =
                revision.and_then(|revision| revision.members.get("networkConfiguration"));
            let new = NewTask {
                cluster: service.cluster.clone(),
                definition: one.definition.clone(),
                membership: Some(Membership {
                    service: key,
                    deployment: one.id.clone(),
                    revision: one.revision.clone(),
                }),
                started_by: Some(one.id.clone()),
                group: format!("service:{}", service.name),
                launch_type: service
                    .member_text("launchType")
                    .unwrap_or("FARGATE")
                    .to_owned(),
                provider: service
                    .members
                    .get("capacityProviderStrategy")
                    .and_then(|strategy| {
                        let there = self.number_of(service, deployment) + ids.len();
                        provider(strategy, u64::try_from(there).unwrap_or(u64::MAX))
                    }),
                platform_version: service
                    .member_text("platformVersion")
                    .map(|version| platform(version).to_owned()),
                subnet: network::subnet(network),
                given_overrides: None,
                overrides: Vec::new(),
                tags: self.tags_of_tasks(service, &one.definition),
                targets: targets
                    .into_iter()
                    .flatten()
                    .map(|(group, port)| Target::new(group.clone(), *port))
                    .collect(),
            };
            ids.push(self.new_task(new, now));
        }
        if let Some(service) = self.services.get_mut(&key).filter(|_| !ids.is_empty()) {
            service.tasks.extend(ids.iter().cloned());
            service.unsettle();
        }
        self.say_tasks(key, "has started {} tasks", &ids, now);
        if fits < number {
            self.not_placed(key, deployment, now);
        }
    }

    pub(super) fn stop_tasks(
        &mut self,
        key: ServiceKey,
        deployment: &str,
        ids: &[String],
        now: Millis,
    ) {
        if ids.is_empty() {
            return;
        }
        let mut draining = Vec::new();
        for id in ids {
            let serving = self.tasks.get(id).is_some_and(Self::is_serving);
            if let Some(task) = self.tasks.get(id).filter(|_| serving) {
                draining.extend(task.targets.iter().map(|target| target.group.clone()));
            }
            let reason = format!("Scaling activity initiated by (deployment {deployment})");
            self.begin_stop(
                id,
                StopCode::ServiceSchedulerInitiated,
                reason,
                By::Decision,
                now,
            );
        }
        if let Some(service) = self.services.get_mut(&key) {
            service.unsettle();
        }
        self.say_tasks(key, "has stopped {} running tasks", ids, now);
        let drained = draining.len();
        draining.sort();
        draining.dedup();
        for group in &draining {
            self.say(
                key,
                &format!("deregistered {drained} targets in (target-group {group})"),
                now,
            );
        }
        if drained > 0 {
            self.say(
                key,
                &format!("has begun draining connections on {drained} tasks."),
                now,
            );
        }
        self.wake(key, now);
    }

    /// Takes note of whether all is as wanted; when it has been for a while, the deployment is complete and the service steady.
    pub(super) fn settle(&mut self, key: ServiceKey, calm: bool, now: Millis) {
        let pace = &self.settings.pace;
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        if !calm {
            service.calm_since = None;
            return;
        }
        let since = *service.calm_since.get_or_insert(now);
        let in_progress = service
            .deployments
            .first()
            .is_some_and(|primary| primary.rollout == Rollout::InProgress);
        if service.steady && !in_progress {
            return;
        }
        let watched = service
            .history
            .last()
            .is_some_and(|one| one.is_watched() && !one.is_staged());
        let bake = if in_progress && watched {
            pace.alarm_bake_ms
        } else {
            0
        };
        let due = since + pace.settle_ms + bake;
        if now < due {
            self.wake_at(key, due);
            return;
        }
        service.steady = true;
        if in_progress {
            self.complete(key, now);
        }
        self.say(key, "has reached a steady state.", now);
    }

    /// Deployments other than the primary go when their last task has.
    fn forget_finished(&mut self, key: ServiceKey) {
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        let tasks = &self.tasks;
        let ids = &service.tasks;
        let kept = service
            .deployments
            .first()
            .is_some_and(|primary| primary.rollout == Rollout::Failed);
        let staged = service
            .history
            .last()
            .is_some_and(ServiceDeployment::keeps_blue);
        let completed = service.completed.clone();
        let mut first = true;
        service.deployments.retain(|one| {
            std::mem::take(&mut first)
                || (kept && one.rollout == Rollout::Completed)
                // Blue, of which tasks are yet to be started anew.
                || (staged && completed.as_ref() == Some(&one.revision))
                || ids.iter().filter_map(|id| tasks.get(id)).any(|task| {
                    task.is_there()
                        && task
                            .membership
                            .as_ref()
                            .is_some_and(|member| member.deployment == one.id)
                })
        });
    }

    fn say_blocked(&mut self, key: ServiceKey, now: Millis) {
        let Some(service) = self.services.get_mut(&key).filter(|one| !one.blocked) else {
            return;
        };
        service.blocked = true;
        self.say(
            key,
            "was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
            now,
        );
    }

    /// A deleted service stops its tasks and is gone when they are.
    fn drain_service(&mut self, key: ServiceKey, now: Millis) {
        let Some(service) = self.services.get(&key) else {
            return;
        };
        let survey = self.survey(service);
        let primary = service.deployments.first().map(|one| one.id.clone());
        let ids: Vec<String> = survey
            .primary
            .into_iter()
            .chain(survey.others)
            .map(|one| one.id)
            .collect();
        self.stop_tasks(key, &primary.unwrap_or_default(), &ids, now);
        if let Some(service) = self.services.get_mut(&key)
            && service.tasks.is_empty()
        {
            service.state = ServiceState::Inactive;
            service.deployments.clear();
        }
    }
}

/// Steps 2 to 5 of what the scheduler does, as a pure function. `resting` says that after failures it is too early for another try.
fn weigh(survey: &Survey, desired: u64, rules: &Rules, resting: bool) -> Decision {
    let present = count(survey.primary.len());
    let healthy_new = Survey::healthy(&survey.primary);
    let healthy_old = Survey::healthy(&survey.others);
    let healthy = healthy_new + healthy_old;

    let missing = desired.saturating_sub(present);
    let room = rules.at_most(desired).saturating_sub(survey.total());
    let start = if resting { 0 } else { missing.min(room) };

    let replaced = healthy.saturating_sub(desired);
    let in_the_way = if room == 0 && !resting { missing } else { 0 };
    let may_go = healthy.saturating_sub(rules.at_least(desired));
    let old_going = replaced.max(in_the_way).min(may_go);

    let surplus = present.saturating_sub(desired);
    let mut stop = Vec::new();
    let (sound, unsound): (Vec<&Seen>, Vec<&Seen>) =
        survey.others.iter().partition(|one| one.healthy);
    stop.extend(unsound);
    stop.extend(first(sound.into_iter(), old_going));
    let newest_first = || survey.primary.iter().rev();
    let unhealthy_first = newest_first()
        .filter(|one| !one.healthy)
        .chain(newest_first().filter(|one| one.healthy));
    stop.extend(first(unhealthy_first, surplus));

    let at_rest = start == 0 && stop.is_empty() && !survey.leaving;
    Decision {
        start,
        stop: stop.into_iter().map(|one| one.id.clone()).collect(),
        waits: missing > 0 && resting,
        stuck: at_rest && missing > 0 && room == 0 && !resting && healthy == survey.total(),
        calm: at_rest && survey.others.is_empty() && present == desired && healthy_new == desired,
    }
}

fn first<'a>(seen: impl Iterator<Item = &'a Seen>, number: u64) -> impl Iterator<Item = &'a Seen> {
    seen.take(usize::try_from(number).unwrap_or(usize::MAX))
}
