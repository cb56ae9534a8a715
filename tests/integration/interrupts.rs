//! Runs that are ended in the middle.

use longshore_tests::{Project, skip_without};
use nix::sys::signal::Signal;

use crate::beside_others;

#[test]
fn an_interrupt_in_the_middle_of_a_rollout_rolls_back() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = beside_others();
    let project = Project::example();
    let good = project.deploy(&[]).expect(0).json();
    let deploying = project.start_deploy(&["--variable", "LOG_LEVEL=warn"]);
    deploying.until_rollout();
    deploying.signal(Signal::SIGINT);
    let receipt = deploying.end().expect(4).json();
    assert_eq!(receipt["outcome"], "rolled-back");
    assert_eq!(receipt["cause"]["code"], "interrupted");
    assert_eq!(receipt["liveTaskDefinition"], good["taskDefinition"]);
}

#[test]
fn after_a_death_in_the_middle_the_next_run_converges() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = beside_others();
    let project = Project::example();
    project.deploy(&[]).expect(0);
    let change = ["--variable", "LOG_LEVEL=warn"];
    let deploying = project.start_deploy(&change);
    deploying.until_rollout();
    deploying.signal(Signal::SIGKILL);
    deploying.end();
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
