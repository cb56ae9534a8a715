//! The AWS of an environment: the real one, or the one on this machine. From here on there is no difference between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aws::{Access, Aws, Connection, ErrorKind};
use local_cloud::client::{self, Instance, Started};
use local_cloud::daemon::{Provision, ProvisionPostgres, ProvisionTargetGroup};
use rollout::facts::{Facts, ServiceDeploymentView, ServiceView};
use rollout::plan::{
    Breaker, COMMIT_TAG, LoadBalancer, NewService, Refusal, ServiceSettings, image_of,
};
use serde_json::Value;
use service_config::{Embedded, Environment, Inputs, NetworkMode, Service};

use crate::commands::local;
use crate::exit::refused;
use crate::project::Project;
use crate::release::Interrupt;
use crate::ui::{self, Ui};

/// An environment, connected.
pub struct Cloud {
    /// The clients.
    pub aws: Aws,
    /// Account that the credentials belong to.
    pub account: String,
    /// Region that requests go to.
    pub region: String,
    /// ECS cluster.
    pub cluster: String,
    /// ECS service.
    pub service: String,
    /// Where the service answers, when longshore knows.
    pub url: Option<String>,
    /// How to make the service when it is not there.
    pub create: Option<NewService>,
    /// Whether this is the AWS on this machine.
    pub embedded: bool,
}

/// How long reads before the first change are tried again.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a revision is known by.
#[derive(Clone, Debug, Default)]
pub struct Release {
    /// Commit that was built.
    pub commit: Option<String>,
    /// ARN of who registered it.
    pub registered_by: Option<String>,
    /// Image of the deployed container.
    pub image: Option<String>,
}

impl Release {
    /// Digest of the image, without its algorithm.
    pub fn digest(&self) -> Option<&str> {
        let image = self.image.as_deref()?;
        image.split_once("@sha256:").map(|(_, digest)| digest)
    }

    /// Who registered it: the last part of the ARN, a session's or a user's name.
    pub fn who(&self) -> Option<&str> {
        let arn = self.registered_by.as_deref()?;
        arn.rsplit(['/', ':']).next()
    }
}

impl Cloud {
    /// What is live. Throttling, or a network that is gone for a moment, is no reason to give up what has not begun.
    pub async fn facts(&self, interrupt: &Interrupt) -> anyhow::Result<Facts> {
        patiently(interrupt, || self.aws.facts(&self.cluster, &self.service)).await
    }

    /// Refuses a service that longshore cannot release, before anything is built for it.
    pub async fn suits(&self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let ask = || self.aws.service(&self.cluster, &self.service);
        let view = patiently(interrupt, ask).await?;
        let view = view.filter(|view| view.status == "ACTIVE");
        if view.is_none() && self.create.is_some() {
            return Ok(());
        }
        self.can_be_released(view.as_ref())
    }

    /// Refuses a service that is not there, and one that another controller deploys.
    pub fn can_be_released(&self, view: Option<&ServiceView>) -> anyhow::Result<()> {
        let refusal = match view {
            // Without infrastructure code the first deployment makes it.
            None if self.embedded => return Err(self.no_service()),
            None => Refusal::NoService {
                service: self.service.clone(),
                cluster: self.cluster.clone(),
            },
            Some(view) => match view.foreign_controller() {
                None => return Ok(()),
                Some(controller) => Refusal::Controller {
                    service: self.service.clone(),
                    controller: controller.to_owned(),
                },
            },
        };
        Err(refused(refusal.to_string(), None))
    }

    /// The service as ECS has it; one that is not there is refused, with the way to have it.
    pub async fn live_service(&self) -> anyhow::Result<ServiceView> {
        let view = self.aws.service(&self.cluster, &self.service).await?;
        view.ok_or_else(|| self.no_service())
    }

    fn no_service(&self) -> anyhow::Error {
        refused(
            format!(
                "there is no service `{}` in cluster `{}`",
                self.service, self.cluster
            ),
            Some("`cargo xtask deploy` deploys it"),
        )
    }

    /// What the revisions of these rollouts are known by. One that was deleted since is left out.
    pub async fn releases(
        &self,
        records: &[ServiceDeploymentView],
        service: &Service,
    ) -> BTreeMap<String, Release> {
        let names = records.iter().map(|record| record.task_definition.clone());
        let names: BTreeSet<String> = names.collect();
        let container = &service.pipeline.deploy.container;
        let found = self.aws.releases(names).await;
        found
            .into_iter()
            .map(|(arn, (revision, document))| {
                let release = Release {
                    commit: revision.tags.get(COMMIT_TAG).cloned(),
                    registered_by: revision.registered_by,
                    image: image_of(&document, container).map(str::to_owned),
                };
                (arn, release)
            })
            .collect()
    }
}

