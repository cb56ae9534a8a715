//! ECS as a pure model: a request and a time go in, an answer and effects come out.
//!
//! The model has no clock, no I/O and no randomness beyond a seeded generator that is part of its state. So one and the same model stands behind the HTTP API, beside a
//! runner of real processes, and in a simulation with a virtual clock. What it wants done it emits as [`Effect`]s; what happened it learns from [`Report`]s.
//!
//! How a service moves: every change that may matter wakes its service, the agenda brings it to the scheduler (`schedule.rs`) a little later, and that looks at all of the
//! service's tasks and starts, stops and completes. Nothing else starts a service's task.

mod account_settings;
mod agenda;
mod alarms;
mod blueprint;
mod breaker;
mod capacity;
mod capacity_providers;
mod cluster;
mod definition_rules;
mod deployment;
mod deployment_api;
mod describe;
mod events;
mod health;
mod names;
mod network;
mod ordering;
mod pace;
mod paging;
mod request;
mod schedule;
mod service;
mod service_api;
mod shape;
mod stages;
mod tags;
mod target_group;
mod task_api;
mod task_definition;
mod task_life;
mod task_state;
mod tokens;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ApiError;
use crate::task::{Effect, Millis};
use crate::view::View;
use agenda::{Agenda, Timer};
pub use alarms::AlarmState;
use cluster::Cluster;
use names::Random;
pub use pace::Pace;
use request::Request;
use service::{Service, ServiceKey};
use target_group::Group;
pub use target_group::{TargetGroup, TargetHealth};
use task_definition::Family;
use task_state::Task;
use tokens::Tokens;

type Result<T> = std::result::Result<T, ApiError>;

/// What distinguishes one ECS from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Region name, part of every ARN.
    pub region: String,
    /// Account number, part of every ARN.
    pub account: String,
    /// How long things take.
    pub pace: Pace,
    /// Where ids come from: the same seed and the same calls give the same ids.
    pub seed: u64,
}

/// The whole state of ECS in one account and region.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ecs {
    settings: Settings,
    random: Random,
    generation: u64,
    /// The latest time seen. Time never goes back.
    clock: Millis,
    clusters: BTreeMap<String, Cluster>,
    families: BTreeMap<String, Family>,
    services: BTreeMap<ServiceKey, Service>,
    next_service: ServiceKey,
    tasks: BTreeMap<String, Task>,
    target_groups: BTreeMap<String, Group>,
    /// CloudWatch alarms by name; those that are not here are in `OK`.
    #[serde(default)]
    alarms: BTreeMap<String, AlarmState>,
    /// So many tasks there is room for.
    #[serde(default)]
    capacity: Option<usize>,
    /// Which tasks `RunTask` ran for which client token.
    #[serde(default)]
    tokens: Tokens,
    /// What was set of the account's settings.
    #[serde(default)]
    account_settings: BTreeMap<String, String>,
    agenda: Agenda,
    effects: Vec<Effect>,
}

impl Ecs {
    /// An ECS with no clusters.
    pub fn new(settings: Settings) -> Self {
        Self {
            random: Random::new(settings.seed),
            settings,
            generation: 0,
            clock: 0,
            clusters: BTreeMap::new(),
            families: BTreeMap::new(),
            services: BTreeMap::new(),
            next_service: 0,
            tasks: BTreeMap::new(),
            target_groups: BTreeMap::new(),
            alarms: BTreeMap::new(),
            capacity: None,
            tokens: Tokens::default(),
            account_settings: BTreeMap::new(),
            agenda: Agenda::default(),
            effects: Vec::new(),
        }
    }

    /// Answers one API call: an operation such as `UpdateService`, its JSON body, and the ARN of who calls.
    ///
    /// What was due before `now` happens first.
    pub fn apply(
        &mut self,
        operation: &str,
        request: &Value,
        caller: &str,
        now: Millis,
    ) -> Result<View> {
        self.tick(now);
        let now = self.clock;
        let request = shape::conform(operation, request)?;
        let request = Request::of_members(&request);
        let reads = operation.starts_with("Describe") || operation.starts_with("List");
        let answer = match operation {
            "CreateService" => self.create_service(request, caller, now),
            "UpdateService" => self.update_service(request, now),
            "DeleteService" => self.delete_service(request, now),
            "DescribeServices" => self.describe_services(request),
            _ => self
                .apply_other(operation, request, caller, now)
                .map(View::from),
        }?;
        if !reads {
            self.generation += 1;
        }
        Ok(answer)
    }

