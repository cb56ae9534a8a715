//! The questions before a deployment, asked side by side. All of them read; none can answer with a secret's value.

use std::collections::BTreeSet;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use rollout::facts::{AlarmView, Millis};
use rollout::preflight::{Answers, Questions, Seen, TargetGroup};
use roxmltree::{Document, Node};
use serde_json::json;

use crate::connect::Aws;
use crate::error::Error;
use crate::signed::{BALANCERS, CLOUDWATCH, IAM, SECRETS, SSM};

impl Aws {
    /// Asks all questions at once.
    pub async fn preflight(&self, cluster: &str, questions: &Questions) -> Answers {
        let (cluster, parameters, secrets, log_groups, roles, target_groups, way_back, alarms) = tokio::join!(
            self.cluster_status(cluster),
            self.parameters(&questions.parameters),
            each(&questions.secrets, |name| self.secret(name)),
            each(&questions.log_groups, |name| self.log_group(name)),
            each(&questions.roles, |arn| self.role(arn)),
            each(&questions.target_groups, |arn| self.target_group(arn)),
            self.revision_status(questions.way_back.as_deref()),
            self.alarm_names(&questions.alarms),
        );
        Answers {
            cluster: Some(cluster),
            parameters,
            secrets,
            log_groups,
            roles,
            target_groups,
            way_back,
            alarms,
            image_platforms: Vec::new(),
        }
    }

    async fn cluster_status(&self, cluster: &str) -> Seen<String> {
        let answer = self.ecs.describe_clusters().clusters(cluster).send().await;
        match answer {
            Ok(answer) => match answer.clusters().first().and_then(|one| one.status()) {
                Some(status) => Seen::Found(status.to_owned()),
                None => Seen::Missing,
            },
            Err(error) => Seen::Unknown(Error::new("ecs:DescribeClusters", &error).message),
        }
    }

    /// DescribeParameters answers with names and types only.
    async fn parameters(&self, names: &BTreeSet<String>) -> Vec<(String, Seen<()>)> {
        let mut seen = Vec::new();
        let all: Vec<&String> = names.iter().collect();
        // A filter takes 50 values, and a page holds 50 parameters.
        for chunk in all.chunks(50) {
            let request = json!({
                "ParameterFilters": [{"Key": "Name", "Option": "Equals", "Values": chunk}],
                "MaxResults": 50,
            });
            let answer = self.signed.json(SSM, "DescribeParameters", &request).await;
            for name in chunk {
                let one = match &answer {
                    Err(error) => Seen::Unknown(error.message.clone()),
                    Ok(answer) => {
                        let mut found = answer["Parameters"].as_array().into_iter().flatten();
                        let same = |known: &str| {
                            known.trim_start_matches('/') == name.trim_start_matches('/')
                        };
                        if found.any(|one| one["Name"].as_str().is_some_and(same)) {
                            Seen::Found(())
                        } else if answer["NextToken"].is_string() {
                            Seen::Unknown(
                                "ssm:DescribeParameters: the answer is not whole".to_owned(),
                            )
                        } else {
                            Seen::Missing
                        }
                    }
                };
                seen.push(((*name).clone(), one));
            }
        }
        seen
    }

    /// DescribeSecret answers with everything but the value.
    async fn secret(&self, name: &str) -> Seen<bool> {
        let request = json!({"SecretId": name});
        match self.signed.json(SECRETS, "DescribeSecret", &request).await {
            Ok(answer) => Seen::Found(!answer["DeletedDate"].is_null()),
            Err(error) if has_code(&error, "ResourceNotFoundException") => Seen::Missing,
            Err(error) => Seen::Unknown(error.message),
        }
    }

    async fn log_group(&self, name: &str) -> Seen<()> {
        match self.has_log_group(name).await {
            Ok(true) => Seen::Found(()),
            Ok(false) => Seen::Missing,
            Err(error) => Seen::Unknown(error.message),
        }
    }

    /// GetRole; gives the policy that says who may take it on, percent-encoded as IAM answers it.
    async fn role(&self, arn: &str) -> Seen<String> {
        let name = arn.rsplit('/').next().unwrap_or(arn);
        let parameters = [("RoleName".to_owned(), name.to_owned())];
        match self.signed.query(IAM, "GetRole", &parameters).await {
            Ok(text) => match Document::parse(&text) {
                Ok(document) => Seen::Found(
                    first(document.root(), "AssumeRolePolicyDocument").unwrap_or_default(),
                ),
                Err(error) => Seen::Unknown(format!("iam:GetRole: {error}")),
            },
            Err(error) if has_code(&error, "NoSuchEntity") => Seen::Missing,
            Err(error) => Seen::Unknown(error.message),
        }
    }

