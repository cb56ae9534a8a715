//! The questions before a deployment, asked side by side. All of them read; none can answer with a secret's value.

use std::collections::{BTreeMap, BTreeSet};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use rollout::facts::{AlarmView, Millis};
use rollout::preflight::{Answers, Named, Questions, Seen, TargetGroup};
use roxmltree::{Document, Node};
use serde_json::{Value, json};

use crate::connect::Aws;
use crate::error::Error;
use crate::signed::{BALANCERS, CLOUDWATCH, IAM, SECRETS, SSM};

impl Aws {
    /// Asks all questions at once.
    pub async fn preflight(&self, cluster: &str, questions: &Questions) -> Answers {
        let account = self.own_account(questions).await;
        let account = account.as_deref();
        let (cluster, parameters, secrets, log_groups, roles, target_groups, way_back, alarms) = tokio::join!(
            self.cluster_status(cluster),
            self.parameters(&questions.parameters, account),
            each(
                &questions.secrets,
                |named| self.shown(named, account),
                |named| self.secret(named, account)
            ),
            each(
                &questions.log_groups,
                |named| self.shown(named, account),
                |named| self.log_group(named)
            ),
            each(&questions.roles, String::clone, |arn| self.role(arn)),
            each(&questions.target_groups, String::clone, |arn| self
                .target_group(arn)),
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

    /// The account of the credentials, where a question names one.
    async fn own_account(&self, questions: &Questions) -> Option<String> {
        let mut named = questions.parameters.iter().chain(&questions.secrets);
        if !named.any(|named| named.account.is_some()) {
            return None;
        }
        let identity = self.identity().await.ok()?;
        Some(identity.account)
    }

    /// The region to ask in, where it is not the own one.
    fn elsewhere<'a>(&self, named: &'a Named) -> Option<&'a str> {
        let region = named.region.as_deref();
        region.filter(|region| self.region() != Some(*region))
    }

    /// The name, with the place where that is another one.
    fn shown(&self, named: &Named, own: Option<&str>) -> String {
        // An ARN says where it is.
        if named.name.starts_with("arn:") {
            return named.name.clone();
        }
        match (self.elsewhere(named), foreign(named, own)) {
            (_, Some(account)) => format!("{} (account {account})", named.name),
            (Some(region), None) => format!("{} ({region})", named.name),
            (None, None) => named.name.clone(),
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

    /// DescribeParameters answers with names and types only, and of its own account and region.
    async fn parameters(
        &self,
        all: &BTreeSet<Named>,
        own: Option<&str>,
    ) -> Vec<(String, Seen<()>)> {
        let mut seen = Vec::new();
        let mut regions: BTreeMap<Option<&str>, Vec<&Named>> = BTreeMap::new();
        for named in all {
            if let Some(account) = foreign(named, own) {
                seen.push((self.shown(named, own), Seen::Unknown(of_another(account))));
            } else {
                regions
                    .entry(self.elsewhere(named))
                    .or_default()
                    .push(named);
            }
        }
        for (region, all) in regions {
            // A filter takes 50 values, and a page holds 50 parameters.
            for chunk in all.chunks(50) {
                let names: Vec<&str> = chunk.iter().map(|named| named.name.as_str()).collect();
                let request = json!({
                    "ParameterFilters": [{"Key": "Name", "Option": "Equals", "Values": names}],
                    "MaxResults": 50,
                });
                let answer = self
                    .signed
                    .json(SSM, region, "DescribeParameters", &request)
                    .await;
                for named in chunk {
                    seen.push((self.shown(named, own), parameter(&named.name, &answer)));
                }
            }
        }
        seen.sort_by(|(one, _), (other, _)| one.cmp(other));
        // One may be named by its name and by its ARN.
        seen.dedup_by(|(one, _), (other, _)| one == other);
        seen
    }

    /// DescribeSecret answers with everything but the value.
    async fn secret(&self, named: &Named, own: Option<&str>) -> Seen<bool> {
        let request = json!({"SecretId": named.name});
        let region = self.elsewhere(named);
        let answer = self
            .signed
            .json(SECRETS, region, "DescribeSecret", &request)
            .await;
        match answer {
            Ok(answer) => Seen::Found(!answer["DeletedDate"].is_null()),
            Err(error) if has_code(&error, "ResourceNotFoundException") => {
                // Who may not see another account's secret is told that there is none.
                foreign(named, own)
                    .map_or(Seen::Missing, |account| Seen::Unknown(of_another(account)))
            }
            Err(error) => Seen::Unknown(error.message),
        }
    }

    async fn log_group(&self, named: &Named) -> Seen<()> {
        let region = self.elsewhere(named);
        match self.has_log_group(region, &named.name).await {
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

/// The account of what belongs to another one than the credentials, or may do so.
fn foreign<'a>(named: &'a Named, own: Option<&str>) -> Option<&'a str> {
    let account = named.account.as_deref();
    account.filter(|account| own != Some(*account))
}

fn of_another(account: &str) -> String {
    format!("it belongs to account {account}")
}

/// What an answer of DescribeParameters says of one parameter.
fn parameter(name: &str, answer: &Result<Value, Error>) -> Seen<()> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Seen::Unknown(error.message.clone()),
    };
    let mut found = answer["Parameters"].as_array().into_iter().flatten();
    let same = |known: &str| known.trim_start_matches('/') == name.trim_start_matches('/');
    if found.any(|one| one["Name"].as_str().is_some_and(same)) {
        Seen::Found(())
    } else if answer["NextToken"].is_string() {
        Seen::Unknown("ssm:DescribeParameters: the answer is not whole".to_owned())
    } else {
        Seen::Missing
    }
}

/// One question for each, side by side.
async fn each<'a, Q, T, F>(
    all: &'a BTreeSet<Q>,
    name: impl Fn(&Q) -> String,
    ask: impl Fn(&'a Q) -> F,
) -> Vec<(String, Seen<T>)>
where
    F: Future<Output = Seen<T>>,
{
    let answers = futures_util::future::join_all(all.iter().map(ask)).await;
    all.iter().map(name).zip(answers).collect()
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
