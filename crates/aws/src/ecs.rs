//! ECS: one method an operation, and `rollout`'s calls on top.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::config::retry::RetryConfig;
use aws_sdk_ecs::types::{
    AwsVpcConfiguration, DeploymentCircuitBreaker, DeploymentConfiguration, LoadBalancer,
    NetworkConfiguration, StopServiceDeploymentStopType, Tag, TaskDefinitionField,
};
use rollout::execute::{Answer, Call, CallError};
use rollout::facts::{Facts, RevisionView, ServiceDeploymentView, ServiceView};
use rollout::plan::{NewService, ServiceSettings};
use serde_json::Value;

use crate::connect::Aws;
use crate::error::Error;
use crate::raw::{ExactBody, KeptBody};
use crate::views;

/// Service deployments that a page of the history holds.
const HISTORY: usize = 40;
/// Service deployments that are read to watch the newest.
const WATCHED: usize = 5;

impl Aws {
    /// Carries out one call of a plan's execution.
    pub async fn call(
        &self,
        cluster: &str,
        service: &str,
        call: Call,
    ) -> Result<Answer, CallError> {
        let answer = self.carry_out(cluster, service, call).await;
        Ok(self.weigh(answer)?)
    }

    async fn carry_out(&self, cluster: &str, service: &str, call: Call) -> Result<Answer, Error> {
        let answer = match call {
            Call::DescribeService => Answer::Service(self.service(cluster, service).await?),
            Call::RegisterTaskDefinition { document } => {
                Answer::Registered(self.register(document).await?)
            }
            Call::CreateService {
                task_definition,
                settings,
            } => Answer::Service(Some(
                self.create_service(cluster, service, &task_definition, &settings)
                    .await?,
            )),
            Call::UpdateService {
                task_definition,
                settings,
            } => Answer::Service(Some(
                self.update_service(cluster, service, &task_definition, &settings)
                    .await?,
            )),
            Call::Tasks { running } => Answer::Tasks(self.tasks(cluster, service, running).await?),
            Call::ServiceDeployments => Answer::ServiceDeployments(
                self.service_deployments(cluster, service, WATCHED, |_| true)
                    .await?,
            ),
            Call::StopServiceDeployment { arn } => {
                self.stop_service_deployment(&arn).await?;
                Answer::Done
            }
            Call::LogTail {
                region,
                group,
                stream,
                lines,
            } => Answer::Log(
                self.log_tail(region.as_deref(), &group, &stream, lines)
                    .await?,
            ),
            Call::LogPage {
                region,
                group,
                stream,
                token,
            } => {
                let (lines, token) = self
                    .log_page(region.as_deref(), &group, &stream, token)
                    .await?;
                Answer::LogPage(lines, token)
            }
            Call::TagRevision { arn, tags } => {
                self.tag(&arn, &tags).await?;
                Answer::Done
            }
            Call::UntagRevision { arn, keys } => {
                self.untag(&arn, keys).await?;
                Answer::Done
            }
            Call::Revision { name } => Answer::Revision(self.revision(&name).await?),
            Call::RunTask {
                task_definition,
                container,
                command,
                placement,
                token,
            } => Answer::Task(
                self.run_task(
                    cluster,
                    &task_definition,
                    &container,
                    command,
                    &placement,
                    token,
                )
                .await?,
            ),
            Call::Task { arn } => Answer::Task(self.task(cluster, &arn).await?),
            Call::StopTask { arn, reason } => {
                self.stop_task(cluster, &arn, &reason).await?;
                Answer::Done
            }
            Call::Stage { arn } => Answer::Stage(self.stage(&arn).await?),
            Call::Alarms { names } => Answer::Alarms(self.alarms(&names).await?),
            Call::Get { url } => {
                let (status, body) = self.get(&url).await?;
                Answer::Http(status, body)
            }
        };
        Ok(answer)
    }

    /// What is live: all that a plan is made from.
    pub async fn facts(&self, cluster: &str, service: &str) -> Result<Facts, Error> {
        let Some(view) = self
            .service(cluster, service)
            .await?
            .filter(|view| view.status == "ACTIVE")
        else {
            return Ok(Facts::default());
        };
        // Another controller's service has no task definition, and no record of this kind.
        if view.foreign_controller().is_some() {
            return Ok(Facts {
                service: Some(view),
                ..Facts::default()
            });
        }
        let mut live = self.described(&view.task_definition).await?;
        let tags = views::revision(&live).tags;
        let document = live.get_mut("taskDefinition").map(Value::take);
        let document = document
            .ok_or_else(|| Error::incomplete("ecs:DescribeTaskDefinition", "task definition"))?;
        let mut facts = Facts {
            primary_document: Some(document),
            primary_tags: tags,
            service: Some(view),
            ..Facts::default()
        };
        // A revision that was deployed again and again fills pages with itself.
        let history = self.service_deployments(cluster, service, HISTORY, |records| {
            facts.history = records.to_vec();
            facts.earlier().is_some()
        });
        match history.await {
            Ok(history) => facts.history = history,
            // Without the permission to read the record there is still the service itself.
            Err(error) if error.code.as_deref() == Some("AccessDeniedException") => {
                facts.history.clear();
                facts.unread = Some(error.message);
            }
            Err(error) => return Err(error),
        }
        Ok(facts)
    }

