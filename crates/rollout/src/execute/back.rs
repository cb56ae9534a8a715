//! The way back: set on its way by the gentlest means that works, and verified as success is.

use super::before::no_way_back;
use super::{Call, CallError, Cloud, End, Event, Execution, LAG, LEAST_TIME_BACK, pause};
use crate::cause::{Cause, CauseCode};
use crate::facts::{RolloutState, ServiceDeploymentView, ServiceView};
use crate::plan::{Marker, OnFailure, ServiceSettings};
use crate::verdict::Watched;

impl<C: Cloud> Execution<'_, C> {
    /// The end of a run that started no deployment, or does not know whether it did.
    pub(super) async fn unchanged(&mut self, cause: Cause) {
        if cause.code == CauseCode::BeforeTask || self.ended.changed_at.is_some() {
            self.say(Event::Failed(cause.clone()));
        }
        self.ended.cause = Some(cause);
        if self.ended.changed_at.is_some() {
            self.ended.judged_at = Some(self.cloud.now());
            self.ended.end = End::Failed;
            self.ended.live = self.live().await;
            return;
        }
        self.give_up_claim().await;
        self.ended.end = if self.tasks_began {
            End::Unreleased
        } else {
            End::Refused
        };
        // The old version serves on; what the tasks did may stand in its way.
        let task_definition = self.ended.task_definition.clone().unwrap_or_default();
        if let Err(why) = self.reverse(&task_definition).await {
            self.ended.end = End::Failed;
            self.ended.rollback_failure = Some(why);
        }
        self.ended.live = self.live().await;
    }

    /// Evidence, then the way back.
    pub(super) async fn fail(&mut self, watched: &Watched, mut cause: Cause) {
        if cause.code == CauseCode::Superseded && self.is_back(watched).await {
            cause = Cause::new(
                CauseCode::Stopped,
                "the deployment was stopped, and the service went back to the revision before it",
            );
        }
        // From here on an interrupt asks for what is done anyway.
        self.deaf = true;
        let interrupted = cause.code == CauseCode::Interrupted;
        if !interrupted {
            self.gather_evidence(watched, &mut cause).await;
        }
        self.say(Event::Failed(cause.clone()));
        let not_ours = matches!(
            cause.code,
            CauseCode::Superseded | CauseCode::ServiceDeleted
        );
        self.ended.cause = Some(cause);
        let never = self.ran.iter().find(|task| task.marker == Marker::Never);
        let back = match &self.plan.way_back {
            _ if not_ours => Err("the service is in other hands; it was left as it is".to_owned()),
            None => Err("there is no earlier revision to return to".to_owned()),
            Some(back) if *back == watched.task_definition => {
                Err("the revision that failed is also the one to return to".to_owned())
            }
            _ if self.plan.on_failure == OnFailure::Stay => {
                Err("pipeline.toml says `on-failure = \"stay\"`: nothing was taken back".to_owned())
            }
            _ if never.is_some() => Err(never.map(|task| no_way_back(task)).unwrap_or_default()),
            Some(back) => self.return_to(watched, back).await,
        };
        self.watching_until = 0;
        match back {
            // That look is the evidence; another one could only be older.
            Ok(()) => {
                self.ended.end = End::RolledBack;
                self.ended.live.clone_from(&self.plan.way_back);
                self.say(Event::Back(self.plan.way_back.clone().unwrap_or_default()));
            }
            Err(why) => {
                self.ended.live = self.live().await;
                self.ended.end = End::Failed;
                self.ended.rollback_failure = Some(why);
            }
        }
        self.give_up_claim().await;
        if interrupted && let Some(mut cause) = self.ended.cause.take() {
            // First the way back, then the story: whoever interrupts may not wait for long.
            self.gather_evidence(watched, &mut cause).await;
            self.ended.cause = Some(cause);
        }
    }

    /// What undoes the tasks before comes first, while the new version still serves: the old one does not work without it.
    async fn return_to(&mut self, watched: &Watched, back: &str) -> Result<(), String> {
        let undone = self.reverse(&watched.task_definition).await;
        // Without it the old version may not work; the new one certainly does not. A person decides.
        undone?;
        self.go_back(watched, back).await?;
        self.put_settings_back(watched, back).await
    }

    /// Whether the service works with the revision to return to, whoever brought it there.
    async fn is_back(&mut self, watched: &Watched) -> bool {
        let since = self.cloud.now();
        loop {
            let live = self.live().await;
            if live.is_some() && live == self.plan.way_back {
                return true;
            }
            // The verdict has seen that it is something else by now, so that this is a read that lags.
            let lags = live.as_ref() == Some(&watched.task_definition);
            if !lags || self.cloud.now() >= since + LAG {
                return false;
            }
            self.pause(1_000).await;
        }
    }

    async fn go_back(&mut self, watched: &Watched, back: &str) -> Result<(), String> {
        let since = self.cloud.now();
        let deadline = since + LEAST_TIME_BACK.max(self.plan.timeout_seconds * 1000);
        self.watching_until = deadline;
        while let Some(passing) = self.turn_round(watched, back).await? {
            if self.cloud.now() >= deadline {
                return Err(passing.message);
            }
            // Before the next attempt it is looked again whose hands the service is in.
            self.pause(5_000).await;
        }
        let mut pushed = false;
        loop {
            let service = self.look().await.map_err(|error| error.message)?;
            let Some(service) = service.filter(|service| service.status == "ACTIVE") else {
                return Err("the service is gone".to_owned());
            };
            self.tell_events(Some(&service));
            let primary = service.primary();
            if let Some(primary) = primary.filter(|primary| primary.task_definition == back) {
                self.tell_progress(primary);
                if self.ended.back_by == Some(ECS) {
                    // What it says once it is on its way tells more than what it said before.
                    self.ended.back_by = Some(by_ecs(primary.reason.as_deref()));
                }
                let done = primary.rollout_state == Some(RolloutState::Completed)
                    && primary.running_count >= primary.desired_count
                    && service.task_definition == back;
                if done && self.all_run(back, service.desired_count).await? {
                    return Ok(());
                }
                if primary.rollout_state == Some(RolloutState::Failed) {
                    return Err("the earlier revision failed as well".to_owned());
                }
            } else if !pushed {
                let records = self.records().await;
                if let Some(other) = newer(&records, watched, back) {
                    return Err(in_other_hands(&other.task_definition));
                }
                let record = records
                    .iter()
                    .find(|record| record.task_definition == watched.task_definition);
                if let Some(other) = foreign(&service, record, watched, back) {
                    return Err(in_other_hands(other));
                }
                if !records.iter().any(ServiceDeploymentView::in_flight) {
                    // ECS has come to rest on something else: it was asked to go back, and did not, or not there.
                    match self.update_to(back).await {
                        Ok(()) => pushed = true,
                        Err(error) if error.transient => {}
                        Err(error) => return Err(error.message),
                    }
                }
            }
            let now = self.cloud.now();
            let waited = now.saturating_sub(since);
            if now >= deadline {
                return Err(format!(
                    "the earlier revision did not serve again within {} s",
                    waited / 1000
                ));
            }
            self.pause(pause(waited, false)).await;
        }
    }

    /// Sets the service on its way back, by the gentlest means that works. Gives the error that keeps it from that and that may pass.
    async fn turn_round(
        &mut self,
        watched: &Watched,
        back: &str,
    ) -> Result<Option<CallError>, String> {
        let to = back.to_owned();
        // First the service, then the record: what somebody deployed before that look is in the record by then.
        let service = self.look().await.ok().flatten();
        let records = self.records().await;
        let record = records
            .iter()
            .find(|record| record.task_definition == watched.task_definition);
        if let Some(other) = newer(&records, watched, back) {
            return Err(in_other_hands(&other.task_definition));
        }
        if let Some(other) = service
            .as_ref()
            .and_then(|service| foreign(service, record, watched, back))
        {
            return Err(in_other_hands(other));
        }
        let primary = service.as_ref().and_then(ServiceView::primary);
        if record.is_some_and(ServiceDeploymentView::rolling_back)
            || primary.is_some_and(|primary| primary.task_definition == back)
        {
            let reason = record.and_then(|record| record.reason.as_deref());
            let by = by_ecs(reason.or(primary.and_then(|p| p.reason.as_deref())));
            self.turning(to, by);
            return Ok(None);
        }
        if let Some(record) = record.filter(|record| record.in_flight()) {
            let call = Call::StopServiceDeployment {
                arn: record.arn.clone(),
            };
            if self.ask(call).await.is_ok() {
                self.turning(to, "StopServiceDeployment");
                return Ok(None);
            }
        }
        self.turning(to, "UpdateService");
        match self.update_to(back).await {
            Ok(()) => Ok(None),
            Err(error) if error.transient => Ok(Some(error)),
            Err(error) => Err(error.message),
        }
    }

    fn turning(&mut self, to: String, by: &'static str) {
        self.ended.back_by = Some(by);
        self.say(Event::RollingBack { to, by });
    }

    async fn update_to(&mut self, task_definition: &str) -> Result<(), CallError> {
        let call = Call::UpdateService {
            task_definition: task_definition.to_owned(),
            settings: self.plan.settings_before.clone().unwrap_or_default(),
        };
        self.ask(call).await.map(|_| ())
    }

    /// Settings that the plan changed are put back. ECS's own rollback brings back the revision only.
    async fn put_settings_back(&mut self, watched: &Watched, back: &str) -> Result<(), String> {
        let Some(before) = &self.plan.settings_before else {
            return Ok(());
        };
        let holds = |service: &Option<ServiceView>| {
            service
                .as_ref()
                .is_some_and(|service| before.hold(&service.rules))
        };
        let service = self.look().await.map_err(|error| error.message)?;
        if holds(&service) || *before == ServiceSettings::default() {
            return Ok(());
        }
        if let Some(other) = service
            .as_ref()
            .and_then(|service| foreign(service, None, watched, back))
        {
            return Err(in_other_hands(other));
        }
        // The same revision and other settings: ECS starts no deployment for that.
        let update = self.update_to(back).await;
        update.map_err(|error| error.message)?;
        for _ in 0..5 {
            let service = self.look().await.map_err(|error| error.message)?;
            if holds(&service) {
                return Ok(());
            }
            self.pause(2_000).await;
        }
        Err(
            "the revision before serves again, but the service's settings could not be put back"
                .to_owned(),
        )
    }

    async fn all_run(&mut self, task_definition: &str, desired: u32) -> Result<bool, String> {
        let running = self.tasks(true).await.map_err(|error| error.message)?;
        let alike = running.iter().filter(|task| {
            task.last_status == "RUNNING" && task.task_definition == task_definition
        });
        Ok(alike.count() >= desired as usize)
    }

    async fn live(&mut self) -> Option<String> {
        let service = self.look().await.ok().flatten()?;
        self.tell_events(Some(&service));
        Some(service.task_definition)
    }
}

