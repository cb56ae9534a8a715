//! Managed policies of roles, the tags of roles, and lists of roles.

use serde_json::{Value, json};

use super::Iam;
use super::api::{BEFORE, encoded, invalid, no_entity, required, view};
use super::managed::{self, Managed};
use crate::error::ApiError;
use crate::place::{Place, page, seconds};
use crate::tags;

impl Iam {
    pub(super) fn attach(&mut self, request: &Value) -> Result<Value, ApiError> {
        let policy = policy(request)?;
        self.change(request)?.attached.insert(policy.arn());
        Ok(Value::Null)
    }

    pub(super) fn detach(&mut self, request: &Value) -> Result<Value, ApiError> {
        let arn = required(request, "PolicyArn")?;
        if self.change(request)?.attached.remove(arn) {
            Ok(Value::Null)
        } else {
            Err(no_entity(format!("Policy {arn} was not found.")))
        }
    }

    pub(super) fn list_attached(&self, request: &Value) -> Result<Value, ApiError> {
        let role = self.role(required(request, "RoleName")?)?;
        let prefix = request["PathPrefix"].as_str().unwrap_or("/");
        let attached = role.attached.iter().filter_map(|arn| managed::find(arn));
        let list = attached
            .filter(|policy| policy.path.starts_with(prefix))
            .map(|policy| json!({"PolicyName": policy.name, "PolicyArn": policy.arn()}))
            .collect();
        paged(request, "AttachedPolicies", list)
    }

    pub(super) fn get_policy(&self, request: &Value) -> Result<Value, ApiError> {
        let policy = policy(request)?;
        let arn = policy.arn();
        let roles = self.roles.values();
        let count = roles.filter(|role| role.attached.contains(&arn)).count();
        Ok(json!({"Policy": {
            "PolicyName": policy.name,
            "PolicyId": policy_id(policy),
            "Arn": arn,
            "Path": policy.path,
            "DefaultVersionId": "v1",
            "AttachmentCount": count,
            "PermissionsBoundaryUsageCount": 0,
            "IsAttachable": true,
            "Description": policy.description,
            "CreateDate": seconds(BEFORE),
            "UpdateDate": seconds(BEFORE),
        }}))
    }

    pub(super) fn list_roles(&self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        let prefix = request["PathPrefix"].as_str().unwrap_or("/");
        let list = self
            .roles
            .iter()
            .filter(|(_, role)| role.path.as_deref().unwrap_or("/").starts_with(prefix))
            .map(|(name, role)| {
                let mut one = view(name, role, place);
                // Lists leave them out.
                if let Some(members) = one.as_object_mut() {
                    members.remove("Tags");
                }
                one
            })
            .collect();
        paged(request, "Roles", list)
    }

    pub(super) fn role_tags(
        &mut self,
        operation: &str,
        request: &Value,
    ) -> Result<Value, ApiError> {
        if operation == "ListRoleTags" {
            let role = self.role(required(request, "RoleName")?)?;
            return paged(request, "Tags", tags::listed(&role.tags));
        }
        let gone = super::api::texts(&request["TagKeys"]);
        let role = self.change(request)?;
        role.tags.extend(tags::read(&request["Tags"]));
        role.tags.retain(|key, _| !gone.contains(&key.as_str()));
        Ok(Value::Null)
    }
}

/// A page of a list, with IAM's own members for it.
fn paged(request: &Value, member: &str, list: Vec<Value>) -> Result<Value, ApiError> {
    let size = match request["MaxItems"].as_str().map(str::parse) {
        None => 100,
        Some(Ok(size)) if (1..=1000).contains(&size) => size,
        Some(_) => return Err(invalid("MaxItems must be between 1 and 1000.")),
    };
    let (part, next) = page(list, request["Marker"].as_str(), size, "ValidationError")?;
    let mut answer = json!({member: part, "IsTruncated": next.is_some()});
    if let Some(next) = next {
        answer["Marker"] = next.into();
    }
    Ok(answer)
}

fn policy(request: &Value) -> Result<&'static Managed, ApiError> {
    let arn = required(request, "PolicyArn")?;
    managed::find(arn).ok_or_else(|| {
        let known: Vec<String> = managed::ALL.iter().map(Managed::arn).collect();
        no_entity(format!(
            "Policy {arn} does not exist or is not attachable. The local cloud has {}.",
            known.join(", ")
        ))
    })
}

/// A stable ID for a policy: AWS's begin with `ANPA`.
fn policy_id(policy: &Managed) -> String {
    crate::identity::role_id(policy.name).replacen("AROA", "ANPA", 1)
}

pub(super) fn get_policy_version(request: &Value) -> Result<Value, ApiError> {
    let policy = policy(request)?;
    let version = required(request, "VersionId")?;
    if version != "v1" {
        return Err(no_entity(format!(
            "Policy {} version {version} does not exist or is not attachable.",
            policy.arn()
        )));
    }
    Ok(json!({"PolicyVersion": {
        "Document": encoded(&policy.document()),
        "VersionId": "v1",
        "IsDefaultVersion": true,
        "CreateDate": seconds(BEFORE),
    }}))
}
