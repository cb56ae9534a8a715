//! What comes from outside: alarms that guard a deployment, and room for tasks.

use serde_json::{Value, json};

use super::world::{World, breaker};
use crate::ecs::AlarmState;

fn alarms(rollback: bool) -> Value {
    json!({"alarms": {"alarmNames": ["errors", "latency"], "enable": true, "rollback": rollback}})
}

fn set(world: &mut World, name: &str, state: AlarmState) {
    let now = world.now;
    world.ecs.set_alarm(name, state, now);
    world.carry_out();
}

fn room(world: &mut World, tasks: Option<usize>) {
    let now = world.now;
    world.ecs.set_capacity(tasks, now);
}

/// A service of two tasks with alarms, in the middle of an update to another good image.
fn guarded(rollback: bool) -> (World, String, String) {
    let mut world = World::new();
    let old = world.register("app:1");
    world.balanced_service(&old, 2, &alarms(rollback));
    let new = world.register("app:2");
    world.update(&json!({"taskDefinition": new}));
    (world, old, new)
}

#[test]
fn an_alarm_rolls_a_deployment_back() {
    let (mut world, old, _) = guarded(true);
    let service = world.describe();
    let (new_id, old_id) = (
        service["deployments"][0]["id"].clone(),
        service["deployments"][1]["id"].clone(),
    );
    world.run_for(300);
    set(&mut world, "other", AlarmState::Alarm);
    set(&mut world, "errors", AlarmState::InsufficientData);
    assert_eq!(world.service_deployment()["alarms"]["status"], "MONITORING");
    set(&mut world, "errors", AlarmState::Alarm);
    let deployment = world.service_deployment();
    assert_eq!(deployment["status"], "ROLLBACK_IN_PROGRESS");
    assert_eq!(
        deployment["alarms"],
        json!({"status": "TRIGGERED", "alarmNames": ["errors", "latency"], "triggeredAlarmNames": ["errors"]})
    );
    world.run_until("the end", |world| {
        world.primary()["rolloutState"] == "COMPLETED"
    });
    assert_eq!(world.service_deployment()["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(world.describe()["taskDefinition"], old.as_str());
    for words in [
        format!("(service api) (deployment {new_id}) deployment failed: alarm detected."),
        format!("(service api) rolling back to deployment {old_id}."),
    ] {
        let words = words.replace('"', "");
        assert!(world.events().contains(&words), "{words}");
    }
}

#[test]
fn an_alarm_without_rollback_stops_a_deployment() {
    let (mut world, _, new) = guarded(false);
    set(&mut world, "latency", AlarmState::Alarm);
    let started = world.tasks.len();
    world.run_for(60_000);
    assert_eq!(world.tasks.len(), started, "nothing more is started");
    let service = world.describe();
    assert_eq!(service["taskDefinition"], new.as_str());
    assert_eq!(service["deployments"][0]["rolloutState"], "FAILED");
    assert_eq!(world.service_deployment()["status"], "STOPPED");
}

#[test]
fn a_guarded_deployment_bakes_before_it_is_complete() {
    let (mut world, old, new) = guarded(true);
    world.run_until("the old tasks have gone", |world| {
        world.describe()["deployments"].as_array().unwrap().len() == 1
    });
    world.run_for(1_500);
    let service = world.describe();
    assert_eq!(service["deployments"][0]["rolloutState"], "IN_PROGRESS");
    assert_eq!(service["deployments"][0]["runningCount"], 2);
    assert_eq!(service["taskDefinition"], new.as_str());
    // The old deployment is gone, so that the way back is a new one.
    set(&mut world, "errors", AlarmState::Alarm);
    world.run_until("the end", |world| {
        world.primary()["rolloutState"] == "COMPLETED"
    });
    assert_eq!(world.describe()["taskDefinition"], old.as_str());
    assert_eq!(world.service_deployment()["status"], "ROLLBACK_SUCCESSFUL");
}

#[test]
fn an_alarm_that_rang_before_is_ignored() {
    let mut world = World::new();
    let old = world.register("app:1");
    world.balanced_service(&old, 1, &alarms(true));
    set(&mut world, "errors", AlarmState::Alarm);
    let new = world.register("app:2");
    world.update(&json!({"taskDefinition": new}));
    assert_eq!(world.service_deployment()["alarms"]["status"], "DISABLED");
    set(&mut world, "errors", AlarmState::Ok);
    set(&mut world, "latency", AlarmState::Alarm);
    world.run_until("success", |world| {
        world.primary()["rolloutState"] == "COMPLETED"
    });
    assert_eq!(world.service_deployment()["status"], "SUCCESSFUL");

    // After the end nothing is guarded.
    set(&mut world, "errors", AlarmState::Alarm);
    world.run_for(10_000);
    assert_eq!(world.primary()["rolloutState"], "COMPLETED");
}

#[test]
fn alarms_that_are_on_need_names() {
    let mut world = World::new();
    let definition = world.register("app:1");
    let request = json!({
        "cluster": "main", "serviceName": "api", "taskDefinition": definition, "desiredCount": 1,
        "deploymentConfiguration": {"alarms": {"alarmNames": [], "enable": true, "rollback": true}},
    });
    let error = world.try_call("CreateService", &request).unwrap_err();
    assert_eq!(error.code, "InvalidParameterException");
}

#[test]
fn without_room_a_rollout_says_so_and_goes_on_when_there_is_some() {
    let mut world = World::new();
    let old = world.register("app:1");
    world.balanced_service(&old, 2, &json!({}));
    room(&mut world, Some(2));
    let new = world.register("app:2");
    world.update(&json!({"taskDefinition": new}));
    world.run_for(3_000);
    let words = "(service api) was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.";
    assert!(world.has_event(words), "{:#?}", world.events());
    let primary = world.primary();
    assert_eq!(primary["rolloutState"], "IN_PROGRESS");
    assert_eq!(
        (&primary["runningCount"], &primary["pendingCount"]),
        (&json!(0), &json!(0))
    );
    assert!(primary["failedTasks"].as_u64().unwrap() > 0);
    assert_eq!(world.serving.len(), 2, "the old tasks keep their places");

    room(&mut world, Some(3));
    world.run_until("success", |world| {
        world.primary()["rolloutState"] == "COMPLETED"
    });
    assert_eq!(world.describe()["taskDefinition"], new.as_str());
}

#[test]
fn the_breaker_counts_tasks_without_a_place() {
    let mut world = World::new();
    let old = world.register("app:1");
    world.balanced_service(&old, 1, &breaker(true));
    room(&mut world, Some(1));
    let new = world.register("app:2");
    world.update(&json!({"taskDefinition": new}));
    world.run_until("the end", |world| {
        world.service_deployment()["status"] == "ROLLBACK_SUCCESSFUL"
    });
    assert_eq!(world.describe()["taskDefinition"], old.as_str());
    assert_eq!(world.serving.len(), 1);
}

#[test]
fn run_task_without_room_answers_with_failures() {
    let mut world = World::new();
    let definition = world.register("app:1");
    room(&mut world, Some(1));
    let request = json!({"cluster": "main", "taskDefinition": definition, "count": 3});
    let answer = world.call("RunTask", &request);
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 1);
    let failure = json!({
        "arn": "arn:aws:ecs:eu-central-1:123456789012:container-instance/local",
        "reason": "RESOURCE:MEMORY",
    });
    assert_eq!(answer["failures"], json!([failure, failure]));
    room(&mut world, None);
    assert_eq!(world.call("RunTask", &request)["failures"], json!([]));
}
