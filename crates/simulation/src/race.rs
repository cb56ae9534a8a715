//! What may be asked of runs that raced.

use rollout::cause::{Cause, CauseCode};
use rollout::execute::{End, Ended};
use rollout::plan::{Plan, Step};

use crate::command::Outcome;
use crate::story::{Opening, Over, Story};
use crate::views;
use crate::weigh::{good, is_calm, undisturbed};

/// Tag of a revision that a run is about to deploy.
const GUARD_TAG: &str = "longshore:guard";

impl Story<'_> {
    /// One goes on and the others are refused, or they go one after the other. Nobody changes the service without knowing of another's change, and nobody's claim outlives its run.
    pub(crate) fn hope_for_race(&mut self, opening: &Opening, over: &[Over<'_>]) {
        for one in over {
            self.look_for_claim(one);
            // A last look that lags cannot show what another has just deployed.
            if one.overran && one.run.faults.lag == 0 {
                self.wrong("a run deployed over another's deployment without knowing of it");
            }
        }
        let calm = opening
            .service
            .as_ref()
            .is_some_and(|service| is_calm(service, self.scenario.desired));
        if !calm || !over.iter().all(|one| undisturbed(one.run)) {
            return;
        }
        if over.iter().all(gave_way) {
            self.wrong("each of the runs that raced gave way to another");
        }
        let all_good = over.iter().all(good);
        for one in over.iter().filter(|_| all_good) {
            let Some((_, ended)) = done(one) else {
                continue;
            };
            let superseded = over.iter().any(|other| {
                done(other).is_some_and(|(plan, _)| {
                    ended.deployment.is_some() && plan.guard.primary_deployment == ended.deployment
                })
            });
            // An answer that was lost leaves a run without the name of its deployment: when another has deployed since, it cannot know more than that.
            let unnamed = ended.deployment.is_none()
                && ended
                    .cause
                    .as_ref()
                    .is_some_and(|cause| cause.code == CauseCode::Aws)
                && over
                    .iter()
                    .any(|other| done(other).is_some_and(|(_, end)| end.end == End::Succeeded));
            let ends = matches!(ended.end, End::Succeeded | End::Unchanged | End::Refused);
            if !ends && !superseded && !unnamed && !gave_way(one) {
                self.wrong(format!("a good release ended as {:?} in a race", ended.end));
            }
        }
    }

    /// A run that is over keeps nobody waiting.
    fn look_for_claim(&mut self, one: &Over<'_>) {
        let faults = &one.run.faults;
        let exact = faults.pass() && faults.refused_for_now == 0 && faults.lost == 0;
        let Some((plan, ended)) = done(one).filter(|_| exact && registers(one)) else {
            return;
        };
        let Some(definition) = &ended.task_definition else {
            return;
        };
        let world = self.world.get_mut();
        let service = views::service(world).unwrap_or_default();
        let primary = Option::as_ref(&service).and_then(|service| service.primary());
        let claim =
            views::revision(world, definition).and_then(|mut one| one.tags.remove(GUARD_TAG));
        if claim.is_some()
            && claim == plan.guard.primary_deployment
            && claim.as_ref() == primary.map(|primary| &primary.id)
        {
            self.wrong(format!("{:?}, but its claim is still there", ended.end));
        }
    }
}

fn done<'a>(one: &'a Over<'_>) -> Option<&'a (Plan, Ended)> {
    match &one.outcome {
        Outcome::Ended(done) => Some(&**done),
        Outcome::NoPlan(_) | Outcome::Died => None,
    }
}

/// Whether it registers a revision, which is what a claim is made with.
fn registers(one: &Over<'_>) -> bool {
    done(one).is_some_and(|(plan, _)| {
        let mut steps = plan.steps.iter();
        steps.any(|step| matches!(step, Step::RegisterTaskDefinition { .. }))
    })
}

/// Whether it ended because of somebody else's deployment.
fn gave_way(one: &Over<'_>) -> bool {
    match &one.outcome {
        Outcome::Ended(done) => {
            let refused = |cause: &Cause| cause.code == CauseCode::Refused;
            matches!(done.1.end, End::Refused | End::Unreleased)
                && done.1.cause.as_ref().is_some_and(refused)
        }
        Outcome::NoPlan(why) => why.contains("is in flight"),
        Outcome::Died => false,
    }
}
