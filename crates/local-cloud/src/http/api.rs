//! AWS's APIs at `/`: who is asked, whether the request is signed, and the answer in the service's own form.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Limited};
use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::answer::{self, Answer, with};
use crate::daemon::cloud::{Cloud, now};
use crate::error::ApiError;
use crate::sigv4::{self, Received};
use crate::sts;

/// No API request is larger: the largest, PutLogEvents, has 1 MiB of events.
const BODY: usize = 4 << 20;

/// The services behind `X-Amz-Target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Ecs,
    Ecr,
    Ssm,
    Secrets,
    Logs,
}

impl Service {
    /// The prefix in `X-Amz-Target`, and the name in signatures.
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Ecs, "AmazonEC2ContainerServiceV20141113", "ecs"),
        (Self::Ecr, "AmazonEC2ContainerRegistry_V20150921", "ecr"),
        (Self::Ssm, "AmazonSSM", "ssm"),
        (Self::Secrets, "secretsmanager", "secretsmanager"),
        (Self::Logs, "Logs_20140328", "logs"),
    ];
}

/// Answers a request to `/`.
pub(super) async fn handle(cloud: &Arc<Cloud>, request: Request<Incoming>) -> Answer {
    let id = request_id();
    let (head, body) = request.into_parts();
    let target = head
        .headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .map(str::to_owned);
    let answer = match Limited::new(body, BODY).collect().await {
        Err(error) => failure(&ApiError {
            status: 413,
            code: "RequestEntityTooLargeException",
            message: format!("The request could not be received: {error}"),
        }),
        Ok(body) => {
            let body = body.to_bytes();
            let received = Received {
                method: head.method.as_str(),
                path: head.uri.path(),
                query: head.uri.query().unwrap_or_default(),
                headers: &head.headers,
                body: &body,
            };
            match target {
                Some(target) => match json_api(cloud, &target, received) {
                    Ok(answer) => amz_json(200, &answer),
                    Err(error) => failure(&error),
                },
                None => query_api(cloud, received, &id),
            }
        }
    };
    with(answer, "x-amzn-requestid", &id)
}

fn json_api(cloud: &Cloud, target: &str, received: Received<'_>) -> Result<Value, ApiError> {
    let unknown = || {
        ApiError::new(
            "UnknownOperationException",
            format!(
                "The local cloud does not know '{target}': it has ECS, ECR, SSM, Secrets Manager, CloudWatch Logs and STS."
            ),
        )
    };
    let (prefix, operation) = target.split_once('.').ok_or_else(unknown)?;
    let (service, _, name) = Service::ALL
        .into_iter()
        .find(|(_, known, _)| *known == prefix)
        .ok_or_else(unknown)?;
    let now = now();
    let instance = &cloud.instance;
    let place = &cloud.place;
    sigv4::verify(received, &instance.credentials(), &place.region, name, now)?;
    let request: Value = if received.body.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(received.body).map_err(|error| {
            ApiError::new(
                "SerializationException",
                format!("The request is not JSON: {error}."),
            )
        })?
    };
    tracing::debug!(service = name, operation, "request");
    let answer = match service {
        Service::Ecs => {
            let caller = sts::caller(place);
            cloud.models().ecs.apply(operation, &request, &caller, now)
        }
        Service::Ecr => {
            let secret = &instance.secret_access_key;
            let mut models = cloud.models();
            models.ecr.apply(operation, &request, place, secret, now)
        }
        Service::Ssm => cloud.models().ssm.apply(operation, &request, place, now),
        Service::Secrets => {
            let mut models = cloud.models();
            models.secrets.apply(operation, &request, place, now)
        }
        Service::Logs => cloud.logs().apply(operation, &request, place, now),
    };
    cloud.changed();
    answer
}

/// The query protocol, which STS speaks: a form with `Action`, answered with XML.
fn query_api(cloud: &Cloud, received: Received<'_>, id: &str) -> Answer {
    let xml = |status, body: String| answer::bytes(status, "text/xml", body);
    let action = url::form_urlencoded::parse(received.body)
        .chain(url::form_urlencoded::parse(received.query.as_bytes()))
        .find(|(name, _)| name == "Action")
        .map(|(_, action)| action.into_owned());
    let Some(action) = action else {
        return answer::json(
            404,
            &json!({
                "__type": "UnknownOperationException",
                "message": "This is Longshore's local cloud. The request names no operation: neither X-Amz-Target nor Action.",
            }),
        );
    };
    let instance = &cloud.instance;
    let credentials = instance.credentials();
    let outcome = sigv4::verify(received, &credentials, &cloud.place.region, "sts", now())
        .map_err(|mut error| {
            error.status = 403;
            error.code = match error.code {
                "UnrecognizedClientException" => "InvalidClientTokenId",
                "InvalidSignatureException" => "SignatureDoesNotMatch",
                "MissingAuthenticationTokenException" => "MissingAuthenticationToken",
                _ => "IncompleteSignature",
            };
            error
        })
        .and_then(|()| sts::apply(&action, &instance.access_key_id, id, &cloud.place));
    match outcome {
        Ok(body) => xml(200, body),
        Err(error) => xml(error.status, sts::error(&error, id)),
    }
}

fn amz_json(status: u16, body: &Value) -> Answer {
    answer::bytes(status, "application/x-amz-json-1.1", body.to_string())
}

fn failure(error: &ApiError) -> Answer {
    let body = json!({"__type": error.code, "message": error.message});
    with(
        amz_json(error.status, &body),
        "x-amzn-errortype",
        error.code,
    )
}

/// Looks like a UUID. Tells requests apart in logs, so it need not be secret.
fn request_id() -> String {
    let (a, b) = (fastrand::u64(..), fastrand::u64(..));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | ((b >> 48) & 0x3fff),
        b & 0xffff_ffff_ffff
    )
}