/// Connects to the AWS of an environment; starts and furnishes the embedded one where that is meant.
pub async fn open(
    project: &Project,
    service: &Service,
    environment: &str,
    ui: &mut Ui,
) -> anyhow::Result<Cloud> {
    let settings = service.environment(environment)?;
    let Some(embedded) = &settings.embedded else {
        return connect(service, settings, None).await;
    };
    ui.stage("local", "the AWS on this machine");
    let options = local::options(project)?;
    let (instance, started) = tokio::task::block_in_place(|| client::start(&options))?;
    if started == Started::Started {
        let isolation = instance.status().await?.isolation;
        if isolation != "namespaces" {
            ui.line(&format!("tasks run as {isolation}"));
        }
        settle(&instance).await?;
    }
    let provision = provision(service, environment, settings, embedded, &instance)?;
    let provisioned = instance.provision(&provision).await?;
    if let Some(postgres) = &provisioned.postgres {
        ui.line(&format!("PostgreSQL: {postgres}"));
    }
    if let Some(note) = local::other_port(&options, &instance) {
        ui.line(&note);
    }
    let mut cloud = connect(service, settings, Some(&instance)).await?;
    cloud.url = cloud.url.or(provisioned.url);
    cloud.create = Some(NewService {
        desired_count: embedded.desired_count.unwrap_or(2),
        load_balancer: container_port(service)
            .zip(provisioned.target_group_arn)
            .map(|(port, target_group_arn)| LoadBalancer {
                target_group_arn,
                container: service.pipeline.deploy.container.clone(),
                port,
            }),
        // The tasks of one machine have no real subnet; awsvpc wants one named.
        subnets: match service.task_definition.network_mode {
            Some(NetworkMode::Awsvpc) => vec!["subnet-local".to_owned()],
            _ => Vec::new(),
        },
        settings: service_settings(service),
    });
    ui.done(&format!(
        "the AWS on this machine answers at {}",
        instance.endpoint
    ));
    Ok(cloud)
}