    /// ECS's record of a service's rollouts, newest first.
    pub async fn history(
        &self,
        cluster: &str,
        service: &str,
    ) -> Result<Vec<ServiceDeploymentView>, Error> {
        self.service_deployments(cluster, service, HISTORY, |_| true)
            .await
    }

    /// DescribeServices for one service; none when it is unknown, or its cluster is.
    pub async fn service(
        &self,
        cluster: &str,
        service: &str,
    ) -> Result<Option<ServiceView>, Error> {
        let operation = "ecs:DescribeServices";
        let answer = self
            .ecs
            .describe_services()
            .cluster(cluster)
            .services(service)
            .send()
            .await;
        let answer = match answer.map_err(|error| Error::new(operation, &error)) {
            Ok(answer) => answer,
            Err(error) if error.code.as_deref() == Some("ClusterNotFoundException") => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if let Some(found) = answer.services().first() {
            return Ok(Some(views::service(found)));
        }
        match answer
            .failures()
            .first()
            .and_then(|failure| failure.reason())
        {
            Some("MISSING") => Ok(None),
            Some(reason) => Err(Error::incomplete(operation, &format!("service: {reason}"))),
            None => Err(Error::incomplete(operation, "service and no failure")),
        }
    }

    /// DescribeTaskDefinition, as JSON with the API's member names: what comparisons need.
    ///
    /// The SDK has no way to hand out the document as it came, so the raw body is kept on its way in.
    pub async fn task_definition(&self, arn: &str) -> Result<Value, Error> {
        let mut body = self.described(arn).await?;
        let document = body.get_mut("taskDefinition").map(Value::take);
        document.ok_or_else(|| Error::incomplete("ecs:DescribeTaskDefinition", "task definition"))
    }

    /// DescribeTaskDefinition with tags: the whole answer.
    async fn described(&self, arn: &str) -> Result<Value, Error> {
        let operation = "ecs:DescribeTaskDefinition";
        let body = KeptBody::default();
        let answer = self
            .ecs
            .describe_task_definition()
            .task_definition(arn)
            .include(TaskDefinitionField::Tags)
            .customize()
            .interceptor(body.clone())
            .send()
            .await;
        answer.map_err(|error| Error::new(operation, &error))?;
        body.json()
            .ok_or_else(|| Error::incomplete(operation, "JSON"))
    }

    /// A revision given as ARN or `family:revision`; none when it is not there.
    pub async fn revision(&self, name: &str) -> Result<Option<RevisionView>, Error> {
        match self.described(name).await {
            Ok(body) => Ok(Some(views::revision(&body))),
            Err(error) if error.message.contains("Unable to describe task definition") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Revisions by ARN, each with its document. What is not there, or cannot be read, is left out.
    pub async fn releases(
        &self,
        arns: BTreeSet<String>,
    ) -> BTreeMap<String, (RevisionView, Value)> {
        /// Requests at once: ECS takes 20 a second of this kind.
        const AT_ONCE: usize = 10;
        let mut all = BTreeMap::new();
        let arns: Vec<String> = arns.into_iter().collect();
        for chunk in arns.chunks(AT_ONCE) {
            let asked = chunk.iter().map(|arn| self.described(arn));
            let answers = futures_util::future::join_all(asked).await;
            for (arn, answer) in chunk.iter().zip(answers) {
                if let Ok(mut body) = answer {
                    let revision = views::revision(&body);
                    all.insert(arn.clone(), (revision, body["taskDefinition"].take()));
                }
            }
        }
        all
    }

    /// TagResource.
    async fn tag(&self, arn: &str, tags: &BTreeMap<String, String>) -> Result<(), Error> {
        let tags = tags
            .iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect();
        let answer = self
            .ecs
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(tags))
            .send()
            .await;
        answer
            .map(|_| ())
            .map_err(|error| Error::new("ecs:TagResource", &error))
    }

    async fn untag(&self, arn: &str, keys: Vec<String>) -> Result<(), Error> {
        let answer = self
            .ecs
            .untag_resource()
            .resource_arn(arn)
            .set_tag_keys(Some(keys))
            .send()
            .await;
        answer
            .map(|_| ())
            .map_err(|error| Error::new("ecs:UntagResource", &error))
    }

    /// RegisterTaskDefinition with exactly these bytes, instead of a document rebuilt from the SDK's own types.
    async fn register(&self, document: String) -> Result<String, Error> {
        let operation = "ecs:RegisterTaskDefinition";
        let answer = self
            .ecs
            .register_task_definition()
            .customize()
            .interceptor(ExactBody(document))
            .send()
            .await;
        let answer = answer.map_err(|error| Error::new(operation, &error))?;
        answer
            .task_definition()
            .and_then(|definition| definition.task_definition_arn())
            .map(str::to_owned)
            .ok_or_else(|| Error::incomplete(operation, "ARN"))
    }

    async fn create_service(
        &self,
        cluster: &str,
        service: &str,
        task_definition: &str,
        new: &NewService,
    ) -> Result<ServiceView, Error> {
        let operation = "ecs:CreateService";
        let mut request = self
            .ecs
            .create_service()
            .cluster(cluster)
            .service_name(service)
            .task_definition(task_definition)
            .desired_count(i32::try_from(new.desired_count).unwrap_or(i32::MAX))
            .set_deployment_configuration(deployment_configuration(&new.settings));
        if let Some(balancer) = &new.load_balancer {
            request = request.load_balancers(
                LoadBalancer::builder()
                    .target_group_arn(&balancer.target_group_arn)
                    .container_name(&balancer.container)
                    .container_port(i32::from(balancer.port))
                    .build(),
            );
        }
        if !new.subnets.is_empty() {
            let network = AwsVpcConfiguration::builder()
                .set_subnets(Some(new.subnets.clone()))
                .build();
            let network = network.map_err(|_| Error::incomplete(operation, "subnets"))?;
            request = request.network_configuration(
                NetworkConfiguration::builder()
                    .awsvpc_configuration(network)
                    .build(),
            );
        }
        let answer = request
            .customize()
            .config_override(once())
            .send()
            .await
            .map_err(|error| Error::new(operation, &error))?;
        answer
            .service()
            .map(views::service)
            .ok_or_else(|| Error::incomplete(operation, "service"))
    }

    async fn update_service(
        &self,
        cluster: &str,
        service: &str,
        task_definition: &str,
        settings: &ServiceSettings,
    ) -> Result<ServiceView, Error> {
        let operation = "ecs:UpdateService";
        let answer = self
            .ecs
            .update_service()
            .cluster(cluster)
            .service(service)
            .task_definition(task_definition)
            .set_deployment_configuration(deployment_configuration(settings))
            .customize()
            .config_override(once())
            .send()
            .await;
        let answer = answer.map_err(|error| Error::new(operation, &error))?;
        answer
            .service()
            .map(views::service)
            .ok_or_else(|| Error::incomplete(operation, "service"))
    }

    async fn stop_service_deployment(&self, arn: &str) -> Result<(), Error> {
        let answer = self
            .ecs
            .stop_service_deployment()
            .service_deployment_arn(arn)
            .stop_type(StopServiceDeploymentStopType::Rollback)
            .send()
            .await;
        answer
            .map(|_| ())
            .map_err(|error| Error::new("ecs:StopServiceDeployment", &error))
    }
}

/// A request that the SDK makes once. Before a second attempt at a change of the service, whoever asked for it looks whether somebody else has deployed meanwhile.
fn once() -> aws_sdk_ecs::config::Builder {
    aws_sdk_ecs::config::Builder::default().retry_config(RetryConfig::disabled())
}

/// Only what the pipeline file names; none when it names nothing, so that nothing is sent.
fn deployment_configuration(settings: &ServiceSettings) -> Option<DeploymentConfiguration> {
    if *settings == ServiceSettings::default() {
        return None;
    }
    let percent = |percent: Option<u32>| percent.and_then(|percent| i32::try_from(percent).ok());
    let breaker = settings.circuit_breaker.map(|breaker| {
        DeploymentCircuitBreaker::builder()
            .enable(breaker.enable)
            .rollback(breaker.rollback)
            .build()
    });
    Some(
        DeploymentConfiguration::builder()
            .set_minimum_healthy_percent(percent(settings.minimum_healthy_percent))
            .set_maximum_percent(percent(settings.maximum_percent))
            .set_deployment_circuit_breaker(breaker)
            .build(),
    )
}
