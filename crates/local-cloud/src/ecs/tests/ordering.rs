//! Containers that wait for others, and containers that are started again.

use serde_json::{Value, json};

use super::world::{Script, World, text};
use crate::task::{Effect, Millis, Report};

/// A family of these containers; its ARN.
fn register(world: &mut World, containers: &Value) -> String {
    let request = json!({"family": "batch", "memory": "512", "containerDefinitions": containers});
    let answer = world.call("RegisterTaskDefinition", &request);
    text(&answer["taskDefinition"]["taskDefinitionArn"])
}

/// Runs one task; its id.
fn run(world: &mut World, containers: &Value) -> String {
    let definition = register(world, containers);
    let request = json!({"cluster": "main", "taskDefinition": definition});
    let answer = world.call("RunTask", &request);
    let arn = text(&answer["tasks"][0]["taskArn"]);
    arn.rsplit('/').next().unwrap().to_owned()
}

fn task(world: &mut World, id: &str) -> Value {
    let request = json!({"cluster": "main", "tasks": [id]});
    world.call("DescribeTasks", &request)["tasks"][0].clone()
}

fn states(world: &mut World, id: &str) -> Vec<(String, String)> {
    let task = task(world, id);
    let containers = task["containers"].as_array().unwrap();
    containers
        .iter()
        .map(|one| (text(&one["name"]), text(&one["lastStatus"])))
        .collect()
}

fn pair(name: &str, state: &str) -> (String, String) {
    (name.to_owned(), state.to_owned())
}

fn exits(world: &mut World, image: &str, after: Millis, code: i32) {
    let script = Script {
        exits_after: Some((after, code)),
        ..Script::default()
    };
    world.script(image, script);
}

fn restarts(world: &World) -> usize {
    let effects = world.log.iter();
    effects
        .filter(|(_, effect)| matches!(effect, Effect::StartContainer { .. }))
        .count()
}

