//! A task's way from `PROVISIONING` to `STOPPED`, driven by timers and by what the runner reports.

use std::collections::BTreeMap;

use super::Ecs;
use super::agenda::Timer;
use super::blueprint::Override;
use super::service::ServiceKey;
use super::tags::Tags;
use super::target_group::{Target, TargetState};
use super::task_definition::DefinitionId;
use super::task_state::{
    CheckState, Container, ContainerState, Membership, Status, Stop, StopCode, Task, Times,
};
use crate::task::{Effect, Millis, Report, StartFailure};

/// What is known of a task before it exists.
pub(super) struct NewTask {
    pub(super) cluster: String,
    pub(super) definition: DefinitionId,
    pub(super) membership: Option<Membership>,
    pub(super) started_by: Option<String>,
    pub(super) group: String,
    pub(super) launch_type: String,
    pub(super) provider: Option<String>,
    pub(super) platform_version: Option<String>,
    pub(super) subnet: Option<String>,
    pub(super) given_overrides: Option<serde_json::Value>,
    pub(super) overrides: Vec<Override>,
    pub(super) tags: Tags,
    pub(super) targets: Vec<Target>,
}

/// Who or what stops a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The task failed: its deployment counts it.
    Itself,
    /// Someone wants it stopped.
    Decision,
}

impl Ecs {
    /// Makes a task and begins to provision it; its id.
    pub(super) fn new_task(&mut self, new: NewTask, now: Millis) -> String {
        let id = self.random.hex();
        let pace = &self.settings.pace;
        let definition = self
            .families
            .get(&new.definition.family)
            .and_then(|family| family.revision(new.definition.revision));
        let plans = definition.map_or(&[][..], |one| &one.blueprint.containers);
        let mut containers = Vec::with_capacity(plans.len());
        for plan in plans {
            let check = plan
                .check
                .as_ref()
                .map(|check| CheckState::new(check, pace));
            containers.push(Container::new(plan, self.random.uuid(), check));
        }
        let due = now + pace.place_ms;
        self.agenda.set(due, Timer::Placed { task: id.clone() });
        let task = Task {
            id: id.clone(),
            cluster: new.cluster,
            definition: new.definition,
            membership: new.membership,
            started_by: new.started_by,
            group: new.group,
            launch_type: new.launch_type,
            provider: new.provider,
            platform_version: new.platform_version,
            subnet: new.subnet,
            given_overrides: new.given_overrides,
            overrides: new.overrides,
            tags: new.tags,
            status: Status::Provisioning,
            stop: None,
            containers,
            targets: new.targets,
            healthy: false,
            times: Times {
                created: now,
                ..Times::default()
            },
            version: 1,
        };
        self.tasks.insert(id.clone(), task);
        id
    }

