//! Up to the one call that changes the service: the guard, the claim, an answer that is lost.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rollout::cause::CauseCode;
use rollout::execute::{End, Event};
use rollout::facts::{DeploymentView, RevisionView, RolloutState as State};

use super::super::{arn, deployment, running, service};
use super::{Script, done, old, plan, rolling, run};

#[test]
fn a_moved_guard_refuses_before_any_change() {
    let script = Script::new([done()]);
    let (ended, _) = run(&plan(), &script);
    assert_eq!(ended.end, End::Refused);
    assert_eq!(ended.cause.unwrap().code, CauseCode::Refused);
    assert_eq!(script.called("Register") + script.called("Update"), 0);
}

#[test]
fn an_update_is_not_sent_again_over_what_somebody_deployed_meanwhile() {
    let foreign = service(vec![deployment(9, "PRIMARY", State::InProgress, 0)]);
    let script = Script {
        failing: RefCell::new(vec![("Update", 1, true)]),
        ..Script::new([old(), old(), foreign])
    };
    let (ended, _) = run(&plan(), &script);
    // The first one may have worked for a moment, so that this is not "nothing was changed".
    assert_eq!((ended.end, ended.live), (End::Failed, Some(arn(9))));
    assert!(ended.changed_at.is_some());
    assert_eq!(script.called("Update"), 1);
}

/// ECS may have failed and taken back the first update before anybody looked, and then it says so; a person may have gone back as well.
#[test]
fn an_update_is_sent_again_after_a_return_only_where_ecs_says_that_it_went_back() {
    for (reason, updates) in [(None, 1), (Some("ECS is rolling back to it"), 2)] {
        let back = service(vec![DeploymentView {
            id: "ecs-svc/9".into(),
            reason: reason.map(str::to_owned),
            ..deployment(1, "PRIMARY", State::InProgress, 2)
        }]);
        let script = Script {
            failing: RefCell::new(vec![("Update", 1, true)]),
            ..Script::new([old(), old(), back])
        };
        let (ended, _) = run(&plan(), &script);
        assert_eq!(ended.end, End::Failed, "{ended:?}");
        let own = format!("Update {}", arn(2));
        assert_eq!(script.called(&own), updates, "{reason:?}");
    }
}

#[test]
fn another_run_that_registered_first_goes_on_alone() {
    let rival = |guard: &str, registered_at| RevisionView {
        arn: arn(1),
        status: "ACTIVE".into(),
        registered_at,
        tags: BTreeMap::from([
            ("longshore:service".to_owned(), "api".to_owned()),
            ("longshore:guard".to_owned(), guard.to_owned()),
        ]),
        ..RevisionView::default()
    };
    let own = RevisionView {
        arn: arn(2),
        registered_at: 100_000,
        ..RevisionView::default()
    };
    // The other deploys while this one waits.
    let script = Script {
        revisions: vec![(arn(2), own.clone()), (arn(1), rival("ecs-svc/1", 95_000))],
        ..Script::new([old(), old(), old(), done()])
    };
    let (ended, events) = run(&plan(), &script);
    assert_eq!(
        (ended.end, script.called("Update")),
        (End::Refused, 0),
        "{ended:?}"
    );
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Note(text) if text.contains("another run")))
    );

    // It is about another deployment, or too old: no reason to wait. Or it never does anything: it must be dead.
    for (guard, registered_at, waits) in [
        ("ecs-svc/0", 95_000, false),
        ("ecs-svc/1", 20_000, false),
        ("ecs-svc/1", 95_000, true),
    ] {
        let script = Script {
            revisions: vec![(arn(2), own.clone()), (arn(1), rival(guard, registered_at))],
            running: vec![running(2, "sha256:new"), running(2, "sha256:new")],
            old_until_update: true,
            ..Script::new([rolling(), done()])
        };
        let (ended, _) = run(&plan(), &script);
        assert_eq!(
            ended.end,
            End::Succeeded,
            "{guard} {registered_at} {ended:?}"
        );
        let waited = ended.changed_at.unwrap_or_default();
        assert_eq!(waited >= 50_000, waits, "{waited}");
    }
}

#[test]
fn a_claim_holds_for_as_long_as_its_own_run_may_take() {
    let own = RevisionView {
        arn: arn(2),
        registered_at: 1_000_000,
        ..RevisionView::default()
    };
    // This run has no tasks before; the other one has, and says how long they may take.
    for (age, says, waits) in [
        (5_000, "300", 295_000),
        (200_000, "300", 100_000),
        (400_000, "300", 0),
        (5_000, "soon", 55_000),
    ] {
        let other = RevisionView {
            arn: arn(1),
            status: "ACTIVE".into(),
            registered_at: own.registered_at - age,
            tags: BTreeMap::from([
                ("longshore:service".to_owned(), "api".to_owned()),
                ("longshore:guard".to_owned(), "ecs-svc/1".to_owned()),
                ("longshore:guard-seconds".to_owned(), says.to_owned()),
            ]),
            ..RevisionView::default()
        };
        let script = Script {
            revisions: vec![(arn(2), own.clone()), (arn(1), other)],
            running: vec![running(2, "sha256:new"), running(2, "sha256:new")],
            old_until_update: true,
            ..Script::new([rolling(), done()])
        };
        let (ended, _) = run(&plan(), &script);
        assert_eq!(ended.end, End::Succeeded, "{age} {says} {ended:?}");
        let waited = ended.changed_at.unwrap_or_default();
        assert!(
            (waits..waits + 20_000).contains(&waited),
            "{age} {says} {waited}"
        );
    }
}

#[test]
fn a_run_that_is_refused_takes_its_claim_away_also_when_that_fails_for_now() {
    let script = Script {
        failing: RefCell::new(vec![("Untag", 2, true)]),
        ..Script::new([old(), done()])
    };
    let (ended, _) = run(&plan(), &script);
    assert_eq!((ended.end, script.called("Update")), (End::Refused, 0));
    assert_eq!(script.called("Untag"), 3);
}
