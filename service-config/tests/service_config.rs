//! The configuration as its users meet it: files in; a service, or problems with places, out.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use diagnostic::{Format, render};
use service_config::{Inputs, Service, load, schema};

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
    {"name": "sidecar", "image": "otel@sha256:aa", "essential": false},
    {
      "image": "${image}", "name": "app",
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

fn load_from(files: &HashMap<String, Vec<u8>>) -> Result<Service, Vec<diagnostic::Diagnostic>> {
    load(Path::new("app/pipeline.toml"), &|path| {
        let name = path.to_string_lossy().into_owned();
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        files.get(&name).cloned().ok_or_else(missing)
    })
}

fn problems(pipeline: &str, task_definition: &str) -> String {
    let problems = load_from(&files(pipeline, task_definition)).unwrap_err();
    render(&problems, Format::Concise, false)
}

fn rendered(environment: &str, variables: &BTreeMap<String, String>) -> String {
    let service = load_from(&files(PIPELINE, TASK_DEFINITION)).unwrap();
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
fn an_unknown_environment_is_answered_with_the_known_ones() {
    let service = load_from(&files(PIPELINE, TASK_DEFINITION)).unwrap();
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
    let missing = load_from(&only_pipeline).unwrap_err();
    insta::assert_snapshot!(
        "no_task_definition",
        render(&missing, Format::Concise, false)
    );
    let nothing = load_from(&HashMap::new()).unwrap_err();
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
