//! Requests as they go over the wire, and calls and answers as the story tells them.

use local_cloud::error::ApiError;
use rollout::execute::{Answer, Call, CallError};
use rollout::plan::{NewService, ServiceSettings};
use serde_json::{Value, json};

use crate::world::{CLUSTER, SERVICE};

/// CreateService.
pub(crate) fn create_request(task_definition: &str, new: &NewService) -> Value {
    let mut request = json!({
        "cluster": CLUSTER,
        "serviceName": SERVICE,
        "taskDefinition": task_definition,
        "desiredCount": new.desired_count,
    });
    if let Some(balancer) = &new.load_balancer {
        request["loadBalancers"] = json!([{
            "targetGroupArn": balancer.target_group_arn,
            "containerName": balancer.container,
            "containerPort": balancer.port,
        }]);
    }
    configure(&mut request, &new.settings);
    request
}

/// Only what is named.
pub(crate) fn configure(request: &mut Value, settings: &ServiceSettings) {
    let mut configuration = json!({});
    if let Some(percent) = settings.minimum_healthy_percent {
        configuration["minimumHealthyPercent"] = percent.into();
    }
    if let Some(percent) = settings.maximum_percent {
        configuration["maximumPercent"] = percent.into();
    }
    if let Some(on) = settings.circuit_breaker {
        configuration["deploymentCircuitBreaker"] =
            json!({"enable": on.enable, "rollback": on.rollback});
    }
    if *settings != ServiceSettings::default() {
        request["deploymentConfiguration"] = configuration;
    }
}

pub(crate) fn is_write(call: &Call) -> bool {
    matches!(
        call,
        Call::RegisterTaskDefinition { .. }
            | Call::CreateService { .. }
            | Call::UpdateService { .. }
            | Call::StopServiceDeployment { .. }
            | Call::TagRevision { .. }
            | Call::UntagRevision { .. }
            | Call::RunTask { .. }
            | Call::StopTask { .. }
    )
}

pub(crate) fn operation(call: &Call) -> &'static str {
    match call {
        Call::DescribeService => "DescribeService",
        Call::RegisterTaskDefinition { .. } => "RegisterTaskDefinition",
        Call::CreateService { .. } => "CreateService",
        Call::UpdateService { .. } => "UpdateService",
        Call::Tasks { running: true } => "Tasks (running)",
        Call::Tasks { running: false } => "Tasks (stopped)",
        Call::ServiceDeployments => "ServiceDeployments",
        Call::StopServiceDeployment { .. } => "StopServiceDeployment",
        Call::LogTail { .. } => "LogTail",
        Call::TagRevision { .. } => "TagRevision",
        Call::UntagRevision { .. } => "UntagRevision",
        Call::Revision { .. } => "Revision",
        Call::RunTask { .. } => "RunTask",
        Call::Task { .. } => "Task",
        Call::StopTask { .. } => "StopTask",
        Call::LogPage { .. } => "LogPage",
        Call::Stage { .. } => "Stage",
        Call::Alarms { .. } => "Alarms",
        Call::Get { .. } => "Get",
    }
}

pub(crate) fn error(transient: bool, declined: bool, message: &str) -> CallError {
    CallError {
        transient,
        declined,
        message: message.to_owned(),
    }
}

/// An answer in one line of the story.
pub(crate) fn brief(answer: &Result<Answer, ApiError>) -> String {
    let short = |arn: &str| arn.rsplit('/').next().unwrap_or_default().to_owned();
    match answer {
        Err(error) => error.to_string(),
        Ok(Answer::Service(None)) => "no service".to_owned(),
        Ok(Answer::Service(Some(service))) => {
            let deployments: Vec<String> = service
                .deployments
                .iter()
                .map(|one| {
                    format!(
                        "{} {} {:?} of {} {}/{} failed {}",
                        one.status,
                        one.id,
                        one.rollout_state,
                        short(&one.task_definition),
                        one.running_count,
                        one.desired_count,
                        one.failed_tasks
                    )
                })
                .collect();
            format!("{} [{}]", service.status, deployments.join("; "))
        }
        Ok(Answer::Registered(arn)) => short(arn),
        Ok(Answer::Tasks(tasks)) => format!("{} tasks", tasks.len()),
        Ok(Answer::ServiceDeployments(records)) => {
            let records: Vec<String> = records
                .iter()
                .map(|one| format!("{} of {}", one.status, short(&one.task_definition)))
                .collect();
            records.join("; ")
        }
        Ok(Answer::Log(lines) | Answer::LogPage(lines, _)) => format!("{} lines", lines.len()),
        Ok(Answer::Task(task)) => {
            let status = task.as_ref().map(|task| task.last_status.as_str());
            format!("task {}", status.unwrap_or("unknown"))
        }
        Ok(Answer::Revision(found)) => format!("{:?}", found.as_ref().map(|one| &one.tags)),
        Ok(Answer::Stage(stage)) => format!("{stage:?}"),
        Ok(Answer::Alarms(alarms)) => {
            let states: Vec<&str> = alarms.iter().map(|alarm| alarm.state.as_str()).collect();
            states.join(", ")
        }
        Ok(Answer::Http(status, body)) => format!("{status} {body}"),
        Ok(Answer::Done) => "done".to_owned(),
    }
}
