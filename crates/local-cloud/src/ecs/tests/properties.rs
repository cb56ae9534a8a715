//! What holds whatever happens.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{Script, World};
use crate::ecs::{AlarmState, Ecs, Pace, Settings};
use crate::task::{Effect, Report, StartFailure};

/// Something that happens to the service.
#[derive(Clone, Debug)]
enum Act {
    Wait(u64),
    Update(usize),
    Force,
    Scale(u64),
    Crash(usize),
    StopTask(usize),
    StopDeployment(bool),
    Restart,
    Alarm(bool),
    Room(Option<usize>),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0_u64..8_000).prop_map(Act::Wait),
        3 => (0_usize..6).prop_map(Act::Update),
        1 => Just(Act::Force),
        1 => (0_u64..6).prop_map(Act::Scale),
        1 => any::<usize>().prop_map(Act::Crash),
        1 => any::<usize>().prop_map(Act::StopTask),
        1 => any::<bool>().prop_map(Act::StopDeployment),
        1 => Just(Act::Restart),
        1 => any::<bool>().prop_map(Act::Alarm),
        1 => prop::option::weighted(0.7, 0_usize..12).prop_map(Act::Room),
    ];
    prop::collection::vec(act, 1..25)
}

fn configuration() -> impl Strategy<Value = Value> {
    let bounds = prop_oneof![
        Just((100, 200)),
        Just((50, 100)),
        Just((0, 100)),
        Just((60, 130)),
        Just((100, 150))
    ];
    let strategies = prop_oneof![
        4 => Just("ROLLING"),
        1 => Just("BLUE_GREEN"),
        1 => Just("LINEAR"),
        1 => Just("CANARY"),
    ];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (bounds, strategies, flags, prop::option::of(any::<bool>())).prop_map(
        |((minimum, maximum), strategy, (enable, rollback, reset), alarms)| {
            json!({
                "strategy": strategy,
                "bakeTimeInMinutes": 1,
                "linearConfiguration": {"stepPercent": 40.0, "stepBakeTimeInMinutes": 0},
                "canaryConfiguration": {"canaryPercent": 12.5, "canaryBakeTimeInMinutes": 1},
                "alarms": {
                    "alarmNames": ["errors"],
                    "enable": alarms.is_some(),
                    "rollback": alarms == Some(true),
                },
                "minimumHealthyPercent": minimum,
                "maximumPercent": maximum,
                "deploymentCircuitBreaker": {
                    "enable": enable, "rollback": rollback, "resetOnHealthyTask": reset,
                },
            })
        },
    )
}

/// Six images: good, slow, and four that fail in their ways.
fn scripts(world: &mut World) {
    let normal = Script::default();
    let all = [
        normal.clone(),
        Script {
            start_ms: 3_000,
            stop_ms: 2_000,
            ..normal.clone()
        },
        Script {
            start_failure: Some(StartFailure::CannotPullContainerError),
            ..normal.clone()
        },
        Script {
            exits_after: Some((900, 1)),
            ..normal.clone()
        },
        Script {
            status: 500,
            ..normal.clone()
        },
        Script {
            check_passes: false,
            ..normal
        },
    ];
    for (index, script) in all.into_iter().enumerate() {
        world.script(&format!("app:{index}"), script);
    }
}

fn world(seed: u64, desired: u64, configuration: &Value) -> (World, Vec<String>) {
    let mut world = World::with(Settings {
        region: "eu-central-1".to_owned(),
        account: "123456789012".to_owned(),
        pace: Pace::quick(),
        seed,
    });
    scripts(&mut world);
    let check = json!({"healthCheck": {"command": ["CMD", "/check"], "interval": 5, "retries": 2}});
    let definitions: Vec<String> = (0..6)
        .map(|index| world.register_with(&format!("app:{index}"), &check))
        .collect();
    world.balanced_service(&definitions[0], desired, configuration);
    (world, definitions)
}