/// After a start the services of the last time come up again; what is looked at before they answer would be looked at too early.
async fn settle(instance: &Instance) -> anyhow::Result<()> {
    const LONG_ENOUGH: Duration = Duration::from_secs(15);
    let since = Instant::now();
    while since.elapsed() < LONG_ENOUGH {
        let status = instance.status().await?;
        let healthy = status
            .target_groups
            .iter()
            .flat_map(|group| &group.targets)
            .filter(|target| target.health == "healthy")
            .count();
        let wanted: u64 = status
            .services
            .iter()
            .filter(|service| service.url.is_some())
            .map(|service| service.desired)
            .sum();
        if u64::try_from(healthy).is_ok_and(|healthy| healthy >= wanted) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Connects without starting or making anything: for commands that only look.
pub async fn look(
    project: &Project,
    service: &Service,
    environment: &str,
) -> anyhow::Result<Cloud> {
    let settings = service.environment(environment)?;
    if settings.embedded.is_none() {
        return connect(service, settings, None).await;
    }
    let options = local::options(project)?;
    let Some(instance) = tokio::task::block_in_place(|| client::find(&options.home))? else {
        return Err(refused(
            "the AWS on this machine is not running",
            Some(
                "`cargo xtask deploy` starts it and deploys; `cargo xtask local up` only starts it",
            ),
        ));
    };
    let mut cloud = connect(service, settings, Some(&instance)).await?;
    let status = instance.status().await?;
    let own = status
        .services
        .into_iter()
        .find(|s| s.name == cloud.service);
    cloud.url = cloud.url.or(own.and_then(|own| own.url));
    Ok(cloud)
}

/// Connects to an instance of the AWS on this machine.
pub async fn connect_instance(instance: &Instance) -> Aws {
    Aws::connect(&connection_to(instance)).await
}

async fn connect(
    service: &Service,
    settings: &Environment,
    instance: Option<&Instance>,
) -> anyhow::Result<Cloud> {
    let connection = match instance {
        Some(instance) => connection_to(instance),
        None => Connection {
            region: settings.region.clone(),
            ..Connection::default()
        },
    };
    let aws = Aws::connect(&connection).await;
    let Some(region) = aws.region().map(str::to_owned) else {
        return Err(refused(
            "no AWS region is set",
            Some("name `region` in the environment of pipeline.toml, or set AWS_REGION"),
        ));
    };
    let identity = aws.identity().await.map_err(|error| match error.kind {
        ErrorKind::Credentials => refused(
            format!("there are no AWS credentials that can be used: {}", error.message),
            Some("sign in (for example `aws sso login`), or in GitHub Actions let configure-aws-credentials assume the role"),
        ),
        ErrorKind::Transient | ErrorKind::Busy => refused(
            format!("AWS cannot be reached: {}", error.message),
            Some("look at the network, and at AWS_ENDPOINT_URL where it is set"),
        ),
        ErrorKind::Refused => refused(error.message, None),
    })?;
    if let Some(account) = settings.account.as_deref()
        && account != identity.account
    {
        return Err(refused(
            format!(
                "the credentials belong to account {} ({}), the environment names account {account}",
                identity.account, identity.arn
            ),
            Some("use credentials of the account that pipeline.toml names"),
        ));
    }
    Ok(Cloud {
        aws,
        account: identity.account,
        region,
        cluster: settings
            .cluster
            .clone()
            .unwrap_or_else(|| "default".to_owned()),
        service: settings
            .service
            .clone()
            .unwrap_or_else(|| service.pipeline.service.name.clone()),
        url: settings.url.clone(),
        create: None,
        embedded: settings.embedded.is_some(),
    })
}

/// Asks until there is an answer that will not change by asking again. Only for requests that change nothing.
pub async fn patiently<T>(
    interrupt: &Interrupt,
    ask: impl AsyncFn() -> Result<T, aws::Error>,
) -> anyhow::Result<T> {
    let since = Instant::now();
    let mut pause = Duration::from_millis(500);
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !matches!(error.kind, ErrorKind::Transient | ErrorKind::Busy) {
            return Err(error.into());
        }
        if since.elapsed() >= PATIENCE {
            return Err(anyhow::Error::from(error).context(format!(
                "AWS did not answer for {} s; nothing was changed",
                since.elapsed().as_secs()
            )));
        }
        if pause > Duration::from_secs(1) {
            ui::say(&format!("{:>8}  trying again: {error}", ""));
        }
        interrupt.sleep(pause).await;
        interrupt.check()?;
        pause = (pause * 2).min(Duration::from_secs(8));
    }
}

fn connection_to(instance: &Instance) -> Connection {
    Connection {
        region: Some(instance.region.clone()),
        endpoint: Some(instance.endpoint.clone()),
        access: Some(Access {
            key_id: instance.access_key_id.clone(),
            secret: instance.secret_access_key.clone(),
        }),
        ..Connection::default()
    }
}

/// The settings of a service that the pipeline file names.
pub fn service_settings(service: &Service) -> ServiceSettings {
    let deploy = &service.pipeline.deploy;
    ServiceSettings {
        minimum_healthy_percent: deploy.minimum_healthy_percent,
        maximum_percent: deploy.maximum_percent,
        circuit_breaker: deploy.circuit_breaker.map(|on| Breaker {
            enable: on,
            rollback: on,
        }),
    }
}

/// What infrastructure code would have made.
fn provision(
    service: &Service,
    environment: &str,
    settings: &Environment,
    embedded: &Embedded,
    instance: &Instance,
) -> anyhow::Result<Provision> {
    let document = service.render(&Inputs {
        environment,
        image: "",
        commit: "",
        branch: "",
        account: &instance.account,
        region: &instance.region,
        variables: &BTreeMap::new(),
    })?;
    let document: Value = serde_json::from_str(&document)?;
    let groups: BTreeSet<String> = document["containerDefinitions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|container| container["logConfiguration"]["options"]["awslogs-group"].as_str())
        .map(str::to_owned)
        .collect();
    let name = &service.pipeline.service.name;
    Ok(Provision {
        cluster: settings
            .cluster
            .clone()
            .unwrap_or_else(|| "default".to_owned()),
        target_group: container_port(service).map(|_| ProvisionTargetGroup {
            name: name.clone(),
            listen_port: embedded.port.unwrap_or(0),
            health_check_path: embedded
                .health_path
                .clone()
                .unwrap_or_else(|| "/health".to_owned()),
        }),
        postgres: embedded
            .postgres
            .as_ref()
            .map(|postgres| ProvisionPostgres {
                name: name.clone(),
                database: postgres.database.clone(),
                parameter: postgres.parameter.clone(),
                fallback: postgres.fallback.clone(),
            }),
        log_groups: groups.into_iter().collect(),
    })
}

/// The first port of the deployed container.
fn container_port(service: &Service) -> Option<u16> {
    let containers = &service.task_definition.container_definitions;
    let container = containers
        .iter()
        .find(|c| c.name.as_ref() == Some(&service.pipeline.deploy.container))?;
    let port = container
        .port_mappings
        .iter()
        .flatten()
        .find_map(|mapping| mapping.container_port)?;
    u16::try_from(port).ok()
}

/// Folder of a service's build output.
pub fn build_folder(project: &Project, service: &Service) -> anyhow::Result<PathBuf> {
    Ok(project
        .home()?
        .join("build")
        .join(&service.pipeline.service.name))
}

/// How long a deployment may take.
pub fn timeout_seconds(service: &Service) -> u64 {
    const DEFAULT: u64 = 30 * 60;
    service
        .pipeline
        .deploy
        .timeout
        .map_or(DEFAULT, |timeout| timeout.duration().as_secs())
}
