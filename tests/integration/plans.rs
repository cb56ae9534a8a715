//! Plans: made, saved, reviewed, carried out exactly or refused.

use longshore_tests::{Project, skip_without};

use crate::{one_at_a_time, valid};

#[test]
fn a_reviewed_plan_is_carried_out_exactly_or_refused() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = one_at_a_time();
    let project = Project::example();
    let first = project.deploy(&[]).expect(0).json();
    let nothing = project.run(&["plan"]).expect(0);
    assert!(
        nothing.stdout.contains("nothing changes"),
        "{}",
        nothing.stdout
    );

    project.edit(
        "api/pipeline.toml",
        "LOG_LEVEL = \"debug\"",
        "LOG_LEVEL = \"info\"",
    );
    let commit = project.commit("quieter");
    let plan = project
        .run(&["plan", "--out", "plan.json", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(plan["wayBack"], first["taskDefinition"]);
    let differences = plan["differences"].to_string();
    assert!(differences.contains("LOG_LEVEL"), "{differences}");
    valid(&plan, include_str!("../../schemas/plan.schema.json"));

    // The sources move on: the plan no longer fits what they build.
    project.edit(
        "api/cmd/server/main.go",
        "package main",
        "package main\n\n// A change.\n",
    );
    let refused = project.run(&["deploy", "--plan", "plan.json"]).expect(3);
    assert!(
        refused.stderr.contains("these sources build"),
        "{}",
        refused.stderr
    );
    project.edit(
        "api/cmd/server/main.go",
        "package main\n\n// A change.\n",
        "package main",
    );

    let receipt = project.deploy(&["--plan", "plan.json"]).expect(0).json();
    assert_eq!(receipt["outcome"], "succeeded");
    assert_eq!(receipt["commit"], commit);

    // A second time, the service is not what the plan was made for.
    let refused = project.run(&["deploy", "--plan", "plan.json"]).expect(3);
    assert!(refused.stderr.contains("plan again"), "{}", refused.stderr);

    let history = project
        .run(&["history", "--format", "json"])
        .expect(0)
        .json();
    let statuses: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["SUCCESSFUL", "SUCCESSFUL"]);
    assert_eq!(history[0]["taskDefinition"], receipt["taskDefinition"]);

    std::fs::write(project.path("plan.json"), "{\"format\": 1}").unwrap();
    let broken = project.run(&["deploy", "--plan", "plan.json"]).expect(2);
    assert!(broken.stderr.contains("is no plan"), "{}", broken.stderr);
}
