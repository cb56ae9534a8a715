//! Executions during which AWS cannot be asked for a long time.

use std::cell::Cell;

use rollout::cause::CauseCode;
use rollout::execute::End;
use rollout::facts::{ServiceView, TaskView};
use rollout::plan::{Marker, Plan, Step};

use super::{Script, crashing, done, migrate, old, plan, plan_with, record, rolling, run, running};

const MINUTE: u64 = 60_000;

fn ready() -> Vec<TaskView> {
    vec![running(2, "sha256:new"), running(2, "sha256:new")]
}

/// A rollout that is done when AWS can be asked again.
fn unseen(outage: (u64, u64)) -> Script {
    Script {
        running: ready(),
        outage,
        ..Script::new([old(), old(), rolling(), rolling(), done()])
    }
}

/// As many looks before the update as it takes.
fn updated() -> Script {
    Script {
        running: ready(),
        old_until_update: true,
        ..Script::new([rolling(), rolling(), done()])
    }
}

#[test]
fn what_cannot_be_seen_for_twenty_minutes_is_not_taken_back() {
    let plan = Plan {
        timeout_seconds: 30 * 60,
        ..plan()
    };
    let script = unseen((100, 20 * MINUTE));
    let (ended, _) = run(&plan, &script);
    assert_eq!(ended.end, End::Succeeded, "{:?}", ended.cause);
    assert_eq!((script.called("Update"), script.called("Stop")), (1, 0));
    // A failure that lasts is one moment of the story.
    let again = ended
        .timeline
        .iter()
        .filter(|one| one.what.contains("no connection"));
    assert_eq!(again.count(), 1);
}

#[test]
fn what_cannot_be_seen_until_the_deadline_has_failed() {
    let plan = plan();
    let script = unseen((100, 60 * MINUTE));
    let (ended, _) = run(&plan, &script);
    assert_eq!(ended.cause.expect("a cause").code, CauseCode::Aws);
    let judged = ended.judged_at.expect("a verdict");
    assert!((15 * MINUTE..16 * MINUTE).contains(&judged), "{judged}");
}

#[test]
fn an_outage_in_the_bake_time_is_waited_for() {
    let plan = Plan {
        bake_seconds: 600,
        ..plan()
    };
    let script = unseen((2 * MINUTE, 9 * MINUTE));
    let (ended, _) = run(&plan, &script);
    assert_eq!(ended.end, End::Succeeded, "{:?}", ended.cause);
}

/// The first answer after it may be one that lags, as any other.
#[test]
fn after_an_outage_a_read_that_lags_is_not_believed_at_once() {
    let at = |mut service: ServiceView, created: u64, updated: u64| {
        service.deployments[0].created_at = created;
        service.deployments[0].updated_at = updated;
        service
    };
    let before = at(old(), 500, 500);
    let mut going = at(rolling(), 1_000, 1_000);
    going.deployments[1].updated_at = 500;
    let script = Script {
        running: ready(),
        outage: (100, 10 * MINUTE),
        ..Script::new([
            before.clone(),
            before.clone(),
            going.clone(),
            going,
            before,
            at(done(), 1_000, 2_000),
        ])
    };
    let (ended, _) = run(&plan(), &script);
    assert_eq!(ended.end, End::Succeeded, "{:?}", ended.cause);
}

#[test]
fn a_task_before_that_cannot_be_seen_is_not_stopped() {
    let mut task = migrate(Marker::Safe);
    task.timeout_seconds = 20 * 60;
    let mut plan = plan_with(Marker::Safe);
    plan.steps[1] = Step::RunTask { task };
    let script = Script {
        outage: (1, 15 * MINUTE),
        exits: [("migrate", 0)].into(),
        runs_until: 10 * MINUTE,
        ..updated()
    };
    let (ended, _) = run(&plan, &script);
    assert_eq!(ended.end, End::Succeeded, "{:?}", ended.cause);
    assert_eq!(script.called("StopTask"), 0);
}

#[test]
fn an_interrupt_is_heard_while_nothing_can_be_seen() {
    let at = 5 * MINUTE;
    let script = Script {
        interrupt_at: Some(at),
        ..unseen((100, 10 * MINUTE))
    };
    let (ended, _) = run(&plan(), &script);
    assert_eq!(ended.cause.expect("a cause").code, CauseCode::Interrupted);
    let judged = ended.judged_at.expect("a verdict");
    assert!((at..at + 25_000).contains(&judged), "{judged}");
}

#[test]
fn the_way_back_outlasts_an_outage() {
    let plan = Plan {
        timeout_seconds: 30 * 60,
        ..plan()
    };
    let script = Script {
        running: vec![running(1, "sha256:old"), running(1, "sha256:old")],
        records: vec![record("IN_PROGRESS")],
        interrupt_at: Some(2_000),
        outage: (1, 25 * MINUTE),
        ..Script::new([old(), old(), rolling(), rolling(), rolling(), old()])
    };
    let (ended, _) = run(&plan, &script);
    assert_eq!(ended.end, End::RolledBack, "{:?}", ended.rollback_failure);
    assert_eq!(ended.cause.expect("a cause").code, CauseCode::Interrupted);
}

#[test]
fn a_task_for_which_there_is_no_room_is_waited_for_and_then_fails_the_release() {
    let script = Script {
        no_room: Cell::new(3),
        exits: [("migrate", 0)].into(),
        ..updated()
    };
    let (ended, _) = run(&plan_with(Marker::Safe), &script);
    assert_eq!(ended.end, End::Succeeded, "{:?}", ended.cause);

    let script = Script {
        no_room: Cell::new(u32::MAX),
        ..crashing(&[("migrate", 0)])
    };
    let (ended, _) = run(&plan_with(Marker::Never), &script);
    // It certainly did not run, so that nobody has to look.
    assert_eq!(ended.end, End::Unreleased, "{:?}", ended.rollback_failure);
    let cause = ended.cause.expect("a cause");
    assert_eq!(cause.code, CauseCode::BeforeTask);
    assert!(cause.message.contains("RESOURCE:MEMORY"), "{cause:?}");
    assert_eq!(script.called("Update"), 0);
    let took = ended.ended_at - ended.began_at;
    assert!((3 * MINUTE..4 * MINUTE).contains(&took), "{took}");
}

/// Lists come in pages of 100, and each page is described.
#[test]
fn requests_are_counted_page_by_page() {
    let calls = |tasks: usize| {
        let script = Script {
            running: vec![running(2, "sha256:new"); tasks],
            ..unseen((0, 0))
        };
        let (ended, _) = run(&plan(), &script);
        assert_eq!(ended.end, End::Succeeded, "{:?}", ended.cause);
        ended.calls
    };
    assert_eq!(calls(250), calls(100) + 4);
}
