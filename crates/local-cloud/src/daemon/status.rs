//! What an instance tells of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Daemon;
use super::cloud::now;
use crate::identity::owner_arn;
use crate::runner::Isolation;

/// An instance at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// Where it answers.
    pub endpoint: String,
    /// Its home folder.
    pub home: String,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Bytes of memory that its process takes, tasks and databases not counted; 0 where the kernel does not tell.
    pub memory_bytes: u64,
    /// Seconds of processor time that its process has taken since it started.
    pub cpu_seconds: f64,
    /// How far tasks are kept apart from this machine: `namespaces`, or `plain processes: <why>`.
    pub isolation: String,
    /// The services of all clusters.
    pub services: Vec<StatusService>,
    /// The target groups.
    pub target_groups: Vec<StatusTargetGroup>,
    /// By SSM parameter: `running on port <port>`, or `absent: <why>`.
    pub postgres: BTreeMap<String, String>,
    /// How much there is.
    pub sizes: Sizes,
    /// Why the state is not saved, when it cannot be: a full disk, most likely.
    pub problem: Option<String>,
}

/// A service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusService {
    /// Name of its cluster.
    pub cluster: String,
    /// Its name.
    pub name: String,
    /// Running tasks.
    pub running: u64,
    /// Tasks there should be.
    pub desired: u64,
    /// `family:revision` that it runs.
    pub task_definition: String,
    /// State of the primary deployment, such as `COMPLETED`.
    pub rollout_state: Option<String>,
    /// Where its load balancer answers.
    pub url: Option<String>,
}

/// A target group.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusTargetGroup {
    /// Its name.
    pub name: String,
    /// Where its listener answers.
    pub url: String,
    /// Why its listener does not answer, when it does not.
    pub problem: Option<String>,
    /// Its targets.
    pub targets: Vec<StatusTarget>,
}

/// A target.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusTarget {
    /// ID of the task.
    pub task: String,
    /// `initial`, `healthy`, `unhealthy` or `draining`.
    pub health: String,
    /// What the last check said, when it did not succeed.
    pub reason: Option<String>,
}

/// How much there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// ECR repositories.
    pub repositories: usize,
    /// Images in them.
    pub images: usize,
    /// Bytes of their blobs.
    pub image_bytes: u64,
    /// SSM parameters.
    pub parameters: usize,
    /// Secrets.
    pub secrets: usize,
    /// Log groups.
    pub log_groups: usize,
    /// Log events that are kept.
    pub log_events: usize,
}

impl Daemon {
    /// What there is now.
    pub(crate) async fn status(&self) -> Status {
        let provisioner = self.provisioner.lock().await;
        let cloud = &self.cloud;
        let urls: BTreeMap<String, String> = provisioner
            .listeners()
            .map(|listener| (listener.arn.to_owned(), listener.url))
            .collect();
        let services = self.services(&urls);
        let models = cloud.models();
        let target_groups = provisioner
            .listeners()
            .map(|listener| StatusTargetGroup {
                name: listener.name.to_owned(),
                targets: models
                    .ecs
                    .target_health(listener.arn)
                    .into_iter()
                    .map(|target| StatusTarget {
                        task: target.task,
                        health: target.state,
                        reason: Some(target.reason).filter(|reason| !reason.is_empty()),
                    })
                    .collect(),
                url: listener.url,
                problem: listener.broken.map(str::to_owned),
            })
            .collect();
        let (repositories, images, image_bytes) = models.ecr.totals();
        let (parameters, secrets) = (models.ssm.len(), models.secrets.len());
        drop(models);
        let (log_groups, log_events) = cloud.logs().totals();
        Status {
            pid: cloud.instance.pid,
            endpoint: cloud.place.endpoint(),
            home: cloud.instance.home.display().to_string(),
            uptime_seconds: self.since.elapsed().as_secs(),
            memory_bytes: memory(),
            cpu_seconds: processor(),
            isolation: match self.runner.isolation() {
                Isolation::Namespaces => "namespaces".to_owned(),
                Isolation::Plain { why } => format!("plain processes: {why}"),
            },
            services,
            target_groups,
            postgres: provisioner.databases(),
            sizes: Sizes {
                repositories,
                images,
                image_bytes,
                parameters,
                secrets,
                log_groups,
                log_events,
            },
            problem: cloud.problem(),
        }
    }

    /// Asked of the model as any client asks, so that it shows the same.
    fn services(&self, urls: &BTreeMap<String, String>) -> Vec<StatusService> {
        let mut out = Vec::new();
        self.each_service(|service| out.push(describe(service, urls)));
        out
    }

    /// Every service of every cluster, as `DescribeServices` shows it.
    pub(super) fn each_service(&self, mut see: impl FnMut(&Value)) {
        let clusters = self.ask("ListClusters", &json!({}));
        for cluster in texts(&clusters["clusterArns"]) {
            let mut request = json!({"cluster": cluster, "maxResults": 10});
            loop {
                let listed = self.ask("ListServices", &request);
                let names: Vec<&str> = texts(&listed["serviceArns"]).collect();
                if !names.is_empty() {
                    let request = json!({"cluster": cluster, "services": names});
                    let answer = self.ask("DescribeServices", &request);
                    let services = answer["services"].as_array().into_iter().flatten();
                    services.for_each(&mut see);
                }
                match listed.get("nextToken") {
                    Some(token) if !token.is_null() => request["nextToken"] = token.clone(),
                    _ => break,
                }
            }
        }
    }

    fn ask(&self, operation: &str, request: &Value) -> Value {
        let caller = owner_arn(&self.cloud.place);
        let mut models = self.cloud.models();
        models
            .ecs
            .apply(operation, request, &caller, now())
            .map(Value::from)
            .unwrap_or_default()
    }
}

/// What this process alone would give back if it ended, and its share of what it shares.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix("kB"))
        .and_then(|kilobytes| kilobytes.trim().parse::<u64>().ok())
        .unwrap_or_default()
        * 1024
}

/// Seconds of processor time of this process.
fn processor() -> f64 {
    let Ok(usage) = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF) else {
        return 0.0;
    };
    [usage.user_time(), usage.system_time()]
        .into_iter()
        .map(|time| {
            let micros = u32::try_from(time.tv_usec()).unwrap_or_default();
            let seconds = u32::try_from(time.tv_sec()).unwrap_or_default();
            f64::from(seconds) + f64::from(micros) / 1e6
        })
        .sum()
}

fn describe(service: &Value, urls: &BTreeMap<String, String>) -> StatusService {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |name: &str| service[name].as_u64().unwrap_or_default();
    let primary = service["deployments"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|deployment| deployment["status"] == "PRIMARY");
    StatusService {
        cluster: last_part(&text(&service["clusterArn"])),
        name: text(&service["serviceName"]),
        running: number("runningCount"),
        desired: number("desiredCount"),
        task_definition: last_part(&text(&service["taskDefinition"])),
        rollout_state: primary
            .and_then(|deployment| deployment["rolloutState"].as_str())
            .map(str::to_owned),
        url: service["loadBalancers"][0]["targetGroupArn"]
            .as_str()
            .and_then(|arn| urls.get(arn))
            .cloned(),
    }
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str)
}

fn last_part(arn: &str) -> String {
    arn.rsplit('/').next().unwrap_or_default().to_owned()
}
