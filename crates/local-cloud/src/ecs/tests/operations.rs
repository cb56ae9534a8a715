//! What people do to services and tasks, at the worst moments too.

use serde_json::{Value, json};

use super::world::{Script, World, breaker, text};
use crate::task::{Effect, StartFailure};

fn stop(world: &mut World, kind: &str) {
    let arn = world.service_deployment()["serviceDeploymentArn"].clone();
    let request = json!({"serviceDeploymentArn": arn, "stopType": kind});
    assert_eq!(
        world.call("StopServiceDeployment", &request)["serviceDeploymentArn"],
        arn
    );
}

fn complete(world: &mut World) {
    world.run_until("the rollout is complete", |world| {
        world.primary()["rolloutState"] == "COMPLETED"
    });
}

/// A service of `desired` tasks, in the midst of a rollout to another image whose tasks need long to start.
fn mid_rollout(desired: u64, configuration: &Value) -> (World, String, String) {
    let mut world = World::new();
    let slow = Script {
        start_ms: 5_000,
        ..Script::default()
    };
    world.script("app:2", slow);
    let old = world.register("app:1");
    world.balanced_service(&old, desired, configuration);
    let new = world.register("app:2");
    world.update(&json!({"taskDefinition": new}));
    world.run_for(2_000);
    (world, old, new)
}

#[test]
fn stopping_with_rollback_returns_to_the_revision_before() {
    for configuration in [json!({}), breaker(true)] {
        let (mut world, old, _) = mid_rollout(2, &configuration);
        stop(&mut world, "ROLLBACK");
        assert_eq!(world.service_deployment()["status"], "ROLLBACK_REQUESTED");
        stop(&mut world, "ROLLBACK");
        world.run_for(150);
        assert_eq!(world.service_deployment()["status"], "ROLLBACK_IN_PROGRESS");
        stop(&mut world, "ROLLBACK");
        assert_eq!(world.describe()["taskDefinition"], old.as_str());
        complete(&mut world);
        let deployment = world.service_deployment();
        assert_eq!(deployment["status"], "ROLLBACK_SUCCESSFUL");
        assert_eq!(
            deployment["rollback"]["serviceRevisionArn"],
            deployment["sourceServiceRevisions"][0]["arn"]
        );
        assert_eq!(world.describe()["runningCount"], 2);
        assert_eq!(world.serving.len(), 2);
        let error = world
            .try_call(
                "StopServiceDeployment",
                &json!({"serviceDeploymentArn": deployment["serviceDeploymentArn"]}),
            )
            .unwrap_err();
        assert_eq!(error.code, "ConflictException");
    }
}

#[test]
fn stopping_without_rollback_starts_nothing_more() {
    let (mut world, _, new) = mid_rollout(2, &json!({}));
    stop(&mut world, "ABORT");
    assert_eq!(world.service_deployment()["status"], "STOP_REQUESTED");
    world.run_for(10_000);
    assert_eq!(world.service_deployment()["status"], "STOPPED");
    assert_eq!(world.primary()["rolloutState"], "FAILED");
    assert_eq!(world.primary()["taskDefinition"], new.as_str());
    assert!(world.serving.len() >= 2, "the old tasks serve on");
}

#[test]
fn a_rollback_goes_to_the_last_success_and_not_to_what_was_superseded() {
    let (mut world, old, _) = mid_rollout(2, &breaker(true));
    world.script(
        "app:3",
        Script {
            start_failure: Some(StartFailure::CannotPullContainerError),
            ..Script::default()
        },
    );
    let third = world.register("app:3");
    let superseded = world.service_deployment()["serviceDeploymentArn"].clone();
    let service = world.update(&json!({"taskDefinition": third}));
    assert_eq!(service["deployments"].as_array().unwrap().len(), 3);
    let request = json!({"serviceDeploymentArns": [superseded]});
    let answer = world.call("DescribeServiceDeployments", &request);
    assert_eq!(answer["serviceDeployments"][0]["status"], "STOPPED");
    world.run_until("the end", |world| {
        world.service_deployment()["status"] == "ROLLBACK_SUCCESSFUL"
    });
    let service = world.describe();
    assert_eq!(service["taskDefinition"], old.as_str());
    assert_eq!(service["deployments"].as_array().unwrap().len(), 1);
    assert_eq!(service["runningCount"], 2);
}