    /// The operations whose answers show no services.
    fn apply_other(
        &mut self,
        operation: &str,
        request: Request<'_>,
        caller: &str,
        now: Millis,
    ) -> Result<Value> {
        match operation {
            "CreateCluster" => self.create_cluster(request),
            "UpdateCluster" | "UpdateClusterSettings" => self.update_cluster(request),
            "PutClusterCapacityProviders" => self.put_cluster_capacity_providers(request),
            "DescribeCapacityProviders" => self.describe_capacity_providers(request),
            "ListContainerInstances" => self.list_container_instances(request),
            "PutAccountSetting" => self.put_account_setting(request, caller),
            "ListAccountSettings" => self.list_account_settings(request, caller),
            "DeleteCluster" => self.delete_cluster(request),
            "DescribeClusters" => self.describe_clusters(request),
            "ListClusters" => self.list_clusters(request),
            "RegisterTaskDefinition" => self.register_task_definition(request, caller, now),
            "DeregisterTaskDefinition" => self.deregister_task_definition(request, now),
            "DeleteTaskDefinitions" => self.delete_task_definitions(request, now),
            "DescribeTaskDefinition" => self.describe_task_definition(request),
            "ListTaskDefinitions" => self.list_task_definitions(request),
            "ListTaskDefinitionFamilies" => self.list_task_definition_families(request),
            "ListServices" => self.list_services(request),
            "ListServiceDeployments" => self.list_service_deployments(request),
            "DescribeServiceDeployments" => self.describe_service_deployments(request),
            "DescribeServiceRevisions" => self.describe_service_revisions(request),
            "StopServiceDeployment" => self.stop_service_deployment(request, now),
            "RunTask" => self.run_task(request, now),
            "StopTask" => self.stop_task(request, now),
            "ListTasks" => self.list_tasks(request),
            "DescribeTasks" => self.describe_tasks(request),
            "TagResource" => self.tag_resource(request),
            "UntagResource" => self.untag_resource(request),
            "ListTagsForResource" => self.list_tags_for_resource(request),
            _ => Err(ApiError::unknown_operation("ECS", operation)),
        }
    }

    /// Lets everything happen that is due until `now`, each at its own time. Cheap when nothing is.
    pub fn tick(&mut self, now: Millis) {
        while let Some((due, timer)) = self.agenda.pop(now) {
            self.clock = self.clock.max(due);
            let at = self.clock;
            // What is only asked again and again is not worth saving.
            if !matches!(timer, Timer::CheckHealth { .. } | Timer::Probe { .. }) {
                self.generation += 1;
            }
            match timer {
                Timer::Decide { service } => self.decide_if_due(service, at),
                Timer::Placed { task } => self.placed(&task, at),
                Timer::Activated { task } => self.activated(&task, at),
                Timer::Proven { task } => self.refresh_health(&task, at),
                Timer::GraceOver { task } => self.replace_if_unhealthy(&task, at),
                Timer::CheckHealth { task, container } => self.check_health(&task, container),
                Timer::Probe { task, target } => self.probe(&task, target),
                Timer::Drained { task } => self.drained(&task, at),
                Timer::Deprovisioned { task } => self.deprovisioned(&task, at),
                Timer::Delete { family, revision } => self.deleted(family, revision, at),
                Timer::Forget { task } => {
                    self.tasks.remove(&task);
                }
                Timer::StartTimeout { task } => self.release(&task, at),
            }
        }
        self.clock = self.clock.max(now);
    }

    /// When [`Self::tick`] next has something to do; `None` when only a call or a report can change anything.
    pub fn next_due(&self) -> Option<Millis> {
        self.agenda.next_due()
    }

    /// What the world is asked to do since the last call, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Grows with every change worth saving.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}
