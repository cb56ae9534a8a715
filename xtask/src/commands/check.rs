//! `check`: all problems of all files at once. Offline, and without Go.

use std::process::ExitCode;

use anyhow::Context as _;
use diagnostic::{Diagnostic, Severity};

use crate::exit::{BAD_INPUT, bad_input};
use crate::project::Project;
use crate::{report, ui};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How problems are shown: full, concise, github, json.
    #[arg(long, default_value = "full", value_name = "FORMAT")]
    format: diagnostic::Format,
    /// Write files that are only accepted in another form as they should be. Comments, order and line ends stay as they are.
    #[arg(long)]
    fix: bool,
}

/// Runs `check`.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    let mut loaded = project.services()?;
    if loaded.is_empty() {
        return Err(bad_input(format!(
            "there is no pipeline.toml in {}",
            project.root.display()
        )));
    }
    if args.fix {
        let mut wrote = false;
        for clean in loaded.iter().flat_map(|one| &one.clean) {
            report::write(&clean.path, &clean.text)
                .with_context(|| format!("{} cannot be written", clean.path.display()))?;
            ui::say(&format!("wrote {}", clean.path.display()));
            wrote = true;
        }
        if wrote {
            // What is left is shown where it now stands.
            loaded = project.services()?;
        }
    }
    let services = report::count(loaded.len(), "service");
    let problems: Vec<Diagnostic> = loaded.into_iter().flat_map(|one| one.problems).collect();
    report::problems(&problems, args.format);
    let count = |severity| {
        problems
            .iter()
            .filter(|problem: &&Diagnostic| problem.severity == severity)
            .count()
    };
    let counts = [
        (Severity::Error, "error"),
        (Severity::Warning, "warning"),
        (Severity::Note, "note"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(severity, word)| (count(severity), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| report::count(count, word))
        .collect();
    let counts = if counts.is_empty() {
        "no problems".to_owned()
    } else {
        counts.join(", ")
    };
    ui::say(&format!("{services} checked: {counts}"));
    let clean = problems
        .iter()
        .all(|problem| problem.severity == Severity::Note);
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        BAD_INPUT.into()
    })
}
