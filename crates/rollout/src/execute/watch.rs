//! The watching of a deployment, look by look, until there is a verdict.

use super::{Answer, Call, Cloud, Event, Execution, pause};
use crate::cause::{Cause, CauseCode};
use crate::facts::{DeploymentView, Millis, RolloutState, TaskView};
use crate::verdict::{Observation, Verdict, Watched, failed_tasks, judge};

/// After so long without another failed task, a deployment's tasks need not be held against those that failed.
const CALM: Millis = 240_000;

impl<C: Cloud> Execution<'_, C> {
    /// Watches until the deployment has ended well, or gives the cause of its failure.
    pub(super) async fn watch(&mut self, watched: &mut Watched) -> Result<(), Cause> {
        let mut failed = 0;
        let mut last = None;
        let mut look = 0_u32;
        self.watching_until = watched.deadline;
        loop {
            look = look.wrapping_add(1);
            let service = self.look().await.map_err(|error| self.lost(&error))?;
            let own = service
                .as_ref()
                .and_then(|s| s.deployments.iter().find(|d| d.id == watched.deployment));
            watched.seen |= own.is_some();
            let quiet = own.is_some_and(|own| {
                own.status == "PRIMARY" && own.rollout_state == Some(RolloutState::InProgress)
            });
            let more_failed = own.is_some_and(|own| own.failed_tasks != failed);
            failed = own.map_or(failed, |own| own.failed_tasks);
            if let Some(own) = own {
                self.tell_progress(own);
            }
            self.tell_events(service.as_ref());
            let changed = last.replace(own.cloned()).flatten() != own.cloned();

            let expired = self.cloud.now() >= watched.deadline;
            let stopped = if !quiet || more_failed || expired || look.is_multiple_of(3) {
                self.tasks(false).await.map_err(|error| self.lost(&error))?
            } else {
                Vec::new()
            };
            let records = if !quiet || look.is_multiple_of(5) {
                self.records().await
            } else {
                Vec::new()
            };
            let record = records
                .iter()
                .find(|record| record.task_definition == watched.task_definition);
            self.tell_failed(watched, &stopped);
            if let (Some(service), Some(record)) = (&service, record)
                && !service.rules.rolling()
            {
                self.tell_stage(record.arn.clone()).await;
            }
            let mut observation = Observation {
                service: service.as_ref(),
                stopped: &stopped,
                running: None,
                record,
                calm: self.calm(),
            };
            let now = self.cloud.now();
            let mut verdict = judge(watched, &observation, now);
            let running;
            if verdict == Verdict::ShowTasks {
                running = self.tasks(true).await.map_err(|error| self.lost(&error))?;
                observation.running = Some(&running);
                verdict = judge(watched, &observation, now);
            }
            match verdict {
                Verdict::Succeeded => {
                    self.empty = service.is_some_and(|service| service.desired_count == 0);
                    return Ok(());
                }
                Verdict::Failed(cause) => return Err(cause),
                Verdict::Going | Verdict::ShowTasks => {}
            }
            self.look_at_alarms().await?;
            let elapsed = now.saturating_sub(watched.since);
            self.pause(pause(elapsed, changed || !quiet)).await;
            if self.interrupted() {
                return Err(Cause::new(CauseCode::Interrupted, "interrupted"));
            }
        }
    }

    pub(super) fn tell_progress(&mut self, own: &DeploymentView) {
        self.say(Event::Progress {
            task_definition: own.task_definition.clone(),
            running: own.running_count,
            desired: own.desired_count,
            pending: own.pending_count,
            failed: own.failed_tasks,
        });
    }

    /// Whether no task of the deployment has been seen to fail for a while.
    pub(super) fn calm(&self) -> bool {
        let now = self.cloud.now();
        self.failed_at.is_none_or(|at| now.abs_diff(at) >= CALM)
    }

    /// Tells of each failed task once. ECS forgets them after an hour.
    pub(super) fn tell_failed(&mut self, watched: &Watched, stopped: &[TaskView]) {
        for (task, cause) in failed_tasks(watched, stopped) {
            if self.failed.insert(task.arn.clone()) {
                self.failed_at = Some(self.cloud.now());
                self.keep_failed(task, &cause);
                let message = crate::mask::mask(&cause.message);
                let again = !self.reasons.insert(message.clone());
                self.say(Event::TaskFailed {
                    task: task.id().to_owned(),
                    code: cause.code,
                    message,
                    again,
                });
            }
        }
    }

    /// Where a blue/green, linear or canary deployment is. Without the permission to ask, it is not told.
    async fn tell_stage(&mut self, arn: String) {
        if let Ok(Answer::Stage(Some(stage))) = self.ask(Call::Stage { arn }).await
            && self.stage.as_ref() != Some(&stage)
        {
            self.stage = Some(stage.clone());
            self.say(Event::Stage(stage));
        }
    }
}
