//! The claim: of two runs that are about to deploy over the same PRIMARY one goes on, and the other waits.
//!
//! UpdateService knows no condition, so two runs could both find the guard as they expect it. But ECS numbers revisions in one order that is the same for all: who registered first
//! goes on. Each run tags its revision with the deployment that it is to replace, and for how long that counts, as its run may be dead.

use std::collections::BTreeMap;

use super::{Answer, Call, Cloud, End, Event, Execution, LAG};
use crate::cause::{Cause, CauseCode};
use crate::facts::{Millis, RevisionView};
use crate::plan::{PROVEN_TAG, RAN_TAG, Step};
use crate::words;

/// Tag of a revision: the deployment that was PRIMARY when it was registered. Gone when the run has ended without deploying it.
pub(crate) const GUARD_TAG: &str = "longshore:guard";
/// Tag of a revision: for how many seconds from its registration on `GUARD_TAG` counts.
const HOLDS_TAG: &str = "longshore:guard-seconds";
/// Tag of every revision that longshore registers.
const MANAGED_TAG: &str = "longshore:service";
/// Revisions before the own one that are looked at.
const MOST_RIVALS: usize = 5;

/// The own claim.
struct Claim<'a> {
    /// ARN of the revision that was registered.
    arn: &'a str,
    /// ID of the deployment that it is to replace.
    guard: &'a str,
    /// When it was made.
    since: Millis,
    /// How long it counts from then on.
    holds: Millis,
}

impl<C: Cloud> Execution<'_, C> {
    /// Claims the deployment that the plan replaces, and lets runs pass that have claimed it before.
    pub(super) async fn claim(&mut self, arn: &str) -> Result<(), Cause> {
        let plan = self.plan;
        let Some(guard) = &plan.guard.primary_deployment else {
            return self.tag(arn, plan.tags.clone()).await;
        };
        let mut claim = Claim {
            arn,
            guard,
            since: self.cloud.now(),
            holds: self.next_step(),
        };
        let mut tags = claim.tags();
        tags.extend(plan.tags.clone());
        self.tag(arn, tags).await?;
        let Some((family, number)) = arn.rsplit_once(':') else {
            return Ok(());
        };
        let number: u64 = number.parse().unwrap_or_default();
        let Some(own) = self.revision(arn).await else {
            return Ok(());
        };
        // Who registered before that deployment began has not planned to replace it.
        let earliest = self.before.as_ref().map_or(0, |before| before.created_at);
        for number in (1..number).rev().take(MOST_RIVALS) {
            let name = format!("{family}:{number}");
            let Some(other) = self.revision(&name).await else {
                break;
            };
            if other.registered_at < earliest {
                break;
            }
            let age = own.registered_at.saturating_sub(other.registered_at);
            // Registered a moment ago, and its tags are still on their way.
            if !other.tags.contains_key(MANAGED_TAG) && age < 3_000 {
                self.pause(1_500).await;
            }
            self.let_pass(&name, age, &mut claim).await?;
        }
        Ok(())
    }

    /// Waits until another run has deployed what it registered, so long before this one, which moves the guard, or has given up; or until it must be dead.
    async fn let_pass(
        &mut self,
        name: &str,
        age: Millis,
        claim: &mut Claim<'_>,
    ) -> Result<(), Cause> {
        let since = self.cloud.now();
        let mut said = false;
        while let Some(other) = self.revision(name).await {
            let claims = other.status == "ACTIVE"
                && other
                    .tags
                    .get(GUARD_TAG)
                    .is_some_and(|claimed| claimed == claim.guard);
            let waited = self.cloud.now().saturating_sub(since);
            if !claims || age + waited >= holds(&other) {
                break;
            }
            if !said {
                self.say(Event::Note(format!(
                    "another run registered {} a moment before this one; waiting until it has deployed that or has given up",
                    words::revision(&other.arn)
                )));
                said = true;
            }
            self.renew(claim, LAG / 2).await?;
            self.pause(2_000).await;
            if self.interrupted() {
                return Err(Cause::new(
                    CauseCode::Interrupted,
                    "interrupted before anything was changed",
                ));
            }
            self.guard().await?;
        }
        if said {
            // What comes now takes as long as it would have taken without the wait.
            let next = self.next_step();
            self.renew(claim, next).await?;
        }
        Ok(())
    }

    /// Makes the claim count for longer, where it counts for less than that: whoever waits for this run must not take it for dead because it waits itself.
    async fn renew(&mut self, claim: &mut Claim<'_>, least: Millis) -> Result<(), Cause> {
        let elapsed = self.cloud.now().saturating_sub(claim.since);
        if claim.holds >= elapsed + least {
            return Ok(());
        }
        claim.holds = elapsed + self.next_step();
        self.tag(claim.arn, claim.tags()).await
    }

    /// How long it may take from a claim to the deployment: the tasks before, and what calls take.
    fn next_step(&self) -> Millis {
        let before = self.plan.steps.iter().map(|step| match step {
            Step::RunTask { task } => task.timeout_seconds * 1000,
            _ => 0,
        });
        LAG + before.sum::<Millis>()
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

    /// Nobody has to wait for a run that does not deploy what it registered, and what it registered has passed nothing.
    pub(super) async fn give_up_claim(&mut self) {
        if let Some(arn) = self.ended.task_definition.clone()
            && self.plan.guard.primary_deployment.is_some()
        {
            let mut keys = vec![GUARD_TAG, PROVEN_TAG];
            if self.ended.end == End::RolledBack {
                // What ran before it was safe, or was undone.
                keys.push(RAN_TAG);
            }
            keys.push(HOLDS_TAG);
            let keys = keys.into_iter().map(str::to_owned).collect();
            let call = Call::UntagRevision { arn, keys };
            // Nothing depends on it but the patience of others.
            let _ = self.try_briefly(call, 500).await;
        }
    }

    async fn revision(&mut self, name: &str) -> Option<RevisionView> {
        let name = name.to_owned();
        match self.ask(Call::Revision { name }).await {
            Ok(Answer::Revision(found)) => found,
            _ => None,
        }
    }
}

impl Claim<'_> {
    fn tags(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (GUARD_TAG.to_owned(), self.guard.to_owned()),
            (HOLDS_TAG.to_owned(), (self.holds / 1000).to_string()),
        ])
    }
}

/// How long after its registration a revision's claim counts. One that does not say is that of a version of longshore that did not, or somebody else's words.
fn holds(revision: &RevisionView) -> Millis {
    let seconds = revision.tags.get(HOLDS_TAG);
    let seconds = seconds.and_then(|seconds| seconds.parse::<u64>().ok());
    seconds.map_or(LAG, |seconds| seconds.saturating_mul(1000))
}
