//! `rollback`: back to the revision that was rolled out well before the present one. Needs the repository's configuration and nothing else.

use std::process::ExitCode;

use rollout::plan::{self, ExpectedImage};

use super::{OutputFormat, TargetArgs};
use crate::cloud;
use crate::exit::refused;
use crate::project::{self, Project};
use crate::release::{self, Finish, Interrupt};
use crate::ui::Ui;

/// Arguments of `rollback`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Revision to return to, as ARN or `family:revision`, instead of the last good one.
    #[arg(long, value_name = "REVISION")]
    to: Option<String>,
    /// What is printed on standard output: the address, or a receipt as JSON.
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// Runs `rollback`.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    let service = project.service(args.target.service.service.as_deref())?;
    let environment = project::environment(&service, args.target.env.as_deref())?;
    let interrupt = Interrupt::listen()?;
    let mut ui = Ui::new();
    let cloud = cloud::look(&project, &service, environment).await?;
    let facts = cloud.aws.facts(&cloud.cluster, &cloud.service).await?;
    let to = match &args.to {
        Some(name) => Some(
            cloud
                .aws
                .revision_arn(name)
                .await
                .map_err(|error| refused(error.message, None))?,
        ),
        None => None,
    };
    let timeout = cloud::timeout_seconds(&service);
    let mut plan = plan::rollback(
        cloud.cluster.clone(),
        cloud.service.clone(),
        &facts,
        to,
        None,
        timeout,
    )
    .map_err(|refusal| refused(refusal.to_string(), None))?;
    if let Some(target) = plan.target() {
        let document = cloud.aws.task_definition(target).await?;
        let container = &service.pipeline.deploy.container;
        plan.image = ExpectedImage::of(&document, container);
    }
    let ended = release::roll(&plan, &cloud, &interrupt, "rollback", &mut ui).await;
    let finish = Finish {
        service: &service.pipeline.service.name,
        environment,
        commit: None,
        cloud: &cloud,
        plan: &plan,
        ended,
    };
    Ok(finish.show(args.format, &mut ui))
}
