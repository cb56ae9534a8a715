//! `deploy`: the whole way.
//!
//! 1. Read and check the configuration.
//! 2. Connect to the environment's AWS; start the one on this machine where that is meant.
//! 3. Run the tests, where the environment asks for that.
//! 4. Build the program and its image; push it.
//! 5. Render the task definition; see what is live; plan.
//! 6. Carry the plan out: register, update, watch, and go back on failure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rollout::plan::Plan;
use service_config::Service;

use super::{OutputFormat, TargetArgs};
use crate::exit::{self, REFUSED, bad_input, refused};
use crate::project::{self, Project};
use crate::release::{self, Finish, Interrupt, Preparation, Ready};
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
    /// Do not run the tests first, where the environment asks for that: they have passed on this commit already, or it is an emergency.
    #[arg(long)]
    skip_tests: bool,
    /// Carry out exactly this plan, as `plan --out` saved it, or refuse.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["variable", "supersede"])]
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
    let service = project.service(args.target.service.service.as_deref())?;
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
        test: !args.skip_tests && testing::wanted(&service, &environment)?,
    };
    match prepare(&preparation, args.plan.as_deref(), &interrupt, &mut ui).await {
        Ok((ready, plan)) => {
            let ended = release::roll(&plan, &ready.cloud, &interrupt, "deploy", &mut ui).await;
            let finish = Finish {
                service: &service.pipeline.service.name,
                environment: &environment,
                commit: Some(ready.commit.name),
                cloud: &ready.cloud,
                plan: &plan,
                ended,
            };
            Ok(finish.show(args.format, &mut ui))
        }
        Err(error) => {
            let code = exit::code_of(&error);
            release::refused_receipt(
                &service.pipeline.service.name,
                &environment,
                &error,
                code == REFUSED,
                args.format,
                &mut ui,
            );
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
    interrupt: &Interrupt,
    ui: &mut Ui,
) -> anyhow::Result<(Ready, Plan)> {
    let reviewed = reviewed.map(read_plan).transpose()?;
    let ready = preparation.build(interrupt, ui).await?;
    if let Some(plan) = &reviewed {
        fits(plan, &ready)?;
    }
    let reference = release::push(
        &ready.cloud,
        preparation.service,
        &ready.images,
        &ready.commit,
        interrupt,
        ui,
    )
    .await?;
    interrupt.check()?;
    let plan = match reviewed {
        Some(plan) => plan,
        None => preparation.plan(&ready, reference).await?,
    };
    Ok((ready, plan))
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