    async fn target_group(&self, arn: &str) -> Seen<TargetGroup> {
        let parameters = [("TargetGroupArns.member.1".to_owned(), arn.to_owned())];
        let answer = self
            .signed
            .query(BALANCERS, "DescribeTargetGroups", &parameters)
            .await;
        let text = match answer {
            Ok(text) => text,
            Err(error) if has_code(&error, "TargetGroupNotFound") => return Seen::Missing,
            Err(error) => return Seen::Unknown(error.message),
        };
        match Document::parse(&text) {
            Ok(document) => Seen::Found(TargetGroup {
                target_type: first(document.root(), "TargetType").unwrap_or_default(),
                health_port: first(document.root(), "HealthCheckPort").unwrap_or_default(),
            }),
            Err(error) => Seen::Unknown(format!(
                "elasticloadbalancing:DescribeTargetGroups: {error}"
            )),
        }
    }

    async fn revision_status(&self, arn: Option<&str>) -> Option<Seen<String>> {
        Some(match self.revision(arn?).await {
            Ok(Some(revision)) => Seen::Found(revision.status),
            Ok(None) => Seen::Missing,
            Err(error) => Seen::Unknown(error.message),
        })
    }

    async fn alarm_names(&self, names: &[String]) -> Option<Seen<BTreeSet<String>>> {
        if names.is_empty() {
            return None;
        }
        Some(match self.alarms(names).await {
            Ok(alarms) => Seen::Found(alarms.into_iter().map(|alarm| alarm.name).collect()),
            Err(error) => Seen::Unknown(error.message),
        })
    }

    /// DescribeAlarms of CloudWatch, metric alarms and composite ones.
    pub(crate) async fn alarms(&self, names: &[String]) -> Result<Vec<AlarmView>, Error> {
        let mut parameters: Vec<(String, String)> = names
            .iter()
            .enumerate()
            .map(|(index, name)| (format!("AlarmNames.member.{}", index + 1), name.clone()))
            .collect();
        for (index, kind) in ["MetricAlarm", "CompositeAlarm"].into_iter().enumerate() {
            parameters.push((format!("AlarmTypes.member.{}", index + 1), kind.to_owned()));
        }
        let operation = "DescribeAlarms";
        let text = self
            .signed
            .query(CLOUDWATCH, operation, &parameters)
            .await?;
        let document = Document::parse(&text)
            .map_err(|_| Error::incomplete("cloudwatch:DescribeAlarms", "XML"))?;
        let alarms = document.descendants().filter(|node| {
            node.tag_name().name() == "member"
                && node
                    .children()
                    .any(|child| child.tag_name().name() == "AlarmName")
        });
        Ok(alarms
            .map(|alarm| AlarmView {
                name: first(alarm, "AlarmName").unwrap_or_default(),
                state: first(alarm, "StateValue").unwrap_or_default(),
                reason: first(alarm, "StateReason").unwrap_or_default(),
                since: since(alarm),
            })
            .collect())
    }
}

/// One question for each name, side by side.
async fn each<'a, T, F>(
    names: &'a BTreeSet<String>,
    ask: impl Fn(&'a str) -> F,
) -> Vec<(String, Seen<T>)>
where
    F: Future<Output = Seen<T>>,
{
    let questions = names.iter().map(|name| ask(name));
    let answers = futures_util::future::join_all(questions).await;
    names.iter().cloned().zip(answers).collect()
}

/// Since when an alarm is in its state. Older answers have no `StateTransitionedTimestamp`, and the other one also moves when the same state is found again.
fn since(alarm: Node<'_, '_>) -> Option<Millis> {
    let text = first(alarm, "StateTransitionedTimestamp")
        .or_else(|| first(alarm, "StateUpdatedTimestamp"))?;
    let at = DateTime::from_str(&text, Format::DateTimeWithOffset).ok()?;
    Millis::try_from(at.to_millis().ok()?).ok()
}

/// Text of the first element of that name, whatever its namespace.
fn first(node: Node<'_, '_>, name: &str) -> Option<String> {
    let mut nodes = node.descendants();
    let found = nodes.find(|node| node.tag_name().name() == name)?;
    found.text().map(str::to_owned)
}

fn has_code(error: &Error, code: &str) -> bool {
    error.code.as_deref() == Some(code)
}
