//! `history`: the deployments of a service, from ECS's own records and from the tags of the revisions.

use std::fmt::Write as _;
use std::process::ExitCode;

use rollout::facts::ServiceDeploymentView;
use rollout::receipt::rfc3339;
use serde_json::json;

use super::{OutputFormat, TargetArgs};
use crate::cloud::{self, Release};
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
    cloud.live_service().await?;
    let records = cloud.aws.history(&cloud.cluster, &cloud.service).await?;
    let releases = cloud.releases(&records, &service).await;
    let rows: Vec<(&ServiceDeploymentView, Release)> = records
        .iter()
        .map(|record| {
            let release = releases.get(&record.task_definition);
            (record, release.cloned().unwrap_or_default())
        })
        .collect();
    ui::print(&match args.format {
        OutputFormat::Text => table(&rows),
        OutputFormat::Json => {
            let rows: Vec<_> = rows
                .iter()
                .map(|(record, release)| object(record, release))
                .collect();
            format!("{}\n", serde_json::to_string_pretty(&rows)?)
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn table(rows: &[(&ServiceDeploymentView, Release)]) -> String {
    let mut lines = vec![
        [
            "started",
            "revision",
            "outcome",
            "took",
            "commit",
            "image",
            "registered by",
        ]
        .map(str::to_owned),
    ];
    lines.extend(rows.iter().map(|(record, release)| {
        [
            rfc3339(record.created_at),
            revision(&record.task_definition).to_owned(),
            record.status.clone(),
            seconds(record).map_or_else(|| "-".to_owned(), |seconds| format!("{seconds} s")),
            short(release.commit.as_deref().unwrap_or("-")).to_owned(),
            release.digest().map_or("-", short).to_owned(),
            release.who().unwrap_or("-").to_owned(),
        ]
    }));
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].len())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..7).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        // Writing to a string does not fail.
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    out
}

/// The first twelve characters, as people write a hash.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn object(record: &ServiceDeploymentView, release: &Release) -> serde_json::Value {
    json!({
        "serviceDeployment": record.arn,
        "startedAt": rfc3339(record.created_at),
        "taskDefinition": record.task_definition,
        "commit": release.commit,
        "registeredBy": release.registered_by,
        "image": release.image,
        "status": record.status,
        "reason": record.reason,
        "seconds": seconds(record),
    })
}

fn seconds(record: &ServiceDeploymentView) -> Option<u64> {
    Some(record.finished_at?.saturating_sub(record.created_at) / 1000)
}
