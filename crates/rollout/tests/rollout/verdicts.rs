//! One look at a deployment, one verdict.

use rollout::cause::CauseCode;
use rollout::facts::{
    EventView, RolloutState as State, ServiceDeploymentView, ServiceView, TaskView,
};
use rollout::plan::ExpectedImage;
use rollout::verdict::{Observation, Verdict, Watched, judge};

use super::{arn, deployment, running, service, stopped};

/// The deployment of revision 2, which began at second 1,000 and has 900 s.
fn watched(seen: bool) -> Watched {
    Watched {
        deployment: "ecs-svc/2".into(),
        task_definition: arn(2),
        image: Some(ExpectedImage {
            container: "app".into(),
            reference: "r@sha256:new".into(),
        }),
        since: 1_000_000,
        created_at: 1_000_000,
        deadline: 1_900_000,
        seen,
    }
}

const SOON: u64 = 1_010_000;

fn code(verdict: Verdict) -> Option<CauseCode> {
    match verdict {
        Verdict::Failed(cause) => Some(cause.code),
        _ => None,
    }
}

fn look<'a>(service: &'a ServiceView, stopped: &'a [TaskView]) -> Observation<'a> {
    Observation {
        service: Some(service),
        stopped,
        ..Observation::default()
    }
}

fn rolling() -> ServiceView {
    service(vec![
        deployment(2, "PRIMARY", State::InProgress, 1),
        deployment(1, "ACTIVE", State::Completed, 2),
    ])
}

fn done() -> ServiceView {
    service(vec![deployment(2, "PRIMARY", State::Completed, 2)])
}

/// What the SDK's waiter calls stable: one deployment, all tasks run. But it is the old revision.
fn rolled_back() -> ServiceView {
    service(vec![deployment(1, "PRIMARY", State::Completed, 2)])
}

#[test]
fn success_needs_the_running_tasks_to_carry_the_digest() {
    let service = done();
    let mut observation = look(&service, &[]);
    assert_eq!(
        judge(&watched(true), &observation, SOON),
        Verdict::ShowTasks
    );
    let tasks = [running(2, "sha256:new"), running(2, "sha256:new")];
    observation.running = Some(&tasks);
    assert_eq!(
        judge(&watched(true), &observation, SOON),
        Verdict::Succeeded
    );
    let one = [running(2, "sha256:new"), running(1, "sha256:new")];
    observation.running = Some(&one);
    assert_eq!(
        judge(&watched(true), &observation, SOON),
        Verdict::Going,
        "a task of another deployment does not count"
    );
    let other = [running(2, "sha256:new"), running(2, "sha256:old")];
    observation.running = Some(&other);
    assert_eq!(
        code(judge(&watched(true), &observation, SOON)),
        Some(CauseCode::WrongImage)
    );
}

#[test]
fn a_stable_service_on_the_old_revision_is_no_success() {
    let service = rolled_back();
    let observation = look(&service, &[]);
    assert_eq!(
        code(judge(&watched(true), &observation, SOON)),
        Some(CauseCode::Superseded)
    );
    let record = ServiceDeploymentView {
        status: "ROLLBACK_SUCCESSFUL".into(),
        ..ServiceDeploymentView::default()
    };
    let observation = Observation {
        record: Some(&record),
        ..look(&service, &[])
    };
    assert_eq!(
        code(judge(&watched(true), &observation, SOON)),
        Some(CauseCode::CircuitBreaker)
    );
}

#[test]
fn a_read_that_lags_behind_the_write_is_no_verdict() {
    let service = rolled_back();
    let observation = look(&service, &[]);
    assert_eq!(judge(&watched(false), &observation, SOON), Verdict::Going);
    assert_eq!(
        code(judge(&watched(false), &observation, 1_061_000)),
        Some(CauseCode::Superseded)
    );
    assert_eq!(
        judge(&watched(false), &Observation::default(), SOON),
        Verdict::Going
    );
    assert_eq!(
        code(judge(&watched(true), &Observation::default(), SOON)),
        Some(CauseCode::ServiceDeleted)
    );
}

#[test]
fn the_first_failed_task_names_the_cause_when_ecs_gives_up() {
    let mut failed = deployment(2, "PRIMARY", State::Failed, 0);
    failed.reason = Some("ECS deployment circuit breaker: tasks failed to start.".into());
    let service = service(vec![failed, deployment(1, "ACTIVE", State::Completed, 2)]);
    assert_eq!(
        code(judge(&watched(true), &look(&service, &[]), SOON)),
        Some(CauseCode::CircuitBreaker)
    );
    let tasks = [stopped(
        2,
        "EssentialContainerExited",
        "Essential container in task exited",
        Some(3),
    )];
    assert_eq!(
        code(judge(&watched(true), &look(&service, &tasks), SOON)),
        Some(CauseCode::Exit)
    );
}

