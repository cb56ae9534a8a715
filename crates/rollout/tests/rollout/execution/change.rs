//! Up to the one call that changes the service: the guard, the claim, an answer that is lost.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rollout::cause::CauseCode;
use rollout::execute::{End, Event};
use rollout::facts::{RevisionView, RolloutState as State};

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
