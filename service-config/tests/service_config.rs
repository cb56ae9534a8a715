//! The configuration as its users meet it: files in; a service, or problems with places, out.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use diagnostic::{Format, render};
use service_config::{Inputs, Loaded, load, rules, schema};

const PIPELINE: &str = r#"
[service]
name = "api"

[build]
package = "./cmd/server"

[registry]
repository = "team/api"

[deploy]
container = "app"
timeout = "10m"
circuit-breaker = true

[environments.local]
variables = { LOG_LEVEL = "debug" }
secrets = { DATABASE_URL = "/local/api/database-url" }
allow-variables = true

[environments.production]
account = "123456789012"
region = "eu-central-1"
cpu = "1024"
memory = "2048"
service = "api-production"
"#;

const TASK_DEFINITION: &str = r#"{
  // Comments and trailing commas are what people have.
  "$schema": "x",
  "containerDefinitions": [
    {"name": "sidecar", "image": "otel@sha256:aa", "essential": false, "readonlyRootFilesystem": true,
     "logConfiguration": {"logDriver": "awslogs"}},
    {
      "image": "${image}", "name": "app", "readonlyRootFilesystem": true,
      "healthCheck": {"command": ["CMD", "/app", "health"]},
      "environment": [{"name": "DATABASE_URL", "value": "replaced"}, {"name": "LOG_LEVEL", "value": "info"}],
      "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/${env}/${service}", "awslogs-region": "${region}"}},
    },
  ],
  "executionRoleArn": "arn:aws:iam::${account}:role/api",
  "family": "api",
}"#;

fn files(pipeline: &str, task_definition: &str) -> HashMap<String, Vec<u8>> {
    HashMap::from([
        ("app/pipeline.toml".into(), pipeline.into()),
        ("app/task-definition.json".into(), task_definition.into()),
    ])
}

fn load_from(files: &HashMap<String, Vec<u8>>) -> Loaded {
    load(Path::new("app/pipeline.toml"), &|path| {
        let name = path.to_string_lossy().into_owned();
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        files.get(&name).cloned().ok_or_else(missing)
    })
}

fn problems(pipeline: &str, task_definition: &str) -> String {
    let loaded = load_from(&files(pipeline, task_definition));
    render(&loaded.problems, Format::Concise, false)
}

fn rendered(environment: &str, variables: &BTreeMap<String, String>) -> String {
    let service = load_from(&files(PIPELINE, TASK_DEFINITION))
        .service
        .unwrap();
    let inputs = Inputs {
        environment,
        image: "registry.example/team/api@sha256:1111",
        commit: "abc1234",
        account: "000000000000",
        region: "us-east-1",
        variables,
    };
    service.render(&inputs).unwrap()
}

#[test]
fn an_environment_lies_over_the_template() {
    insta::assert_snapshot!("local", rendered("local", &BTreeMap::new()));
    insta::assert_snapshot!("production", rendered("production", &BTreeMap::new()));
}

#[test]
fn a_variable_of_one_deployment_wins() {
    let variables = BTreeMap::from([
        ("LOG_LEVEL".to_owned(), "warn".to_owned()),
        ("DATABASE_URL".to_owned(), "memory://".to_owned()),
    ]);
    let document: serde_json::Value = serde_json::from_str(&rendered("local", &variables)).unwrap();
    let container = &document["containerDefinitions"][1];
    assert_eq!(
        container["environment"],
        serde_json::json!([
            {"name": "DATABASE_URL", "value": "memory://"},
            {"name": "LOG_LEVEL", "value": "warn"},
        ])
    );
    assert_eq!(container.get("secrets"), None);
}

#[test]
fn an_image_may_have_all_of_it() {
    let image = r#"
platforms = ["linux/amd64", "linux/arm64"]

[image]
user = "1000:1000"
probe = true
compression = "zstd"
files = [{ from = "web/dist", to = "/srv/web/" }, { from = ".", to = "/" }]

[registry]"#;
    let pipeline = PIPELINE.replacen("[registry]", image, 1);
    assert_eq!(problems(&pipeline, TASK_DEFINITION), "");
}

