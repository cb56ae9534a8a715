//! Requests on their way into the call log.

use crate::calls::{Call, Need};
use crate::daemon::cloud::Cloud;
use crate::error::ApiError;
use crate::identity::Identity;
use crate::place::rfc3339;
use crate::task::Millis;

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome<'a> {
    /// `ok`, or the error's code.
    pub(super) code: &'a str,
    /// HTTP status; 0 without an answer.
    pub(super) status: u16,
    /// The faults that it met.
    pub(super) fault: Option<&'a str>,
}

/// Puts a request into the log: a line for each permission that it needed.
pub(super) fn record(
    cloud: &Cloud,
    at: Millis,
    id: &str,
    needs: &[Need],
    caller: &str,
    outcome: Outcome<'_>,
) {
    let first = needs.first().map(|need| need.action.as_str());
    let lines: Vec<Call> = needs
        .iter()
        .enumerate()
        .map(|(number, need)| Call {
            time: rfc3339(at),
            request_id: id.to_owned(),
            action: need.action.clone(),
            resources: need.resources.clone(),
            caller: caller.to_owned(),
            outcome: outcome.code.to_owned(),
            status: outcome.status,
            implied_by: (number > 0).then(|| first.unwrap_or_default().to_owned()),
            fault: outcome.fault.map(str::to_owned),
        })
        .collect();
    cloud.calls.append(&lines);
}

/// How the log names who called.
pub(super) fn caller(signer: Result<&Identity, &ApiError>) -> String {
    match signer {
        Ok(identity) => identity.arn.clone(),
        Err(error) if error.code.starts_with("MissingAuthenticationToken") => {
            "anonymous".to_owned()
        }
        Err(_) => "refused".to_owned(),
    }
}

/// Looks like a UUID. Tells requests apart in logs, so it need not be secret.
pub(super) fn request_id() -> String {
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
