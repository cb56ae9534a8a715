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

/// A record of rollouts, newest first, in pages as they are asked for.
fn records(rollouts: &'static [(u32, &'static str)]) -> impl Fn(&Request) -> Reply {
    move |request| {
        let body = request.json();
        match request.operation() {
            "DescribeServices" => Reply::json(&json!({"services": [{
                "serviceName": "s", "status": "ACTIVE", "taskDefinition": "api:2",
                "deployments": [{"id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": "api:2", "rolloutState": "COMPLETED"}],
            }]})),
            "DescribeTaskDefinition" => Reply::json(&json!({"taskDefinition": {"family": "api"}})),
            "ListServiceDeployments" => {
                let from: usize = body["nextToken"]
                    .as_str()
                    .and_then(|token| token.parse().ok())
                    .unwrap_or(0);
                let most = usize::try_from(body["maxResults"].as_u64().expect("a limit"))
                    .expect("it is small");
                let until = (from + most).min(rollouts.len());
                let page: Vec<Value> = (from..until)
                    .map(|index| {
                        json!({
                            "serviceDeploymentArn": format!("arn:{index}"),
                            "status": rollouts[index].1,
                            "targetServiceRevisionArn": format!("arn:revision/{}", rollouts[index].0),
                            "createdAt": 1_000_000 - index,
                        })
                    })
                    .collect();
                let mut answer = json!({"serviceDeployments": page});
                if until < rollouts.len() {
                    answer["nextToken"] = until.to_string().into();
                }
                Reply::json(&answer)
            }
            "DescribeServiceRevisions" => {
                let asked = body["serviceRevisionArns"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                let found: Vec<Value> = asked
                    .iter()
                    .filter_map(|arn| {
                        let number = arn.as_str()?.rsplit('/').next()?;
                        Some(json!({"serviceRevisionArn": arn, "taskDefinition": format!("api:{number}")}))
                    })
                    .collect();
                Reply::json(&json!({"serviceRevisions": found}))
            }
            other => Reply::error(400, "UnknownOperationException", other),
        }
    }
}

#[tokio::test]
async fn the_record_is_read_back_to_a_revision_to_return_to() {
    // One revision, deployed again and again, and one that failed before it.
    const ROLLOUTS: [(u32, &str); 92] = {
        let mut all = [(2, "SUCCESSFUL"); 92];
        all[89] = (3, "ROLLBACK_SUCCESSFUL");
        all[90] = (1, "SUCCESSFUL");
        all[91] = (1, "SUCCESSFUL");
        all
    };
    let stub = Stub::start(records(&ROLLOUTS)).await;
    let facts = stub.connect().await.facts("c", "s").await;
    let facts = facts.expect("the facts");
    assert_eq!(
        (facts.serving(), facts.earlier()),
        (Some("api:2"), Some("api:1"))
    );
    assert_eq!(stub.count("ListServiceDeployments"), 3);
}

#[tokio::test]
async fn no_more_of_the_record_is_read_than_is_needed() {
    const ROLLOUTS: [(u32, &str); 90] = {
        let mut all = [(1, "SUCCESSFUL"); 90];
        all[0] = (2, "SUCCESSFUL");
        all
    };
    let stub = Stub::start(records(&ROLLOUTS)).await;
    let aws = stub.connect().await;
    let facts = aws.facts("c", "s").await.expect("the facts");
    assert_eq!((facts.earlier(), facts.history.len()), (Some("api:1"), 40));
    let answer = aws.call("c", "s", Call::ServiceDeployments).await;
    let Ok(Answer::ServiceDeployments(newest)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!((newest.len(), newest[0].arn.as_str()), (5, "arn:0"));
    assert_eq!(stub.count("ListServiceDeployments"), 2);
}

#[tokio::test]
async fn a_task_before_runs_where_the_service_runs_its_own() {
    let stub = Stub::start(|request| {
        Reply::json(&match request.operation() {
            "DescribeServices" => json!({"services": [{
                "serviceName": "s",
                "status": "ACTIVE",
                "platformVersion": "1.4.0",
                "capacityProviderStrategy": [{"capacityProvider": "big", "weight": 1, "base": 2}],
                "placementConstraints": [{"type": "memberOf", "expression": "attribute:zone == a"}],
                "placementStrategy": [{"type": "spread", "field": "host"}],
            }]}),
            _ => json!({"tasks": [{"taskArn": "arn:task/1"}]}),
        })
    })
    .await;
    let aws = stub.connect().await;
    let service = aws.service("c", "s").await.expect("an answer");
    let run = Call::RunTask {
        task_definition: "api:2".into(),
        container: "app".into(),
        command: vec!["migrate".into()],
        placement: service.expect("the service").placement,
        token: "token".into(),
    };
    aws.call("c", "s", run).await.expect("it runs");
    let sent = stub.seen().remove(1).json();
    assert_eq!(
        sent["placementConstraints"],
        json!([{"type": "memberOf", "expression": "attribute:zone == a"}])
    );
    assert_eq!(
        sent["placementStrategy"],
        json!([{"type": "spread", "field": "host"}])
    );
    assert_eq!(sent["platformVersion"], "1.4.0");
    assert_eq!(
        sent["capacityProviderStrategy"],
        json!([{"capacityProvider": "big", "weight": 1, "base": 2}])
    );
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
    let lines = aws.log_since(None, "/api", &streams, 0).await;
    let lines = lines.expect("the other stream is there");
    let seen: Vec<&str> = lines.iter().map(|line| line.stream.as_str()).collect();
    assert_eq!(seen, ["api/app/1"]);
}
