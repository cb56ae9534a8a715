//! What is left of a run.

use rollout::execute::Ended;
use rollout::plan::Marker;
use rollout::receipt::{About, Moment, Outcome, Receipt};

use super::{crashing, plan, plan_with, run};

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

/// Rounded to tenths, the registration some milliseconds before the change is at 0.0, which has no sign.
#[test]
fn no_time_in_a_receipt_is_a_negative_zero() {
    let ended = Ended {
        changed_at: Some(10_000),
        timeline: [9_940, 9_970, 10_030]
            .map(|at| Moment::new(at, "registered"))
            .into(),
        ..Ended::default()
    };
    let receipt = Receipt::of(About::default(), &plan(), ended);
    let times: Vec<String> = receipt
        .timeline
        .iter()
        .map(|entry| format!("{:.1}", entry.seconds))
        .collect();
    assert_eq!(times, ["-0.1", "0.0", "0.0"]);
}