#[test]
fn a_rollback_brings_back_the_whole_revision() {
    let mut world = World::new();
    let definition = world.register("app:1");
    let network = |subnet: &str| json!({"awsvpcConfiguration": {"subnets": [subnet]}});
    world.service(
        &definition,
        1,
        &json!({"networkConfiguration": network("a")}),
    );
    let service = world.update(&json!({"networkConfiguration": network("b")}));
    assert_eq!(service["deployments"].as_array().unwrap().len(), 2);
    assert_eq!(service["networkConfiguration"], network("b"));
    stop(&mut world, "ROLLBACK");
    complete(&mut world);
    assert_eq!(world.describe()["networkConfiguration"], network("a"));
}

#[test]
fn a_superseding_update_wins() {
    let (mut world, _, _) = mid_rollout(3, &json!({}));
    let third = world.register("app:3");
    world.update(&json!({"taskDefinition": third}));
    complete(&mut world);
    let tasks = world.described("RUNNING");
    assert_eq!(tasks.len(), 3);
    assert!(
        tasks
            .iter()
            .all(|task| task["taskDefinitionArn"] == third.as_str())
    );
    assert_eq!(world.service_deployment()["status"], "SUCCESSFUL");
}

#[test]
fn the_desired_count_changes_in_mid_rollout() {
    for desired in [0, 1, 6] {
        let (mut world, _, new) = mid_rollout(3, &json!({}));
        let before = world.primary()["id"].clone();
        let service = world.update(&json!({"desiredCount": desired}));
        assert_eq!(service["deployments"][0]["id"], before, "no new deployment");
        assert_eq!(service["desiredCount"], desired);
        complete(&mut world);
        let tasks = world.described("RUNNING");
        assert_eq!(u64::try_from(tasks.len()).unwrap(), desired);
        assert!(
            tasks
                .iter()
                .all(|task| task["taskDefinitionArn"] == new.as_str())
        );
    }
}

#[test]
fn scaling_is_no_deployment() {
    let mut world = World::new();
    let definition = world.register("app:1");
    world.balanced_service(&definition, 2, &json!({}));
    let before = world.primary()["id"].clone();
    for desired in [5, 1, 0, 2] {
        world.update(&json!({"desiredCount": desired}));
        world.run_until("the count", |world| {
            let service = world.describe();
            service["runningCount"] == desired && world.serving.len() as u64 == desired
        });
        assert_eq!(world.primary()["id"], before);
        assert_eq!(world.primary()["rolloutState"], "COMPLETED");
    }
    let list = world.call(
        "ListServiceDeployments",
        &json!({"cluster": "main", "service": "api"}),
    );
    assert_eq!(list["serviceDeployments"].as_array().unwrap().len(), 1);
}

#[test]
fn an_update_without_a_change_is_no_deployment() {
    let mut world = World::new();
    let definition = world.register("app:1");
    world.balanced_service(&definition, 1, &json!({}));
    let before = world.primary()["id"].clone();
    for nothing in [
        json!({}),
        json!({"taskDefinition": "api"}),
        json!({"deploymentConfiguration": {"maximumPercent": 150}}),
        json!({"healthCheckGracePeriodSeconds": 5, "propagateTags": "SERVICE"}),
    ] {
        let service = world.update(&nothing);
        assert_eq!(service["deployments"][0]["id"], before);
    }
    let configuration = world.describe()["deploymentConfiguration"].clone();
    assert_eq!(configuration["maximumPercent"], 150);
    assert_eq!(
        configuration["minimumHealthyPercent"], 100,
        "what was not named stays"
    );
}

