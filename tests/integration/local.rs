//! The AWS on this machine as a program: its death, its traces, and what it tells people.

use std::path::Path;

use longshore_tests::Project;
use serde_json::Value;

use crate::{one_at_a_time, url};

fn status(project: &Project) -> Value {
    let status = project.run(&["local", "status", "--format", "json"]);
    status.expect(0).json()
}

/// A process and all that it started.
fn family(pid: u64) -> Vec<u64> {
    let mut all = vec![pid];
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    for thread in threads.flatten() {
        let children = std::fs::read_to_string(thread.path().join("children"));
        for child in children.unwrap_or_default().split_whitespace() {
            all.extend(family(child.parse().unwrap()));
        }
    }
    all
}

/// Whether a process runs: one that only waits to be reaped has no program any more.
fn runs(pid: u64) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

#[test]
fn after_a_kill_everything_is_there_again_and_nothing_is_left_behind() {
    let _guard = one_at_a_time();
    let project = Project::example();
    let receipt = project.deploy(&[]).expect(0).json();
    let before = status(&project);
    let processes = family(before["pid"].as_u64().unwrap());
    assert!(processes.len() > 2, "{processes:?}");

    project.kill_local();
    project.run(&["local", "up"]).expect(0);
    project.wait_for(&format!("{}/health", url(&receipt)));
    let left: Vec<&u64> = processes.iter().filter(|pid| runs(**pid)).collect();
    assert!(left.is_empty(), "{left:?}");

    let after = status(&project);
    for member in ["name", "desired", "task_definition", "url"] {
        assert_eq!(after["services"][0][member], before["services"][0][member]);
    }
    for member in ["repositories", "images", "image_bytes", "parameters"] {
        assert_eq!(after["sizes"][member], before["sizes"][member]);
    }
    let events = project.run(&["local", "events", "api", "--format", "json"]);
    let events = events.expect(0).json();
    let lost = |event: &&Value| {
        let words = event["message"].as_str().unwrap();
        words.ends_with("has lost 2 tasks: the local cloud was restarted.")
    };
    let events = events.as_array().unwrap();
    assert_eq!(events.iter().filter(lost).count(), 1, "{events:#?}");

    let logs = project
        .run(&["local", "logs", "/local/api"])
        .expect(0)
        .stdout;
    assert!(
        logs.lines().any(|line| line.starts_with("ecs/api/")),
        "{logs}"
    );

    let processes = family(after["pid"].as_u64().unwrap());
    project.run(&["local", "down"]).expect(0);
    let left: Vec<&u64> = processes.iter().filter(|pid| runs(**pid)).collect();
    assert!(left.is_empty(), "{left:?}");
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let home = project.home();
    assert!(!mounts.contains(home.to_str().unwrap()));
    let tasks = std::fs::read_dir(home.join("local/tasks/tasks")).unwrap();
    assert_eq!(tasks.count(), 0);
    assert!(Path::new(&home).join("local/calls.jsonl").exists());
}
