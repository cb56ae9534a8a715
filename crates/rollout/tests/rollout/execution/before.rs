//! Tasks before the release, and their reverse.

use std::collections::BTreeMap;

use rollout::cause::CauseCode;
use rollout::execute::{End, Event};
use rollout::plan::{Marker, OnFailure};

use super::super::{arn, running};
use super::{Script, crashing, done, old, plan_with, rolling, run};

fn order(script: &Script, names: &[&str]) -> Vec<String> {
    let calls = script.calls.borrow();
    calls
        .iter()
        .filter(|call| names.iter().any(|name| call.starts_with(name)))
        .cloned()
        .collect()
}

#[test]
fn a_task_before_runs_with_the_new_revision_and_before_the_service_is_changed() {
    let script = Script {
        running: vec![running(2, "sha256:new"), running(2, "sha256:new")],
        exits: BTreeMap::from([("migrate", 0)]),
        ..Script::new([old(), old(), old(), rolling(), done()])
    };
    let (ended, events) = run(&plan_with(Marker::Never), &script);
    assert_eq!(ended.end, End::Succeeded, "{ended:?}");
    assert_eq!(
        order(&script, &["Register", "Run", "Update"]),
        ["Register", "Run migrate", &format!("Update {}", arn(2))]
    );
    assert!(events.contains(&Event::TaskOutput("password=***".into())));
}

#[test]
fn a_task_before_that_fails_ends_the_release_and_touches_nothing() {
    let script = Script {
        exits: BTreeMap::from([("migrate", 1)]),
        ..Script::new([old()])
    };
    let (ended, _) = run(&plan_with(Marker::Never), &script);
    assert_eq!(ended.end, End::Unreleased, "{ended:?}");
    let cause = ended.cause.unwrap();
    assert_eq!(
        (cause.code, cause.exit_code),
        (CauseCode::BeforeTask, Some(1))
    );
    assert_eq!(cause.log_tail, ["the last words"]);
    assert_eq!((ended.live, script.called("Update")), (Some(arn(1)), 0));
    assert_eq!(script.called("Untag"), 1, "nobody has to wait for it");
}

#[test]
fn a_task_before_that_takes_too_long_or_is_interrupted_is_stopped() {
    let script = Script::new([old()]);
    let (ended, _) = run(&plan_with(Marker::Safe), &script);
    assert_eq!(ended.end, End::Unreleased, "{ended:?}");
    assert!(ended.cause.unwrap().message.contains("not done after 60 s"));
    assert_eq!((script.called("StopTask"), script.called("Update")), (1, 0));

    let script = Script {
        interrupt_at: Some(2_000),
        ..Script::new([old()])
    };
    let (ended, _) = run(&plan_with(Marker::Safe), &script);
    assert_eq!(ended.cause.unwrap().code, CauseCode::Interrupted);
    assert_eq!((script.called("StopTask"), script.called("Update")), (1, 0));
}

#[test]
fn the_way_back_begins_with_the_reverse() {
    let script = crashing(&[("migrate", 0), ("unmigrate", 0)]);
    let (ended, _) = run(&plan_with(Marker::Reverse), &script);
    assert_eq!(ended.end, End::RolledBack, "{ended:?}");
    assert_eq!(
        order(&script, &["Run", "Update", "Stop"]),
        [
            "Run migrate",
            &format!("Update {}", arn(2)),
            "Run unmigrate",
            "Stop"
        ]
    );
}

#[test]
fn without_its_reverse_nothing_goes_back() {
    let script = crashing(&[("migrate", 0), ("unmigrate", 1)]);
    let (ended, _) = run(&plan_with(Marker::Reverse), &script);
    assert_eq!(ended.end, End::Failed, "{ended:?}");
    assert!(
        ended
            .rollback_failure
            .unwrap()
            .contains("migrate (reverse)")
    );
    assert_eq!(script.called("Stop"), 0);
}

#[test]
fn after_a_task_marked_never_nothing_goes_back_by_itself() {
    let script = crashing(&[("migrate", 0)]);
    let (ended, _) = run(&plan_with(Marker::Never), &script);
    assert_eq!(ended.end, End::Failed, "{ended:?}");
    assert!(ended.rollback_failure.unwrap().contains("never"));
    assert_eq!((script.called("Stop"), script.called("Update")), (0, 1));

    let mut stay = plan_with(Marker::Safe);
    stay.on_failure = OnFailure::Stay;
    let script = crashing(&[("migrate", 0)]);
    let (ended, _) = run(&stay, &script);
    assert_eq!(ended.end, End::Failed, "{ended:?}");
    assert_eq!((script.called("Stop"), script.called("Update")), (0, 1));
}

/// What was undone does not stand in anybody's way later; what was not does.
#[test]
fn what_was_undone_is_forgotten() {
    for (marker, forgotten) in [(Marker::Reverse, 1), (Marker::Never, 0)] {
        let script = crashing(&[("migrate", 0), ("unmigrate", 0)]);
        run(&plan_with(marker), &script);
        assert_eq!(script.called("Untag"), 1);
        let all = "Untag longshore:guard longshore:proven longshore:ran";
        assert_eq!(script.called(all), forgotten, "{marker:?}");
    }
}