fn perform(world: &mut World, definitions: &[String], act: &Act) {
    match act {
        Act::Wait(_) => {}
        Act::Update(index) => {
            world.update(&json!({"taskDefinition": definitions[*index]}));
        }
        Act::Force => {
            world.update(&json!({"forceNewDeployment": true}));
        }
        Act::Scale(desired) => {
            world.update(&json!({"desiredCount": desired}));
        }
        Act::Crash(index) => {
            if let Some(id) = nth(world, *index) {
                let now = world.now;
                let report = Report::Exited {
                    task: id,
                    container: "app".to_owned(),
                    exit_code: 1,
                    out_of_memory: false,
                };
                world.ecs.report(report, now);
                world.carry_out();
            }
        }
        Act::StopTask(index) => {
            if let Some(id) = nth(world, *index) {
                world.call("StopTask", &json!({"cluster": "main", "task": id}));
            }
        }
        Act::StopDeployment(rollback) => {
            let arn = world.service_deployment()["serviceDeploymentArn"].clone();
            let kind = if *rollback { "ROLLBACK" } else { "ABORT" };
            // A conflict, when nothing is under way, is as good an answer.
            let request = json!({"serviceDeploymentArn": arn, "stopType": kind});
            let _ = world.try_call("StopServiceDeployment", &request);
        }
        Act::Restart => {
            let now = world.now;
            world.ecs.restarted(now);
            world.carry_out();
        }
        Act::Alarm(rings) => {
            let state = if *rings {
                AlarmState::Alarm
            } else {
                AlarmState::Ok
            };
            let now = world.now;
            world.ecs.set_alarm("errors", state, now);
            world.carry_out();
        }
        Act::Room(tasks) => {
            let now = world.now;
            world.ecs.set_capacity(*tasks, now);
            world.carry_out();
        }
    }
}

fn nth(world: &World, index: usize) -> Option<String> {
    let all: Vec<&String> = world.serving.iter().collect();
    (!all.is_empty()).then(|| all[index % all.len()].clone())
}

/// The tasks among `ids` that the scheduler stopped because it wanted fewer of them.
fn scaled_in(world: &mut World, ids: &[String]) -> usize {
    if ids.is_empty() {
        return 0;
    }
    let request = json!({"cluster": "main", "tasks": ids});
    let tasks = world.call("DescribeTasks", &request)["tasks"].clone();
    let tasks = tasks.as_array().unwrap();
    tasks
        .iter()
        .filter(|task| {
            let reason = task["stoppedReason"].as_str().unwrap_or_default();
            reason.starts_with("Scaling activity")
        })
        .count()
}

/// Checks one step; `from` is where the log was before it.
fn check(world: &mut World, from: usize, before: &Value) {
    let service = world.describe();
    let number = |value: &Value| value.as_u64().unwrap();
    let (running, pending) = (
        number(&service["runningCount"]),
        number(&service["pendingCount"]),
    );
    let desired = number(&service["desiredCount"]);
    let configuration = &service["deploymentConfiguration"];

    let least = (desired * number(&configuration["minimumHealthyPercent"])).div_ceil(100);
    let taken: Vec<String> = world.log[from..]
        .iter()
        .filter_map(|(_, effect)| match effect {
            Effect::Route {
                task,
                serving: false,
                ..
            } => Some(task.clone()),
            _ => None,
        })
        .collect();
    let scaled_in = scaled_in(world, &taken);
    if scaled_in > 0 && service["status"] == "ACTIVE" {
        // What died by itself at the same instant is not the scheduler's doing.
        let serving = world.serving.len() + taken.len() - scaled_in;
        assert!(
            serving as u64 >= least,
            "the scheduler took too many: {serving} served on, {least} must\n{service:#}"
        );
    }

    // Nothing is started beyond the maximum; what is there beyond it was wanted before.
    // Blue/green and its kin have both revisions whole.
    let percent = match configuration["strategy"].as_str() {
        Some("ROLLING") => number(&configuration["maximumPercent"]),
        _ => 200.max(number(&configuration["maximumPercent"])),
    };
    let most = desired * percent / 100;
    let was = number(&before["runningCount"]) + number(&before["pendingCount"]);
    assert!(
        running + pending <= most.max(was),
        "{running} + {pending} of at most {most}\n{service:#}"
    );

    let deployments = service["deployments"].as_array().unwrap();
    let sum = |member: &str| {
        deployments
            .iter()
            .map(|one| number(&one[member]))
            .sum::<u64>()
    };
    assert_eq!(sum("runningCount"), running);
    assert_eq!(sum("pendingCount"), pending);
    assert_eq!(deployments[0]["status"], "PRIMARY");
    assert!(deployments[1..].iter().all(|one| one["status"] == "ACTIVE"));
    assert_eq!(service["taskDefinition"], deployments[0]["taskDefinition"]);
    assert!(service["events"].as_array().unwrap().len() <= 100);
    if deployments[0]["rolloutState"] == "COMPLETED"
        && before["deployments"][0]["rolloutState"] != "COMPLETED"
    {
        assert_eq!(deployments.len(), 1);
        assert_eq!((running, pending), (desired, 0));
    }
}

