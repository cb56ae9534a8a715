//! Terraform with its AWS provider, which reads back all that it made: a plan that finds nothing to change says that descriptions are complete and in AWS's form.

use std::process::Command;

use longshore_tests::Project;
use serde_json::Value;

use super::{attempt, run, script};
use crate::one_at_a_time;

/// Where terraform and its provider come from is the machine's business (a mirror, say, by `TF_CLI_ARGS_init=-plugin-dir=…`): neither can be installed by name as the other clients can, so without them this says that it looked at nothing.
#[test]
#[ignore = "needs terraform and its AWS provider"]
fn terraform_makes_finds_and_removes_what_a_deployment_needs() {
    if Command::new("terraform").arg("version").output().is_err() {
        eprintln!("skipped: there is no terraform on this machine");
        return;
    }
    let _guard = one_at_a_time();
    let project = Project::example();
    let receipt = project.deploy(&[]).expect(0).json();
    let folder = project.path("terraform");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(script("terraform/main.tf"), folder.join("main.tf")).unwrap();
    let image = format!("-var=image={}", receipt["image"].as_str().unwrap());
    let within = format!("-chdir={}", folder.display());

    let init = attempt(
        &project,
        "terraform",
        &[&within, "init", "-input=false", "-no-color"],
    );
    let said = String::from_utf8_lossy(&init.stderr);
    if said.contains("Failed to query available provider packages") {
        eprintln!("skipped: terraform is here, and its AWS provider cannot be had");
        return;
    }
    assert!(init.status.success(), "{said}");
    let change = |what: &str| {
        let args = [
            &within,
            what,
            &image,
            "-auto-approve",
            "-input=false",
            "-no-color",
        ];
        run(&project, "terraform", &args);
    };
    change("apply");
    // 0: nothing to change, 2: something.
    let args = [
        &within,
        "plan",
        &image,
        "-detailed-exitcode",
        "-input=false",
        "-no-color",
    ];
    let plan = attempt(&project, "terraform", &args);
    assert_eq!(
        plan.status.code(),
        Some(0),
        "{}{}",
        String::from_utf8_lossy(&plan.stdout),
        String::from_utf8_lossy(&plan.stderr)
    );
    let outputs = run(&project, "terraform", &[&within, "output", "-json"]);
    let outputs: Value = serde_json::from_str(&outputs).unwrap();
    assert_eq!(outputs["account"]["value"], "000000000000");

    let task = |argument: &str| {
        let args = ["ecs", "list-tasks", "--cluster", argument];
        let tasks: Value = serde_json::from_str(&run(&project, "aws", &args)).unwrap();
        tasks["taskArns"].as_array().map(Vec::len)
    };
    assert_eq!(task("terraform"), Some(1));
    change("destroy");
    // What longshore deployed is still there.
    assert_eq!(task("local"), Some(2));
    let args = ["secretsmanager", "list-secrets"];
    let secrets: Value = serde_json::from_str(&run(&project, "aws", &args)).unwrap();
    assert_eq!(secrets["SecretList"], serde_json::json!([]));
}
