//! The call log.

use local_cloud::client::{Call, calls};
use serde_json::json;

use super::Test;
use super::support::{Cloud, send};

pub const TESTS: &[Test] = &[(
    "calls::every_request_is_in_the_log_as_the_permissions_it_needed",
    every_request_is_in_the_log_as_the_permissions_it_needed,
)];

const ECS: &str = "AmazonEC2ContainerServiceV20141113";
const ECR: &str = "AmazonEC2ContainerRegistry_V20150921";

fn every_request_is_in_the_log_as_the_permissions_it_needed() {
    let mut cloud = Cloud::start();
    cloud.call(
        &format!("{ECS}.UpdateService"),
        &json!({"cluster": "local", "service": "api"}),
    );
    cloud.call(
        &format!("{ECS}.RegisterTaskDefinition"),
        &json!({
            "family": "api",
            "executionRoleArn": "arn:aws:iam::000000000000:role/execution",
            "containerDefinitions": [{"name": "api", "image": "api", "memory": 64}],
        }),
    );
    let secret = "the value of a secret";
    cloud.call(
        "AmazonSSM.PutParameter",
        &json!({"Name": "/a", "Value": secret, "Type": "SecureString"}),
    );
    let form = b"Action=GetCallerIdentity&Version=2011-06-15";
    send(&cloud.instance, "POST", "/", &Vec::new(), form);
    cloud.call(
        &format!("{ECR}.CreateRepository"),
        &json!({"repositoryName": "team/api"}),
    );
    let (_, token) = cloud.call(&format!("{ECR}.GetAuthorizationToken"), &json!({}));
    let token = token["authorizationData"][0]["authorizationToken"]
        .as_str()
        .unwrap();
    let basic = vec![("authorization".to_owned(), format!("Basic {token}"))];
    for headers in [&basic, &Vec::new()] {
        send(
            &cloud.instance,
            "GET",
            "/v2/team/api/manifests/v1",
            headers,
            b"",
        );
    }
    cloud.restart();
    cloud.call(&format!("{ECS}.ListClusters"), &json!({}));

    let log = calls(&cloud.home()).unwrap();
    let seen: Vec<(&str, &str, &str, &str)> = log
        .iter()
        .map(|call| {
            (
                call.action.as_str(),
                call.resources[0].as_str(),
                call.caller.as_str(),
                call.outcome.as_str(),
            )
        })
        .collect();
    let owner = "arn:aws:iam::000000000000:user/longshore";
    let repository = "arn:aws:ecr:us-east-1:000000000000:repository/team/api";
    let revision = "arn:aws:ecs:us-east-1:000000000000:task-definition/api:*";
    assert_eq!(
        seen,
        [
            (
                "ecs:UpdateService",
                "arn:aws:ecs:us-east-1:000000000000:service/local/api",
                owner,
                "ClusterNotFoundException"
            ),
            ("ecs:RegisterTaskDefinition", revision, owner, "ok"),
            (
                "iam:PassRole",
                "arn:aws:iam::000000000000:role/execution",
                owner,
                "ok"
            ),
            (
                "ssm:PutParameter",
                "arn:aws:ssm:us-east-1:000000000000:parameter/a",
                owner,
                "ok"
            ),
            (
                "sts:GetCallerIdentity",
                "*",
                "anonymous",
                "MissingAuthenticationToken"
            ),
            ("ecr:CreateRepository", repository, owner, "ok"),
            ("ecr:GetAuthorizationToken", "*", owner, "ok"),
            ("ecr:BatchGetImage", repository, owner, "MANIFEST_UNKNOWN"),
            ("ecr:BatchGetImage", repository, "anonymous", "UNAUTHORIZED"),
            ("ecs:ListClusters", "*", owner, "ok"),
        ]
    );
    let pass: Vec<&Call> = log
        .iter()
        .filter(|call| call.implied_by.is_some())
        .collect();
    assert_eq!(
        pass[0].implied_by.as_deref(),
        Some("ecs:RegisterTaskDefinition")
    );
    assert_eq!(pass[0].request_id, log[1].request_id);
    let text = std::fs::read_to_string(cloud.home().join("calls.jsonl")).unwrap();
    assert!(!text.contains(secret) && !text.contains(token));
    assert!(!text.contains(&cloud.instance.secret_access_key));
}
