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
use crate::task::Millis;

/// The members of `CreateCluster` and `UpdateCluster` that are kept only to be shown.
const SHOWN: [&str; 3] = ["configuration", "settings", "serviceConnectDefaults"];
/// A deleted cluster can be described for so long.
const SHOWN_AFTER_MS: Millis = 3_600_000;

/// One cluster.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cluster {
    name: String,
    active: bool,
    #[serde(default)]
    deleted_at: Option<Millis>,
    pub(super) members: Map<String, Value>,
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
        self.known_cluster(name).filter(|cluster| cluster.active)
    }

    /// A cluster that is active, or was until not long ago.
    fn known_cluster(&self, name: &str) -> Option<&Cluster> {
        let name =
            names::resource(name).map_or(Some(name), |name| name.strip_prefix("cluster/"))?;
        let lately = |at: Millis| self.clock < at.saturating_add(SHOWN_AFTER_MS);
        self.clusters
            .get(name)
            .filter(|cluster| cluster.active || cluster.deleted_at.is_some_and(lately))
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
        members
            .entry("settings")
            .or_insert_with(|| json!([{"name": "containerInsights", "value": "disabled"}]));
        for (member, value) in Self::read_providers(request)? {
            members.insert(member.to_owned(), value);
        }
        let given = tags::read(request, "tags")?;
        let cluster = self
            .clusters
            .entry(name.to_owned())
            .or_insert_with(|| Cluster {
                name: name.to_owned(),
                active: false,
                deleted_at: None,
                members: Map::new(),
                tags: Tags::new(),
                services: BTreeMap::new(),
            });
        // An active cluster of that name is the answer, unchanged.
        if !cluster.active {
            cluster.active = true;
            cluster.deleted_at = None;
            cluster.members = members;
            cluster.tags = given;
        }
        Ok(self.whole_cluster(name))
    }

    /// Changes the members that are given. Settings are changed one by one.
    pub(super) fn update_cluster(&mut self, request: Request<'_>) -> Result<Value> {
        request.required("cluster")?;
        let name = self.cluster(request)?;
        if let Some(cluster) = self.clusters.get_mut(&name) {
            for member in SHOWN {
                let Some(value) = request.value(member) else {
                    continue;
                };
                let known = cluster.members.get_mut(member);
                match (known.and_then(Value::as_array_mut), value.as_array()) {
                    (Some(known), Some(given)) => {
                        known.retain(|one| !given.iter().any(|new| new["name"] == one["name"]));
                        known.extend(given.iter().cloned());
                    }
                    _ => {
                        cluster.members.insert(member.to_owned(), value.clone());
                    }
                }
            }
        }
        Ok(self.whole_cluster(&name))
    }

    /// The answer that shows a cluster with all that there is of it.
    pub(super) fn whole_cluster(&self, name: &str) -> Value {
        let all = ["TAGS", "SETTINGS", "CONFIGURATIONS"];
        json!({"cluster": self.cluster_view(&self.clusters[name], &all)})
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
            cluster.deleted_at = Some(self.clock);
        }
        Ok(self.whole_cluster(&name))
    }

    pub(super) fn describe_clusters(&self, request: Request<'_>) -> Result<Value> {
        let include = request.texts("include")?;
        let mut wanted = request.texts("clusters")?;
        if wanted.is_empty() {
            wanted.push("default");
        }
        if wanted.len() > 100 {
            return Err(invalid("Clusters cannot exceed 100 elements."));
        }
        let (mut clusters, mut failures) = (Vec::new(), Vec::new());
        for name in wanted {
            match self.known_cluster(name) {
                Some(cluster) => clusters.push(self.cluster_view(cluster, &include)),
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

    /// `include` as in DescribeClusters: what is shown only when it is asked for.
    fn cluster_view(&self, cluster: &Cluster, include: &[&str]) -> Value {
        let with_tags = include.contains(&"TAGS");
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
            let shown = match member.as_str() {
                "settings" => include.contains(&"SETTINGS"),
                "configuration" => include.contains(&"CONFIGURATIONS"),
                _ => true,
            };
            if shown {
                view[member] = value.clone();
            }
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
