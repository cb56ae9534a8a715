//! All mistakes of both files in one run, each with its place, in every format.

use std::collections::HashMap;

use diagnostic::{Format, render};

use crate::{PIPELINE, TASK_DEFINITION, files, load_from, problems};

/// Eleven different mistakes in each file: one run shows them all, in every format.
#[test]
fn every_mistake_of_both_files_has_its_place() {
    let pipeline = include_str!("fixtures/mistakes/broken-pipeline.toml");
    let task_definition = include_str!("fixtures/mistakes/broken-task-definition.json");
    let found = load_from(&files(pipeline, task_definition)).problems;
    for (name, format) in [
        ("full", Format::Full),
        ("concise", Format::Concise),
        ("github", Format::Github),
        ("json", Format::Json),
    ] {
        insta::assert_snapshot!(format!("mistakes_{name}"), render(&found, format, false));
    }
    let errors = found
        .iter()
        .filter(|problem| problem.severity == diagnostic::Severity::Error);
    assert_eq!(errors.count(), 22);
}

#[test]
fn an_unknown_environment_is_answered_with_the_known_ones() {
    let service = load_from(&files(PIPELINE, TASK_DEFINITION))
        .service
        .unwrap();
    assert_eq!(
        service.environment("prod").unwrap_err().to_string(),
        "there is no environment `prod`; the pipeline file has: local, production"
    );
}

#[test]
fn all_mistakes_of_both_files_come_at_once_with_their_places() {
    let pipeline = PIPELINE
        .replace("package =", "pakage =")
        .replace("\"10m\"", "\"ten minutes\"")
        .replace("\"123456789012\"", "123456789012");
    let task_definition = TASK_DEFINITION
        .replace("\"family\": \"api\"", "\"family\": 7")
        .replace("\"awslogs\",", "\"aws-logs\",")
        .replace("\"essential\": false", "\"esential\": false");
    insta::assert_snapshot!(problems(&pipeline, &task_definition));
}

#[test]
fn what_only_both_files_together_show_is_found() {
    let pipeline = PIPELINE
        .replace("\"app\"", "\"ap\"")
        .replace(
            "name = \"api\"",
            "name = \"api\"\ndefault-environment = \"staging\"",
        )
        .replace("\"debug\"", "\"${tag}\"");
    let task_definition = TASK_DEFINITION.replace("\"otel@sha256:aa\"", "\"${IMAGE}\"");
    insta::assert_snapshot!(problems(&pipeline, &task_definition));
}

#[test]
fn broken_syntax_and_missing_files_are_told_where_they_are() {
    insta::assert_snapshot!(
        "toml_syntax",
        problems("[service\nname = \"x\n[build]\n", TASK_DEFINITION)
    );
    insta::assert_snapshot!(
        "json_syntax",
        problems(PIPELINE, "{\"family\": \"a\" \"b\"}")
    );
    insta::assert_snapshot!(
        "json_twice",
        problems(
            PIPELINE,
            &TASK_DEFINITION.replace("\"essential\": false", "\"name\": \"b\"")
        )
    );
    let mut only_pipeline = files(PIPELINE, TASK_DEFINITION);
    only_pipeline.remove("app/task-definition.json");
    let missing = load_from(&only_pipeline).problems;
    insta::assert_snapshot!(
        "no_task_definition",
        render(&missing, Format::Concise, false)
    );
    let nothing = load_from(&HashMap::new()).problems;
    insta::assert_snapshot!("no_pipeline", render(&nothing, Format::Concise, false));
}

/// No format shows what looks like a secret, not even in the excerpt beside another finding.
#[test]
fn a_secret_in_a_file_is_not_carried_into_a_report() {
    let task = TASK_DEFINITION.replace(
        r#"{"name": "LOG_LEVEL", "value": "info"}"#,
        r#"{"name": "DB_PASSWORD", "value": "correct-horse-battery", "vlaue": "x"}, {"name": "A", "value": "AKIAIOSFODNN7EXAMPLE"}"#,
    );
    let found = load_from(&files(PIPELINE, &task)).problems;
    for format in [Format::Full, Format::Concise, Format::Github, Format::Json] {
        let text = render(&found, format, false);
        assert!(text.contains("vlaue"), "{text}");
        assert!(
            !text.contains("correct-horse") && !text.contains("AKIA"),
            "{text}"
        );
    }
}
