//! The calls that make, change, delete and show services.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::capacity_providers::{change_placement, on_fargate, place, rebalancing};
use super::cluster::{check_name, with_token};
use super::deployment::REVISION_MEMBERS;
use super::describe::missing;
use super::paging::page;
use super::request::{Request, client, invalid};
use super::service::{Rules, Service, ServiceKey, ServiceState};
use super::tags::{self, Tags};
use super::task_definition::DefinitionId;
use super::{Ecs, Result, alarms, breaker, names, stages, tokens};
use crate::error::ApiError;
use crate::task::Millis;
use crate::view::View;

/// The members of `UpdateService` that are kept as they are given; `CreateService` has these and two more.
const UPDATED: [&str; 16] = [
    "capacityProviderStrategy",
    "availabilityZoneRebalancing",
    "networkConfiguration",
    "placementConstraints",
    "placementStrategy",
    "platformVersion",
    "healthCheckGracePeriodSeconds",
    "deploymentController",
    "enableExecuteCommand",
    "enableECSManagedTags",
    "loadBalancers",
    "propagateTags",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
];
const CREATED: [&str; 2] = ["launchType", "schedulingStrategy"];
const LAUNCH_TYPES: [&str; 4] = ["EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"];

impl Ecs {
    /// The key of the service that `member` names, by name or ARN.
    pub(super) fn service_key(&self, request: Request<'_>, member: &str) -> Result<ServiceKey> {
        let key = self.any_service_key(request, member)?;
        match self.services.get(&key).map(|service| service.state) {
            Some(ServiceState::Active | ServiceState::Draining) => Ok(key),
            Some(ServiceState::Inactive) | None => Err(not_found()),
        }
    }

    /// As [`Self::service_key`]; one that was deleted is found, too.
    fn any_service_key(&self, request: Request<'_>, member: &str) -> Result<ServiceKey> {
        let cluster = self.cluster(request)?;
        let name = request.required(member)?;
        let found = self.find_service(&cluster, name);
        found.map(|(key, _)| key).ok_or_else(not_found)
    }

    fn find_service(&self, cluster: &str, name: &str) -> Option<(ServiceKey, &Service)> {
        let name = match names::resource(name) {
            // ARNs without the cluster's name are of the old format.
            Some(resource) => {
                let name = resource.strip_prefix("service/")?;
                match name.split_once('/') {
                    Some((of, name)) => (of == cluster).then_some(name)?,
                    None => name,
                }
            }
            None => name,
        };
        let key = *self.clusters.get(cluster)?.services.get(name)?;
        Some((key, self.services.get(&key)?))
    }

