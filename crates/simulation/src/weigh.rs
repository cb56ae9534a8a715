//! A chapter's outcomes, held against the model: whether each told the truth, and where nothing but what passes went wrong, whether each is what may be asked for.

use local_cloud::task::Millis;
use rollout::execute::{End, Ended};
use rollout::facts::{RolloutState, ServiceView};
use rollout::plan::{self, Marker, Plan};

use crate::command::Outcome;
use crate::judge::{Case, Truth, judge};
use crate::scenario::Run;
use crate::story::{Opening, Over, Story};
use crate::version::{self, Fate, SECRET};
use crate::views;
use crate::world::{Act, World};

/// What became of the task before a release.
#[derive(Clone, Copy, Default)]
pub(crate) struct Chores {
    /// What it says about the way back.
    marker: Option<Marker>,
    /// Whether it did its work.
    did: bool,
    /// Whether its reverse did.
    undone: bool,
}

impl Chores {
    pub(crate) fn of(world: &World, outcome: &Outcome) -> Self {
        let Outcome::Ended(done) = outcome else {
            return Self::default();
        };
        let (plan, ended) = &**done;
        let marker = plan.steps.iter().find_map(|step| match step {
            plan::Step::RunTask { task } => Some(task.marker),
            plan::Step::Adopt { ran, .. } => ran.first().map(|task| task.marker),
            _ => None,
        });
        // Not what a run before this one had begun, with a revision of its own.
        let did = |command: &str| {
            world.ended_well.iter().any(|(definition, done)| {
                ended.task_definition.as_ref() == Some(definition) && done == command
            })
        };
        Self {
            marker,
            did: did(version::MIGRATE),
            undone: did(version::REVERSE),
        }
    }
}

/// What the model knows now.
pub(crate) fn look(world: &mut World) -> Truth {
    let service = views::service(world)
        .ok()
        .and_then(|service| Option::clone(&*service));
    let definition = service
        .as_ref()
        .map(|service| service.task_definition.clone());
    Truth {
        version: definition.and_then(|definition| world.version_of(&definition)),
        running: views::tasks(world, true).unwrap_or_default().to_vec(),
        service,
    }
}

