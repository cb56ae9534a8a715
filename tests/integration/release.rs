//! Good releases, and the way back between them.

use longshore_tests::{Load, Project, get, skip_without};

use crate::{commit, one_at_a_time, url, valid};

#[test]
fn from_a_clone_to_a_live_service_and_back() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = one_at_a_time();
    let project = Project::example();
    let first_commit = project.commit_of_head();

    // The first deployment makes everything.
    let first = project.deploy(&[]).expect(0).json();
    assert_eq!(first["outcome"], "succeeded");
    assert_eq!(first["commit"], first_commit);
    let url = url(&first);
    let (status, body) = get(&format!("{url}/health")).unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(commit(&url), first_commit);
    validate(&first);

    // The second changes nothing, and says so.
    let second = project.deploy(&[]).expect(0);
    assert!(
        second.stderr.contains("nothing was done"),
        "{}",
        second.stderr
    );
    let second = second.json();
    assert_eq!(second["outcome"], "unchanged");
    assert_eq!(second["taskDefinition"], first["taskDefinition"]);
    assert_eq!(second["image"], first["image"]);
    validate(&second);

    // A change in the sources goes live under load without one failed request.
    project.edit(
        "api/cmd/server/main.go",
        "package main",
        "package main\n\n// A change.\n",
    );
    let new_commit = project.commit("a change");
    let load = Load::start(&format!("{url}/version"));
    let third = project.deploy(&[]).expect(0).json();
    let tally = load.end();
    assert_eq!(third["outcome"], "succeeded");
    assert_eq!(third["previousTaskDefinition"], first["taskDefinition"]);
    assert_eq!(commit(&url), new_commit);
    assert_eq!(tally.failures(), 0, "{tally:?}");
    assert_eq!(tally.bodies.len(), 2, "both versions answered: {tally:?}");
    assert!(tally.ok > 200, "{tally:?}");

    // Back, also without one.
    let load = Load::start(&format!("{url}/version"));
    let back = project
        .run(&["rollback", "--format", "json"])
        .expect(0)
        .json();
    let tally = load.end();
    assert_eq!(back["outcome"], "succeeded");
    assert_eq!(back["taskDefinition"], first["taskDefinition"]);
    assert_eq!(commit(&url), first_commit);
    assert_eq!(tally.failures(), 0, "{tally:?}");
    validate(&back);

    // There is nothing before the first release.
    let refused = project.run(&["rollback"]).expect(3);
    assert!(refused.stderr.contains("--to"), "{}", refused.stderr);

    // After a bad release, the way back leads to the last good one, not to the bad one's neighbour.
    project.deploy(&[]).expect(0);
    project.deploy(&["--variable", "API_FAULT=exit"]).expect(4);
    let back = project
        .run(&["rollback", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(back["taskDefinition"], first["taskDefinition"]);

    let status = project
        .run(&["status", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(status["taskDefinition"], first["taskDefinition"]);
    assert_eq!(status["image"], first["image"]);
    assert_eq!(status["runningCount"], 2);
}

/// The state survives the process: images, revisions and the service are there again.
#[test]
fn the_local_aws_remembers_what_it_ran() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = one_at_a_time();
    let project = Project::example();
    let first = project.deploy(&[]).expect(0).json();
    project.run(&["local", "down"]).expect(0);
    assert!(
        get(&format!("{}/health", url(&first))).is_err(),
        "nothing is left running"
    );
    let again = project.deploy(&[]).expect(0).json();
    assert_eq!(again["taskDefinition"], first["taskDefinition"]);
    assert_eq!(again["url"], first["url"]);
    project.wait_for(&format!("{}/health", url(&again)));
    // The same after a death without warning.
    project.kill_local();
    let again = project.deploy(&[]).expect(0).json();
    assert_eq!(again["taskDefinition"], first["taskDefinition"]);
    project.wait_for(&format!("{}/health", url(&again)));
}

fn validate(receipt: &serde_json::Value) {
    valid(receipt, include_str!("../../schemas/receipt.schema.json"));
}
