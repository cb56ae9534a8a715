//! `explain`: what a finding means, why it matters and what to do.

use std::fmt::Write as _;
use std::process::ExitCode;

use service_config::rules;

use crate::exit::bad_input;
use crate::ui;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Code of the finding, such as `writable-root`; all codes when left out.
    code: Option<String>,
}

/// Runs `explain`.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(code) = &args.code else {
        let list = rules::all().fold(String::new(), |mut list, rule| {
            let _ = writeln!(list, "{:<24}  {}", rule.code, rule.what);
            list
        });
        ui::print(&list);
        return Ok(ExitCode::SUCCESS);
    };
    let Some(rule) = rules::find(code) else {
        return Err(bad_input(format!(
            "there is no finding `{code}`; `cargo xtask explain` lists them all"
        )));
    };
    ui::print(&rules::explain(rule));
    Ok(ExitCode::SUCCESS)
}
