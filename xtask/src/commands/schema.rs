//! `schema`: what is written from the code: the JSON Schemas under `schemas/` and the table of findings.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::exit::bad_input;
use crate::project::Project;
use crate::{report, ui};

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write nothing; fail when a file is not up to date.
    #[arg(long)]
    check: bool,
    /// Folder of the schemas; `schemas` at the top of the repository when left out.
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// Runs `schema`.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = match &args.output {
        Some(folder) => folder.clone(),
        None => Project::find()?.root.join("schemas"),
    };
    let files = [
        ("findings.md", service_config::rules::markdown()),
        ("pipeline.schema.json", service_config::schema::pipeline()),
        (
            "task-definition.schema.json",
            service_config::schema::task_definition(),
        ),
        ("plan.schema.json", rollout::receipt::plan_schema()),
        ("test-report.schema.json", go_test::report_schema()),
        ("receipt.schema.json", rollout::receipt::receipt_schema()),
    ];
    let mut stale = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|current| current == text) {
            continue;
        }
        if args.check {
            stale.push(path.display().to_string());
        } else {
            report::write_with_folder(&path, &text)
                .with_context(|| format!("{} cannot be written", path.display()))?;
            ui::say(&format!("wrote {}", path.display()));
        }
    }
    if stale.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(bad_input(format!(
        "not up to date: {}; run `cargo xtask schema` and commit what it writes",
        stale.join(", ")
    )))
}
