//! Looking at a service while it is deployed and after a failure, and deploying while a deployment is in flight.

use std::thread::sleep;
use std::time::Duration;

use longshore_tests::{Project, get, skip_without};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{beside_others, url};

fn status(project: &Project) -> Value {
    let run = project.run(&["status", "--format", "json"]);
    run.expect(0).json()
}

/// IDs of the service's running tasks.
fn tasks(project: &Project) -> Vec<String> {
    let asked = serde_json::json!({"cluster": "local", "serviceName": "api"});
    let listed = project.ecs("ListTasks", &asked);
    let arns = listed["taskArns"].as_array().unwrap().iter();
    arns.map(|arn| {
        let arn = arn.as_str().unwrap();
        arn.rsplit('/').next().unwrap().to_owned()
    })
    .collect()
}

#[test]
fn logs_are_followed_into_the_tasks_that_begin_later() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = beside_others();
    let project = Project::example();
    let url = url(&project.deploy(&[]).expect(0).json());
    let before = tasks(&project);

    let following = project.start(&["logs", "--follow", "--format", "json"]);
    following.printed("listening");
    for number in 0..3 {
        // Each line comes by itself, while the command goes on.
        let path = format!("/v1/no-such-{number}");
        get(&format!("{url}{path}")).unwrap();
        let line = following.printed(&path);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert!(before.contains(&line["task"].as_str().unwrap().to_owned()));
        assert_eq!(line["container"], "api");
    }
    project.deploy(&["--variable", "LOG_LEVEL=info"]).expect(0);
    let after = tasks(&project);
    assert!(after.iter().all(|task| !before.contains(task)));
    for task in &after {
        following.printed(task);
    }
    following.signal(Signal::SIGINT);
    let run = following.end().expect(0);
    assert!(
        run.stderr.is_empty() || !run.stderr.contains("error"),
        "{}",
        run.stderr
    );
    let mut lines: Vec<&str> = run.stdout.lines().collect();
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), all, "no line comes twice");

    // One task's lines are its own, by ID and by ARN, also when it has ended.
    let gone = &before[0];
    let own = project.run(&["logs", "--task", gone, "--format", "json"]);
    let own = own.expect(0).stdout;
    assert!(
        own.contains("listening") && own.contains("stopped"),
        "{own}"
    );
    for line in own.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["task"], gone.as_str());
    }
    let arn = format!("arn:aws:ecs:us-east-1:000000000000:task/local/{gone}");
    let by_arn = project.run(&["logs", "--task", &arn, "--format", "json"]);
    assert_eq!(by_arn.expect(0).stdout, own);
    let text = project.run(&["logs", "--task", gone]).expect(0).stdout;
    assert_eq!(text.lines().count(), own.lines().count());
    let none = project.run(&["logs", "--task", "0123456789abcdef0123456789abcdef"]);
    let none = none.expect(2);
    assert!(none.stderr.contains("no task"), "{none:?}");
    // What `logs` prints of an ID is enough; who misses a name is told which there are.
    let short = project.run(&["logs", "--task", &gone[..8]]).expect(0);
    assert_eq!(short.stdout, text);
    let none = project.run(&["logs", "--task", "nonsense"]).expect(2);
    assert!(none.stderr.contains(gone.as_str()), "{none:?}");
    let none = project.run(&["logs", "--container", "nope"]).expect(2);
    assert!(none.stderr.contains("these do: api"), "{none:?}");
    let none = project.run(&["local", "logs", "nope"]).expect(2);
    assert!(none.stderr.contains("there are: /local/api"), "{none:?}");
    let none = project.run(&["local", "events", "nope"]).expect(2);
    assert!(none.stderr.contains("there are: api"), "{none:?}");
}

