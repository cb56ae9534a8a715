//! Services that infrastructure code lets ECS deploy blue/green, with a canary or in linear steps: the verdict waits for every stage.

use longshore_tests::{Load, Project, skip_without};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{beside_others, commit, one_at_a_time, seconds_to_verdict, url};

/// A project whose service runs, and is from now on deployed in this way. At the quick pace a minute of a stage lasts six seconds.
fn deployed_by(configuration: &Value) -> (Project, Value) {
    let project = Project::example();
    let good = project.deploy(&[]).expect(0).json();
    project.ecs(
        "UpdateService",
        &json!({"cluster": "local", "service": "api", "deploymentConfiguration": configuration}),
    );
    (project, good)
}

/// A change of the sources; the new commit.
fn change(project: &Project) -> String {
    project.edit(
        "api/cmd/server/main.go",
        "package main\n",
        "package main\n\n// A change.\n",
    );
    project.commit("a change")
}

fn stages(receipt: &Value) -> String {
    let timeline = receipt["timeline"].as_array().unwrap();
    let stages = timeline.iter().filter_map(|entry| entry["what"].as_str());
    stages.collect::<Vec<_>>().join("\n")
}

#[test]
fn blue_green_is_waited_for_through_its_bake_time_and_taken_back() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = one_at_a_time();
    let (project, first) = deployed_by(&json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1}));
    let url = url(&first);
    let new_commit = change(&project);
    let load = Load::start(&format!("{url}/version"));
    let deploying = project.start_deploy(&[]);
    deploying.until("BAKE_TIME");
    // Green has all the traffic, and blue still runs: that is no success yet.
    let status = project.run(&["status", "--format", "json"]);
    let status = status.expect(0).json();
    assert_eq!(status["inFlight"], "IN_PROGRESS", "{status:#}");
    assert_eq!(status["deployments"].as_array().map(Vec::len), Some(2));
    assert_eq!(commit(&url), new_commit);
    let run = deploying.end().expect(0);
    let tally = load.end();
    let good = run.json();
    assert_eq!(good["outcome"], "succeeded");
    let took = seconds_to_verdict(&run);
    assert!(took > 6.0, "the bake time alone takes 6 s: {took}");
    let told = stages(&good);
    assert!(told.contains("BAKE_TIME"), "{told}");
    assert_eq!((tally.failures(), tally.bodies.len()), (0, 2), "{tally:?}");
    assert_eq!(commit(&url), new_commit);

    // Green is never well: nobody is sent to it.
    let load = Load::start(&format!("{url}/version"));
    let run = project.deploy(&["--variable", "API_FAULT=unhealthy"]);
    let run = run.expect(4);
    let tally = load.end();
    let receipt = run.json();
    assert_eq!(receipt["outcome"], "rolled-back");
    assert_eq!(receipt["cause"]["code"], "health-check", "{}", run.stderr);
    assert_eq!(receipt["liveTaskDefinition"], good["taskDefinition"]);
    eprintln!("unhealthy: verdict after {} s", seconds_to_verdict(&run));
    assert_eq!((tally.failures(), tally.bodies.len()), (0, 1), "{tally:?}");

    // An alarm of the service's own in ECS's bake time.
    let alarm = ["local", "fault", "add", "alarm", "api-errors", "--state"];
    project.run(&[&alarm[..], &["ok"]].concat()).expect(0);
    let alarms = json!({"alarmNames": ["api-errors"], "enable": true, "rollback": true});
    project.ecs(
        "UpdateService",
        &json!({"cluster": "local", "service": "api", "deploymentConfiguration": {"alarms": alarms}}),
    );
    let deploying = project.start_deploy(&["--variable", "LOG_LEVEL=warn"]);
    deploying.until("BAKE_TIME");
    project.run(&[&alarm[..], &["alarm"]].concat()).expect(0);
    let run = deploying.end().expect(4);
    let receipt = run.json();
    assert_eq!(receipt["outcome"], "rolled-back", "{}", run.stderr);
    assert_eq!(receipt["cause"]["code"], "alarm", "{}", run.stderr);
    assert_eq!(receipt["liveTaskDefinition"], good["taskDefinition"]);
    eprintln!("alarm: verdict after {} s", seconds_to_verdict(&run));
    assert_eq!(commit(&url), new_commit);

    // And back to the first by hand, through all stages again.
    project.run(&[&alarm[..], &["ok"]].concat()).expect(0);
    let back = project.run(&["rollback", "--format", "json"]);
    let back = back.expect(0).json();
    assert_eq!(back["taskDefinition"], first["taskDefinition"]);
    assert!(stages(&back).contains("BAKE_TIME"), "{back:#}");
    assert_ne!(commit(&url), new_commit);
}

#[test]
fn a_canary_that_dies_takes_its_release_back() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = beside_others();
    let canary = json!({"canaryPercent": 10, "canaryBakeTimeInMinutes": 2});
    let (project, first) =
        deployed_by(&json!({"strategy": "CANARY", "canaryConfiguration": canary}));
    let run = project.deploy(&["--variable", "API_FAULT=crash-after:5s"]);
    let run = run.expect(4);
    let receipt = run.json();
    assert_eq!(receipt["outcome"], "rolled-back");
    assert_eq!(receipt["cause"]["code"], "exit", "{}", run.stderr);
    assert_eq!(receipt["cause"]["exitCode"], 3);
    assert_eq!(receipt["liveTaskDefinition"], first["taskDefinition"]);
    let told = stages(&receipt);
    assert!(told.contains("PRODUCTION_TRAFFIC_SHIFT"), "{told}");
    eprintln!("canary: verdict after {} s", seconds_to_verdict(&run));

    let good = project.deploy(&["--variable", "LOG_LEVEL=warn"]);
    let good = good.expect(0);
    assert!(seconds_to_verdict(&good) > 12.0, "{}", good.stderr);
    assert_eq!(good.json()["outcome"], "succeeded");
}

#[test]
fn an_interrupt_between_linear_steps_goes_back() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = one_at_a_time();
    let linear = json!({"stepPercent": 50, "stepBakeTimeInMinutes": 1});
    let (project, first) =
        deployed_by(&json!({"strategy": "LINEAR", "linearConfiguration": linear}));
    let url = url(&first);
    let old_commit = commit(&url);
    let new_commit = change(&project);
    let load = Load::start(&format!("{url}/version"));
    let deploying = project.start_deploy(&[]);
    deploying.until("PRODUCTION_TRAFFIC_SHIFT");
    deploying.signal(Signal::SIGINT);
    let receipt = deploying.end().expect(4).json();
    assert_eq!(receipt["cause"]["code"], "interrupted");
    assert_eq!(receipt["liveTaskDefinition"], first["taskDefinition"]);
    assert_eq!(commit(&url), old_commit);

    let run = project.deploy(&[]).expect(0);
    let tally = load.end();
    assert_eq!(run.json()["outcome"], "succeeded");
    assert!(seconds_to_verdict(&run) > 6.0, "{}", run.stderr);
    assert_eq!(commit(&url), new_commit);
    assert_eq!(tally.failures(), 0, "{tally:?}");
}
