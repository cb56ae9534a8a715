//! How operations travel: which one a request asks for, its members as a JSON value, and answers in the same form.
//!
//! The models know JSON values only. What a protocol needs beyond that (XML, the names of errors) is here.

mod cbor;
mod query;

use serde_json::{Value, json};

use super::answer::{self, Answer, with};
use crate::error::ApiError;
use crate::services::Service;
use crate::sigv4::Received;
use crate::view::View;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// AWS JSON 1.0 or 1.1: the operation in `X-Amz-Target`.
    Json(&'static str),
    /// The query protocol: a form with `Action`, answered with XML.
    Query,
    /// RPC v2 with CBOR: the operation in the path.
    Cbor,
}

/// JSON 1.1 is what most services speak, and so it is what somebody gets who speaks nothing that is known.
pub(super) const JSON: Form = Form::Json("application/x-amz-json-1.1");
const JSON_1_0: &str = "application/x-amz-json-1.0";

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) service: Service,
    pub(super) operation: String,
    pub(super) form: Form,
}

impl Asked {
    /// Finds out which operation of which service is meant; an error goes back in the form of the request.
    pub(super) fn of(received: Received<'_>) -> Result<Self, (Form, ApiError)> {
        let header = |name: &str| received.headers.get(name)?.to_str().ok();
        let by_target = |prefix: &str| {
            let known = |service: &Service| service.names().target == Some(prefix);
            Service::ALL.into_iter().find(known)
        };
        if header("smithy-protocol") == Some(cbor::PROTOCOL) {
            let path = received.path;
            let known = cbor::route(path)
                .and_then(|(prefix, operation)| Some((by_target(prefix)?, operation)));
            let (service, operation) = known.ok_or_else(|| (Form::Cbor, unknown(path)))?;
            return Ok(Self {
                service,
                operation: operation.to_owned(),
                form: Form::Cbor,
            });
        }
        if let Some(target) = header("x-amz-target") {
            let form = match header("content-type") {
                Some(kind) if kind.starts_with(JSON_1_0) => Form::Json(JSON_1_0),
                _ => JSON,
            };
            let known = target
                .split_once('.')
                .and_then(|(prefix, operation)| Some((by_target(prefix)?, operation)));
            let (service, operation) = known.ok_or_else(|| (form, unknown(target)))?;
            return Ok(Self {
                service,
                operation: operation.to_owned(),
                form,
            });
        }
        let parameter = |wanted: &str| query::parameter(received, wanted);
        let Some(operation) = parameter("Action") else {
            let error = ApiError {
                status: 404,
                code: "UnknownOperationException",
                message: "This is Longshore's local cloud. The request names no operation: neither X-Amz-Target nor Action.".to_owned(),
            };
            return Err((JSON, error));
        };
        let version = parameter("Version");
        let by_version = |service: &Service| {
            let known = service.names().version;
            known.is_some() && known == version.as_deref()
        };
        let service = Service::ALL.into_iter().find(by_version).ok_or_else(|| {
            let error = unknown(&format!(
                "{operation} of version {}",
                version.as_deref().unwrap_or("(none)")
            ));
            // As every service of this protocol names it.
            let error = ApiError {
                code: "InvalidAction",
                ..error
            };
            (Form::Query, error)
        })?;
        Ok(Self {
            service,
            operation,
            form: Form::Query,
        })
    }

    /// The members of the request.
    pub(super) fn request(&self, received: Received<'_>) -> Result<Value, ApiError> {
        match self.form {
            Form::Query => Ok(query::request(received)),
            Form::Json(_) | Form::Cbor if received.body.is_empty() => Ok(json!({})),
            Form::Cbor => cbor::request(received.body),
            Form::Json(_) => serde_json::from_slice(received.body).map_err(|error| {
                ApiError::new(
                    "SerializationException",
                    format!("The request is not JSON: {error}."),
                )
            }),
        }
    }

    /// The answer, in the form of the request.
    pub(super) fn answer(&self, outcome: &Result<View, ApiError>, id: &str) -> Answer {
        match (self.form, outcome) {
            (Form::Query, Ok(view)) => answer::bytes(
                200,
                "text/xml",
                query::answer(self.service, &self.operation, &view.value(), id),
            ),
            (Form::Query, Err(error)) => answer::bytes(
                error.status,
                "text/xml",
                query::error(self.service, error, id),
            ),
            // An operation without an output answers with nothing in it.
            (form, Ok(View::Own(Value::Null))) => document(form, 200, &json!({}).into()),
            (form, Ok(view)) => document(form, 200, view),
            (form, Err(error)) => {
                let answer = failure(form, error);
                if self.service.names().version.is_none() {
                    return answer;
                }
                // Who spoke the query protocol to this service before reads the error's name here.
                let side = if error.status < 500 {
                    "Sender"
                } else {
                    "Receiver"
                };
                let compatible = format!("{};{side}", error.code);
                with(answer, "x-amzn-query-error", &compatible)
            }
        }
    }

    /// An error that says why a caller is refused, as this form names it.
    pub(super) fn refusal(&self, error: ApiError) -> ApiError {
        match self.form {
            Form::Json(_) | Form::Cbor => error,
            Form::Query => query::refusal(error),
        }
    }
}

/// The answer to a request for a service that is not here, in the form of the request.
pub(super) fn unknown_answer(
    form: Form,
    received: Received<'_>,
    error: &ApiError,
    id: &str,
) -> Answer {
    match form {
        Form::Query => {
            let version = query::parameter(received, "Version");
            let body = query::unknown(version.as_deref(), error, id);
            answer::bytes(error.status, "text/xml", body)
        }
        form => failure(form, error),
    }
}

/// An error of a protocol whose answers are documents.
pub(super) fn failure(form: Form, error: &ApiError) -> Answer {
    let body = json!({"__type": error.code, "message": error.message});
    with(
        document(form, error.status, &body.into()),
        "x-amzn-errortype",
        error.code,
    )
}

fn document(form: Form, status: u16, body: &View) -> Answer {
    let text = || serde_json::to_string(body).unwrap_or_default();
    match form {
        Form::Cbor => with(
            answer::bytes(status, cbor::TYPE, cbor::answer(&body.value())),
            "smithy-protocol",
            cbor::PROTOCOL,
        ),
        Form::Json(kind) => answer::bytes(status, kind, text()),
        Form::Query => answer::bytes(status, JSON_1_0, text()),
    }
}

fn unknown(what: &str) -> ApiError {
    let mut titles: Vec<&str> = Service::ALL.map(|service| service.names().title).to_vec();
    let last = titles.pop().unwrap_or_default();
    ApiError::new(
        "UnknownOperationException",
        format!(
            "The local cloud does not know '{what}': it has {} and {last}.",
            titles.join(", ")
        ),
    )
}
