//! What looks like a secret, by name and by shape; and the hiding of it in what is shown.

use std::ops::Range;
use std::sync::Arc;

use diagnostic::{Diagnostic, Source};

use crate::File;
use crate::tree::{Node, Value};

/// Parts of names that secrets have.
const NAMES: [&str; 9] = [
    "PASSWORD",
    "PASSWD",
    "SECRET",
    "TOKEN",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "CREDENTIAL",
];
/// Beginnings of tokens that services give out.
const TOKENS: [&str; 12] = [
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "sk_live_",
    "rk_live_",
    "-----BEGIN ",
];

/// Why a variable's value is taken for a secret; none when it is not.
pub(super) fn suspicion(name: &str, value: &str) -> Option<&'static str> {
    if has_secret_shape(value) {
        return Some("has the shape of a secret");
    }
    let name = name.to_uppercase().replace('-', "_");
    // `TOKEN_TTL = 60`, `SECRET_NAME = …`, a path to a file or a placeholder name no secret.
    let harmless = value.is_empty()
        || value.contains("${")
        || value.starts_with('/')
        || value.starts_with("arn:")
        || value.len() < 6
        || matches!(value, "true" | "false")
        || value.bytes().all(|byte| byte.is_ascii_digit())
        || ["_NAME", "_ARN", "_PATH", "_FILE", "_URL", "_TTL", "_ID"]
            .iter()
            .any(|end| name.ends_with(end));
    (!harmless && NAMES.iter().any(|part| name.contains(part))).then_some("is a secret by its name")
}

/// Keys, tokens, and addresses with a password in them.
pub(crate) fn has_secret_shape(value: &str) -> bool {
    let long_enough = |prefix: &&str| value.starts_with(*prefix) && value.len() >= prefix.len() + 8;
    TOKENS.iter().any(long_enough) || has_password(value) || is_jwt(value)
}

/// `scheme://user:password@host`, with a password that is no placeholder.
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else {
        return false;
    };
    user.split_once(':')
        .is_some_and(|(_, password)| !password.is_empty() && !password.contains("${"))
}

/// Three parts of base64url, the first a JSON object.
fn is_jwt(value: &str) -> bool {
    let parts: Vec<&str> = value.split('.').collect();
    let base64 = |part: &&str| {
        part.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    parts.len() == 3 && value.starts_with("eyJ") && parts.iter().all(base64)
}

/// Why this cannot be what a secret refers to; none when it can.
pub(super) fn bad_reference(reference: &str) -> Option<&'static str> {
    if let Some(rest) = reference.strip_prefix("arn:") {
        let parts: Vec<&str> = rest.splitn(7, ':').collect();
        return match parts.as_slice() {
            [_, "ssm", _, _, parameter, ..] if parameter.starts_with("parameter/") => None,
            [_, "secretsmanager", _, _, "secret", name, ..] => {
                let name = name.split(':').next().unwrap_or_default();
                let suffix = name
                    .rsplit_once('-')
                    .map(|(_, suffix)| suffix)
                    .unwrap_or_default();
                let whole =
                    suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
                (!whole && !name.contains("${"))
                    .then_some("lacks the six characters at the end of a Secrets Manager ARN")
            }
            _ => Some("is an ARN of neither SSM nor Secrets Manager"),
        };
    }
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.-${}".contains(&byte);
    if reference.is_empty() || has_secret_shape(reference) || !reference.bytes().all(name) {
        return Some("holds a value, not a reference");
    }
    None
}

/// Hides what looks like a secret in the texts that problems show: a report must not carry it further.
pub(crate) fn mask(file: &File, problems: &mut [Diagnostic]) {
    let mut hidden = Vec::new();
    suspicious(&file.root, None, &mut hidden);
    if hidden.is_empty() {
        return;
    }
    let mut bytes = file.source.text.clone().into_bytes();
    for span in hidden {
        // The same number of bytes, so that every place stays where it is.
        bytes[span].fill(b'*');
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return;
    };
    let masked = Arc::new(Source::new(file.source.path.clone(), text));
    for problem in problems {
        if Arc::ptr_eq(&problem.source, &file.source) {
            problem.source = Arc::clone(&masked);
        }
    }
}

/// Places of values that look like secrets: `{"name": N, "value": V}` and `N = V`.
fn suspicious(node: &Node, name: Option<&str>, hidden: &mut Vec<Range<usize>>) {
    match &node.value {
        Value::String(text) if suspicion(name.unwrap_or_default(), text).is_some() => {
            hidden.push(node.span.clone());
        }
        Value::List(items) => items.iter().for_each(|item| suspicious(item, None, hidden)),
        Value::Object(members) => {
            let own_name = match node.get("name").map(|name| &name.value) {
                Some(Value::String(name)) => Some(name.as_str()),
                _ => None,
            };
            for member in members {
                let name = if member.key == "value" {
                    own_name
                } else {
                    Some(member.key.as_str())
                };
                suspicious(&member.node, name, hidden);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_and_by_shape() {
        for (name, value, secret) in [
            ("DB_PASSWORD", "hunter2hunter2", true),
            ("api-key", "0123456789abcdef", true),
            ("X", "AKIAIOSFODNN7EXAMPLE", true),
            ("DATABASE_URL", "postgres://u:pw@host/db", true),
            ("X", "eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl", true),
            ("X", "-----BEGIN RSA PRIVATE KEY-----", true),
            ("DATABASE_URL", "postgres://u@host/db", false),
            ("DATABASE_URL", "postgres://u:${PASSWORD}@host/db", false),
            ("TOKEN_TTL", "3600000", false),
            ("SECRET_NAME", "production/api", false),
            ("PASSWORD_FILE", "/run/secrets/x", false),
            ("LOG_LEVEL", "information", false),
        ] {
            assert_eq!(suspicion(name, value).is_some(), secret, "{name}={value}");
        }
    }

    #[test]
    fn references_are_told_from_values() {
        for (reference, good) in [
            ("/production/api/url", true),
            ("plain-name", true),
            ("arn:aws:ssm:eu-central-1:123456789012:parameter/a/b", true),
            (
                "arn:aws:secretsmanager:eu-central-1:123456789012:secret:a/b-AbC123",
                true,
            ),
            (
                "arn:aws:secretsmanager:eu-central-1:123456789012:secret:a/b-AbC123:key::",
                true,
            ),
            (
                "arn:aws:secretsmanager:eu-central-1:123456789012:secret:a/b",
                false,
            ),
            ("arn:aws:s3:::bucket", false),
            ("postgres://u:pw@host/db", false),
            ("my password", false),
            ("", false),
        ] {
            assert_eq!(bad_reference(reference).is_none(), good, "{reference}");
        }
    }
}