#[test]
fn a_forced_deployment_replaces_all_tasks() {
    let mut world = World::new();
    let definition = world.register("app:1");
    world.balanced_service(&definition, 2, &json!({}));
    let before = world.serving.clone();
    world.update(&json!({"forceNewDeployment": true}));
    complete(&mut world);
    assert_eq!(world.serving.len(), 2);
    assert!(before.is_disjoint(&world.serving));
    assert_eq!(world.describe()["taskDefinition"], definition.as_str());
}

#[test]
fn a_deregistered_revision_runs_on_but_is_not_started_anew() {
    let mut world = World::new();
    let definition = world.register("app:1");
    world.balanced_service(&definition, 1, &json!({}));
    let answer = world.call(
        "DeregisterTaskDefinition",
        &json!({"taskDefinition": definition}),
    );
    assert_eq!(answer["taskDefinition"]["status"], "INACTIVE");
    assert!(answer["taskDefinition"]["deregisteredAt"].is_f64());
    let task = world.described("RUNNING")[0]["taskArn"].clone();
    world.call("StopTask", &json!({"cluster": "main", "task": task}));
    world.run_until("it is replaced", |world| {
        world
            .described("RUNNING")
            .iter()
            .any(|task| task["lastStatus"] == "RUNNING")
    });
    let error = world
        .try_call(
            "RunTask",
            &json!({"cluster": "main", "taskDefinition": definition}),
        )
        .unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        ("ClientException", "TaskDefinition is inactive")
    );
}

#[test]
fn stopping_a_task_is_told_and_not_counted() {
    let (mut world, _, _) = mid_rollout(2, &breaker(true));
    let starting = world.described("RUNNING");
    let id = world.primary()["id"].clone();
    let starting = starting
        .iter()
        .find(|task| task["startedBy"] == id)
        .unwrap();
    let request = json!({"cluster": "main", "task": starting["taskArn"], "reason": "to see"});
    let task = world.call("StopTask", &request)["task"].clone();
    assert_eq!(
        json!([
            task["desiredStatus"],
            task["stopCode"],
            task["stoppedReason"]
        ]),
        json!(["STOPPED", "UserInitiated", "to see"])
    );
    complete(&mut world);
    assert_eq!(world.primary()["failedTasks"], 0);
}

#[test]
fn a_restart_replaces_everything_and_blames_nobody() {
    for wait in [0, 3_000, 20_000] {
        let (mut world, _, new) = mid_rollout(3, &breaker(true));
        world.run_for(wait);
        let before = world.serving.clone();
        let now = world.now;
        world.ecs.restarted(now);
        world.carry_out();
        assert!(
            world.serving.is_empty(),
            "a balancer hears of each that it must forget"
        );
        world.run_until("three serve", |world| world.serving.len() == 3);
        complete(&mut world);
        assert!(before.is_disjoint(&world.serving));
        assert_eq!(world.describe()["taskDefinition"], new.as_str());
        assert_eq!(world.primary()["failedTasks"], 0);
        let told = world.described("STOPPED");
        assert!(
            told.iter()
                .any(|task| task["stoppedReason"] == "The local cloud was restarted.")
        );
    }
}

#[test]
fn a_deleted_service_drains_and_is_gone() {
    let mut world = World::new();
    let definition = world.register("app:1");
    world.balanced_service(&definition, 2, &json!({}));
    let request = json!({"cluster": "main", "service": "api"});
    let error = world.try_call("DeleteService", &request).unwrap_err();
    assert_eq!(
        error.message,
        "The service cannot be stopped while it is scaled above 0."
    );
    let forced = json!({"cluster": "main", "service": "api", "force": true});
    assert_eq!(
        world.call("DeleteService", &forced)["service"]["status"],
        "DRAINING"
    );
    let error = world.try_call("UpdateService", &request).unwrap_err();
    assert_eq!(error.code, "ServiceNotActiveException");
    let again = json!({"cluster": "main", "serviceName": "api", "taskDefinition": definition, "desiredCount": 1});
    let error = world.try_call("CreateService", &again).unwrap_err();
    assert_eq!(
        error.message,
        "Unable to Start a service that is still Draining."
    );
    world.run_until("it is gone", |world| {
        world.describe()["status"] == "INACTIVE"
    });
    assert!(world.serving.is_empty());
    for (operation, code) in [
        ("UpdateService", "ServiceNotActiveException"),
        ("DeleteService", "ServiceNotFoundException"),
    ] {
        assert_eq!(world.try_call(operation, &request).unwrap_err().code, code);
    }
    let list = world.call("ListServices", &json!({"cluster": "main"}));
    assert_eq!(list["serviceArns"], json!([]));
    // The name is free again.
    world.call("CreateService", &again);
    complete(&mut world);
}