#[test]
fn a_container_waits_for_the_success_of_another_and_a_third_for_its_start() {
    let mut world = World::new();
    exits(&mut world, "init:1", 3_000, 0);
    let id = run(
        &mut world,
        &json!([
            {"name": "late", "image": "late:1", "dependsOn": [{"containerName": "app", "condition": "START"}]},
            {"name": "app", "image": "app:1", "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}]},
            {"name": "init", "image": "init:1", "essential": false},
        ]),
    );
    world.run_for(2_000);
    let waiting = [
        pair("init", "RUNNING"),
        pair("app", "PENDING"),
        pair("late", "PENDING"),
    ];
    assert_eq!(states(&mut world, &id), waiting);
    assert_eq!(task(&mut world, &id)["lastStatus"], "PENDING");
    world.run_for(3_000);
    let running = [
        pair("init", "STOPPED"),
        pair("app", "RUNNING"),
        pair("late", "RUNNING"),
    ];
    assert_eq!(states(&mut world, &id), running);
    assert_eq!(task(&mut world, &id)["lastStatus"], "RUNNING");
}

#[test]
fn a_container_waits_for_the_health_of_another() {
    for passes in [true, false] {
        let mut world = World::new();
        world.script(
            "db:1",
            Script {
                check_passes: passes,
                ..Script::default()
            },
        );
        let id = run(
            &mut world,
            &json!([
                {"name": "db", "image": "db:1", "healthCheck": {"command": ["CMD", "/check"], "interval": 20, "retries": 2}},
                {"name": "app", "image": "app:1", "dependsOn": [{"containerName": "db", "condition": "HEALTHY"}]},
            ]),
        );
        world.run_for(1_500);
        assert_eq!(
            states(&mut world, &id),
            [pair("db", "RUNNING"), pair("app", "PENDING")]
        );
        world.run_for(8_000);
        let task = task(&mut world, &id);
        if passes {
            assert_eq!(task["lastStatus"], "RUNNING");
        } else {
            assert_eq!(task["lastStatus"], "STOPPED");
            assert_eq!(task["stopCode"], "TaskFailedToStart");
            assert_eq!(
                task["stoppedReason"],
                "CannotStartContainerError: dependency container 'db' did not become healthy"
            );
        }
    }
}

/// `startTimeout` is the time from a container's start in which others wait for it; a start is all that the condition `START` asks for.
#[test]
fn a_dependency_that_takes_too_long_stops_the_task() {
    let table = [
        (5, json!({"startTimeout": 4}), "SUCCESS", "STOPPED"),
        (5, json!({"startTimeout": 4}), "COMPLETE", "STOPPED"),
        (5, json!({"startTimeout": 4}), "START", "RUNNING"),
        (5, json!({"startTimeout": 6}), "SUCCESS", "RUNNING"),
        (5, json!({}), "SUCCESS", "RUNNING"),
    ];
    for (takes, more, condition, status) in table {
        let mut world = World::new();
        exits(&mut world, "init:1", takes * 1_000, 0);
        let mut init = json!({"name": "init", "image": "init:1", "essential": false});
        init.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let app = json!({"name": "app", "image": "app:1", "dependsOn": [{"containerName": "init", "condition": condition}]});
        let id = run(&mut world, &json!([init, app]));
        world.run_for(3_500);
        let early = task(&mut world, &id);
        assert_eq!(early["desiredStatus"], "RUNNING", "{condition} {more}");
        world.run_for(6_000);
        let task = task(&mut world, &id);
        assert_eq!(task["lastStatus"], status, "{condition} {more}");
        if status == "STOPPED" {
            assert_eq!(task["stopCode"], "TaskFailedToStart");
            let reason = "CannotStartContainerError: dependency graph: container ordering dependency [init] for target [app] has timed out.";
            assert_eq!(task["stoppedReason"], reason);
            assert_eq!(task["containers"][1]["reason"], reason);
        }
    }
}

#[test]
fn completion_asks_for_no_success_and_success_does() {
    for (condition, status) in [("COMPLETE", "RUNNING"), ("SUCCESS", "STOPPED")] {
        let mut world = World::new();
        exits(&mut world, "init:1", 500, 7);
        let id = run(
            &mut world,
            &json!([
                {"name": "init", "image": "init:1", "essential": false},
                {"name": "app", "image": "app:1", "dependsOn": [{"containerName": "init", "condition": condition}]},
            ]),
        );
        world.run_for(3_000);
        let task = task(&mut world, &id);
        assert_eq!(task["lastStatus"], status, "{condition}");
        if status == "STOPPED" {
            assert_eq!(
                task["stoppedReason"],
                "CannotStartContainerError: dependency container 'init' did not exit successfully"
            );
            assert_eq!(task["containers"][0]["exitCode"], 7);
        }
    }
}

#[test]
fn dependencies_that_cannot_be_met_are_refused() {
    let mut world = World::new();
    let table = [
        (
            json!([
                {"name": "app", "image": "app:1", "dependsOn": [{"containerName": "job", "condition": "SUCCESS"}]},
                {"name": "job", "image": "app:1"},
            ]),
            "which is essential",
        ),
        (
            json!([
                {"name": "app", "image": "app:1", "dependsOn": [{"containerName": "db", "condition": "HEALTHY"}]},
                {"name": "db", "image": "app:1"},
            ]),
            "which has no health check",
        ),
    ];
    for (containers, words) in table {
        let request =
            json!({"family": "batch", "memory": "512", "containerDefinitions": containers});
        let error = world
            .try_call("RegisterTaskDefinition", &request)
            .unwrap_err();
        assert_eq!(error.code, "ClientException");
        assert!(error.message.contains(words), "{}", error.message);
    }
}

#[test]
fn a_restart_policy_starts_a_container_again_that_has_run_long_enough() {
    // A tenth of the period of 60 s, at this pace.
    for (after, code, again) in [(6_500, 1, true), (5_500, 1, false), (6_500, 42, false)] {
        let mut world = World::new();
        exits(&mut world, "app:1", after, code);
        let id = run(
            &mut world,
            &json!([{
                "name": "app", "image": "app:1",
                "restartPolicy": {"enabled": true, "ignoredExitCodes": [42], "restartAttemptPeriod": 60},
            }]),
        );
        world.run_for(after + 2_000);
        let task = task(&mut world, &id);
        let (status, number) = if again {
            ("RUNNING", 1)
        } else {
            ("STOPPED", 0)
        };
        assert_eq!(task["lastStatus"], status, "after {after} ms with {code}");
        assert_eq!(restarts(&world), number);
        assert_eq!(task["containers"][0]["lastStatus"], status);
    }
}

#[test]
fn a_task_whose_container_is_started_again_has_to_get_healthy_again() {
    let mut world = World::new();
    let definition = world.register_with(
        "app:1",
        &json!({
            "restartPolicy": {"enabled": true},
            "healthCheck": {"command": ["CMD", "/check"], "interval": 5},
        }),
    );
    world.service(&definition, 1, &json!({}));
    world.run_for(40_000);
    let running = world.described("RUNNING");
    let id = text(&running[0]["taskArn"]);
    let id = id.rsplit('/').next().unwrap().to_owned();
    assert_eq!(running[0]["healthStatus"], "HEALTHY");
    let now = world.now;
    let report = Report::Exited {
        task: id.clone(),
        container: "app".to_owned(),
        exit_code: 1,
        out_of_memory: false,
    };
    world.ecs.report(report, now);
    world.carry_out();
    assert_eq!(task(&mut world, &id)["healthStatus"], "UNKNOWN");
    assert_eq!(task(&mut world, &id)["lastStatus"], "RUNNING");
    world.run_for(2_000);
    assert_eq!(task(&mut world, &id)["healthStatus"], "HEALTHY");
    assert_eq!(world.tasks.len(), 1, "no task was replaced");
    assert_eq!(world.primary()["failedTasks"], 0);
}