/// Whether somebody who looks at the service finds out why its deployment goes on and on.
fn says_why(world: &mut World, primary: &Value) -> bool {
    let events = [
        "was unable to place a task",
        "is unable to consistently start tasks successfully",
        "was unable to stop or start tasks during a deployment",
        "is unhealthy in (target-group",
        "failed container health checks",
    ];
    let failed = |task: &Value| {
        let code = task["stopCode"].as_str().unwrap_or_default();
        task["startedBy"] == primary["id"]
            && ["EssentialContainerExited", "TaskFailedToStart"].contains(&code)
    };
    primary["failedTasks"].as_u64().unwrap() > 0
        || events.iter().any(|words| world.has_event(words))
        || world.described("STOPPED").iter().any(failed)
}

/// Runs for `duration`, checking each step.
fn watch(world: &mut World, duration: u64) {
    let end = world.now + duration;
    while world.now < end {
        let (from, before) = (world.log.len(), world.describe());
        if !world.step() {
            break;
        }
        check(world, from, &before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bounds_hold_and_a_good_image_always_gets_through(
        seed in any::<u64>(),
        desired in 1_u64..6,
        configuration in configuration(),
        acts in acts(),
    ) {
        let (mut world, definitions) = world(seed, desired, &configuration);
        for act in &acts {
            perform(&mut world, &definitions, act);
            if let Act::Wait(duration) = act {
                watch(&mut world, *duration);
            }
        }
        // Whatever went before: with room to deploy, a good image ends in a success.
        world.update(&json!({
            "taskDefinition": definitions[0],
            "desiredCount": desired,
            "forceNewDeployment": true,
            "deploymentConfiguration": {"maximumPercent": 200},
        }));
        let now = world.now;
        world.ecs.set_alarm("errors", AlarmState::Ok, now);
        world.ecs.set_capacity(None, now);
        world.run_until("success", |world| world.primary()["rolloutState"] == "COMPLETED");
        prop_assert_eq!(&world.service_deployment()["status"], "SUCCESSFUL");
        world.run_until("all serve", |world| world.serving.len() as u64 == desired);
        let tasks = world.described("RUNNING");
        prop_assert!(tasks.iter().all(|task| task["taskDefinitionArn"] == definitions[0].as_str()));
    }

    #[test]
    fn a_deployment_ends_or_says_why_it_cannot(
        seed in any::<u64>(),
        desired in 1_u64..5,
        configuration in configuration(),
        acts in acts(),
    ) {
        let (mut world, definitions) = world(seed, desired, &configuration);
        for act in &acts {
            perform(&mut world, &definitions, act);
            if let Act::Wait(duration) = act {
                world.run_for(*duration);
            }
        }
        world.run_for(400_000);
        let primary = world.primary();
        let current = world.service_deployment();
        if primary["rolloutState"] == "IN_PROGRESS" {
            prop_assert!(says_why(&mut world, &primary), "{:#}", world.describe());
            let status = current["status"].as_str().unwrap();
            prop_assert!(["IN_PROGRESS", "ROLLBACK_IN_PROGRESS"].contains(&status), "{status}");
        } else {
            let over = ["SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"];
            prop_assert!(over.contains(&current["status"].as_str().unwrap()));
            prop_assert!(current["finishedAt"].is_number());
        }
    }

    #[test]
    fn a_saved_model_goes_on_as_if_nothing_had_been(
        seed in any::<u64>(),
        configuration in configuration(),
        acts in acts(),
        at in 0_usize..300,
    ) {
        let run = |save: bool| {
            let (mut world, definitions) = world(seed, 3, &configuration);
            let mut steps = 0;
            let mut pause = |world: &mut World| {
                steps += 1;
                if save && steps == at {
                    let saved = serde_json::to_string(&world.ecs).unwrap();
                    world.ecs = serde_json::from_str::<Ecs>(&saved).unwrap();
                }
            };
            for act in &acts {
                pause(&mut world);
                perform(&mut world, &definitions, act);
                if let Act::Wait(duration) = act {
                    let end = world.now + duration;
                    while world.now < end && world.step() {
                        pause(&mut world);
                    }
                }
            }
            let service = world.describe();
            (service, world.log)
        };
        let (plain, saved) = (run(false), run(true));
        prop_assert_eq!(plain, saved);
    }
}

#[test]
fn the_same_seed_gives_the_same_ids_and_another_gives_others() {
    let run = |seed| {
        let (mut world, definitions) = world(seed, 2, &json!({}));
        world.update(&json!({"taskDefinition": definitions[1]}));
        world.run_for(20_000);
        let service = world.describe();
        (service, world.log)
    };
    let first = run(1);
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
}