#[test]
fn percentages_without_room_are_told_once() {
    let mut world = World::new();
    let old = world.register("app:1");
    world.balanced_service(
        &old,
        1,
        &json!({"minimumHealthyPercent": 100, "maximumPercent": 150}),
    );
    let new = world.register("app:2");
    world.update(&json!({"taskDefinition": new}));
    world.run_for(60_000);
    let told = world
        .events()
        .iter()
        .filter(|event| event.contains("was unable to stop or start tasks during a deployment because of the service deployment configuration."))
        .count();
    assert_eq!(told, 1);
    world.update(&json!({"deploymentConfiguration": {"maximumPercent": 200}}));
    complete(&mut world);
}

#[test]
fn a_task_run_by_hand_has_its_overrides() {
    let mut world = World::new();
    let definition = world.register_with(
        "app:1",
        &json!({"environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "command": ["serve"]}),
    );
    let answer = world.call(
        "RunTask",
        &json!({
            "cluster": "main", "taskDefinition": definition, "count": 2, "startedBy": "migrate",
            "overrides": {"containerOverrides": [
                {"name": "app", "command": ["migrate", "up"], "environment": [{"name": "B", "value": "3"}]},
            ]},
        }),
    );
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(answer["tasks"][0]["group"], "family:api");
    assert_eq!(answer["tasks"][0]["lastStatus"], "PROVISIONING");
    world.run_for(1_000);
    let started: Vec<_> = world
        .log
        .iter()
        .filter_map(|(_, effect)| match effect {
            Effect::Start { task } => Some(task),
            _ => None,
        })
        .collect();
    assert_eq!(started.len(), 2);
    let container = &started[0].containers[0];
    assert_eq!(
        container.command,
        Some(vec!["migrate".to_owned(), "up".to_owned()])
    );
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(container.environment, [pair("A", "1"), pair("B", "3")]);
    for (filter, number) in [("migrate", 2), ("other", 0)] {
        let list = world.call(
            "ListTasks",
            &json!({"cluster": "main", "startedBy": filter}),
        );
        assert_eq!(list["taskArns"].as_array().unwrap().len(), number);
    }
    let id = text(&answer["tasks"][0]["taskArn"]);
    world.call("StopTask", &json!({"cluster": "main", "task": id}));
    world.run_for(1_000);
    let request = json!({"cluster": "main", "tasks": [id]});
    let task = world.call("DescribeTasks", &request)["tasks"][0].clone();
    assert_eq!(task["lastStatus"], "STOPPED");
    assert_eq!(task["stoppedReason"], "Task stopped by user");
    // An hour later it is no longer shown.
    world.run_for(3_600_000);
    let answer = world.call("DescribeTasks", &request);
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
}

#[test]
fn a_task_stopped_before_it_was_placed_never_reaches_the_runner() {
    let mut world = World::new();
    let definition = world.register("app:1");
    let request = json!({"cluster": "main", "taskDefinition": definition});
    let id = world.call("RunTask", &request)["tasks"][0]["taskArn"].clone();
    world.call("StopTask", &json!({"cluster": "main", "task": id}));
    world.run_for(2_000);
    assert_eq!(world.described("STOPPED")[0]["lastStatus"], "STOPPED");
    assert!(world.log.is_empty());
}
