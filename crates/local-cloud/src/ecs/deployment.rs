//! Deployments: how one begins, completes, fails and is rolled back.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Ecs;
use super::service::{
    Deployment, Progress, Rollback, Rollout, Service, ServiceDeployment, ServiceKey,
    ServiceRevision,
};
use super::stages::Shift;
use super::task_definition::DefinitionId;
use super::task_state::Task;
use crate::task::Millis;

/// The members of a service that are part of its revisions: a change of one of them is deployed.
pub(super) const REVISION_MEMBERS: [&str; 9] = [
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "networkConfiguration",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
];

/// Service deployments are shown for 90 days (*ListServiceDeployments*).
const SHOWN_MS: Millis = 90 * 24 * 3_600_000;

/// Why a deployment does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The circuit breaker counted too many failed tasks.
    Breaker,
    /// One of its alarms went off.
    Alarm,
    /// `StopServiceDeployment` with `ROLLBACK`.
    RollbackRequest,
    /// `StopServiceDeployment` with `ABORT`.
    AbortRequest,
}

impl Why {
    /// `rolloutStateReason` of the deployment that is given up.
    fn rollout_reason(self) -> &'static str {
        match self {
            Self::Breaker => "ECS deployment circuit breaker: tasks failed to start.",
            Self::Alarm => "ECS deployment alarms: alarm detected.",
            Self::RollbackRequest => "ECS deployment stopped: a rollback was requested.",
            Self::AbortRequest => "ECS deployment stopped.",
        }
    }

    /// The end of the service's event about it.
    fn event(self) -> &'static str {
        match self {
            Self::Breaker => "deployment failed: tasks failed to start.",
            Self::Alarm => "deployment failed: alarm detected.",
            Self::RollbackRequest | Self::AbortRequest => "deployment stopped.",
        }
    }

    /// `statusReason` of a service deployment that is rolled back.
    fn rolled_back(self) -> &'static str {
        match self {
            Self::Breaker => {
                "Service deployment rolled back because the circuit breaker threshold was exceeded."
            }
            Self::Alarm => "Service deployment rolled back because an alarm was detected.",
            Self::RollbackRequest | Self::AbortRequest => "Service deployment rolled back by user.",
        }
    }

    /// `statusReason` of a service deployment that ends where it is.
    fn stopped(self) -> &'static str {
        match self {
            Self::Breaker => {
                "Service deployment stopped because the circuit breaker threshold was exceeded."
            }
            Self::Alarm => "Service deployment stopped because an alarm was detected.",
            Self::RollbackRequest | Self::AbortRequest => "Service deployment stopped by user.",
        }
    }
}

