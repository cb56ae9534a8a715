//! Runs that are ended in the middle.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use longshore_tests::{Project, skip_without};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::one_at_a_time;

/// Starts a deployment and waits until its rollout is on its way.
fn deploying(project: &Project, args: &[&str]) -> Child {
    let mut command = project.command(&[&["deploy", "--format", "json"], args].concat());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let started = lines
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.contains("deployment ecs-svc/"));
    assert!(started, "the rollout did not begin");
    // The rest is read, so that the pipe never fills.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

#[test]
fn an_interrupt_in_the_middle_of_a_rollout_rolls_back() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = one_at_a_time();
    let project = Project::example();
    let good = project.deploy(&[]).expect(0).json();
    let child = deploying(&project, &["--variable", "LOG_LEVEL=warn"]);
    signal(&child, Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let receipt: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(receipt["outcome"], "rolled-back");
    assert_eq!(receipt["cause"]["code"], "interrupted");
    assert_eq!(receipt["liveTaskDefinition"], good["taskDefinition"]);
}

#[test]
fn after_a_death_in_the_middle_the_next_run_converges() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = one_at_a_time();
    let project = Project::example();
    project.deploy(&[]).expect(0);
    let change = ["--variable", "LOG_LEVEL=warn"];
    let mut child = deploying(&project, &change);
    signal(&child, Signal::SIGKILL);
    child.wait().unwrap();
    // Another version is refused while the first is on its way, and told how to go on.
    let refused = project.deploy(&["--variable", "LOG_LEVEL=error"]);
    if refused.code == Some(3) {
        assert!(refused.stderr.contains("--supersede"), "{}", refused.stderr);
    }
    let receipt = project
        .deploy(&[&change[..], &["--supersede"]].concat())
        .expect(0)
        .json();
    assert!(
        ["succeeded", "unchanged"].contains(&receipt["outcome"].as_str().unwrap()),
        "{receipt:#}"
    );
    assert_eq!(
        project
            .run(&["status", "--format", "json"])
            .expect(0)
            .json()["deployments"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
