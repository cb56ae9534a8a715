//! The local issuer of identity tokens: what GitHub's, GitLab's or a cluster's issuer is to a pipeline on AWS.
//!
//! A token is a JWT signed with ES256 by a key that this instance made and keeps. STS trusts this key and no other.
//!
//! Documented in RFC 7519 (JWT), RFC 7515 and RFC 7518 (signatures), and OpenID Connect Discovery 1.0.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::files;
use crate::random::{self, LETTERS};
use crate::task::Millis;

/// What a token is asked for with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Who issues it; the instance's own address when left out. A trust policy that names another issuer can be tried out so.
    pub issuer: Option<String>,
    /// For whom it is, such as `sts.amazonaws.com`.
    pub audience: String,
    /// Of whom it speaks, such as `repo:acme/api:environment:production`.
    pub subject: String,
    /// More that it says, such as GitHub's `ref`.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
    /// Seconds that it is valid.
    pub seconds: u64,
}

/// What a token that was found good says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) subject: String,
    /// All claims that are texts, these three included; trust policies may ask about each.
    pub(crate) texts: BTreeMap<String, String>,
}

impl Claims {
    /// The issuer as trust policies name it: without its scheme.
    pub(crate) fn provider(&self) -> &str {
        let issuer = self.issuer.as_str();
        issuer.split_once("://").map_or(issuer, |(_, rest)| rest)
    }
}

/// What is wrong with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is not one of this issuer.
    Invalid(&'static str),
    /// It was valid once, until this time in seconds.
    Expired(u64),
}

/// The issuer and its key.
pub(crate) struct Issuer {
    key: EcdsaKeyPair,
    /// Names the key.
    id: String,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Issuer {
    /// The issuer whose key is in this file, which is made if it is not there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let random = SystemRandom::new();
        let document = match std::fs::read(path) {
            Ok(document) => document,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                    .map_err(|_| broken("no random numbers"))?;
                files::write(path, made.as_ref())?;
                made.as_ref().to_vec()
            }
            Err(error) => return Err(error),
        };
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document, &random)
            .map_err(|_| broken("not a key of the local issuer"))?;
        let id = hex::encode(&key.public_key().as_ref()[1..9]);
        Ok(Self { key, id })
    }

    /// A token. `endpoint` is the issuer when the request names none.
    pub(crate) fn issue(
        &self,
        request: &TokenRequest,
        endpoint: &str,
        now: Millis,
    ) -> io::Result<String> {
        let seconds = now / 1000;
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.id});
        let mut claims = json!({
            "iss": request.issuer.as_deref().unwrap_or(endpoint),
            "sub": request.subject,
            "aud": request.audience,
            "iat": seconds,
            "nbf": seconds,
            "exp": seconds + request.seconds,
            "jti": random::text(LETTERS, 20)?,
        });
        for (name, value) in &request.claims {
            // What the token is about is not said twice.
            if claims[name].is_null() {
                claims[name] = json!(value);
            }
        }
        let signed = format!(
            "{}.{}",
            BASE64.encode(header.to_string()),
            BASE64.encode(claims.to_string())
        );
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|_| io::Error::other("no random numbers"))?;
        Ok(format!("{signed}.{}", BASE64.encode(signature.as_ref())))
    }

    /// What a token says, if this issuer made it and it is valid now.
    pub(crate) fn verify(&self, token: &str, now: Millis) -> Result<Claims, Refused> {
        let malformed = || Refused::Invalid("The ID Token provided is not a valid JWT.");
        let mut parts = token.trim().split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed());
        };
        let json = |part: &str| -> Option<Value> {
            serde_json::from_slice(&BASE64.decode(part).ok()?).ok()
        };
        let (head, claims) = (json(header), json(payload));
        let (Some(head), Some(claims)) = (head, claims) else {
            return Err(malformed());
        };
        let ours = head["alg"] == "ES256" && head["kid"] == self.id.as_str();
        let signature = BASE64.decode(signature).unwrap_or_default();
        let signed = format!("{header}.{payload}");
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        if !ours || key.verify(signed.as_bytes(), &signature).is_err() {
            return Err(Refused::Invalid(
                "Couldn't verify the signature of the ID Token: it is not one of the local issuer.",
            ));
        }
        let (until, from) = (claims["exp"].as_u64(), claims["nbf"].as_u64());
        let until = until.ok_or_else(malformed)?;
        if now / 1000 >= until {
            return Err(Refused::Expired(until));
        }
        if from.is_some_and(|from| now / 1000 < from) {
            return Err(Refused::Invalid("The ID Token is not valid yet."));
        }
        let texts: BTreeMap<String, String> = claims
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        let text = |member: &str| texts.get(member).cloned();
        match (text("iss"), text("aud"), text("sub")) {
            (Some(issuer), Some(audience), Some(subject)) => Ok(Claims {
                issuer,
                audience,
                subject,
                texts,
            }),
            _ => Err(malformed()),
        }
    }

    /// The public key, as discovery shows it.
    pub(crate) fn keys(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.key.public_key().as_ref();
        json!({"keys": [{
            "kty": "EC",
            "use": "sig",
            "alg": "ES256",
            "crv": "P-256",
            "kid": self.id,
            "x": BASE64.encode(&point[1..33]),
            "y": BASE64.encode(&point[33..]),
        }]})
    }
}

/// `/.well-known/openid-configuration`.
pub(crate) fn discovery(endpoint: &str) -> Value {
    json!({
        "issuer": endpoint,
        "jwks_uri": format!("{endpoint}/.well-known/jwks"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_800_000_000_000;

    #[test]
    fn a_token_is_valid_for_its_time_and_here_only() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("issuer.pk8");
        let issuer = Issuer::open(&path).unwrap();
        let request = TokenRequest {
            issuer: None,
            audience: "sts.amazonaws.com".to_owned(),
            subject: "repo:acme/api:ref:refs/heads/main".to_owned(),
            claims: BTreeMap::from([
                ("ref".to_owned(), "refs/heads/main".to_owned()),
                ("sub".to_owned(), "somebody else".to_owned()),
            ]),
            seconds: 60,
        };
        let token = issuer.issue(&request, "http://127.0.0.1:1", NOW).unwrap();
        let again = Issuer::open(&path).unwrap();
        let claims = again.verify(&token, NOW + 59_000).unwrap();
        assert_eq!(claims.provider(), "127.0.0.1:1");
        assert_eq!(claims.subject, request.subject);
        assert_eq!(claims.texts["ref"], "refs/heads/main");
        assert_eq!(
            again.verify(&token, NOW + 60_000),
            Err(Refused::Expired(NOW / 1000 + 60))
        );
        assert!(matches!(
            again.verify(&token, NOW - 1000),
            Err(Refused::Invalid(_))
        ));
        let other = Issuer::open(&home.path().join("other.pk8")).unwrap();
        let (head, rest) = token.split_once('.').unwrap();
        let (payload, signature) = rest.split_once('.').unwrap();
        let none = BASE64.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let changed = BASE64.encode(
            String::from_utf8(BASE64.decode(payload).unwrap())
                .unwrap()
                .replace("acme", "evil"),
        );
        for bad in [
            other.issue(&request, "http://127.0.0.1:1", NOW).unwrap(),
            format!("{none}.{payload}."),
            format!("{head}.{changed}.{signature}"),
            format!("{head}.{payload}"),
            "not a token".to_owned(),
            String::new(),
        ] {
            assert!(
                matches!(again.verify(&bad, NOW), Err(Refused::Invalid(_))),
                "{bad}"
            );
        }
        assert_eq!(again.keys()["keys"][0]["kid"], issuer.id.as_str());
    }
}
