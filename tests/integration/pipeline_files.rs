//! The files that the pipeline is made of: written, kept up to date, and never over somebody's own.

use longshore_tests::Project;

const MARK: &str = "# Written by `cargo xtask workflows`";

#[test]
fn workflows_are_written_checked_and_removed() {
    let project = Project::example();
    let file = |name: &str| project.path(".github/workflows").join(name);
    let missing = project.run(&["workflows", "--check"]).expect(2);
    assert!(
        missing.stderr.contains("3 workflows are not up to date"),
        "{}",
        missing.stderr
    );
    assert!(missing.stdout.contains("+name: Test"), "{}", missing.stdout);
    assert!(!file("test.yml").exists(), "a check writes nothing");

    project.run(&["workflows"]).expect(0);
    project.run(&["workflows", "--check"]).expect(0);
    let text = std::fs::read_to_string(file("deploy-production.yml")).unwrap();
    assert!(text.starts_with(MARK), "{text}");

    // The environment goes, and its workflow with it.
    project.edit("api/pipeline.toml", "branch = \"release\"\n", "");
    let stale = project.run(&["workflows", "--check"]).expect(2);
    assert!(
        stale.stdout.contains("-name: Deploy to production"),
        "{}",
        stale.stdout
    );
    project.run(&["workflows"]).expect(0);
    assert!(!file("deploy-production.yml").exists());
    assert!(file("rollback.yml").exists(), "there is still a role");
}

#[test]
fn somebody_elses_workflow_is_not_overwritten() {
    let project = Project::example();
    let own = "name: mine\non: push\n";
    project.write(".github/workflows/test.yml", own);
    project.write(".github/workflows/other.yml", own);
    let run = project.run(&["workflows"]).expect(2);
    assert!(
        run.stderr.contains("test.yml would be overwritten"),
        "{}",
        run.stderr
    );
    for name in ["test.yml", "other.yml"] {
        let path = project.path(".github/workflows").join(name);
        assert_eq!(std::fs::read_to_string(path).unwrap(), own);
    }
    assert!(
        !project.path(".github/workflows/rollback.yml").exists(),
        "nothing by halves"
    );
}

#[test]
fn what_a_role_needs_is_asked_for() {
    let project = Project::example();
    let run = project.run(&["iam", "--env", "production"]).expect(2);
    assert!(
        run.stderr.contains("--repository OWNER/NAME"),
        "{}",
        run.stderr
    );
    let run = project
        .run(&["iam", "--env", "production", "--repository", "acme/*"])
        .expect(2);
    assert!(run.stderr.contains("OWNER/NAME"), "{}", run.stderr);
    let run = project
        .run(&["iam", "--env", "nowhere", "--repository", "acme/api"])
        .expect(2);
    assert!(
        run.stderr
            .contains("no service has an environment `nowhere`"),
        "{}",
        run.stderr
    );
    let run = project
        .run(&["iam", "--env", "local", "--repository", "acme/api"])
        .expect(2);
    assert!(run.stderr.contains("has no `account`"), "{}", run.stderr);
}

#[test]
fn a_diff_shows_what_is_registered_otherwise() {
    let project = Project::example();
    let first = project.commit_of_head();
    project.edit(
        "api/pipeline.toml",
        "memory = \"1024\"",
        "memory = \"2048\"",
    );
    let run = project.run(&["diff", "--base", &first]).expect(0);
    assert!(
        run.stdout.contains("api in local: nothing changes"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("-  \"memory\": \"1024\"")
            && run.stdout.contains("+  \"memory\": \"2048\""),
        "{}",
        run.stdout
    );
    let run = project.run(&["diff", "--base", "no-such-commit"]).expect(2);
    assert!(
        run.stderr.contains("no commit `no-such-commit`"),
        "{}",
        run.stderr
    );
    // A name that looks like an option is a name.
    let run = project.run(&["diff", "--base=--output=pwned"]).expect(2);
    assert!(run.stderr.contains("no commit"), "{}", run.stderr);
    assert!(!project.path("pwned").exists());
}
