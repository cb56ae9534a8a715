//! The rollout as its users see it: plans from facts, verdicts from observations, executions against a scripted AWS.

mod execution;
mod planning;
mod preflight;
mod verdicts;

use rollout::facts::{ContainerView, DeploymentView, RolloutState, ServiceView, TaskView};

/// A deployment of revision `revision`, ID `ecs-svc/<revision>`.
fn deployment(revision: u32, status: &str, state: RolloutState, running: u32) -> DeploymentView {
    DeploymentView {
        id: format!("ecs-svc/{revision}"),
        status: status.into(),
        task_definition: arn(revision),
        desired_count: 2,
        running_count: running,
        rollout_state: Some(state),
        ..DeploymentView::default()
    }
}

fn arn(revision: u32) -> String {
    format!("arn:aws:ecs:us-east-1:000000000000:task-definition/api:{revision}")
}

fn service(deployments: Vec<DeploymentView>) -> ServiceView {
    ServiceView {
        arn: "arn:service".into(),
        status: "ACTIVE".into(),
        desired_count: 2,
        running_count: deployments.iter().map(|d| d.running_count).sum(),
        task_definition: deployments
            .first()
            .map(|d| d.task_definition.clone())
            .unwrap_or_default(),
        deployments,
        ..ServiceView::default()
    }
}

/// A running task of a revision, with the image digest of its container `app`.
fn running(revision: u32, digest: &str) -> TaskView {
    TaskView {
        arn: "arn:task/1".into(),
        started_by: format!("ecs-svc/{revision}"),
        last_status: "RUNNING".into(),
        task_definition: arn(revision),
        containers: vec![ContainerView {
            name: "app".into(),
            image_digest: Some(digest.into()),
            ..ContainerView::default()
        }],
        ..TaskView::default()
    }
}

/// A stopped task of a revision.
fn stopped(revision: u32, code: &str, reason: &str, exit_code: Option<i32>) -> TaskView {
    TaskView {
        last_status: "STOPPED".into(),
        stop_code: Some(code.into()),
        stopped_reason: Some(reason.into()),
        containers: vec![ContainerView {
            name: "app".into(),
            exit_code,
            ..ContainerView::default()
        }],
        ..running(revision, "sha256:x")
    }
}
