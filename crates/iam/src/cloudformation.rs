//! The roles as a CloudFormation template.

use serde_json::{Map, Value, json};

use crate::roles::{Role, Roles};

/// A template that makes the OIDC provider, unless the account has it, and the roles.
pub fn cloudformation(roles: &Roles) -> String {
    let mut resources = Map::new();
    resources.insert(
        "GitHubProvider".to_owned(),
        json!({
            "Type": "AWS::IAM::OIDCProvider",
            "Condition": "MakeProvider",
            // It is one for the account: others may use it.
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "Url": format!("https://{}", roles.oidc_provider),
                "ClientIdList": [roles.audience],
            },
        }),
    );
    resources.insert("DeployRole".to_owned(), role(&roles.deploy));
    for (number, execution) in roles.execution.iter().enumerate() {
        let name = match number {
            0 => "ExecutionRole".to_owned(),
            number => format!("ExecutionRole{}", number + 1),
        };
        resources.insert(name, role(execution));
    }
    let template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": format!("Longshore: the role that {}", roles.deploy.purpose),
        "Parameters": {
            "CreateProvider": {
                "Type": "String",
                "AllowedValues": ["true", "false"],
                "Default": "true",
                "Description": "An account has one provider for GitHub; false when it is there already",
            },
        },
        "Conditions": {
            "MakeProvider": { "Fn::Equals": [{ "Ref": "CreateProvider" }, "true"] },
        },
        "Resources": resources,
        "Outputs": {
            "DeployRoleArn": {
                "Description": "`role` of the environment in pipeline.toml",
                "Value": { "Fn::GetAtt": ["DeployRole", "Arn"] },
            },
        },
    });
    serde_saphyr::to_string(&template).unwrap_or_default()
}

fn role(role: &Role) -> Value {
    json!({
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": role.name,
            "Description": role.purpose,
            "MaxSessionDuration": role.max_session_duration,
            "AssumeRolePolicyDocument": role.trust_policy,
            "Policies": [{
                "PolicyName": role.policy_name,
                "PolicyDocument": role.policy,
            }],
        },
    })
}
