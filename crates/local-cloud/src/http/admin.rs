//! `/_local/…`: what the project's own client asks of the daemon. Guarded by a token that only `instance.json` holds.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use crate::daemon::Daemon;
use crate::sigv4::mac;
use crate::task::Millis;

/// No admin request is larger.
const BODY: usize = 64 << 10;

/// Lines of a log group from a time on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lines {
    group: String,
    from: Millis,
}

/// The fault to be cleared; all of them without one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clear {
    id: Option<u64>,
}

/// Answers a request below `/_local/`.
pub(super) async fn handle(daemon: &Arc<Daemon>, request: Request<Incoming>) -> Answer {
    if !allowed(daemon, &request) {
        return failed(
            401,
            "the admin token is missing or not the one of this instance",
        );
    }
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    match (method, path.as_str()) {
        (Method::GET, "/_local/status") => answer_with(daemon.status().await),
        (Method::POST, "/_local/provision") => match body(request).await {
            Ok(wanted) => match daemon.provision(wanted).await {
                Ok(provisioned) => answer_with(provisioned),
                Err(error) => failed(409, &error.to_string()),
            },
            Err(refused) => refused,
        },
        (Method::GET, "/_local/events") => answer_with(daemon.events()),
        (Method::POST, "/_local/logs") => match body::<Lines>(request).await {
            Ok(wanted) => match daemon.log_lines(&wanted.group, wanted.from) {
                Ok(lines) => answer_with(lines),
                Err(error) => failed(404, &error.message),
            },
            Err(refused) => refused,
        },
        (Method::GET, "/_local/faults") => answer_with(daemon.faults()),
        (Method::POST, "/_local/faults") => match body(request).await {
            Ok(fault) => match daemon.add_fault(fault) {
                Ok(added) => answer_with(added),
                Err(problem) => failed(409, &problem),
            },
            Err(refused) => refused,
        },
        (Method::POST, "/_local/faults/clear") => match body::<Clear>(request).await {
            Ok(wanted) => answer_with(daemon.clear_faults(wanted.id)),
            Err(refused) => refused,
        },
        (Method::POST, "/_local/token") => match body(request).await {
            Ok(wanted) => match daemon.issue(&wanted) {
                Ok(token) => answer::json(200, &json!({"token": token})),
                Err(error) => failed(500, &error.to_string()),
            },
            Err(refused) => refused,
        },
        (Method::POST, "/_local/shutdown") => {
            daemon.stop();
            answer::json(202, &json!({}))
        }
        _ => failed(404, &format!("there is nothing at {path}")),
    }
}

/// The request's body, or the answer to one that cannot be read.
async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Answer> {
    let body = Limited::new(request.into_body(), BODY).collect().await;
    let body = body.map_err(|error| failed(400, &error.to_string()))?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|error| failed(400, &format!("the request cannot be read: {error}")))
}

/// Comparing MACs and not the tokens themselves takes the same time wherever they differ.
fn allowed(daemon: &Daemon, request: &Request<Incoming>) -> bool {
    use hmac::Mac as _;
    let token = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let expected = daemon.admin_token().as_bytes();
    let seal = |text: &[u8]| mac(expected, text).finalize();
    token.is_some_and(|token| seal(token.as_bytes()) == seal(expected))
}

fn answer_with(value: impl serde::Serialize) -> Answer {
    match serde_json::to_value(value) {
        Ok(value) => answer::json(200, &value),
        Err(error) => failed(500, &error.to_string()),
    }
}

fn failed(status: u16, message: &str) -> Answer {
    answer::json(status, &Value::from_iter([("message", message)]))
}
