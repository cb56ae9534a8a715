//! Stories whose seeds once showed a wrong outcome. What was wrong is said beside each; a change of the scenarios gives a seed another story, and then its reason is history.

use simulation::{Kind, tell};

/// Seeds, and what they showed when they were kept.
const ALONE: [(u64, &str); 21] = [
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
    (
        1_003_396,
        "ECS had gone back by itself, somebody had deployed since, and the way back replaced that: any end of a rollback counted as ECS's doing",
    ),
    (
        1_016_677,
        "the same, with a record of rollouts that was read before the service",
    ),
    (
        2_000_508,
        "somebody had deployed after the return was verified, and putting the settings back replaced that",
    ),
    (
        2_032_129,
        "the run had seen somebody's deployment, forgot it over an older answer, and replaced it",
    ),
    (
        2_003_531,
        "the same, with the own way back between the two answers",
    ),
    (
        3_001_086,
        "the run had seen the service deleted, forgot it over an older answer, and said that it was rolled back",
    ),
    (
        3_042_353,
        "an update whose answer was lost was sent again without a look, over what somebody had deployed in between",
    ),
    (3_005_699, "the same"),
    (
        5_031_606,
        "the first of two updates had worked, failed and been taken back by ECS before anybody looked, and the end was not the way back",
    ),
    (5_002_897, "the same"),
    (
        7_020_747,
        "a service that the run had created, without an answer, and that somebody had deleted, was told as never touched",
    ),
    (
        3_019_355,
        "what somebody had deployed was over before the way back began; the judge was wrong",
    ),
    (
        800_518,
        "the pipeline was run again with another task before the release than the run that had died; the scenario was wrong",
    ),
    (
        1_018_571,
        "the task before the release of a run that had died was asked of the next run; the judge was wrong",
    ),
    (
        1_019_524,
        "a service scaled to where its percentages leave no room was expected to roll out; the judge was wrong",
    ),
    (
        7_097_013,
        "a run had died after it asked ECS to go back, and the next one was expected to bring that release to a good end; the judge was wrong",
    ),
];

/// The same of runs that raced.
const RACES: [(u64, &str); 15] = [
    (
        797,
        "a rollback went back to the release that a deploy was just taking back, and the deploy replaced that, as it was a deployment of the revision that it watched",
    ),
    (
        1_026,
        "the same revision, brought back by another run: not this run's deployment, and replaced",
    ),
    (
        461,
        "a run with a task before the release was overtaken by one without: each reckoned with its own tasks only",
    ),
    (
        52,
        "the claim of a run that had ended was still there after one attempt to take it away; it was too old to count, so the judge was wrong",
    ),
    (
        198,
        "the same, of a run whose task before had failed; it was made for calls that fail for now to be tried again",
    ),
    (
        251,
        "a task before that failed was taken for giving way to another run; the judge was wrong",
    ),
    (
        494,
        "so was a plan that the checks before it do not allow; the judge was wrong",
    ),
    (
        1_501,
        "a way back is not claimed, and may be replaced by who did not know of it; the judge was wrong",
    ),
    (
        1_021_656,
        "ECS went back between the last look and the update of a run that was to supersede; the judge was wrong",
    ),
    (
        1_036_572,
        "two rollbacks to the same revision are one deployment to ECS, and either may take it back; the judge was wrong",
    ),
    (
        2_014_666,
        "an update whose answer was lost was sent again over somebody's rollback, which was taken for ECS's own",
    ),
    (
        2_008_230,
        "a last look that lags hid what another had just deployed; the judge was wrong",
    ),
    (
        2_012_917,
        "a service that somebody had deleted was still draining, and the next release was expected to make it anew; the judge was wrong",
    ),
    (
        10_195_407,
        "a look that lagged after the task before showed another deployment, and the run gave way, its task undone: safe, and true; the judge was wrong",
    ),
    (
        11_000_256,
        "the answer to an update was lost, and another run had deployed over it before anybody looked: said so; the judge was wrong",
    ),
];

#[test]
fn stories_that_once_went_wrong_tell_the_truth() {
    for (seed, what) in ALONE {
        let told = tell(Kind::Alone, seed, false);
        assert!(
            told.violations.is_empty(),
            "{seed} ({what}): {:?}",
            told.violations
        );
    }
    for (seed, what) in RACES {
        let told = tell(Kind::Race, seed, false);
        assert!(
            told.violations.is_empty(),
            "race {seed} ({what}): {:?}",
            told.violations
        );
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 1..6 {
        for kind in [Kind::Alone, Kind::Race] {
            assert_eq!(tell(kind, seed, true), tell(kind, seed, true));
        }
    }
}
