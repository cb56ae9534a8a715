//! What `deploy` and `rollback` may do, on what, and why. Actions and their resource types are those of the service authorization reference.

use std::collections::BTreeSet;

use service_config::{Environment, Service};

use crate::policy::{Conditions, Statement, condition};

/// One permission of the deployment, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Name of the statement.
    pub(crate) sid: &'static str,
    /// Why a deployment needs it.
    pub(crate) why: &'static str,
    /// Actions.
    pub(crate) actions: Vec<&'static str>,
    /// ARNs, with `*` where the rest is not known before; `*` alone for actions that have no resources.
    pub(crate) resources: BTreeSet<String>,
    /// When.
    pub(crate) condition: Conditions,
}

impl Grant {
    /// As a statement of a policy.
    pub(crate) fn statement(&self) -> Statement {
        let mut action: Vec<String> = self
            .actions
            .iter()
            .map(|&action| action.to_owned())
            .collect();
        action.sort();
        Statement {
            sid: self.sid.to_owned(),
            effect: "Allow",
            principal: std::collections::BTreeMap::new(),
            action,
            resource: self.resources.iter().cloned().collect(),
            condition: self.condition.clone(),
        }
    }
}

/// Where the service is, and what its rendered task definition names.
pub(crate) struct Place<'a> {
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) cluster: &'a str,
    pub(crate) ecs_service: &'a str,
    pub(crate) family: &'a str,
    /// ARNs of the roles that its tasks get.
    pub(crate) passed: BTreeSet<String>,
    pub(crate) log_groups: BTreeSet<String>,
    /// ARNs of Secrets Manager secrets, without what may stand behind the name.
    pub(crate) secrets: BTreeSet<String>,
    /// Whether it names SSM parameters.
    pub(crate) parameters: bool,
}

impl Place<'_> {
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        let Self {
            account, region, ..
        } = self;
        format!("arn:aws:{service}:{region}:{account}:{resource}")
    }

    fn ecs(&self, resource: &str) -> String {
        self.arn("ecs", resource)
    }
}

