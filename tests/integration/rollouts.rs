//! What stands around a rollout: the look before, tasks before, checks and a bake time after, and what is told of all that.

use longshore_tests::{Project, skip_without};
use nix::sys::signal::Signal;

use crate::{beside_others, commit, seconds_to_verdict, url, valid};

const PIPELINE: &str = "api/pipeline.toml";
const RECEIPT: &str = include_str!("../../schemas/receipt.schema.json");

/// Puts text behind the last line of `[deploy]`.
fn add(project: &Project, text: &str) {
    let last = "maximum-percent = 200\n";
    project.edit(PIPELINE, last, &format!("{last}{text}\n"));
}

#[test]
fn a_release_with_all_that_stands_around_it() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = beside_others();
    let project = Project::example();
    add(
        &project,
        "bake = \"2s\"\n\n[[deploy.before]]\nname = \"migrate\"\ncommand = [\"version\"]\n\n[[deploy.checks]]\npath = \"/version\"\ncontains = \"${commit}\"\n",
    );
    let head = project.commit("with a task before and a check after");
    let run = project.deploy(&[]).expect(0);
    let receipt = run.json();
    valid(&receipt, RECEIPT);
    let timeline = receipt["timeline"].to_string();
    for what in [
        "task migrate ended well",
        "answered as it should be",
        "watching the new version",
    ] {
        assert!(timeline.contains(what), "{what}: {timeline}");
    }
    assert!(
        run.stderr.contains("| {"),
        "its output is shown: {}",
        run.stderr
    );
    assert_eq!(commit(&url(&receipt)), head);

    let history = project
        .run(&["history", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(history[0]["commit"], head.as_str());
    assert!(history[0]["registeredBy"].is_string(), "{history}");
    let logs = project.run(&["logs", "--format", "json"]).expect(0).stdout;
    let line: serde_json::Value = serde_json::from_str(logs.lines().next().unwrap()).unwrap();
    assert_eq!(line["container"], "api");

    // The same once more, with a task that fails: nothing live is touched.
    project.edit(PIPELINE, "[\"version\"]", "[\"no-such-command\"]");
    let run = project.deploy(&["--variable", "LOG_LEVEL=warn"]).expect(1);
    let failed = run.json();
    valid(&failed, RECEIPT);
    assert_eq!(failed["cause"]["code"], "before-task");
    assert_eq!(failed["cause"]["exitCode"], 2);
    assert_eq!(failed["liveTaskDefinition"], receipt["taskDefinition"]);
    let text = failed["cause"]["logTail"].to_string();
    assert!(text.contains("usage"), "{text}");

    // And with an address that answers something else.
    project.edit(PIPELINE, "[\"no-such-command\"]", "[\"version\"]");
    project.edit(
        PIPELINE,
        "contains = \"${commit}\"",
        "contains = \"another\"\nwithin = \"2s\"",
    );
    let run = project.deploy(&["--variable", "LOG_LEVEL=warn"]).expect(4);
    let failed = run.json();
    assert_eq!(failed["cause"]["code"], "check", "{failed:#}");
    assert_eq!(failed["liveTaskDefinition"], receipt["taskDefinition"]);

    // Back by the commit, first only to see what would be done.
    let change = project.deploy(&["--variable", "API_FAULT=crash-after:1h"]);
    assert_eq!(change.code, Some(4));
    let plan = project
        .run(&[
            "rollback",
            "--dry-run",
            "--to",
            &head[..10],
            "--format",
            "json",
        ])
        .expect(0)
        .json();
    assert_eq!(
        plan["steps"].as_array().map(Vec::len),
        Some(0),
        "it is live already: {plan:#}"
    );
}

#[test]
fn a_crash_after_a_healthy_rollout_is_seen_in_the_bake_time() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = beside_others();
    let project = Project::example();
    add(&project, "bake = \"20s\"");
    let good = project.deploy(&[]).expect(0).json();
    let run = project
        .deploy(&["--variable", "API_FAULT=crash-after:6s"])
        .expect(4);
    let receipt = run.json();
    eprintln!(
        "a crash later: verdict after {} s",
        seconds_to_verdict(&run)
    );
    assert_eq!(receipt["cause"]["code"], "exit", "{receipt:#}");
    assert_eq!(receipt["liveTaskDefinition"], good["taskDefinition"]);
}

#[test]
fn all_that_is_missing_is_said_at_once_and_before_any_change() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = beside_others();
    let project = Project::example();
    let good = project.deploy(&[]).expect(0).json();
    project.edit(
        PIPELINE,
        "\"/local/api/database-url\" }",
        "\"/local/api/no-such-parameter\" }",
    );
    project.edit(
        "api/task-definition.json",
        "\"containerPort\": 8080",
        "\"containerPort\": 8081",
    );
    let run = project.deploy(&[]).expect(3);
    let receipt = run.json();
    valid(&receipt, RECEIPT);
    let codes: Vec<&str> = receipt["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["severity"] == "error")
        .map(|finding| finding["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["no-such-secret", "port-mismatch"], "{}", run.stderr);
    let status = project
        .run(&["status", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(status["taskDefinition"], good["taskDefinition"]);
}

#[test]
fn an_interrupt_stops_the_task_before_and_a_second_one_says_what_is_left() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = beside_others();
    let project = Project::example();
    project.deploy(&[]).expect(0);
    add(
        &project,
        "\n[[deploy.before]]\nname = \"forever\"\ncommand = [\"serve\"]\n",
    );
    let change = ["--variable", "LOG_LEVEL=warn"];
    let deploying = project.start_deploy(&change);
    deploying.until("task forever runs");
    deploying.signal(Signal::SIGINT);
    let receipt = deploying.end().expect(1).json();
    assert_eq!(receipt["cause"]["code"], "interrupted");

    let deploying = project.start_deploy(&change);
    deploying.until("task forever runs");
    deploying.signal(Signal::SIGINT);
    deploying.until("interrupted");
    deploying.signal(Signal::SIGINT);
    let run = deploying.end();
    // Whether the first had done its work by then is a matter of milliseconds.
    match run.code {
        Some(5) => assert!(run.stderr.contains("aws ecs stop-task"), "{}", run.stderr),
        code => assert_eq!(code, Some(1), "{}", run.stderr),
    }
}

#[test]
fn of_two_runs_at_once_one_is_refused_before_any_change() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = beside_others();
    let project = Project::example();
    project.deploy(&[]).expect(0);
    // Both plan before either changes anything: both wait in the same task before.
    add(
        &project,
        "\n[[deploy.before]]\nname = \"migrate\"\ncommand = [\"version\"]\n",
    );
    let start = |level: &str| {
        let level = format!("LOG_LEVEL={level}");
        project.start_deploy(&["--variable", &level])
    };
    let runs = [start("warn"), start("error")];
    let mut codes = runs.map(|run| run.end().code);
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(3)]);
}
