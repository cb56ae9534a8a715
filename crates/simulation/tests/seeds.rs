//! Stories whose seeds once showed a wrong outcome. What was wrong is said beside each; a change of the scenarios gives a seed another story, and then its reason is history.

/// Seeds, and what they showed when they were kept.
const KEPT: [(u64, &str); 5] = [
    (
        179,
        "without the permission to stop a deployment, the way back replaced what somebody else had deployed a moment before",
    ),
    (276, "the same, with throttling in between"),
    (
        215,
        "the claim of a run that had ended with a rollback kept the next release out",
    ),
    (50_110, "so did the claim of a run that had died"),
    (
        51_844,
        "a read that lags hid that ECS had gone back by itself, and the end was told as somebody else's deployment",
    ),
];

#[test]
fn stories_that_once_went_wrong_tell_the_truth() {
    for (seed, what) in KEPT {
        let told = simulation::tell(seed, false);
        assert!(
            told.violations.is_empty(),
            "{seed} ({what}): {:?}",
            told.violations
        );
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 1..6 {
        assert_eq!(simulation::tell(seed, true), simulation::tell(seed, true));
    }
}
