//! `deploy`: the whole way.
//!
//! 1. Read and check the configuration.
//! 2. Connect to the environment's AWS; start the one on this machine where that is meant.
//! 3. Build the program and its image; push it.
//! 4. Render the task definition; see what is live; plan.
//! 5. Carry the plan out: register, update, watch, and go back on failure.

use std::collections::BTreeMap;
use std::process::ExitCode;

use rollout::plan::{self, ExpectedImage, Plan, Wanted};
use service_config::{Inputs, Service};

use super::{OutputFormat, TargetArgs};
use crate::cloud::{self, Cloud};
use crate::exit::{self, REFUSED, bad_input, refused};
use crate::project::{self, Commit, Project};
use crate::release::{self, Finish, Interrupt};
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
    /// What is printed on standard output: the address, or a receipt as JSON.
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

fn variable(text: &str) -> Result<(String, String), String> {
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
    let variables: BTreeMap<String, String> = args.variable.into_iter().collect();
    if !variables.is_empty()
        && !service
            .environment(&environment)?
            .allow_variables
            .unwrap_or(false)
    {
        return Err(bad_input(format!(
            "environment `{environment}` does not allow --variable; set `allow-variables = true` in it, or put the variable into pipeline.toml"
        )));
    }
    let interrupt = Interrupt::listen()?;
    let mut ui = Ui::new();
    let run = Run {
        project: &project,
        service: &service,
        environment: &environment,
        variables: &variables,
        supersede: args.supersede,
    };
    match run.prepare(&interrupt, &mut ui).await {
        Ok((cloud, commit, plan)) => {
            let ended = release::roll(&plan, &cloud, &interrupt, "deploy", &mut ui).await;
            let name = &service.pipeline.service.name;
            let finish = Finish {
                service: name,
                environment: &environment,
                commit: Some(commit.name),
                cloud: &cloud,
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

struct Run<'a> {
    project: &'a Project,
    service: &'a Service,
    environment: &'a str,
    variables: &'a BTreeMap<String, String>,
    supersede: bool,
}

impl Run<'_> {
    /// Everything before the first change to anything live.
    async fn prepare(
        &self,
        interrupt: &Interrupt,
        ui: &mut Ui,
    ) -> anyhow::Result<(Cloud, Commit, Plan)> {
        let commit = self.project.commit(self.service);
        let embedded = self
            .service
            .environment(self.environment)?
            .embedded
            .is_some();
        // Without credentials there is no point in building. The AWS on this machine needs none, and is not started before there is something to run.
        let connected = if embedded {
            None
        } else {
            Some(cloud::open(self.project, self.service, self.environment, ui).await?)
        };
        let built = release::build(self.project, self.service, &commit, ui).await?;
        interrupt.check()?;
        let cloud = match connected {
            Some(cloud) => cloud,
            None => cloud::open(self.project, self.service, self.environment, ui).await?,
        };
        interrupt.check()?;
        let reference = release::push(&cloud, self.service, &built.image, &commit, ui).await?;
        interrupt.check()?;
        let document = self.service.render(&Inputs {
            environment: self.environment,
            image: &reference,
            commit: &commit.name,
            account: &cloud.account,
            region: &cloud.region,
            variables: self.variables,
        })?;
        let facts = cloud.aws.facts(&cloud.cluster, &cloud.service).await?;
        let deploy = &self.service.pipeline.deploy;
        let wanted = Wanted {
            cluster: cloud.cluster.clone(),
            service: cloud.service.clone(),
            document,
            image: ExpectedImage {
                container: deploy.container.clone(),
                reference,
            },
            settings: cloud::service_settings(self.service),
            create: cloud.create.clone(),
            timeout_seconds: cloud::timeout_seconds(self.service),
            supersede: self.supersede,
        };
        let plan =
            plan::deploy(wanted, &facts).map_err(|refusal| refused(refusal.to_string(), None))?;
        Ok((cloud, commit, plan))
    }
}
