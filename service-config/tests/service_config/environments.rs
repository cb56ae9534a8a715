//! What an environment makes of the two files, and what is sent to ECS.

use std::collections::BTreeMap;

use service_config::Inputs;

use crate::{PIPELINE, TASK_DEFINITION, files, load_from, problems};

fn rendered(environment: &str, variables: &BTreeMap<String, String>) -> String {
    let service = load_from(&files(PIPELINE, TASK_DEFINITION))
        .service
        .unwrap();
    let inputs = Inputs {
        environment,
        image: "registry.example/team/api@sha256:1111",
        commit: "abc1234",
        branch: "main",
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
        branch: "b",
        account: "",
        region: "",
        variables: &BTreeMap::new(),
    };
    insta::assert_snapshot!("override", service.render(&inputs).unwrap());
    let wrong = pipeline.replace("stopTimeout = 60", "stopTimeout = \"60\"\nstoptimeout = 1");
    insta::assert_snapshot!("override_wrong", problems(&wrong, TASK_DEFINITION));
}

const VALUES: &str = r#"
[values]
level = "info"
zone = "${region}-${env}"

[environments.local.values]
level = "debug"
"#;

fn filled(environment: &str, pipeline: &str, text: &str) -> String {
    let task = TASK_DEFINITION.replace(r#""value": "info""#, r#""value": "${level}/${zone}""#);
    let loaded = load_from(&files(pipeline, &task));
    let service = loaded
        .service
        .unwrap_or_else(|| panic!("{:?}", loaded.problems));
    let no_variables = BTreeMap::new();
    let inputs = Inputs {
        environment,
        image: "i@sha256:1",
        commit: "c0ffee",
        branch: "feature/x",
        account: "000000000000",
        region: "us-east-1",
        variables: &no_variables,
    };
    let rendered: serde_json::Value =
        serde_json::from_str(&service.render(&inputs).unwrap()).unwrap();
    let variables = &rendered["containerDefinitions"][1]["environment"];
    assert_eq!(rendered["family"], "api");
    format!(
        "{} {}",
        service.values(&inputs).unwrap().fill(text),
        variables[variables.as_array().unwrap().len() - 1]["value"]
    )
}

#[test]
fn named_values_stand_in_both_files_and_an_environment_has_its_own() {
    let pipeline = PIPELINE
        .replace(
            "LOG_LEVEL = \"debug\"",
            "LOG_LEVEL = \"debug\", X = \"${level}/${zone}\"",
        )
        .replace(
            "service = \"api-production\"",
            "variables = { X = \"${level}/${zone}\" }",
        )
        + VALUES;
    let text = "${commit} ${branch} ${level} $${level} ${service}";
    assert_eq!(
        filled("local", &pipeline, text),
        "c0ffee feature/x debug ${level} api \"debug/us-east-1-local\""
    );
    assert_eq!(
        filled("production", &pipeline, text),
        "c0ffee feature/x info ${level} api \"info/eu-central-1-production\""
    );
}

/// A value is filled in once: what a value holds is text.
#[test]
fn a_value_names_built_in_names_only() {
    let pipeline = format!("{PIPELINE}\n[values]\na = \"1\"\nb = \"${{a}}\"\n");
    let task = TASK_DEFINITION.replace("\"info\"", "\"${a}${b}\"");
    let told = problems(&pipeline, &task);
    assert!(
        told.contains("error[unknown-placeholder] `${a}` stands for nothing"),
        "{told}"
    );
}

#[test]
fn what_an_environment_makes_of_the_whole_is_told_at_the_environment() {
    let cases = [
        // A new container that lacks what a container needs.
        "[[environments.local.override.containerDefinitions]]\nname = \"new\"\nimage = \"x@sha256:aa\"\ndependsOn = [{ containerName = \"gone\", condition = \"START\" }]\n",
        // An entry that is merged into nothing, and is no whole.
        "[[environments.local.override.containerDefinitions]]\nname = \"app\"\nulimits = [{ name = \"nofile\", softLimit = 1 }]\n",
        // Two things that only together are wrong.
        "[environments.local.override]\nnetworkMode = \"bridge\"\nrequiresCompatibilities = [\"FARGATE\"]\n[environments.local]\ncpu = \"256\"\nmemory = \"4096\"\n",
        // What is taken out was needed.
        "[environments.local]\nunset = [\"family\", \"containerDefinitions.sidecar\", \"containerDefinitions.side\"]\n",
        // A lint that only the whole breaks.
        "[environments.local]\nunset = [\"executionRoleArn\", \"containerDefinitions.app.healthCheck\"]\n",
        // Values that one environment has and another lacks.
        "[environments.local]\nvariables = { A = \"${here}\" }\n[environments.local.values]\nhere = \"1\"\n[environments.production.override]\ntaskRoleArn = \"${here}\"\n",
    ];
    let mut told = String::new();
    for case in cases {
        // The cases bring their own table of the environment.
        let base = PIPELINE.replace("[environments.local]\n", "[environments.other]\n");
        let pipeline = format!("{base}\n{case}");
        told += &problems(&pipeline, TASK_DEFINITION);
        told += "--\n";
    }
    insta::assert_snapshot!("wholes", told);
}
