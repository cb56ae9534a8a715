//! `render`: the task definition as it would be registered, byte for byte. Offline, and without Go.

use std::process::ExitCode;

use service_config::Inputs;

use super::TargetArgs;
use crate::project::{self, Project};
use crate::ui;

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
}

/// Runs `render`.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    let service = project.service(args.target.service.service.as_deref())?;
    let environment = project::environment(&service, args.target.env.as_deref())?;
    let document = service.render(&Inputs {
        image: &args.image,
        commit: &args.commit,
        ..Inputs::for_review(environment)
    })?;
    ui::print(&document);
    Ok(ExitCode::SUCCESS)
}
