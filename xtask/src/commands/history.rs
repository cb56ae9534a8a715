//! `history`: the deployments of a service, from ECS's own records.

use std::fmt::Write as _;
use std::process::ExitCode;

use jiff::Timestamp;
use rollout::facts::{Millis, ServiceDeploymentView};
use serde_json::json;

use super::{OutputFormat, TargetArgs};
use crate::cloud;
use crate::project::{self, Project};
use crate::release::revision;
use crate::ui;

/// Arguments of `history`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// What is printed on standard output.
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// Runs `history`.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    let service = project.service(args.target.service.service.as_deref())?;
    let environment = project::environment(&service, args.target.env.as_deref())?;
    let cloud = cloud::look(&project, &service, environment).await?;
    let records = cloud.aws.history(&cloud.cluster, &cloud.service).await?;
    let container = &service.pipeline.deploy.container;
    let mut rows = Vec::new();
    for record in records {
        // A revision may have been deleted since.
        let image = cloud
            .aws
            .image_of(&record.task_definition, container)
            .await
            .ok()
            .flatten();
        rows.push((record, image));
    }
    ui::print(&match args.format {
        OutputFormat::Text => rows.iter().fold(String::new(), |mut out, (record, image)| {
            let _ = writeln!(out, "{}", line(record, image.as_deref()));
            out
        }),
        OutputFormat::Json => {
            let rows: Vec<_> = rows
                .iter()
                .map(|(record, image)| object(record, image.as_deref()))
                .collect();
            format!("{}\n", serde_json::to_string_pretty(&rows)?)
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn line(record: &ServiceDeploymentView, image: Option<&str>) -> String {
    let digest = image
        .and_then(|image| image.split_once("@sha256:"))
        .map_or("-", |(_, digest)| &digest[..digest.len().min(12)]);
    format!(
        "{}  {:<20}  {:<24}  {digest:<12}  {}",
        time(record.created_at),
        revision(&record.task_definition),
        record.status,
        seconds(record).map_or_else(|| "-".to_owned(), |seconds| format!("{seconds} s")),
    )
}

fn object(record: &ServiceDeploymentView, image: Option<&str>) -> serde_json::Value {
    json!({
        "serviceDeployment": record.arn,
        "startedAt": time(record.created_at),
        "taskDefinition": record.task_definition,
        "image": image,
        "status": record.status,
        "reason": record.reason,
        "seconds": seconds(record),
    })
}

fn seconds(record: &ServiceDeploymentView) -> Option<u64> {
    Some(record.finished_at?.saturating_sub(record.created_at) / 1000)
}

/// RFC 3339, in UTC, to the second.
fn time(at: Millis) -> String {
    let seconds = i64::try_from(at / 1000).unwrap_or_default();
    Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_string()
}