    pub(super) fn create_service(
        &mut self,
        request: Request<'_>,
        caller: &str,
        now: Millis,
    ) -> Result<View> {
        let cluster = self.cluster(request)?;
        let name = request.required("serviceName")?;
        check_name(name, "Service name")?;
        let token = tokens::read(request, 36)?;
        if let Some((key, service)) = self.find_service(&cluster, name) {
            match service.state {
                ServiceState::Active if service.is_made_by(request) => {
                    return Ok(View::object([("service", self.service_view(key, true))]));
                }
                ServiceState::Active => {
                    return Err(invalid("Creation of service was not idempotent."));
                }
                ServiceState::Draining => {
                    return Err(invalid("Unable to Start a service that is still Draining."));
                }
                ServiceState::Inactive => {}
            }
        }
        let definition = request
            .text("taskDefinition")?
            .ok_or_else(|| invalid("TaskDefinition can not be blank."))?;
        let definition = self.usable_definition(definition)?;
        if request.choice("schedulingStrategy", &["REPLICA", "DAEMON"])? == Some("DAEMON") {
            return Err(unsupported(
                "The local cloud has no container instances to run daemons on.",
            ));
        }
        let desired = request.count("desiredCount", 0, 5_000)?.ok_or_else(|| {
            invalid("desiredCount must be specified with the REPLICA scheduling strategy.")
        })?;
        let mut members = Map::new();
        for member in UPDATED.iter().chain(&CREATED) {
            if let Some(value) = request.value(member) {
                members.insert((*member).to_owned(), value.clone());
            }
        }
        place(
            &mut members,
            self.placement(&cluster, request, &definition)?,
        );
        let defaults = [
            ("schedulingStrategy", json!("REPLICA")),
            ("deploymentController", json!({"type": "ECS"})),
            ("placementConstraints", json!([])),
            ("placementStrategy", json!([])),
            ("enableECSManagedTags", json!(false)),
            ("enableExecuteCommand", json!(false)),
            ("propagateTags", json!("NONE")),
            ("availabilityZoneRebalancing", rebalancing(request)?.into()),
            ("healthCheckGracePeriodSeconds", json!(0)),
            ("deploymentConfiguration", default_configuration()),
        ];
        for (member, value) in defaults {
            members.entry(member).or_insert(value);
        }
        if on_fargate(&members) {
            members
                .entry("platformVersion")
                .or_insert_with(|| "LATEST".into());
        }
        let plan = self.read_changes(request, &mut members, &definition)?;
        let tags = tags::read(request, "tags")?;

        let key = self.next_service;
        self.next_service += 1;
        let service = Service {
            cluster: cluster.clone(),
            name: name.to_owned(),
            state: ServiceState::Active,
            desired,
            members,
            rules: plan.rules,
            grace_seconds: plan.grace_seconds,
            created_at: now,
            created_by: caller.to_owned(),
            made_by: token.map(|_| request.members().clone()),
            tags,
            events: VecDeque::new(),
            deployments: Vec::new(),
            history: Vec::new(),
            revisions: Vec::new(),
            completed: None,
            tasks: Vec::new(),
            decide_at: None,
            calm_since: None,
            steady: false,
            struggling: false,
            blocked: false,
        };
        if let Some(cluster) = self.clusters.get_mut(&cluster)
            && let Some(replaced) = cluster.services.insert(name.to_owned(), key)
        {
            self.services.remove(&replaced);
        }
        self.services.insert(key, service);
        self.begin_deployment(key, definition, plan.targets, now);
        Ok(View::object([("service", self.service_view(key, true))]))
    }

    pub(super) fn update_service(&mut self, request: Request<'_>, now: Millis) -> Result<View> {
        let key = self.any_service_key(request, "service")?;
        let (definition, mut members) = match self.services.get(&key) {
            Some(service) if service.state == ServiceState::Active => {
                let primary = service.deployments.first();
                let definition = primary.map(|primary| primary.definition.clone());
                (definition, service.members.clone())
            }
            _ => {
                return Err(ApiError::new(
                    "ServiceNotActiveException",
                    "Service was not ACTIVE.",
                ));
            }
        };
        let wanted = match request.text("taskDefinition")? {
            Some(name) => Some(self.usable_definition(name)?),
            None => definition.clone(),
        };
        let Some(wanted) = wanted else {
            return Err(client("TaskDefinition not found."));
        };
        let desired = request.count("desiredCount", 0, 5_000)?;
        let force = request.flag("forceNewDeployment")?.unwrap_or(false);
        let mut redeploy = force || definition.as_ref() != Some(&wanted);
        if request.value("capacityProviderStrategy").is_some() {
            let cluster = self.cluster(request)?;
            let wanted = self.strategy(&cluster, request)?;
            redeploy |= change_placement(&mut members, wanted, force)?;
        }
        for member in UPDATED
            .into_iter()
            .filter(|one| *one != "capacityProviderStrategy")
        {
            if let Some(value) = request.value(member)
                && members.get(member) != Some(value)
            {
                redeploy |= REVISION_MEMBERS.contains(&member);
                members.insert(member.to_owned(), value.clone());
            }
        }
        let plan = self.read_changes(request, &mut members, &wanted)?;
        let Some(service) = self.services.get_mut(&key) else {
            return Err(not_found());
        };
        service.members = members;
        service.rules = plan.rules;
        service.grace_seconds = plan.grace_seconds;
        service.blocked = false;
        if let Some(desired) = desired.filter(|desired| *desired != service.desired) {
            service.desired = desired;
            service.unsettle();
            if let Some(primary) = service.deployments.first_mut() {
                primary.desired = desired;
                primary.updated_at = now;
            }
            if let Some(current) = service.current().filter(|one| !one.status.is_over()) {
                current.requested = desired;
            }
        }
        if redeploy {
            self.begin_deployment(key, wanted, plan.targets, now);
        } else {
            self.wake(key, now);
        }
        Ok(View::object([("service", self.service_view(key, true))]))
    }

