//! `plan`: what a deployment would change. Builds the image, and changes nothing in an account.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use rollout::plan::{Marker, OnFailure, Plan, ServiceSettings, Step};

use super::deploy::{allowed_variables, variable};
use super::{OutputFormat, TargetArgs};
use crate::cloud::Cloud;
use crate::project::{self, Project};
use crate::release::{self, Interrupt, Preparation, revision};
use crate::ui::Ui;
use crate::{report, ui};

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// As for `deploy`.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    variable: Vec<(String, String)>,
    /// As for `deploy`.
    #[arg(long)]
    supersede: bool,
    /// File for the plan; `deploy --plan FILE` carries it out.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What is printed on standard output.
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// Runs `plan`.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    let service = project.service_to_release(args.target.service.service.as_deref())?;
    let environment = project::environment(&service, args.target.env.as_deref())?;
    let variables = allowed_variables(args.variable, &service, environment)?;
    let interrupt = Interrupt::listen()?;
    let mut ui = Ui::new();
    let preparation = Preparation {
        project: &project,
        service: &service,
        environment,
        variables: &variables,
        supersede: args.supersede,
        wait: false,
        interrupt: &interrupt,
        test: false,
    };
    let ready = preparation.build(&mut ui).await?;
    let reference = release::reference(&ready.cloud, &service, &ready.images).await?;
    let (plan, _) = preparation.plan(&ready, reference, &mut ui).await?;
    let json = format!("{}\n", serde_json::to_string_pretty(&plan)?);
    if let Some(path) = &args.out {
        report::write(path, &json)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        ui::say(&format!("wrote {}", path.display()));
    }
    ui::print(&match args.format {
        OutputFormat::Text => text(&plan, &ready.cloud, environment),
        OutputFormat::Json => json,
    });
    Ok(ExitCode::SUCCESS)
}

/// A plan as people read it.
pub fn text(plan: &Plan, cloud: &Cloud, environment: &str) -> String {
    let mut out = format!(
        "service {} in environment {environment}: account {}, {}, cluster {}\n",
        plan.service, cloud.account, cloud.region, plan.cluster
    );
    present(plan, &mut out);
    if plan.steps.is_empty() {
        out.push_str("nothing changes: this is live already\n");
        return out;
    }
    for line in &plan.differences {
        let _ = writeln!(out, "  {line}");
    }
    for (number, step) in plan.steps.iter().enumerate() {
        let what = match step {
            Step::RegisterTaskDefinition { .. } => {
                "register the task definition as a new revision (RegisterTaskDefinition)".to_owned()
            }
            Step::RunTask { task } => {
                let way_back = match (task.marker, &task.reverse) {
                    (Marker::Safe, _) => "the way back stays open".to_owned(),
                    (Marker::Reverse, Some(reverse)) => {
                        format!("the way back runs `{}` first", reverse.join(" "))
                    }
                    _ => "after it nothing goes back by itself".to_owned(),
                };
                format!(
                    "run task `{}`: `{}`, at most {} s; {way_back}",
                    task.name,
                    task.command.join(" "),
                    task.timeout_seconds
                )
            }
            Step::CreateService { settings } => {
                format!(
                    "create the service with {} tasks (CreateService)",
                    settings.desired_count
                )
            }
            Step::UpdateService {
                task_definition, ..
            } => {
                let target = task_definition
                    .as_deref()
                    .map_or("the new revision", revision);
                format!("update the service to {target} (UpdateService)")
            }
            Step::Adopt {
                deployment,
                task_definition,
                settings,
                ..
            } => format!(
                "{}watch deployment {deployment} of {}",
                if *settings == ServiceSettings::default() {
                    ""
                } else {
                    "send the service's new settings, and "
                },
                revision(task_definition)
            ),
        };
        let _ = writeln!(out, "{}. {what}", number + 1);
    }
    for check in &plan.checks {
        let _ = writeln!(
            out,
            "then GET {} must answer {}{} within {} s",
            check.url,
            check.status,
            check
                .contains
                .as_ref()
                .map_or_else(String::new, |text| format!(" with {text:?}")),
            check.within_seconds
        );
    }
    if plan.bake_seconds > 0 {
        let _ = writeln!(out, "then it is watched for {} s", plan.bake_seconds);
    }
    if !plan.alarms.is_empty() {
        let _ = writeln!(out, "watching alarms {}", plan.alarms.join(", "));
    }
    let _ = match &plan.guard.primary_deployment {
        Some(deployment) => writeln!(out, "only if deployment {deployment} is still PRIMARY"),
        None => writeln!(out, "only if the service is still not there"),
    };
    let _ = match &plan.way_back {
        Some(_) if plan.on_failure == OnFailure::Stay => {
            writeln!(out, "if it fails nothing is taken back: a person decides")
        }
        Some(arn) => writeln!(
            out,
            "back to {} if it fails, or after {} s",
            revision(arn),
            plan.timeout_seconds
        ),
        None => writeln!(out, "there is no earlier revision to return to"),
    };
    out
}

/// What the service runs now, and whether its image changes.
fn present(plan: &Plan, out: &mut String) {
    let Some(present) = &plan.present else {
        out.push_str("  now: the service is not there\n");
        return;
    };
    let commit = present.commit.as_deref();
    let commit = commit.map_or_else(String::new, |commit| {
        format!(" (commit {})", project::short(commit))
    });
    let _ = writeln!(
        out,
        "  now: {}{commit}, {} tasks running, {} desired",
        revision(&present.task_definition),
        present.running_count,
        present.desired_count
    );
    // A change of it is one of the differences.
    if let (Some(old), Some(new)) = (&present.image, &plan.image)
        && *old == new.reference
    {
        let _ = writeln!(out, "  image: unchanged, {old}");
    }
}
