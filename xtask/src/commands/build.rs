//! `build`: the image, without pushing it anywhere.

use std::process::ExitCode;

use super::ServiceArg;
use crate::project::Project;
use crate::{release, ui};

/// Arguments of `build`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    service: ServiceArg,
}

/// Runs `build`.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    let service = project.service(args.service.service.as_deref())?;
    let commit = project.commit(&service);
    let mut ui = ui::Ui::new();
    let built = release::build(&project, &service, &commit, &mut ui).await?;
    ui::say(&format!("  layout  {}", built.layout.display()));
    ui::print(&format!("{}\n", built.images.digest()));
    Ok(ExitCode::SUCCESS)
}
