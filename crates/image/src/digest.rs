//! Content digests. Everything in an image is named by the SHA-256 of its bytes, so the name gets a type of its own
//! that cannot hold anything else.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// `sha256:` and 64 lower-case hexadecimal digits, as in the OCI image specification, "Digests". Other algorithms
/// are refused: ECR has only this one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// A text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: expected `sha256:` and 64 lower-case hexadecimal digits")]
pub struct ParseDigestError(String);

const PREFIX: &str = "sha256:";

impl Digest {
    /// The digest of these bytes.
    pub fn of(data: &[u8]) -> Self {
        Self(format!("{PREFIX}{}", hex::encode(Sha256::digest(data))))
    }

    /// The whole text, `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 digits: the name of a blob's file in an OCI image layout.
    pub fn hex(&self) -> &str {
        &self.0[PREFIX.len()..]
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Digest {
    type Error = ParseDigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match text.strip_prefix(PREFIX) {
            Some(digits) if digits.len() == 64 && digits.bytes().all(is_digit) => Ok(Self(text)),
            _ => Err(ParseDigestError(text)),
        }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        let empty = Digest::of(b"");
        assert_eq!(
            empty.as_str(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(empty.hex().len(), 64);
    }

    #[test]
    fn what_is_not_a_digest_is_refused() {
        let upper = Digest::of(b"").to_string().to_uppercase();
        let long = format!("{}0", Digest::of(b""));
        for text in ["", "sha256:", "sha512:00", "sha256:é", &upper, &long] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_and_json_round_trip(data: Vec<u8>) {
            let digest = Digest::of(&data);
            prop_assert_eq!(&digest.to_string().parse::<Digest>().unwrap(), &digest);
            let json = serde_json::to_string(&digest).unwrap();
            prop_assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        }

        #[test]
        fn parsing_never_panics(text: String) {
            let _ = text.parse::<Digest>();
        }
    }
}
