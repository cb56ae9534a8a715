//! What a task definition, a service and a plan rely on, as questions by name.

use serde_json::Value;

use super::Questions;
use crate::facts::Facts;
use crate::plan::Plan;

/// Something by its name, and where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Its name or ARN.
    pub name: String,
    /// Its region; none where it is the deployment's own.
    pub region: Option<String>,
    /// Its account; none where it is the deployment's own.
    pub account: Option<String>,
}

impl Named {
    /// Something in the deployment's own region and account.
    pub fn here(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }
}

/// What must be asked before a plan is carried out. `create` and adopted deployments rely on the same things.
pub fn questions(document: &Value, facts: &Facts, plan: &Plan) -> Questions {
    let mut questions = Questions {
        way_back: plan.way_back.clone(),
        alarms: plan.alarms.clone(),
        ..Questions::default()
    };
    for role in ["executionRoleArn", "taskRoleArn"] {
        questions
            .roles
            .extend(document[role].as_str().map(str::to_owned));
    }
    let containers = document["containerDefinitions"].as_array();
    for container in containers.into_iter().flatten() {
        let log = &container["logConfiguration"];
        let options = &log["options"];
        let made = options["awslogs-create-group"] == "true";
        if log["logDriver"] == "awslogs" && !made {
            let group = options["awslogs-group"].as_str().map(|group| Named {
                region: options["awslogs-region"].as_str().map(str::to_owned),
                ..Named::here(group)
            });
            questions.log_groups.extend(group);
        }
        let own = container["secrets"].as_array().into_iter().flatten();
        let of_log = log["secretOptions"].as_array().into_iter().flatten();
        for secret in own.chain(of_log) {
            let Some(reference) = secret["valueFrom"].as_str() else {
                continue;
            };
            match secret_of(reference) {
                Some(secret) => questions.secrets.insert(secret),
                None => questions.parameters.insert(parameter_of(reference)),
            };
        }
    }
    if let Some(service) = &facts.service {
        let groups = service.balancers.iter();
        questions
            .target_groups
            .extend(groups.map(|balancer| balancer.target_group_arn.clone()));
    }
    questions
}

/// The secret of a Secrets Manager reference, without the JSON key, version stage and version ID behind it; none when it refers to SSM.
fn secret_of(reference: &str) -> Option<Named> {
    let parts: Vec<&str> = reference.split(':').collect();
    let is_secret = parts.len() >= 7 && parts[0] == "arn" && parts[2] == "secretsmanager";
    is_secret.then(|| Named {
        name: parts[..7].join(":"),
        ..place(&parts)
    })
}

/// The SSM parameter that a name or ARN refers to. The `/` before the name is part of it when it has more than one.
fn parameter_of(reference: &str) -> Named {
    let Some((place_of, name)) = reference.split_once(":parameter/") else {
        return Named::here(reference);
    };
    let parts: Vec<&str> = place_of.split(':').collect();
    Named {
        name: if name.contains('/') {
            format!("/{name}")
        } else {
            name.to_owned()
        },
        ..place(&parts)
    }
}

/// Region and account of an ARN in its parts.
fn place(parts: &[&str]) -> Named {
    let part = |index: usize| parts.get(index).filter(|part| !part.is_empty());
    Named {
        name: String::new(),
        region: part(3).map(|region| (*region).to_owned()),
        account: part(4).map(|account| (*account).to_owned()),
    }
}
