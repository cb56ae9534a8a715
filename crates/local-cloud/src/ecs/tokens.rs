//! Client tokens: a request that comes again with its token does nothing again (*Ensuring idempotency*).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Result;
use super::request::{Request, invalid};
use crate::error::ApiError;
use crate::task::Millis;

/// A token is good for a day.
const GOOD_MS: Millis = 24 * 3_600_000;

/// Reads `clientToken`, which may have `most` characters.
pub(super) fn read(request: Request<'_>, most: usize) -> Result<Option<&str>> {
    let token = request.text("clientToken")?;
    let fits =
        |token: &str| token.len() <= most && token.bytes().all(|byte| (33..=126).contains(&byte));
    match token {
        Some(token) if !fits(token) => Err(invalid(format!(
            "clientToken may have {most} ASCII characters in the range of 33-126."
        ))),
        token => Ok(token),
    }
}

/// Tokens of `RunTask`, by cluster and token.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Tokens {
    used: BTreeMap<String, Used>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Used {
    at: Millis,
    request: Value,
    /// Ids of the tasks that it ran.
    tasks: Vec<String>,
}

impl Tokens {
    /// The ids of the tasks that this request ran when it came first; none when it has not come before.
    pub(super) fn find(
        &self,
        cluster: &str,
        token: &str,
        request: &Value,
        now: Millis,
    ) -> Result<Option<&[String]>> {
        match self.used.get(&key(cluster, token)) {
            Some(used) if now >= used.at + GOOD_MS => Ok(None),
            Some(used) if used.request == *request => Ok(Some(&used.tasks)),
            Some(_) => Err(ApiError::new(
                "ConflictException",
                "The provided clientToken is already in use with a different RunTask request.",
            )),
            None => Ok(None),
        }
    }

    pub(super) fn remember(
        &mut self,
        cluster: &str,
        token: &str,
        request: Value,
        tasks: Vec<String>,
        now: Millis,
    ) {
        self.used.retain(|_, used| now < used.at + GOOD_MS);
        let used = Used {
            at: now,
            request,
            tasks,
        };
        self.used.insert(key(cluster, token), used);
    }
}

fn key(cluster: &str, token: &str) -> String {
    format!("{cluster}/{token}")
}
