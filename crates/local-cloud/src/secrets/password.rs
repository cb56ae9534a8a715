//! `GetRandomPassword`: characters of the kinds that are asked for, from the operating system's random numbers.

use serde::Deserialize;
use serde_json::{Value, json};

use super::INVALID;
use crate::error::ApiError;
use crate::place::parse;
use crate::random::{self, LETTERS};

/// What Secrets Manager counts as punctuation.
const PUNCTUATION: &str = r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"##;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "as the request has them")]
struct Request {
    #[serde(default)]
    password_length: Option<usize>,
    #[serde(default)]
    exclude_characters: String,
    #[serde(default)]
    exclude_numbers: bool,
    #[serde(default)]
    exclude_punctuation: bool,
    #[serde(default)]
    exclude_uppercase: bool,
    #[serde(default)]
    exclude_lowercase: bool,
    #[serde(default)]
    include_space: bool,
    require_each_included_type: Option<bool>,
}

pub(super) fn random(request: &Value) -> Result<Value, ApiError> {
    let request: Request = parse(request, INVALID)?;
    let length = request.password_length.unwrap_or(32);
    if !(1..=4096).contains(&length) {
        return Err(ApiError::new(
            INVALID,
            "PasswordLength must be between 1 and 4096.",
        ));
    }
    let lower: String = ('a'..='z').collect();
    let kinds: Vec<Vec<u8>> = [
        (!request.exclude_lowercase, lower.as_str()),
        (!request.exclude_uppercase, &lower.to_ascii_uppercase()),
        (!request.exclude_numbers, "0123456789"),
        (!request.exclude_punctuation, PUNCTUATION),
        (request.include_space, " "),
    ]
    .into_iter()
    .filter(|(wanted, _)| *wanted)
    .map(|(_, letters)| {
        let letters = letters.chars();
        letters
            .filter(|letter| !request.exclude_characters.contains(*letter))
            .collect::<String>()
            .into_bytes()
    })
    .filter(|letters| !letters.is_empty())
    .collect();
    let all = kinds.concat();
    if all.is_empty() {
        return Err(ApiError::new(
            INVALID,
            "The request excludes all characters that a password could have.",
        ));
    }
    let each = request.require_each_included_type.unwrap_or(true);
    if each && length < kinds.len() {
        return Err(ApiError::new(
            INVALID,
            format!(
                "A password of {length} characters cannot have one of each of the {} required types.",
                kinds.len()
            ),
        ));
    }
    let password = made(if each { &kinds } else { &[] }, &all, length);
    let password = password.map_err(|error| ApiError {
        status: 500,
        code: "InternalServiceError",
        message: format!("There are no random numbers: {error}"),
    })?;
    Ok(json!({"RandomPassword": password}))
}

/// One character of each kind, the others of any, in any order.
fn made(kinds: &[Vec<u8>], all: &[u8], length: usize) -> std::io::Result<String> {
    let mut password = String::new();
    for kind in kinds {
        password += &random::text(kind, 1)?;
    }
    password += &random::text(all, length - kinds.len())?;
    let mut placed = Vec::with_capacity(length);
    for letter in password.chars() {
        placed.push((random::text(LETTERS, 16)?, letter));
    }
    placed.sort();
    Ok(placed.into_iter().map(|(_, letter)| letter).collect())
}