#[test]
fn enough_failures_of_one_kind_decide_before_ecs_does() {
    let mut service = rolling();
    service.deployments[0].running_count = 0;
    let exit = || {
        stopped(
            2,
            "EssentialContainerExited",
            "Essential container in task exited",
            Some(1),
        )
    };
    let pull = || {
        stopped(
            2,
            "TaskFailedToStart",
            "CannotPullContainerError: not found",
            None,
        )
    };
    let foreign = || {
        stopped(
            1,
            "EssentialContainerExited",
            "Essential container in task exited",
            Some(1),
        )
    };
    let scaled_in = || {
        stopped(
            2,
            "ServiceSchedulerInitiated",
            "Scaling activity initiated by (deployment ecs-svc/2)",
            Some(0),
        )
    };
    let table: [(Vec<TaskView>, Option<CauseCode>); 6] = [
        (vec![], None),
        (vec![exit(), exit()], None),
        (vec![exit(), exit(), exit()], Some(CauseCode::Exit)),
        (vec![pull(), exit()], None),
        (vec![pull(), pull()], Some(CauseCode::ImagePull)),
        (
            vec![
                foreign(),
                foreign(),
                foreign(),
                scaled_in(),
                scaled_in(),
                scaled_in(),
            ],
            None,
        ),
    ];
    for (tasks, expected) in table {
        assert_eq!(
            code(judge(&watched(true), &look(&service, &tasks), SOON)),
            expected,
            "{tasks:?}"
        );
    }
}

/// Two tasks of two that cannot be pulled are proof; two of two hundred are not, nor is what passes by itself.
#[test]
fn a_rollout_of_many_tasks_survives_some_that_fail() {
    let task = |reason: &str| stopped(2, "TaskFailedToStart", reason, None);
    let gone = "CannotPullContainerError: r@sha256:new: not found";
    let late = "CannotPullContainerError: dial tcp 10.0.0.1:443: i/o timeout";
    let verdict = |desired: u32, running: u32, reason: &str, failed: usize| {
        let mut service = rolling();
        service.desired_count = desired;
        service.deployments[0].desired_count = desired;
        service.deployments[0].running_count = running;
        let tasks = vec![task(reason); failed];
        code(judge(&watched(true), &look(&service, &tasks), SOON))
    };
    assert_eq!(verdict(2, 0, gone, 2), Some(CauseCode::ImagePull));
    assert_eq!(verdict(200, 0, gone, 99), None);
    assert_eq!(verdict(200, 0, gone, 100), Some(CauseCode::ImagePull));
    assert_eq!(verdict(200, 150, gone, 100), None);
    assert_eq!(verdict(2, 0, late, 9), None);
    assert_eq!(verdict(2, 1, late, 50), None);
}

/// Where this machine's clock is behind AWS's, no task ever seems to have run for long enough.
#[test]
fn a_wrong_clock_does_not_keep_a_good_release_from_success() {
    let service = done();
    let tasks = [(); 2].map(|()| TaskView {
        started_at: Some(9_000_000),
        ..running(2, "sha256:new")
    });
    let failed = [TaskView {
        started_at: Some(8_900_000),
        stopped_at: Some(8_990_000),
        ..stopped(2, "EssentialContainerExited", "x", Some(1))
    }];
    for (calm, expected) in [(false, Verdict::Going), (true, Verdict::Succeeded)] {
        let observation = Observation {
            running: Some(&tasks),
            calm,
            ..look(&service, &failed)
        };
        assert_eq!(judge(&watched(true), &observation, SOON), expected);
    }
}

/// ECS leaves `imageDigest` out for some registries; the reference by digest that the container was started by is as good.
#[test]
fn a_digest_that_ecs_does_not_tell_is_read_from_the_image() {
    let service = done();
    let verdict = |image: Option<&str>| {
        let mut tasks = [running(2, "sha256:new"), running(2, "sha256:new")];
        tasks[1].containers[0].image_digest = None;
        tasks[1].containers[0].image = image.map(str::to_owned);
        let observation = Observation {
            running: Some(&tasks),
            ..look(&service, &[])
        };
        judge(&watched(true), &observation, SOON)
    };
    assert_eq!(verdict(Some("r@sha256:new")), Verdict::Succeeded);
    for other in [Some("r@sha256:old"), Some("r:latest"), None] {
        assert_eq!(
            code(verdict(other)),
            Some(CauseCode::WrongImage),
            "{other:?}"
        );
    }
}

#[test]
fn a_clock_that_was_set_back_does_no_harm() {
    let mut watched = watched(true);
    (watched.since, watched.deadline) = (1_000_000, 900_000);
    let verdict = judge(&watched, &look(&rolling(), &[]), SOON);
    assert_eq!(code(verdict), Some(CauseCode::Timeout));
}

