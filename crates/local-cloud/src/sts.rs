//! STS: the one question tools ask before they begin, "who am I?".

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::identity::Identity;
use crate::place::Place;

/// Answers one operation.
pub(crate) fn apply(
    operation: &str,
    identity: &Identity,
    place: &Place,
) -> Result<Value, ApiError> {
    match operation {
        "GetCallerIdentity" => Ok(json!({
            "Arn": identity.arn,
            "UserId": identity.user_id,
            "Account": place.account,
        })),
        _ => Err(ApiError::new(
            "InvalidAction",
            format!("Could not find operation {operation} for version 2011-06-15."),
        )),
    }
}
