//! Clusters: names under which services and tasks stand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::paging::page;
use super::request::{Request, invalid};
use super::service::{ServiceKey, ServiceState};
use super::tags::{self, Tags};
use super::{Ecs, Result, names};
use crate::error::ApiError;

/// The members of `CreateCluster` that are kept only to be shown.
const SHOWN: [&str; 5] = [
    "configuration",
    "settings",
    "capacityProviders",
    "defaultCapacityProviderStrategy",
    "serviceConnectDefaults",
];

/// One cluster.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cluster {
    name: String,
    active: bool,
    members: Map<String, Value>,
    pub(super) tags: Tags,
    /// Services by name; one that is deleted stays until another takes its name.
    pub(super) services: BTreeMap<String, ServiceKey>,
}

impl Ecs {
    /// The name of the active cluster that a request means: a name or ARN, `default` when it names none.
    pub(super) fn cluster(&self, request: Request<'_>) -> Result<String> {
        let name = request.text("cluster")?.unwrap_or("default");
        self.active_cluster(name)
            .map(|cluster| cluster.name.clone())
            .ok_or_else(|| ApiError::new("ClusterNotFoundException", "Cluster not found."))
    }

    fn active_cluster(&self, name: &str) -> Option<&Cluster> {
        let name =
            names::resource(name).map_or(Some(name), |name| name.strip_prefix("cluster/"))?;
        self.clusters.get(name).filter(|cluster| cluster.active)
    }

    pub(super) fn create_cluster(&mut self, request: Request<'_>) -> Result<Value> {
        let name = request.text("clusterName")?.unwrap_or("default");
        check_name(name, "Cluster name")?;
        let mut members = Map::new();
        for member in SHOWN {
            if let Some(value) = request.value(member) {
                members.insert(member.to_owned(), value.clone());
            }
        }
        let given = tags::read(request, "tags")?;
        let cluster = self
            .clusters
            .entry(name.to_owned())
            .or_insert_with(|| Cluster {
                name: name.to_owned(),
                active: false,
                members: Map::new(),
                tags: Tags::new(),
                services: BTreeMap::new(),
            });
        // An active cluster of that name is the answer, unchanged.
        if !cluster.active {
            cluster.active = true;
            cluster.members = members;
            cluster.tags = given;
        }
        let cluster = &self.clusters[name];
        Ok(json!({"cluster": self.cluster_view(cluster, true)}))
    }

    pub(super) fn delete_cluster(&mut self, request: Request<'_>) -> Result<Value> {
        request.required("cluster")?;
        let name = self.cluster(request)?;
        let (services, running, pending) = self.cluster_counts(&self.clusters[&name]);
        if services > 0 {
            return Err(ApiError::new(
                "ClusterContainsServicesException",
                "The Cluster cannot be deleted while Services are active.",
            ));
        }
        if running + pending > 0 {
            return Err(ApiError::new(
                "ClusterContainsTasksException",
                "The Cluster cannot be deleted while Tasks are active.",
            ));
        }
        if let Some(cluster) = self.clusters.get_mut(&name) {
            cluster.active = false;
        }
        Ok(json!({"cluster": self.cluster_view(&self.clusters[&name], false)}))
    }

    pub(super) fn describe_clusters(&self, request: Request<'_>) -> Result<Value> {
        let with_tags = request.includes("TAGS")?;
        let mut wanted = request.texts("clusters")?;
        if wanted.is_empty() {
            wanted.push("default");
        }
        if wanted.len() > 100 {
            return Err(invalid("Clusters cannot exceed 100 elements."));
        }
        let (mut clusters, mut failures) = (Vec::new(), Vec::new());
        for name in wanted {
            match self.active_cluster(name) {
                Some(cluster) => clusters.push(self.cluster_view(cluster, with_tags)),
                None => failures.push(json!({
                    "arn": self.cluster_arn(names::last(name)),
                    "reason": "MISSING",
                })),
            }
        }
        Ok(json!({"clusters": clusters, "failures": failures}))
    }

    pub(super) fn list_clusters(&self, request: Request<'_>) -> Result<Value> {
        let active = self.clusters.values().filter(|cluster| cluster.active);
        let items = active.map(|cluster| (cluster.name.clone(), self.cluster_arn(&cluster.name)));
        let (arns, token) = page(items, false, request, 100, 100)?;
        Ok(with_token(json!({"clusterArns": arns}), token))
    }

    /// Services that are not yet gone, running tasks, pending tasks.
    fn cluster_counts(&self, cluster: &Cluster) -> (usize, usize, usize) {
        let services = cluster
            .services
            .values()
            .filter_map(|key| self.services.get(key))
            .filter(|service| service.state != ServiceState::Inactive)
            .count();
        let tasks = || {
            self.tasks
                .values()
                .filter(|task| task.cluster == cluster.name)
        };
        (
            services,
            tasks().filter(|task| task.is_running()).count(),
            tasks().filter(|task| task.is_pending()).count(),
        )
    }

    fn cluster_view(&self, cluster: &Cluster, with_tags: bool) -> Value {
        let (services, running, pending) = self.cluster_counts(cluster);
        let mut view = json!({
            "clusterArn": self.cluster_arn(&cluster.name),
            "clusterName": cluster.name,
            "status": if cluster.active { "ACTIVE" } else { "INACTIVE" },
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": running,
            "pendingTasksCount": pending,
            "activeServicesCount": services,
            "statistics": [],
            "tags": if with_tags { tags::view(&cluster.tags) } else { json!([]) },
            "settings": [],
            "capacityProviders": [],
            "defaultCapacityProviderStrategy": [],
        });
        for (member, value) in &cluster.members {
            view[member] = value.clone();
        }
        view
    }
}

/// An answer with the token of the next page, when there is one.
pub(super) fn with_token(mut answer: Value, token: Option<String>) -> Value {
    if let Some(token) = token {
        answer["nextToken"] = token.into();
    }
    answer
}

/// Names are letters, digits, hyphens and underscores, 255 at most.
pub(super) fn check_name(name: &str, what: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || name.len() > 255 || !name.bytes().all(plain) {
        return Err(invalid(format!(
            "{what} must match ^[A-Za-z0-9_-]{{1,255}}$: '{name}'."
        )));
    }
    Ok(())
}