/// Each rule: a change that breaks it, in one of the two files. The files as they stand break none.
#[test]
fn every_rule_fires_where_it_should_and_nowhere_else() {
    assert_eq!(problems(PIPELINE, TASK_DEFINITION), "");
    let (toml, json) = (true, false);
    let health = r#""healthCheck": {"command": ["CMD", "/app", "health"]},"#;
    let side = r#""name": "sidecar","#;
    let app = r#""name": "app","#;
    let family = r#""family": "api","#;
    let table = [
        ("no-health-check", json, health, ""),
        (
            "shell-health-check",
            json,
            r#""CMD", "/app", "health""#,
            r#""CMD-SHELL", "curl -f localhost""#,
        ),
        (
            "shell-health-check",
            json,
            r#""/app", "health""#,
            r#""curl", "-f", "localhost""#,
        ),
        (
            "few-healthy-tasks",
            toml,
            "timeout",
            "minimum-healthy-percent = 0\ntimeout",
        ),
        (
            "cannot-roll",
            toml,
            "allow-variables = true",
            "allow-variables = true\nembedded = { desired-count = 2 }\n[environments.x]",
        ),
        ("short-timeout", toml, "10m", "5m"),
        ("no-circuit-breaker", toml, "circuit-breaker = true", ""),
        (
            "short-stop-timeout",
            toml,
            "name = \"api\"",
            "name = \"api\"\ngrace = \"40s\"",
        ),
        (
            "secret-in-environment",
            json,
            "DATABASE_URL\", \"value\": \"replaced",
            "DB_PASSWORD\", \"value\": \"correct-horse",
        ),
        (
            "secret-in-environment",
            toml,
            "LOG_LEVEL = \"debug\"",
            "KEY = \"AKIAIOSFODNN7EXAMPLE\"",
        ),
        (
            "secret-not-a-reference",
            toml,
            "/local/api/database-url",
            "postgres://a:b@c/d",
        ),
        (
            "privileged",
            json,
            side,
            r#""name": "sidecar", "privileged": true,"#,
        ),
        (
            "root-user",
            json,
            side,
            r#""name": "sidecar", "user": "0:0","#,
        ),
        (
            "writable-root",
            json,
            r#""essential": false, "readonlyRootFilesystem": true"#,
            r#""essential": false"#,
        ),
        ("floating-image", json, "otel@sha256:aa", "otel:latest"),
        (
            "no-log-configuration",
            json,
            r#",
     "logConfiguration": {"logDriver": "awslogs"}}"#,
            "}",
        ),
        (
            "architecture-mismatch",
            toml,
            "[registry]",
            "platform = \"linux/arm64\"\n[registry]",
        ),
        (
            "memory-over-task",
            json,
            side,
            r#""name": "sidecar", "memory": 4096,"#,
        ),
        (
            "no-execution-role",
            json,
            r#""executionRoleArn": "arn:aws:iam::${account}:role/api","#,
            "",
        ),
        (
            "unknown-volume",
            json,
            app,
            r#""name": "app", "mountPoints": [{"sourceVolume": "data"}],"#,
        ),
        (
            "unknown-container",
            json,
            app,
            r#""name": "app", "dependsOn": [{"containerName": "sidecat", "condition": "START"}],"#,
        ),
        (
            "dependency-cycle",
            json,
            app,
            r#""name": "app", "dependsOn": [{"containerName": "app", "condition": "START"}],"#,
        ),
        ("repeated-container", json, side, r#""name": "app","#),
        ("repeated-variable", json, "LOG_LEVEL", "DATABASE_URL"),
        (
            "no-essential-container",
            json,
            app,
            r#""name": "app", "essential": false,"#,
        ),
        ("health-check-command", json, r#""CMD", "#, ""),
        (
            "health-check-overlap",
            json,
            r#""healthCheck": {"#,
            r#""healthCheck": {"timeout": 50, "#,
        ),
        (
            "fargate-size",
            json,
            family,
            r#""family": "api", "cpu": "300", "memory": "512", "requiresCompatibilities": ["FARGATE"],"#,
        ),
        (
            "fargate-network",
            json,
            family,
            r#""family": "api", "cpu": "256", "memory": "512", "networkMode": "bridge", "requiresCompatibilities": ["FARGATE"],"#,
        ),
        (
            "awsvpc-host-port",
            json,
            app,
            r#""name": "app", "portMappings": [{"containerPort": 80, "hostPort": 81}],"#,
        ),
        (
            "foreign-placeholder",
            json,
            r#""image": "${image}""#,
            r#""image": "<IMAGE1_NAME>""#,
        ),
        (
            "read-only-member",
            json,
            family,
            r#""family": "api", "revision": 7,"#,
        ),
        (
            "null-member",
            json,
            family,
            r#""family": "api", "cpu": null,"#,
        ),
        (
            "size-spelling",
            json,
            family,
            r#""family": "api", "memory": "2 GB","#,
        ),
        (
            "unused-allow",
            toml,
            "[environments.local]",
            "[[allow]]\nrule = \"privileged\"\nreason = \"x\"\n[environments.local]",
        ),
        (
            "unknown-rule",
            toml,
            "[environments.local]",
            "[[allow]]\nrule = \"toml-syntax\"\nreason = \"x\"\n[environments.local]",
        ),
        ("not-an-account", toml, "123456789012", "1234"),
        ("variable-and-secret", toml, "LOG_LEVEL =", "DATABASE_URL ="),
        (
            "bad-platforms",
            toml,
            "[registry]",
            "platforms = []\n[registry]",
        ),
        (
            "bad-platforms",
            toml,
            "[registry]",
            "platform = \"linux/arm64\"\nplatforms = [\"linux/amd64\"]\n[registry]",
        ),
        (
            "bad-platforms",
            toml,
            "[registry]",
            "platforms = [\"linux/amd64\", \"linux/amd64\"]\n[registry]",
        ),
        (
            "architecture-mismatch",
            toml,
            "[registry]",
            "platforms = [\"linux/arm64\"]\n[registry]",
        ),
        (
            "not-a-user",
            toml,
            "[registry]",
            "[image]\nuser = \"nobody\"\n[registry]",
        ),
        (
            "not-a-user",
            toml,
            "[registry]",
            "[image]\nuser = \"1:99999999999\"\n[registry]",
        ),
        (
            "bad-image-file",
            toml,
            "[registry]",
            "[image]\nfiles = [{ from = \"../x\", to = \"/x\" }]\n[registry]",
        ),
        (
            "bad-image-file",
            toml,
            "[registry]",
            "[image]\nfiles = [{ from = \"x\", to = \"x\" }]\n[registry]",
        ),
        (
            "bad-image-file",
            toml,
            "[registry]",
            "[image]\nfiles = [{ from = \"x\", to = \"/a/../x\" }]\n[registry]",
        ),
        ("bare-containers", json, TASK_DEFINITION, "[]"),
    ];
    for (code, in_pipeline, from, to) in table {
        let (mut pipeline, mut task) = (PIPELINE.to_owned(), TASK_DEFINITION.to_owned());
        let file = if in_pipeline {
            &mut pipeline
        } else {
            &mut task
        };
        assert!(file.contains(from), "{code}: {from}");
        *file = file.replacen(from, to, 1);
        if code == "awsvpc-host-port" {
            task = task.replace(family, r#""family": "api", "networkMode": "awsvpc","#);
        }
        if code == "memory-over-task" {
            task = task.replace(family, r#""family": "api", "memory": "2048","#);
        }
        if code == "cannot-roll" {
            pipeline = pipeline.replace("timeout =", "maximum-percent = 100\ntimeout =");
        }
        let found = load_from(&files(&pipeline, &task)).problems;
        assert!(rules::find(code).is_some(), "{code} is documented");
        assert!(
            found.iter().any(|problem| problem.code == code),
            "{code}: {}",
            render(&found, Format::Concise, false)
        );
        for problem in found {
            assert!(
                rules::find(problem.code).is_some(),
                "{} is documented",
                problem.code
            );
        }
    }
}

#[test]
fn a_rule_can_be_broken_on_purpose_with_a_reason() {
    let task = TASK_DEFINITION.replace("otel@sha256:aa", "otel:latest");
    assert!(problems(PIPELINE, &task).contains("floating-image"));
    let pipeline = format!(
        "{PIPELINE}\n[[allow]]\nrule = \"floating-image\"\nreason = \"our own, built with the service\"\n"
    );
    assert_eq!(problems(&pipeline, &task), "");
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

/// What people's files hold besides is accepted with a note, and the clean file has nothing to note.
#[test]
fn what_people_have_is_accepted_and_can_be_written_clean() {
    let described = format!(r#"{{"taskDefinition": {TASK_DEFINITION}, "tags": []}}"#)
        .replace(r#""family": "api","#, r#""family": "api", "revision": 3, "status": "ACTIVE", "cpu": 256, "memory": ".5 GB", "taskRoleArn": null,"#);
    let utf16: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(described.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let mut people = files(PIPELINE, "");
    people.insert("app/task-definition.json".into(), utf16);
    let loaded = load_from(&people);
    insta::assert_snapshot!("accepted", render(&loaded.problems, Format::Concise, false));
    let clean = loaded.clean.unwrap();
    assert_eq!(clean.path, Path::new("app/task-definition.json"));
    insta::assert_snapshot!("clean", clean.text);
    let again = load_from(&files(PIPELINE, &clean.text));
    assert_eq!((again.problems.as_slice(), again.clean), (&[][..], None));
    assert_eq!(
        again.service.unwrap().task_definition,
        loaded.service.unwrap().task_definition
    );
}

#[test]
fn an_environment_may_have_any_member_otherwise() {
    let pipeline = format!(
        "{PIPELINE}\nunset = [\"containerDefinitions.sidecar\"]\n[environments.production.override]\ntaskRoleArn = \"arn:aws:iam::123456789012:role/other\"\n[[environments.production.override.containerDefinitions]]\nname = \"app\"\nstopTimeout = 60\n"
    );
    let service = load_from(&files(&pipeline, TASK_DEFINITION))
        .service
        .unwrap();
    let inputs = Inputs {
        environment: "production",
        image: "i",
        commit: "c",
        account: "",
        region: "",
        variables: &BTreeMap::new(),
    };
    insta::assert_snapshot!("override", service.render(&inputs).unwrap());
    let wrong = pipeline.replace("stopTimeout = 60", "stopTimeout = \"60\"\nstoptimeout = 1");
    insta::assert_snapshot!("override_wrong", problems(&wrong, TASK_DEFINITION));
}

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

/// Every path of RegisterTaskDefinition's input, from the ECS API model, is in the schema with its type and words.
#[test]
fn the_schema_has_every_member_of_the_api() {
    let schema: serde_json::Value = serde_json::from_str(&schema::task_definition()).unwrap();
    let table = include_str!("fixtures/register-task-definition.tsv");
    let mut seen = 0;
    for line in table.lines().skip(1) {
        let mut columns = line.split('\t');
        let (path, kind) = (columns.next().unwrap(), columns.next().unwrap());
        let required = columns.next().unwrap_or_default() == "yes";
        let words: Vec<&str> = columns
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let (parent, node, name) = at(&schema, path);
        assert!(node["description"].is_string(), "{path} has no description");
        let required_here = parent["required"]
            .as_array()
            .is_some_and(|list| list.contains(&name.into()));
        assert_eq!(required_here, required, "{path}: required");
        let node = resolve(&schema, node);
        let leaf = if path.ends_with("[]") {
            resolve(&schema, &node["items"])
        } else {
            node
        };
        let expected = match kind {
            "structure" | "list of structure" | "map of string" => "object",
            "list of string" => "string",
            "list of integer" => "integer",
            other => other,
        };
        let words_here: Vec<&str> = leaf["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|word| word["const"].as_str().or(word["enum"][0].as_str()))
            .collect();
        if words.is_empty() {
            assert_eq!(leaf["type"], expected, "{path}");
        } else {
            assert_eq!(words_here, words, "{path}");
        }
        seen += 1;
    }
    assert_eq!(seen, 162);
}

fn resolve<'a>(
    schema: &'a serde_json::Value,
    node: &'a serde_json::Value,
) -> &'a serde_json::Value {
    let reference = node["$ref"].as_str().or(node["allOf"][0]["$ref"].as_str());
    reference.map_or(node, |reference| schema.pointer(&reference[1..]).unwrap())
}

/// The object that a path's last member belongs to, the member's schema, and its name.
fn at<'a>(
    schema: &'a serde_json::Value,
    path: &'a str,
) -> (&'a serde_json::Value, &'a serde_json::Value, &'a str) {
    let mut parent = schema;
    let mut node = schema;
    let mut last = "";
    for step in path.split('.') {
        let name = step.trim_end_matches("[]");
        if !last.is_empty() {
            node = resolve(schema, node);
            if last.ends_with("[]") {
                node = resolve(schema, &node["items"]);
            }
        }
        parent = node;
        node = &node["properties"][name];
        assert!(node.is_object(), "{path}: {name} is not in the schema");
        last = step;
    }
    (parent, node, last.trim_end_matches("[]"))
}
