//! AWS's SDK for Go: what deployment tools written in Go stand on, with its waiters.

use std::process::Command;

use longshore_tests::Project;

use super::{run, script};
use crate::one_at_a_time;

#[test]
#[ignore = "needs AWS's SDK for Go"]
fn a_go_program_deploys_rolls_back_refreshes_and_runs() {
    let _guard = one_at_a_time();
    let project = Project::example();
    project.deploy(&[]).expect(0);
    let program = project.path("go-client");
    let built = Command::new("go")
        .args(["build", "-buildvcs=false", "-o"])
        .args([program.as_os_str(), ".".as_ref()])
        .current_dir(script("go-sdk"))
        .status()
        .unwrap();
    assert!(built.success());
    let said = run(&project, program.to_str().unwrap(), &[]);
    assert!(said.contains("all done"), "{said}");
}
