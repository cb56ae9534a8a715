//! The model as JSON, member by member as the API models it.

use serde_json::{Map, Value, json};

use super::Ecs;
use super::capacity_providers::{on_fargate, platform};
use super::events::Event;
use super::service::{
    Deployment, Progress, Rollout, Service, ServiceDeployment, ServiceKey, ServiceRevision,
};
use super::stages::decimal;
use super::tags;
use super::task_state::{Container, ContainerState, Status, Task};
use crate::place::seconds;
use crate::task::Millis;
use crate::view::View;

/// Members that a service shows in its deployments only.
const DEPLOYMENTS_ONLY: [&str; 3] = [
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
];

fn put(view: &mut Value, member: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        view[member] = value.into();
    }
}

/// A member of a revision as it is shown: what runs has a version that says what it is.
fn resolved(member: &str, value: &Value) -> Value {
    match (member, value.as_str()) {
        ("platformVersion", Some(version)) => platform(version).into(),
        _ => value.clone(),
    }
}

fn put_time(view: &mut Value, member: &str, at: Option<Millis>) {
    put(view, member, at.map(seconds));
}

/// Running and pending tasks.
fn counts<'a>(tasks: impl Iterator<Item = &'a Task>) -> (usize, usize) {
    tasks.fold((0, 0), |(running, pending), task| {
        (
            running + usize::from(task.is_running()),
            pending + usize::from(task.is_pending()),
        )
    })
}

impl Ecs {
    fn tasks_of<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Task> {
        service.tasks.iter().filter_map(|id| self.tasks.get(id))
    }

    pub(super) fn service_view(&self, key: ServiceKey, with_tags: bool) -> View {
        let Some(service) = self.services.get(&key) else {
            return Value::Null.into();
        };
        let Value::Object(members) = self.service_members(service, with_tags) else {
            return Value::Null.into();
        };
        let members = members
            .into_iter()
            .map(|(name, value)| match name.as_str() {
                "events" => (
                    name,
                    View::List(service.events.iter().map(Event::view).collect()),
                ),
                _ => (name, value.into()),
            });
        View::Object(members.collect())
    }

    /// All that a service shows, its events left out.
    fn service_members(&self, service: &Service, with_tags: bool) -> Value {
        let (running, pending) = counts(self.tasks_of(service));
        let primary = service.deployments.first();
        let last = service
            .revisions
            .last()
            .map(|revision| &revision.definition);
        let definition = primary.map(|one| &one.definition).or(last);
        let arn = self.service_arn(&service.cluster, &service.name);
        let mut view = object([
            ("serviceArn", arn.into()),
            ("serviceName", service.name.as_str().into()),
            ("clusterArn", self.cluster_arn(&service.cluster).into()),
            ("loadBalancers", Value::Array(Vec::new())),
            ("serviceRegistries", Value::Array(Vec::new())),
            ("status", json!(service.state)),
            ("desiredCount", service.desired.into()),
            ("runningCount", running.into()),
            ("pendingCount", pending.into()),
        ]);
        for (member, value) in &service.members {
            if !DEPLOYMENTS_ONLY.contains(&member.as_str()) {
                view[member] = value.clone();
            }
        }
        if on_fargate(&service.members) {
            view["platformFamily"] = "Linux".into();
        }
        put(
            &mut view,
            "taskDefinition",
            definition.map(|id| self.definition_arn(id)),
        );
        view["deployments"] = service
            .deployments
            .iter()
            .enumerate()
            .map(|(index, one)| self.deployment_view(service, one, index == 0))
            .collect();
        view["events"] = Value::Null;
        view["createdAt"] = seconds(service.created_at);
        view["createdBy"] = service.created_by.as_str().into();
        if let Some(primary) = primary {
            view["currentServiceDeployment"] = self
                .service_deployment_arn(&service.cluster, &service.name, &primary.carries_out)
                .into();
            let mut shown: Vec<&str> = Vec::new();
            let mut revisions = Vec::new();
            for one in &service.deployments {
                if !shown.contains(&one.revision.as_str()) {
                    shown.push(&one.revision);
                    let requested = if one.id == primary.id { one.desired } else { 0 };
                    revisions.push(self.revision_counts(service, &one.revision, requested));
                }
            }
            view["currentServiceRevisions"] = revisions.into();
        }
        if with_tags {
            view["tags"] = tags::view(&service.tags);
        }
        view
    }

