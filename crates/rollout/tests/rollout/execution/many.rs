//! Services of many tasks, and of none.

use rollout::cause::CauseCode;
use rollout::execute::{End, Event};
use rollout::facts::{ServiceView, TaskView};

use super::super::{running, stopped};
use super::{Script, done, old, plan, record, rolling, run};

fn of(desired: u32, mut service: ServiceView) -> ServiceView {
    service.desired_count = desired;
    for deployment in &mut service.deployments {
        deployment.desired_count = desired;
        deployment.running_count = deployment.running_count.min(desired) * desired / 2;
    }
    service
}

/// A good rollout of so many tasks, of which some stop in the bake time.
fn baking(desired: u32, stop: usize, exit_code: i32) -> Script {
    let stopped = (0..stop).map(|number| TaskView {
        arn: format!("arn:task/{number}"),
        ..stopped(2, "EssentialContainerExited", "x", Some(exit_code))
    });
    Script {
        running: (0..desired).map(|_| running(2, "sha256:new")).collect(),
        records: vec![record("SUCCESSFUL")],
        stopped_later: (30_000, stopped.collect()),
        ..Script::new([old(), old(), rolling(), done()].map(|service| of(desired, service)))
    }
}

#[test]
fn in_the_bake_time_one_task_of_two_hundred_decides_nothing() {
    let mut plan = plan();
    plan.bake_seconds = 120;
    for (desired, stop, exit_code, expected) in [
        (2, 1, 2, Some(CauseCode::Exit)),
        (200, 1, 2, None),
        (200, 10, 2, Some(CauseCode::Exit)),
        // Whoever ends with 0 may want to be started again.
        (2, 1, 0, None),
        (2, 3, 0, Some(CauseCode::Exit)),
    ] {
        let (ended, _) = run(&plan, &baking(desired, stop, exit_code));
        let code = ended.cause.map(|cause| cause.code);
        assert_eq!(code, expected, "{stop} of {desired} with {exit_code}");
    }
}

#[test]
fn a_release_without_tasks_is_told_as_one() {
    let empty = || Script::new([old(), old(), rolling(), done()].map(|service| of(0, service)));
    let (ended, events) = run(&plan(), &empty());
    assert_eq!((ended.end, ended.none_ran), (End::Succeeded, true));
    let said =
        |event: &Event| matches!(event, Event::Note(text) if text.contains("desired count is 0"));
    assert!(events.iter().any(said), "{events:?}");

    let mut one = baking(2, 0, 0);
    one.records.clear();
    let (ended, events) = run(&plan(), &one);
    assert!(!ended.none_ran && !events.iter().any(said));
}
