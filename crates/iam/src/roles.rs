//! The roles of an environment: who may take them on, and their policies.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use service_config::{Inputs, Service};

use crate::grants::{Grant, Place, grants};
use crate::policy::{Conditions, Policy, Statement, condition};

/// GitHub's issuer of OIDC tokens.
pub(crate) const ISSUER: &str = "token.actions.githubusercontent.com";
/// The audience that AWS's action asks a token for.
pub(crate) const AUDIENCE: &str = "sts.amazonaws.com";

/// What the roles are made from.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The services that are deployed with this role.
    pub services: Vec<&'a Service>,
    /// Name of the environment, here and on GitHub.
    pub environment: &'a str,
    /// `OWNER/NAME` of the GitHub repository.
    pub repository: &'a str,
    /// Seconds that a session must be good for.
    pub session_seconds: u64,
}

/// Why there is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A policy that names resources needs it.
    #[error(
        "environment `{environment}` of service `{service}` has no `{missing}`; a policy that names exact resources needs it"
    )]
    Missing {
        /// The service.
        service: String,
        /// The environment.
        environment: String,
        /// The key.
        missing: &'static str,
    },
    /// The role's ARN.
    #[error("`{arn}` is not the ARN of an IAM role in account {account}")]
    RoleArn {
        /// What stands there.
        arn: String,
        /// Account of the environment.
        account: String,
    },
    /// The repository's name.
    #[error("`{repository}` is not the name of a GitHub repository, OWNER/NAME")]
    Repository {
        /// What was given.
        repository: String,
    },
}

/// A role with its one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Seconds that a session may last.
    pub max_session_duration: u64,
    /// Who may take it on.
    pub trust_policy: Policy,
    /// Name of the policy.
    pub policy_name: &'static str,
    /// What it may do.
    pub policy: Policy,
}

/// All that an account needs for one environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Roles {
    /// Issuer of the tokens that the account must know, without `https://`.
    pub oidc_provider: &'static str,
    /// Audience of these tokens.
    pub audience: &'static str,
    /// The role of the pipeline.
    pub deploy: Role,
    /// Execution roles of the tasks: what ECS itself does for them.
    pub execution: Vec<Role>,
    /// Why the deployment has each of its permissions, by statement.
    pub reasons: BTreeMap<&'static str, &'static str>,
}

/// The roles for an environment.
pub fn roles(input: &Input<'_>) -> Result<Roles, Problem> {
    check_repository(input.repository)?;
    let mut all: Vec<Grant> = Vec::new();
    let mut execution: BTreeMap<String, Execution> = BTreeMap::new();
    let mut deploy = None;
    for service in &input.services {
        let missing = |missing| Problem::Missing {
            service: service.pipeline.service.name.clone(),
            environment: input.environment.to_owned(),
            missing,
        };
        let environment = service
            .environment(input.environment)
            .map_err(|_| missing("environment of that name"))?;
        let account = environment
            .account
            .as_deref()
            .ok_or_else(|| missing("account"))?;
        let region = environment
            .region
            .as_deref()
            .ok_or_else(|| missing("region"))?;
        let role = environment.role.as_deref().ok_or_else(|| missing("role"))?;
        let name = role_name(role, account)?;
        deploy = Some((name, account.to_owned(), environment.branch.clone()));

        let document = document(service, input.environment, account, region);
        let names = Names::of(&document);
        let place = Place {
            account,
            region,
            cluster: environment.cluster.as_deref().unwrap_or("default"),
            ecs_service: environment
                .service
                .as_deref()
                .unwrap_or(&service.pipeline.service.name),
            family: document["family"].as_str().unwrap_or_default(),
            passed: names.roles.clone(),
            log_groups: names.log_groups.clone(),
            secrets: names.secrets.clone(),
            parameters: !names.parameters.is_empty(),
        };
        for grant in grants(service, environment, &place) {
            match all
                .iter_mut()
                .find(|known| known.sid == grant.sid && known.condition == grant.condition)
            {
                Some(known) => known.resources.extend(grant.resources),
                None => all.push(grant),
            }
        }
        if let Some(arn) = document["executionRoleArn"].as_str()
            && let Ok(name) = role_name(arn, account)
        {
            let role = execution.entry(name).or_insert_with(|| Execution {
                account: account.to_owned(),
                ..Execution::default()
            });
            role.add(service, &place, &names);
        }
    }
    let Some((name, account, branch)) = deploy else {
        return Err(Problem::Missing {
            service: "any".to_owned(),
            environment: input.environment.to_owned(),
            missing: "service",
        });
    };
    all.sort_by_key(|grant| grant.sid);
    Ok(Roles {
        oidc_provider: ISSUER,
        audience: AUDIENCE,
        deploy: Role {
            name,
            purpose: format!("deploys to {} from {}", input.environment, input.repository),
            max_session_duration: input.session_seconds.max(3600),
            trust_policy: trust(input, &account, branch.as_deref()),
            policy_name: "longshore-deploy",
            policy: Policy::new(all.iter().map(Grant::statement).collect()),
        },
        execution: execution
            .into_iter()
            .map(|(name, role)| role.close(name))
            .collect(),
        reasons: all.iter().map(|grant| (grant.sid, grant.why)).collect(),
    })
}

