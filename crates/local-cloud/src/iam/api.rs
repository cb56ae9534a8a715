//! The operations of the API. The query protocol carries strings only.

use serde_json::{Map, Value, json};

use super::attached;
use super::policy::{Context, Decision};
use super::{Iam, Role, role_name};
use crate::error::ApiError;
use crate::identity::role_id;
use crate::place::{Place, seconds};
use crate::tags;
use crate::task::Millis;

/// When roles were made that nobody made here: at the beginning of 2020.
pub(super) const BEFORE: Millis = 1_577_836_800_000;

pub(super) fn no_role(name: &str) -> ApiError {
    no_entity(format!("The role with name {name} cannot be found."))
}

pub(super) fn no_entity(message: String) -> ApiError {
    ApiError {
        status: 404,
        code: "NoSuchEntity",
        message,
    }
}

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationError", message)
}

pub(super) fn required<'a>(request: &'a Value, member: &str) -> Result<&'a str, ApiError> {
    request[member]
        .as_str()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| {
            let name = member[..1].to_lowercase() + &member[1..];
            invalid(format!("1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"))
        })
}

/// A policy that travels as text.
fn document(request: &Value, member: &str) -> Result<Value, ApiError> {
    let text = required(request, member)?;
    let malformed = |why: String| ApiError::new("MalformedPolicyDocument", why);
    let policy: Value = serde_json::from_str(text)
        .map_err(|error| malformed(format!("The policy is not valid JSON: {error}")))?;
    if policy["Statement"].is_null() {
        return Err(malformed("Missing required field Statement".to_owned()));
    }
    Ok(policy)
}

/// Policies come back percent-encoded, as RFC 3986 has it.
pub(super) fn encoded(policy: &Value) -> String {
    crate::sigv4::encode(&policy.to_string())
}

impl Iam {
    /// Answers one operation.
    pub(crate) fn apply(
        &mut self,
        operation: &str,
        request: &Value,
        place: &Place,
        now: Millis,
    ) -> Result<Value, ApiError> {
        match operation {
            "CreateRole" => self.create(request, place, now),
            "DeleteRole" => self.delete(request),
            "GetRole" => {
                let name = required(request, "RoleName")?;
                let role = self.role(name)?;
                Ok(json!({"Role": view(name, &role, place)}))
            }
            "UpdateAssumeRolePolicy" => {
                let trust = document(request, "PolicyDocument")?;
                self.change(request)?.trust = Some(trust);
                Ok(Value::Null)
            }
            "PutRolePolicy" => {
                let policy = document(request, "PolicyDocument")?;
                let name = required(request, "PolicyName")?.to_owned();
                self.change(request)?.policies.insert(name, policy);
                Ok(Value::Null)
            }
            "GetRolePolicy" => {
                let (role, name) = (
                    required(request, "RoleName")?,
                    required(request, "PolicyName")?,
                );
                let found = self.role(role)?;
                let policy = found.policies.get(name).ok_or_else(|| no_policy(name))?;
                Ok(json!({"RoleName": role, "PolicyName": name, "PolicyDocument": encoded(policy)}))
            }
            "DeleteRolePolicy" => {
                let name = required(request, "PolicyName")?;
                let removed = self.change(request)?.policies.remove(name);
                removed.map(|_| Value::Null).ok_or_else(|| no_policy(name))
            }
            "ListRolePolicies" => {
                let role = self.role(required(request, "RoleName")?)?;
                let names: Vec<&String> = role.policies.keys().collect();
                Ok(json!({"PolicyNames": names, "IsTruncated": false}))
            }
            "AttachRolePolicy" => self.attach(request),
            "DetachRolePolicy" => self.detach(request),
            "ListAttachedRolePolicies" => self.list_attached(request),
            "GetPolicy" => self.get_policy(request),
            "GetPolicyVersion" => attached::get_policy_version(request),
            "ListRoles" => self.list_roles(request, place),
            "ListRoleTags" | "TagRole" | "UntagRole" => self.role_tags(operation, request),
            // There are no instances here.
            "ListInstanceProfilesForRole" => {
                self.role(required(request, "RoleName")?)?;
                Ok(json!({"InstanceProfiles": [], "IsTruncated": false}))
            }
            "SimulatePrincipalPolicy" => self.simulate(request, place),
            _ => Err(ApiError::new(
                "InvalidAction",
                format!("Could not find operation {operation} for version 2010-05-08."),
            )),
        }
    }

    /// The role that a request names, to be changed.
    pub(super) fn change(&mut self, request: &Value) -> Result<&mut Role, ApiError> {
        let name = required(request, "RoleName")?;
        self.role(name)?;
        self.generation += 1;
        Ok(self.roles.entry(name.to_owned()).or_default())
    }

