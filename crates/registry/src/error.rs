//! What can go wrong with a registry, each with what to do about it. No variant ever holds a credential, nor the
//! query of a URL: upload sessions carry their state there.

use image::Digest;

/// A registry could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is no registry's.
    #[error("`{address}` cannot be a registry: {reason}")]
    Address {
        /// The address, without user and password.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A repository, tag or reference with characters that the specification does not allow.
    #[error("`{name}` is not a valid {what}: {reason}")]
    Name {
        /// What it should name.
        what: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The credentials are missing, wrong or expired.
    #[error(
        "{registry} does not accept the credentials ({message}): log in again; an ECR token is valid for 12 hours and \
         for one region only"
    )]
    Unauthorized {
        /// The registry's host.
        registry: String,
        /// The registry's words.
        message: String,
    },
    /// The credentials are good but not for this.
    #[error(
        "{registry} does not allow to {action} ({message}): give the role ecr:BatchCheckLayerAvailability, \
         ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload, ecr:PutImage and ecr:BatchGetImage on \
         the repository; an ECR token that has expired is refused like this too"
    )]
    Denied {
        /// The registry's host.
        registry: String,
        /// What was tried.
        action: String,
        /// The registry's words.
        message: String,
    },
    /// There is no such repository.
    #[error(
        "{registry} has no repository `{repository}` ({message}): create it (`aws ecr create-repository \
         --repository-name {repository}`) or correct its name, account or region"
    )]
    RepositoryNotFound {
        /// The registry's host.
        registry: String,
        /// The repository.
        repository: String,
        /// The registry's words.
        message: String,
    },
    /// The manifest or blob is not in the repository.
    #[error("{registry} could not {action}: it is not there")]
    NotFound {
        /// The registry's host.
        registry: String,
        /// What was tried.
        action: String,
    },
    /// An immutable tag names another image.
    #[error(
        "the tag `{tag}` of `{repository}` names {} and is immutable, so it cannot be given to {wanted}: the same \
         commit was pushed before with other content; use a new commit or another tag",
        existing.as_ref().map_or("another image", Digest::as_str)
    )]
    TagImmutable {
        /// The repository.
        repository: String,
        /// The tag.
        tag: String,
        /// The image that was to be tagged.
        wanted: Digest,
        /// What the tag names, where the registry says so.
        existing: Option<Digest>,
    },
    /// No connection.
    #[error("cannot reach {registry} to {action}: {reason}")]
    Unreachable {
        /// The registry's host.
        registry: String,
        /// What was tried.
        action: String,
        /// The cause.
        reason: String,
    },
    /// The connection ended while a request was on its way.
    #[error(
        "{registry} closed the connection while the client was about to {action}: {reason}; on ECR a missing repository \
         or a missing permission (ecr:InitiateLayerUpload) shows like this"
    )]
    Disconnected {
        /// The registry's host.
        registry: String,
        /// What was tried.
        action: String,
        /// The cause.
        reason: String,
    },
    /// Any other refusal.
    #[error("{registry} refused to {action}: {status} {message}")]
    Refused {
        /// The registry's host.
        registry: String,
        /// What was tried.
        action: String,
        /// The HTTP status code.
        status: u16,
        /// The registry's words.
        message: String,
    },
    /// An answer that no client can go on with.
    #[error("{registry} answered `{action}` in a way that cannot be used: {reason}")]
    Protocol {
        /// The registry's host.
        registry: String,
        /// What was tried.
        action: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The bytes are not those that were asked for or sent.
    #[error(
        "{registry} has other bytes than expected after `{action}`: expected {expected}, found {found}"
    )]
    Mismatch {
        /// The registry's host.
        registry: String,
        /// What was tried.
        action: String,
        /// The digest that was expected.
        expected: Digest,
        /// The digest that was found.
        found: String,
    },
    /// A failure that may pass did not.
    #[error("{source} (given up; tries: {tries})")]
    GaveUp {
        /// How often it was tried.
        tries: usize,
        /// The last failure.
        source: Box<Error>,
    },
    /// The base image could not be used.
    #[error("the base image {reference} cannot be used: {reason}")]
    Base {
        /// The base image.
        reference: String,
        /// Why not.
        reason: String,
    },
    /// The cache of base images cannot be written.
    #[error(transparent)]
    Cache(#[from] image::FileError),
    /// TLS or HTTP could not be set up on this machine.
    #[error(
        "cannot set up HTTPS: {0}; install the system's root certificates (the package `ca-certificates`)"
    )]
    Tls(String),
}

/// The words of a registry: `{"errors":[{"code":…,"message":…}]}` (distribution specification, "Error Codes").
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The codes, in upper case.
    pub(crate) codes: Vec<String>,
    /// All in one line.
    pub(crate) message: String,
}

impl Answer {
    /// Reads the body of a refusal; what is no JSON is taken as text.
    pub(crate) fn read(body: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct Body {
            errors: Vec<Item>,
        }
        #[derive(serde::Deserialize)]
        struct Item {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        match serde_json::from_slice::<Body>(body) {
            Ok(body) => Self {
                message: one_line(
                    &body
                        .errors
                        .iter()
                        .map(|item| format!("{}: {}", item.code, item.message))
                        .collect::<Vec<_>>()
                        .join("; "),
                ),
                codes: body
                    .errors
                    .into_iter()
                    .map(|item| item.code.to_uppercase())
                    .collect(),
            },
            Err(_) => Self {
                codes: Vec::new(),
                message: one_line(&String::from_utf8_lossy(body)),
            },
        }
    }

    pub(crate) fn has(&self, code: &str) -> bool {
        self.codes.iter().any(|found| found == code)
    }
}

/// At most 500 characters without line breaks and control characters: the text comes from another machine and ends
/// up on a terminal.
fn one_line(text: &str) -> String {
    text.split_whitespace()
        .flat_map(|word| [" ", word])
        .skip(1)
        .flat_map(str::chars)
        .filter(|c| !c.is_control())
        .take(500)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_bounded_line() {
        let answer = Answer::read(
            br#"{"errors":[{"code":"name_unknown","message":"no\nsuch \u001b[31mthing"},{}]}"#,
        );
        assert!(answer.has("NAME_UNKNOWN"));
        assert_eq!(answer.message, "name_unknown: no such [31mthing; :");
        assert_eq!(Answer::read(&[b'x'; 9000]).message.len(), 500);
        assert_eq!(Answer::read(b"<html>\n oops").message, "<html> oops");
        assert_eq!(Answer::read(b"").message, "");
    }
}
