//! `workflows`: the GitHub workflows under `.github/workflows/`, written from the pipeline files.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use diagnostic::{Format, Severity};
use service_config::Service;
use workflows::{File, MARK, Unit};

use crate::exit::bad_input;
use crate::project::Project;
use crate::{report, ui};

/// Arguments of `workflows`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write nothing; show what would change, and fail when anything would.
    #[arg(long)]
    check: bool,
    /// Folder of the workflows; `.github/workflows` at the top of the repository when left out.
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// Runs `workflows`.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    let services = all_services(&project)?;
    let units: Vec<Unit<'_>> = services
        .iter()
        .map(|service| Unit {
            service,
            module: module(&project, service),
        })
        .collect();
    let files = workflows::generate(&units).map_err(|problems| {
        let mut text = report::count(problems.len(), "problem");
        text.push_str(" in the way of the workflows:");
        for problem in &problems {
            let _ = write!(text, "\n  {problem}");
        }
        bad_input(text)
    })?;
    let folder = match &args.output {
        Some(folder) => folder.clone(),
        None => project.root.join(".github/workflows"),
    };
    let changes = changes(&folder, &files)?;
    if args.check {
        return check(&changes);
    }
    for change in &changes {
        match &change.new {
            Some(text) => report::write_with_folder(&change.path, text)
                .with_context(|| format!("{} cannot be written", change.path.display()))?,
            None => std::fs::remove_file(&change.path)
                .with_context(|| format!("{} cannot be removed", change.path.display()))?,
        }
        let verb = if change.new.is_some() {
            "wrote"
        } else {
            "removed"
        };
        ui::say(&format!("{verb} {}", change.path.display()));
    }
    if changes.is_empty() {
        ui::say("the workflows are up to date");
    }
    Ok(ExitCode::SUCCESS)
}

/// Every service of the repository, or all that is wrong with them.
pub fn all_services(project: &Project) -> anyhow::Result<Vec<Service>> {
    let mut services = Vec::new();
    let mut problems = Vec::new();
    for loaded in project.services()? {
        services.extend(loaded.service);
        problems.extend(loaded.problems);
    }
    problems.retain(|problem| problem.severity == Severity::Error);
    if !problems.is_empty() {
        report::problems(&problems, Format::Full);
        return Err(bad_input(format!(
            "{} to mend first",
            report::count(problems.len(), "problem")
        )));
    }
    if services.is_empty() {
        return Err(bad_input(format!(
            "there is no pipeline.toml in {}",
            project.root.display()
        )));
    }
    Ok(services)
}

/// Folder of the service's go.mod, from the top of the repository.
fn module(project: &Project, service: &Service) -> String {
    let folder = crate::sources::module(service);
    let folder = folder.canonicalize().unwrap_or(folder);
    match folder.strip_prefix(&project.root) {
        Ok(path) if !path.as_os_str().is_empty() => path.display().to_string(),
        _ => ".".to_owned(),
    }
}

/// A file that is not as it should be.
struct Change {
    path: PathBuf,
    old: String,
    /// None for a file that should not be there.
    new: Option<String>,
}

fn changes(folder: &Path, files: &[File]) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    let mut foreign = Vec::new();
    for file in files {
        let path = folder.join(&file.name);
        let old = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", path.display()));
            }
        };
        if !old.is_empty() && !old.starts_with(MARK) {
            foreign.push(path.display().to_string());
        } else if old != file.text {
            changes.push(Change {
                path,
                old,
                new: Some(file.text.clone()),
            });
        }
    }
    if !foreign.is_empty() {
        return Err(bad_input(format!(
            "{} would be overwritten, and longshore has not written it; rename it, or remove it if it is no longer needed",
            foreign.join(", ")
        )));
    }
    // Of an environment that is gone.
    let wanted: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(changes);
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let known = name.to_str().is_some_and(|name| wanted.contains(name));
        if let Ok(old) = std::fs::read_to_string(entry.path())
            && !known
            && old.starts_with(MARK)
        {
            changes.push(Change {
                path: entry.path(),
                old,
                new: None,
            });
        }
    }
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(changes)
}

fn check(changes: &[Change]) -> anyhow::Result<ExitCode> {
    if changes.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for change in changes {
        let name = change.path.display().to_string();
        let new = change.new.as_deref().unwrap_or_default();
        let diff = similar::TextDiff::from_lines(change.old.as_str(), new);
        ui::print(
            &diff
                .unified_diff()
                .header(&name, "as it should be")
                .to_string(),
        );
    }
    Err(bad_input(format!(
        "{} not up to date; run `cargo xtask workflows` and commit what it changes",
        match changes.len() {
            1 => "1 workflow is".to_owned(),
            number => format!("{number} workflows are"),
        }
    )))
}
