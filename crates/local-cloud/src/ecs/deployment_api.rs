//! The calls that show service deployments and revisions, and that stop a deployment.

use serde_json::{Value, json};

use super::cluster::with_token;
use super::describe::{missing, object};
use super::paging::page;
use super::request::{Request, invalid};
use super::service::{Progress, Service, ServiceKey};
use super::{Ecs, Result, names};
use crate::error::ApiError;
use crate::task::Millis;

const STATUSES: [&str; 9] = [
    "PENDING",
    "SUCCESSFUL",
    "STOPPED",
    "STOP_REQUESTED",
    "IN_PROGRESS",
    "ROLLBACK_REQUESTED",
    "ROLLBACK_IN_PROGRESS",
    "ROLLBACK_SUCCESSFUL",
    "ROLLBACK_FAILED",
];

impl Ecs {
    pub(super) fn list_service_deployments(&self, request: Request<'_>) -> Result<Value> {
        let key = self.service_key(request, "service")?;
        let statuses = request.texts("status")?;
        if let Some(unknown) = statuses.iter().find(|one| !STATUSES.contains(one)) {
            return Err(super::request::not_among(unknown, "status", &STATUSES));
        }
        let created = request.structure("createdAt")?;
        let bound = |name| created.map_or(Ok(None), |created| created.time(name));
        let (before, after) = (bound("before")?, bound("after")?);
        let Some(service) = self.services.get(&key) else {
            return Ok(json!({"serviceDeployments": []}));
        };
        let newest_first = service.history.iter().rev().filter(|one| {
            (statuses.is_empty() || statuses.iter().any(|wanted| json!(one.status) == *wanted))
                && before.is_none_or(|before| one.created_at < before)
                && after.is_none_or(|after| one.created_at > after)
        });
        let items = newest_first.map(|one| (format!("{:020}", one.number), one));
        let (found, token) = page(items, true, request, 20, 100)?;
        let deployments: Vec<Value> = found
            .into_iter()
            .map(|one| self.service_deployment_brief(service, one))
            .collect();
        Ok(with_token(
            object([("serviceDeployments", deployments.into())]),
            token,
        ))
    }

    pub(super) fn describe_service_deployments(&self, request: Request<'_>) -> Result<Value> {
        let arns = twenty(request.texts("serviceDeploymentArns")?)?;
        let (mut deployments, mut failures) = (Vec::new(), Vec::new());
        for arn in arns {
            let found = self
                .find_part(arn, "service-deployment/")
                .and_then(|(key, id)| {
                    let service = self.services.get(&key)?;
                    let one = service.history.iter().find(|one| one.id == id)?;
                    Some(self.service_deployment_view(service, one))
                });
            match found {
                Some(view) => deployments.push(view),
                None => failures.push(missing(arn)),
            }
        }
        Ok(object([
            ("serviceDeployments", deployments.into()),
            ("failures", failures.into()),
        ]))
    }

    pub(super) fn describe_service_revisions(&self, request: Request<'_>) -> Result<Value> {
        let arns = twenty(request.texts("serviceRevisionArns")?)?;
        let (mut revisions, mut failures) = (Vec::new(), Vec::new());
        for arn in arns {
            let found = self
                .find_part(arn, "service-revision/")
                .and_then(|(key, id)| {
                    let service = self.services.get(&key)?;
                    Some(self.service_revision_view(service, service.revision(id)?))
                });
            match found {
                Some(view) => revisions.push(view),
                None => failures.push(missing(arn)),
            }
        }
        Ok(object([
            ("serviceRevisions", revisions.into()),
            ("failures", failures.into()),
        ]))
    }

    pub(super) fn stop_service_deployment(
        &mut self,
        request: Request<'_>,
        now: Millis,
    ) -> Result<Value> {
        let arn = request.required("serviceDeploymentArn")?;
        let abort = request.choice("stopType", &["ABORT", "ROLLBACK"])? == Some("ABORT");
        let not_found = || {
            let message = "The service deployment ARN that you specified doesn't exist.";
            ApiError::new("ServiceDeploymentNotFoundException", message)
        };
        let (key, id) = self
            .find_part(arn, "service-deployment/")
            .ok_or_else(not_found)?;
        let service = self.services.get_mut(&key);
        let one = service.and_then(|service| service.history.iter_mut().find(|one| one.id == id));
        let one = one.ok_or_else(not_found)?;
        match (one.status, abort) {
            (Progress::Pending | Progress::InProgress, true) => {
                one.status = Progress::StopRequested;
            }
            (Progress::Pending | Progress::InProgress, false) => {
                one.status = Progress::RollbackRequested;
            }
            // Asking again is harmless.
            (Progress::StopRequested, true)
            | (Progress::RollbackRequested | Progress::RollbackInProgress, false) => {
                return Ok(json!({"serviceDeploymentArn": arn}));
            }
            (status, _) => {
                return Err(ApiError::new(
                    "ConflictException",
                    format!(
                        "The service deployment cannot be stopped: its status is {}.",
                        json!(status).as_str().unwrap_or_default()
                    ),
                ));
            }
        }
        one.updated_at = now;
        self.wake(key, now);
        Ok(json!({"serviceDeploymentArn": arn}))
    }

    /// The service and the id that an ARN such as `…:service-revision/cluster/service/id` names.
    fn find_part<'a>(&self, arn: &'a str, kind: &str) -> Option<(ServiceKey, &'a str)> {
        let mut parts = names::resource(arn)?.strip_prefix(kind)?.split('/');
        let (cluster, service, id) = (parts.next()?, parts.next()?, parts.next()?);
        let key = *self.clusters.get(cluster)?.services.get(service)?;
        let found: &Service = self.services.get(&key)?;
        (found.name == service).then_some((key, id))
    }
}

fn twenty(arns: Vec<&str>) -> Result<Vec<&str>> {
    if arns.is_empty() || arns.len() > 20 {
        return Err(invalid("Specify 1 to 20 ARNs."));
    }
    Ok(arns)
}