    fn deployment_view(&self, service: &Service, one: &Deployment, primary: bool) -> Value {
        let of_this = |task: &&Task| {
            let member = task.membership.as_ref();
            member.is_some_and(|member| member.deployment == one.id)
        };
        let (running, pending) = counts(self.tasks_of(service).filter(of_this));
        let wanted = self
            .tasks_of(service)
            .filter(of_this)
            .filter(|task| task.stop.is_none())
            .count();
        let status = if primary { "PRIMARY" } else { "ACTIVE" };
        let mut view = object([
            ("id", one.id.as_str().into()),
            ("status", status.into()),
            (
                "taskDefinition",
                self.definition_arn(&one.definition).into(),
            ),
            ("desiredCount", one.desired.into()),
            ("pendingCount", pending.into()),
            ("runningCount", running.into()),
            ("failedTasks", one.failed.into()),
            ("createdAt", seconds(one.created_at)),
            ("updatedAt", seconds(one.updated_at)),
            ("rolloutState", json!(one.rollout)),
            ("rolloutStateReason", one.reason.as_str().into()),
        ]);
        if !primary {
            view["desiredCount"] = if one.rollout == Rollout::Failed {
                0
            } else {
                wanted
            }
            .into();
        }
        if let Some(revision) = service.revision(&one.revision) {
            for (member, value) in &revision.members {
                if !matches!(member.as_str(), "loadBalancers" | "serviceRegistries") {
                    view[member] = resolved(member, value);
                }
            }
            if on_fargate(&revision.members) {
                view["platformFamily"] = "Linux".into();
            }
        }
        view
    }

    fn revision_counts(&self, service: &Service, revision: &str, requested: u64) -> Value {
        let (running, pending) = counts(self.tasks_of(service).filter(|task| {
            let member = task.membership.as_ref();
            member.is_some_and(|member| member.revision == revision)
        }));
        let arn = self.service_revision_arn(&service.cluster, &service.name, revision);
        object([
            ("arn", arn.into()),
            ("requestedTaskCount", requested.into()),
            ("runningTaskCount", running.into()),
            ("pendingTaskCount", pending.into()),
        ])
    }

    /// A service deployment as lists show it.
    pub(super) fn service_deployment_brief(
        &self,
        service: &Service,
        one: &ServiceDeployment,
    ) -> Value {
        let (cluster, name) = (&service.cluster, &service.name);
        let arn = self.service_deployment_arn(cluster, name, &one.id);
        let mut view = object([
            ("serviceDeploymentArn", arn.into()),
            ("serviceArn", self.service_arn(cluster, name).into()),
            ("clusterArn", self.cluster_arn(cluster).into()),
            ("createdAt", seconds(one.created_at)),
        ]);
        put_time(&mut view, "startedAt", one.started_at);
        put_time(&mut view, "finishedAt", one.finished_at);
        view["targetServiceRevisionArn"] =
            self.service_revision_arn(cluster, name, &one.target).into();
        view["status"] = json!(one.status);
        put(&mut view, "statusReason", one.reason.as_deref());
        view
    }

