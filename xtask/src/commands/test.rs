//! `test`: what must hold before a commit is deployed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use go_test::Outcome;

use super::{OutputFormat, ServiceArg};
use crate::exit::STAGE_FAILED;
use crate::project::Project;
use crate::release::Interrupt;
use crate::testing::{self, Stage};
use crate::ui::Ui;
use crate::{report, ui};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    service: ServiceArg,
    /// File for the results as JUnit XML, which CI systems show.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// What is printed on standard output: nothing, or the report as JSON.
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// Runs `test`.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    let service = project.service(args.service.service.as_deref())?;
    let interrupt = Interrupt::listen()?;
    let mut ui = Ui::new();
    let report = Stage::new(&project, &service)
        .run(&interrupt, &mut ui)
        .await?;
    if let Some(path) = &args.junit {
        report::write_with_folder(path, &go_test::junit(&report))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    testing::show(&report);
    if args.format == OutputFormat::Json {
        ui::print(&format!("{}\n", serde_json::to_string_pretty(&report)?));
    }
    interrupt.check()?;
    Ok(match report.outcome {
        Outcome::Failed => STAGE_FAILED.into(),
        Outcome::Passed | Outcome::Skipped => ExitCode::SUCCESS,
    })
}
