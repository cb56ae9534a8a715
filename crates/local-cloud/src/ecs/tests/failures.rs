//! Tasks that fail, one way at a time.

use serde_json::json;

use super::world::{Script, World, breaker};
use crate::task::{Report, StartFailure};

/// What a task that failed looks like: script, more members of the container, `stopCode`, `stoppedReason`.
#[test]
fn every_way_to_fail_is_counted_and_told() {
    let check =
        json!({"healthCheck": {"command": ["CMD-SHELL", "exit 1"], "interval": 5, "retries": 2}});
    let refuses = |failure| Script {
        start_failure: Some(failure),
        ..Script::default()
    };
    let cases = [
        (
            refuses(StartFailure::CannotPullContainerError),
            json!({}),
            "TaskFailedToStart",
            "CannotPullContainerError: it is not there",
        ),
        (
            refuses(StartFailure::ResourceInitializationError),
            json!({}),
            "TaskFailedToStart",
            "ResourceInitializationError: it is not there",
        ),
        (
            refuses(StartFailure::CannotStartContainerError),
            json!({}),
            "TaskFailedToStart",
            "CannotStartContainerError: it is not there",
        ),
        (
            Script {
                exits_after: Some((10, 2)),
                ..Script::default()
            },
            json!({}),
            "EssentialContainerExited",
            "Essential container in task exited",
        ),
        (
            Script {
                check_passes: false,
                ..Script::default()
            },
            check,
            "ServiceSchedulerInitiated",
            "Task failed container health checks",
        ),
        (
            Script {
                status: 503,
                ..Script::default()
            },
            json!({}),
            "ServiceSchedulerInitiated",
            "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/api/",
        ),
    ];
    for (script, more, code, reason) in cases {
        let mut world = World::new();
        world.script("app:bad", script);
        let good = world.register("app:good");
        world.balanced_service(&good, 1, &breaker(true));
        let bad = world.register_with("app:bad", &more);
        world.update(&json!({"taskDefinition": bad}));
        world.run_until("the end", |world| {
            world.service_deployment()["status"] == "ROLLBACK_SUCCESSFUL"
        });
        assert_eq!(
            world.service_deployment()["deploymentCircuitBreaker"]["failureCount"],
            3
        );
        assert_eq!(world.serving.len(), 1, "{reason}");
        world.run_for(1_000);
        let stopped = world.described("STOPPED");
        let failed: Vec<_> = stopped
            .iter()
            .filter(|task| task["stopCode"] == code)
            .collect();
        assert!(failed.len() >= 3, "{reason}: {stopped:#?}");
        for task in failed.iter().take(3) {
            let told = task["stoppedReason"].as_str().unwrap();
            if !told.starts_with("Scaling activity") {
                assert!(told.starts_with(reason), "{told}");
            }
            assert_eq!(task["lastStatus"], "STOPPED");
        }
    }
}

#[test]
fn an_exit_is_told_with_its_code() {
    let mut world = World::new();
    world.script(
        "app:crash",
        Script {
            exits_after: Some((300, 42)),
            ..Script::default()
        },
    );
    let crash = world.register("app:crash");
    let request = json!({"cluster": "main", "taskDefinition": crash});
    let id = world.call("RunTask", &request)["tasks"][0]["taskArn"].clone();
    world.run_for(5_000);
    let request = json!({"cluster": "main", "tasks": [id]});
    let task = world.call("DescribeTasks", &request)["tasks"][0].clone();
    assert_eq!(task["lastStatus"], "STOPPED");
    assert_eq!(task["containers"][0]["exitCode"], 42);
    assert_eq!(task["stoppedReason"], "Essential container in task exited");
    for time in [
        "createdAt",
        "pullStartedAt",
        "pullStoppedAt",
        "startedAt",
        "stoppingAt",
        "executionStoppedAt",
        "stoppedAt",
    ] {
        assert!(task[time].is_f64(), "{time}");
    }
}

