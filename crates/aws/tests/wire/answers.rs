//! Answers that come in pages.

use std::collections::BTreeSet;

use rollout::execute::{Answer, Call};
use serde_json::{Value, json};

use super::{Reply, Request, Stub};

/// A cluster with so many tasks; one of them is gone by the time it is described.
fn tasks(all: usize) -> impl Fn(&Request) -> Reply {
    move |request| {
        let body = request.json();
        match request.operation() {
            "ListTasks" => {
                let from: usize = body["nextToken"]
                    .as_str()
                    .and_then(|token| token.parse().ok())
                    .unwrap_or(0);
                let until = (from + 100).min(all);
                let arns: Vec<String> = (from..until).map(|n| format!("arn:task/{n}")).collect();
                let mut answer = json!({"taskArns": arns});
                if until < all {
                    answer["nextToken"] = until.to_string().into();
                }
                Reply::json(&answer)
            }
            "DescribeTasks" => {
                let asked = body["tasks"].as_array().cloned().unwrap_or_default();
                if asked.len() > 100 {
                    return Reply::error(400, "InvalidParameterException", "at most 100");
                }
                let (gone, there): (Vec<Value>, Vec<Value>) =
                    asked.into_iter().partition(|arn| arn == "arn:task/7");
                let there: Vec<Value> = there
                    .into_iter()
                    .map(|arn| json!({"taskArn": arn, "lastStatus": "RUNNING"}))
                    .collect();
                let gone: Vec<Value> = gone
                    .into_iter()
                    .map(|arn| json!({"arn": arn, "reason": "MISSING"}))
                    .collect();
                Reply::json(&json!({"tasks": there, "failures": gone}))
            }
            other => Reply::error(400, "UnknownOperationException", other),
        }
    }
}

#[tokio::test]
async fn all_tasks_are_read_page_by_page() {
    let stub = Stub::start(tasks(250)).await;
    let aws = stub.connect().await;
    for running in [true, false] {
        let answer = aws.call("c", "s", Call::Tasks { running }).await;
        let Ok(Answer::Tasks(found)) = answer else {
            panic!("{answer:?}");
        };
        let arns: BTreeSet<&str> = found.iter().map(|task| task.arn.as_str()).collect();
        // What ended between the two requests is not there, and is no failure.
        assert_eq!((found.len(), arns.len()), (249, 249));
        assert!(arns.contains("arn:task/0") && arns.contains("arn:task/249"));
    }
    assert_eq!(stub.count("ListTasks"), 6);
    assert_eq!(stub.count("DescribeTasks"), 6);
}

#[tokio::test]
async fn a_service_without_tasks_takes_one_request() {
    let stub = Stub::start(tasks(0)).await;
    let aws = stub.connect().await;
    let answer = aws.call("c", "s", Call::Tasks { running: true }).await;
    assert_eq!(answer, Ok(Answer::Tasks(Vec::new())));
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn a_log_stream_that_is_not_there_hides_no_other() {
    // As CloudWatch Logs does: one stream that is not there refuses the request as a whole.
    let stub = Stub::start(|request| {
        let asked = request.json();
        let streams = asked["logStreamNames"].as_array().into_iter().flatten();
        let names: Vec<&str> = streams.filter_map(Value::as_str).collect();
        if names.contains(&"api/silent/1") {
            let message = "The specified log stream does not exist.";
            return Reply::error(400, "ResourceNotFoundException", message);
        }
        Reply::json(&json!({"events": [
            {"eventId": "1", "logStreamName": names.first(), "timestamp": 1, "message": "hello"},
        ]}))
    })
    .await;
    let streams = ["api/silent/1", "api/app/1"].map(str::to_owned);
    let aws = stub.connect().await;
    let lines = aws.log_since("/api", &streams, 0).await;
    let lines = lines.expect("the other stream is there");
    let seen: Vec<&str> = lines.iter().map(|line| line.stream.as_str()).collect();
    assert_eq!(seen, ["api/app/1"]);
}
