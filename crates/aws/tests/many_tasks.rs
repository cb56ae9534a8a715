//! A service of more tasks than one answer of ECS holds.

use aws::{Access, Aws, Connection};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const TASKS: usize = 250;
const PAGE: usize = 100;

/// ListTasks in pages, and DescribeTasks of a page at most, as ECS has them.
fn answer(target: &str, request: &Value) -> (u16, Value) {
    let all: Vec<String> = (0..TASKS)
        .map(|number| format!("arn:task/{number}"))
        .collect();
    if target.ends_with("ListTasks") {
        let from = request["nextToken"].as_str().unwrap_or("0");
        let from: usize = from.parse().unwrap_or_default();
        let to = TASKS.min(from + PAGE);
        let mut page = json!({"taskArns": all[from..to]});
        if to < TASKS {
            page["nextToken"] = to.to_string().into();
        }
        return (200, page);
    }
    let asked = request["tasks"].as_array().cloned().unwrap_or_default();
    if asked.is_empty() || asked.len() > PAGE {
        let error = json!({"__type": "InvalidParameterException", "message": "Tasks cannot be empty, or more than 100."});
        return (400, error);
    }
    let task = |arn: &Value| json!({"taskArn": arn, "lastStatus": "RUNNING"});
    let tasks: Vec<Value> = asked.iter().map(task).collect();
    (200, json!({"tasks": tasks, "failures": []}))
}

/// One request of a connection that is closed afterwards.
async fn serve(mut stream: TcpStream) {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.expect("a request comes");
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        if header(head, "content-length")
            .parse()
            .is_ok_and(|length| body.len() >= length)
        {
            break (head.to_owned(), body.to_owned());
        }
    };
    let request = serde_json::from_str(&body).expect("the body is JSON");
    let (status, answer) = answer(header(&head, "x-amz-target"), &request);
    let answer = answer.to_string();
    let text = format!(
        "HTTP/1.1 {status} Answer\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    );
    stream
        .write_all(text.as_bytes())
        .await
        .expect("the answer goes out");
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map_or("", |(_, value)| value)
}

#[tokio::test]
async fn all_tasks_are_seen() {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a loopback port is free");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    let aws = Aws::connect(&Connection {
        region: Some("eu-central-1".into()),
        endpoint: Some(endpoint),
        access: Some(Access {
            key_id: "AKIDEXAMPLE".into(),
            secret: "a secret".into(),
        }),
    })
    .await;
    for running in [true, false] {
        let tasks = aws.tasks("cluster", "service", running).await;
        let tasks = tasks.expect("the tasks are told");
        assert_eq!(tasks.len(), TASKS);
        assert_eq!(tasks.last().map(rollout::facts::TaskView::id), Some("249"));
    }
}
