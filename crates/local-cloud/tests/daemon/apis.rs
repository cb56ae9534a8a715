//! AWS's APIs: signatures, errors, and that each service is there.

use serde_json::{Value, json};

use super::Test;
use super::support::{Cloud, send, signed};

pub const TESTS: &[Test] = &[
    ("apis::every_service_answers", every_service_answers),
    (
        "apis::an_unsigned_request_is_refused",
        an_unsigned_request_is_refused,
    ),
    (
        "apis::a_request_that_was_changed_is_refused",
        a_request_that_was_changed_is_refused,
    ),
    (
        "apis::errors_have_the_form_that_sdks_read",
        errors_have_the_form_that_sdks_read,
    ),
    (
        "apis::the_admin_api_wants_its_token",
        the_admin_api_wants_its_token,
    ),
];

fn every_service_answers() {
    let cloud = Cloud::start();
    for (target, request, member) in [
        (
            "AmazonEC2ContainerServiceV20141113.ListClusters",
            json!({}),
            "clusterArns",
        ),
        (
            "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories",
            json!({}),
            "repositories",
        ),
        ("AmazonSSM.DescribeParameters", json!({}), "Parameters"),
        ("secretsmanager.ListSecrets", json!({}), "SecretList"),
        ("Logs_20140328.DescribeLogGroups", json!({}), "logGroups"),
    ] {
        let (status, answer) = cloud.call(target, &request);
        assert_eq!(status, 200, "{target}: {answer}");
        assert!(answer[member].is_array(), "{target}: {answer}");
    }
}

fn an_unsigned_request_is_refused() {
    let cloud = Cloud::start();
    let target = "AmazonSSM.DescribeParameters";
    let headers = vec![("x-amz-target".to_owned(), target.to_owned())];
    let answer = send(&cloud.instance, "POST", "/", &headers, b"{}");
    assert_eq!(answer.status, 400);
    assert_eq!(code(&answer.body), "MissingAuthenticationTokenException");
    assert!(answer.header("x-amzn-requestid").is_some());

    let form = b"Action=GetCallerIdentity&Version=2011-06-15";
    let answer = send(&cloud.instance, "POST", "/", &Vec::new(), form);
    assert_eq!(answer.status, 403);
    let body = String::from_utf8(answer.body).unwrap();
    assert!(
        body.contains("<Code>MissingAuthenticationToken</Code>"),
        "{body}"
    );
}

fn a_request_that_was_changed_is_refused() {
    let cloud = Cloud::start();
    let headers = signed(&cloud.instance, "AmazonSSM.DescribeParameters", b"{}");
    let answer = send(
        &cloud.instance,
        "POST",
        "/",
        &headers,
        b"{\"MaxResults\":1}",
    );
    assert_eq!(code(&answer.body), "InvalidSignatureException");
    let answer = send(&cloud.instance, "POST", "/other", &headers, b"{}");
    assert_eq!(code(&answer.body), "InvalidSignatureException");
    let answer = send(&cloud.instance, "POST", "/", &headers, b"{}");
    assert_eq!(answer.status, 200);
}

fn errors_have_the_form_that_sdks_read() {
    let cloud = Cloud::start();
    let target = "AmazonEC2ContainerRegistry_V20150921.DescribeImages";
    let body = json!({"repositoryName": "none"}).to_string();
    let headers = signed(&cloud.instance, target, body.as_bytes());
    let answer = send(&cloud.instance, "POST", "/", &headers, body.as_bytes());
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.header("content-type"),
        Some("application/x-amz-json-1.1")
    );
    assert_eq!(
        answer.header("x-amzn-errortype"),
        Some("RepositoryNotFoundException")
    );
    assert_eq!(code(&answer.body), "RepositoryNotFoundException");

    let large = vec![b' '; 5 << 20];
    let answer = send(&cloud.instance, "POST", "/", &headers, &large);
    assert_eq!(answer.status, 413);
    let (_, answer) = cloud.call("DynamoDB_20120810.ListTables", &json!({}));
    assert_eq!(answer["__type"], "UnknownOperationException");
}

fn the_admin_api_wants_its_token() {
    let cloud = Cloud::start();
    for headers in [
        Vec::new(),
        vec![("authorization".to_owned(), "Bearer wrong".to_owned())],
    ] {
        let answer = send(&cloud.instance, "POST", "/_local/shutdown", &headers, b"");
        assert_eq!(answer.status, 401);
    }
    let status = cloud.runtime.block_on(cloud.instance.status()).unwrap();
    assert_eq!(status.pid, std::process::id());
    assert_eq!(status.endpoint, cloud.instance.endpoint);
}

fn code(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    assert!(body["message"].is_string());
    body["__type"].as_str().unwrap().to_owned()
}
