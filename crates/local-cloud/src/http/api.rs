//! AWS's APIs at `/`: who is asked, whether the request is signed, and the answer in the service's own form.

use std::sync::{Arc, PoisonError};

use http_body_util::{BodyExt as _, Limited};
use hyper::Request;
use hyper::body::Incoming;
use serde_json::Value;

use super::answer::{self, Answer, with};
use super::record::{self, Outcome, request_id};
use super::wire::{self, Asked};
use crate::calls::{self, Need};
use crate::daemon::cloud::{Cloud, now};
use crate::elb::Balancers;
use crate::error::ApiError;
use crate::faults::Instead;
use crate::iam::policy::Decision;
use crate::identity::{self, Identity};
use crate::scaling;
use crate::services::Service;
use crate::sigv4::{self, Received};
use crate::sts;
use crate::view::View;

/// No API request is larger: the largest, PutLogEvents, has 1 MiB of events.
const BODY: usize = 4 << 20;

/// Answers a request to `/`.
pub(super) async fn handle(cloud: &Arc<Cloud>, request: Request<Incoming>) -> Answer {
    let id = request_id();
    let (head, body) = request.into_parts();
    let answer = match Limited::new(body, BODY).collect().await {
        Err(error) => wire::failure(
            wire::JSON,
            &ApiError {
                status: 413,
                code: "RequestEntityTooLargeException",
                message: format!("The request could not be received: {error}"),
            },
        ),
        Ok(body) => {
            let body = body.to_bytes();
            let received = Received {
                method: head.method.as_str(),
                path: head.uri.path(),
                query: head.uri.query().unwrap_or_default(),
                headers: &head.headers,
                body: &body,
            };
            match Asked::of(received) {
                Ok(asked) => answer_to(cloud, &asked, received, &id).await,
                Err((form, error)) => wire::unknown_answer(form, received, &error, &id),
            }
        }
    };
    with(answer, "x-amzn-requestid", &id)
}

/// Answers a request whose operation is known, and puts it into the call log.
async fn answer_to(cloud: &Cloud, asked: &Asked, received: Received<'_>, id: &str) -> Answer {
    let at = now();
    let request = asked.request(received);
    let needs = calls::of_api(
        asked.service,
        &asked.operation,
        request.as_ref().unwrap_or(&Value::Null),
        &cloud.place,
    );
    let action = needs.first().map_or("", |need| need.action.as_str());
    let injection = cloud.faults().meet(action, fastrand::f64);
    if !injection.delay.is_zero() {
        tokio::time::sleep(injection.delay).await;
    }
    let fault = injection.names.as_deref();
    let (caller, outcome) = match injection.instead {
        Some(Instead::Reset) => {
            let outcome = Outcome {
                code: "Reset",
                status: 0,
                fault,
            };
            record::record(cloud, at, id, &needs, "refused", outcome);
            return answer::broken();
        }
        instead => outcome(cloud, asked, received, request, (&needs, instead)),
    };
    if outcome.is_ok() && !reads(&asked.operation) {
        cloud.durable().await;
    }
    let lost = injection.instead == Some(Instead::LoseResponse);
    let answer = asked.answer(&outcome, id);
    let outcome = Outcome {
        code: outcome.as_ref().err().map_or("ok", |error| error.code),
        status: if lost { 0 } else { answer.status().as_u16() },
        fault,
    };
    record::record(cloud, at, id, &needs, &caller, outcome);
    if lost { answer::broken() } else { answer }
}

/// How the log names the caller, and what comes of the request.
fn outcome(
    cloud: &Cloud,
    asked: &Asked,
    received: Received<'_>,
    request: Result<Value, ApiError>,
    (needs, instead): (&[Need], Option<Instead>),
) -> (String, Result<View, ApiError>) {
    if asked.service == Service::Sts && asked.operation == sts::WEB_IDENTITY {
        let assumed = injected(asked, instead)
            .and(request)
            .and_then(|request| assume(cloud, &request));
        return match assumed {
            Ok((identity, answer)) => (identity.arn, Ok(answer.into())),
            Err(error) => ("anonymous".to_owned(), Err(error)),
        };
    }
    let signer = signer(cloud, asked, received).map_err(|error| asked.refusal(error));
    let caller = record::caller(signer.as_ref());
    let outcome = signer.and_then(|identity| {
        injected(asked, instead)?;
        // Who one is may be asked without any permission.
        if asked.service != Service::Sts {
            authorize(cloud, &identity, needs).map_err(|error| asked.refusal(error))?;
        }
        apply(cloud, asked, &request?, &identity)
    });
    (caller, outcome)
}

