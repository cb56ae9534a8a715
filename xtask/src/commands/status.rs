//! `status`: what a service runs.

use std::fmt::Write as _;
use std::process::ExitCode;

use rollout::facts::{RolloutState, ServiceView};
use serde_json::json;

use super::{OutputFormat, TargetArgs};
use crate::cloud::{self, Cloud};
use crate::exit::refused;
use crate::project::{self, Project};
use crate::release::revision;
use crate::ui;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// What is printed on standard output.
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// Runs `status`.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    let service = project.service(args.target.service.service.as_deref())?;
    let environment = project::environment(&service, args.target.env.as_deref())?;
    let cloud = cloud::look(&project, &service, environment).await?;
    let Some(view) = cloud.aws.service(&cloud.cluster, &cloud.service).await? else {
        return Err(refused(
            format!(
                "there is no service `{}` in cluster `{}`",
                cloud.service, cloud.cluster
            ),
            Some("`cargo xtask deploy` deploys it"),
        ));
    };
    let image = cloud
        .aws
        .image_of(&view.task_definition, &service.pipeline.deploy.container)
        .await?;
    ui::print(&match args.format {
        OutputFormat::Text => text(&cloud, &view, image.as_deref()),
        OutputFormat::Json => json_text(&cloud, &view, image.as_deref()),
    });
    Ok(ExitCode::SUCCESS)
}

fn state(state: Option<RolloutState>) -> &'static str {
    match state {
        Some(RolloutState::Completed) => "COMPLETED",
        Some(RolloutState::Failed) => "FAILED",
        Some(RolloutState::InProgress) => "IN_PROGRESS",
        None => "unknown",
    }
}

fn text(cloud: &Cloud, view: &ServiceView, image: Option<&str>) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:>10}  {value}");
    };
    row(
        "service",
        &format!(
            "{} in cluster {} ({})",
            cloud.service, cloud.cluster, view.status
        ),
    );
    row("revision", revision(&view.task_definition));
    row("image", image.unwrap_or("unknown"));
    row(
        "tasks",
        &format!("{} of {} run", view.running_count, view.desired_count),
    );
    for deployment in &view.deployments {
        row(
            "deployment",
            &format!(
                "{} {} {}: {} of {} tasks run, {} failed",
                deployment.status,
                revision(&deployment.task_definition),
                state(deployment.rollout_state),
                deployment.running_count,
                deployment.desired_count,
                deployment.failed_tasks
            ),
        );
    }
    if let Some(url) = &cloud.url {
        row("address", url);
    }
    for event in view.events.iter().take(5) {
        row("event", &event.message);
    }
    out
}

fn json_text(cloud: &Cloud, view: &ServiceView, image: Option<&str>) -> String {
    let deployments: Vec<_> = view
        .deployments
        .iter()
        .map(|deployment| {
            json!({
                "id": deployment.id,
                "status": deployment.status,
                "taskDefinition": deployment.task_definition,
                "rolloutState": state(deployment.rollout_state),
                "runningCount": deployment.running_count,
                "desiredCount": deployment.desired_count,
                "failedTasks": deployment.failed_tasks,
            })
        })
        .collect();
    let status = json!({
        "service": cloud.service,
        "cluster": cloud.cluster,
        "status": view.status,
        "taskDefinition": view.task_definition,
        "image": image,
        "runningCount": view.running_count,
        "desiredCount": view.desired_count,
        "deployments": deployments,
        "url": cloud.url,
    });
    format!(
        "{}\n",
        serde_json::to_string_pretty(&status).unwrap_or_default()
    )
}
