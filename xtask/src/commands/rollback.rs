//! `rollback`: back to the revision that was rolled out well before the present one. Needs the repository's configuration and nothing else.

use std::collections::BTreeSet;
use std::process::ExitCode;

use rollout::facts::Facts;
use rollout::plan::{self, COMMIT_TAG, ExpectedImage, Marker, Plan};
use service_config::Service;

use super::{OutputFormat, TargetArgs};
use crate::cloud::{self, Cloud, patiently};
use crate::exit::refused;
use crate::project::{self, DIRTY, Project};
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
    /// Go back although tasks of [[deploy.before]] ran since which the target does not work after (`rollback = "never"`, or "reverse" and the reverse was not run): you have seen to that.
    #[arg(long)]
    despite_tasks: bool,
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
        let (plan, note) = plan(&args, &service, &cloud, &interrupt).await?;
        if let Some(note) = note {
            ui::say(&format!("note: {note}"));
        }
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

/// The plan, and what a person should know of its target.
async fn plan(
    args: &Args,
    service: &Service,
    cloud: &Cloud,
    interrupt: &Interrupt,
) -> anyhow::Result<(Plan, Option<String>)> {
    let facts = cloud.facts(interrupt).await?;
    cloud.can_be_released(facts.service.as_ref())?;
    let to = match &args.to {
        Some(name) if is_commit(name) => {
            Some(of_commit(name, service, cloud, &facts, interrupt).await?)
        }
        Some(name) => Some(named(name, cloud, interrupt).await?),
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
    let container = &service.pipeline.deploy.container;
    let Some(target) = plan.target().map(str::to_owned) else {
        // It is live already; what it runs is looked at all the same.
        let live = facts.primary_document.as_ref();
        plan.image = live.and_then(|live| ExpectedImage::of(live, container));
        return Ok((plan, None));
    };
    let read = || cloud.aws.task_definition(&target);
    let document = patiently(interrupt, read).await?;
    if document["status"] == "INACTIVE" {
        return Err(refused(
            format!(
                "{} was deregistered, and ECS starts no tasks of it",
                release::revision(&target)
            ),
            Some("name another revision with --to; `cargo xtask history` lists them"),
        ));
    }
    plan.image = ExpectedImage::of(&document, container);
    if !args.despite_tasks {
        tasks_allow(&target, &facts, cloud).await?;
    }
    Ok((plan, doubt(&target, &facts)))
}

/// Refuses the way back to a revision that does not work after what ran since. What cannot be read is not known to stand in the way.
async fn tasks_allow(target: &str, facts: &Facts, cloud: &Cloud) -> anyhow::Result<()> {
    let since = plan::since(facts, target);
    let known = cloud.aws.releases(since.iter().cloned().collect()).await;
    let tags = known
        .into_iter()
        .map(|(arn, (revision, _))| (arn, revision.tags))
        .collect();
    let in_the_way = plan::in_the_way(&since, &tags);
    if in_the_way.is_empty() {
        return Ok(());
    }
    let never = in_the_way.iter().any(|one| one.marker == Marker::Never);
    let list: Vec<String> = in_the_way
        .iter()
        .map(|one| {
            let word = match one.marker {
                Marker::Reverse => "reverse",
                Marker::Never | Marker::Safe => "never",
            };
            let revision = release::revision(&one.task_definition);
            format!("`{}` before {revision} (rollback = \"{word}\")", one.task)
        })
        .collect();
    let help = if never {
        "deploy a version that works with what the tasks have done; or, when you have undone that, run again with --despite-tasks"
    } else {
        "run what undoes them (`reverse` in pipeline.toml) with the revision that is live, and then this again with --despite-tasks"
    };
    Err(refused(
        format!(
            "{} does not work after tasks that ran since: {}",
            release::revision(target),
            list.join(", ")
        ),
        Some(help),
    ))
}

/// What speaks against a revision: that it was rolled out, and never to the end.
fn doubt(target: &str, facts: &Facts) -> Option<String> {
    let mut known = facts
        .history
        .iter()
        .filter(|record| record.task_definition == target)
        .peekable();
    let last = &known.peek()?.status;
    let words = format!(
        "{} was rolled out before, and no deployment of it was SUCCESSFUL; the last one ended as {last}",
        release::revision(target)
    );
    known
        .all(|record| record.status != "SUCCESSFUL")
        .then_some(words)
}

/// Whether a name is one of longshore's for a commit rather than a revision's.
fn is_commit(name: &str) -> bool {
    let hash = name.strip_suffix(DIRTY).unwrap_or(name);
    hash.len() >= 7 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A revision by its name or ARN.
async fn named(name: &str, cloud: &Cloud, interrupt: &Interrupt) -> anyhow::Result<String> {
    let hint = Some(
        "--to takes `family:revision`, an ARN, or at least 7 characters of a commit; `cargo xtask history` lists them",
    );
    let is_revision = name
        .rsplit_once(':')
        .is_some_and(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_revision {
        return Err(refused(
            format!("`{name}` is neither a revision nor a commit"),
            hint,
        ));
    }
    let read = || cloud.aws.revision(name);
    match patiently(interrupt, read).await? {
        Some(revision) => Ok(revision.arn),
        None => Err(refused(format!("there is no revision `{name}`"), hint)),
    }
}

/// The newest revision that was rolled out well with this commit. One that was built from changed sources is another version, and has to be named in full.
async fn of_commit(
    commit: &str,
    service: &Service,
    cloud: &Cloud,
    facts: &Facts,
    interrupt: &Interrupt,
) -> anyhow::Result<String> {
    let commit = commit.to_lowercase();
    let (hash, dirty) = match commit.strip_suffix(DIRTY) {
        Some(hash) => (hash, true),
        None => (commit.as_str(), false),
    };
    let is_meant = |known: &str| known.starts_with(hash) && known.ends_with(DIRTY) == dirty;
    let mut asked = BTreeSet::new();
    for record in &facts.history {
        let arn = &record.task_definition;
        if record.status != "SUCCESSFUL" || !asked.insert(arn) {
            continue;
        }
        // One that cannot be read must not be passed over: an older one would be taken for the newest.
        let read = || cloud.aws.revision(arn);
        let revision = patiently(interrupt, read).await?;
        let known = revision.and_then(|revision| revision.tags.get(COMMIT_TAG).cloned());
        if known.is_some_and(|known| is_meant(&known)) {
            return Ok(arn.clone());
        }
    }
    Err(refused(
        format!(
            "no SUCCESSFUL deployment of commit {commit} is on ECS's record of service {}",
            service.pipeline.service.name
        ),
        Some("`cargo xtask history` lists what is"),
    ))
}
