//! A problem as data, and its renderers.
//!
//! What finds a problem says what and where; how it is shown is decided once, at the edge. So a person at a terminal, an editor, GitHub and a script read the
//! same finding, and a test can compare findings without parsing text.

mod render;
mod source;

use std::sync::Arc;

pub use render::{Format, ParseFormatError, render};
pub use source::{Position, Source};

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The input is used as it is; something was normalised or dropped.
    Note,
    /// The input is used, and will likely be regretted.
    Warning,
    /// The input cannot be used.
    Error,
}

impl Severity {
    /// The word that people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One problem, at one place of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable name of the kind of problem, such as `unknown-key`.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// The file it is in.
    pub source: Arc<Source>,
    /// Byte range in the file's text; empty for "here".
    pub span: std::ops::Range<usize>,
    /// A word or two beside the marked place.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error without label and help.
    pub fn error(
        code: &'static str,
        source: &Arc<Source>,
        span: std::ops::Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            source: Arc::clone(source),
            span,
            label: None,
            help: None,
        }
    }

    /// The same with words beside the marked place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Where the problem begins.
    pub fn start(&self) -> Position {
        self.source.position(self.span.start)
    }

    /// Where the problem ends (exclusive).
    pub fn end(&self) -> Position {
        self.source.position(self.span.end)
    }
}

/// Puts problems into the order in which a person reads files: by file, then by place.
pub fn sort(problems: &mut [Diagnostic]) {
    problems.sort_by(|a, b| {
        (&a.source.path, a.span.start, a.span.end, a.code, &a.message).cmp(&(
            &b.source.path,
            b.span.start,
            b.span.end,
            b.code,
            &b.message,
        ))
    });
}