/// All grants for one service in one environment.
pub(crate) fn grants(
    service: &Service,
    environment: &Environment,
    place: &Place<'_>,
) -> Vec<Grant> {
    let (cluster, name, family) = (place.cluster, place.ecs_service, place.family);
    let own_service = place.ecs(&format!("service/{cluster}/{name}"));
    let revisions = place.ecs(&format!("task-definition/{family}:*"));
    let tasks = place.ecs(&format!("task/{cluster}/*"));
    let cluster_arn = place.ecs(&format!("cluster/{cluster}"));
    let in_cluster = || condition("ArnEquals", "ecs:cluster", &cluster_arn);
    let repository = place.arn(
        "ecr",
        &format!("repository/{}", service.pipeline.registry.repository),
    );
    let one = |arn: &str| BTreeSet::from([arn.to_owned()]);
    let grant = |sid, why, actions: &[&'static str], resources| Grant {
        sid,
        why,
        actions: actions.to_vec(),
        resources,
        condition: Conditions::new(),
    };
    let anything = || one("*");

    let mut grants = vec![
        grant(
            "RegistryPassword",
            "the password for the registry; the action has no resources",
            &["ecr:GetAuthorizationToken"],
            anything(),
        ),
        grant(
            "PushImage",
            "the image and its tags, and whether they are there already",
            &[
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:DescribeRepositories",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ],
            one(&repository),
        ),
        grant(
            "TaskDefinitions",
            "a new revision, and those that were rolled out before; reading one has no resources",
            &["ecs:DescribeTaskDefinition"],
            anything(),
        ),
        grant(
            "NewRevision",
            "the revision that is deployed, and the tags that say whose it is and how it ended",
            &[
                "ecs:RegisterTaskDefinition",
                "ecs:TagResource",
                "ecs:UntagResource",
            ],
            one(&revisions),
        ),
        grant(
            "Service",
            "the one service: read, updated, watched",
            &[
                "ecs:DescribeServices",
                "ecs:ListServiceDeployments",
                "ecs:UpdateService",
            ],
            one(&own_service),
        ),
        grant(
            "Deployments",
            "its deployments: watched, and stopped when one is bad",
            &[
                "ecs:DescribeServiceDeployments",
                "ecs:DescribeServiceRevisions",
                "ecs:StopServiceDeployment",
            ],
            BTreeSet::from([
                own_service.clone(),
                place.ecs(&format!("service-deployment/{cluster}/{name}/*")),
                place.ecs(&format!("service-revision/{cluster}/{name}/*")),
            ]),
        ),
        Grant {
            condition: in_cluster(),
            ..grant(
                "FindTasks",
                "the tasks of the service; the resource of the action is a container instance, which Fargate does not have",
                &["ecs:ListTasks"],
                one(&place.ecs(&format!("container-instance/{cluster}/*"))),
            )
        },
        Grant {
            condition: in_cluster(),
            ..grant(
                "Tasks",
                "what its tasks run, and why they ended",
                &["ecs:DescribeTasks"],
                one(&tasks),
            )
        },
        grant(
            "LookAtBalancers",
            "whether the load balancer of the service is as the task definition needs it; the action has no resources",
            &["elasticloadbalancing:DescribeTargetGroups"],
            anything(),
        ),
        grant(
            "Cluster",
            "whether the cluster is there, before anything is changed",
            &["ecs:DescribeClusters"],
            one(&cluster_arn),
        ),
    ];
    if service.pipeline.registry.create.unwrap_or(false) {
        grants.push(grant(
            "CreateRepository",
            "`create = true` under [registry]",
            &["ecr:CreateRepository"],
            one(&repository),
        ));
    }
    if service
        .pipeline
        .deploy
        .before
        .as_ref()
        .is_some_and(|tasks| !tasks.is_empty())
    {
        grants.push(Grant {
            condition: in_cluster(),
            ..grant(
                "RunTasksBefore",
                "the tasks of `deploy.before`",
                &["ecs:RunTask"],
                one(&revisions),
            )
        });
        grants.push(Grant {
            condition: in_cluster(),
            ..grant(
                "StopTasksBefore",
                "a task of `deploy.before` that takes too long",
                &["ecs:StopTask"],
                one(&tasks),
            )
        });
    }
    if !place.passed.is_empty() {
        grants.push(Grant {
            condition: condition(
                "StringEquals",
                "iam:PassedToService",
                "ecs-tasks.amazonaws.com",
            ),
            ..grant(
                "PassRoles",
                "the roles that the task definition names, to ECS's tasks and nobody else",
                &["iam:PassRole"],
                place.passed.clone(),
            )
        });
        grants.push(grant(
            "LookAtRoles",
            "whether these roles are there, before anything is changed",
            &["iam:GetRole"],
            place.passed.clone(),
        ));
    }
    if !place.log_groups.is_empty() {
        let groups = |behind: &str| {
            let arns = place
                .log_groups
                .iter()
                .map(|group| place.arn("logs", &format!("log-group:{group}:{behind}")));
            arns.collect::<BTreeSet<_>>()
        };
        grants.push(grant(
            "LastWords",
            "the last lines of a task that failed",
            &["logs:GetLogEvents"],
            groups("log-stream:*"),
        ));
        grants.push(grant(
            "LogGroups",
            "whether the log groups are there, before anything is changed; the action takes all groups or none",
            &["logs:DescribeLogGroups"],
            anything(),
        ));
    }
    if !place.secrets.is_empty() {
        grants.push(grant(
            "LookAtSecrets",
            "whether the secrets are there, before anything is changed; never what is in them",
            &["secretsmanager:DescribeSecret"],
            place.secrets.clone(),
        ));
    }
    if place.parameters {
        grants.push(grant(
            "LookAtParameters",
            "whether the parameters are there, before anything is changed; the action has no resources and gives no values",
            &["ssm:DescribeParameters"],
            anything(),
        ));
    }
    if environment
        .alarms
        .as_ref()
        .is_some_and(|alarms| !alarms.is_empty())
    {
        grants.push(grant(
            "Alarms",
            "the alarms that end a deployment; the action takes all alarms or none",
            &["cloudwatch:DescribeAlarms"],
            one(&place.arn("cloudwatch", "alarm:*")),
        ));
    }
    grants
}
