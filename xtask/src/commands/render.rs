//! `render`: the task definition as it would be registered, byte for byte; and whether it is as it was reviewed. Offline, and without Go.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use diagnostic::Format;
use review::Document;
use service_config::{Inputs, Service};

use super::TargetArgs;
use crate::exit::{BAD_INPUT, bad_input};
use crate::project::{self, Project};
use crate::{report, ui};

/// Arguments of `render`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Image reference to fill in; a placeholder when left out.
    #[arg(long, value_name = "REPOSITORY@DIGEST", default_value = "${image}")]
    image: String,
    /// Commit to fill in; a placeholder when left out.
    #[arg(long, value_name = "HASH", default_value = "${commit}")]
    commit: String,
    /// Branch to fill in; a placeholder when left out.
    #[arg(long, value_name = "NAME", default_value = "${branch}")]
    branch: String,
    /// Print nothing; compare every service and environment with the snapshots beside the pipeline files, and show what has changed since they were reviewed.
    #[arg(long, conflicts_with_all = ["image", "commit", "branch", "accept"])]
    check: bool,
    /// Write the snapshots that are not as they should be, for the next review.
    #[arg(long, conflicts_with_all = ["image", "commit", "branch"])]
    accept: bool,
}

/// Runs `render`.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    if args.check || args.accept {
        return snapshots(&project, args);
    }
    let service = project.service(args.target.service.service.as_deref())?;
    let environment = project::environment(&service, args.target.env.as_deref())?;
    let document = service.render(&Inputs {
        image: &args.image,
        commit: &args.commit,
        branch: &args.branch,
        ..Inputs::for_review(environment)
    })?;
    ui::print(&document);
    Ok(ExitCode::SUCCESS)
}

/// The services that are meant: all, or the named one. None may have mistakes.
fn services(project: &Project, args: &Args) -> anyhow::Result<Vec<Service>> {
    if let Some(name) = args.target.service.service.as_deref() {
        let service = project.service(Some(name))?;
        if let Some(environment) = args.target.env.as_deref() {
            project::environment(&service, Some(environment))?;
        }
        return Ok(vec![service]);
    }
    let loaded = project.services()?;
    let errors = review::errors(&loaded);
    if !errors.is_empty() {
        report::problems(&errors, Format::Full);
        let count = report::count(errors.len(), "problem");
        return Err(bad_input(format!(
            "{count} to mend before anything is compared"
        )));
    }
    let services: Vec<Service> = loaded.into_iter().filter_map(|one| one.service).collect();
    if services.is_empty() {
        return Err(bad_input(format!(
            "there is no pipeline.toml in {}",
            project.root.display()
        )));
    }
    Ok(services)
}

/// `--check` and `--accept`.
fn snapshots(project: &Project, args: &Args) -> anyhow::Result<ExitCode> {
    let wanted = args.target.env.as_deref();
    let (mut same, mut changed, mut left_over) = (0, Vec::new(), Vec::new());
    for service in services(project, args)? {
        let unreadable = || {
            format!(
                "the snapshots of {} cannot be read",
                service.pipeline.service.name
            )
        };
        for document in review::documents(&service).with_context(unreadable)? {
            if wanted.is_some_and(|wanted| wanted != document.environment) {
                continue;
            }
            if document.is_reviewed() {
                same += 1;
            } else {
                changed.push(document);
            }
        }
        if wanted.is_none() {
            left_over.extend(review::left_over(&service).with_context(unreadable)?);
        }
    }
    if same + changed.len() == 0 {
        return Err(bad_input(format!(
            "no service here has an environment `{}`",
            wanted.unwrap_or_default()
        )));
    }
    if args.accept {
        for document in &changed {
            let path = &document.snapshot;
            report::write_with_folder(path, &document.file())
                .with_context(|| format!("{} cannot be written", path.display()))?;
            ui::say(&format!("wrote {}", path.display()));
        }
        for path in &left_over {
            std::fs::remove_file(path)
                .with_context(|| format!("{} cannot be removed", path.display()))?;
            ui::say(&format!("removed {}", path.display()));
        }
        return Ok(ExitCode::SUCCESS);
    }
    for document in &changed {
        ui::say(&format!("{}\n", told(document).trim_end()));
    }
    for path in &left_over {
        ui::say(&format!(
            "{} is left over: the pipeline file has no such environment\n",
            path.display()
        ));
    }
    if changed.is_empty() && left_over.is_empty() {
        let same = report::count(same, "task definition");
        ui::say(&format!("{same} as reviewed"));
        return Ok(ExitCode::SUCCESS);
    }
    let not = report::count(changed.len() + left_over.len(), "snapshot");
    ui::say(&format!(
        "{not} not as reviewed: if this is meant, run `cargo xtask render --accept`, look at the difference, and commit it"
    ));
    Ok(BAD_INPUT.into())
}

/// What has changed, as a person reads it.
fn told(document: &Document) -> String {
    let Document {
        service,
        environment,
        snapshot,
        reviewed,
        ..
    } = document;
    let mut text = format!("{service} in {environment}: ");
    if reviewed.is_none() {
        let _ = writeln!(text, "{} is not there yet", snapshot.display());
    } else {
        let _ = writeln!(
            text,
            "what would be sent is not what was reviewed\n{}",
            document.difference()
        );
    }
    text
}
