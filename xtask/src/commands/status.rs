//! `status`: what a service runs.

use std::fmt::Write as _;
use std::process::ExitCode;

use rollout::cause::{Cause, classify};
use rollout::facts::{RolloutState, ServiceDeploymentView, ServiceView, TaskView};
use rollout::mask::mask;
use rollout::receipt::rfc3339;
use serde_json::json;

use super::{OutputFormat, TargetArgs};
use crate::cloud::{self, Cloud, Release};
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
    let view = cloud.live_service().await?;
    let records = cloud.aws.history(&cloud.cluster, &cloud.service).await;
    let records = records.unwrap_or_default();
    let live = ServiceDeploymentView {
        task_definition: view.task_definition.clone(),
        ..ServiceDeploymentView::default()
    };
    let release = cloud.releases(&[live], &service).await.into_values().next();
    let stopped = cloud.aws.tasks(&cloud.cluster, &cloud.service, false).await;
    let last = records
        .first()
        .filter(|record| !record.in_flight() && record.status != "SUCCESSFUL")
        .cloned();
    let status = Status {
        cloud: &cloud,
        view: &view,
        release: release.unwrap_or_default(),
        in_flight: records.into_iter().find(ServiceDeploymentView::in_flight),
        failed: failures(&view, last.as_ref(), &stopped.unwrap_or_default()),
        last,
    };
    ui::print(&match args.format {
        OutputFormat::Text => status.text(),
        OutputFormat::Json => status.json(),
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

/// What is shown.
struct Status<'a> {
    cloud: &'a Cloud,
    view: &'a ServiceView,
    release: Release,
    /// The deployment in flight, if there is one.
    in_flight: Option<ServiceDeploymentView>,
    /// The last rollout, when it did not end well.
    last: Option<ServiceDeploymentView>,
    /// Tasks that failed within the last hour: their IDs and why, the newest first.
    failed: Vec<(String, Cause)>,
}

/// The failures of the tasks of the deployments that ECS still lists, and of the last rollout when that failed; the newest first.
fn failures(
    view: &ServiceView,
    last: Option<&ServiceDeploymentView>,
    stopped: &[TaskView],
) -> Vec<(String, Cause)> {
    let listed = |task: &TaskView| view.deployments.iter().any(|d| d.id == task.started_by);
    let of_last =
        |task: &TaskView| last.is_some_and(|last| last.task_definition == task.task_definition);
    let mut tasks: Vec<&TaskView> = stopped
        .iter()
        .filter(|task| listed(task) || of_last(task))
        .collect();
    tasks.sort_by_key(|task| std::cmp::Reverse(task.stopped_at));
    tasks
        .into_iter()
        .filter_map(|task| {
            let mut cause = classify(task)?;
            cause.message = mask(&cause.message);
            Some((task.id().to_owned(), cause))
        })
        .take(5)
        .collect()
}

impl Status<'_> {
    fn text(&self) -> String {
        let Self { cloud, view, .. } = self;
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
        if let Some(commit) = &self.release.commit {
            row("commit", commit);
        }
        row("image", self.release.image.as_deref().unwrap_or("unknown"));
        if let Some(who) = &self.release.registered_by {
            row("by", who);
        }
        row(
            "tasks",
            &format!(
                "{} running, {} desired",
                view.running_count, view.desired_count
            ),
        );
        for deployment in &view.deployments {
            row(
                "deployment",
                &format!(
                    "{} {} {}: {} of {} tasks running, {} failed",
                    deployment.status,
                    revision(&deployment.task_definition),
                    state(deployment.rollout_state),
                    deployment.running_count,
                    deployment.desired_count,
                    deployment.failed_tasks
                ),
            );
        }
        if let Some(record) = &self.in_flight {
            row(
                "in flight",
                &format!(
                    "{} {} since {}",
                    revision(&record.task_definition),
                    record.status,
                    rfc3339(record.created_at)
                ),
            );
        }
        if let Some(record) = &self.last {
            let (revision, status) = (revision(&record.task_definition), &record.status);
            let since = rfc3339(record.created_at);
            let why = record.reason.as_deref().map(mask).unwrap_or_default();
            row("last", &format!("{revision} {status} since {since}: {why}"));
        }
        for (task, cause) in &self.failed {
            row(
                "failed",
                &format!("{task} {} [{}]", cause.message, cause.code.name()),
            );
        }
        if let Some(url) = &cloud.url {
            row("address", url);
        }
        for event in view.events.iter().take(5) {
            row("event", &mask(&event.message));
        }
        out
    }

    fn json(&self) -> String {
        let Self { cloud, view, .. } = self;
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
        let failed: Vec<_> = self
            .failed
            .iter()
            .map(
                |(task, cause)| json!({"task": task, "code": cause.code, "message": cause.message}),
            )
            .collect();
        let last = self.last.as_ref().map(|record| {
            json!({
                "taskDefinition": record.task_definition,
                "status": record.status,
                "reason": record.reason.as_deref().map(mask),
                "startedAt": rfc3339(record.created_at),
            })
        });
        let status = json!({
            "service": cloud.service,
            "cluster": cloud.cluster,
            "status": view.status,
            "taskDefinition": view.task_definition,
            "commit": self.release.commit,
            "registeredBy": self.release.registered_by,
            "image": self.release.image,
            "runningCount": view.running_count,
            "desiredCount": view.desired_count,
            "deployments": deployments,
            "inFlight": self.in_flight.as_ref().map(|record| &record.status),
            "lastFailure": last,
            "failedTasks": failed,
            "url": cloud.url,
        });
        format!(
            "{}\n",
            serde_json::to_string_pretty(&status).unwrap_or_default()
        )
    }
}
