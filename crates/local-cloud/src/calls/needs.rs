//! Which permissions a request needs, and on which resources.
//!
//! Documented in the service authorization reference, "Actions, resources, and condition keys for AWS services"; the ARN of a log group in the CloudWatch Logs API reference,
//! *LogGroup*.

use serde_json::Value;

use crate::iam::policy::Context;
use crate::place::Place;
use crate::services::Service;

/// A permission: an action on resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// Such as `ecs:UpdateService`.
    pub(crate) action: String,
    /// ARNs; `*` alone when the action has no resources.
    pub(crate) resources: Vec<String>,
    /// What conditions of policies may ask about.
    pub(crate) context: Context,
}

impl Need {
    fn new(action: &str, resources: Vec<String>, context: &Context) -> Self {
        Self {
            action: action.to_owned(),
            resources,
            context: context.clone(),
        }
    }

    /// The same with one more key for conditions.
    fn with(mut self, key: &str, value: &str) -> Self {
        self.context
            .insert(key.to_lowercase(), vec![value.to_owned()]);
        self
    }
}

/// What an operation of an API needs: itself first, then what it implies. `request` may be null when it could not be read.
pub(crate) fn of_api(
    service: Service,
    operation: &str,
    request: &Value,
    place: &Place,
) -> Vec<Need> {
    let reader = Reader { request, place };
    let mut resources = match service {
        Service::Ecs => reader.ecs(operation),
        Service::Ecr => reader.ecr(operation),
        Service::Ssm => reader.ssm(operation),
        Service::Secrets => reader.secrets(operation),
        Service::Logs => reader.logs(operation),
        Service::Sts => reader.texts(&["RoleArn"]),
        Service::Iam => reader.iam(),
        Service::CloudWatch => reader.alarms(),
        // Their Describe operations have no resources.
        Service::Balancing | Service::Scaling => Vec::new(),
    };
    if resources.is_empty() {
        resources.push("*".to_owned());
    }
    let prefix = service.names().iam;
    let action = format!("{prefix}:{operation}");
    let context = reader.context();
    let own = Need::new(&action, resources, &context);
    let mut all = vec![own.clone()];
    if service == Service::Ecs {
        let roles = reader.passed_roles(operation);
        if !roles.is_empty() {
            let to = match operation {
                "CreateService" => "ecs.amazonaws.com",
                _ => "ecs-tasks.amazonaws.com",
            };
            let need = Need::new("iam:PassRole", roles, &context);
            all.push(need.with("iam:PassedToService", to));
        }
    }
    if service == Service::Secrets && operation == "BatchGetSecretValue" {
        // The values are asked for one by one.
        let ids = request["SecretIdList"].as_array().into_iter().flatten();
        let resources: Vec<String> = ids
            .filter_map(Value::as_str)
            .map(|id| reader.secret(id))
            .collect();
        let all_of_them = if resources.is_empty() {
            vec!["*".to_owned()]
        } else {
            resources
        };
        let need = Need::new("secretsmanager:GetSecretValue", all_of_them, &context);
        all.push(need);
    }
    // Tags that are given when something is made need the permission to tag it.
    let tagged = request["tags"]
        .as_array()
        .is_some_and(|tags| !tags.is_empty());
    let tags_as_it_makes = matches!(
        operation,
        "RegisterTaskDefinition"
            | "CreateService"
            | "CreateCluster"
            | "RunTask"
            | "CreateRepository"
    );
    if tagged && tags_as_it_makes {
        let resources = match operation {
            "RunTask" => vec![place.arn("ecs", &format!("task/{}/*", reader.cluster()))],
            _ => own.resources,
        };
        let need = Need::new(&format!("{prefix}:TagResource"), resources, &context);
        all.push(need.with(&format!("{prefix}:CreateAction"), operation));
    }
    all
}

/// What a request of the OCI registry needs, which ECR checks as the call of its API that does the same.
pub(crate) fn of_registry(operation: &str, repository: Option<&str>, place: &Place) -> Need {
    let resource = repository.map_or_else(
        || "*".to_owned(),
        |name| place.arn("ecr", &format!("repository/{name}")),
    );
    Need::new(&format!("ecr:{operation}"), vec![resource], &Context::new())
}

/// A request that is looked through for names.
#[derive(Clone, Copy)]
struct Reader<'a> {
    request: &'a Value,
    place: &'a Place,
}

