//! What a CI system gets besides lines of text: groups, annotations, outputs, a summary, hidden secrets. Only GitHub Actions has forms of its own for these;
//! everywhere else the same is plain text, and `--format json`.

mod github;
mod text;

pub use github::GitHub;
pub use text::{code_block, code_span, table_cell};

/// GitHub Actions, when this runs in it.
pub fn github() -> Option<GitHub> {
    GitHub::detect(&|name| std::env::var(name).ok())
}

/// How loud an annotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is worth a look.
    Warning,
    /// Something is worth knowing.
    Notice,
}

/// Keeps a secret out of the logs: GitHub replaces it by asterisks wherever it appears. Elsewhere nothing prints it in the first place.
pub fn mask(secret: &str) {
    if let Some(github) = github() {
        github.mask(secret);
    }
}
