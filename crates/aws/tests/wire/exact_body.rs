//! What was rendered is what is sent, byte for byte; and what is described comes back with members that the SDK does not know.

use rollout::execute::{Answer, Call};

use super::{Reply, Stub};

#[tokio::test]
async fn the_rendered_document_is_the_body_of_the_request() {
    // Member order, spacing and a member of the future: nothing is touched.
    let document = "{\n  \"family\": \"api\",\n  \"memberOfTheFuture\": [1, 2],\n  \"containerDefinitions\": []\n}\n";
    let body = r#"{"taskDefinition": {"taskDefinitionArn": "arn:1"}}"#;
    let stub = Stub::start(move |_| Reply::Answer(200, body.to_owned())).await;
    let call = Call::RegisterTaskDefinition {
        document: document.to_owned(),
    };
    let aws = stub.connect().await;
    let answer = aws
        .call("cluster", "service", call)
        .await
        .expect("it is registered");
    assert_eq!(answer, Answer::Registered("arn:1".to_owned()));
    let request = stub.seen().remove(0);
    assert_eq!(request.body, document);
    assert!(
        request
            .head
            .contains("AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition"),
        "{}",
        request.head
    );
    assert!(
        request
            .head
            .contains("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"),
        "{}",
        request.head
    );
}

#[tokio::test]
async fn a_described_document_keeps_what_the_sdk_does_not_know() {
    let body = r#"{"taskDefinition": {"family": "api", "memberOfTheFuture": 7}}"#;
    let stub = Stub::start(move |_| Reply::Answer(200, body.to_owned())).await;
    let aws = stub.connect().await;
    let document = aws.task_definition("api:1").await.expect("it is described");
    assert_eq!(document["memberOfTheFuture"], 7);
}
