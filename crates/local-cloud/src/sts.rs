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
    request: &Value,
    identity: &Identity,
    trust: &Trust<'_>,
    now: Millis,
) -> Result<Value, ApiError> {
    match operation {
        "GetCallerIdentity" => Ok(json!({
            "Arn": identity.arn,
            "UserId": identity.user_id,
            "Account": trust.place.account,
        })),
        "AssumeRole" => assume(trust, identity, request, now),
        _ => Err(ApiError::new(
            "InvalidAction",
            format!("Could not find operation {operation} for version 2011-06-15."),
        )),
    }
}

/// What is needed to give credentials.
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
    let (role_arn, name) = (member(request, "RoleArn")?, session_name(request)?);
    let token = member(request, "WebIdentityToken")?;
    let duration = duration(request)?;
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
    let mut answer = session(trust, role, &identity, now + duration * 1000)?;
    answer["SubjectFromWebIdentityToken"] = claims.subject.as_str().into();
    answer["Provider"] = claims.issuer.as_str().into();
    answer["Audience"] = claims.audience.as_str().into();
    Ok((identity, answer))
}

/// Temporary credentials for a role, for a caller that has credentials already.
fn assume(
    trust: &Trust<'_>,
    caller: &Identity,
    request: &Value,
    now: Millis,
) -> Result<Value, ApiError> {
    let (role_arn, name) = (member(request, "RoleArn")?, session_name(request)?);
    let duration = duration(request)?;
    if !request["Policy"].is_null() || !request["PolicyArns"].is_null() {
        // A session that may more than it was meant to would be worse than none.
        return Err(invalid("The local cloud has no session policies."));
    }
    let role = role_name(role_arn, trust.place)
        .filter(|role| trust.iam.may_assume_as(caller, role, trust.place))
        .ok_or_else(|| ApiError {
            status: 403,
            code: "AccessDenied",
            message: format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}",
                caller.arn
            ),
        })?;
    if caller.role().is_some() && duration > 3600 {
        return Err(invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        ));
    }
    if duration > trust.iam.longest_session(role) {
        return Err(invalid(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    let identity = Identity::assumed_role(trust.place, role, name);
    session(trust, role, &identity, now + duration * 1000)
}

fn member<'a>(request: &'a Value, name: &str) -> Result<&'a str, ApiError> {
    let text = request[name].as_str().filter(|text| !text.is_empty());
    text.ok_or_else(|| invalid(&format!("The request must contain the parameter {name}.")))
}

fn session_name(request: &Value) -> Result<&str, ApiError> {
    let name = member(request, "RoleSessionName")?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    if !(2..=64).contains(&name.len()) || !name.bytes().all(good) {
        return Err(invalid(
            "1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*, and have a length between 2 and 64",
        ));
    }
    Ok(name)
}

/// How long the session is to be, in seconds.
fn duration(request: &Value) -> Result<u64, ApiError> {
    let Some(text) = request["DurationSeconds"].as_str() else {
        return Ok(3600);
    };
    text.parse::<u64>()
        .ok()
        .filter(|seconds| (900..=43200).contains(seconds))
        .ok_or_else(|| invalid("The requested DurationSeconds must be between 900 and 43200."))
}

/// Opens a session; what the answers have in common.
fn session(
    trust: &Trust<'_>,
    role: &str,
    identity: &Identity,
    until: Millis,
) -> Result<Value, ApiError> {
    let session = open_session(trust.secret, identity, until).map_err(|error| ApiError {
        status: 500,
        code: "InternalFailure",
        message: format!("There are no random numbers: {error}"),
    })?;
    let name = identity.arn.rsplit('/').next().unwrap_or_default();
    Ok(json!({
        "Credentials": {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "SessionToken": session.token,
            "Expiration": seconds(session.expires),
        },
        "AssumedRoleUser": {
            "AssumedRoleId": format!("{}:{name}", role_id(role)),
            "Arn": identity.arn,
        },
    }))
}

fn invalid(message: &str) -> ApiError {
    ApiError::new("ValidationError", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity;
    use crate::instance::Instance;

    #[test]
    fn a_role_is_assumed_with_credentials() {
        let home = tempfile::tempdir().unwrap();
        let instance = Instance::create(home.path()).unwrap();
        let issuer = Issuer::open(&home.path().join("issuer")).unwrap();
        let (place, mut iam) = (instance.place(), Iam::default());
        let owner = Identity::owner(&place, &instance.access_key_id);
        let role = place.role_arn("deployer");
        let assume = |iam: &Iam, who: &Identity, request: &Value| {
            let trust = Trust {
                issuer: &issuer,
                iam,
                place: &place,
                secret: &instance.secret_access_key,
            };
            apply("AssumeRole", request, who, &trust, 1000)
        };
        let request = json!({"RoleArn": role, "RoleSessionName": "ci"});
        let answer = assume(&iam, &owner, &request).unwrap();
        let given = &answer["Credentials"];
        let text = |member: &str| given[member].as_str().unwrap();
        let (_, found) = identity::find(
            &instance,
            text("AccessKeyId"),
            Some(text("SessionToken")),
            1000,
        )
        .unwrap();
        assert_eq!(answer["AssumedRoleUser"]["Arn"], json!(found.arn));
        assert_eq!(found.role(), Some("deployer"));
        assert_eq!(given["Expiration"], 3601.0);

        let refused = |iam: &Iam, who: &Identity, member: &str, value: &str| {
            let mut request = request.clone();
            request[member] = value.into();
            assume(iam, who, &request)
                .map(drop)
                .map_err(|error| error.code)
        };
        let cases = [
            (&owner, "RoleSessionName", "a b", Err("ValidationError")),
            (&owner, "DurationSeconds", "899", Err("ValidationError")),
            (&owner, "DurationSeconds", "3601", Err("ValidationError")),
            (&owner, "Policy", "{}", Err("ValidationError")),
            (
                &owner,
                "RoleArn",
                "arn:aws:iam::111111111111:role/x",
                Err("AccessDenied"),
            ),
            (&found, "DurationSeconds", "3600", Ok(())),
        ];
        for (who, member, value, expected) in cases {
            assert_eq!(
                refused(&iam, who, member, value),
                expected,
                "{member} {value}"
            );
        }
        let trust = r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
        let create = json!({"RoleName": "deployer", "AssumeRolePolicyDocument": trust});
        iam.apply("CreateRole", &create, &place, 0).unwrap();
        let answer = assume(&iam, &owner, &request).map_err(|error| error.code);
        assert_eq!(answer.map(drop), Err("AccessDenied"));
    }
}
