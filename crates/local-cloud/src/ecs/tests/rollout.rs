//! Rolling deployments that go well.

use serde_json::{Value, json};

use super::world::{Script, World, digest, text};
use crate::task::{Effect, Report};

fn rollout_states(service: &Value) -> Vec<(String, String)> {
    let deployments = service["deployments"].as_array().unwrap();
    deployments
        .iter()
        .map(|one| (text(&one["status"]), text(&one["rolloutState"])))
        .collect()
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn a_rollout_replaces_every_task_within_its_bounds() {
    // Desired count, minimum and maximum percent; fewest serving, most there.
    let cases = [
        (1, 100, 200, 1, 2),
        (2, 100, 200, 2, 4),
        (3, 50, 150, 2, 4),
        (4, 50, 100, 2, 4),
        (3, 0, 100, 0, 3),
        (5, 100, 120, 5, 6),
    ];
    for (desired, minimum, maximum, fewest, most) in cases {
        let mut world = World::new();
        let configuration = json!({"minimumHealthyPercent": minimum, "maximumPercent": maximum});
        let old = world.register("app:1");
        world.balanced_service(&old, desired, &configuration);
        let new = world.register("app:2");
        world.update(&json!({"taskDefinition": new}));
        let (mut least_seen, mut most_seen) = (usize::MAX, 0);
        world.run_until("the rollout is complete", |world| {
            let service = world.describe();
            let there = service["runningCount"].as_u64().unwrap()
                + service["pendingCount"].as_u64().unwrap();
            least_seen = least_seen.min(world.serving.len());
            most_seen = most_seen.max(there);
            service["deployments"][0]["rolloutState"] == "COMPLETED"
        });
        assert!(
            least_seen >= fewest,
            "{least_seen} of {desired} with {minimum} %"
        );
        assert!(
            most_seen <= most,
            "{most_seen} of {desired} with {maximum} %"
        );
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
fn the_states_of_a_rollout_are_those_of_ecs() {
    let mut world = World::new();
    let old = world.register("app:1");
    world.balanced_service(&old, 2, &json!({}));
    let before = text(&world.primary()["id"]);
    let new = world.register("app:2");

    let answer = world.update(&json!({"taskDefinition": new}));
    assert_eq!(
        rollout_states(&answer),
        [pair("PRIMARY", "IN_PROGRESS"), pair("ACTIVE", "COMPLETED")]
    );
    assert_eq!(answer["taskDefinition"], new.as_str());
    let id = text(&answer["deployments"][0]["id"]);
    assert!(id.starts_with("ecs-svc/") && id != before);
    assert_eq!(
        answer["deployments"][0]["rolloutStateReason"],
        format!("ECS deployment {id} in progress.")
    );
    assert_eq!(world.service_deployment()["status"], "PENDING");
    world.run_for(150);
    assert_eq!(world.service_deployment()["status"], "IN_PROGRESS");

    world.run_until("the old one is gone", |world| {
        world.describe()["deployments"].as_array().unwrap().len() == 1
    });
    assert_eq!(
        rollout_states(&world.describe()),
        [pair("PRIMARY", "IN_PROGRESS")]
    );
    world.run_until("the rollout is complete", |world| {
        world.primary()["rolloutState"] == "COMPLETED"
    });
    let service = world.describe();
    assert_eq!(service["runningCount"], 2);
    assert_eq!(
        service["deployments"][0]["rolloutStateReason"],
        format!("ECS deployment {id} completed.")
    );
    let deployment = world.service_deployment();
    assert_eq!(deployment["status"], "SUCCESSFUL");
    assert_eq!(deployment["targetServiceRevision"]["runningTaskCount"], 2);
    assert_eq!(
        deployment["sourceServiceRevisions"][0]["requestedTaskCount"],
        2
    );
    assert_eq!(
        service["currentServiceDeployment"],
        deployment["serviceDeploymentArn"]
    );

    let request = json!({"serviceRevisionArns": [deployment["targetServiceRevision"]["arn"]]});
    let revisions = world.call("DescribeServiceRevisions", &request);
    assert_eq!(
        revisions["serviceRevisions"][0]["taskDefinition"],
        new.as_str()
    );
    assert_eq!(
        revisions["serviceRevisions"][0]["containerImages"],
        json!([{"containerName": "app", "image": "app:2", "imageDigest": digest("app:2")}])
    );
    let task = world.described("RUNNING")[0].clone();
    assert_eq!(task["startedBy"], id.as_str());
    assert_eq!(task["group"], "service:api");
    assert_eq!(task["lastStatus"], "RUNNING");
    assert_eq!(task["containers"][0]["imageDigest"], digest("app:2"));

    let events = world.events();
    let last_two = &events[events.len() - 2..];
    assert_eq!(
        last_two,
        [
            format!("(service api) (deployment {id}) deployment completed."),
            "(service api) has reached a steady state.".to_owned()
        ]
    );
    for part in [
        "has started 2 tasks: (task ",
        "registered 1 targets in (target-group arn:aws:elasticloadbalancing:",
        "has stopped 2 running tasks: (task ",
        "has begun draining connections on 2 tasks.",
    ] {
        assert!(world.has_event(part), "{part}");
    }
    let stopped = world.described("STOPPED");
    assert_eq!(stopped.len(), 2);
    for task in stopped {
        assert_eq!(task["stopCode"], "ServiceSchedulerInitiated");
        assert_eq!(
            task["stoppedReason"],
            format!("Scaling activity initiated by (deployment {id})")
        );
        assert_eq!(task["containers"][0]["exitCode"], 143);
    }
}

#[test]
fn a_task_passes_through_every_status() {
    let mut world = World::new();
    let definition = world.register("app:1");
    world.balanced_service(&definition, 1, &json!({}));
    let next = world.register("app:2");
    world.update(&json!({"taskDefinition": next}));
    let mut seen: Vec<String> = Vec::new();
    world.run_until("all is over", |world| {
        let all = [world.described("RUNNING"), world.described("STOPPED")].concat();
        for task in all {
            let status = text(&task["lastStatus"]);
            if !seen.contains(&status) {
                seen.push(status);
            }
        }
        seen.contains(&"STOPPED".to_owned())
    });
    seen.sort();
    let mut all = [
        "PROVISIONING",
        "PENDING",
        "ACTIVATING",
        "RUNNING",
        "DEACTIVATING",
        "STOPPING",
        "DEPROVISIONING",
        "STOPPED",
    ];
    all.sort_unstable();
    assert_eq!(seen, all);
}

#[test]
fn a_target_drains_before_its_task_is_told_to_stop() {
    let mut world = World::new();
    let definition = world.register("app:1");
    world.balanced_service(&definition, 1, &json!({}));
    let next = world.register("app:2");
    world.update(&json!({"taskDefinition": next}));
    world.run_until("the rollout is complete", |world| {
        world.primary()["rolloutState"] == "COMPLETED"
    });
    let time = |wanted: &dyn Fn(&Effect) -> bool| {
        world
            .log
            .iter()
            .find(|(_, effect)| wanted(effect))
            .unwrap()
            .0
    };
    let unrouted = time(&|effect| matches!(effect, Effect::Route { serving: false, .. }));
    let stopped = time(&|effect| matches!(effect, Effect::Stop { .. }));
    // Three seconds, a tenth of it at the quick pace.
    assert_eq!(stopped - unrouted, 300);
    let added = world
        .log
        .iter()
        .rfind(|(_, effect)| matches!(effect, Effect::Route { serving: true, .. }));
    assert!(
        added.unwrap().0 <= unrouted,
        "the new task serves before the old one leaves"
    );
}

#[test]
fn a_container_check_comes_before_the_target() {
    let mut world = World::new();
    let check = json!({"healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 5}});
    let definition = world.register_with("app:1", &check);
    world.balanced_service(&definition, 1, &json!({}));
    let position = |wanted: &dyn Fn(&Effect) -> bool| {
        world
            .log
            .iter()
            .position(|(_, effect)| wanted(effect))
            .unwrap()
    };
    let checked = position(&|effect| matches!(effect, Effect::CheckHealth { .. }));
    let probed = position(&|effect| matches!(effect, Effect::ProbeTarget { .. }));
    assert!(checked < probed);
    let task = world.described("RUNNING")[0].clone();
    assert_eq!(task["healthStatus"], "HEALTHY");
    assert_eq!(task["containers"][0]["healthStatus"], "HEALTHY");
}

#[test]
fn a_tag_goes_on_meaning_what_it_meant_when_the_revision_began() {
    let mut world = World::new();
    let definition = world.register("host:5000/app:latest");
    world.service(&definition, 1, &json!({}));
    let first = world.described("RUNNING")[0].clone();
    world.call(
        "StopTask",
        &json!({"cluster": "main", "task": first["taskArn"]}),
    );
    world.run_until("another runs", |world| {
        world
            .described("RUNNING")
            .iter()
            .any(|task| task["lastStatus"] == "RUNNING")
    });
    let images: Vec<&str> = world
        .log
        .iter()
        .filter_map(|(_, effect)| match effect {
            Effect::Start { task } => Some(task.containers[0].image.as_str()),
            _ => None,
        })
        .collect();
    let pinned = format!("host:5000/app@{}", digest("host:5000/app:latest"));
    assert_eq!(images, ["host:5000/app:latest", pinned.as_str()]);
}

#[test]
fn reports_about_tasks_that_are_gone_change_nothing() {
    let mut world = World::new();
    world.script("app:1", Script::default());
    let definition = world.register("app:1");
    world.balanced_service(&definition, 1, &json!({}));
    let next = world.register("app:2");
    world.update(&json!({"taskDefinition": next}));
    world.run_until("the rollout is complete", |world| {
        world.primary()["rolloutState"] == "COMPLETED"
    });
    world.run_for(2_000);
    let gone = text(&world.described("STOPPED")[0]["taskArn"]);
    let gone = gone.rsplit('/').next().unwrap().to_owned();
    let (before, generation) = (world.describe(), world.ecs.generation());
    for id in [gone, "0".repeat(32)] {
        let group = "arn:none".to_owned();
        for report in [
            Report::Started {
                task: id.clone(),
                container: "app".to_owned(),
            },
            Report::Exited {
                task: id.clone(),
                container: "app".to_owned(),
                exit_code: 1,
                out_of_memory: true,
            },
            Report::HealthChecked {
                task: id.clone(),
                container: "app".to_owned(),
                healthy: false,
            },
            Report::TargetProbed {
                target_group: group,
                task: id.clone(),
                outcome: Ok(500),
            },
            Report::Gone { task: id.clone() },
        ] {
            let now = world.now;
            world.ecs.report(report, now);
        }
    }
    assert!(world.ecs.take_effects().is_empty());
    assert_eq!(world.describe(), before);
    assert_eq!(world.ecs.generation(), generation);
}
