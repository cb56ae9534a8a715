//! From the SDK's types to `rollout`'s plain data.

use aws_sdk_ecs::primitives::DateTime;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, Deployment, DeploymentAlarms, DeploymentConfiguration,
    DeploymentRolloutState, Service, Task,
};
use rollout::facts::{
    BalancerView, ContainerView, DeploymentRules, DeploymentView, EventView, Millis, RevisionView,
    RolloutState, ServiceView, TaskView,
};
use rollout::plan::{Breaker, CapacityProvider, Placement, PlacementRule};
use serde_json::Value;

pub(crate) fn service(service: &Service) -> ServiceView {
    let mut deployments: Vec<DeploymentView> =
        service.deployments().iter().map(deployment).collect();
    deployments.sort_by_key(|deployment| deployment.status != "PRIMARY");
    ServiceView {
        arn: text(service.service_arn()),
        status: text(service.status()),
        desired_count: count(service.desired_count()),
        running_count: count(service.running_count()),
        task_definition: text(service.task_definition()),
        deployments,
        events: service
            .events()
            .iter()
            .map(|event| EventView {
                at: millis(event.created_at()),
                message: text(event.message()),
            })
            .collect(),
        controller: service
            .deployment_controller()
            .map(|controller| controller.r#type().as_str().to_owned()),
        rules: service
            .deployment_configuration()
            .map(rules)
            .unwrap_or_default(),
        placement: placement(service),
        balancers: service
            .load_balancers()
            .iter()
            .filter_map(|balancer| {
                Some(BalancerView {
                    target_group_arn: balancer.target_group_arn()?.to_owned(),
                    container: text(balancer.container_name()),
                    port: u16::try_from(balancer.container_port()?).ok()?,
                })
            })
            .collect(),
        classic_balancer: service
            .load_balancers()
            .iter()
            .any(|balancer| balancer.load_balancer_name().is_some()),
    }
}

fn rules(configuration: &DeploymentConfiguration) -> DeploymentRules {
    let percent = |percent: Option<i32>| percent.and_then(|percent| u32::try_from(percent).ok());
    let alarms = configuration.alarms().filter(|alarms| alarms.enable());
    DeploymentRules {
        minimum_healthy_percent: percent(configuration.minimum_healthy_percent()),
        maximum_percent: percent(configuration.maximum_percent()),
        circuit_breaker: configuration
            .deployment_circuit_breaker()
            .map(|breaker| Breaker {
                enable: breaker.enable(),
                rollback: breaker.rollback(),
            }),
        strategy: configuration
            .strategy()
            .map(|strategy| strategy.as_str().to_owned()),
        bake_minutes: configuration
            .bake_time_in_minutes()
            .map(count)
            .unwrap_or_default(),
        alarms: alarms
            .map(|alarms| alarms.alarm_names().to_vec())
            .unwrap_or_default(),
        alarms_roll_back: alarms.is_some_and(DeploymentAlarms::rollback),
    }
}

/// How a service's tasks run, as RunTask takes it.
fn placement(service: &Service) -> Placement {
    let network = service
        .network_configuration()
        .and_then(|network| network.awsvpc_configuration());
    let list = |list: Option<&[String]>| list.unwrap_or_default().to_vec();
    Placement {
        launch_type: service
            .launch_type()
            .map(|launch| launch.as_str().to_owned()),
        platform_version: service.platform_version().map(str::to_owned),
        capacity_providers: service
            .capacity_provider_strategy()
            .iter()
            .map(|item| CapacityProvider {
                name: item.capacity_provider().to_owned(),
                base: count(item.base()),
                weight: count(item.weight()),
            })
            .collect(),
        subnets: list(network.map(AwsVpcConfiguration::subnets)),
        security_groups: list(network.map(AwsVpcConfiguration::security_groups)),
        public_ip: network
            .and_then(|network| network.assign_public_ip())
            .is_some_and(|public| *public == AssignPublicIp::Enabled),
        constraints: service
            .placement_constraints()
            .iter()
            .filter_map(|rule| {
                Some(PlacementRule {
                    kind: rule.r#type()?.as_str().to_owned(),
                    value: rule.expression().map(str::to_owned),
                })
            })
            .collect(),
        strategy: service
            .placement_strategy()
            .iter()
            .filter_map(|rule| {
                Some(PlacementRule {
                    kind: rule.r#type()?.as_str().to_owned(),
                    value: rule.field().map(str::to_owned),
                })
            })
            .collect(),
    }
}

/// A revision, from the answer of DescribeTaskDefinition.
pub(crate) fn revision(body: &Value) -> RevisionView {
    let definition = &body["taskDefinition"];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let seconds = definition["registeredAt"].as_f64().unwrap_or_default();
    let since = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
    RevisionView {
        arn: word(&definition["taskDefinitionArn"]),
        status: word(&definition["status"]),
        registered_at: Millis::try_from(since.as_millis()).unwrap_or_default(),
        registered_by: definition["registeredBy"].as_str().map(str::to_owned),
        tags: body["tags"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|tag| (word(&tag["key"]), word(&tag["value"])))
            .collect(),
    }
}

fn deployment(deployment: &Deployment) -> DeploymentView {
    DeploymentView {
        id: text(deployment.id()),
        status: text(deployment.status()),
        task_definition: text(deployment.task_definition()),
        desired_count: count(deployment.desired_count()),
        pending_count: count(deployment.pending_count()),
        running_count: count(deployment.running_count()),
        failed_tasks: count(deployment.failed_tasks()),
        rollout_state: deployment.rollout_state().and_then(|state| match state {
            DeploymentRolloutState::Completed => Some(RolloutState::Completed),
            DeploymentRolloutState::Failed => Some(RolloutState::Failed),
            DeploymentRolloutState::InProgress => Some(RolloutState::InProgress),
            _ => None,
        }),
        reason: deployment.rollout_state_reason().map(str::to_owned),
        created_at: millis(deployment.created_at()),
        updated_at: millis(deployment.updated_at()),
    }
}

pub(crate) fn task(task: &Task) -> TaskView {
    TaskView {
        arn: text(task.task_arn()),
        started_by: text(task.started_by()),
        last_status: text(task.last_status()),
        task_definition: text(task.task_definition_arn()),
        stop_code: task.stop_code().map(|code| code.as_str().to_owned()),
        stopped_reason: task.stopped_reason().map(str::to_owned),
        started_at: task.started_at().map(|at| millis(Some(at))),
        stopped_at: task.stopped_at().map(|at| millis(Some(at))),
        containers: task
            .containers()
            .iter()
            .map(|container| ContainerView {
                name: text(container.name()),
                image: container.image().map(str::to_owned),
                image_digest: container.image_digest().map(str::to_owned),
                exit_code: container.exit_code(),
                health: container
                    .health_status()
                    .map(|health| health.as_str().to_owned()),
                reason: container.reason().map(str::to_owned),
            })
            .collect(),
    }
}

/// Milliseconds since the epoch; 0 for what AWS left out.
pub(crate) fn millis(at: Option<&DateTime>) -> Millis {
    at.and_then(|at| at.to_millis().ok())
        .and_then(|at| Millis::try_from(at).ok())
        .unwrap_or_default()
}

pub(crate) fn text(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}