    pub(super) fn service_deployment_view(
        &self,
        service: &Service,
        one: &ServiceDeployment,
    ) -> Value {
        let mut view = self.service_deployment_brief(service, one);
        if let Some(view) = view.as_object_mut() {
            view.shift_remove("targetServiceRevisionArn");
        }
        put_time(&mut view, "stoppedAt", one.stopped_at);
        view["updatedAt"] = seconds(one.updated_at);
        view["sourceServiceRevisions"] = one
            .sources
            .iter()
            .map(|(revision, requested)| self.revision_counts(service, revision, *requested))
            .collect();
        view["targetServiceRevision"] = self.revision_counts(service, &one.target, one.requested);
        if let Some(shift) = &one.shift {
            view["lifecycleStage"] = json!(shift.stage);
            let (test, production) = shift.weights();
            let green = &mut view["targetServiceRevision"];
            green["requestedTestTrafficWeight"] = decimal(test).into();
            green["requestedProductionTrafficWeight"] = decimal(production).into();
            let sources = view["sourceServiceRevisions"].as_array_mut();
            for blue in sources.into_iter().flatten() {
                blue["requestedTestTrafficWeight"] = 0.0.into();
                blue["requestedProductionTrafficWeight"] = decimal(1_000 - production).into();
            }
        }
        view["deploymentConfiguration"] = one.configuration.clone();
        if let Some(rollback) = &one.rollback {
            let arn =
                self.service_revision_arn(&service.cluster, &service.name, &rollback.revision);
            view["rollback"] = json!({
                "reason": rollback.reason,
                "startedAt": seconds(rollback.at),
                "serviceRevisionArn": arn,
            });
        }
        let breaker = &one.configuration["deploymentCircuitBreaker"];
        let status = if breaker["enable"] != true {
            "DISABLED"
        } else if one.tripped {
            "TRIGGERED"
        } else if one.status.is_over() || one.status == Progress::RollbackInProgress {
            "MONITORING_COMPLETE"
        } else {
            "MONITORING"
        };
        view["deploymentCircuitBreaker"] = json!({
            "status": status,
            "failureCount": one.failures,
            "threshold": one.threshold,
        });
        if let Some(alarms) = one.configuration.get("alarms") {
            let status = if !one.guarded {
                "DISABLED"
            } else if !one.triggered.is_empty() {
                "TRIGGERED"
            } else if one.is_watched() {
                "MONITORING"
            } else {
                "MONITORING_COMPLETE"
            };
            view["alarms"] = json!({
                "status": status,
                "alarmNames": alarms["alarmNames"],
                "triggeredAlarmNames": one.triggered,
            });
        }
        view
    }

    pub(super) fn service_revision_view(&self, service: &Service, one: &ServiceRevision) -> Value {
        let (cluster, name) = (&service.cluster, &service.name);
        let mut view = json!({
            "serviceRevisionArn": self.service_revision_arn(cluster, name, &one.id),
            "serviceArn": self.service_arn(cluster, name),
            "clusterArn": self.cluster_arn(cluster),
            "taskDefinition": self.definition_arn(&one.definition),
            "guardDutyEnabled": false,
            "createdAt": seconds(one.created_at),
        });
        for (member, value) in &one.members {
            view[member] = resolved(member, value);
        }
        if on_fargate(&one.members) {
            view["platformFamily"] = "Linux".into();
        }
        let plans = self
            .definition(&one.definition)
            .map(|definition| &definition.blueprint.containers);
        view["containerImages"] = plans
            .into_iter()
            .flatten()
            .map(|plan| {
                let mut image = json!({
                    "containerName": plan.spec.name,
                    "image": plan.spec.image,
                });
                let digest = one.digests.get(&plan.spec.name);
                put(&mut image, "imageDigest", digest.map(String::as_str));
                image
            })
            .collect();
        view
    }