    /// Checks what a service is to be and reads what the scheduler goes by. `deploymentConfiguration` is merged member by member into the present one.
    fn read_changes(
        &self,
        request: Request<'_>,
        members: &mut Map<String, Value>,
        definition: &DefinitionId,
    ) -> Result<Changes> {
        if let Some(given) = request.structure("deploymentConfiguration")? {
            let known = members
                .entry("deploymentConfiguration")
                .or_insert_with(default_configuration);
            for (member, value) in given.members().iter().filter(|(_, value)| !value.is_null()) {
                known[member] = value.clone();
            }
        }
        let members = Request::of_members(members);
        let controller = members.structure("deploymentController")?;
        if controller
            .map_or(Ok(None), |one| one.text("type"))?
            .is_some_and(|kind| kind != "ECS")
        {
            return Err(unsupported(
                "The local cloud deploys with the ECS deployment controller only.",
            ));
        }
        let rules = match members.structure("deploymentConfiguration")? {
            Some(configuration) => read_rules(configuration)?,
            None => return Err(invalid("deploymentConfiguration must be a structure.")),
        };
        let found = self
            .definition(definition)
            .ok_or_else(|| client("TaskDefinition not found."))?;
        if found.is_awsvpc() && members.value("networkConfiguration").is_none() {
            return Err(invalid(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            ));
        }
        if on_fargate(members.members()) && !found.supports_fargate() {
            return Err(client(
                "Task definition does not support launch_type FARGATE.",
            ));
        }
        let mut targets = Vec::new();
        for balancer in members.structures("loadBalancers")? {
            targets.push(self.read_balancer(balancer, definition)?);
        }
        Ok(Changes {
            rules,
            grace_seconds: members
                .count("healthCheckGracePeriodSeconds", 0, 2_147_483_647)?
                .unwrap_or(0),
            targets,
        })
    }

    fn read_balancer(
        &self,
        balancer: Request<'_>,
        definition: &DefinitionId,
    ) -> Result<(String, u16)> {
        let group = balancer.required("targetGroupArn")?;
        if !self.target_groups.contains_key(group) {
            return Err(invalid(format!(
                "The specified target group does not exist: {group}."
            )));
        }
        let name = balancer.required("containerName")?;
        let port = balancer
            .count("containerPort", 1, 65_535)?
            .and_then(|port| u16::try_from(port).ok())
            .ok_or_else(|| invalid("containerPort must be specified for a load balancer."))?;
        let plans = self
            .definition(definition)
            .map(|one| &one.blueprint.containers);
        let plan = plans
            .into_iter()
            .flatten()
            .find(|plan| plan.spec.name == name);
        let plan = plan.ok_or_else(|| {
            invalid(format!(
                "The container {name} does not exist in the task definition."
            ))
        })?;
        if !plan.spec.ports.contains(&port) {
            return Err(invalid(format!(
                "The container {name} did not have a container port {port} defined."
            )));
        }
        Ok((group.to_owned(), port))
    }

    pub(super) fn delete_service(&mut self, request: Request<'_>, now: Millis) -> Result<View> {
        let key = self.service_key(request, "service")?;
        let force = request.flag("force")?.unwrap_or(false);
        let Some(service) = self.services.get_mut(&key) else {
            return Err(not_found());
        };
        if service.desired > 0 && !force {
            return Err(invalid(
                "The service cannot be stopped while it is scaled above 0.",
            ));
        }
        service.state = ServiceState::Draining;
        service.desired = 0;
        if let Some(primary) = service.deployments.first_mut() {
            primary.desired = 0;
        }
        self.wake(key, now);
        Ok(View::object([("service", self.service_view(key, true))]))
    }

