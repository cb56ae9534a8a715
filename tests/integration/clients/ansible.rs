//! Ansible, whose modules compare what is with what is asked for: a second run that changes nothing says that descriptions are complete and in AWS's form.

use longshore_tests::Project;
use serde_json::{Value, json};

use super::{run, script};
use crate::one_at_a_time;

#[test]
#[ignore = "needs Ansible with its AWS modules, and the AWS CLI"]
fn ansible_makes_repeats_changes_and_removes_a_service() {
    let _guard = one_at_a_time();
    let project = Project::example();
    project.deploy(&[]).expect(0);

    let all = json!({"repository": true, "cluster": true, "definition": true, "service": true});
    let none =
        &json!({"repository": false, "cluster": false, "definition": false, "service": false});
    let release =
        &json!({"repository": false, "cluster": false, "definition": true, "service": true});
    play(
        &project,
        &json!({"mark": "one", "last": false, "expected": all}),
    );
    play(
        &project,
        &json!({"mark": "one", "last": false, "expected": none}),
    );
    play(
        &project,
        &json!({"mark": "two", "last": true, "expected": release}),
    );

    let left = run(
        &project,
        "aws",
        &["ecs", "list-tasks", "--cluster", "local"],
    );
    let left: Value = serde_json::from_str(&left).unwrap();
    assert_eq!(left["taskArns"].as_array().map(Vec::len), Some(2));
    let status = project.run(&["local", "status", "--format", "json"]);
    let services = status.expect(0).json();
    let services = services["services"].as_array().unwrap();
    assert_eq!(services.len(), 1, "{services:?}");
}

fn play(project: &Project, variables: &Value) {
    let book = script("ansible.yml");
    let variables = variables.to_string();
    let args = [book.to_str().unwrap(), "--extra-vars", &variables];
    run(project, "ansible-playbook", &args);
}
