//! The token that clients of the registry log in with: valid 12 hours, as ECR's.
//!
//! A token is its own end, who asked for it, and a proof that this instance wrote it, so none is kept, and tokens outlive a restart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;

use crate::sigv4::mac;
use crate::task::Millis;

/// How long a token is valid.
pub const LIFETIME: Millis = 12 * 60 * 60 * 1000;

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is none, or it was not made here.
    Unknown,
    /// It was valid once.
    Expired,
}

/// A token as `GetAuthorizationToken` gives it: base64 of `AWS:<password>`. Valid for [`LIFETIME`] from `now`.
pub fn issue(secret: &str, caller: &str, now: Millis) -> String {
    let end = now + LIFETIME;
    let proof = mac(secret.as_bytes(), message(end, caller).as_bytes()).finalize();
    let (caller, proof) = (hex::encode(caller), hex::encode(proof.into_bytes()));
    STANDARD.encode(format!("AWS:{end}.{caller}.{proof}"))
}

/// Checks the value of an `Authorization` header; says who asked for the token.
pub fn check(header: Option<&str>, secret: &str, now: Millis) -> Result<String, Refused> {
    let (end, caller) = header
        .and_then(|header| header.strip_prefix("Basic "))
        .and_then(|token| STANDARD.decode(token.trim()).ok())
        .and_then(|pair| String::from_utf8(pair).ok())
        .and_then(|pair| {
            let (end, rest) = pair.strip_prefix("AWS:")?.split_once('.')?;
            let (caller, proof) = rest.split_once('.')?;
            let end: Millis = end.parse().ok()?;
            let caller = String::from_utf8(hex::decode(caller).ok()?).ok()?;
            let proof = hex::decode(proof).ok()?;
            // Compares in constant time.
            mac(secret.as_bytes(), message(end, &caller).as_bytes())
                .verify_slice(&proof)
                .ok()?;
            Some((end, caller))
        })
        .ok_or(Refused::Unknown)?;
    if now < end {
        Ok(caller)
    } else {
        Err(Refused::Expired)
    }
}

fn message(end: Millis, caller: &str) -> String {
    format!("registry token until {end} for {caller}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_for_its_time_and_here_only() {
        let header = format!("Basic {}", issue("secret", "arn", 1000));
        let forged = STANDARD.encode("AWS:99999999999999.00.00");
        let cases = [
            (Some(header.as_str()), "secret", 1000, Ok("arn".to_owned())),
            (
                Some(&header),
                "secret",
                999 + LIFETIME,
                Ok("arn".to_owned()),
            ),
            (
                Some(&header),
                "secret",
                1000 + LIFETIME,
                Err(Refused::Expired),
            ),
            (Some(&header), "another", 1000, Err(Refused::Unknown)),
            (
                Some(&format!("Basic {forged}")),
                "secret",
                0,
                Err(Refused::Unknown),
            ),
            (Some("Basic %"), "secret", 0, Err(Refused::Unknown)),
            (None, "secret", 0, Err(Refused::Unknown)),
        ];
        for (header, secret, now, expected) in cases {
            assert_eq!(check(header, secret, now), expected, "{header:?} at {now}");
        }
    }
}
