//! What is committed is up to date, and what is reviewed is in a snapshot.

use std::path::Path;

use longshore_tests::{Project, Run};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[test]
fn the_schemas_are_up_to_date() {
    let project = Project::example();
    let schemas = format!("{ROOT}/schemas");
    project
        .run(&["schema", "--check", "--output", &schemas])
        .expect(0);
}

#[test]
fn the_task_definitions_of_this_repository_are_as_reviewed() {
    review::assert_reviewed(Path::new(ROOT));
}

#[test]
fn the_examples_files_satisfy_their_schemas() {
    let project = Project::example();
    let run = project.run(&["check", "--format", "json"]).expect(0);
    assert_eq!(run.stdout, "[]\n");
    let schema = include_str!("../../schemas/task-definition.schema.json");
    let document = std::fs::read_to_string(project.path("api/task-definition.json")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    crate::valid(&document, schema);
}

/// A changed overlay is shown as a diff, with the way to accept it; what is accepted is as reviewed.
#[test]
fn a_change_since_the_review_is_shown_and_can_be_accepted() {
    let project = Project::example();
    let check = ["render", "--check"];
    let run = project.run(&check).expect(0);
    assert!(
        run.stderr.contains("2 task definitions as reviewed"),
        "{run:?}"
    );
    project.edit("api/pipeline.toml", "cpu = \"512\"", "cpu = \"1024\"");
    project.edit(
        "api/pipeline.toml",
        "memory = \"1024\"",
        "memory = \"2048\"",
    );
    std::fs::write(project.path("api/snapshots/gone.snap"), "").unwrap();
    let run = project.run(&check).expect(2);
    for text in [
        "api in production",
        "-  \"cpu\": \"512\",\n-  \"memory\": \"1024\",\n+  \"cpu\": \"1024\",\n+  \"memory\": \"2048\",",
        "api/snapshots/gone.snap is left over",
        "2 snapshots not as reviewed",
        "cargo xtask render --accept",
    ] {
        assert!(run.stderr.contains(text), "{text}: {}", run.stderr);
    }
    assert_eq!(run.stdout, "");
    project.run(&["render", "--accept"]).expect(0);
    project.run(&check).expect(0);
    assert!(!project.path("api/snapshots/gone.snap").exists());
    let rendered = project
        .run(&["render", "--env", "production"])
        .expect(0)
        .stdout;
    let snapshot = std::fs::read_to_string(project.path("api/snapshots/production.snap")).unwrap();
    assert!(
        snapshot.ends_with(&format!("\n---\n{rendered}")),
        "{snapshot}"
    );
}

/// The files with ten mistakes each, as a terminal, an editor, a pull request and a script see them.
#[test]
fn twenty_mistakes_are_twenty_places_in_every_format_and_exit_code_two() {
    let project = Project::example();
    let fixtures = format!("{ROOT}/service-config/tests/service_config/fixtures/mistakes");
    for (from, to) in [
        ("broken-pipeline.toml", "pipeline.toml"),
        ("broken-task-definition.json", "task-definition.json"),
    ] {
        let target = project.path("api").join(to);
        std::fs::copy(Path::new(&fixtures).join(from), target).unwrap();
    }
    let check = |format: &str| -> Run { project.run(&["check", "--format", format]).expect(2) };
    let places = |text: &str, what: &str| text.matches(what).count();
    let concise = check("concise").stdout;
    assert_eq!(places(&concise, "api/pipeline.toml:"), 11, "{concise}");
    assert_eq!(
        places(&concise, "api/task-definition.json:"),
        11,
        "{concise}"
    );
    assert_eq!(places(&check("github").stdout, "::error title="), 22);
    assert_eq!(check("json").json().as_array().unwrap().len(), 22);
    let full = check("full");
    assert_eq!(
        places(&full.stderr, "\nerror["),
        21,
        "and the first: {}",
        full.stderr
    );
    assert!(
        full.stderr.contains("1 service checked: 22 errors"),
        "{}",
        full.stderr
    );
    assert_eq!(full.stdout, "");
}

#[test]
fn what_is_accepted_in_another_form_can_be_written_clean() {
    let project = Project::example();
    let file = "api/task-definition.json";
    project.edit(
        file,
        "  \"family\": \"api\",\n",
        "  // Counted by ECS.\n  \"family\": \"api\",\n  \"revision\": 7,\n  \"taskRoleArn\": null,\n",
    );
    project.edit(file, "\"memory\": \"512\"", "\"memory\": \"0.5 GB\"");
    let run = project.run(&["check"]).expect(0);
    assert!(
        run.stderr.contains("1 service checked: 3 notes"),
        "{}",
        run.stderr
    );
    let run = project.run(&["check", "--fix"]).expect(0);
    assert!(
        run.stderr.contains("wrote api/task-definition.json"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("1 service checked: no problems"),
        "{}",
        run.stderr
    );
    let committed = std::fs::read_to_string(format!("{ROOT}/examples/api/task-definition.json"));
    let expected = committed
        .unwrap()
        .replace("  \"family\"", "  // Counted by ECS.\n  \"family\"");
    assert_eq!(
        std::fs::read_to_string(project.path(file)).unwrap(),
        expected
    );
    let run = project.run(&["check", "--fix"]).expect(0);
    assert!(!run.stderr.contains("wrote"), "{}", run.stderr);
    project.run(&["render", "--check"]).expect(0);
}

/// A link may lead anywhere: also a folder on the way is none.
#[test]
fn links_out_of_the_services_folder_are_not_followed() {
    let project = Project::example();
    let link = |from: &str, to: &str| {
        std::os::unix::fs::symlink(from, project.path(to)).unwrap();
    };
    std::fs::rename(
        project.path("api/task-definition.json"),
        project.path("t.json"),
    )
    .unwrap();
    link("../t.json", "api/task-definition.json");
    let run = project.run(&["check", "--format", "concise"]).expect(2);
    assert!(run.stdout.contains("symbolic link"), "{}", run.stdout);
    link("..", "api/up");
    project.edit(
        "api/pipeline.toml",
        "name = \"api\"",
        "name = \"api\"\ntask-definition = \"up/t.json\"",
    );
    let run = project.run(&["check", "--format", "concise"]).expect(2);
    let place = "api/pipeline.toml:6:19: error[unreadable-file]";
    assert!(
        run.stdout.contains(place) && run.stdout.contains("symbolic link"),
        "{}",
        run.stdout
    );
}