    pub(super) fn describe_services(&self, request: Request<'_>) -> Result<View> {
        let cluster = self.cluster(request)?;
        let with_tags = request.includes("TAGS")?;
        let wanted = request.texts("services")?;
        if wanted.is_empty() {
            return Err(invalid("Services cannot be empty."));
        }
        if wanted.len() > 10 {
            return Err(invalid("Services cannot exceed 10 elements."));
        }
        let (mut services, mut failures) = (Vec::new(), Vec::new());
        for name in wanted {
            match self.find_service(&cluster, name) {
                Some((key, _)) => services.push(self.service_view(key, with_tags)),
                None => failures.push(missing(&self.service_arn(&cluster, names::last(name)))),
            }
        }
        Ok(View::object([
            ("services", View::List(services)),
            ("failures", Value::from(failures).into()),
        ]))
    }

    pub(super) fn list_services(&self, request: Request<'_>) -> Result<Value> {
        let cluster = self.cluster(request)?;
        let launch = request.choice("launchType", &LAUNCH_TYPES)?;
        let strategy = request.choice("schedulingStrategy", &["REPLICA", "DAEMON"])?;
        let items = self.clusters[&cluster]
            .services
            .iter()
            .filter(|(_, key)| {
                self.services.get(key).is_some_and(|service| {
                    service.state != ServiceState::Inactive
                        && launch
                            .is_none_or(|launch| service.member_text("launchType") == Some(launch))
                        && strategy.is_none_or(|strategy| strategy == "REPLICA")
                })
            })
            .map(|(name, _)| (name.clone(), self.service_arn(&cluster, name)));
        let (arns, token) = page(items, false, request, 10, 100)?;
        Ok(with_token(json!({"serviceArns": arns}), token))
    }

    /// The tags that tasks of a service get.
    pub(super) fn tags_of_tasks(&self, service: &Service, definition: &DefinitionId) -> Tags {
        let from = service.member_text("propagateTags");
        let mut tags = self.propagated(from, definition, Some(&service.tags));
        if service
            .members
            .get("enableECSManagedTags")
            .is_some_and(|managed| *managed == true)
        {
            tags.extend(tags::managed_tags(&service.cluster, Some(&service.name)));
        }
        tags
    }

    /// The tags that a task gets from its task definition or service.
    pub(super) fn propagated(
        &self,
        from: Option<&str>,
        definition: &DefinitionId,
        service: Option<&Tags>,
    ) -> Tags {
        match from {
            Some("TASK_DEFINITION") => self
                .definition(definition)
                .map(|definition| definition.tags.clone())
                .unwrap_or_default(),
            Some("SERVICE") => service.cloned().unwrap_or_default(),
            _ => Tags::new(),
        }
    }
}

/// What the scheduler goes by, read from a service's members.
struct Changes {
    rules: Rules,
    grace_seconds: u64,
    targets: Vec<(String, u16)>,
}

fn default_configuration() -> Value {
    json!({
        "deploymentCircuitBreaker": {"enable": false, "rollback": false},
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
    })
}

fn read_rules(configuration: Request<'_>) -> Result<Rules> {
    let (strategy, bake_minutes) = stages::read(configuration)?;
    if !configuration.list("lifecycleHooks")?.is_empty() {
        return Err(unsupported("The local cloud calls no lifecycle hooks."));
    }
    let early = configuration.structure("earlySuccessCriteria")?;
    if early.map_or(Ok(None), |early| early.flag("enable"))? == Some(true) {
        return Err(unsupported(
            "The local cloud has no early success criteria: a deployment is complete when all of its tasks are healthy.",
        ));
    }
    let minimum_percent = configuration
        .count("minimumHealthyPercent", 0, 100)?
        .unwrap_or(100);
    let maximum_percent = configuration
        .count("maximumPercent", 100, 10_000)?
        .unwrap_or(200);
    if (minimum_percent, maximum_percent) == (100, 100) {
        return Err(invalid(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        ));
    }
    let breaker = configuration.structure("deploymentCircuitBreaker")?;
    let alarms = configuration.structure("alarms")?;
    Ok(Rules {
        minimum_percent,
        maximum_percent,
        breaker: breaker.map(breaker::read).transpose()?.flatten(),
        alarms: alarms.map(alarms::read).transpose()?.flatten(),
        strategy,
        bake_minutes,
    })
}

fn not_found() -> ApiError {
    ApiError::new("ServiceNotFoundException", "Service not found.")
}

fn unsupported(message: &str) -> ApiError {
    ApiError::new("UnsupportedFeatureException", message)
}
