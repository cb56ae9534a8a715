//! What a service expects to find before it is deployed: a cluster, a target group that listens, a database, log groups.
//!
//! On AWS the infrastructure code makes these. Here one request does, as often as it is asked: what is there already stays as it is.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cloud::now;
use super::save::Files;
use super::{Daemon, Error};
use crate::ecs::TargetGroup;
use crate::identity::owner_arn;
use crate::postgres::{self, PostgresError, Server};

/// Seconds between two health checks of a target.
const PROBE_INTERVAL: u64 = 10;

/// The file that remembers it.
const FILE: &str = "provision.json";

/// What there shall be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provision {
    /// Name of the cluster.
    pub cluster: String,
    /// The target group of the service, with its listener.
    pub target_group: Option<ProvisionTargetGroup>,
    /// The database of the service.
    pub postgres: Option<ProvisionPostgres>,
    /// Log groups.
    pub log_groups: Vec<String>,
}

/// A target group and the listener in front of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvisionTargetGroup {
    /// Its name.
    pub name: String,
    /// Port of 127.0.0.1 to listen on; 0 for any free one, which is then kept.
    pub listen_port: u16,
    /// HTTP path that a healthy target answers with 200.
    pub health_check_path: String,
}

/// A database, and the SSM parameter that its URL is put into.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvisionPostgres {
    /// Name of the server; services with the same one share it.
    pub name: String,
    /// Name of the database.
    pub database: String,
    /// Name of the SSM parameter.
    pub parameter: String,
    /// The value of the parameter on a machine that has no PostgreSQL.
    pub fallback: Option<String>,
}

impl std::fmt::Debug for ProvisionPostgres {
    /// The fallback may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProvisionPostgres")
            .field("name", &self.name)
            .field("database", &self.database)
            .field("parameter", &self.parameter)
            .finish_non_exhaustive()
    }
}

/// What there is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provisioned {
    /// ARN of the target group.
    pub target_group_arn: Option<String>,
    /// Where the listener answers: `http://127.0.0.1:<port>`.
    pub url: Option<String>,
    /// `running on port <port>`, or `absent: <why>`.
    pub postgres: Option<String>,
}

/// What is remembered over restarts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    /// By name; `listen_port` is the port that was found.
    target_groups: BTreeMap<String, ProvisionTargetGroup>,
    /// By parameter.
    postgres: BTreeMap<String, ProvisionPostgres>,
}

/// A target group with its listener.
pub(super) struct Listener<'a> {
    pub(super) name: &'a str,
    pub(super) arn: &'a str,
    pub(super) url: String,
    /// Why it does not listen.
    pub(super) broken: Option<&'a str>,
}

/// What was provisioned, and the servers that run.
pub(super) struct Provisioner {
    folder: PathBuf,
    memory: Memory,
    servers: BTreeMap<String, Arc<Server>>,
    /// ARN of each target group.
    arns: BTreeMap<String, String>,
    /// What is said of each parameter's database.
    said: BTreeMap<String, String>,
    /// What is wrong with each listener that could not be opened again.
    broken: BTreeMap<String, String>,
}

impl Provisioner {
    pub(super) fn load(home: &Path, files: &Files) -> Result<Self, Error> {
        Ok(Self {
            folder: home.join("postgres"),
            memory: files.load(FILE)?.unwrap_or_default(),
            servers: BTreeMap::new(),
            arns: BTreeMap::new(),
            said: BTreeMap::new(),
            broken: BTreeMap::new(),
        })
    }

    /// Stops the databases.
    pub(super) async fn close(&mut self) {
        for (name, server) in std::mem::take(&mut self.servers) {
            let stopped = tokio::task::spawn_blocking(move || server.stop()).await;
            match stopped {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, name, "PostgreSQL could not be stopped"),
                Err(error) => tracing::error!(%error, name, "stopping PostgreSQL failed"),
            }
        }
    }

    /// What there is to say of each parameter's database.
    pub(super) fn databases(&self) -> BTreeMap<String, String> {
        self.said.clone()
    }

    /// Every target group with its listener.
    pub(super) fn listeners(&self) -> impl Iterator<Item = Listener<'_>> {
        self.memory.target_groups.values().map(|group| Listener {
            name: &group.name,
            arn: self.arns.get(&group.name).map_or("", String::as_str),
            url: url(group.listen_port),
            broken: self.broken.get(&group.name).map(String::as_str),
        })
    }

    /// The server of this name, started if it does not run, or no longer does.
    async fn server(&mut self, name: &str) -> Result<Arc<Server>, PostgresError> {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.is_empty() || !name.bytes().all(safe) {
            return Err(PostgresError::Name(name.to_owned()));
        }
        let folder = self.folder.join(name);
        let server = blocking(move || postgres::start(&folder)).await?;
        let server = Arc::new(server);
        self.servers.insert(name.to_owned(), Arc::clone(&server));
        Ok(server)
    }
}

