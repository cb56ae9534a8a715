//! What a CI system gets besides lines of text: groups, annotations, outputs, a summary, hidden secrets. Only GitHub Actions has forms of its own for these;
//! everywhere else the same is plain text, and `--format json`.

mod github;
mod receipt;
mod text;

pub use github::GitHub;
pub use text::{code_block, code_span, table_cell};

use rollout::receipt::Receipt;

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

/// Shows a finished deployment or rollback where the CI system has places for it; `differences` are those of the task definitions.
pub fn receipt(receipt: &Receipt, differences: &[String]) {
    if let Some(github) = github() {
        receipt::show(&github, receipt, differences);
    }
}

/// Keeps a secret out of the logs: GitHub replaces it by asterisks wherever it appears. Elsewhere nothing prints it in the first place.
pub fn mask(secret: &str) {
    if let Some(github) = github() {
        github.mask(secret);
    }
}
