//! What is committed is up to date, and what is reviewed is in a snapshot.

use longshore_tests::Project;

#[test]
fn the_schemas_are_up_to_date() {
    let project = Project::example();
    let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas");
    project
        .run(&["schema", "--check", "--output", schemas])
        .expect(0);
}

#[test]
fn the_examples_task_definitions_are_as_reviewed() {
    let project = Project::example();
    for environment in ["local", "production"] {
        let run = project.run(&["render", "--env", environment]).expect(0);
        insta::assert_snapshot!(format!("task_definition_{environment}"), run.stdout);
    }
}

#[test]
fn the_examples_files_satisfy_their_schemas() {
    let project = Project::example();
    let run = project.run(&["check", "--format", "json"]).expect(0);
    assert_eq!(run.stdout, "[]\n");
    let schema = include_str!("../../schemas/task-definition.schema.json");
    let document = std::fs::read_to_string(project.path("api/task-definition.json")).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    let problems: Vec<String> = validator
        .iter_errors(&document)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(problems, Vec::<String>::new());
}
