//! ECS's own records of a service's rollouts.

use rollout::facts::ServiceDeploymentView;

use crate::connect::Aws;
use crate::error::Error;
use crate::views;

/// Pages of the record that are read at most: ECS keeps it for 90 days.
const MOST_PAGES: usize = 25;

impl Aws {
    /// The newest rollouts, newest first, with what each rolled out. Pages are read until they are enough, and no more than there are.
    pub(crate) async fn service_deployments(
        &self,
        cluster: &str,
        service: &str,
        page: usize,
        mut enough: impl FnMut(&[ServiceDeploymentView]) -> bool,
    ) -> Result<Vec<ServiceDeploymentView>, Error> {
        let mut records = Vec::new();
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let more;
            (more, token) = self.record_page(cluster, service, page, token).await?;
            records.extend(more);
            records
                .sort_by_key(|record: &ServiceDeploymentView| std::cmp::Reverse(record.created_at));
            if token.is_none() || enough(&records) {
                break;
            }
        }
        Ok(records)
    }

    async fn record_page(
        &self,
        cluster: &str,
        service: &str,
        page: usize,
        token: Option<String>,
    ) -> Result<(Vec<ServiceDeploymentView>, Option<String>), Error> {
        let limit = i32::try_from(page).unwrap_or(100);
        let listed = self
            .ecs
            .list_service_deployments()
            .cluster(cluster)
            .service(service)
            .max_results(limit)
            .set_next_token(token)
            .send()
            .await;
        let listed = listed.map_err(|error| Error::new("ecs:ListServiceDeployments", &error))?;
        let mut records: Vec<(ServiceDeploymentView, String)> = listed
            .service_deployments()
            .iter()
            .map(|brief| {
                let record = ServiceDeploymentView {
                    arn: views::text(brief.service_deployment_arn()),
                    status: brief
                        .status()
                        .map(|status| status.as_str().to_owned())
                        .unwrap_or_default(),
                    reason: brief.status_reason().map(str::to_owned),
                    task_definition: String::new(),
                    created_at: views::millis(brief.created_at()),
                    finished_at: brief.finished_at().map(|at| views::millis(Some(at))),
                };
                (record, views::text(brief.target_service_revision_arn()))
            })
            .collect();
        // DescribeServiceRevisions takes 20 at a time.
        for chunk in records.chunks_mut(20) {
            let mut revisions: Vec<String> =
                chunk.iter().map(|(_, revision)| revision.clone()).collect();
            revisions.sort();
            revisions.dedup();
            let described = self
                .ecs
                .describe_service_revisions()
                .set_service_revision_arns(Some(revisions))
                .send()
                .await;
            let described =
                described.map_err(|error| Error::new("ecs:DescribeServiceRevisions", &error))?;
            for (record, revision) in chunk {
                let found = described
                    .service_revisions()
                    .iter()
                    .find(|r| r.service_revision_arn() == Some(revision));
                record.task_definition =
                    views::text(found.and_then(|found| found.task_definition()));
            }
        }
        let records = records.into_iter().map(|(record, _)| record).collect();
        Ok((records, listed.next_token))
    }

    /// The lifecycle stage of a blue/green, linear or canary deployment; none under the strategy ROLLING.
    pub(crate) async fn stage(&self, arn: &str) -> Result<Option<String>, Error> {
        let answer = self
            .ecs
            .describe_service_deployments()
            .service_deployment_arns(arn)
            .send()
            .await;
        let answer =
            answer.map_err(|error| Error::new("ecs:DescribeServiceDeployments", &error))?;
        let stage = answer
            .service_deployments()
            .first()
            .and_then(|found| found.lifecycle_stage());
        Ok(stage.map(|stage| stage.as_str().to_owned()))
    }
}