    pub(super) fn task_view(&self, task: &Task, with_tags: bool) -> Value {
        let document = self
            .definition(&task.definition)
            .map(|definition| &definition.document);
        let size = |name: &str| -> Option<Value> {
            let given = task
                .given_overrides
                .as_ref()
                .and_then(|given| given.get(name));
            given.or_else(|| document?.get(name)).cloned()
        };
        let mut view = json!({
            "attachments": self.attachments(task),
            "attributes": [],
            "availabilityZone": format!("{}a", self.settings.region),
            "clusterArn": self.cluster_arn(&task.cluster),
            "taskArn": self.task_arn(&task.cluster, &task.id),
            "taskDefinitionArn": self.definition_arn(&task.definition),
            "group": task.group,
            "launchType": task.launch_type,
            "lastStatus": task.status,
            "desiredStatus": if task.stop.is_some() { "STOPPED" } else { "RUNNING" },
            "healthStatus": task.health(),
            "enableExecuteCommand": false,
            "version": task.version,
            "createdAt": seconds(task.times.created),
            "containers": task.containers.iter().map(|one| self.container_view(task, one)).collect::<Value>(),
            "overrides": task.given_overrides.clone().unwrap_or_else(|| {
                let names = task.containers.iter().map(|one| json!({"name": one.name}));
                json!({"containerOverrides": names.collect::<Value>(), "inferenceAcceleratorOverrides": []})
            }),
        });
        put(&mut view, "capacityProviderName", task.provider.as_deref());
        put(&mut view, "startedBy", task.started_by.as_deref());
        put(&mut view, "cpu", size("cpu"));
        put(&mut view, "memory", size("memory"));
        put(
            &mut view,
            "platformVersion",
            task.platform_version.as_deref(),
        );
        if task.launch_type == "FARGATE" {
            view["platformFamily"] = "Linux".into();
            let given = document.and_then(|document| document.get("ephemeralStorage"));
            let storage = given.cloned().unwrap_or_else(|| json!({"sizeInGiB": 20}));
            view["ephemeralStorage"] = storage;
        }
        if task.times.pull_started.is_some() {
            view["connectivity"] = "CONNECTED".into();
            put_time(&mut view, "connectivityAt", task.times.pull_started);
        }
        put_time(&mut view, "pullStartedAt", task.times.pull_started);
        put_time(&mut view, "pullStoppedAt", task.times.pull_stopped);
        put_time(&mut view, "startedAt", task.times.started);
        if let Some(stop) = &task.stop {
            view["stopCode"] = json!(stop.code);
            view["stoppedReason"] = stop.reason.as_str().into();
            view["stoppingAt"] = seconds(stop.at);
        }
        put_time(
            &mut view,
            "executionStoppedAt",
            task.times.execution_stopped,
        );
        put_time(&mut view, "stoppedAt", task.times.stopped);
        view["tags"] = if with_tags {
            tags::view(&task.tags)
        } else {
            json!([])
        };
        view
    }

    fn container_view(&self, task: &Task, one: &Container) -> Value {
        let arn = ["container/", &task.cluster, "/", &task.id, "/", &one.id];
        let status = match task.status {
            Status::Provisioning => json!("PENDING"),
            _ => json!(one.state),
        };
        let mut view = json!({
            "containerArn": self.settings.arn(arn),
            "taskArn": self.task_arn(&task.cluster, &task.id),
            "name": one.name,
            "image": one.image,
            "lastStatus": status,
            "networkBindings": [],
            "networkInterfaces": self.interfaces(task),
            "healthStatus": one.health(),
        });
        put(&mut view, "imageDigest", one.digest.as_deref());
        if one.state != ContainerState::Pending {
            let short = one.id.split('-').next().unwrap_or_default();
            view["runtimeId"] = format!("{}-{short}", task.id).into();
        }
        put(&mut view, "exitCode", one.exit_code);
        put(&mut view, "reason", one.reason.as_deref());
        let document = self
            .definition(&task.definition)
            .map(|definition| &definition.document);
        let container = document
            .and_then(|document| document["containerDefinitions"].as_array())
            .and_then(|all| all.iter().find(|known| known["name"] == one.name.as_str()));
        for size in ["cpu", "memory", "memoryReservation"] {
            if let Some(number) = container.and_then(|container| container[size].as_i64()) {
                view[size] = number.to_string().into();
            }
        }
        view
    }
}

impl Service {
    /// A member that is a string.
    pub(super) fn member_text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }
}

/// An object of these members. Unlike `json!`, it takes values instead of copying them, which answers with hundreds of members feel.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let mut object = Map::with_capacity(N);
    for (name, value) in members {
        object.insert(name.to_owned(), value);
    }
    Value::Object(object)
}

/// A failure as the Describe operations answer it.
pub(super) fn missing(arn: &str) -> Value {
    let mut failure = Map::new();
    failure.insert("arn".to_owned(), arn.into());
    failure.insert("reason".to_owned(), "MISSING".into());
    Value::Object(failure)
}
