//! Deployments that fail: the circuit breaker, rollbacks, and doing without either.

use serde_json::{Value, json};

use super::world::{Script, World, breaker, text};
use crate::task::StartFailure;

fn broken() -> Script {
    Script {
        start_failure: Some(StartFailure::CannotPullContainerError),
        ..Script::default()
    }
}

/// A service of two good tasks; then an update to an image that cannot be pulled.
fn failing(configuration: &Value) -> (World, String, String) {
    let mut world = World::new();
    world.script("app:broken", broken());
    let good = world.register("app:good");
    world.balanced_service(&good, 2, configuration);
    let bad = world.register("app:broken");
    world.update(&json!({"taskDefinition": bad}));
    (world, good, bad)
}

#[test]
fn the_breaker_rolls_back() {
    let (mut world, good, bad) = failing(&breaker(true));
    let (old_id, new_id) = {
        let service = world.describe();
        let id = |index: usize| text(&service["deployments"][index]["id"]);
        (id(1), id(0))
    };
    world.run_until("a rollback", |world| {
        world.service_deployment()["status"] == "ROLLBACK_IN_PROGRESS"
    });
    let service = world.describe();
    assert_eq!(service["taskDefinition"], good.as_str());
    let (primary, failed) = (&service["deployments"][0], &service["deployments"][1]);
    assert_eq!(primary["id"], old_id.as_str());
    assert_eq!(primary["rolloutState"], "IN_PROGRESS");
    assert_eq!(
        primary["rolloutStateReason"],
        format!("ECS deployment circuit breaker: rolling back to deploymentId {old_id}.")
    );
    assert_eq!(
        json!([
            failed["id"],
            failed["status"],
            failed["rolloutState"],
            failed["failedTasks"],
            failed["desiredCount"]
        ]),
        json!([new_id, "ACTIVE", "FAILED", 3, 0])
    );
    assert_eq!(
        failed["rolloutStateReason"],
        "ECS deployment circuit breaker: tasks failed to start."
    );

    world.run_until("the end", |world| {
        world.primary()["rolloutState"] == "COMPLETED"
    });
    let service = world.describe();
    assert_eq!(service["deployments"].as_array().unwrap().len(), 1);
    assert_eq!(service["taskDefinition"], good.as_str());
    assert_eq!(service["runningCount"], 2);
    assert_eq!(world.serving.len(), 2);
    let deployment = world.service_deployment();
    assert_eq!(deployment["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(
        deployment["statusReason"],
        "Service deployment rolled back because the circuit breaker threshold was exceeded."
    );
    assert_eq!(
        deployment["deploymentCircuitBreaker"],
        json!({"status": "TRIGGERED", "failureCount": 3, "threshold": 3})
    );
    assert_eq!(
        deployment["rollback"]["serviceRevisionArn"],
        deployment["sourceServiceRevisions"][0]["arn"]
    );
    for part in [
        format!("(deployment {new_id}) deployment failed: tasks failed to start."),
        format!("rolling back to deployment {old_id}."),
    ] {
        assert!(world.has_event(&part), "{part}");
    }
    // The target of the failed deployment stays what it was.
    let request = json!({"serviceRevisionArns": [deployment["targetServiceRevision"]["arn"]]});
    let revisions = world.call("DescribeServiceRevisions", &request);
    assert_eq!(
        revisions["serviceRevisions"][0]["taskDefinition"],
        bad.as_str()
    );
}

#[test]
fn the_breaker_without_rollback_leaves_the_old_tasks() {
    let (mut world, good, bad) = failing(&breaker(false));
    world.run_until("a failure", |world| {
        world.primary()["rolloutState"] == "FAILED"
    });
    let started = world.tasks.len();
    world.run_for(60_000);
    let service = world.describe();
    assert_eq!(world.tasks.len(), started, "nothing more is started");
    assert_eq!(service["taskDefinition"], bad.as_str());
    assert_eq!(service["deployments"].as_array().unwrap().len(), 2);
    assert_eq!(service["deployments"][1]["taskDefinition"], good.as_str());
    assert_eq!(service["runningCount"], 2);
    assert_eq!(world.serving.len(), 2);
    assert_eq!(world.service_deployment()["status"], "STOPPED");

    // The way out is another update.
    world.update(&json!({"taskDefinition": good}));
    world.run_until("the end", |world| {
        world.primary()["rolloutState"] == "COMPLETED"
    });
    assert_eq!(world.service_deployment()["status"], "SUCCESSFUL");
}

#[test]
fn without_a_breaker_a_broken_rollout_goes_on_for_ever() {
    let (mut world, _, _) = failing(&json!({}));
    world.run_for(120_000);
    let service = world.describe();
    assert_eq!(service["deployments"][0]["rolloutState"], "IN_PROGRESS");
    assert!(service["deployments"][0]["failedTasks"].as_u64().unwrap() > 20);
    assert_eq!(service["runningCount"], 2);
    let struggling = "is unable to consistently start tasks successfully.";
    let events = world.events();
    // Events are few enough that the one at the beginning of the episode has been pushed out or stands alone.
    assert!(
        events
            .iter()
            .filter(|event| event.contains(struggling))
            .count()
            <= 1
    );
    assert_eq!(world.service_deployment()["status"], "IN_PROGRESS");
    assert_eq!(
        world.service_deployment()["deploymentCircuitBreaker"]["status"],
        "DISABLED"
    );
}

#[test]
fn a_struggle_is_said_once() {
    let (mut world, _, _) = failing(&json!({}));
    let struggling = "(service api) is unable to consistently start tasks successfully. For more information, see the Troubleshooting section.";
    world.run_until("the event", |world| world.has_event(struggling));
    world.run_for(20_000);
    let said = world
        .events()
        .iter()
        .filter(|event| *event == struggling)
        .count();
    assert_eq!(said, 1);
}

#[test]
fn thresholds() {
    // Desired count, configuration, failed tasks at the end.
    let with = |kind: &str, value: u64| {
        let mut configuration = breaker(true);
        configuration["deploymentCircuitBreaker"]["thresholdConfiguration"] =
            json!({"type": kind, "value": value});
        configuration
    };
    for (desired, configuration, threshold) in [
        (1, breaker(true), 3),
        (10, breaker(true), 5),
        (1, with("COUNT", 1), 1),
        (10, with("COUNT", 7), 7),
        (10, with("BOUNDED_PERCENT", 10), 3),
        (10, with("UNBOUNDED_PERCENT", 15), 2),
    ] {
        let mut world = World::new();
        world.script("app:broken", broken());
        let good = world.register("app:good");
        world.service(
            &good,
            desired,
            &json!({"deploymentConfiguration": configuration}),
        );
        let bad = world.register("app:broken");
        world.update(&json!({"taskDefinition": bad}));
        world.run_until("the end", |world| {
            world.service_deployment()["status"] == "ROLLBACK_SUCCESSFUL"
        });
        let breaker = &world.service_deployment()["deploymentCircuitBreaker"];
        assert_eq!(breaker["threshold"], threshold, "{desired} {configuration}");
        assert_eq!(
            breaker["failureCount"], threshold,
            "{desired} {configuration}"
        );
    }
}

#[test]
fn a_healthy_task_resets_the_count_unless_told_otherwise() {
    for reset in [true, false] {
        let mut world = World::new();
        // Each task serves for a while and then dies.
        world.script(
            "app:flaky",
            Script {
                exits_after: Some((500, 1)),
                ..Script::default()
            },
        );
        let mut configuration = breaker(true);
        configuration["deploymentCircuitBreaker"]["resetOnHealthyTask"] = reset.into();
        let good = world.register("app:good");
        world.balanced_service(&good, 2, &configuration);
        let flaky = world.register("app:flaky");
        // One at a time, so that the first has died before the second serves.
        world.update(&json!({
            "taskDefinition": flaky,
            "deploymentConfiguration": {"maximumPercent": 150},
        }));
        world.run_for(90_000);
        let status = world.service_deployment()["status"].clone();
        if reset {
            assert_eq!(status, "IN_PROGRESS", "never trips");
        } else {
            assert_eq!(status, "ROLLBACK_SUCCESSFUL");
        }
    }
}

#[test]
fn a_first_deployment_has_nothing_to_go_back_to() {
    let mut world = World::new();
    world.script("app:broken", broken());
    let bad = world.register("app:broken");
    world.call(
        "CreateService",
        &json!({
            "cluster": "main", "serviceName": "api", "taskDefinition": bad, "desiredCount": 1,
            "deploymentConfiguration": breaker(true),
        }),
    );
    world.run_until("a failure", |world| {
        world.primary()["rolloutState"] == "FAILED"
    });
    let deployment = world.service_deployment();
    assert_eq!(deployment["status"], "ROLLBACK_FAILED");
    assert_eq!(
        deployment["statusReason"],
        "No rollback candidate was found to run the rollback."
    );
    let started = world.tasks.len();
    world.run_for(60_000);
    assert_eq!(world.tasks.len(), started);
}

#[test]
fn a_rollback_can_fail_too() {
    let mut world = World::new();
    let good = world.register("app:good");
    let gentle = json!({
        "deploymentCircuitBreaker": {"enable": true, "rollback": true},
        "minimumHealthyPercent": 0,
        "maximumPercent": 100,
    });
    world.service(&good, 2, &json!({"deploymentConfiguration": gentle}));
    world.script("app:broken", broken());
    let bad = world.register("app:broken");
    world.update(&json!({"taskDefinition": bad}));
    world.run_until("the old tasks are gone", |world| {
        world.describe()["runningCount"] == 0
    });
    // Meanwhile the good image went, too.
    world.script("app:good", broken());
    world.run_until("the end", |world| {
        world.service_deployment()["status"] == "ROLLBACK_FAILED"
    });
    assert_eq!(world.primary()["rolloutState"], "FAILED");
    assert_eq!(world.primary()["taskDefinition"], good.as_str());
}