impl Story<'_> {
    /// Judges the runs of a chapter, now and after a while.
    pub(crate) fn weigh(&mut self, opening: &Opening, over: &[Over<'_>]) {
        for one in over {
            self.weigh_words(one);
            if let Outcome::Ended(done) = &one.outcome {
                self.check(one, done, opening, &one.truth, false);
            }
        }
        let lasting = |one: &&Over<'_>| matches!(one.outcome, Outcome::Ended(_));
        if self.told.violations.is_empty() && over.iter().any(|one| lasting(&one)) {
            let world = self.world.get_mut();
            world.advance(world.now + 90_000);
            let truth = look(world);
            for one in over.iter().filter(lasting) {
                if let Outcome::Ended(done) = &one.outcome {
                    self.check(one, done, opening, &truth, true);
                }
            }
        }
        for one in over {
            if let Outcome::Ended(done) = &one.outcome {
                if let [only] = over {
                    self.hope(only, done, opening);
                }
                let took = (one.at - one.began) / 1000;
                if one.run.faults.pass() && took > 2 * one.run.timeout_seconds + 2_000 {
                    self.wrong(format!("the run took {took} s"));
                }
            }
        }
        if over.len() > 1 {
            self.hope_for_race(opening, over);
        }
    }

    /// What a run said, and whether it may have done what it did.
    fn weigh_words(&mut self, one: &Over<'_>) {
        if one.events.iter().any(|event| event.contains(SECRET)) {
            self.wrong("an event holds a secret");
        }
        if one.overrode {
            self.wrong("the run replaced a deployment of somebody else");
        }
        match &one.outcome {
            Outcome::Died if one.run.faults.death.is_none() => self.wrong("the run does not end"),
            Outcome::Died => {}
            Outcome::NoPlan(why) => {
                if why.contains(SECRET) {
                    self.wrong("a refusal holds a secret");
                }
                if one.touched {
                    self.wrong("there was no plan, but the service was changed");
                }
            }
            Outcome::Ended(done) => {
                let (plan, ended) = &**done;
                if format!("{ended:?}{:?}", plan.differences).contains(SECRET) {
                    self.wrong("the outcome holds a secret");
                }
            }
        }
    }

    /// Whether the outcome is true at the end of the run, or, settled, after a while.
    fn check(
        &mut self,
        one: &Over<'_>,
        done: &(Plan, Ended),
        opening: &Opening,
        truth: &Truth,
        settled: bool,
    ) {
        let (plan, ended) = done;
        // The last looks at the service are what the outcome rests on.
        let evidence = one.looks.iter().rev().nth(2).or(one.looks.first());
        let since = evidence.copied().unwrap_or(one.began);
        let world = self.world.get_mut();
        let live = truth
            .version
            .map_or(Fate::Good, |number| world.fate(number));
        let (acts, writes) = if settled {
            (&world.done[..], &world.writes[..])
        } else {
            (&world.done[..one.acts], &world.writes[..one.writes])
        };
        let killed = acts
            .iter()
            .any(|(_, act)| matches!(act, Act::KillTask | Act::Scale(_)));
        let acted = acts
            .iter()
            .any(|(at, act)| *at >= since && *act != Act::KillTask);
        let written = writes
            .iter()
            .any(|write| write.at >= since && write.who != one.index);
        let wrong_answers = one.run.checked && one.fate == Fate::AnswersWrongly;
        let case = Case {
            plan,
            ended,
            wanted: one.wanted,
            touched: one.touched,
            disturbed: acted || written,
            steady: matches!(live, Fate::Good | Fate::AnswersWrongly) && !killed,
            marker: one.chores.marker,
            migrated: one.chores.did,
            reversed: one.chores.undone,
            alarmed: alarmed(one, plan, ended, opening.began),
            wrong_answers: wrong_answers && !plan.checks.is_empty(),
        };
        if let Some(what) = judge(&case, truth) {
            let when = if settled { " (after a while)" } else { "" };
            self.wrong(format!("{what}{when}"));
        }
    }

    /// Where nothing but what passes went wrong, the outcome is not free: a good release succeeds, a hopeless one is rolled back.
    fn hope(&mut self, one: &Over<'_>, done: &(Plan, Ended), opening: &Opening) {
        if !undisturbed(one.run) {
            return;
        }
        let (plan, ended) = done;
        let before = opening.service.as_ref();
        let desired = self.scenario.desired;
        let calm = before.is_some_and(|service| is_calm(service, desired));
        // The run before died, and nobody has changed the number of tasks, for which the percentages may leave no room.
        let after_death =
            self.died && before.is_some_and(|service| service.desired_count == desired);
        let old = before
            .filter(|_| calm)
            .map(|service| service.task_definition.clone());
        // What is live already and is to prove itself is none to return to.
        let again = |old: &String| {
            plan.steps.iter().any(|step| matches!(step, plan::Step::Adopt { task_definition, .. } if task_definition == old))
        };
        if one.run.faults.lag == 0
            && let Some(old) = &old
            && !plan.steps.is_empty()
            && !again(old)
            && plan.way_back.as_ref() != Some(old)
        {
            self.wrong(format!(
                "the way back is {:?}, but {old} served",
                plan.way_back
            ));
        }
        // ECS takes the name again when the last task of a service that was deleted has ended.
        let draining = before.is_some_and(|service| service.status == "DRAINING");
        let first = one.wanted.is_some() && plan.guard.primary_deployment.is_none() && !draining;
        let done = matches!(ended.end, End::Succeeded | End::Unchanged);
        let may = calm || first || after_death && self.is_own(plan, one.wanted);
        if good(one) && may && !done {
            self.wrong(format!("a good release ended as {:?}", ended.end));
        }
        let old_is_good = old
            .as_ref()
            .and_then(|old| self.world.get_mut().version_of(old))
            .is_some_and(|number| self.world.get_mut().fate(number) == Fate::Good);
        let hopeless = one.wanted.is_some() && one.fate.is_hopeless();
        if hopeless && done && (calm || first) {
            self.wrong(format!("a hopeless release ended as {:?}", ended.end));
        }
        let back = !matches!(ended.end, End::RolledBack);
        if hopeless && calm && old_is_good && unhindered(one.run) && back {
            self.wrong(format!("a hopeless release ended as {:?}", ended.end));
        }
    }

    /// Whether the plan follows a deployment of what it wants.
    fn is_own(&mut self, plan: &Plan, wanted: Option<u64>) -> bool {
        plan.steps.iter().any(|step| match step {
            plan::Step::Adopt {
                task_definition, ..
            } => self.world.get_mut().version_of(task_definition) == wanted,
            _ => false,
        })
    }
}

/// Whether the alarm fired while it was watched, and long enough before the verdict to be seen.
fn alarmed(one: &Over<'_>, plan: &Plan, ended: &Ended, began: Millis) -> bool {
    let fired = one.run.alarm.fires().map(|after| began + after);
    let readable = one.run.faults.pass() && one.run.faults.skew == 0;
    fired.is_some_and(|at| {
        // Alarms are looked at every ten seconds, where something else goes wrong less often.
        readable
            && !plan.alarms.is_empty()
            && !plan.steps.is_empty()
            && ended.changed_at.is_some_and(|changed| at > changed)
            && at + 60_000 < one.at
            && plan.bake_seconds > 90
    })
}

/// Whether nothing goes wrong but what passes.
pub(crate) fn undisturbed(run: &Run) -> bool {
    run.acts.is_empty() && run.faults.pass() && !run.tight
}

/// Whether nothing but the rollout itself decides.
fn unhindered(run: &Run) -> bool {
    run.alarm.fires().is_none()
        && run.before.is_none_or(|(marker, chores)| {
            marker != Marker::Never && chores == version::Chores::default()
        })
}

/// Whether it is a release that can only succeed.
pub(crate) fn good(one: &Over<'_>) -> bool {
    one.fate == Fate::Good && one.wanted.is_some() && unhindered(one.run)
}

/// Whether the service is at rest, with the number of tasks that its percentages are made for.
pub(crate) fn is_calm(service: &ServiceView, desired: u32) -> bool {
    service.status == "ACTIVE"
        && service.desired_count == desired
        && service.deployments.len() == 1
        && service
            .primary()
            .is_some_and(|primary| primary.rollout_state == Some(RolloutState::Completed))
}
