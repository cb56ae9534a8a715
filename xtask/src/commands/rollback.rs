//! `rollback`: back to the revision that was rolled out well before the present one. Needs the repository's configuration and nothing else.

use std::process::ExitCode;

use rollout::facts::Facts;
use rollout::plan::{self, ExpectedImage, Plan};
use service_config::Service;

use super::{OutputFormat, TargetArgs};
use crate::cloud::{self, Cloud};
use crate::exit::refused;
use crate::project::{self, Project};
use crate::release::{self, Interrupt};
use crate::ui::{self, Ui};

/// Arguments of `rollback`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Where to go instead of to the last good revision: `family:revision`, an ARN, or a commit that was deployed (at least 7 characters).
    #[arg(long, value_name = "REVISION|COMMIT")]
    to: Option<String>,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// What is printed on standard output: the address, or a receipt as JSON; the plan with --dry-run.
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
    let planned = async {
        let cloud = cloud::look(&project, &service, environment).await?;
        let plan = plan(&args, &service, &cloud).await?;
        anyhow::Ok((cloud, plan))
    };
    let (cloud, plan) = match planned.await {
        Ok(planned) => planned,
        Err(error) => {
            if !args.dry_run {
                release::refused_receipt(&service, environment, &error, args.format, &mut ui);
            }
            return Err(error);
        }
    };
    if args.dry_run {
        ui::print(&match args.format {
            OutputFormat::Text => super::plan::text(&plan, &cloud, environment),
            OutputFormat::Json => format!("{}\n", serde_json::to_string_pretty(&plan)?),
        });
        return Ok(ExitCode::SUCCESS);
    }
    let ended = release::roll(&plan, &cloud, &interrupt, "rollback", &mut ui).await;
    let about = release::about(&service, environment, &cloud, None, Vec::new());
    Ok(release::finish(about, &plan, ended, args.format, &mut ui))
}

async fn plan(args: &Args, service: &Service, cloud: &Cloud) -> anyhow::Result<Plan> {
    let facts = cloud.aws.facts(&cloud.cluster, &cloud.service).await?;
    let to = match &args.to {
        Some(name) if is_commit(name) => Some(of_commit(name, service, cloud, &facts).await?),
        Some(name) => Some(
            cloud
                .aws
                .revision_arn(name)
                .await
                .map_err(|error| refused(error.message, None))?,
        ),
        None => None,
    };
    let mut plan = plan::rollback(
        cloud.cluster.clone(),
        cloud.service.clone(),
        &facts,
        to,
        None,
        cloud::timeout_seconds(service),
    )
    .map_err(|refusal| refused(refusal.to_string(), None))?;
    if let Some(target) = plan.target() {
        let document = cloud.aws.task_definition(target).await?;
        if document["status"] == "INACTIVE" {
            return Err(refused(
                format!(
                    "{} was deregistered, and ECS starts no tasks of it",
                    release::revision(target)
                ),
                Some("name another revision with --to; `cargo xtask history` lists them"),
            ));
        }
        let container = &service.pipeline.deploy.container;
        plan.image = ExpectedImage::of(&document, container);
    }
    Ok(plan)
}

/// Whether a name is a commit's rather than a revision's.
fn is_commit(name: &str) -> bool {
    name.len() >= 7 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The newest revision that was rolled out well with this commit.
async fn of_commit(
    commit: &str,
    service: &Service,
    cloud: &Cloud,
    facts: &Facts,
) -> anyhow::Result<String> {
    let releases = cloud.releases(&facts.history, service).await;
    let found = facts.history.iter().find(|record| {
        let release = releases.get(&record.task_definition);
        record.status == "SUCCESSFUL"
            && release
                .and_then(|release| release.commit.as_deref())
                .is_some_and(|known| known.starts_with(&commit.to_lowercase()))
    });
    found
        .map(|record| record.task_definition.clone())
        .ok_or_else(|| {
            refused(
                format!("commit {commit} is not on ECS's record as rolled out well"),
                Some("`cargo xtask history` lists what is"),
            )
        })
}
