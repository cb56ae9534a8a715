//! boto3, from PyPI: what every operation answers, and what every fault looks like.

use longshore_tests::{Project, longshore};

use super::{run, script};
use crate::one_at_a_time;

#[test]
#[ignore = "needs boto3"]
fn every_answer_is_as_botocores_model_has_it() {
    let _guard = one_at_a_time();
    let project = Project::example();
    project.deploy(&[]).expect(0);
    let token = project
        .run(&[
            "local",
            "token",
            "--issuer",
            "https://issuer.example",
            "--subject",
            "repo:acme/api",
        ])
        .expect(0)
        .stdout;
    let script = script("model.py");
    run(
        &project,
        "python3",
        &[script.to_str().unwrap(), token.trim()],
    );
}

#[test]
#[ignore = "needs boto3"]
fn every_fault_is_met() {
    let _guard = one_at_a_time();
    let project = Project::example();
    project.deploy(&[]).expect(0);
    let (script, binary) = (script("faults.py"), longshore());
    let args = [script.to_str().unwrap(), binary.to_str().unwrap()];
    let said = run(&project, "python3", &args);
    assert!(said.contains("all faults met"), "{said}");

    // The log tells which requests met them.
    let calls = project.run(&["local", "calls", "ecs:CreateCluster", "--format", "json"]);
    let calls = calls.expect(0).json();
    let met: Vec<&str> = calls
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|call| call["fault"].as_str())
        .collect();
    assert_eq!(met, ["reset", "lose-response"]);
}

#[test]
fn longshore_gets_through_what_the_registry_and_ecs_refuse_for_a_while() {
    let _guard = one_at_a_time();
    let project = Project::example();
    project.run(&["local", "up"]).expect(0);
    for fault in [
        ["throttle", "ecr:PutImage"],
        ["server-error", "ecr:CompleteLayerUpload"],
        ["reset", "ecr:InitiateLayerUpload"],
        ["throttle", "ecs:UpdateService"],
        ["lose-response", "ecs:DescribeServices"],
    ] {
        let words = [&["local", "fault", "add"], &fault[..], &["--times", "1"]].concat();
        project.run(&words).expect(0);
    }
    project.deploy(&[]).expect(0);
    let none = project.run(&["local", "fault", "add", "throttle", "UpdateService"]);
    assert!(
        none.code == Some(2) && none.stderr.contains("not an action"),
        "{none:?}"
    );
    let none = project.run(&["local", "fault", "clear", "99"]);
    assert!(
        none.code == Some(2) && none.stderr.contains("no fault 99"),
        "{none:?}"
    );
}