impl Ecs {
    /// Begins to deploy `definition` with the service's members as they are now; what was under way is superseded.
    pub(super) fn begin_deployment(
        &mut self,
        key: ServiceKey,
        definition: DefinitionId,
        targets: Vec<(String, u16)>,
        now: Millis,
    ) {
        let revision = self.random.digits();
        let id = self.random.letters();
        let deployment = self.new_deployment_id();
        let guarded = self.guards(key);
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        let members: Map<String, Value> = service
            .members
            .iter()
            .filter(|(name, _)| REVISION_MEMBERS.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut sources: Vec<(String, u64)> = Vec::new();
        for one in &service.deployments {
            if one.desired > 0 && !sources.iter().any(|(known, _)| *known == one.revision) {
                sources.push((one.revision.clone(), one.desired));
            }
        }
        if let Some(current) = service
            .current()
            .filter(|current| !current.status.is_over())
        {
            current.end(
                Progress::Stopped,
                "Service deployment stopped because a new service deployment was started.",
                now,
            );
            current.stopped_at = Some(now);
        }
        forget_old(service, now);
        service.revisions.push(ServiceRevision {
            id: revision.clone(),
            definition: definition.clone(),
            members,
            targets,
            digests: BTreeMap::new(),
            created_at: now,
        });
        let shift = Shift::begin(service, &deployment, now);
        let number = service.history.last().map_or(0, |last| last.number + 1);
        let configuration = service.members.get("deploymentConfiguration");
        let threshold = service.rules.breaker.as_ref().map(|one| &one.threshold);
        service.history.push(ServiceDeployment {
            id: id.clone(),
            number,
            sources,
            target: revision.clone(),
            requested: service.desired,
            status: Progress::Pending,
            reason: None,
            created_at: now,
            started_at: None,
            finished_at: None,
            stopped_at: None,
            updated_at: now,
            configuration: configuration.cloned().unwrap_or_default(),
            rollback: None,
            tripped: false,
            failures: 0,
            threshold: threshold.map_or(0, |threshold| threshold.of(service.desired)),
            guarded,
            triggered: Vec::new(),
            shift,
        });
        let reason = format!("ECS deployment {deployment} in progress.");
        let desired = service.desired;
        service.deployments.insert(
            0,
            Deployment::new(deployment, definition, revision, desired, reason, id, now),
        );
        service.unsettle();
        service.blocked = false;
        self.route_anew(key);
        self.wake(key, now);
    }

    fn new_deployment_id(&mut self) -> String {
        format!("ecs-svc/{}", self.random.digits())
    }

    /// The primary deployment has all its tasks and the others have none left.
    pub(super) fn complete(&mut self, key: ServiceKey, now: Millis) {
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        let Some(primary) = service.deployments.first_mut() else {
            return;
        };
        primary.rollout = Rollout::Completed;
        primary.reason = format!("ECS deployment {} completed.", primary.id);
        primary.updated_at = now;
        let words = format!("(deployment {}) deployment completed.", primary.id);
        service.completed = Some(primary.revision.clone());
        if let Some(current) = service.current() {
            if current.rollback.is_some() {
                let reason = current.reason.clone().unwrap_or_default();
                current.end(Progress::RollbackSuccessful, &reason, now);
            } else {
                current.status = Progress::Successful;
                current.finished_at = Some(now);
                current.updated_at = now;
            }
        }
        self.say(key, &words, now);
    }

    /// The primary deployment is given up. What follows is a rollback, when one is wanted and there is something to go back to; otherwise nothing more is started.
    pub(super) fn fail_deployment(&mut self, key: ServiceKey, why: Why, now: Millis) {
        let fresh = self.new_deployment_id();
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        service.unsettle();
        let wants_rollback = match why {
            Why::Breaker => service
                .rules
                .breaker
                .as_ref()
                .is_some_and(|one| one.rollback),
            Why::Alarm => service
                .rules
                .alarms
                .as_ref()
                .is_some_and(|one| one.rollback),
            Why::RollbackRequest => true,
            Why::AbortRequest => false,
        };
        let back = service.completed.clone();
        let Some(failed) = service.deployments.first_mut() else {
            return;
        };
        failed.rollout = Rollout::Failed;
        failed.updated_at = now;
        why.rollout_reason().clone_into(&mut failed.reason);
        let words = format!("(deployment {}) {}", failed.id, why.event());
        let revision = failed.revision.clone();
        let Some(current) = service.history.last_mut() else {
            return;
        };
        current.tripped |= why == Why::Breaker;
        let second_failure = current.rollback.is_some();
        let back = back.filter(|back| wants_rollback && *back != revision && !second_failure);
        let Some(back) = back else {
            if wants_rollback || second_failure {
                let reason = "No rollback candidate was found to run the rollback.";
                current.end(Progress::RollbackFailed, reason, now);
            } else {
                current.end(Progress::Stopped, why.stopped(), now);
                current.stopped_at = Some(now);
            }
            self.say(key, &words, now);
            self.wake(key, now);
            return;
        };
        current.status = Progress::RollbackInProgress;
        current.requested = 0;
        if let Some(shift) = &mut current.shift {
            shift.back();
        }
        current.reason = Some(why.rolled_back().to_owned());
        current.updated_at = now;
        current.rollback = Some(Rollback {
            reason: why.rolled_back().to_owned(),
            at: now,
            revision: back.clone(),
        });
        let current_id = current.id.clone();
        let to = service.return_to(&back, fresh, why, current_id, now);
        self.route_anew(key);
        self.say(key, &words, now);
        self.say(key, &format!("rolling back to deployment {to}."), now);
        self.wake(key, now);
    }

    /// The digests of a revision's images are those that its first task was started with.
    pub(super) fn remember_digests(
        &mut self,
        key: ServiceKey,
        revision: &str,
        digests: &BTreeMap<String, String>,
    ) {
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        let known = service.revisions.iter_mut().find(|one| one.id == revision);
        if let Some(known) = known {
            for (container, digest) in digests {
                known
                    .digests
                    .entry(container.clone())
                    .or_insert_with(|| digest.clone());
            }
        }
    }

    /// Images by container name that stand in for those of the task definition: all tasks of a service revision run what a tag meant when its first one started
    /// (*Container image resolution*), unless the container says otherwise.
    pub(super) fn pinned_images(&self, task: &Task) -> BTreeMap<String, String> {
        let mut pinned = BTreeMap::new();
        let (Some(member), Some(definition)) =
            (&task.membership, self.definition(&task.definition))
        else {
            return pinned;
        };
        let service = self.services.get(&member.service);
        let Some(revision) = service.and_then(|one| one.revision(&member.revision)) else {
            return pinned;
        };
        for plan in &definition.blueprint.containers {
            let image = &plan.spec.image;
            if let Some(digest) = revision.digests.get(&plan.spec.name)
                && plan.pinned
                && !image.contains('@')
            {
                let end = image.rfind('/').map_or(0, |slash| slash + 1);
                let name_end = image[end..]
                    .find(':')
                    .map_or(image.len(), |colon| end + colon);
                let by_digest = format!("{}@{digest}", &image[..name_end]);
                pinned.insert(plan.spec.name.clone(), by_digest);
            }
        }
        pinned
    }
}

impl Deployment {
    fn new(
        id: String,
        definition: DefinitionId,
        revision: String,
        desired: u64,
        reason: String,
        carries_out: String,
        now: Millis,
    ) -> Self {
        Self {
            id,
            definition,
            revision,
            desired,
            failed: 0,
            streak: 0,
            retry_at: 0,
            rollout: Rollout::InProgress,
            reason,
            created_at: now,
            updated_at: now,
            carries_out,
        }
    }
}

impl ServiceDeployment {
    fn end(&mut self, status: Progress, reason: &str, now: Millis) {
        self.status = status;
        self.reason = Some(reason.to_owned());
        self.finished_at = Some(now);
        self.updated_at = now;
    }
}

impl Service {
    /// Something moves: the calm begins anew.
    pub(super) fn unsettle(&mut self) {
        self.calm_since = None;
        self.steady = false;
    }

