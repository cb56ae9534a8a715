//! Everything before the first change to anything live: connected, built, planned.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use go_test::Outcome;
use rollout::facts::Facts;
use rollout::plan::{
    self, BeforeTask, Check, ExpectedImage, Marker, OnFailure, Placement, Plan, Wanted,
};
use rollout::preflight::{self, Finding, FindingSeverity};
use serde_json::Value;
use service_config::{Inputs, RollbackAfter, Service, Span};

use super::{Interrupt, build};
use crate::cloud::{self, Cloud};
use crate::exit::{bad_input, refused};
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
    /// Whether the end of a deployment in flight is waited for.
    pub wait: bool,
    /// Whether somebody wants the run to stop.
    pub interrupt: &'a Interrupt,
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
    pub async fn build(&self, ui: &mut Ui) -> anyhow::Result<Ready> {
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
            let cloud = self.connect(ui).await?;
            cloud.suits(self.interrupt).await?;
            Some(cloud)
        };
        if self.test {
            self.tests(ui).await?;
        }
        let built = build(self.project, self.service, &commit, ui).await;
        // Ctrl-C ends the compiler too: then that is the reason, and not what the compiler said.
        self.interrupt.check()?;
        let built = built?;
        let cloud = match connected {
            Some(cloud) => cloud,
            None => self.connect(ui).await?,
        };
        self.interrupt.check()?;
        Ok(Ready {
            cloud,
            commit,
            images: built.images,
        })
    }

    /// The tests, on the sources that are deployed.
    async fn tests(&self, ui: &mut Ui) -> anyhow::Result<()> {
        let stage = testing::Stage::before_deployment(self.project, self.service);
        let report = stage.run(self.interrupt, ui).await?;
        self.interrupt.check()?;
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
    ///
    /// Then all that the plan relies on is asked for; what stands in its way refuses it, before anything is changed.
    pub async fn plan(
        &self,
        ready: &Ready,
        reference: String,
        ui: &mut Ui,
    ) -> anyhow::Result<(Plan, Vec<Finding>)> {
        let cloud = &ready.cloud;
        let document = self.document(ready, &reference)?;
        let facts = self.facts(cloud, ui).await?;
        let wanted = self.wanted(ready, reference, document.clone())?;
        let plan =
            plan::deploy(wanted, &facts).map_err(|refusal| refused(refusal.to_string(), None))?;
        let findings = self.preflight(ready, &document, &facts, &plan, ui).await?;
        Ok((plan, findings))
    }

    /// What is live; with `--wait`, once no deployment is in flight any more.
    async fn facts(&self, cloud: &Cloud, ui: &mut Ui) -> anyhow::Result<Facts> {
        let since = Instant::now();
        let patience = Duration::from_secs(cloud::timeout_seconds(self.service));
        loop {
            let facts = cloud.facts(self.interrupt).await?;
            if !self.wait || !facts.busy() {
                return Ok(facts);
            }
            if since.elapsed() >= patience {
                return Err(refused(
                    format!(
                        "the deployment in flight has not ended within {} s",
                        patience.as_secs()
                    ),
                    Some("look at it with `cargo xtask status`; `--supersede` replaces it"),
                ));
            }
            ui.progress("waiting for the deployment in flight to end");
            self.interrupt.check()?;
            self.interrupt.sleep(Duration::from_secs(2)).await;
        }
    }

    /// Asks for all that the plan relies on, side by side, and says what was found.
    pub async fn preflight(
        &self,
        ready: &Ready,
        document: &str,
        facts: &Facts,
        plan: &Plan,
        ui: &mut Ui,
    ) -> anyhow::Result<Vec<Finding>> {
        if plan.steps.is_empty() {
            return Ok(Vec::new());
        }
        ui.stage("preflight", "what the deployment relies on");
        let document: Value = serde_json::from_str(document).unwrap_or_default();
        let questions = preflight::questions(&document, facts, plan);
        let mut answers = ready
            .cloud
            .aws
            .preflight(&ready.cloud.cluster, &questions)
            .await;
        let platforms = self.service.pipeline.build.platforms();
        answers.image_platforms = platforms.iter().map(|one| one.name().to_owned()).collect();
        let found = preflight::findings(&document, facts, plan, &answers);
        let errors = found
            .iter()
            .filter(|finding| finding.severity == FindingSeverity::Error)
            .count();
        for finding in &found {
            let word = match finding.severity {
                FindingSeverity::Error => "error",
                FindingSeverity::Note => "note",
            };
            ui.line(&format!("{word}[{}]: {}", finding.code, finding.message));
            if let Some(help) = &finding.help {
                ui.line(&format!("  help: {help}"));
            }
        }
        ui.done(&match (errors, found.len()) {
            (0, 0) => "all that the deployment relies on is there".to_owned(),
            (0, notes) => report::count(notes, "note"),
            (errors, _) => format!("{} in the way", report::count(errors, "problem")),
        });
        if errors > 0 {
            return Err(NotReady(found).into());
        }
        Ok(found)
    }

    /// The document that would be registered.
    fn document(&self, ready: &Ready, reference: &str) -> anyhow::Result<String> {
        let branch = self.project.branch();
        Ok(self
            .service
            .render(&self.inputs(ready, reference, &branch))?)
    }

    /// What `${…}` stands for in both files.
    fn inputs<'i>(&'i self, ready: &'i Ready, reference: &'i str, branch: &'i str) -> Inputs<'i> {
        Inputs {
            environment: self.environment,
            image: reference,
            commit: &ready.commit.name,
            account: &ready.cloud.account,
            region: &ready.cloud.region,
            branch,
            variables: self.variables,
        }
    }

    fn wanted(&self, ready: &Ready, reference: String, document: String) -> anyhow::Result<Wanted> {
        let cloud = &ready.cloud;
        let deploy = &self.service.pipeline.deploy;
        let environment = self.service.environment(self.environment)?;
        let seconds =
            |span: Option<Span>, default| span.map_or(default, |s| s.duration().as_secs());
        let branch = self.project.branch();
        let values = self
            .service
            .values(&self.inputs(ready, &reference, &branch))?;
        let fill = |text: &String| values.fill(text);
        let before = deploy.before.iter().flatten().map(|task| BeforeTask {
            name: task.name.clone(),
            container: task
                .container
                .clone()
                .unwrap_or_else(|| deploy.container.clone()),
            command: task.command.iter().map(fill).collect(),
            timeout_seconds: seconds(task.timeout, 600),
            marker: match task.rollback.unwrap_or_default() {
                RollbackAfter::Safe => Marker::Safe,
                RollbackAfter::Reverse => Marker::Reverse,
                RollbackAfter::Never => Marker::Never,
            },
            reverse: task
                .reverse
                .as_ref()
                .map(|reverse| reverse.iter().map(fill).collect()),
            placement: Placement::default(),
        });
        let checks = deploy.checks.iter().flatten();
        let base = cloud.url.as_deref();
        if base.is_none()
            && deploy
                .checks
                .as_ref()
                .is_some_and(|checks| !checks.is_empty())
        {
            return Err(bad_input(format!(
                "[[deploy.checks]] asks the public address, and environment `{0}` has none: set `url` under [environments.{0}]",
                self.environment
            )));
        }
        let checks = checks
            .map(|check| Check {
                url: format!(
                    "{}/{}",
                    base.unwrap_or_default().trim_end_matches('/'),
                    fill(&check.path).trim_start_matches('/')
                ),
                status: check.status.unwrap_or(200),
                contains: check.contains.as_ref().map(fill),
                within_seconds: seconds(check.within, 30),
            })
            .collect();
        let before = before.collect();
        Ok(Wanted {
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
            on_failure: match deploy.on_failure.unwrap_or_default() {
                service_config::OnFailure::Rollback => OnFailure::Rollback,
                service_config::OnFailure::Stay => OnFailure::Stay,
            },
            before,
            checks,
            bake_seconds: seconds(deploy.bake, 0),
            alarms: environment.alarms.clone().unwrap_or_default(),
            tags: self.tags(ready),
        })
    }

    /// What the revision is known by later: `history` reads it.
    fn tags(&self, ready: &Ready) -> BTreeMap<String, String> {
        let tag = |name: &str, value: &str| (format!("longshore:{name}"), value.to_owned());
        BTreeMap::from([
            tag("service", &self.service.pipeline.service.name),
            tag("environment", self.environment),
            tag("commit", &ready.commit.name),
        ])
    }
}

/// Something that the deployment relies on is not there. Said already, finding by finding.
#[derive(Debug, thiserror::Error)]
#[error("{}", summary(.0))]
pub struct NotReady(pub Vec<Finding>);

fn summary(found: &[Finding]) -> String {
    let errors: Vec<&str> = found
        .iter()
        .filter(|finding| finding.severity == FindingSeverity::Error)
        .map(|finding| finding.message.as_str())
        .collect();
    format!("nothing was changed: {}", errors.join("; "))
}
