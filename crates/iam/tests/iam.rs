//! The roles, as a person reviews them before they are made.

use std::io;
use std::path::Path;

use iam::{Input, Problem, Roles, cloudformation, roles, terraform};
use service_config::Service;

const TASK: &str = r#"{"family": "orders", "executionRoleArn": "arn:aws:iam::${account}:role/ecs/orders-execution", "taskRoleArn": "arn:aws:iam::${account}:role/orders", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [{"name": "app", "image": "${image}", "essential": true,
"secrets": [{"name": "A", "valueFrom": "/production/orders/a"}, {"name": "B", "valueFrom": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orders-Ab12Cd:key::"}],
"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/${env}/orders", "awslogs-region": "${region}", "awslogs-stream-prefix": "ecs"}}}]}"#;

const ENVIRONMENT: &str = r#"account = "123456789012"
region = "eu-central-1"
cluster = "main"
branch = "main"
role = "arn:aws:iam::123456789012:role/deploy-orders"
alarms = ["orders-5xx"]
"#;

fn service(environment: &str) -> Service {
    let text = format!(
        "[service]\nname = \"orders\"\n[build]\npackage = \"./cmd\"\n[registry]\nrepository = \"team/orders\"\n[deploy]\ncontainer = \"app\"\n[[deploy.before]]\nname = \"migrate\"\ncommand = [\"migrate\"]\n[environments.production]\n{environment}"
    );
    let read = |path: &Path| match path.to_str() {
        Some("pipeline.toml") => Ok(text.clone().into_bytes()),
        Some("task-definition.json") => Ok(TASK.as_bytes().to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let mut loaded = service_config::load(Path::new("pipeline.toml"), &read);
    let service = loaded.service.take();
    service.unwrap_or_else(|| panic!("{:?}", loaded.problems))
}

fn made(services: Vec<&Service>, repository: &str) -> Result<Roles, Problem> {
    roles(&Input {
        services,
        environment: "production",
        repository,
        session_seconds: 5400,
    })
}

#[test]
fn as_documents() {
    let service = service(ENVIRONMENT);
    let roles = made(vec![&service], "acme/orders").unwrap();
    insta::assert_json_snapshot!(roles);
}

#[test]
fn as_cloudformation() {
    let service = service(ENVIRONMENT);
    let roles = made(vec![&service], "acme/orders").unwrap();
    insta::assert_snapshot!(cloudformation(&roles));
}

#[test]
fn as_terraform() {
    let service = service(ENVIRONMENT);
    let roles = made(vec![&service], "acme/orders").unwrap();
    insta::assert_snapshot!(terraform(&roles));
}

/// Two services with one role: each of its statements names the resources of both, and nothing is in it twice.
#[test]
fn one_role_for_two_services() {
    let one = service(ENVIRONMENT);
    let mut two = one.clone();
    "stock".clone_into(&mut two.pipeline.service.name);
    "team/stock".clone_into(&mut two.pipeline.registry.repository);
    let roles = made(vec![&one, &two], "acme/orders").unwrap();
    let statements = &roles.deploy.policy.statement;
    let sids: std::collections::BTreeSet<&String> =
        statements.iter().map(|statement| &statement.sid).collect();
    assert_eq!(sids.len(), statements.len());
    let push = statements
        .iter()
        .find(|statement| statement.sid == "PushImage")
        .unwrap();
    assert_eq!(push.resource.len(), 2, "{push:?}");
    assert_eq!(roles.execution.len(), 1);
}

#[test]
fn without_a_branch_the_environment_alone_is_asked_for() {
    let service = service(&ENVIRONMENT.replace("branch = \"main\"\n", ""));
    let roles = made(vec![&service], "acme/orders").unwrap();
    let claims = &roles.deploy.trust_policy.statement[0].condition["StringEquals"];
    let keys: Vec<&str> = claims
        .keys()
        .filter_map(|key| key.split(':').nth(1))
        .collect();
    assert_eq!(keys, ["aud", "sub"]);
}

#[test]
fn what_stands_in_the_way_is_named() {
    for (from, to, expected) in [
        ("account = \"123456789012\"\n", "", "has no `account`"),
        ("region = \"eu-central-1\"\n", "", "has no `region`"),
        (
            "role = \"arn:aws:iam::123456789012:role/deploy-orders\"\n",
            "",
            "has no `role`",
        ),
        (
            "iam::123456789012:role",
            "iam::999999999999:role",
            "is not the ARN of an IAM role in account 123456789012",
        ),
    ] {
        // What `check` refuses before is put in behind its back.
        let mut service = service(ENVIRONMENT);
        let environment = service.pipeline.environments.get_mut("production").unwrap();
        match to {
            "" if from.starts_with("account") => environment.account = None,
            "" if from.starts_with("region") => environment.region = None,
            "" => environment.role = None,
            _ => {
                let role = environment.role.as_ref().unwrap().replace(from, to);
                environment.role = Some(role);
            }
        }
        let problem = made(vec![&service], "acme/orders").unwrap_err().to_string();
        assert!(problem.contains(expected), "{problem}");
    }
    let service = service(ENVIRONMENT);
    for repository in ["acme", "acme/", "a/b/c", "acme/*", "*/*", "acme/a b"] {
        assert_eq!(
            made(vec![&service], repository),
            Err(Problem::Repository {
                repository: repository.to_owned()
            })
        );
    }
}
