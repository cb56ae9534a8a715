//! The call log: every request that an AWS client made, in IAM's terms.
//!
//! One line a permission: an operation that needs several (`RegisterTaskDefinition` with a role needs `iam:PassRole` too) has several lines with one request ID. So the log
//! says which policy a client needs, and a test can hold a policy against it. No value of a request is in it but the names of what it is about.

mod file;
mod needs;

use serde::{Deserialize, Serialize};

pub(crate) use file::CallFile;
pub use file::read;
pub(crate) use needs::{Need, of_api, of_registry};

/// One permission that a request needed, and how the request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Call {
    /// When it was received: RFC 3339 with milliseconds, UTC.
    pub time: String,
    /// The request's ID; the answer carries it as `x-amzn-requestid`.
    pub request_id: String,
    /// As policies name it, such as `ecs:UpdateService`.
    pub action: String,
    /// ARNs, as policies name them; `*` alone when the action has no resources.
    pub resources: Vec<String>,
    /// ARN of who signed it; `anonymous` when it was not signed, `refused` when the signature was not accepted.
    pub caller: String,
    /// `ok`, or the code of the error.
    pub outcome: String,
    /// HTTP status of the answer; 0 when there was none because the connection was broken on purpose.
    pub status: u16,
    /// The action that needed this one too, such as `ecs:RegisterTaskDefinition` for an `iam:PassRole`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implied_by: Option<String>,
    /// The fault that was injected into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Call {
    /// The service in front of the action's colon.
    pub fn service(&self) -> &str {
        self.action.split(':').next().unwrap_or_default()
    }
}
