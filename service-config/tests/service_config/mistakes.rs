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

/// What the help says to write is accepted when it is written.
#[test]
fn the_help_for_a_health_check_in_one_string_is_right() {
    let healthy = r#""command": ["CMD", "/app", "health"]"#;
    for (wrong, right) in [
        (
            r#""CMD-SHELL curl -f localhost""#,
            r#"["CMD-SHELL", "curl -f localhost"]"#,
        ),
        (
            r#"["CMD-SHELL curl -f localhost"]"#,
            r#"["CMD-SHELL", "curl -f localhost"]"#,
        ),
        (r#""CMD /app health""#, r#"["CMD", "/app", "health"]"#),
        (r#""/app health""#, r#"["CMD", "/app", "health"]"#),
        (r#""/app""#, r#"["CMD", "/app"]"#),
    ] {
        let task = |command: &str| {
            let command = format!("\"command\": {command}");
            TASK_DEFINITION.replace(healthy, &command)
        };
        let found = load_from(&files(PIPELINE, &task(wrong))).problems;
        assert_eq!(
            found[0].help.as_deref(),
            Some(&*format!("write {right}")),
            "{wrong}"
        );
        let after = load_from(&files(PIPELINE, &task(right)));
        assert!(after.service.is_some(), "{right}: {:?}", after.problems);
    }
}

#[test]
fn other_lists_in_one_string_are_divided_into_words() {
    for (wrong, help) in [
        (r#""serve --port 80""#, r#"write ["serve", "--port", "80"]"#),
        (
            r#""sh -c 'a b'""#,
            "put square brackets around it, and quotes around each of its entries",
        ),
    ] {
        let task = TASK_DEFINITION.replace(
            r#""name": "app","#,
            &format!(r#""name": "app", "command": {wrong},"#),
        );
        let found = load_from(&files(PIPELINE, &task)).problems;
        assert_eq!(found[0].help.as_deref(), Some(help), "{wrong}");
    }
}

#[test]
fn a_file_that_is_no_text_is_told_where_it_stops_being_one() {
    let mut both = files(PIPELINE, TASK_DEFINITION);
    let mut bytes = TASK_DEFINITION.as_bytes().to_vec();
    bytes[4] = 0x80;
    both.insert("app/task-definition.json".into(), bytes);
    let found = load_from(&both).problems;
    assert_eq!(
        render(&found, Format::Concise, false),
        "app/task-definition.json:2:3: error[unreadable-file] app/task-definition.json is not UTF-8 text: byte 0x80 at offset 4\n"
    );
}

#[test]
fn a_row_of_wrong_brackets_is_one_mistake() {
    let found = load_from(&files(&"[".repeat(80), TASK_DEFINITION)).problems;
    assert!(found.len() <= 3, "{found:?}");
}

#[test]
fn two_services_of_one_name_are_told_at_both_places() {
    let load = |folder: &str| {
        let pipeline = format!("{folder}/pipeline.toml");
        service_config::load(std::path::Path::new(&pipeline), &|path| {
            let is_pipeline = path.ends_with("pipeline.toml");
            Ok(if is_pipeline {
                PIPELINE
            } else {
                TASK_DEFINITION
            }
            .into())
        })
    };
    let mut loaded = vec![load("a"), load("b")];
    loaded.push(service_config::load(
        std::path::Path::new("c/pipeline.toml"),
        &|path| {
            let other = PIPELINE.replace("name = \"api\"", "name = \"web\"");
            let is_pipeline = path.ends_with("pipeline.toml");
            Ok(if is_pipeline {
                other
            } else {
                TASK_DEFINITION.to_owned()
            }
            .into())
        },
    ));
    service_config::same_names(&mut loaded);
    let found: Vec<_> = loaded.iter().flat_map(|one| one.problems.clone()).collect();
    assert_eq!(
        render(&found, Format::Concise, false),
        "a/pipeline.toml:3:8: error[repeated-service] another service has the name `api`: b/pipeline.toml:3:8\n\
         b/pipeline.toml:3:8: error[repeated-service] another service has the name `api`: a/pipeline.toml:3:8\n"
    );
    let usable: Vec<bool> = loaded.iter().map(|one| one.service.is_some()).collect();
    assert_eq!(usable, [false, false, true]);
}
