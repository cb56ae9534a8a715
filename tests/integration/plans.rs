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

    // Nor is a plan carried out that changes other things than it says.
    let reviewed = std::fs::read_to_string(project.path("plan.json")).unwrap();
    let edited = reviewed.replace(r#"\"cpu\": \"256\""#, r#"\"cpu\": \"4096\""#);
    assert_ne!(edited, reviewed, "the document has the member");
    std::fs::write(project.path("edited.json"), edited).unwrap();
    let refused = project.run(&["deploy", "--plan", "edited.json"]).expect(3);
    assert!(
        refused.stderr.contains("the file was edited"),
        "{}",
        refused.stderr
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

#[test]
fn a_plan_goes_where_it_is_told_and_nowhere_else() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = one_at_a_time();
    let project = Project::example();
    project.deploy(&[]).expect(0);
    let lost = project.run(&["plan", "--out", "no-such-folder/plan.json"]);
    let lost = lost.expect(1);
    assert!(lost.stderr.contains("cannot be written"), "{}", lost.stderr);
    assert!(!project.path("no-such-folder").exists());
    // A device stays one, and what cannot be written to it is said.
    let full = project.run(&["plan", "--out", "/dev/full"]).expect(1);
    assert!(full.stderr.contains("cannot be written"), "{}", full.stderr);
}

#[test]
fn a_rollback_names_what_it_cannot_find_and_what_is_live() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = one_at_a_time();
    let project = Project::example();
    let receipt = project.deploy(&[]).expect(0).json();
    let commit = receipt["commit"].as_str().unwrap();
    for (name, words) in [
        ("nonsense", "`nonsense` is neither a revision nor a commit"),
        ("b79", "`b79` is neither a revision nor a commit"),
        ("api:99", "there is no revision `api:99`"),
        ("0000000", "no SUCCESSFUL deployment of commit 0000000"),
    ] {
        let refused = project.run(&["rollback", "--to", name]).expect(3);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        assert!(refused.stderr.contains("cargo xtask history"), "{name}");
    }
    let same = project.run(&["rollback", "--to", commit, "--format", "json"]);
    let same = same.expect(0).json();
    assert_eq!(same["outcome"], "unchanged");
    assert_eq!(same["liveTaskDefinition"], receipt["taskDefinition"]);
}