impl Daemon {
    /// Makes what is missing.
    pub(crate) async fn provision(&self, wanted: Provision) -> Result<Provisioned, Error> {
        let mut provisioner = self.provisioner.lock().await;
        let now = now();
        {
            let caller = owner_arn(&self.cloud.place);
            // Services and tasks that name no launch type run on Fargate.
            let request = json!({
                "clusterName": wanted.cluster,
                "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
                "defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}],
            });
            let mut models = self.cloud.models();
            models.ecs.apply("CreateCluster", &request, &caller, now)?;
            drop(models);
            let mut logs = self.cloud.logs();
            for group in &wanted.log_groups {
                logs.create_group(group, now);
            }
        }
        let mut made = Provisioned {
            target_group_arn: None,
            url: None,
            postgres: None,
        };
        if let Some(group) = wanted.target_group {
            let (arn, group) = self.open(group, &mut provisioner)?;
            made.target_group_arn = Some(arn);
            made.url = Some(url(group.listen_port));
            provisioner.broken.remove(&group.name);
            let groups = &mut provisioner.memory.target_groups;
            groups.insert(group.name.clone(), group);
        }
        if let Some(wanted) = wanted.postgres {
            let said = self.database(&wanted, &mut provisioner).await?;
            made.postgres = Some(said);
            let known = &mut provisioner.memory.postgres;
            known.insert(wanted.parameter.clone(), wanted);
        }
        self.cloud.changed();
        let files = self.files.lock().await;
        files.store(FILE, &provisioner.memory)?;
        Ok(made)
    }

    /// After a restart: the same listeners and databases again. What cannot be had any more is told by the status.
    pub(super) async fn provision_again(&self) {
        let mut provisioner = self.provisioner.lock().await;
        let memory = provisioner.memory.clone();
        for (name, group) in memory.target_groups {
            if let Err(error) = self.open(group, &mut provisioner) {
                tracing::error!(%error, "a listener is missing");
                provisioner.broken.insert(name, error.to_string());
            }
        }
        for (parameter, wanted) in memory.postgres {
            if let Err(error) = self.database(&wanted, &mut provisioner).await {
                tracing::error!(%error, "a database is missing");
                let said = format!("absent: {error}");
                provisioner.said.insert(parameter, said);
            }
        }
    }

    /// Opens a target group and its listener: its ARN, and the group with the port that it has.
    fn open(
        &self,
        mut group: ProvisionTargetGroup,
        provisioner: &mut Provisioner,
    ) -> Result<(String, ProvisionTargetGroup), Error> {
        if group.listen_port == 0
            && let Some(known) = provisioner.memory.target_groups.get(&group.name)
        {
            group.listen_port = known.listen_port;
        }
        let settings = TargetGroup {
            health_check_path: group.health_check_path.clone(),
            interval_seconds: PROBE_INTERVAL,
            ..TargetGroup::new(&group.name)
        };
        let arn = self.cloud.models().ecs.put_target_group(settings, now());
        let known = &mut provisioner.arns;
        known.insert(group.name.clone(), arn.clone());
        let address = self
            .balancer
            .listen(&arn, group.listen_port)
            .map_err(|source| Error::Listen {
                port: group.listen_port,
                source,
            })?;
        group.listen_port = address.port();
        let mut ports = self.cloud.ports.lock();
        let ports = ports.as_mut().unwrap_or_else(|poisoned| poisoned.get_mut());
        ports.insert(arn.clone(), group.listen_port);
        Ok((arn, group))
    }

    /// Starts the database's server and puts the URL into its parameter: what there is to say of it.
    async fn database(
        &self,
        wanted: &ProvisionPostgres,
        provisioner: &mut Provisioner,
    ) -> Result<String, Error> {
        let outcome = match provisioner.server(&wanted.name).await {
            Ok(server) => {
                let (name, maker) = (wanted.database.clone(), Arc::clone(&server));
                let url = blocking(move || maker.database(&name)).await;
                url.map(|url| (server.port(), url))
            }
            Err(error) => Err(error),
        };
        let (value, said) = match outcome {
            Ok((port, url)) => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let forwards = &self.cloud.forwards;
                let mut forwards = forwards.lock().unwrap_or_else(PoisonError::into_inner);
                if !forwards.contains(&address) {
                    forwards.push(address);
                }
                (Some(url), format!("running on port {port}"))
            }
            Err(error) => (wanted.fallback.clone(), format!("absent: {error}")),
        };
        if let Some(value) = value {
            let mut models = self.cloud.models();
            models.ssm.put_secure(&wanted.parameter, &value, now())?;
            drop(models);
            self.cloud.changed();
        }
        let parameter = wanted.parameter.clone();
        provisioner.said.insert(parameter, said.clone());
        Ok(said)
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PostgresError> + Send + 'static,
) -> Result<T, PostgresError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(PostgresError::Program {
            program: "postgres",
            said: error.to_string(),
        }),
    }
}
