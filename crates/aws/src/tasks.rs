//! Tasks: run, stopped, listed, described.

use std::collections::BTreeSet;

use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride,
    DesiredStatus, LaunchType, NetworkConfiguration, PlacementConstraint, PlacementStrategy,
    TaskOverride,
};
use rollout::facts::TaskView;
use rollout::plan::{Placement, PlacementRule};

use crate::connect::Aws;
use crate::error::{Error, ErrorKind};
use crate::views;

/// Who started a task, in ECS's record; not a deployment of a service.
const STARTED_BY: &str = "longshore";
/// Tasks that ListTasks names in a page, and that DescribeTasks takes (Amazon ECS API Reference).
const AT_ONCE: usize = 100;

impl Aws {
    /// ListTasks and DescribeTasks of a service, running ones or stopped ones.
    pub async fn tasks(
        &self,
        cluster: &str,
        service: &str,
        running: bool,
    ) -> Result<Vec<TaskView>, Error> {
        let status = if running {
            DesiredStatus::Running
        } else {
            DesiredStatus::Stopped
        };
        let mut arns = BTreeSet::new();
        let mut pages = self
            .ecs
            .list_tasks()
            .cluster(cluster)
            .service_name(service)
            .desired_status(status)
            .into_paginator()
            .items()
            .send();
        while let Some(arn) = pages.next().await {
            arns.insert(arn.map_err(|error| Error::new("ecs:ListTasks", &error))?);
        }
        let arns: Vec<String> = arns.into_iter().collect();
        let mut tasks = Vec::with_capacity(arns.len());
        for chunk in arns.chunks(AT_ONCE) {
            let described = self
                .ecs
                .describe_tasks()
                .cluster(cluster)
                .set_tasks(Some(chunk.to_vec()))
                .send()
                .await;
            let described = described.map_err(|error| Error::new("ecs:DescribeTasks", &error))?;
            // One that ECS has forgotten meanwhile is among the failures: it does not run, and has nothing to tell any more.
            tasks.extend(described.tasks().iter().map(views::task));
        }
        Ok(tasks)
    }

    /// RunTask, one task. No room for it is an error that passes.
    pub(crate) async fn run_task(
        &self,
        cluster: &str,
        task_definition: &str,
        container: &str,
        command: Vec<String>,
        placement: &Placement,
        token: String,
    ) -> Result<Option<TaskView>, Error> {
        let operation = "ecs:RunTask";
        let overrides = TaskOverride::builder()
            .container_overrides(
                ContainerOverride::builder()
                    .name(container)
                    .set_command(Some(command))
                    .build(),
            )
            .build();
        let answer = self
            .ecs
            .run_task()
            .cluster(cluster)
            .task_definition(task_definition)
            .overrides(overrides)
            .client_token(token)
            .started_by(STARTED_BY)
            .set_launch_type(placement.launch_type.as_deref().map(LaunchType::from))
            .set_platform_version(placement.platform_version.clone())
            .set_capacity_provider_strategy(providers(operation, placement)?)
            .set_network_configuration(network(operation, placement)?)
            .set_placement_constraints(rules(&placement.constraints, |rule| {
                PlacementConstraint::builder()
                    .r#type(rule.kind.as_str().into())
                    .set_expression(rule.value.clone())
                    .build()
            }))
            .set_placement_strategy(rules(&placement.strategy, |rule| {
                PlacementStrategy::builder()
                    .r#type(rule.kind.as_str().into())
                    .set_field(rule.value.clone())
                    .build()
            }))
            .send()
            .await;
        let answer = answer.map_err(|error| Error::new(operation, &error))?;
        if let Some(task) = answer.tasks().first() {
            return Ok(Some(views::task(task)));
        }
        let Some(failure) = answer.failures().first() else {
            return Ok(None);
        };
        let reason = failure.reason().unwrap_or("no reason given");
        // `RESOURCE:MEMORY`, `AGENT`, `Capacity is unavailable …`: there may be room later. What no machine of the cluster has does not come by waiting
        // (Amazon ECS Developer Guide, "API failure reasons").
        let kind = match reason {
            "ATTRIBUTE" | "LOCATION" | "INACTIVE" | "MISSING" => ErrorKind::Refused,
            _ => ErrorKind::Busy,
        };
        let message = format!(
            "{operation}: no task was started: {reason} {}",
            failure.detail().unwrap_or_default()
        );
        Err(Error {
            kind,
            code: Some(reason.to_owned()),
            message: message.trim_end().to_owned(),
        })
    }

    /// DescribeTasks of one task; none when ECS does not know it.
    pub async fn task(&self, cluster: &str, arn: &str) -> Result<Option<TaskView>, Error> {
        let answer = self
            .ecs
            .describe_tasks()
            .cluster(cluster)
            .tasks(arn)
            .send()
            .await;
        let answer = answer.map_err(|error| Error::new("ecs:DescribeTasks", &error))?;
        Ok(answer.tasks().first().map(views::task))
    }

    pub(crate) async fn stop_task(
        &self,
        cluster: &str,
        arn: &str,
        reason: &str,
    ) -> Result<(), Error> {
        let answer = self
            .ecs
            .stop_task()
            .cluster(cluster)
            .task(arn)
            .reason(reason)
            .send()
            .await;
        answer
            .map(|_| ())
            .map_err(|error| Error::new("ecs:StopTask", &error))
    }
}

/// None where there are none, so that nothing is sent.
fn rules<T>(rules: &[PlacementRule], build: impl Fn(&PlacementRule) -> T) -> Option<Vec<T>> {
    (!rules.is_empty()).then(|| rules.iter().map(build).collect())
}

fn providers(
    operation: &str,
    placement: &Placement,
) -> Result<Option<Vec<CapacityProviderStrategyItem>>, Error> {
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let items = placement.capacity_providers.iter().map(|provider| {
        CapacityProviderStrategyItem::builder()
            .capacity_provider(&provider.name)
            .base(number(provider.base))
            .weight(number(provider.weight))
            .build()
            .map_err(|_| Error::incomplete(operation, "capacity provider"))
    });
    let items = items.collect::<Result<Vec<_>, _>>()?;
    Ok((!items.is_empty()).then_some(items))
}

fn network(operation: &str, placement: &Placement) -> Result<Option<NetworkConfiguration>, Error> {
    if placement.subnets.is_empty() {
        return Ok(None);
    }
    let groups = &placement.security_groups;
    let network = AwsVpcConfiguration::builder()
        .set_subnets(Some(placement.subnets.clone()))
        .set_security_groups((!groups.is_empty()).then(|| groups.clone()))
        .assign_public_ip(if placement.public_ip {
            AssignPublicIp::Enabled
        } else {
            AssignPublicIp::Disabled
        })
        .build();
    let network = network.map_err(|_| Error::incomplete(operation, "subnets"))?;
    Ok(Some(
        NetworkConfiguration::builder()
            .awsvpc_configuration(network)
            .build(),
    ))
}
