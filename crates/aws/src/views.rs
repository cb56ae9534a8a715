//! From the SDK's types to `rollout`'s plain data.

use aws_sdk_ecs::primitives::DateTime;
use aws_sdk_ecs::types::{Deployment, DeploymentRolloutState, Service, Task};
use rollout::facts::{
    ContainerView, DeploymentView, EventView, Millis, RolloutState, ServiceView, TaskView,
};

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
        stopped_at: task.stopped_at().map(|at| millis(Some(at))),
        containers: task
            .containers()
            .iter()
            .map(|container| ContainerView {
                name: text(container.name()),
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