    /// A place is found: the runner gets the task.
    pub(super) fn placed(&mut self, id: &str, now: Millis) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        if task.status != Status::Provisioning || task.stop.is_some() {
            return;
        }
        let Some(definition) = self.definition(&task.definition) else {
            return;
        };
        let pinned = self.pinned_images(task);
        let spec = definition.blueprint.spec(
            id,
            &task.cluster,
            &task.definition.family,
            &task.overrides,
            |container| pinned.get(&container.name).cloned(),
        );
        self.effects.push(Effect::Start {
            task: Box::new(spec),
        });
        if let Some(task) = self.tasks.get_mut(id) {
            task.status = Status::Pending;
            task.times.pull_started = Some(now);
            task.version += 1;
        }
    }

    pub(super) fn activated(&mut self, id: &str, now: Millis) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        if task.status != Status::Activating || task.stop.is_some() {
            return;
        }
        task.status = Status::Running;
        task.times.started = Some(now);
        task.version += 1;
        let service = task.membership.as_ref().map(|member| member.service);
        let proven = now + self.settings.pace.unchecked_ms;
        self.agenda.set(
            proven,
            Timer::Proven {
                task: id.to_owned(),
            },
        );
        if let Some(service) = service {
            let grace = self.grace_ms(service);
            if grace > 0 {
                let timer = Timer::GraceOver {
                    task: id.to_owned(),
                };
                self.agenda.set(now + grace, timer);
            }
            self.register_targets(id, now);
            self.wake(service, now);
        }
        self.refresh_health(id, now);
        self.replace_if_unhealthy(id, now);
    }

    /// Takes in what the runner says. A report about a task that is gone, or that was never there, changes nothing.
    pub fn report(&mut self, report: Report, now: Millis) {
        self.tick(now);
        let now = self.clock;
        match report {
            Report::Pulled { task, digests } => self.pulled(&task, &digests, now),
            Report::Started { task, container } => self.started(&task, &container, now),
            Report::StartFailed {
                task,
                container,
                failure,
                reason,
            } => self.start_failed(&task, container.as_deref(), failure, &reason, now),
            Report::Exited {
                task,
                container,
                exit_code,
                out_of_memory,
            } => self.exited(&task, &container, exit_code, out_of_memory, now),
            Report::HealthChecked {
                task,
                container,
                healthy,
            } => self.health_checked(&task, &container, healthy, now),
            Report::TargetProbed {
                target_group,
                task,
                outcome,
            } => self.target_probed(&target_group, &task, outcome, now),
            Report::Gone { task } => self.gone(&task, now),
        }
    }

    /// The task, if the runner may have something to say about it.
    fn with_runner(&mut self, id: &str) -> Option<&mut Task> {
        self.tasks
            .get_mut(id)
            .filter(|task| (Status::Pending..Status::Deprovisioning).contains(&task.status))
    }

    fn pulled(&mut self, id: &str, digests: &BTreeMap<String, String>, now: Millis) {
        let Some(task) = self.with_runner(id) else {
            return;
        };
        task.times.pull_stopped = Some(now);
        task.version += 1;
        for container in &mut task.containers {
            if let Some(digest) = digests.get(&container.name) {
                container.digest = Some(digest.clone());
            }
        }
        if let Some(member) = &task.membership {
            let (service, revision) = (member.service, member.revision.clone());
            self.remember_digests(service, &revision, digests);
        }
        self.generation += 1;
    }

    fn started(&mut self, id: &str, name: &str, now: Millis) {
        let activate = self.settings.pace.activate_ms;
        let Some(task) = self.with_runner(id).filter(|task| task.stop.is_none()) else {
            return;
        };
        let index = task.containers.iter().position(|one| one.name == name);
        let Some((index, container)) = index
            .and_then(|index| Some((index, task.containers.get_mut(index)?)))
            .filter(|(_, container)| container.state == ContainerState::Pending)
        else {
            return;
        };
        container.state = ContainerState::Running;
        container.held = false;
        container.started_at = Some(now);
        task.version += 1;
        let first_check = container.check.as_mut().map(|check| {
            check.started_at = now;
            now + check.interval_ms
        });
        let start_timeout = container.start_timeout_ms;
        // A container that is started again finds its task far beyond.
        let all = task.status == Status::Pending
            && task
                .containers
                .iter()
                .all(|one| one.state != ContainerState::Pending);
        if all {
            task.status = Status::Activating;
        }
        if let Some(due) = first_check {
            let task = id.to_owned();
            self.agenda.set(
                due,
                Timer::CheckHealth {
                    task,
                    container: index,
                },
            );
        }
        if let Some(timeout) = start_timeout.filter(|_| !all) {
            let task = id.to_owned();
            self.agenda.set(now + timeout, Timer::StartTimeout { task });
        }
        if all {
            self.agenda.set(
                now + activate,
                Timer::Activated {
                    task: id.to_owned(),
                },
            );
        }
        self.generation += 1;
        self.release(id, now);
    }

    fn start_failed(
        &mut self,
        id: &str,
        container: Option<&str>,
        failure: StartFailure,
        reason: &str,
        now: Millis,
    ) {
        let Some(task) = self.with_runner(id) else {
            return;
        };
        let reason = format!("{}: {reason}", failure.name());
        if let Some(container) = container.and_then(|name| task.container_mut(name)) {
            container.reason = Some(reason.clone());
        }
        // Nothing of it runs, so there is nothing to stop.
        self.begin_stop(id, StopCode::TaskFailedToStart, reason, By::Itself, now);
        self.gone(id, now);
    }

    fn exited(&mut self, id: &str, name: &str, code: i32, out_of_memory: bool, now: Millis) {
        let Some(task) = self.with_runner(id) else {
            return;
        };
        let Some(container) = task
            .container_mut(name)
            .filter(|container| container.state != ContainerState::Stopped)
        else {
            return;
        };
        container.state = ContainerState::Stopped;
        container.exit_code = Some(code);
        if out_of_memory {
            let reason = "OutOfMemoryError: Container killed due to memory usage";
            container.reason = Some(reason.to_owned());
        }
        let essential = container.essential;
        task.version += 1;
        self.generation += 1;
        if self.restart(id, name, code, now) {
            return;
        }
        if essential {
            let reason = "Essential container in task exited".to_owned();
            self.begin_stop(
                id,
                StopCode::EssentialContainerExited,
                reason,
                By::Itself,
                now,
            );
        } else {
            self.release(id, now);
        }
    }

    fn gone(&mut self, id: &str, now: Millis) {
        if self.with_runner(id).is_none() {
            return;
        }
        // A runner that lost the task's processes without a word about their end.
        let reason = "Essential container in task exited".to_owned();
        self.begin_stop(
            id,
            StopCode::EssentialContainerExited,
            reason,
            By::Itself,
            now,
        );
        self.deprovision(id, now);
    }

    /// Stops a task unless it is being stopped already. Its targets get no new requests from now on; if any was serving and the task can still answer, what
    /// is under way gets the deregistration delay to end.
    pub(super) fn begin_stop(
        &mut self,
        id: &str,
        code: StopCode,
        reason: String,
        by: By,
        now: Millis,
    ) {
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.stop.is_none()) else {
            return;
        };
        task.stop = Some(Stop {
            code,
            reason,
            at: now,
        });
        task.healthy = false;
        task.version += 1;
        let alive = task
            .containers
            .iter()
            .all(|one| !one.essential || one.state == ContainerState::Running);
        let before = task.status;
        let ran = task.times.started.is_some();
        let serving = self.deregister_targets(id);
        let drain = if alive { serving } else { None };
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        task.status = match (before, drain) {
            (Status::Provisioning, _) => Status::Deprovisioning,
            (_, Some(_)) => Status::Deactivating,
            (_, None) => Status::Stopping,
        };
        match (before, drain) {
            (Status::Provisioning, _) => self.deprovision(id, now),
            (_, Some(delay)) => {
                self.agenda.set(
                    now + delay,
                    Timer::Drained {
                        task: id.to_owned(),
                    },
                );
            }
            (_, None) => self.effects.push(Effect::Stop {
                task: id.to_owned(),
            }),
        }
        self.generation += 1;
        if let Some((service, deployment)) = self.membership(id) {
            if by == By::Itself {
                self.note_failure(service, &deployment, ran, now);
            }
            self.wake(service, now);
        }
    }

    pub(super) fn drained(&mut self, id: &str, now: Millis) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        if task.status == Status::Deactivating {
            task.status = Status::Stopping;
            task.version += 1;
            self.effects.push(Effect::Stop {
                task: id.to_owned(),
            });
            self.wake_service_of(id, now);
        }
    }

    fn deprovision(&mut self, id: &str, now: Millis) {
        let due = now + self.settings.pace.deprovision_ms;
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        task.status = Status::Deprovisioning;
        task.version += 1;
        task.times.execution_stopped = Some(now);
        for container in &mut task.containers {
            container.state = ContainerState::Stopped;
        }
        self.agenda.set(
            due,
            Timer::Deprovisioned {
                task: id.to_owned(),
            },
        );
        self.generation += 1;
        self.wake_service_of(id, now);
    }

    pub(super) fn deprovisioned(&mut self, id: &str, now: Millis) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        if task.status != Status::Deprovisioning {
            return;
        }
        task.status = Status::Stopped;
        task.version += 1;
        task.times.stopped = Some(now);
        let forget = now + self.settings.pace.show_stopped_ms;
        self.agenda.set(
            forget,
            Timer::Forget {
                task: id.to_owned(),
            },
        );
        if let Some((service, _)) = self.membership(id) {
            if let Some(service) = self.services.get_mut(&service) {
                service.tasks.retain(|task| task != id);
            }
            self.wake(service, now);
        }
    }

    /// The machine or the runner was restarted: no task runs any more. All are stopped, none counts as failed, and services start new ones.
    pub fn restarted(&mut self, now: Millis) {
        self.tick(now);
        let now = self.clock;
        let alive: Vec<String> = self
            .tasks
            .values()
            .filter(|task| task.status != Status::Stopped)
            .map(|task| task.id.clone())
            .collect();
        let mut lost: BTreeMap<ServiceKey, usize> = BTreeMap::new();
        for id in &alive {
            if let Some((service, _)) = self.membership(id) {
                *lost.entry(service).or_default() += 1;
            }
        }
        for (service, tasks) in lost {
            let words = format!("has lost {tasks} tasks: the local cloud was restarted.");
            self.say(service, &words, now);
        }
        for id in alive {
            let reason = "The local cloud was restarted.".to_owned();
            self.begin_stop(&id, StopCode::TerminationNotice, reason, By::Decision, now);
            self.deprovision(&id, now);
            self.deprovisioned(&id, now);
        }
        // There is nobody left to stop; a balancer that lived on must forget all targets.
        self.effects
            .retain(|effect| matches!(effect, Effect::Route { .. }));
    }

    pub(super) fn membership(&self, id: &str) -> Option<(ServiceKey, String)> {
        let member = self.tasks.get(id)?.membership.as_ref()?;
        Some((member.service, member.deployment.clone()))
    }

    pub(super) fn wake_service_of(&mut self, id: &str, now: Millis) {
        let member = self.tasks.get(id).and_then(|task| task.membership.as_ref());
        if let Some(service) = member.map(|member| member.service) {
            self.wake(service, now);
        }
    }

    /// Whether any of the task's targets takes requests.
    pub(super) fn is_serving(task: &Task) -> bool {
        task.targets
            .iter()
            .any(|target| target.state == TargetState::Healthy)
    }
}
