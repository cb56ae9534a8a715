//! After the rollout: requests to the public address, and a time in which the new version is watched, before "succeeded" is said.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Call, Cloud, Event, Execution};
use crate::cause::{Cause, CauseCode};
use crate::facts::{AlarmView, Millis, TaskView};
use crate::mask::mask;
use crate::plan::{Check, PROVEN_TAG};
use crate::threshold::too_many_afterwards;
use crate::verdict::{Observation, Verdict, Watched, failed_tasks, judge};

/// Alarms are evaluated once a minute or, at most, every 10 s.
const ALARM_PACE: Millis = 10_000;
/// What the last look may take, beyond the checks and the bake time.
const LAST_LOOK: Millis = 300_000;

impl<C: Cloud> Execution<'_, C> {
    /// Proves that the new version works: the checks, then the bake time, then one more look.
    pub(super) async fn prove(&mut self, watched: &mut Watched) -> Result<(), Cause> {
        let plan = self.plan;
        if plan.checks.is_empty() && plan.bake_seconds == 0 {
            return self.judge_alarms().await;
        }
        self.say(Event::RolledOut);
        self.watching_until = self.cloud.now() + LAST_LOOK;
        let known = self.known_failures(watched).await?;
        for check in &plan.checks {
            self.check(check).await?;
        }
        let since = self.cloud.now();
        let until = since + plan.bake_seconds * 1000;
        if plan.bake_seconds > 0 {
            self.say(Event::Baking(plan.bake_seconds));
        }
        watched.deadline = until + LAST_LOOK;
        self.watching_until = watched.deadline;
        loop {
            let verdict = self.look_again(watched, &known).await?;
            let now = self.cloud.now();
            if now >= until && verdict == Verdict::Succeeded {
                // What fired since the last look at them counts, too.
                return self.judge_alarms().await;
            }
            self.look_at_alarms().await?;
            let left = until.saturating_sub(now);
            let step = (plan.bake_seconds * 100).clamp(1_000, 10_000);
            self.pause(if left == 0 { 1_000 } else { step.min(left) })
                .await;
            if self.interrupted() {
                return Err(Cause::new(CauseCode::Interrupted, "interrupted"));
            }
        }
    }

    /// One look at the deployment whose rollout is done. A task that fails now fails it, or one of twenty: the rollout has shown that it can run.
    async fn look_again(
        &mut self,
        watched: &Watched,
        known: &BTreeSet<String>,
    ) -> Result<Verdict, Cause> {
        let service = self.look().await.map_err(|error| self.lost(&error))?;
        self.tell_events(service.as_ref());
        let stopped = self.tasks(false).await.map_err(|error| self.lost(&error))?;
        self.tell_failed(watched, &stopped);
        // A program that ends with 0 may be meant to be started again; a loop of that is for the verdict below.
        let mut crashed: Vec<Cause> = failed_tasks(watched, &stopped)
            .into_iter()
            .filter(|(task, cause)| !known.contains(&task.arn) && !cause.waits())
            .map(|(_, cause)| cause)
            .filter(|cause| cause.exit_code != Some(0))
            .collect();
        let desired = service.as_ref().map_or(0, |service| service.desired_count);
        if too_many_afterwards(crashed.len(), desired) {
            let mut cause = crashed.swap_remove(0);
            cause.message = format!("after the rollout: {}", cause.message);
            return Err(cause);
        }
        let running = self.tasks(true).await.map_err(|error| self.lost(&error))?;
        let observation = Observation {
            service: service.as_ref(),
            stopped: &stopped,
            running: Some(&running),
            record: None,
            calm: self.calm(),
        };
        match judge(watched, &observation, self.cloud.now()) {
            Verdict::Failed(cause) => Err(cause),
            verdict => Ok(verdict),
        }
    }

    /// Tasks whose failure did not keep the rollout from being done.
    async fn known_failures(&mut self, watched: &Watched) -> Result<BTreeSet<String>, Cause> {
        let stopped: Vec<TaskView> = self.tasks(false).await.map_err(|error| self.lost(&error))?;
        Ok(failed_tasks(watched, &stopped)
            .into_iter()
            .map(|(task, _)| task.arn.clone())
            .collect())
    }

    /// Tries a request until it is answered as it should be.
    async fn check(&mut self, check: &Check) -> Result<(), Cause> {
        let since = self.cloud.now();
        self.say(Event::Checking(check.url.clone()));
        loop {
            let call = Call::Get {
                url: check.url.clone(),
            };
            let why = match self.cloud.call(call).await {
                Ok(Answer::Http(status, body)) => match unlike(check, status, &body) {
                    None => {
                        self.say(Event::Checked(check.url.clone()));
                        return Ok(());
                    }
                    Some(why) => why,
                },
                Ok(_) => "no answer".to_owned(),
                Err(error) => error.message,
            };
            if self.interrupted() {
                return Err(Cause::new(CauseCode::Interrupted, "interrupted"));
            }
            if self.cloud.now() >= since + check.within_seconds * 1000 {
                return Err(Cause::new(
                    CauseCode::Check,
                    format!(
                        "{} was not answered as it should be within {} s: {}",
                        check.url,
                        check.within_seconds,
                        mask(&why)
                    ),
                ));
            }
            self.pause(1_000).await;
        }
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
        if let Err(error) = self.try_briefly(call, 1_000).await
            && !error.transient
        {
            self.say(Event::Note(format!(
                "that this revision has passed is not on record ({}): a second run will look again",
                error.message
            )));
        }
    }

    /// What fires before anything is changed says nothing about the new version. ECS sees it the same way. Of a deployment that was found on its way, or live, so much is certain of alarms that
    /// fired before it was created; it may itself have raised the others.
    pub(super) async fn look_at_alarms_first(&mut self, created_at: Option<Millis>) {
        if self.plan.alarms.is_empty() {
            return;
        }
        for alarm in self.alarms().await {
            let earlier =
                created_at.is_none_or(|created| alarm.since.is_some_and(|at| at < created));
            if alarm.state == "ALARM" && earlier {
                self.say(Event::Note(format!(
                    "alarm `{}` was in ALARM already before anything was changed; it is not watched in this deployment",
                    alarm.name
                )));
                self.alarms_before.insert(alarm.name);
            }
        }
    }

    /// As [`Self::judge_alarms`], as often as alarms change.
    pub(super) async fn look_at_alarms(&mut self) -> Result<(), Cause> {
        let now = self.cloud.now();
        if now < self.alarms_at + ALARM_PACE && now >= self.alarms_at {
            return Ok(());
        }
        self.judge_alarms().await
    }

    /// An alarm that fires fails the deployment.
    async fn judge_alarms(&mut self) -> Result<(), Cause> {
        if self.plan.alarms.is_empty() {
            return Ok(());
        }
        self.alarms_at = self.cloud.now();
        let alarms = self.alarms().await;
        let fired = alarms
            .into_iter()
            .find(|alarm| alarm.state == "ALARM" && !self.alarms_before.contains(&alarm.name));
        match fired {
            None => Ok(()),
            Some(alarm) => Err(Cause::new(
                CauseCode::Alarm,
                format!("alarm `{}` fired: {}", alarm.name, mask(&alarm.reason)),
            )),
        }
    }

    /// The state of the alarms; what cannot be read is said once, and is no verdict.
    async fn alarms(&mut self) -> Vec<AlarmView> {
        let names = self.plan.alarms.clone();
        match self.ask(Call::Alarms { names }).await {
            Ok(Answer::Alarms(alarms)) => alarms,
            Ok(_) => Vec::new(),
            Err(error) => {
                let note = format!("the alarms cannot be read: {}", error.message);
                if self.told.insert((0, note.clone())) {
                    self.say(Event::Note(note));
                }
                Vec::new()
            }
        }
    }
}

/// What is wrong with an answer; none when it is as it should be.
fn unlike(check: &Check, status: u16, body: &str) -> Option<String> {
    if status != check.status {
        return Some(format!("status {status}, not {}", check.status));
    }
    let text = check.contains.as_ref()?;
    if body.contains(text) {
        return None;
    }
    let start: String = body.chars().take(120).collect();
    Some(format!(
        "the body does not hold {text:?}; it begins with {start:?}"
    ))
}
