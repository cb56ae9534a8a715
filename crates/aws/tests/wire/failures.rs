//! What goes wrong: what passes by itself, what was certainly not done, what is final.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws::{Aws, Connection, Patience};
use rollout::execute::{Answer, Call, CallError};
use rollout::plan::{Placement, ServiceSettings};
use serde_json::json;

use super::{Reply, Stub};

/// Tries once, and waits for a fifth of a second.
async fn impatient(stub: &Stub) -> Aws {
    Aws::connect(&Connection {
        patience: Patience {
            attempt: Duration::from_millis(200),
            operation: Duration::from_millis(600),
            attempts: 1,
        },
        ..stub.connection()
    })
    .await
}

fn run_task() -> Call {
    Call::RunTask {
        task_definition: "api:2".into(),
        container: "app".into(),
        command: vec!["migrate".into()],
        placement: Placement::default(),
        token: "api:2/migrate".into(),
    }
}

fn update() -> Call {
    Call::UpdateService {
        task_definition: "api:2".into(),
        settings: ServiceSettings::default(),
    }
}

/// What one call comes to when the listener answers so.
async fn failed(call: Call, reply: impl Fn() -> Reply + Send + Sync + 'static) -> CallError {
    let stub = Stub::start(move |_| reply()).await;
    let aws = impatient(&stub).await;
    let answer = tokio::time::timeout(Duration::from_secs(30), aws.call("c", "s", call)).await;
    match answer.expect("a call ends") {
        Err(error) => error,
        Ok(answer) => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn a_connection_that_breaks_off_passes_and_may_have_taken_effect() {
    for call in [Call::DescribeService, update()] {
        let error = failed(call, || Reply::Close).await;
        assert!(error.transient && !error.declined, "{error:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_never_answered_ends() {
    let alarms = Call::Alarms {
        names: vec!["errors".into()],
    };
    let get = |stub: &Stub| Call::Get {
        url: stub.endpoint.clone(),
    };
    let stub = Stub::start(|_| Reply::Never).await;
    for call in [Call::DescribeService, update(), alarms, get(&stub)] {
        let error = failed(call, || Reply::Never).await;
        assert!(error.transient && !error.declined, "{error:?}");
    }
}

#[tokio::test]
async fn a_task_that_found_no_room_was_certainly_not_started() {
    let answer = |reason: &'static str| {
        move || {
            let failure = json!({"arn": "arn:instance", "reason": reason});
            Reply::json(&json!({"tasks": [], "failures": [failure]}))
        }
    };
    for reason in ["RESOURCE:MEMORY", "AGENT", "Capacity is unavailable"] {
        let error = failed(run_task(), answer(reason)).await;
        assert!(error.transient && error.declined, "{error:?}");
        assert!(error.message.contains(reason), "{error:?}");
    }
    // No machine of the cluster will ever have it.
    let error = failed(run_task(), answer("ATTRIBUTE")).await;
    assert!(!error.transient && error.declined, "{error:?}");
}

#[tokio::test]
async fn what_aws_declines_for_now_was_not_done() {
    let busy = "Too many concurrent attempts to create a new revision of the specified family.";
    let register = || Call::RegisterTaskDefinition {
        document: "{}".into(),
    };
    let error = failed(register(), move || {
        Reply::error(400, "ClientException", busy)
    })
    .await;
    assert!(error.transient && error.declined, "{error:?}");
    let error = failed(update(), || {
        Reply::error(400, "ThrottlingException", "Rate exceeded")
    })
    .await;
    assert!(error.transient && error.declined, "{error:?}");
    // Any other of the kind is final.
    let error = failed(register(), || {
        Reply::error(400, "ClientException", "No such role")
    })
    .await;
    assert!(!error.transient && error.declined, "{error:?}");
    // A server's fault may have come after the work was done.
    let error = failed(update(), || {
        Reply::error(500, "ServerException", "Service Unavailable")
    })
    .await;
    assert!(error.transient && !error.declined, "{error:?}");
}

/// The executor looks at the service before a second attempt; the SDK would not.
#[tokio::test]
async fn a_service_is_not_updated_twice_by_one_call() {
    let stub = Stub::start(|_| Reply::error(500, "ServerException", "Unavailable")).await;
    let aws = stub.connect().await;
    let answer = aws.call("c", "s", update()).await;
    assert!(answer.is_err_and(|error| error.transient));
    assert_eq!(stub.count("UpdateService"), 1);
}

/// A redirect is the answer of the address that was asked for; what it leads to is another one's.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let asked = AtomicUsize::new(0);
    let stub = Stub::start(move |_| {
        if asked.fetch_add(1, Ordering::Relaxed) == 0 {
            Reply::Moved(302, "location: /login\r\n")
        } else {
            Reply::Answer(200, "please sign in".into())
        }
    })
    .await;
    let aws = stub.connect().await;
    let url = stub.endpoint.clone();
    let answer = aws.call("c", "s", Call::Get { url }).await;
    assert_eq!(answer, Ok(Answer::Http(302, String::new())));
}

/// A role that may deploy need not be allowed to read the record of rollouts.
#[tokio::test]
async fn without_permission_there_is_no_history_and_still_a_plan() {
    let stub = Stub::start(|request| match request.operation() {
        "DescribeServices" => Reply::json(&json!({"services": [{
            "serviceName": "s", "status": "ACTIVE", "taskDefinition": "api:1", "deployments": [],
        }]})),
        "DescribeTaskDefinition" => Reply::json(&json!({"taskDefinition": {"family": "api"}})),
        _ => Reply::error(400, "AccessDeniedException", "not authorized"),
    })
    .await;
    let aws = stub.connect().await;
    let facts = aws.facts("c", "s").await.expect("the facts");
    assert!(facts.service.is_some() && facts.history.is_empty());
    let why = facts.unread.expect("a reason");
    assert!(why.contains("ecs:ListServiceDeployments"), "{why}");
}
