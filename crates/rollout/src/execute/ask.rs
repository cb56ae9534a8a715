//! Questions to AWS: tried again while they fail for now, believed only when they are not older than what is known, and kept within a budget.

use super::{Answer, BUDGET, Call, CallError, Cloud, Event, Execution, LAG, PATIENCE};
use crate::cause::{Cause, CauseCode};
use crate::facts::{Millis, ServiceDeploymentView, ServiceView, TaskView};
use crate::mask::mask;
use crate::receipt::Moment;

impl<C: Cloud> Execution<'_, C> {
    /// The service, as of after the watched deployment began and after whatever else was seen to begin: an answer from before is a read that lags, unless there is no other for a
    /// while. What somebody was seen to deploy must not be forgotten because of an older answer.
    pub(super) async fn look(&mut self) -> Result<Option<ServiceView>, CallError> {
        // Time in which nothing could be seen is no time in which a read has lagged.
        let mut lagged = 0;
        loop {
            let service = self.describe().await?;
            let lags = match &service {
                Some(service) if service.status != "INACTIVE" => {
                    let primary = service.primary().map_or(0, |primary| primary.created_at);
                    let gone = self.gone && service.status == "ACTIVE" && primary <= self.newest;
                    gone || service.predates(self.created_at.max(self.newest))
                }
                // A service that was there cannot be missing because of a lag.
                _ => self.created_at > 0 && self.plan.guard.primary_deployment.is_none(),
            };
            if !lags || lagged >= LAG {
                let primary = service.as_ref().and_then(ServiceView::primary);
                self.gone = service.as_ref().is_none_or(|s| s.status != "ACTIVE");
                let created = primary.map_or(0, |primary| primary.created_at);
                self.newest = if lags { 0 } else { self.newest }.max(created);
                return Ok(service);
            }
            let before = self.cloud.now();
            self.pause(1_000).await;
            lagged += self.cloud.now().saturating_sub(before);
        }
    }

    pub(super) async fn describe(&mut self) -> Result<Option<ServiceView>, CallError> {
        match self.insist(Call::DescribeService).await? {
            Answer::Service(service) => Ok(service),
            _ => Ok(None),
        }
    }

    pub(super) async fn tasks(&mut self, running: bool) -> Result<Vec<TaskView>, CallError> {
        match self.insist(Call::Tasks { running }).await? {
            Answer::Tasks(tasks) => Ok(tasks),
            _ => Ok(Vec::new()),
        }
    }

    /// ECS's record of rollouts. Without the permission to read it there is still the service itself.
    pub(super) async fn records(&mut self) -> Vec<ServiceDeploymentView> {
        match self.ask(Call::ServiceDeployments).await {
            Ok(Answer::ServiceDeployments(records)) => records,
            _ => Vec::new(),
        }
    }

    /// A call, tried again while it fails for now.
    pub(super) async fn ask(&mut self, call: Call) -> Result<Answer, CallError> {
        let until = self.cloud.now() + PATIENCE;
        self.ask_until(call, until).await
    }

    /// A call without whose answer there is no verdict: while something is watched, it is tried again until the time for that is up. That nothing can be seen
    /// says nothing about the deployment.
    pub(super) async fn insist(&mut self, call: Call) -> Result<Answer, CallError> {
        let until = self.watching_until.max(self.cloud.now() + PATIENCE);
        self.ask_until(call, until).await
    }

    async fn ask_until(&mut self, call: Call, until: Millis) -> Result<Answer, CallError> {
        let mut wait = 500;
        let mut declined = true;
        loop {
            let answer = self.cloud.call(call.clone()).await;
            self.count(call.cost(&answer));
            let error = match answer {
                Err(error) => error,
                answer => return answer,
            };
            // One attempt of several may have taken effect.
            declined &= error.declined;
            if !error.transient || self.interrupted() || self.cloud.now() >= until {
                return Err(CallError { declined, ..error });
            }
            self.say(Event::Retrying(error.message.clone()));
            self.pause(wait).await;
            wait = (wait * 2).min(15_000);
            if self.interrupted() {
                return Err(CallError { declined, ..error });
            }
        }
    }

    /// A call that nothing depends on but comfort: tried again a few times and no more.
    pub(super) async fn try_briefly(
        &mut self,
        call: Call,
        wait: Millis,
    ) -> Result<Answer, CallError> {
        const TRIES: u32 = 3;
        let mut tries = 0;
        loop {
            tries += 1;
            self.count(1);
            let answer = self.cloud.call(call.clone()).await;
            match &answer {
                Err(error) if error.transient => self.pause(wait).await,
                _ => return answer,
            }
            if tries == TRIES {
                return answer;
            }
        }
    }

    /// Why nothing can be seen any more: nobody waits for it any longer, or it has failed for too long.
    pub(super) fn lost(&self, error: &CallError) -> Cause {
        if self.interrupted() {
            return Cause::new(CauseCode::Interrupted, "interrupted");
        }
        Cause::new(
            CauseCode::Aws,
            format!("AWS cannot be asked any more: {}", error.message),
        )
    }

    /// Counts requests, for the receipt and for the budget.
    pub(super) fn count(&mut self, requests: u64) {
        let now = self.cloud.now();
        self.ended.calls += requests;
        for _ in 0..requests {
            self.recent.push_back(now);
        }
    }

    /// How long no further request should be made: none while the last minute's stay within the budget.
    pub(super) fn over_budget(&mut self) -> Millis {
        let now = self.cloud.now();
        // A clock that is set back must not stop everything.
        self.recent.retain(|at| *at <= now && now - *at < 60_000);
        if self.recent.len() < BUDGET {
            return 0;
        }
        let oldest = self.recent.iter().rev().nth(BUDGET - 1).copied();
        oldest
            .map_or(0, |at| (at + 60_000).saturating_sub(now))
            .min(15_000)
    }

    /// Tells ECS's own record of the service, as far as it is new, and keeps it.
    pub(super) fn tell_events(&mut self, service: Option<&ServiceView>) {
        // By AWS's clock: the record is AWS's.
        let since = self.created_at;
        let events = service.into_iter().flat_map(|service| &service.events);
        let mut news: Vec<(Millis, &str)> = events
            .filter(|event| event.at >= since)
            .map(|event| (event.at, event.message.as_str()))
            .collect();
        news.reverse();
        for (at, words) in news {
            if !self.told.insert((at, words.to_owned())) {
                continue;
            }
            let message = mask(words);
            if self.ended.events.len() < super::MOST_MOMENTS {
                self.ended.events.push(Moment::new(at, message.clone()));
            }
            self.say(Event::Service(message));
        }
    }
}