#[test]
fn time_runs_out_with_the_best_reason_there_is() {
    let mut service = rolling();
    let late = 1_900_000;
    assert_eq!(
        judge(&watched(true), &look(&service, &[]), late - 1),
        Verdict::Going
    );
    assert_eq!(
        code(judge(&watched(true), &look(&service, &[]), late)),
        Some(CauseCode::Timeout)
    );
    service.events.push(EventView {
        at: 500_000,
        message: "(service api) was unable to place a task because no container instance met all of its requirements.".into(),
    });
    // By AWS's clock, as the deployment's own time is: this machine's may be anywhere.
    assert_eq!(
        code(judge(&watched(true), &look(&service, &[]), late)),
        Some(CauseCode::Timeout)
    );
    let slow = Watched {
        created_at: 400_000,
        ..watched(true)
    };
    assert_eq!(
        code(judge(&slow, &look(&service, &[]), late)),
        Some(CauseCode::Capacity)
    );
}

#[test]
fn tasks_that_found_no_room_are_the_reason_when_ecs_went_back() {
    let mut service = rolled_back();
    service.deployments[0].reason =
        Some("ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.".into());
    let verdict = |service: &ServiceView| code(judge(&watched(true), &look(service, &[]), SOON));
    assert_eq!(verdict(&service), Some(CauseCode::CircuitBreaker));
    service.events = vec![EventView {
        at: 1_005_000,
        message: "(service api) was unable to place a task. Reason: Capacity is unavailable at this time.".into(),
    }];
    assert_eq!(verdict(&service), Some(CauseCode::Capacity));
}

/// ECS calls a deployment complete in one of the healthy moments that a crash loop has.
#[test]
fn what_runs_must_outlive_what_crashed_before() {
    let service = done();
    let crash = |reason: &str, lived: u64| TaskView {
        started_at: Some(1_001_000),
        stopped_at: Some(1_001_000 + lived),
        ..stopped(2, "EssentialContainerExited", reason, Some(137))
    };
    let since = |started_at: u64| TaskView {
        started_at: Some(started_at),
        ..running(2, "sha256:new")
    };
    let verdict = |stopped: &[TaskView], newest: u64, now: u64| {
        let running = [since(1_001_000), since(newest)];
        let seen = Observation {
            running: Some(&running),
            ..look(&service, stopped)
        };
        judge(&watched(true), &seen, now)
    };
    let one = [crash("OutOfMemoryError: x", 6_000)];
    assert_eq!(verdict(&one, 1_009_000, 1_010_000), Verdict::Going);
    assert_eq!(verdict(&one, 1_009_000, 1_020_999), Verdict::Going);
    assert_eq!(verdict(&one, 1_009_000, 1_021_000), Verdict::Succeeded);
    // What lived for long need not be outlived for ever.
    let long = [crash("x", 600_000)];
    assert_eq!(verdict(&long, 1_602_000, 1_700_000), Verdict::Going);
    assert_eq!(verdict(&long, 1_602_000, 1_722_000), Verdict::Succeeded);
    // What never ran, and what the version is not to blame for, says nothing of how long a task lives.
    let pull = TaskView {
        started_at: None,
        ..stopped(2, "TaskFailedToStart", "CannotPullContainerError: x", None)
    };
    let spot = TaskView {
        stop_code: Some("SpotInterruption".into()),
        ..crash("Your Spot Task was interrupted.", 6_000)
    };
    assert_eq!(
        verdict(&[pull, spot], 1_009_000, 1_010_000),
        Verdict::Succeeded
    );
    // It is a failure as any other when the time is over.
    let late = verdict(&one, 1_899_000, 1_900_000);
    assert_eq!(code(late), Some(CauseCode::OutOfMemory));
}

/// ECS has gone back between two looks, and the failed deployment is no longer listed: its record still says why.
#[test]
fn the_record_says_why_ecs_went_back() {
    let service = rolled_back();
    for (reason, expected) in [
        (
            "Service deployment rolled back because an alarm was detected.",
            CauseCode::Alarm,
        ),
        (
            "Service deployment rolled back because the circuit breaker threshold was exceeded.",
            CauseCode::CircuitBreaker,
        ),
        (
            "Service deployment rolled back by user.",
            CauseCode::Stopped,
        ),
    ] {
        let record = ServiceDeploymentView {
            status: "ROLLBACK_SUCCESSFUL".into(),
            reason: Some(reason.into()),
            ..ServiceDeploymentView::default()
        };
        let seen = Observation {
            record: Some(&record),
            ..look(&service, &[])
        };
        match judge(&watched(true), &seen, SOON) {
            Verdict::Failed(cause) => {
                assert_eq!(cause.code, expected, "{reason}");
                assert!(cause.message.contains(reason), "{}", cause.message);
            }
            other => panic!("{reason}: {other:?}"),
        }
    }
}

#[test]
fn somebody_elses_deployment_is_told_as_such() {
    let service = service(vec![
        deployment(3, "PRIMARY", State::InProgress, 0),
        deployment(2, "ACTIVE", State::InProgress, 1),
    ]);
    assert_eq!(
        code(judge(&watched(true), &look(&service, &[]), SOON)),
        Some(CauseCode::Superseded)
    );
}
