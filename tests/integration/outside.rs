//! Releases that wait or fail for a reason that does not lie in their containers: there is no room for them, or an alarm fires.

use longshore_tests::{Project, skip_without};
use serde_json::json;

use crate::{beside_others, seconds_to_verdict};

const PIPELINE: &str = "api/pipeline.toml";
const CHANGE: [&str; 2] = ["--variable", "LOG_LEVEL=warn"];

/// A project whose service runs; without the circuit breaker only time and longshore end a deployment.
fn without_breaker() -> (Project, serde_json::Value) {
    let project = Project::example();
    project.edit(
        PIPELINE,
        "circuit-breaker = true",
        "circuit-breaker = false",
    );
    let good = project.deploy(&[]).expect(0).json();
    (project, good)
}

/// Leaves room for no more tasks than the two that run; gives the fault's number.
fn no_room(project: &Project) -> String {
    let words = ["local", "fault", "add", "fail-placement", "--room", "2"];
    project.run(&words).expect(0).stdout.trim().to_owned()
}

fn alarm(project: &Project, state: &str) {
    let words = ["local", "fault", "add", "alarm", "api-errors", "--state"];
    project.run(&[&words[..], &[state]].concat()).expect(0);
}

#[test]
fn no_room_is_waited_for_and_named_when_the_time_is_over() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = beside_others();
    let (project, good) = without_breaker();
    let fault = no_room(&project);

    project.edit(PIPELINE, "timeout = \"15m\"", "timeout = \"8s\"");
    let run = project.deploy(&CHANGE).expect(4);
    let receipt = run.json();
    assert_eq!(receipt["cause"]["code"], "capacity", "{}", run.stderr);
    assert_eq!(receipt["liveTaskDefinition"], good["taskDefinition"]);
    let verdict = seconds_to_verdict(&run);
    assert!((8.0..20.0).contains(&verdict), "{verdict}");
    eprintln!("no room, no circuit breaker: verdict after {verdict} s");

    // With ECS's circuit breaker, for which a task that finds no place has failed.
    project.edit(PIPELINE, "timeout = \"8s\"", "timeout = \"5m\"");
    project.edit(
        PIPELINE,
        "circuit-breaker = false",
        "circuit-breaker = true",
    );
    let run = project.deploy(&CHANGE).expect(4);
    let receipt = run.json();
    assert_eq!(receipt["cause"]["code"], "capacity", "{}", run.stderr);
    assert_eq!(receipt["liveTaskDefinition"], good["taskDefinition"]);
    let verdict = seconds_to_verdict(&run);
    assert!(verdict < 60.0, "{verdict}");
    eprintln!("no room, circuit breaker: verdict after {verdict} s");

    // Room comes while it waits.
    project.edit(
        PIPELINE,
        "circuit-breaker = true",
        "circuit-breaker = false",
    );
    let deploying = project.start_deploy(&CHANGE);
    deploying.until_rollout();
    project.until("a task has found no place", || {
        let failed = &project.service()["deployments"][0]["failedTasks"];
        failed.as_u64().is_some_and(|failed| failed > 0)
    });
    project.run(&["local", "fault", "clear", &fault]).expect(0);
    assert_eq!(deploying.end().expect(0).json()["outcome"], "succeeded");
}

#[test]
fn an_alarm_ends_a_release_during_the_rollout_and_in_the_bake_time() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = beside_others();
    let (project, good) = without_breaker();
    let failed = |run: &longshore_tests::Run, name: &str| {
        let receipt = run.json();
        assert_eq!(receipt["outcome"], "rolled-back", "{name}: {receipt:#}");
        assert_eq!(receipt["cause"]["code"], "alarm", "{name}: {}", run.stderr);
        assert_eq!(
            receipt["liveTaskDefinition"], good["taskDefinition"],
            "{name}"
        );
        let verdict = seconds_to_verdict(run);
        eprintln!("{name}: verdict after {verdict} s");
        assert!(verdict < 60.0, "{name}: {verdict}");
        receipt["cause"]["message"].as_str().unwrap().to_owned()
    };
    alarm(&project, "ok");
    let watched = "cluster = \"local\"\nalarms = [\"api-errors\"]\n";
    project.edit(PIPELINE, "cluster = \"local\"\n", watched);

    // Without room the rollout goes on until the alarm is seen.
    let fault = no_room(&project);
    let deploying = project.start_deploy(&CHANGE);
    deploying.until_rollout();
    alarm(&project, "alarm");
    let message = failed(&deploying.end().expect(4), "alarm in the rollout");
    assert!(message.contains("`api-errors` fired"), "{message}");
    project.run(&["local", "fault", "clear", &fault]).expect(0);

    alarm(&project, "ok");
    let last = "maximum-percent = 200\n";
    project.edit(PIPELINE, last, &format!("{last}bake = \"4s\"\n"));
    let deploying = project.start_deploy(&CHANGE);
    deploying.until("watching the new version");
    alarm(&project, "alarm");
    let message = failed(&deploying.end().expect(4), "alarm in the bake time");
    assert!(message.contains("`api-errors` fired"), "{message}");

    // The service's own alarms, which infrastructure code sets: ECS goes back by itself.
    alarm(&project, "ok");
    project.edit(PIPELINE, watched, "cluster = \"local\"\n");
    let alarms = json!({"alarmNames": ["api-errors"], "enable": true, "rollback": true});
    project.ecs(
        "UpdateService",
        &json!({"cluster": "local", "service": "api", "deploymentConfiguration": {"alarms": alarms}}),
    );
    no_room(&project);
    let deploying = project.start_deploy(&CHANGE);
    deploying.until_rollout();
    alarm(&project, "alarm");
    let message = failed(&deploying.end().expect(4), "alarm that ECS sees");
    assert!(message.contains("ECS ended the deployment"), "{message}");
}
