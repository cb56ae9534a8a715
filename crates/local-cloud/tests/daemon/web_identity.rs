//! The way of a pipeline without keys: a token of the issuer, a role, temporary credentials.

use local_cloud::client::{Instance, TokenRequest, calls};
use serde_json::{Value, json};

use super::Test;
use super::support::{Answer, Cloud, Key, send, signed_with};

pub const TESTS: &[Test] = &[
    (
        "web_identity::a_token_becomes_credentials_that_sign",
        a_token_becomes_credentials_that_sign,
    ),
    (
        "web_identity::what_is_wrong_with_a_token_is_told",
        what_is_wrong_with_a_token_is_told,
    ),
];

const ROLE: &str = "arn:aws:iam::000000000000:role/deployer";
const LIST: &str = "AmazonEC2ContainerServiceV20141113.ListClusters";

fn token(cloud: &Cloud, audience: &str) -> String {
    let wanted = TokenRequest {
        issuer: None,
        audience: audience.to_owned(),
        subject: "repo:acme/api:ref:refs/heads/main".to_owned(),
        claims: std::collections::BTreeMap::new(),
        seconds: 60,
    };
    let token = cloud.instance.token(&wanted);
    cloud.runtime.block_on(token).unwrap()
}

fn assume(cloud: &Cloud, role: &str, token: &str) -> Answer {
    let form: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", role)
        .append_pair("RoleSessionName", "ci")
        .append_pair("WebIdentityToken", token)
        .finish();
    send(&cloud.instance, "POST", "/", &Vec::new(), form.as_bytes())
}

/// What is between `<name>` and `</name>`.
fn inside(answer: &Answer, name: &str) -> String {
    let text = String::from_utf8(answer.body.clone()).unwrap();
    let (_, rest) = text.split_once(&format!("<{name}>")).unwrap();
    rest.split_once(&format!("</{name}>")).unwrap().0.to_owned()
}

fn call(instance: &Instance, key: &Key, target: &str, request: &Value) -> (u16, Value) {
    let body = request.to_string();
    let headers = signed_with(key, instance, target, body.as_bytes());
    let answer = send(instance, "POST", "/", &headers, body.as_bytes());
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

fn a_token_becomes_credentials_that_sign() {
    let mut cloud = Cloud::start();
    let token = token(&cloud, "sts.amazonaws.com");
    let answer = assume(&cloud, ROLE, &token);
    assert_eq!(answer.status, 200, "{answer:?}");
    let arn = "arn:aws:sts::000000000000:assumed-role/deployer/ci";
    assert_eq!(inside(&answer, "Arn"), arn);
    let key = Key {
        id: inside(&answer, "AccessKeyId"),
        secret: inside(&answer, "SecretAccessKey"),
        token: Some(inside(&answer, "SessionToken")),
    };
    assert!(key.id.starts_with("ASIA"));
    // The session is good over a restart, and nothing is good without its token.
    cloud.restart();
    let instance = &cloud.instance;
    assert_eq!(call(instance, &key, LIST, &json!({})).0, 200);
    for bad in [
        Key {
            token: None,
            ..key.clone()
        },
        Key {
            secret: "x".repeat(40),
            ..key.clone()
        },
        Key {
            token: Some(format!("{}x", key.token.clone().unwrap())),
            ..key.clone()
        },
    ] {
        assert_eq!(call(instance, &bad, LIST, &json!({})).0, 400, "{bad:?}");
    }

    // The registry knows whose token it is.
    let (_, login) = call(
        instance,
        &key,
        "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
        &json!({}),
    );
    let login = login["authorizationData"][0]["authorizationToken"].clone();
    let basic = format!("Basic {}", login.as_str().unwrap());
    let headers = vec![("authorization".to_owned(), basic)];
    send(instance, "GET", "/v2/api/tags/list", &headers, b"");

    let log = calls(&cloud.home()).unwrap();
    let callers: Vec<(&str, &str, &str)> = log
        .iter()
        .map(|call| {
            let outcome = call.outcome.as_str();
            (call.action.as_str(), call.caller.as_str(), outcome)
        })
        .collect();
    assert_eq!(
        callers,
        [
            ("sts:AssumeRoleWithWebIdentity", arn, "ok"),
            ("ecs:ListClusters", arn, "ok"),
            ("ecs:ListClusters", "refused", "UnrecognizedClientException"),
            ("ecs:ListClusters", "refused", "InvalidSignatureException"),
            ("ecs:ListClusters", "refused", "UnrecognizedClientException"),
            ("ecr:GetAuthorizationToken", arn, "ok"),
            ("ecr:ListImages", arn, "NAME_UNKNOWN"),
        ]
    );
    let text = std::fs::read_to_string(cloud.home().join("calls.jsonl")).unwrap();
    for secret in [&token, &key.secret, key.token.as_ref().unwrap()] {
        assert!(!text.contains(secret.as_str()));
    }
}

fn what_is_wrong_with_a_token_is_told() {
    let cloud = Cloud::start();
    let good = token(&cloud, "sts.amazonaws.com");
    let other_audience = token(&cloud, "another");
    let foreign = token(&Cloud::start(), "sts.amazonaws.com");
    for (role, token, code) in [
        (ROLE, foreign.as_str(), "InvalidIdentityToken"),
        (ROLE, "not a token", "InvalidIdentityToken"),
        (ROLE, &other_audience, "AccessDenied"),
        (
            "arn:aws:iam::111111111111:role/deployer",
            &good,
            "AccessDenied",
        ),
        ("", &good, "ValidationError"),
    ] {
        let answer = assume(&cloud, role, token);
        assert!(answer.status >= 400);
        assert_eq!(inside(&answer, "Code"), code, "{role}");
    }
    let jwks = send(
        &cloud.instance,
        "GET",
        "/.well-known/jwks",
        &Vec::new(),
        b"",
    );
    let jwks: Value = serde_json::from_slice(&jwks.body).unwrap();
    assert_eq!(jwks["keys"][0]["alg"], "ES256");
}