/// The error that a fault puts in the place of an answer, in the words of the service.
fn injected(asked: &Asked, instead: Option<Instead>) -> Result<(), ApiError> {
    let (status, code, message) = match instead {
        Some(Instead::Throttle) => (400, asked.service.names().throttling, "Rate exceeded"),
        Some(Instead::ServerError) => (
            500,
            asked.service.names().failure,
            "An error occurred on the server side.",
        ),
        _ => return Ok(()),
    };
    Err(ApiError {
        status,
        code,
        message: message.to_owned(),
    })
}

/// Whether an operation changes nothing.
fn reads(operation: &str) -> bool {
    const READ: [&str; 7] = [
        "Describe",
        "List",
        "Get",
        "BatchGet",
        "BatchCheck",
        "Filter",
        "Simulate",
    ];
    READ.iter().any(|start| operation.starts_with(start))
}

/// Who signed the request.
fn signer(cloud: &Cloud, asked: &Asked, received: Received<'_>) -> Result<Identity, ApiError> {
    let now = cloud.skewed(now());
    let find = |key: &str, token: Option<&str>| identity::find(&cloud.instance, key, token, now);
    let service = asked.service.names().signing;
    sigv4::verify(received, find, &cloud.place.region, service, now)
}

/// Whether the caller may do all that the request needs.
pub(super) fn authorize(
    cloud: &Cloud,
    identity: &Identity,
    needs: &[Need],
) -> Result<(), ApiError> {
    let models = cloud.models();
    for need in needs {
        for resource in &need.resources {
            let (action, arn) = (&need.action, &identity.arn);
            let why = match models.iam.decide(identity, action, resource, &need.context) {
                Decision::Allowed => continue,
                Decision::ExplicitDeny => {
                    "with an explicit deny in an identity-based policy".to_owned()
                }
                Decision::ImplicitDeny => {
                    format!("because no identity-based policy allows the {action} action")
                }
            };
            return Err(ApiError::new(
                "AccessDeniedException",
                format!(
                    "User: {arn} is not authorized to perform: {action} on resource: {resource} {why}"
                ),
            ));
        }
    }
    Ok(())
}

fn assume(cloud: &Cloud, request: &Value) -> Result<(Identity, Value), ApiError> {
    let now = cloud.skewed(now());
    let models = cloud.models();
    let trust = sts::Trust {
        issuer: &cloud.issuer,
        iam: &models.iam,
        place: &cloud.place,
        secret: &cloud.instance.secret_access_key,
    };
    sts::assume_with_web_identity(&trust, request, now)
}

/// Does what is asked for.
fn apply(
    cloud: &Cloud,
    asked: &Asked,
    request: &Value,
    identity: &Identity,
) -> Result<View, ApiError> {
    tracing::debug!(
        service = asked.service.names().iam,
        asked.operation,
        "request"
    );
    let (operation, place, now) = (asked.operation.as_str(), &cloud.place, now());
    let caller = identity.arn.as_str();
    if asked.service == Service::Ecs
        && reads(operation)
        && let Some((then, mut ecs)) = cloud.past(now)
    {
        return ecs.apply(operation, request, caller, then);
    }
    let mut models = cloud.models();
    let answer = match asked.service {
        Service::Ecs => {
            let answer = models.ecs.apply(operation, request, caller, now);
            drop(models);
            cloud.changed();
            return answer;
        }
        Service::Ecr => {
            let login = (cloud.instance.secret_access_key.as_str(), caller);
            models.ecr.apply(operation, request, place, login, now)
        }
        Service::Ssm => models.ssm.apply(operation, request, place, now),
        Service::Secrets => models.secrets.apply(operation, request, place, now),
        Service::Logs => cloud.logs().apply(operation, request, place, now),
        Service::Sts => {
            let trust = sts::Trust {
                issuer: &cloud.issuer,
                iam: &models.iam,
                place,
                secret: &cloud.instance.secret_access_key,
            };
            sts::apply(operation, request, identity, &trust, cloud.skewed(now))
        }
        Service::Iam => models.iam.apply(operation, request, place, now),
        Service::CloudWatch => {
            let outcome = models.alarms.apply(operation, request, place, now);
            outcome.map(|(answer, changed)| {
                for (name, state) in changed {
                    models.ecs.set_alarm(&name, state, now);
                }
                answer
            })
        }
        Service::Balancing => {
            let ports = cloud.ports.lock().unwrap_or_else(PoisonError::into_inner);
            models.ecs.tick(now);
            let balancers = Balancers {
                ecs: &models.ecs,
                place,
                ports: &ports,
            };
            balancers.apply(operation, request)
        }
        Service::Scaling => scaling::apply(operation, request),
    };
    drop(models);
    cloud.changed();
    answer.map(View::from)
}
