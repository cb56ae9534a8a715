//! Everything before the first change to anything live: connected, built, planned.

use std::collections::BTreeMap;

use go_test::Outcome;
use rollout::plan::{self, ExpectedImage, Plan, Wanted};
use service_config::{Inputs, Service};

use super::{Interrupt, build};
use crate::cloud::{self, Cloud};
use crate::exit::refused;
use crate::project::{Commit, Project};
use crate::report;
use crate::testing;
use crate::ui::Ui;

/// What is to be released, and where.
pub struct Preparation<'a> {
    /// The repository.
    pub project: &'a Project,
    /// The service.
    pub service: &'a Service,
    /// Name of the environment.
    pub environment: &'a str,
    /// Variables for this deployment only.
    pub variables: &'a BTreeMap<String, String>,
    /// Whether a deployment in flight is replaced.
    pub supersede: bool,
    /// Whether the tests run before anything is built.
    pub test: bool,
}

/// What a plan can be made from.
pub struct Ready {
    /// The environment.
    pub cloud: Cloud,
    /// What was built.
    pub commit: Commit,
    /// Its image, or one for each platform.
    pub images: image::ImageSet,
}

impl Preparation<'_> {
    /// Connects and builds.
    pub async fn build(&self, interrupt: &Interrupt, ui: &mut Ui) -> anyhow::Result<Ready> {
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
            Some(self.connect(ui).await?)
        };
        if self.test {
            self.tests(interrupt, ui).await?;
        }
        let built = build(self.project, self.service, &commit, ui).await;
        // Ctrl-C ends the compiler too: then that is the reason, and not what the compiler said.
        interrupt.check()?;
        let built = built?;
        let cloud = match connected {
            Some(cloud) => cloud,
            None => self.connect(ui).await?,
        };
        interrupt.check()?;
        Ok(Ready {
            cloud,
            commit,
            images: built.images,
        })
    }

    /// The tests, on the sources that are deployed.
    async fn tests(&self, interrupt: &Interrupt, ui: &mut Ui) -> anyhow::Result<()> {
        let stage = testing::Stage::before_deployment(self.project, self.service);
        let report = stage.run(interrupt, ui).await?;
        interrupt.check()?;
        if report.outcome == Outcome::Failed {
            testing::show(&report);
            let problems = report::count(report.problems().count(), "problem");
            anyhow::bail!(
                "the tests found {problems}; nothing was built, and nothing live was touched"
            );
        }
        Ok(())
    }

    async fn connect(&self, ui: &mut Ui) -> anyhow::Result<Cloud> {
        cloud::open(self.project, self.service, self.environment, ui).await
    }

    /// Renders the task definition, looks at what is live, and plans. `reference` is `repository@sha256:…`.
    pub async fn plan(&self, ready: &Ready, reference: String) -> anyhow::Result<Plan> {
        let cloud = &ready.cloud;
        let document = self.service.render(&Inputs {
            environment: self.environment,
            image: &reference,
            commit: &ready.commit.name,
            branch: &self.project.branch(),
            account: &cloud.account,
            region: &cloud.region,
            variables: self.variables,
        })?;
        let facts = cloud.aws.facts(&cloud.cluster, &cloud.service).await?;
        let wanted = Wanted {
            cluster: cloud.cluster.clone(),
            service: cloud.service.clone(),
            document,
            image: ExpectedImage {
                container: self.service.pipeline.deploy.container.clone(),
                reference,
            },
            settings: cloud::service_settings(self.service),
            create: cloud.create.clone(),
            timeout_seconds: cloud::timeout_seconds(self.service),
            supersede: self.supersede,
        };
        plan::deploy(wanted, &facts).map_err(|refusal| refused(refusal.to_string(), None))
    }
}