#[test]
fn a_task_killed_for_want_of_memory_says_so() {
    let mut world = World::new();
    let definition = world.register("app:1");
    world.service(&definition, 1, &json!({}));
    let id = world.tasks.keys().next().unwrap().clone();
    let report = Report::Exited {
        task: id.clone(),
        container: "app".to_owned(),
        exit_code: 137,
        out_of_memory: true,
    };
    let now = world.now;
    world.ecs.report(report, now);
    let request = json!({"cluster": "main", "tasks": [id]});
    let task = world.call("DescribeTasks", &request)["tasks"][0].clone();
    assert_eq!(task["containers"][0]["exitCode"], 137);
    assert_eq!(
        task["containers"][0]["reason"],
        "OutOfMemoryError: Container killed due to memory usage"
    );
}

#[test]
fn a_crash_after_the_rollout_is_mended_and_not_a_failed_deployment() {
    let mut world = World::new();
    let definition = world.register("app:1");
    world.balanced_service(&definition, 2, &breaker(true));
    for _ in 0..6 {
        let id = world.serving.first().unwrap().clone();
        let now = world.now;
        let report = Report::Exited {
            task: id.clone(),
            container: "app".to_owned(),
            exit_code: 1,
            out_of_memory: false,
        };
        world.ecs.report(report, now);
        world.carry_out();
        assert!(!world.serving.contains(&id), "it gets no requests any more");
        world.run_until("two serve again", |world| world.serving.len() == 2);
    }
    assert_eq!(world.primary()["rolloutState"], "COMPLETED");
    assert_eq!(world.primary()["failedTasks"], 0);
    assert_eq!(world.service_deployment()["status"], "SUCCESSFUL");
}

#[test]
fn a_grace_period_overlooks_failed_checks_for_its_time() {
    let mut world = World::new();
    world.script(
        "app:slow",
        Script {
            status: 503,
            ..Script::default()
        },
    );
    let good = world.register("app:good");
    world.balanced_service(&good, 1, &json!({}));
    let slow = world.register("app:slow");
    world.update(&json!({"taskDefinition": slow, "healthCheckGracePeriodSeconds": 200}));
    // A tenth of it at the quick pace.
    world.run_for(18_000);
    assert_eq!(world.primary()["failedTasks"], 0);
    world.run_for(4_000);
    assert_eq!(world.primary()["failedTasks"], 1);
}

#[test]
fn a_target_that_recovers_in_time_is_left_alone() {
    let mut world = World::new();
    world.script(
        "app:slow",
        Script {
            status: 503,
            ..Script::default()
        },
    );
    let good = world.register("app:good");
    world.balanced_service(&good, 1, &json!({}));
    let slow = world.register("app:slow");
    world.update(&json!({"taskDefinition": slow, "healthCheckGracePeriodSeconds": 200}));
    world.run_for(10_000);
    world.script("app:slow", Script::default());
    world.run_until("the end", |world| {
        world.primary()["rolloutState"] == "COMPLETED"
    });
    assert_eq!(world.primary()["failedTasks"], 0);
}

#[test]
fn an_exit_of_a_container_that_is_not_essential_is_let_be() {
    let mut world = World::new();
    let answer = world.call(
        "RegisterTaskDefinition",
        &json!({
            "family": "two", "memory": "512",
            "containerDefinitions": [
                {"name": "app", "image": "app:1", "dependsOn": [{"containerName": "helper", "condition": "START"}]},
                {"name": "helper", "image": "helper:1", "essential": false},
            ],
        }),
    );
    let definition = answer["taskDefinition"]["taskDefinitionArn"].clone();
    let request = json!({"cluster": "main", "taskDefinition": definition});
    let answer = world.call("RunTask", &request);
    world.run_for(2_000);
    let id = answer["tasks"][0]["taskArn"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let names: Vec<&str> = world.tasks[&id]
        .containers
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["helper", "app"], "in the order of dependsOn");
    let now = world.now;
    let report = Report::Exited {
        task: id.clone(),
        container: "helper".to_owned(),
        exit_code: 0,
        out_of_memory: false,
    };
    world.ecs.report(report, now);
    let request = json!({"cluster": "main", "tasks": [id]});
    let task = world.call("DescribeTasks", &request)["tasks"][0].clone();
    assert_eq!(task["lastStatus"], "RUNNING");
    assert_eq!(task["containers"][0]["lastStatus"], "STOPPED");
    assert_eq!(task["containers"][0]["exitCode"], 0);
}
