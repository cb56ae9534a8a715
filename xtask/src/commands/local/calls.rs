//! `local calls`: which requests AWS clients made, as the permissions that they needed.

use std::fmt::Write as _;
use std::path::Path;

use local_cloud::client::{self, Call};

use crate::commands::OutputFormat;
use crate::ui;

/// Arguments of `local calls`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only actions like this one: `ecs:UpdateService`, `ecs:*`.
    action: Option<String>,
    /// What is printed on standard output: lines, or one JSON list.
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// Runs `local calls`. The log is a file, so it can be read when the AWS on this machine does not run.
pub fn run(args: &Args, home: &Path) -> anyhow::Result<()> {
    let mut calls = client::calls(home)?;
    if let Some(wanted) = &args.action {
        calls.retain(|call| like(wanted, &call.action));
    }
    ui::print(&match args.format {
        OutputFormat::Text => calls.iter().map(line).collect(),
        OutputFormat::Json => format!("{}\n", serde_json::to_string_pretty(&calls)?),
    });
    Ok(())
}

/// Whether an action is like `pattern`, which may end in `*`. Case does not matter, as in policies.
fn like(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_lowercase(), action.to_lowercase());
    match pattern.strip_suffix('*') {
        Some(start) => action.starts_with(start),
        None => action == pattern,
    }
}

fn line(call: &Call) -> String {
    let mut out = format!(
        "{}  {:<8}  {}  {}  by {}",
        call.time,
        call.outcome,
        call.action,
        call.resources.join(" "),
        call.caller
    );
    if let Some(by) = &call.implied_by {
        let _ = write!(out, "  (because of {by})");
    }
    if let Some(fault) = &call.fault {
        let _ = write!(out, "  (fault: {fault})");
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_chosen_by_pattern() {
        for (pattern, action, expected) in [
            ("ecs:UpdateService", "ecs:UpdateService", true),
            ("ecs:updateservice", "ecs:UpdateService", true),
            ("ecs:*", "ecs:UpdateService", true),
            ("*", "sts:GetCallerIdentity", true),
            ("ecs:Update", "ecs:UpdateService", false),
        ] {
            assert_eq!(like(pattern, action), expected, "{pattern} {action}");
        }
    }
}
