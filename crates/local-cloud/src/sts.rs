//! STS: who a caller is, and temporary credentials for a token of the local issuer.
//!
//! Documented in the AWS Security Token Service API reference.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::iam::policy::Context;
use crate::iam::{Iam, role_name};
use crate::identity::{Identity, open_session, role_id};
use crate::issuer::{Issuer, Refused};
use crate::place::{Place, rfc3339, seconds};
use crate::task::Millis;

/// The operation that needs no signature: the token is the proof.
pub(crate) const WEB_IDENTITY: &str = "AssumeRoleWithWebIdentity";

/// Answers an operation that was signed.
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

/// What is needed to answer [`WEB_IDENTITY`].
pub(crate) struct Trust<'a> {
    pub(crate) issuer: &'a Issuer,
    pub(crate) iam: &'a Iam,
    pub(crate) place: &'a Place,
    /// The instance's secret, with which sessions are sealed.
    pub(crate) secret: &'a str,
}

/// Temporary credentials for a role, against a token.
pub(crate) fn assume_with_web_identity(
    trust: &Trust<'_>,
    request: &Value,
    now: Millis,
) -> Result<(Identity, Value), ApiError> {
    let member = |name: &str| {
        let text = request[name].as_str().filter(|text| !text.is_empty());
        text.ok_or_else(|| invalid(&format!("The request must contain the parameter {name}.")))
    };
    let (role_arn, name, token) = (
        member("RoleArn")?,
        member("RoleSessionName")?,
        member("WebIdentityToken")?,
    );
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    if !(2..=64).contains(&name.len()) || !name.bytes().all(good) {
        return Err(invalid(
            "1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*, and have a length between 2 and 64",
        ));
    }
    let duration = match request["DurationSeconds"].as_str() {
        None => 3600,
        Some(text) => text
            .parse::<u64>()
            .ok()
            .filter(|seconds| (900..=43200).contains(seconds))
            .ok_or_else(|| {
                invalid("The requested DurationSeconds must be between 900 and 43200.")
            })?,
    };
    let claims = trust.issuer.verify(token, now).map_err(|refused| match refused {
        Refused::Invalid(why) => ApiError::new("InvalidIdentityToken", why),
        Refused::Expired(until) => ApiError::new(
            "ExpiredTokenException",
            format!(
                "Token expired: current date/time {} must be before the expiration date/time {}",
                now / 1000,
                rfc3339(until * 1000)
            ),
        ),
    })?;
    let provider = claims.provider();
    let context: Context = claims
        .texts
        .iter()
        .map(|(key, value)| {
            (
                format!("{provider}:{key}").to_lowercase(),
                vec![value.clone()],
            )
        })
        .collect();
    let role = role_name(role_arn, trust.place)
        .filter(|role| {
            trust
                .iam
                .may_assume(role, provider, &claims.audience, &context)
        })
        .ok_or_else(|| ApiError {
            status: 403,
            code: "AccessDenied",
            message: "Not authorized to perform sts:AssumeRoleWithWebIdentity".to_owned(),
        })?;
    let identity = Identity::assumed_role(trust.place, role, name);
    let session =
        open_session(trust.secret, &identity, now + duration * 1000).map_err(|error| ApiError {
            status: 500,
            code: "InternalFailure",
            message: format!("There are no random numbers: {error}"),
        })?;
    let answer = json!({
        "Credentials": {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "SessionToken": session.token,
            "Expiration": seconds(session.expires),
        },
        "SubjectFromWebIdentityToken": claims.subject,
        "AssumedRoleUser": {
            "AssumedRoleId": format!("{}:{name}", role_id(role)),
            "Arn": identity.arn,
        },
        "Provider": claims.issuer,
        "Audience": claims.audience,
    });
    Ok((identity, answer))
}

fn invalid(message: &str) -> ApiError {
    ApiError::new("ValidationError", message)
}
