//! Where this cloud says it is: the region, account and address that appear in its ARNs and addresses.

use serde_json::Value;

use crate::error::ApiError;
use crate::task::Millis;

/// The region, account and port under which a local cloud answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Region name, part of ARNs and of signatures.
    pub region: String,
    /// Twelve digits.
    pub account: String,
    /// Port on 127.0.0.1 that every API and the registry answer on.
    pub port: u16,
}

impl Place {
    /// `arn:aws:<service>:<region>:<account>:<resource>`.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:aws:{service}:{}:{}:{resource}",
            self.region, self.account
        )
    }

    /// ARN of an IAM role, which belongs to no region.
    pub fn role_arn(&self, name: &str) -> String {
        format!("arn:aws:iam::{}:role/{name}", self.account)
    }

    /// Host and port of the registry, as image references begin.
    pub fn registry(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The address that clients are given as `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Seconds since the epoch with a fraction, as AWS's JSON protocol writes timestamps.
pub(crate) fn seconds(at: Millis) -> Value {
    std::time::Duration::from_millis(at).as_secs_f64().into()
}

/// The same moment as RFC 3339 with milliseconds, in UTC.
pub(crate) fn rfc3339(at: Millis) -> String {
    i64::try_from(at)
        .ok()
        .and_then(|at| jiff::Timestamp::from_millisecond(at).ok())
        .map_or_else(String::new, |at| format!("{at:.3}"))
}

/// Reads a request into its type; members that the type does not name are ignored, as AWS ignores what it does not know.
///
/// `code` is the error that the service answers when a member is missing or of the wrong type.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(
    request: &Value,
    code: &'static str,
) -> Result<T, ApiError> {
    T::deserialize(request)
        .map_err(|error| ApiError::new(code, format!("The request is not valid: {error}.")))
}

/// One page of a list: where it begins comes from `token`, the token of the next page goes back with it.
///
/// Tokens are offsets; a token that is not one is an error with `code`.
pub(crate) fn page<T>(
    all: Vec<T>,
    token: Option<&str>,
    size: usize,
    code: &'static str,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let start = match token {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .ok()
            .filter(|start| *start <= all.len())
            .ok_or_else(|| ApiError::new(code, "The nextToken is not valid."))?,
    };
    let next = start.saturating_add(size);
    let token = (next < all.len()).then(|| next.to_string());
    Ok((all.into_iter().skip(start).take(size).collect(), token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_the_list_once() {
        let all: Vec<u32> = (0..7).collect();
        let mut seen = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let (part, next) = page(all.clone(), token.as_deref(), 3, "Code").unwrap();
            seen.extend(part);
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
        assert_eq!(page(all, Some("x"), 3, "Code").unwrap_err().code, "Code");
    }

    #[test]
    fn timestamps_keep_their_milliseconds() {
        assert_eq!(seconds(1_753_000_000_123).to_string(), "1753000000.123");
        assert_eq!(rfc3339(1_753_000_000_120), "2025-07-20T08:26:40.120Z");
    }
}
