use serde_json::json;

use super::*;

fn place() -> Place {
    Place {
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        port: 1,
    }
}

#[test]
fn resources_are_those_that_policies_name() {
    let ecs = "arn:aws:ecs:us-east-1:000000000000";
    let logs = "arn:aws:logs:us-east-1:000000000000:log-group:/local/api";
    let deployment = format!("{ecs}:service-deployment/local/api/id");
    let cases: Vec<(Service, &str, Value, Vec<String>)> = vec![
        (
            Service::Ecs,
            "UpdateService",
            json!({"cluster": format!("{ecs}:cluster/local"), "service": "api"}),
            vec![format!("{ecs}:service/local/api")],
        ),
        (
            Service::Ecs,
            "DescribeServices",
            json!({"services": ["a", format!("{ecs}:service/local/b")]}),
            vec![
                format!("{ecs}:service/default/a"),
                format!("{ecs}:service/local/b"),
            ],
        ),
        (
            Service::Ecs,
            "StopServiceDeployment",
            json!({"serviceDeploymentArn": deployment}),
            vec![format!("{ecs}:service/local/api"), deployment.clone()],
        ),
        (
            Service::Ecs,
            "RunTask",
            json!({"cluster": "local", "taskDefinition": "api"}),
            vec![format!("{ecs}:task-definition/api:*")],
        ),
        (
            Service::Ecs,
            "DescribeTaskDefinition",
            json!({}),
            vec!["*".to_owned()],
        ),
        (
            Service::Ecs,
            "UpdateService",
            Value::Null,
            vec!["*".to_owned()],
        ),
        (
            Service::Logs,
            "GetLogEvents",
            json!({"logGroupName": "/local/api", "logStreamName": "api/api/1"}),
            vec![format!("{logs}:log-stream:api/api/1")],
        ),
        (
            Service::Logs,
            "FilterLogEvents",
            json!({"logGroupIdentifier": format!("{logs}:*")}),
            vec![format!("{logs}:*")],
        ),
        (
            Service::Ssm,
            "GetParameters",
            json!({"Names": ["/local/api/url:2", "plain"]}),
            vec![
                place().arn("ssm", "parameter/local/api/url"),
                place().arn("ssm", "parameter/plain"),
            ],
        ),
        (
            Service::Secrets,
            "DescribeSecret",
            json!({"SecretId": "db"}),
            vec![place().arn("secretsmanager", "secret:db-??????")],
        ),
        (
            Service::Ecr,
            "DescribeRepositories",
            json!({}),
            vec![place().arn("ecr", "repository/*")],
        ),
    ];
    for (service, operation, request, expected) in cases {
        let needs = of_api(service, operation, &request, &place());
        assert_eq!(needs.len(), 1, "{operation}: {needs:?}");
        assert_eq!(needs[0].resources, expected, "{operation}");
        assert!(needs[0].action.ends_with(operation));
    }
}

#[test]
fn a_revision_with_roles_and_tags_needs_three_permissions() {
    let request = json!({
        "family": "api",
        "taskRoleArn": "task",
        "executionRoleArn": "arn:aws:iam::000000000000:role/execution",
        "tags": [{"key": "commit", "value": "1"}],
    });
    let needs = of_api(Service::Ecs, "RegisterTaskDefinition", &request, &place());
    let actions: Vec<&str> = needs.iter().map(|need| need.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "ecs:RegisterTaskDefinition",
            "iam:PassRole",
            "ecs:TagResource"
        ]
    );
    assert_eq!(
        needs[1].resources,
        [
            "arn:aws:iam::000000000000:role/execution",
            "arn:aws:iam::000000000000:role/task"
        ]
    );
    assert_eq!(needs[2].resources, needs[0].resources);
}

#[test]
fn the_registry_needs_what_the_api_would() {
    let need = of_registry("PutImage", Some("team/api"), &place());
    assert_eq!(need.action, "ecr:PutImage");
    assert_eq!(
        need.resources,
        ["arn:aws:ecr:us-east-1:000000000000:repository/team/api"]
    );
}
