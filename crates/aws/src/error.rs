//! An AWS error in words, and whether the same call may go through later.

use aws_sdk_ecs::config::http::HttpResponse;
use aws_sdk_ecs::error::{ProvideErrorMetadata, SdkError};
use rollout::execute::CallError;

/// What kind of error it is, as far as a caller acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Timed out, not reachable, a server's fault: later the same call may go through, and this one may have taken effect.
    Transient,
    /// Throttled, no room, something else on its way: AWS did not do it, and may do it later.
    Busy,
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
        let kind = match error {
            SdkError::ServiceError(_) => {
                answered(code.as_deref(), error.message(), status.unwrap_or(500))
            }
            SdkError::ConstructionFailure(_) => ErrorKind::Refused,
            // A request that could not be made, for want of credentials as a rule. What the SDK takes for a fault of the connection has a kind: an answer that breaks off.
            SdkError::DispatchFailure(failure)
                if failure.is_user() || (failure.is_other() && failure.as_other().is_none()) =>
            {
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
        let kind = answered(code.as_deref(), Some(message), status);
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
            transient: matches!(error.kind, ErrorKind::Transient | ErrorKind::Busy),
            // An answer with a code that is not a server's fault: AWS read the request and declined it.
            declined: error.code.is_some() && error.kind != ErrorKind::Transient,
            message: error.message,
        }
    }
}

/// What kind of error a service answered with.
fn answered(code: Option<&str>, message: Option<&str>, status: u16) -> ErrorKind {
    match code {
        Some(code) if is_busy(code, message.unwrap_or_default()) => ErrorKind::Busy,
        Some(code) if is_credentials(code) => ErrorKind::Credentials,
        Some(
            "ServerException" | "InternalFailure" | "RequestTimeout" | "RequestTimeoutException",
        ) => ErrorKind::Transient,
        _ if status >= 500 => ErrorKind::Transient,
        _ => ErrorKind::Refused,
    }
}

/// Codes with which AWS's services ask for patience (AWS SDKs and Tools Reference Guide, "Retry behavior"). The work was not begun.
///
/// ECS has one code for many things, and says of one of them only in words that it passes: two registrations of a family at once.
fn is_busy(code: &str, message: &str) -> bool {
    code.contains("Throttl")
        || matches!(
            code,
            "TooManyRequestsException"
                | "RequestLimitExceeded"
                | "SlowDown"
                | "LimitExceededException"
                | "UpdateInProgressException"
        )
        || (code == "ClientException" && message.contains("Too many concurrent attempts"))
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
