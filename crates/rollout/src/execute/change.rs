//! From the plan to a deployment on its way: the guard, the registration, and the one call that changes the service.

use std::collections::BTreeMap;

use super::{Answer, Call, CallError, Cloud, End, Event, Execution, LAG, PATIENCE, pause, refused};
use crate::cause::{Cause, CauseCode};
use crate::facts::{DeploymentView, Millis, RevisionView, ServiceView};
use crate::plan::{PROVEN_TAG, RAN_TAG, ServiceSettings, Step};
use crate::verdict::Watched;
use crate::words;

/// Tag of a revision: the deployment that was PRIMARY when it was registered. Gone when the run has ended without deploying it.
pub(crate) const GUARD_TAG: &str = "longshore:guard";
/// Tag of every revision that longshore registers.
pub(crate) const MANAGED_TAG: &str = "longshore:service";
/// Revisions before the own one that are looked at.
const MOST_RIVALS: usize = 5;

impl<C: Cloud> Execution<'_, C> {
    /// There is nothing to do if what is wanted is still live.
    pub(super) async fn confirm(&mut self) -> Result<(), (End, Cause)> {
        let refuse = |cause| (End::Refused, cause);
        let service = self.guard().await.map_err(refuse)?;
        let Some((service, image)) = service.zip(self.plan.image.as_ref()) else {
            return Ok(());
        };
        self.ended.live = Some(service.task_definition.clone());
        let running = self
            .tasks(true)
            .await
            .map_err(|error| refuse(refused(&error)))?;
        let mut own = running.iter().filter(|task| {
            task.last_status == "RUNNING" && task.task_definition == service.task_definition
        });
        match own.find_map(|task| image.mismatch(task)) {
            Some(cause) => Err((End::Failed, cause)),
            None => Ok(()),
        }
    }

    /// Everything up to the moment in which a deployment is on its way. An error means that no deployment was started, or that this is not known.
    pub(super) async fn change(&mut self) -> Result<Watched, Cause> {
        let mut registered = None;
        let adopts = |step: &Step| matches!(step, Step::Adopt { .. });
        if !self.plan.steps.iter().any(adopts) {
            self.look_at_alarms_first(None).await;
        }
        for step in &self.plan.steps {
            if self.interrupted() {
                return Err(Cause::new(
                    CauseCode::Interrupted,
                    "interrupted before anything was changed",
                ));
            }
            let service = self.guard().await?;
            match step {
                Step::RegisterTaskDefinition { document } => {
                    self.document = serde_json::from_str(document).ok();
                    let call = Call::RegisterTaskDefinition {
                        document: document.clone(),
                    };
                    let answer = self.ask(call).await;
                    if let Answer::Registered(arn) = answer.map_err(|error| self.unasked(&error))? {
                        self.say(Event::Registered(arn.clone()));
                        self.ended.task_definition = Some(arn.clone());
                        self.claim(&arn).await?;
                        registered = Some(arn);
                    }
                }
                Step::RunTask { task } => {
                    let task_definition = registered.clone().unwrap_or_default();
                    self.run_before(task, &task_definition).await?;
                }
                Step::CreateService { settings } => {
                    let task_definition = registered.clone().unwrap_or_default();
                    let call = Call::CreateService {
                        task_definition: task_definition.clone(),
                        settings: settings.clone(),
                    };
                    return self.start(call, task_definition).await;
                }
                Step::UpdateService {
                    task_definition,
                    settings,
                } => {
                    let task_definition = task_definition
                        .clone()
                        .or_else(|| registered.clone())
                        .unwrap_or_default();
                    let call = Call::UpdateService {
                        task_definition: task_definition.clone(),
                        settings: settings.clone(),
                    };
                    return self.start(call, task_definition).await;
                }
                Step::Adopt {
                    deployment,
                    task_definition,
                    ran,
                    settings,
                } => {
                    let primary = service.as_ref().and_then(ServiceView::primary);
                    let created_at = primary.map_or(0, |primary| primary.created_at);
                    self.look_at_alarms_first(Some(created_at)).await;
                    if *settings != ServiceSettings::default() {
                        let call = Call::UpdateService {
                            task_definition: task_definition.clone(),
                            settings: settings.clone(),
                        };
                        let watched = self.start(call, task_definition.clone()).await?;
                        self.ran = ran.iter().collect();
                        return Ok(watched);
                    }
                    self.ran = ran.iter().collect();
                    self.created_at = created_at;
                    return Ok(self.watched(deployment.clone(), task_definition.clone(), true));
                }
            }
        }
        Err(Cause::new(
            CauseCode::Refused,
            "the plan registers a task definition and deploys nothing",
        ))
    }

    async fn guard(&mut self) -> Result<Option<ServiceView>, Cause> {
        let service = self.describe().await;
        let service = service.map_err(|error| self.unasked(&error))?;
        self.hold(service)
    }

    /// Why the first change is not made.
    fn unasked(&self, error: &CallError) -> Cause {
        if self.interrupted() {
            Cause::new(
                CauseCode::Interrupted,
                "interrupted before anything was changed",
            )
        } else {
            refused(error)
        }
    }

    /// Whether the service is still what the plan was made for.
    fn hold(&mut self, service: Option<ServiceView>) -> Result<Option<ServiceView>, Cause> {
        let service = service.filter(|service| service.status == "ACTIVE");
        let primary = service.as_ref().and_then(ServiceView::primary);
        let moved = match (&self.plan.guard.primary_deployment, primary) {
            (Some(expected), Some(primary)) if *expected == primary.id => {
                self.before = Some(primary.clone());
                return Ok(service);
            }
            (None, None) => return Ok(service),
            (_, Some(primary)) => format!(
                "it now works with {} (deployment {})",
                primary.task_definition, primary.id
            ),
            (Some(_), None) => "it is gone".to_owned(),
        };
        Err(Cause::new(
            CauseCode::Refused,
            format!(
                "service `{}` changed after the plan was made: {moved}; nothing was changed, plan again",
                self.plan.service
            ),
        ))
    }

    /// Tags the revision with where it came from, and sees whether another run is just about to deploy over the same PRIMARY: the one that registered first goes on.
    ///
    /// UpdateService knows no condition, so two runs could both find the guard as they expect it. Revisions have an order that ECS gives them, and that is the same for all.
    async fn claim(&mut self, arn: &str) -> Result<(), Cause> {
        let Some(guard) = self.plan.guard.primary_deployment.clone() else {
            return self.tag(arn, self.plan.tags.clone()).await;
        };
        let mut tags = self.plan.tags.clone();
        tags.insert(GUARD_TAG.to_owned(), guard.clone());
        self.tag(arn, tags).await?;
        let Some((family, number)) = arn.rsplit_once(':') else {
            return Ok(());
        };
        let number: u64 = number.parse().unwrap_or_default();
        let Some(own) = self.revision(arn).await else {
            return Ok(());
        };
        // As long as another run may still be at its own tasks before.
        let before: u64 = self
            .plan
            .steps
            .iter()
            .map(|step| match step {
                Step::RunTask { task } => task.timeout_seconds * 1000,
                _ => 0,
            })
            .sum();
        for number in (1..number).rev().take(MOST_RIVALS) {
            let name = format!("{family}:{number}");
            let Some(other) = self.revision(&name).await else {
                break;
            };
            let age = own.registered_at.saturating_sub(other.registered_at);
            if age > LAG + before {
                break;
            }
            // Registered a moment ago, and its tags are still on their way.
            if !other.tags.contains_key(MANAGED_TAG) && age < 3_000 {
                self.pause(1_500).await;
            }
            self.let_pass(&name, &guard, LAG + before - age).await?;
        }
        Ok(())
    }

    /// Waits until another run has deployed what it registered, which moves the guard, or has given up; or until it must be dead.
    async fn let_pass(&mut self, name: &str, guard: &str, limit: Millis) -> Result<(), Cause> {
        let since = self.cloud.now();
        let mut said = false;
        while let Some(other) = self.revision(name).await {
            let claims = other.status == "ACTIVE"
                && other
                    .tags
                    .get(GUARD_TAG)
                    .is_some_and(|claimed| claimed == guard);
            if !claims || self.cloud.now().saturating_sub(since) >= limit {
                return Ok(());
            }
            if !said {
                self.say(Event::Note(format!(
                    "another run registered {} a moment before this one; waiting until it has deployed that or has given up",
                    words::revision(&other.arn)
                )));
                said = true;
            }
            self.pause(2_000).await;
            if self.interrupted() {
                return Err(Cause::new(
                    CauseCode::Interrupted,
                    "interrupted before anything was changed",
                ));
            }
            self.guard().await?;
        }
        Ok(())
    }

    /// Without the permission to tag there is still a deployment, only with less of a record.
    async fn tag(&mut self, arn: &str, tags: BTreeMap<String, String>) -> Result<(), Cause> {
        if tags.is_empty() {
            return Ok(());
        }
        let call = Call::TagRevision {
            arn: arn.to_owned(),
            tags,
        };
        if let Err(error) = self.ask(call).await {
            self.say(Event::Note(format!(
                "the revision is not tagged, so that `history` will not know its commit: {}",
                error.message
            )));
        }
        Ok(())
    }

    /// Says on the revision that it has passed all that is asked after a rollout, so that a second run need not ask again.
    pub(super) async fn keep_proof(&mut self, arn: &str) {
        let Some(proof) = self.plan.proof() else {
            return;
        };
        let call = Call::TagRevision {
            arn: arn.to_owned(),
            tags: BTreeMap::from([(PROVEN_TAG.to_owned(), proof)]),
        };
        for _ in 0..3 {
            self.count(1);
            match self.cloud.call(call.clone()).await {
                Err(error) if error.transient => self.pause(1_000).await,
                Err(error) => {
                    self.say(Event::Note(format!(
                        "that this revision has passed is not on record ({}): a second run will look again",
                        error.message
                    )));
                    return;
                }
                Ok(_) => return,
            }
        }
    }

    /// Nobody has to wait for a run that does not deploy what it registered, and what it registered has passed nothing.
    pub(super) async fn give_up_claim(&mut self) {
        if let Some(arn) = self.ended.task_definition.clone()
            && self.plan.guard.primary_deployment.is_some()
        {
            let mut keys = vec![GUARD_TAG.to_owned(), PROVEN_TAG.to_owned()];
            if self.ended.end == End::RolledBack {
                // What ran before it was safe, or was undone.
                keys.push(RAN_TAG.to_owned());
            }
            // Nothing depends on it but the patience of others.
            let _ = self.cloud.call(Call::UntagRevision { arn, keys }).await;
            self.count(1);
        }
    }

    async fn revision(&mut self, name: &str) -> Option<RevisionView> {
        let name = name.to_owned();
        match self.ask(Call::Revision { name }).await {
            Ok(Answer::Revision(found)) => found,
            _ => None,
        }
    }

    /// The one call that changes the service. When its answer is lost, the service itself tells whether it took effect.
    async fn start(&mut self, call: Call, task_definition: String) -> Result<Watched, Cause> {
        let now = self.cloud.now();
        let mut wait = 500;
        let mut declined = true;
        let service = loop {
            let answer = self.cloud.call(call.clone()).await;
            self.count(call.cost(&answer));
            let error = match answer {
                Ok(Answer::Service(service)) => break service,
                Ok(_) => break None,
                Err(error) => error,
            };
            declined &= error.declined;
            if !error.transient || self.cloud.now() >= now + PATIENCE {
                if declined {
                    return Err(refused(&error));
                }
                break self.find_out(&task_definition, now, &error).await?;
            }
            self.say(Event::Retrying(error.message.clone()));
            self.pause(wait).await;
            wait = (wait * 2).min(15_000);
            // Meanwhile somebody else may have deployed, whom a second attempt would overrun; or the first one has worked.
            let seen = self.describe().await;
            let held = match &seen {
                Ok(service) => self.hold(service.clone()),
                Err(unreadable) => Err(refused(unreadable)),
            };
            match held {
                Ok(_) => {}
                Err(cause) if declined => return Err(cause),
                Err(_) => {
                    let seen = seen.ok().flatten();
                    let live = seen.as_ref().and_then(ServiceView::primary);
                    let live = live.map(|primary| primary.task_definition.as_str());
                    if live == Some(task_definition.as_str()) {
                        break seen;
                    }
                    // ECS has ended the first one already, and went back: nobody is overrun.
                    let before = self.before.as_ref().map(|b| b.task_definition.as_str());
                    if live.is_none() || live != before {
                        break self.find_out(&task_definition, now, &error).await?;
                    }
                }
            }
        };
        self.ended.changed_at = Some(now);
        let primary = service.as_ref().and_then(ServiceView::primary);
        match primary.filter(|primary| primary.task_definition == task_definition) {
            Some(primary) => {
                self.created_at = primary.created_at;
                Ok(self.watched(primary.id.clone(), task_definition, false))
            }
            None => Err(Cause::new(
                CauseCode::Aws,
                format!(
                    "AWS's answer does not show a deployment of {task_definition}; look at the service before you go on"
                ),
            )),
        }
    }

    /// Whether a change whose answer was lost took effect. Reads may lag, so that its absence is believed only after a while.
    async fn find_out(
        &mut self,
        task_definition: &str,
        changed_at: Millis,
        error: &CallError,
    ) -> Result<Option<ServiceView>, Cause> {
        let since = self.cloud.now();
        loop {
            let service = self.describe().await;
            let waited = self.cloud.now().saturating_sub(since);
            match service {
                Ok(service) => {
                    let primary = service.as_ref().and_then(ServiceView::primary);
                    if primary.is_some_and(|primary| primary.task_definition == task_definition) {
                        return Ok(service);
                    }
                    if waited >= LAG {
                        let same = |now: &DeploymentView, before: &DeploymentView| {
                            (&now.id, now.updated_at) == (&before.id, before.updated_at)
                        };
                        let untouched = match (primary, &self.before) {
                            (Some(now), Some(before)) => same(now, before),
                            // One that is there and deleted may be what this run created.
                            (now, before) => now.is_none() && before.is_none() && service.is_none(),
                        };
                        if untouched {
                            return Err(refused(error));
                        }
                        self.ended.changed_at = Some(changed_at);
                        return Err(Cause::new(
                            CauseCode::Aws,
                            format!(
                                "the answer to the deployment was lost ({error}), and the service has changed since, but does not work with {task_definition} now"
                            ),
                        ));
                    }
                }
                Err(unreadable) if waited >= LAG => {
                    self.ended.changed_at = Some(changed_at);
                    return Err(Cause::new(
                        CauseCode::Aws,
                        format!(
                            "it is not known whether the deployment began ({error}), and the service cannot be looked at ({unreadable})"
                        ),
                    ));
                }
                Err(_) => {}
            }
            self.pause(pause(waited, false)).await;
        }
    }

    fn watched(&self, deployment: String, task_definition: String, seen: bool) -> Watched {
        let since = self.cloud.now();
        Watched {
            deployment,
            task_definition,
            image: self.plan.image.clone(),
            since,
            created_at: self.created_at,
            deadline: since + self.plan.timeout_seconds * 1000,
            seen,
        }
    }
}