    fn create(&mut self, request: &Value, place: &Place, now: Millis) -> Result<Value, ApiError> {
        let name = required(request, "RoleName")?;
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
        if name.len() > 64 || !name.bytes().all(good) {
            return Err(invalid(
                "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-",
            ));
        }
        let trust = document(request, "AssumeRolePolicyDocument")?;
        if self
            .roles
            .get(name)
            .is_some_and(|role| role.trust.is_some())
        {
            return Err(ApiError {
                status: 409,
                code: "EntityAlreadyExists",
                message: format!("Role with name {name} already exists."),
            });
        }
        let text = |member: &str| request[member].as_str().map(str::to_owned);
        let role = Role {
            path: text("Path"),
            description: text("Description"),
            max_session_duration: text("MaxSessionDuration").and_then(|text| text.parse().ok()),
            created_at: now,
            trust: Some(trust),
            tags: tags::read(&request["Tags"]).collect(),
            ..Role::default()
        };
        let view = view(name, &role, place);
        self.generation += 1;
        self.deleted.remove(name);
        self.roles.insert(name.to_owned(), role);
        Ok(json!({"Role": view}))
    }

    fn delete(&mut self, request: &Value) -> Result<Value, ApiError> {
        let name = required(request, "RoleName")?;
        let role = self.role(name)?;
        let first = if !role.attached.is_empty() {
            Some("detach all policies")
        } else if !role.policies.is_empty() {
            Some("delete policies")
        } else {
            None
        };
        if let Some(first) = first {
            return Err(ApiError {
                status: 409,
                code: "DeleteConflict",
                message: format!("Cannot delete entity, must {first} first."),
            });
        }
        self.generation += 1;
        self.roles.remove(name);
        self.deleted.insert(name.to_owned());
        Ok(Value::Null)
    }

    fn simulate(&self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        let source = required(request, "PolicySourceArn")?;
        let role = role_name(source, place);
        if let Some(role) = role {
            self.role(role)?;
        }
        let actions = texts(&request["ActionNames"]);
        if actions.is_empty() {
            return Err(invalid("ActionNames must name an action."));
        }
        let mut resources = texts(&request["ResourceArns"]);
        if resources.is_empty() {
            resources.push("*");
        }
        let mut context = Context::new();
        for entry in request["ContextEntries"].as_array().into_iter().flatten() {
            let key = entry["ContextKeyName"].as_str().unwrap_or_default();
            let values = texts(&entry["ContextKeyValues"]);
            context.insert(
                key.to_lowercase(),
                values.into_iter().map(str::to_owned).collect(),
            );
        }
        let mut results = Vec::new();
        for action in actions {
            for resource in &resources {
                let decision = role.map_or(Decision::Allowed, |role| {
                    self.decide_for(role, action, resource, &context)
                });
                results.push(json!({
                    "EvalActionName": action,
                    "EvalResourceName": resource,
                    "EvalDecision": match decision {
                        Decision::Allowed => "allowed",
                        Decision::ExplicitDeny => "explicitDeny",
                        Decision::ImplicitDeny => "implicitDeny",
                    },
                    "MatchedStatements": [],
                    "MissingContextValues": [],
                }));
            }
        }
        Ok(json!({"EvaluationResults": results, "IsTruncated": false}))
    }
}

fn no_policy(name: &str) -> ApiError {
    no_entity(format!("The role policy with name {name} cannot be found."))
}

pub(super) fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

pub(super) fn view(name: &str, role: &Role, place: &Place) -> Value {
    let path = role.path.as_deref().unwrap_or("/");
    let ecs = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }]});
    let mut view = Map::new();
    let mut put = |member: &str, value: Value| view.insert(member.to_owned(), value);
    put("Path", path.into());
    put("RoleName", name.into());
    put("RoleId", role_id(name).into());
    put(
        "Arn",
        place.role_arn(&format!("{}{name}", &path[1..])).into(),
    );
    put("CreateDate", seconds(role.created_at.max(BEFORE)));
    put(
        "AssumeRolePolicyDocument",
        encoded(role.trust.as_ref().unwrap_or(&ecs)).into(),
    );
    if let Some(text) = &role.description {
        put("Description", text.as_str().into());
    }
    put(
        "MaxSessionDuration",
        role.max_session_duration.unwrap_or(3600).into(),
    );
    if !role.tags.is_empty() {
        put("Tags", tags::listed(&role.tags).into());
    }
    Value::Object(view)
}