#[test]
fn status_tells_of_a_rollout_and_of_a_failure() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = beside_others();
    let project = Project::example();
    let good = project.deploy(&[]).expect(0).json();
    let at_rest = status(&project);
    assert_eq!(at_rest["inFlight"], Value::Null);
    assert_eq!(at_rest["lastFailure"], Value::Null);
    assert_eq!(at_rest["failedTasks"], serde_json::json!([]));

    let deploying = project.start_deploy(&["--variable", "API_FAULT=hang"]);
    deploying.until_rollout();
    let during = status(&project);
    let in_flight = during["inFlight"].as_str().unwrap();
    assert!(
        ["PENDING", "IN_PROGRESS"].contains(&in_flight),
        "{during:#}"
    );
    let deployments = during["deployments"].as_array().unwrap();
    let states = |name: &str| -> Vec<&str> {
        let all = deployments.iter();
        all.map(|one| one[name].as_str().unwrap()).collect()
    };
    assert_eq!(states("status"), ["PRIMARY", "ACTIVE"]);
    assert_eq!(states("rolloutState"), ["IN_PROGRESS", "COMPLETED"]);
    assert_eq!(deployments[1]["taskDefinition"], good["taskDefinition"]);
    let text = project.run(&["status"]).expect(0).stdout;
    assert!(text.contains("in flight  api:2 "), "{text}");

    // While ECS still lists the deployment, its failed tasks are shown with their cause.
    deploying.until("failed: Task failed container health checks");
    let during = status(&project);
    assert_eq!(
        during["failedTasks"][0]["code"], "health-check",
        "{during:#}"
    );
    let receipt = deploying.end().expect(4).json();
    let after = status(&project);
    assert_eq!(after["taskDefinition"], good["taskDefinition"]);
    assert_eq!(after["inFlight"], Value::Null);
    assert_eq!(after["runningCount"], 2);
    // What went wrong last is still told, though ECS no longer lists the deployment.
    let last = &after["lastFailure"];
    assert_eq!(last["taskDefinition"], receipt["taskDefinition"]);
    assert_eq!(last["status"], "ROLLBACK_SUCCESSFUL", "{after:#}");
    assert_eq!(after["failedTasks"][0]["code"], "health-check", "{after:#}");
    let text = project.run(&["status"]).expect(0).stdout;
    assert!(text.contains("api:2 ROLLBACK_SUCCESSFUL"), "{text}");
    assert!(text.contains("[health-check]"), "{text}");

    // The command that a person is told to run next shows the last words of a task that failed.
    let next = receipt["next"].as_array().unwrap();
    let command = next.iter().find_map(|step| step["command"].as_str());
    let command = command.unwrap().strip_prefix("cargo xtask ").unwrap();
    let words: Vec<&str> = command.split(' ').collect();
    let shown = project.run(&words).expect(0).stdout;
    assert!(shown.contains("API_FAULT"), "{command}: {shown}");
}

#[test]
fn a_deployment_in_flight_is_waited_for_or_replaced() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = beside_others();
    let project = Project::example();
    project.deploy(&[]).expect(0);

    let first = project.start_deploy(&["--variable", "LOG_LEVEL=warn"]);
    first.until_rollout();
    let refused = project.deploy(&["--variable", "LOG_LEVEL=error"]).expect(3);
    for way in ["--wait", "--supersede"] {
        assert!(refused.stderr.contains(way), "{}", refused.stderr);
    }
    let second = project.deploy(&["--variable", "LOG_LEVEL=error", "--wait"]);
    let second = second.expect(0).json();
    let first = first.end().expect(0).json();
    assert_eq!(second["previousTaskDefinition"], first["taskDefinition"]);
    assert_eq!(status(&project)["taskDefinition"], second["taskDefinition"]);

    // One that would go on for a while is replaced; who started it is told, and leaves the service alone.
    let hanging = project.start_deploy(&["--variable", "API_FAULT=hang"]);
    hanging.until_rollout();
    let third = project.deploy(&["--variable", "LOG_LEVEL=info", "--supersede"]);
    let third = third.expect(0).json();
    let hanging = hanging.end().expect(5).json();
    assert_eq!(hanging["cause"]["code"], "superseded", "{hanging:#}");
    assert_eq!(third["previousTaskDefinition"], second["taskDefinition"]);
    sleep(Duration::from_secs(1));
    let live = status(&project);
    assert_eq!(live["taskDefinition"], third["taskDefinition"]);
    assert_eq!(live["inFlight"], Value::Null);
}
