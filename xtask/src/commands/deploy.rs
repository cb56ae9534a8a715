//! `deploy`: the whole way.
//!
//! 1. Read and check the configuration.
//! 2. Connect to the environment's AWS; start the one on this machine where that is meant.
//! 3. Run the tests, where the environment asks for that.
//! 4. Build the program and its image; push it.
//! 5. Render the task definition; see what is live; plan; see that all is there that the plan relies on.
//! 6. Carry the plan out: register, run the tasks before, update, watch, check, and go back on failure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rollout::plan::{Plan, Step};
use rollout::preflight::Finding;
use service_config::Service;

use super::{OutputFormat, TargetArgs};
use crate::exit::{bad_input, refused};
use crate::project::{self, Project};
use crate::release::{self, Interrupt, Preparation, Ready};
use crate::testing;
use crate::ui::Ui;

/// Arguments of `deploy`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Sets a variable of the container for this deployment, where the environment allows it. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    variable: Vec<(String, String)>,
    /// Replace a deployment that is in flight instead of refusing.
    #[arg(long)]
    supersede: bool,
    /// Wait for the end of a deployment that is in flight instead of refusing.
    #[arg(long, conflicts_with = "supersede")]
    wait: bool,
    /// Do not run the tests first, where the environment asks for that: they have passed on this commit already, or it is an emergency.
    #[arg(long)]
    skip_tests: bool,
    /// Carry out exactly this plan, as `plan --out` saved it, or refuse.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["variable", "supersede", "wait"])]
    plan: Option<PathBuf>,
    /// What is printed on standard output: the address, or a receipt as JSON.
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// Reads `NAME=VALUE`.
pub fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// Runs `deploy`.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    let service = project.service_to_release(args.target.service.service.as_deref())?;
    let environment = project::environment(&service, args.target.env.as_deref())?.to_owned();
    let variables = allowed_variables(args.variable, &service, &environment)?;
    let interrupt = Interrupt::listen()?;
    let mut ui = Ui::new();
    let preparation = Preparation {
        project: &project,
        service: &service,
        environment: &environment,
        variables: &variables,
        supersede: args.supersede,
        wait: args.wait,
        interrupt: &interrupt,
        test: !args.skip_tests && testing::wanted(&service, &environment)?,
    };
    match prepare(&preparation, args.plan.as_deref(), &mut ui).await {
        Ok((ready, plan, findings)) => {
            let ended = release::roll(&plan, &ready.cloud, &interrupt, "deploy", &mut ui).await;
            let about = release::about(
                &service,
                &environment,
                &ready.cloud,
                Some(ready.commit.name),
                findings,
            );
            Ok(release::finish(about, &plan, ended, args.format, &mut ui))
        }
        Err(error) => {
            release::refused_receipt(&service, &environment, &error, args.format, &mut ui);
            Err(error)
        }
    }
}

/// The variables of `--variable`, where the environment allows them.
pub fn allowed_variables(
    variables: Vec<(String, String)>,
    service: &Service,
    environment: &str,
) -> anyhow::Result<BTreeMap<String, String>> {
    let allowed = service
        .environment(environment)?
        .allow_variables
        .unwrap_or(false);
    if !variables.is_empty() && !allowed {
        return Err(bad_input(format!(
            "environment `{environment}` does not allow --variable; set `allow-variables = true` in it, or put the variable into pipeline.toml"
        )));
    }
    Ok(variables.into_iter().collect())
}

/// Builds and pushes; then plans, or takes the plan that was reviewed.
async fn prepare(
    preparation: &Preparation<'_>,
    reviewed: Option<&Path>,
    ui: &mut Ui,
) -> anyhow::Result<(Ready, Plan, Vec<Finding>)> {
    let reviewed = reviewed.map(read_plan).transpose()?;
    let ready = preparation.build(ui).await?;
    if let Some(plan) = &reviewed {
        fits(plan, &ready)?;
    }
    let reference = release::push(
        &ready.cloud,
        preparation.service,
        &ready.images,
        &ready.commit,
        preparation.interrupt,
        ui,
    )
    .await?;
    preparation.interrupt.check()?;
    let Some(plan) = reviewed else {
        let (plan, findings) = preparation.plan(&ready, reference, ui).await?;
        return Ok((ready, plan, findings));
    };
    let (cloud, document) = (&ready.cloud, registered(&plan));
    let facts = cloud.facts(preparation.interrupt).await?;
    if !plan.tells_all(&facts) {
        return Err(refused(
            "the plan changes other things than it says: the file was edited after it was made",
            Some("make a new plan with `cargo xtask plan --out FILE`"),
        ));
    }
    let findings = preparation
        .preflight(&ready, &document, &facts, &plan, ui)
        .await?;
    Ok((ready, plan, findings))
}

/// The document that a plan registers; empty when it registers none.
fn registered(plan: &Plan) -> String {
    plan.steps
        .iter()
        .find_map(|step| match step {
            Step::RegisterTaskDefinition { document } => Some(document.clone()),
            _ => None,
        })
        .unwrap_or_default()
}

fn read_plan(path: &Path) -> anyhow::Result<Plan> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| bad_input(format!("{name} cannot be read: {error}")))?;
    let plan: Plan = serde_json::from_str(&text)
        .map_err(|error| bad_input(format!("{name} is no plan: {error}")))?;
    if plan.format != Plan::FORMAT {
        return Err(bad_input(format!(
            "{name} is a plan of format {}; this longshore knows {}",
            plan.format,
            Plan::FORMAT
        )));
    }
    Ok(plan)
}

/// A plan is carried out exactly, or not at all.
fn fits(plan: &Plan, ready: &Ready) -> anyhow::Result<()> {
    let hint = Some("make a new plan with `cargo xtask plan --out FILE`");
    let (cluster, service) = (&ready.cloud.cluster, &ready.cloud.service);
    if (&plan.cluster, &plan.service) != (cluster, service) {
        return Err(refused(
            format!(
                "the plan is for service {} in cluster {}, not for {service} in {cluster}",
                plan.service, plan.cluster
            ),
            hint,
        ));
    }
    let built = ready.images.digest().as_str();
    match &plan.image {
        Some(image) if image.digest() == built => Ok(()),
        Some(image) => Err(refused(
            format!(
                "the plan deploys image {}, these sources build {built}",
                image.digest()
            ),
            hint,
        )),
        None => Err(refused("the plan names no image", hint)),
    }
}
