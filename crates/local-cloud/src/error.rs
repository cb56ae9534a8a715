//! An error as AWS's services answer it.

use thiserror::Error;

/// An error answer: HTTP status, AWS's error code, a message in AWS's words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// The error's name, such as `ClusterNotFoundException`: `__type` on the wire.
    pub code: &'static str,
    /// What the caller reads.
    pub message: String,
}

impl ApiError {
    /// A client error (HTTP 400), as nearly all modelled errors are.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code,
            message: message.into(),
        }
    }

    /// The answer to an operation that this cloud does not have.
    pub(crate) fn unknown_operation(service: &str, operation: &str) -> Self {
        Self::new(
            "UnknownOperationException",
            format!("The local cloud's {service} has no operation {operation}."),
        )
    }
}
