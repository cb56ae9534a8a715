//! Who signs a request: the instance's own key, or a session of a role that was assumed.
//!
//! A session is not kept anywhere. Its token holds what it is, sealed with the instance's secret, and its secret key is made of the token. So sessions outlive a restart, as
//! the registry's tokens do.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::Mac as _;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::instance::Instance;
use crate::place::Place;
use crate::random::{self, CAPITALS};
use crate::sigv4::mac;
use crate::task::Millis;

/// Whoever calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// ARN of the user, or of the assumed role's session.
    pub arn: String,
    /// `UserId` of `GetCallerIdentity`.
    pub user_id: String,
}

impl Identity {
    /// Whose key the instance's own is.
    pub fn owner(place: &Place, access_key_id: &str) -> Self {
        Self {
            arn: owner_arn(place),
            user_id: access_key_id.to_owned(),
        }
    }

    /// A session of a role.
    pub fn assumed_role(place: &Place, role: &str, session: &str) -> Self {
        Self {
            arn: format!(
                "arn:aws:sts::{}:assumed-role/{role}/{session}",
                place.account
            ),
            user_id: format!("{}:{session}", role_id(role)),
        }
    }

    /// An identity of which only the ARN is known.
    pub(crate) fn of_arn(arn: &str) -> Self {
        Self {
            arn: arn.to_owned(),
            user_id: String::new(),
        }
    }

    /// Name of the role that was assumed, if one was.
    pub fn role(&self) -> Option<&str> {
        let (_, rest) = self.arn.split_once(":assumed-role/")?;
        rest.split('/').next()
    }
}

/// ARN of the identity that the instance's own key belongs to.
pub fn owner_arn(place: &Place) -> String {
    format!("arn:aws:iam::{}:user/longshore", place.account)
}

/// A stable ID for a role: AWS's begin with `AROA`.
pub(crate) fn role_id(role: &str) -> String {
    let proof = mac(b"role id", role.as_bytes()).finalize().into_bytes();
    let letters = proof
        .iter()
        .take(17)
        .map(|byte| char::from(CAPITALS[usize::from(*byte) % CAPITALS.len()]));
    "AROA".chars().chain(letters).collect()
}

/// Temporary credentials.
#[derive(Clone)]
pub struct Session {
    /// Public part of the key; begins with `ASIA`, as AWS's temporary ones do.
    pub access_key_id: String,
    /// Secret part of the key.
    pub secret_access_key: String,
    /// What must be sent along with it.
    pub token: String,
    /// When it ends.
    pub expires: Millis,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("access_key_id", &self.access_key_id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// What a token holds.
#[derive(Serialize, Deserialize)]
struct Sealed {
    key: String,
    identity: Identity,
    expires: Millis,
}

/// Opens a session.
///
/// # Errors
/// When the operating system gives no random numbers.
pub fn open_session(
    secret: &str,
    identity: &Identity,
    expires: Millis,
) -> std::io::Result<Session> {
    let access_key_id = format!("ASIA{}", random::text(CAPITALS, 16)?);
    let sealed = Sealed {
        key: access_key_id.clone(),
        identity: identity.clone(),
        expires,
    };
    let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&sealed)?);
    let seal = mac(secret.as_bytes(), message(&payload).as_bytes()).finalize();
    Ok(Session {
        secret_access_key: secret_of(secret, &payload),
        token: format!("{payload}.{}", URL_SAFE_NO_PAD.encode(seal.into_bytes())),
        access_key_id,
        expires,
    })
}

/// The secret key and the owner of an access key, with the session token that was sent along.
pub(crate) fn find(
    instance: &Instance,
    access_key_id: &str,
    token: Option<&str>,
    now: Millis,
) -> Result<(String, Identity), ApiError> {
    if access_key_id == instance.access_key_id {
        return match token {
            None => Ok((
                instance.secret_access_key.clone(),
                Identity::owner(&instance.place(), access_key_id),
            )),
            Some(_) => Err(unknown(
                "the local cloud's own key has no session token (is AWS_SESSION_TOKEN of another account still set?).",
            )),
        };
    }
    let secret = &instance.secret_access_key;
    let session = token.and_then(|token| opened(secret, token));
    match session {
        Some((sealed, secret)) if sealed.key == access_key_id => {
            if now >= sealed.expires {
                return Err(ApiError::new(
                    "ExpiredTokenException",
                    "The security token included in the request is expired",
                ));
            }
            Ok((secret, sealed.identity))
        }
        _ => Err(unknown(&format!(
            "the access key {access_key_id} is not one of this local cloud."
        ))),
    }
}

fn opened(secret: &str, token: &str) -> Option<(Sealed, String)> {
    let (payload, seal) = token.split_once('.')?;
    let seal = URL_SAFE_NO_PAD.decode(seal).ok()?;
    // Compares in constant time.
    mac(secret.as_bytes(), message(payload).as_bytes())
        .verify_slice(&seal)
        .ok()?;
    let sealed = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Some((sealed, secret_of(secret, payload)))
}

fn message(payload: &str) -> String {
    format!("session token {payload}")
}

fn secret_of(secret: &str, payload: &str) -> String {
    let key = mac(
        secret.as_bytes(),
        format!("session secret {payload}").as_bytes(),
    );
    let mut text = STANDARD.encode(key.finalize().into_bytes());
    text.truncate(40);
    text
}

fn unknown(why: &str) -> ApiError {
    ApiError::new(
        "UnrecognizedClientException",
        format!("The security token included in the request is invalid: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> Instance {
        let home = tempfile::tempdir().unwrap();
        Instance::create(home.path()).unwrap()
    }

    #[test]
    fn a_session_is_known_until_it_ends_and_here_only() {
        let here = instance();
        let identity = Identity::assumed_role(&here.place(), "deployer", "ci");
        let session = open_session(&here.secret_access_key, &identity, 1000).unwrap();
        let look = |instance: &Instance, key: &str, token: Option<&str>, now| {
            find(instance, key, token, now).map_err(|error| error.code)
        };
        let token = Some(session.token.as_str());
        let key = session.access_key_id.as_str();
        assert_eq!(
            look(&here, key, token, 999),
            Ok((session.secret_access_key.clone(), identity))
        );
        assert_eq!(look(&here, key, token, 1000), Err("ExpiredTokenException"));
        let unknown = Err("UnrecognizedClientException");
        assert_eq!(look(&here, key, None, 0), unknown);
        assert_eq!(look(&here, "ASIAOTHER", token, 0), unknown);
        assert_eq!(look(&instance(), key, token, 0), unknown);
        assert_eq!(look(&here, &here.access_key_id, token, 0), unknown);
        let forged = session.token.replacen('e', "f", 1);
        assert_eq!(look(&here, key, Some(&forged), 0), unknown);
        assert!(look(&here, &here.access_key_id, None, 0).is_ok());
        let shown = format!("{session:?}");
        assert!(!shown.contains(&session.secret_access_key) && !shown.contains(&session.token));
    }

    #[test]
    fn a_role_is_read_from_the_sessions_arn() {
        let place = instance().place();
        let session = Identity::assumed_role(&place, "deployer", "ci");
        assert_eq!(session.role(), Some("deployer"));
        assert_eq!(Identity::owner(&place, "KEY").role(), None);
        assert_eq!(role_id("deployer").len(), 21);
    }
}