const ECS: &str = "ECS itself";

/// Which of its guards made ECS go back, by its own words (`rolloutStateReason`, `statusReason`).
fn by_ecs(reason: Option<&str>) -> &'static str {
    let reason = reason.unwrap_or_default().to_lowercase();
    if reason.contains("circuit breaker") {
        "ECS's deployment circuit breaker"
    } else if reason.contains("alarm") {
        "ECS, because of a CloudWatch alarm"
    } else {
        ECS
    }
}

/// A deployment of something else that somebody started after the one that is watched. The newest record comes first.
fn newer<'a>(
    records: &'a [ServiceDeploymentView],
    watched: &Watched,
    back: &str,
) -> Option<&'a ServiceDeploymentView> {
    let own = records
        .iter()
        .position(|record| record.task_definition == watched.task_definition)?;
    records[..own]
        .iter()
        .find(|record| record.task_definition != back)
}

/// What the service works with, when that is neither the watched revision nor the one to return to, and ECS does not say that it went there by itself.
fn foreign<'a>(
    service: &'a ServiceView,
    record: Option<&ServiceDeploymentView>,
    watched: &Watched,
    back: &str,
) -> Option<&'a str> {
    let primary = service.primary()?;
    // That ECS went back says nothing of what somebody has deployed since.
    let by_ecs = record.is_some_and(|record| record.status.starts_with("ROLLBACK"))
        && service.went_back_to(primary);
    let live = primary.task_definition.as_str();
    (live != watched.task_definition && live != back && !by_ecs).then_some(live)
}

fn in_other_hands(task_definition: &str) -> String {
    format!("another deployment took over: the service now rolls out {task_definition}")
}
