//! What was rendered is what is sent, byte for byte; and what is described comes back with members that the SDK does not know.

use std::sync::mpsc;

use aws::{Access, Aws, Connection};
use rollout::execute::{Answer, Call};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Answers one request with a JSON body, and hands out its head and body.
async fn answer_once(
    listener: TcpListener,
    body: &'static str,
    seen: mpsc::Sender<(String, String)>,
) {
    let (mut stream, _) = listener.accept().await.expect("a client connects");
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.expect("a request comes");
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, rest)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")
                    .map(str::to_owned)
            })
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        if rest.len() >= length {
            seen.send((head.to_owned(), rest.to_owned()))
                .expect("the test listens");
            break;
        }
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .expect("the answer goes out");
}

async fn server(body: &'static str) -> (Aws, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a loopback port is free");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    let (sender, receiver) = mpsc::channel();
    tokio::spawn(answer_once(listener, body, sender));
    let connection = Connection {
        region: Some("eu-central-1".into()),
        endpoint: Some(endpoint),
        access: Some(Access {
            key_id: "AKIDEXAMPLE".into(),
            secret: "a secret".into(),
        }),
    };
    (Aws::connect(&connection).await, receiver)
}

#[tokio::test]
async fn the_rendered_document_is_the_body_of_the_request() {
    // Member order, spacing and a member of the future: nothing is touched.
    let document = "{\n  \"family\": \"api\",\n  \"memberOfTheFuture\": [1, 2],\n  \"containerDefinitions\": []\n}\n";
    let (aws, seen) = server(r#"{"taskDefinition": {"taskDefinitionArn": "arn:1"}}"#).await;
    let call = Call::RegisterTaskDefinition {
        document: document.to_owned(),
    };
    let answer = aws
        .call("cluster", "service", call)
        .await
        .expect("it is registered");
    assert_eq!(answer, Answer::Registered("arn:1".to_owned()));
    let (head, body) = seen.recv().expect("a request was seen");
    assert_eq!(body, document);
    assert!(
        head.contains("AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition"),
        "{head}"
    );
    assert!(
        head.contains("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"),
        "{head}"
    );
}

#[tokio::test]
async fn a_described_document_keeps_what_the_sdk_does_not_know() {
    let (aws, _seen) =
        server(r#"{"taskDefinition": {"family": "api", "memberOfTheFuture": 7}}"#).await;
    let document = aws.task_definition("api:1").await.expect("it is described");
    assert_eq!(document["memberOfTheFuture"], 7);
}