impl Reader<'_> {
    /// The strings of these members, in lists as well.
    fn texts(self, members: &[&str]) -> Vec<String> {
        let mut out = Vec::new();
        for member in members {
            match &self.request[*member] {
                Value::String(text) => out.push(text.clone()),
                Value::Array(all) => {
                    out.extend(all.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                _ => {}
            }
        }
        out
    }

    /// The same, as ARNs: what is not one already is put behind `before`.
    fn arns(self, service: &str, before: &str, members: &[&str]) -> Vec<String> {
        let texts = self.texts(members).into_iter();
        texts.map(|text| self.arn(service, before, &text)).collect()
    }

    fn arn(self, service: &str, before: &str, name: &str) -> String {
        if name.starts_with("arn:") {
            name.to_owned()
        } else {
            self.place.arn(service, &format!("{before}{name}"))
        }
    }

    /// Name of the request's cluster.
    fn cluster(self) -> String {
        let cluster = self.request["cluster"].as_str().unwrap_or("default");
        cluster.rsplit('/').next().unwrap_or_default().to_owned()
    }

    fn context(self) -> Context {
        let mut context = Context::new();
        let mut put = |key: String, values| context.insert(key.to_lowercase(), values);
        put(
            "aws:RequestedRegion".to_owned(),
            vec![self.place.region.clone()],
        );
        if self.request["cluster"].is_string() {
            let arn = self
                .place
                .arn("ecs", &format!("cluster/{}", self.cluster()));
            put("ecs:cluster".to_owned(), vec![arn]);
        }
        let tags = self.request["tags"].as_array().into_iter().flatten();
        let tags: Vec<(String, String)> = tags
            .filter_map(|tag| {
                let text =
                    |a: &str, b: &str| tag[a].as_str().or(tag[b].as_str()).map(str::to_owned);
                Some((text("key", "Key")?, text("value", "Value")?))
            })
            .collect();
        if !tags.is_empty() {
            let keys = tags.iter().map(|(key, _)| key.clone()).collect();
            put("aws:TagKeys".to_owned(), keys);
        }
        for (key, value) in tags {
            put(format!("aws:RequestTag/{key}"), vec![value]);
        }
        context
    }

    fn alarms(self) -> Vec<String> {
        let all = self.arns(
            "cloudwatch",
            "alarm:",
            &["AlarmName", "AlarmNames", "ResourceARN"],
        );
        if all.is_empty() {
            return vec![self.place.arn("cloudwatch", "alarm:*")];
        }
        all
    }

    fn iam(self) -> Vec<String> {
        let named = self.texts(&["RoleName"]).into_iter();
        let mut all: Vec<String> = named.map(|name| self.place.role_arn(&name)).collect();
        all.extend(self.texts(&["PolicySourceArn"]));
        if all.is_empty() {
            // A policy alone; beside a role it is not what the action is about.
            all.extend(self.texts(&["PolicyArn"]));
        }
        all
    }

    fn ecs(self, operation: &str) -> Vec<String> {
        let within = |kind: &str| format!("{kind}/{}/", self.cluster());
        match operation {
            "CreateCluster" => self.arns("ecs", "cluster/", &["clusterName"]),
            "DeleteCluster"
            | "UpdateCluster"
            | "UpdateClusterSettings"
            | "PutClusterCapacityProviders"
            | "ListContainerInstances" => self.arns("ecs", "cluster/", &["cluster"]),
            "DescribeCapacityProviders" => {
                self.arns("ecs", "capacity-provider/", &["capacityProviders"])
            }
            "DescribeClusters" => self.arns("ecs", "cluster/", &["clusters"]),
            "CreateService" => self.arns("ecs", &within("service"), &["serviceName"]),
            "UpdateService" | "DeleteService" | "DescribeServices" | "ListServiceDeployments" => {
                self.arns("ecs", &within("service"), &["service", "services"])
            }
            "DescribeServiceDeployments" | "StopServiceDeployment" | "DescribeServiceRevisions" => {
                let parts = self.texts(&[
                    "serviceDeploymentArn",
                    "serviceDeploymentArns",
                    "serviceRevisionArns",
                ]);
                // The service is asked for as well.
                let mut all: Vec<String> = parts.iter().filter_map(|arn| service_of(arn)).collect();
                all.dedup();
                all.extend(parts);
                all
            }
            "RegisterTaskDefinition" => self
                .texts(&["family"])
                .iter()
                .map(|family| {
                    self.place
                        .arn("ecs", &format!("task-definition/{family}:*"))
                })
                .collect(),
            "RunTask" => self
                .texts(&["taskDefinition"])
                .into_iter()
                .map(|name| {
                    // A family alone is its latest revision.
                    let revision = if name.contains(':') { "" } else { ":*" };
                    self.arn("ecs", "task-definition/", &format!("{name}{revision}"))
                })
                .collect(),
            "DeleteTaskDefinitions" => self.arns("ecs", "task-definition/", &["taskDefinitions"]),
            "StopTask" | "DescribeTasks" => self.arns("ecs", &within("task"), &["task", "tasks"]),
            "ListTasks" => {
                vec![
                    self.place
                        .arn("ecs", &format!("container-instance/{}/*", self.cluster())),
                ]
            }
            "TagResource" | "UntagResource" | "ListTagsForResource" => self.texts(&["resourceArn"]),
            _ => Vec::new(),
        }
    }

    /// The roles that this hands on to tasks or to the service.
    fn passed_roles(self, operation: &str) -> Vec<String> {
        let mut roles = match operation {
            "RegisterTaskDefinition" => self.texts(&["taskRoleArn", "executionRoleArn"]),
            "CreateService" => self.texts(&["role"]),
            "RunTask" => Reader {
                request: &self.request["overrides"],
                ..self
            }
            .texts(&["taskRoleArn", "executionRoleArn"]),
            _ => Vec::new(),
        };
        for role in &mut roles {
            if !role.starts_with("arn:") {
                *role = self.place.role_arn(role);
            }
        }
        roles.sort();
        roles.dedup();
        roles
    }

    fn ecr(self, operation: &str) -> Vec<String> {
        if operation == "GetAuthorizationToken" {
            return Vec::new();
        }
        let mut all = self.arns(
            "ecr",
            "repository/",
            &["repositoryName", "repositoryNames", "resourceArn"],
        );
        if operation == "DescribeRepositories" && all.is_empty() {
            all.push(self.place.arn("ecr", "repository/*"));
        }
        all
    }

    fn ssm(self, operation: &str) -> Vec<String> {
        if operation == "DescribeParameters" {
            return Vec::new();
        }
        let others = self.request["ResourceType"]
            .as_str()
            .is_some_and(|kind| kind != "Parameter");
        if others {
            return Vec::new();
        }
        let names = self.texts(&["Name", "Names", "Path", "ResourceId"]);
        names
            .into_iter()
            .map(|name| {
                if name.starts_with("arn:") {
                    return name;
                }
                // A name may select a version or a label.
                let name = name.split(':').next().unwrap_or_default();
                self.place.arn(
                    "ssm",
                    &format!("parameter/{}", name.trim_start_matches('/')),
                )
            })
            .collect()
    }

    fn secrets(self, operation: &str) -> Vec<String> {
        let named = match operation {
            "CreateSecret" => "Name",
            "BatchGetSecretValue" => return Vec::new(),
            _ => "SecretId",
        };
        self.texts(&[named])
            .into_iter()
            .map(|name| self.secret(&name))
            .collect()
    }

    fn secret(self, name: &str) -> String {
        if name.starts_with("arn:") {
            return name.to_owned();
        }
        // Six random characters follow a secret's name; policies write them so.
        self.place
            .arn("secretsmanager", &format!("secret:{name}-??????"))
    }

    fn logs(self, operation: &str) -> Vec<String> {
        if matches!(
            operation,
            "TagResource" | "UntagResource" | "ListTagsForResource"
        ) {
            return self.texts(&["resourceArn"]);
        }
        let group = self
            .texts(&["logGroupName", "logGroupIdentifier"])
            .into_iter()
            .next();
        let Some(group) = group else {
            return Vec::new();
        };
        let group = self.arn("logs", "log-group:", &group);
        let group = group.strip_suffix(":*").unwrap_or(&group);
        let stream = matches!(
            operation,
            "GetLogEvents" | "PutLogEvents" | "CreateLogStream" | "DeleteLogStream"
        );
        match self.request["logStreamName"].as_str() {
            Some(name) if stream => vec![format!("{group}:log-stream:{name}")],
            _ => vec![format!("{group}:*")],
        }
    }
}

/// `…:service-deployment/cluster/service/id` → `…:service/cluster/service`.
fn service_of(arn: &str) -> Option<String> {
    let (before, rest) = arn.split_once(":service-")?;
    let mut parts = rest.split('/').skip(1);
    let (cluster, service) = (parts.next()?, parts.next()?);
    Some(format!("{before}:service/{cluster}/{service}"))
}

#[cfg(test)]
mod tests;
