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