/// The token must be for AWS, from a job of this repository that runs in this environment, and from the environment's branch where it has one.
///
/// A job with an environment has the environment in its subject; STS checks the claim `ref` beside it (AWS STS, "identity provider specific claims", 2026).
fn trust(input: &Input<'_>, account: &str, branch: Option<&str>) -> Policy {
    let mut claims = BTreeMap::from([
        (format!("{ISSUER}:aud"), vec![AUDIENCE.to_owned()]),
        (
            format!("{ISSUER}:sub"),
            vec![format!(
                "repo:{}:environment:{}",
                input.repository, input.environment
            )],
        ),
    ]);
    if let Some(branch) = branch {
        claims.insert(
            format!("{ISSUER}:ref"),
            vec![format!("refs/heads/{branch}")],
        );
    }
    Policy::new(vec![Statement {
        sid: "GitHubJob".to_owned(),
        effect: "Allow",
        principal: BTreeMap::from([(
            "Federated",
            format!("arn:aws:iam::{account}:oidc-provider/{ISSUER}"),
        )]),
        action: vec!["sts:AssumeRoleWithWebIdentity".to_owned()],
        resource: Vec::new(),
        condition: Conditions::from([("StringEquals", claims)]),
    }])
}

/// What ECS does for the tasks before they run.
#[derive(Default)]
struct Execution {
    account: String,
    repositories: BTreeSet<String>,
    streams: BTreeSet<String>,
    secrets: BTreeSet<String>,
    parameters: BTreeSet<String>,
}

impl Execution {
    fn add(&mut self, service: &Service, place: &Place<'_>, names: &Names) {
        let repository = &service.pipeline.registry.repository;
        self.repositories
            .insert(place.arn("ecr", &format!("repository/{repository}")));
        self.streams.extend(
            names
                .log_groups
                .iter()
                .map(|group| place.arn("logs", &format!("log-group:{group}:log-stream:*"))),
        );
        self.secrets.extend(names.secrets.iter().cloned());
        self.parameters.extend(names.parameters.iter().map(|name| {
            if name.starts_with("arn:") {
                name.clone()
            } else {
                place.arn(
                    "ssm",
                    &format!("parameter/{}", name.trim_start_matches('/')),
                )
            }
        }));
    }

