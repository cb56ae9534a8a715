//! What is left of a run.

use rollout::plan::Marker;
use rollout::receipt::{About, Outcome, Receipt};

use super::{crashing, plan_with, run};

#[test]
fn a_receipt_tells_the_story_relative_to_the_change() {
    let script = crashing(&[("migrate", 0)]);
    let (ended, _) = run(&plan_with(Marker::Safe), &script);
    let about = About {
        service: "api".into(),
        environment: "production".into(),
        ..About::default()
    };
    let receipt = Receipt::of(about, &plan_with(Marker::Safe), ended);
    assert_eq!(
        (receipt.outcome, receipt.exit_code),
        (Outcome::RolledBack, 4)
    );
    assert!(
        receipt
            .seconds_to_verdict
            .is_some_and(|seconds| seconds < 60.0)
    );
    assert_eq!(receipt.failed_tasks[0].containers[0].exit_code, Some(3));
    let before = receipt
        .timeline
        .iter()
        .find(|one| one.what.contains("task migrate runs"));
    assert!(
        before.is_some_and(|one| one.seconds < 0.0),
        "{:?}",
        receipt.timeline
    );
    let commands: Vec<_> = receipt
        .next
        .iter()
        .filter_map(|step| step.command.as_deref())
        .collect();
    assert!(
        commands[0].starts_with("cargo xtask logs --service api --env production --task"),
        "{commands:?}"
    );
}
