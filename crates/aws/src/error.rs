//! An AWS error in words, and whether the same call may go through later.

use aws_sdk_ecs::config::http::HttpResponse;
use aws_sdk_ecs::error::{ProvideErrorMetadata, SdkError};
use rollout::execute::CallError;

/// What kind of error it is, as far as a caller acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Throttled, timed out, not reachable, a server's fault: later the same call may go through.
    Transient,
    /// There are no credentials, or AWS does not accept them.
    Credentials,
    /// AWS refuses the request.
    Refused,
}

/// An error of one AWS operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind of error it is.
    pub kind: ErrorKind,
    /// AWS's error code, when AWS answered.
    pub code: Option<String>,
    /// In words, with the operation in front.
    pub message: String,
}

impl Error {
    /// An error that names the operation.
    pub(crate) fn new<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        let code = error.code().map(str::to_owned);
        let kind = match (error, code.as_deref(), status) {
            (SdkError::ServiceError(_), Some(code), _) if is_throttling(code) => {
                ErrorKind::Transient
            }
            (SdkError::ServiceError(_), Some(code), _) if is_credentials(code) => {
                ErrorKind::Credentials
            }
            (SdkError::ServiceError(_), _, Some(500..) | None) => ErrorKind::Transient,
            (SdkError::ServiceError(_) | SdkError::ConstructionFailure(_), ..) => {
                ErrorKind::Refused
            }
            (SdkError::DispatchFailure(failure), ..) if failure.is_user() || failure.is_other() => {
                ErrorKind::Credentials
            }
            _ => ErrorKind::Transient,
        };
        let words = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            _ => chain(error),
        };
        Self {
            kind,
            code,
            message: format!("{operation}: {words}"),
        }
    }

    /// An error that a service answered with.
    pub(crate) fn answered(
        operation: &str,
        status: u16,
        code: Option<String>,
        message: &str,
    ) -> Self {
        let kind = match code.as_deref() {
            Some(code) if is_throttling(code) => ErrorKind::Transient,
            Some(code) if is_credentials(code) => ErrorKind::Credentials,
            _ if status >= 500 => ErrorKind::Transient,
            _ => ErrorKind::Refused,
        };
        let words = match (code.as_deref(), message) {
            (Some(code), "") => code.to_owned(),
            (Some(code), message) => format!("{code}: {message}"),
            (None, _) => format!("status {status}"),
        };
        Self {
            kind,
            code,
            message: format!("{operation}: {words}"),
        }
    }

    /// An answer that lacks what the operation promises.
    pub(crate) fn incomplete(operation: &str, what: &str) -> Self {
        Self {
            kind: ErrorKind::Refused,
            code: None,
            message: format!("{operation}: the answer has no {what}"),
        }
    }
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        Self {
            transient: error.kind == ErrorKind::Transient,
            // An answer with a code that is not a server's fault: AWS read the request and declined it.
            declined: match &error.code {
                Some(code) => error.kind != ErrorKind::Transient || code.contains("Throttl"),
                None => false,
            },
            message: error.message,
        }
    }
}

/// Codes with which AWS's services ask for patience (AWS SDKs and Tools Reference Guide, "Retry behavior").
fn is_throttling(code: &str) -> bool {
    code.contains("Throttl")
        || matches!(
            code,
            "TooManyRequestsException"
                | "RequestLimitExceeded"
                | "SlowDown"
                | "LimitExceededException"
                | "ServerException"
                | "UpdateInProgressException"
        )
}

fn is_credentials(code: &str) -> bool {
    matches!(
        code,
        "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "MissingAuthenticationTokenException"
    )
}

/// All that led to an error, without the SDK's internals: `… : connection refused`.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        // Many layers repeat the one below.
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}
