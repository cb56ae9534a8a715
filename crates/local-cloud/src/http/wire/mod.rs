//! How operations travel: which one a request asks for, its members as a JSON value, and answers in the same form.
//!
//! The models know JSON values only. What a protocol needs beyond that (XML, the names of errors) is here.

mod query;

use serde_json::{Value, json};

use super::answer::{self, Answer, with};
use crate::error::ApiError;
use crate::services::Service;
use crate::sigv4::Received;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// AWS JSON 1.0 or 1.1: the operation in `X-Amz-Target`.
    Json(&'static str),
    /// The query protocol: a form with `Action`, answered with XML.
    Query,
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
    /// Finds out which operation of which service is meant.
    pub(super) fn of(received: Received<'_>) -> Result<Self, ApiError> {
        let header = |name: &str| received.headers.get(name)?.to_str().ok();
        if let Some(target) = header("x-amz-target") {
            let form = match header("content-type") {
                Some(kind) if kind.starts_with(JSON_1_0) => Form::Json(JSON_1_0),
                _ => JSON,
            };
            let known = target.split_once('.').and_then(|(prefix, operation)| {
                let by_target = |service: &Service| service.names().target == Some(prefix);
                let service = Service::ALL.into_iter().find(by_target)?;
                Some((service, operation))
            });
            let (service, operation) = known.ok_or_else(|| unknown(target))?;
            return Ok(Self {
                service,
                operation: operation.to_owned(),
                form,
            });
        }
        let parameter = |wanted: &str| query::parameter(received, wanted);
        let Some(operation) = parameter("Action") else {
            return Err(ApiError {
                status: 404,
                code: "UnknownOperationException",
                message: "This is Longshore's local cloud. The request names no operation: neither X-Amz-Target nor Action.".to_owned(),
            });
        };
        let version = parameter("Version");
        let by_version = |service: &Service| {
            let known = service.names().version;
            known.is_some() && known == version.as_deref()
        };
        let service = Service::ALL.into_iter().find(by_version).ok_or_else(|| {
            unknown(&format!(
                "{operation} of version {}",
                version.as_deref().unwrap_or("(none)")
            ))
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
            Form::Json(_) if received.body.is_empty() => Ok(json!({})),
            Form::Json(_) => serde_json::from_slice(received.body).map_err(|error| {
                ApiError::new(
                    "SerializationException",
                    format!("The request is not JSON: {error}."),
                )
            }),
        }
    }

    /// The answer, in the form of the request.
    pub(super) fn answer(&self, outcome: &Result<Value, ApiError>, id: &str) -> Answer {
        match (self.form, outcome) {
            (Form::Json(kind), Ok(value)) => answer::bytes(200, kind, value.to_string()),
            (Form::Json(_), Err(error)) => failure(self.form, error),
            (Form::Query, Ok(value)) => answer::bytes(
                200,
                "text/xml",
                query::answer(self.service, &self.operation, value, id),
            ),
            (Form::Query, Err(error)) => answer::bytes(
                error.status,
                "text/xml",
                query::error(self.service, error, id),
            ),
        }
    }

    /// An error that says why a caller is refused, as this form names it.
    pub(super) fn refusal(&self, error: ApiError) -> ApiError {
        match self.form {
            Form::Json(_) => error,
            Form::Query => query::refusal(error),
        }
    }
}

/// An error of the JSON protocol.
pub(super) fn failure(form: Form, error: &ApiError) -> Answer {
    let kind = match form {
        Form::Json(kind) => kind,
        Form::Query => JSON_1_0,
    };
    let body = json!({"__type": error.code, "message": error.message}).to_string();
    with(
        answer::bytes(error.status, kind, body),
        "x-amzn-errortype",
        error.code,
    )
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
