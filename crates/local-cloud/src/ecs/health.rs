//! Container health checks, and what counts as a healthy task.

use super::agenda::Timer;
use super::service::ServiceKey;
use super::target_group::TargetState;
use super::task_life::By;
use super::task_state::{ContainerState, Health, Status, StopCode, Task};
use super::{Ecs, Pace};
use crate::task::{Effect, Millis};

impl Ecs {
    /// Time for the next check of a container.
    pub(super) fn check_health(&mut self, id: &str, container: usize) {
        let Some(task) = self.tasks.get(id).filter(|task| task.stop.is_none()) else {
            return;
        };
        let Some(container) = task.containers.get(container) else {
            return;
        };
        if let Some(check) = &container.check
            && container.state == ContainerState::Running
        {
            self.effects.push(Effect::CheckHealth {
                task: id.to_owned(),
                container: container.name.clone(),
                command: check.command.clone(),
                timeout_ms: check.timeout_ms,
            });
        }
    }

    pub(super) fn health_checked(&mut self, id: &str, name: &str, passed: bool, now: Millis) {
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.stop.is_none()) else {
            return;
        };
        let Some(index) = task.containers.iter().position(|one| one.name == name) else {
            return;
        };
        let container = &mut task.containers[index];
        let Some(check) = container
            .check
            .as_mut()
            .filter(|_| container.state == ContainerState::Running)
        else {
            return;
        };
        let before = check.health;
        let starting =
            check.health == Health::Unknown && now < check.started_at + check.start_period_ms;
        if passed {
            check.failures = 0;
            check.health = Health::Healthy;
        } else if !starting {
            check.failures += 1;
            if check.failures >= check.retries {
                check.health = Health::Unhealthy;
            }
        }
        let due = now + check.interval_ms;
        let changed = check.health != before;
        let timer = Timer::CheckHealth {
            task: id.to_owned(),
            container: index,
        };
        self.agenda.set(due, timer);
        if changed {
            task.version += 1;
            self.generation += 1;
            self.release(id, now);
            self.register_targets(id, now);
            self.refresh_health(id, now);
            self.replace_if_unhealthy(id, now);
        }
    }

    /// How long after a task's start a service's scheduler overlooks failed checks.
    pub(super) fn grace_ms(&self, service: ServiceKey) -> Millis {
        let seconds = self
            .services
            .get(&service)
            .map_or(0, |service| service.grace_seconds);
        self.settings.pace.interval(seconds)
    }

    /// Looks again at whether a task counts as healthy, and tells its service when that changed.
    pub(super) fn refresh_health(&mut self, id: &str, now: Millis) {
        let pace = &self.settings.pace;
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let healthy = is_healthy(task, pace, now);
        if healthy == task.healthy {
            return;
        }
        task.healthy = healthy;
        let Some((service, deployment)) = self.membership(id) else {
            return;
        };
        if healthy {
            self.note_healthy(service, &deployment);
        }
        self.wake(service, now);
    }

    /// Stops a service's task that fails its checks, once it runs and its grace period is over. Tasks that belong to no service are left alone, as ECS does.
    pub(super) fn replace_if_unhealthy(&mut self, id: &str, now: Millis) {
        let Some((service, _)) = self.membership(id) else {
            return;
        };
        let grace = self.grace_ms(service);
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let overlooked = task
            .times
            .started
            .is_none_or(|started| now < started + grace);
        if task.stop.is_some() || task.status != Status::Running || overlooked {
            return;
        }
        let failing = task
            .targets
            .iter()
            .find(|target| target.state == TargetState::Unhealthy);
        let (reason, event) = if task.health() == Health::Unhealthy {
            (
                "Task failed container health checks".to_owned(),
                format!("(task {id}) failed container health checks."),
            )
        } else if let Some(target) = failing {
            (
                format!(
                    "Task failed ELB health checks in (target-group {})",
                    target.group
                ),
                format!(
                    "(task {id}) (port {}) is unhealthy in (target-group {}) due to (reason {})",
                    target.port, target.group, target.reason
                ),
            )
        } else {
            return;
        };
        self.say(service, &event, now);
        self.begin_stop(
            id,
            StopCode::ServiceSchedulerInitiated,
            reason,
            By::Itself,
            now,
        );
        self.say(
            service,
            &format!("has stopped 1 running tasks: (task {id})."),
            now,
        );
    }
}

/// What counts towards `minimumHealthyPercent` (*Amazon ECS service deployment parameters*): a running task whose targets are all healthy; without targets one whose essential
/// containers all have checks and pass them; and without checks one that has run for a while.
fn is_healthy(task: &Task, pace: &Pace, now: Millis) -> bool {
    if task.status != Status::Running || task.stop.is_some() {
        return false;
    }
    let mut essential = task
        .containers
        .iter()
        .filter(|container| container.essential);
    if essential
        .clone()
        .any(|one| one.check.is_some() && one.health() != Health::Healthy)
    {
        return false;
    }
    if !task.targets.is_empty() {
        return task
            .targets
            .iter()
            .all(|target| target.state == TargetState::Healthy);
    }
    essential.all(|one| one.check.is_some())
        || task
            .times
            .started
            .is_some_and(|started| now >= started + pace.unchecked_ms)
}
