//! Exit codes are a promise to scripts; they stand in the README.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::release::NotReady;

/// A build, test or push stage failed; nothing live was touched.
pub const STAGE_FAILED: u8 = 1;
/// Bad input: usage, configuration, schema, lint.
pub const BAD_INPUT: Code = Code(2);
/// Refused before any change.
pub const REFUSED: Code = Code(3);

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(u8);

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.0)
    }
}

impl Code {
    /// The number.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// An error that ends the program with a code other than [`STAGE_FAILED`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The code.
    pub code: Code,
    /// What a person reads.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// An error with exit code 2.
pub fn bad_input(message: impl Into<String>) -> anyhow::Error {
    failure(BAD_INPUT, message, None)
}

/// An error with exit code 3.
pub fn refused(message: impl Into<String>, hint: Option<&str>) -> anyhow::Error {
    failure(REFUSED, message, hint)
}

fn failure(code: Code, message: impl Into<String>, hint: Option<&str>) -> anyhow::Error {
    Failure {
        code,
        message: message.into(),
        hint: hint.map(str::to_owned),
    }
    .into()
}

/// The code that an error ends the program with.
pub fn code_of(error: &anyhow::Error) -> Code {
    if error.is::<NotReady>() {
        return REFUSED;
    }
    error
        .downcast_ref::<Failure>()
        .map_or(Code(STAGE_FAILED), |failure| failure.code)
}

/// Prints an error with all that led to it.
pub fn explain(error: &anyhow::Error) -> ExitCode {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Libraries often repeat their cause in their own message.
        if !text.contains(&cause) {
            let _ = write!(text, "\n  because: {cause}");
        }
    }
    if let Some(hint) = error
        .downcast_ref::<Failure>()
        .and_then(|failure| failure.hint.as_deref())
    {
        let _ = write!(text, "\nhint: {hint}");
    }
    crate::ui::say(&text);
    code_of(error).into()
}
