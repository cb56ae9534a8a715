//! The addresses under which the bytes of blobs lie: signed, and good for an hour, as those that ECR gives out for its storage in S3.
//!
//! Who has one needs nothing else, and what is sent along besides is refused: S3 takes one proof only.

use hmac::Mac as _;

use crate::place::Place;
use crate::sigv4::mac;
use crate::task::Millis;

/// How long an address is good.
pub(crate) const LIFETIME: Millis = 60 * 60 * 1000;
/// Where blobs lie on the one port.
pub(crate) const PATH: &str = "/_blobs/";

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It was not made here.
    Unsigned,
    /// It was good once.
    Expired,
}

/// The address of a blob on `host`, good from now for [`LIFETIME`].
pub(crate) fn make(secret: &str, digest: &str, host: &str, place: &Place, now: Millis) -> String {
    let end = (now + LIFETIME) / 1000;
    let proof = mac(secret.as_bytes(), message(digest, end).as_bytes()).finalize();
    let proof = hex::encode(proof.into_bytes());
    format!(
        "http://{host}:{}{PATH}{digest}?Expires={end}&Signature={proof}",
        place.port
    )
}

/// Checks an address: the digest that its path names, its end (seconds since the epoch), and its proof.
pub(crate) fn check(
    secret: &str,
    digest: &str,
    end: Option<&str>,
    proof: Option<&str>,
    now: Millis,
) -> Result<(), Refused> {
    let end: u64 = end
        .and_then(|end| end.parse().ok())
        .ok_or(Refused::Unsigned)?;
    let proof = proof.and_then(|proof| hex::decode(proof).ok());
    // Compares in constant time.
    mac(secret.as_bytes(), message(digest, end).as_bytes())
        .verify_slice(&proof.ok_or(Refused::Unsigned)?)
        .map_err(|_| Refused::Unsigned)?;
    if now / 1000 < end {
        Ok(())
    } else {
        Err(Refused::Expired)
    }
}

fn message(digest: &str, end: u64) -> String {
    format!("blob {digest} until {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_good_for_its_blob_its_time_and_here_only() {
        let place = Place {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            port: 7411,
        };
        let made = make("secret", "sha256:a", "localhost", &place, 1000);
        let (path, query) = made.split_once('?').unwrap();
        assert_eq!(path, "http://localhost:7411/_blobs/sha256:a");
        let (end, proof) = query.split_once("&Signature=").unwrap();
        let end = end.strip_prefix("Expires=");
        let cases = [
            ("secret", "sha256:a", end, Some(proof), 1000, Ok(())),
            ("secret", "sha256:a", end, Some(proof), LIFETIME, Ok(())),
            (
                "secret",
                "sha256:a",
                end,
                Some(proof),
                1000 + LIFETIME,
                Err(Refused::Expired),
            ),
            (
                "secret",
                "sha256:b",
                end,
                Some(proof),
                1000,
                Err(Refused::Unsigned),
            ),
            (
                "another",
                "sha256:a",
                end,
                Some(proof),
                1000,
                Err(Refused::Unsigned),
            ),
            (
                "secret",
                "sha256:a",
                Some("9999999999"),
                Some(proof),
                1000,
                Err(Refused::Unsigned),
            ),
            (
                "secret",
                "sha256:a",
                None,
                Some(proof),
                1000,
                Err(Refused::Unsigned),
            ),
            (
                "secret",
                "sha256:a",
                end,
                None,
                1000,
                Err(Refused::Unsigned),
            ),
        ];
        for (secret, digest, end, proof, now, expected) in cases {
            assert_eq!(
                check(secret, digest, end, proof, now),
                expected,
                "{digest} {end:?} {now}"
            );
        }
    }
}