    fn close(self, name: String) -> Role {
        let statement = |sid: &str, action: &[&str], resource: BTreeSet<String>| Statement {
            sid: sid.to_owned(),
            effect: "Allow",
            principal: BTreeMap::new(),
            action: action.iter().map(|&action| action.to_owned()).collect(),
            resource: resource.into_iter().collect(),
            condition: Conditions::new(),
        };
        let statements = [
            statement(
                "RegistryPassword",
                &["ecr:GetAuthorizationToken"],
                BTreeSet::from(["*".to_owned()]),
            ),
            statement(
                "PullImage",
                &["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                self.repositories,
            ),
            statement(
                "WriteLogs",
                &["logs:CreateLogStream", "logs:PutLogEvents"],
                self.streams,
            ),
            statement(
                "ReadSecrets",
                &["secretsmanager:GetSecretValue"],
                self.secrets,
            ),
            statement("ReadParameters", &["ssm:GetParameters"], self.parameters),
        ];
        Role {
            name,
            purpose:
                "execution role: ECS pulls the image, hands over secrets and writes logs with it"
                    .to_owned(),
            max_session_duration: 3600,
            trust_policy: Policy::new(vec![Statement {
                sid: "EcsTasks".to_owned(),
                effect: "Allow",
                principal: BTreeMap::from([("Service", "ecs-tasks.amazonaws.com".to_owned())]),
                action: vec!["sts:AssumeRole".to_owned()],
                resource: Vec::new(),
                // Not for the tasks of somebody else's account.
                condition: condition("StringEquals", "aws:SourceAccount", &self.account),
            }]),
            policy_name: "longshore-execution",
            policy: Policy::new(
                statements
                    .into_iter()
                    .filter(|statement| !statement.resource.is_empty())
                    .collect(),
            ),
        }
    }
}

fn document(service: &Service, environment: &str, account: &str, region: &str) -> Value {
    let document = service.render(&Inputs {
        environment,
        image: "IMAGE",
        commit: "COMMIT",
        branch: "BRANCH",
        account,
        region,
        variables: &BTreeMap::new(),
    });
    document
        .ok()
        .and_then(|document| serde_json::from_str(&document).ok())
        .unwrap_or_default()
}

/// What a rendered task definition names.
struct Names {
    roles: BTreeSet<String>,
    log_groups: BTreeSet<String>,
    secrets: BTreeSet<String>,
    parameters: BTreeSet<String>,
}

impl Names {
    fn of(document: &Value) -> Self {
        let mut names = Self {
            roles: ["executionRoleArn", "taskRoleArn"]
                .iter()
                .filter_map(|member| document[member].as_str())
                .map(str::to_owned)
                .collect(),
            log_groups: BTreeSet::new(),
            secrets: BTreeSet::new(),
            parameters: BTreeSet::new(),
        };
        let containers = document["containerDefinitions"].as_array();
        for container in containers.into_iter().flatten() {
            let logs = &container["logConfiguration"];
            if let Some(group) = logs["options"]["awslogs-group"].as_str() {
                names.log_groups.insert(group.to_owned());
            }
            let own = container["secrets"].as_array();
            let of_logs = logs["secretOptions"].as_array();
            let values = own.into_iter().chain(of_logs).flatten();
            let values = values.filter_map(|secret| secret["valueFrom"].as_str());
            let pull = container["repositoryCredentials"]["credentialsParameter"].as_str();
            for value in values.chain(pull) {
                names.reference(value);
            }
        }
        names
    }

    fn reference(&mut self, value: &str) {
        if value.contains(":secretsmanager:") {
            // Behind the name may stand a key, a stage and a version.
            let parts: Vec<&str> = value.split(':').take(7).collect();
            self.secrets.insert(parts.join(":"));
        } else {
            self.parameters.insert(value.to_owned());
        }
    }
}

fn check_repository(repository: &str) -> Result<(), Problem> {
    let good = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match repository.split_once('/') {
        Some((owner, name)) if good(owner) && good(name) => Ok(()),
        _ => Err(Problem::Repository {
            repository: repository.to_owned(),
        }),
    }
}

/// The name in a role's ARN; a path is not part of it.
fn role_name(arn: &str, account: &str) -> Result<String, Problem> {
    let name = arn
        .strip_prefix(&format!("arn:aws:iam::{account}:role/"))
        .and_then(|path| path.rsplit('/').next())
        .filter(|name| !name.is_empty() && name.len() <= 64);
    name.map(str::to_owned).ok_or_else(|| Problem::RoleArn {
        arn: arn.to_owned(),
        account: account.to_owned(),
    })
}