    /// Makes the deployment of revision `back` the primary one: the one that is still there, or else a new one with the id `fresh`. Its id.
    fn return_to(
        &mut self,
        back: &str,
        fresh: String,
        why: Why,
        carries_out: String,
        now: Millis,
    ) -> String {
        if let Some(failed) = self.deployments.first_mut() {
            failed.desired = 0;
        }
        let known = self.deployments.iter().position(|one| one.revision == back);
        let mut primary = if let Some(index) = known {
            self.deployments.remove(index)
        } else {
            let definition = self.revision(back).map(|one| one.definition.clone());
            let definition = definition.unwrap_or_else(|| self.deployments[0].definition.clone());
            let (back, desired) = (back.to_owned(), self.desired);
            Deployment::new(
                fresh,
                definition,
                back,
                desired,
                String::new(),
                carries_out,
                now,
            )
        };
        primary.desired = self.desired;
        primary.rollout = Rollout::InProgress;
        primary.updated_at = now;
        (primary.failed, primary.streak, primary.retry_at) = (0, 0, 0);
        let by = match why {
            Why::Breaker => "ECS deployment circuit breaker",
            Why::Alarm => "ECS deployment alarms",
            Why::RollbackRequest | Why::AbortRequest => "ECS deployment stop request",
        };
        primary.reason = format!("{by}: rolling back to deploymentId {}.", primary.id);
        let id = primary.id.clone();
        self.deployments.insert(0, primary);
        // A revision is more than a task definition: the service is again what it was.
        if let Some(revision) = self.revisions.iter().find(|one| one.id == back) {
            self.members
                .retain(|name, _| !REVISION_MEMBERS.contains(&name.as_str()));
            for (name, value) in &revision.members {
                self.members.insert(name.clone(), value.clone());
            }
        }
        id
    }
}

fn forget_old(service: &mut Service, now: Millis) {
    let before = service.history.len();
    service.history.retain(|one| {
        one.finished_at
            .is_none_or(|finished| finished.saturating_add(SHOWN_MS) > now)
    });
    let history = &service.history;
    if history.len() == before {
        return;
    }
    let deployments = &service.deployments;
    let completed = &service.completed;
    service.revisions.retain(|revision| {
        completed.as_ref() == Some(&revision.id)
            || deployments.iter().any(|one| one.revision == revision.id)
            || history.iter().any(|one| {
                one.target == revision.id || one.sources.iter().any(|(id, _)| *id == revision.id)
            })
    });
}
