//! The way back, and where there is none.

use std::cell::RefCell;

use rollout::cause::CauseCode;
use rollout::execute::{End, Event};
use rollout::facts::{DeploymentView, EventView, RolloutState as State, ServiceView};
use rollout::plan::{Marker, ServiceSettings, Step};

use super::super::{arn, deployment, running, service, stopped};
use super::{Script, crashing, old, out_and_back, plan, plan_with, record, rolling, run};

#[test]
fn a_crash_loop_is_stopped_and_the_return_is_verified() {
    let exit = || {
        stopped(
            2,
            "EssentialContainerExited",
            "Essential container in task exited",
            Some(3),
        )
    };
    let script = Script {
        stopped: vec![exit(), exit(), exit()],
        running: vec![running(1, "sha256:old"), running(1, "sha256:old")],
        records: vec![record("IN_PROGRESS")],
        ..Script::new(out_and_back(2, 5))
    };
    let (ended, events) = run(&plan(), &script);
    assert_eq!((ended.end, ended.live), (End::RolledBack, Some(arn(1))));
    let cause = ended.cause.unwrap();
    assert_eq!(
        (cause.code, cause.exit_code, cause.container.as_deref()),
        (CauseCode::Exit, Some(3), Some("app"))
    );
    assert_eq!(cause.log_tail, ["the last words"]);
    assert_eq!(script.called("Log /g p/app/1"), 1);
    assert_eq!(script.called("Stop"), 1);
    assert_eq!(script.called("Update"), 1, "ECS does the rest");
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::RollingBack { .. }))
    );
}

#[test]
fn where_ecs_cannot_stop_it_the_service_is_updated_to_the_recorded_revision() {
    let exit = || {
        stopped(
            2,
            "EssentialContainerExited",
            "Essential container in task exited",
            Some(3),
        )
    };
    let script = Script {
        stopped: vec![exit(), exit(), exit()],
        running: vec![running(1, "sha256:old"), running(1, "sha256:old")],
        records: vec![record("IN_PROGRESS")],
        failing: RefCell::new(vec![("Stop", 9, false)]),
        ..Script::new(out_and_back(2, 6))
    };
    let (ended, _) = run(&plan(), &script);
    assert_eq!(ended.end, End::RolledBack);
    assert_eq!(script.called(&format!("Update {}", arn(1))), 1);
}

#[test]
fn ecs_coming_to_rest_elsewhere_is_corrected() {
    // The breaker went back to a revision that is not the one which served.
    let mut elsewhere = service(vec![deployment(9, "PRIMARY", State::Completed, 2)]);
    let to = elsewhere.deployments[0].id.clone();
    elsewhere.events = vec![EventView {
        at: 0,
        message: format!("(service api) rolling back to deployment {to}."),
    }];
    let script = Script {
        records: vec![record("ROLLBACK_SUCCESSFUL")],
        running: vec![running(1, "sha256:old"), running(1, "sha256:old")],
        ..Script::new([
            old(),
            old(),
            rolling(),
            rolling(),
            elsewhere.clone(),
            elsewhere.clone(),
            elsewhere,
            old(),
        ])
    };
    let (ended, _) = run(&plan(), &script);
    assert_eq!((ended.end, ended.live), (End::RolledBack, Some(arn(1))));
    assert_eq!(script.called(&format!("Update {}", arn(1))), 1);
}

#[test]
fn what_somebody_deployed_after_ecs_went_back_is_left_alone() {
    // ECS's record of the rollback is no excuse: nothing says that ECS went to this one.
    let foreign = service(vec![deployment(9, "PRIMARY", State::Completed, 2)]);
    let script = Script {
        records: vec![record("ROLLBACK_SUCCESSFUL")],
        running: vec![running(9, "sha256:other"), running(9, "sha256:other")],
        ..Script::new([old(), old(), rolling(), rolling(), foreign])
    };
    let (ended, _) = run(&plan(), &script);
    assert_eq!((ended.end, ended.live), (End::Failed, Some(arn(9))));
    assert_eq!(script.called(&format!("Update {}", arn(1))), 0);
}

#[test]
fn another_deployment_of_the_revision_that_failed_is_left_alone() {
    // Somebody went "back" to it while this run was on its way away from it: the same revision, and not this run's deployment.
    let back = service(vec![
        deployment(1, "PRIMARY", State::InProgress, 0),
        deployment(2, "ACTIVE", State::Failed, 0),
    ]);
    let theirs = service(vec![DeploymentView {
        id: "ecs-svc/9".into(),
        ..deployment(2, "PRIMARY", State::Completed, 2)
    }]);
    let failed = service(vec![deployment(2, "PRIMARY", State::Failed, 0)]);
    let script = Script::new([
        old(),
        old(),
        rolling(),
        failed.clone(),
        failed,
        back,
        theirs,
    ]);
    let (ended, _) = run(&plan(), &script);
    assert_eq!((ended.end, ended.live), (End::Failed, Some(arn(2))));
    assert_eq!(script.called(&format!("Update {}", arn(1))), 1);
}

#[test]
fn an_interrupt_rolls_back() {
    let script = Script {
        interrupt_at: Some(2_000),
        running: vec![running(1, "sha256:old"), running(1, "sha256:old")],
        records: vec![record("IN_PROGRESS")],
        ..Script::new(out_and_back(2, 8))
    };
    let (ended, _) = run(&plan(), &script);
    assert_eq!(ended.end, End::RolledBack, "{ended:?}");
    assert_eq!(ended.cause.unwrap().code, CauseCode::Interrupted);
}

#[test]
fn without_a_way_back_the_failure_says_so() {
    let mut first = plan();
    first.guard.primary_deployment = None;
    first.way_back = None;
    first.steps[1] = Step::CreateService {
        settings: rollout::plan::NewService {
            desired_count: 2,
            load_balancer: None,
            subnets: Vec::new(),
            settings: ServiceSettings::default(),
        },
    };
    let failed = service(vec![deployment(2, "PRIMARY", State::Failed, 0)]);
    let inactive = ServiceView {
        status: "INACTIVE".into(),
        ..ServiceView::default()
    };
    let script = Script::new([inactive.clone(), inactive, rolling(), failed]);
    let (ended, _) = run(&first, &script);
    assert_eq!(ended.end, End::Failed);
    assert_eq!(
        ended.rollback_failure.as_deref(),
        Some("there is no earlier revision to return to")
    );
}

#[test]
fn a_deployment_of_somebody_else_is_left_alone() {
    let other = service(vec![
        deployment(7, "PRIMARY", State::InProgress, 0),
        deployment(1, "ACTIVE", State::Completed, 2),
    ]);
    let script = Script::new([old(), old(), rolling(), rolling(), other]);
    let (ended, _) = run(&plan(), &script);
    assert_eq!(ended.end, End::Failed);
    assert_eq!(ended.cause.unwrap().code, CauseCode::Superseded);
    assert_eq!(
        script.called("Update") + script.called("Stop"),
        1,
        "only the plan's own update"
    );
}

#[test]
fn settings_that_the_plan_changed_are_put_back() {
    let mut plan = plan_with(Marker::Safe);
    plan.settings_before = Some(ServiceSettings {
        minimum_healthy_percent: Some(100),
        ..ServiceSettings::default()
    });
    let script = crashing(&[("migrate", 0)]);
    let (ended, _) = run(&plan, &script);
    // The script's service never gets its settings back, and that is told.
    assert_eq!(ended.end, End::Failed);
    assert!(ended.rollback_failure.unwrap().contains("settings"));
    assert_eq!(script.called(&format!("Update {}", arn(1))), 1);
}
