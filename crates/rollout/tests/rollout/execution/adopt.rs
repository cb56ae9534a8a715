//! A deployment that a run finds on its way, or live and unproven.

use std::cell::RefCell;

use rollout::cause::CauseCode;
use rollout::execute::End;
use rollout::plan::{Check, Plan, ServiceSettings, Step};

use super::super::{arn, running};
use super::{Script, done, old, plan, record, rolling, run};

/// Follows the deployment of revision 2.
fn adopting() -> Plan {
    let mut plan = plan();
    plan.guard.primary_deployment = Some("ecs-svc/2".into());
    plan.steps = vec![Step::Adopt {
        deployment: "ecs-svc/2".into(),
        task_definition: arn(2),
        ran: Vec::new(),
        settings: ServiceSettings::default(),
    }];
    plan.checks = vec![Check {
        url: "http://x/version".into(),
        status: 200,
        contains: None,
        within_seconds: 5,
    }];
    plan
}

fn live(status: u16) -> Script {
    Script {
        running: vec![running(2, "sha256:new"), running(2, "sha256:new")],
        records: vec![record("SUCCESSFUL")],
        answers: RefCell::new([(status, "")].into()),
        ..Script::new([done()])
    }
}

#[test]
fn what_is_live_and_passes_now_is_on_record_as_proven() {
    let script = live(200);
    let (ended, _) = run(&adopting(), &script);
    assert_eq!(ended.end, End::Succeeded, "{ended:?}");
    assert_eq!(script.called("Tag longshore:proven"), 1);
    assert_eq!(script.called("Update"), 0);
}

#[test]
fn what_is_live_and_fails_its_checks_is_not_called_good_and_a_person_decides() {
    let mut plan = adopting();
    plan.way_back = Some(arn(2));
    let script = live(500);
    let (ended, _) = run(&plan, &script);
    assert_eq!(ended.end, End::Failed, "{ended:?}");
    assert_eq!(ended.cause.unwrap().code, CauseCode::Check);
    assert_eq!(script.called("Tag"), 0);
    assert_eq!(
        script.called("Untag longshore:guard longshore:proven"),
        1,
        "whatever it had passed before"
    );
    assert_eq!(script.called("Update"), 0);
}

#[test]
fn a_release_that_has_nothing_to_pass_gets_no_record_of_it() {
    let mut plan = adopting();
    plan.checks.clear();
    let script = live(200);
    let (ended, _) = run(&plan, &script);
    assert_eq!((ended.end, script.called("Tag")), (End::Succeeded, 0));
}

#[test]
fn without_the_permission_to_tag_a_release_succeeds_all_the_same() {
    let script = live(200);
    script.failing.borrow_mut().push(("Tag", 9, false));
    let (ended, _) = run(&adopting(), &script);
    assert_eq!(ended.end, End::Succeeded, "{ended:?}");
    assert_eq!(script.called("Tag"), 1);
}

#[test]
fn new_settings_are_sent_to_the_deployment_that_is_followed() {
    let mut plan = adopting();
    plan.checks.clear();
    let Step::Adopt { settings, .. } = &mut plan.steps[0] else {
        panic!("{:?}", plan.steps);
    };
    settings.maximum_percent = Some(200);
    let script = Script {
        running: vec![running(2, "sha256:new"), running(2, "sha256:new")],
        ..Script::new([rolling(), rolling(), rolling(), done()])
    };
    let (ended, _) = run(&plan, &script);
    assert_eq!((ended.end, ended.live), (End::Succeeded, Some(arn(2))));
    assert_eq!(script.called(&format!("Update {}", arn(2))), 1);
    assert!(ended.changed_at.is_some());

    // It does not begin where somebody else has taken over since.
    let script = Script::new([old()]);
    let (ended, _) = run(&plan, &script);
    assert_eq!((ended.end, script.called("Update")), (End::Refused, 0));
}

/// The run before died, and its version has raised the alarm: that it rings already is no excuse.
#[test]
fn an_alarm_that_the_followed_deployment_may_have_raised_counts() {
    for (since, expected) in [
        (Some(4_000), None),
        (Some(6_000), Some(CauseCode::Alarm)),
        (None, Some(CauseCode::Alarm)),
    ] {
        let mut plan = adopting();
        plan.alarms = vec!["errors".into()];
        let mut service = done();
        service.deployments[0].created_at = 5_000;
        service.deployments[0].updated_at = 5_000;
        let script = Script {
            alarms: RefCell::new(["ALARM"].into()),
            alarm_since: since,
            services: RefCell::new([service].into()),
            ..live(200)
        };
        let (ended, _) = run(&plan, &script);
        let code = ended.cause.map(|cause| cause.code);
        assert_eq!(code, expected, "{since:?}");
    }
}
