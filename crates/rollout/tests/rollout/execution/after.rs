//! Checks, bake time, alarms.

use std::cell::RefCell;

use rollout::cause::CauseCode;
use rollout::execute::{End, Event};
use rollout::plan::Check;

use super::super::{running, stopped};
use super::{Script, done, old, plan, record, rolling, run};

fn good() -> Script {
    Script {
        running: vec![running(2, "sha256:new"), running(2, "sha256:new")],
        records: vec![record("SUCCESSFUL")],
        ..Script::new([old(), old(), rolling(), done()])
    }
}

fn check() -> Check {
    Check {
        url: "http://x/version".into(),
        status: 200,
        contains: Some("abc".into()),
        within_seconds: 30,
    }
}

#[test]
fn checks_are_tried_until_they_are_answered_as_they_should_be() {
    let mut plan = plan();
    plan.checks = vec![check()];
    let script = Script {
        answers: RefCell::new([(502, ""), (200, "old"), (200, "it is abc")].into()),
        ..good()
    };
    let (ended, _) = run(&plan, &script);
    assert_eq!(ended.end, End::Succeeded, "{ended:?}");
    assert_eq!(script.called("Get"), 3);

    let script = Script {
        answers: RefCell::new([(200, "token=abd")].into()),
        services: RefCell::new(
            [
                old(),
                old(),
                rolling(),
                done(),
                done(),
                done(),
                done(),
                old(),
            ]
            .into(),
        ),
        ..good()
    };
    let (ended, _) = run(&plan, &script);
    let cause = ended.cause.unwrap();
    assert_eq!(cause.code, CauseCode::Check);
    assert!(cause.message.contains("token=***"), "{}", cause.message);
}

#[test]
fn the_bake_time_is_waited_for_and_a_crash_in_it_fails() {
    let mut plan = plan();
    plan.bake_seconds = 120;
    let script = good();
    let (ended, _) = run(&plan, &script);
    assert_eq!(ended.end, End::Succeeded, "{ended:?}");
    assert!(ended.judged_at.unwrap() - ended.changed_at.unwrap() >= 120_000);

    let mut crash = stopped(2, "EssentialContainerExited", "x", Some(2));
    crash.arn = "arn:task/crashed".into();
    let script = Script {
        stopped_later: (30_000, vec![crash]),
        ..good()
    };
    let (ended, _) = run(&plan, &script);
    let cause = ended.cause.unwrap();
    assert_eq!((cause.code, cause.exit_code), (CauseCode::Exit, Some(2)));
    assert!(
        cause.message.starts_with("after the rollout"),
        "{}",
        cause.message
    );
}

#[test]
fn an_alarm_that_fires_fails_and_one_that_fired_before_does_not() {
    let mut plan = plan();
    plan.alarms = vec!["errors".into()];
    plan.bake_seconds = 60;
    let script = Script {
        alarms: RefCell::new(["OK", "OK", "ALARM"].into()),
        ..good()
    };
    let (ended, _) = run(&plan, &script);
    assert_eq!(ended.cause.unwrap().code, CauseCode::Alarm);

    let script = Script {
        alarms: RefCell::new(["ALARM"].into()),
        ..good()
    };
    let (ended, events) = run(&plan, &script);
    assert_eq!(ended.end, End::Succeeded, "{ended:?}");
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Note(text) if text.contains("already")))
    );
}

/// Alarms are looked at every ten seconds: one that fires after the last of these looks is seen all the same before a release is called good.
#[test]
fn an_alarm_that_fires_at_the_very_end_is_seen() {
    for bake_seconds in [0, 8] {
        let mut plan = plan();
        plan.alarms = vec!["errors".into()];
        plan.bake_seconds = bake_seconds;
        let script = Script {
            // Before the change, and at the end.
            alarms: RefCell::new(["OK", "ALARM"].into()),
            ..good()
        };
        let (ended, _) = run(&plan, &script);
        let cause = ended.cause.map(|cause| cause.code);
        assert_eq!(cause, Some(CauseCode::Alarm), "bake {bake_seconds} s");
    }
}
