//! IAM's roles: whether there is one, who may assume it, and what it may do.
//!
//! On AWS the infrastructure code makes roles. Here a role that nobody made is there all the same, may be assumed with any token of the local issuer and may do everything; so a
//! service that names an execution role works at once. One that was made with `CreateRole` is assumed as its trust policy says, one with policies may do what they allow, and
//! one that was deleted is gone.

mod api;
mod attached;
pub(crate) mod managed;
pub(crate) mod policy;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ApiError;
use crate::identity::Identity;
use crate::place::Place;
use crate::task::Millis;
use policy::{Context, Decision, Trusted};

/// All roles that somebody made, changed or deleted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Iam {
    roles: BTreeMap<String, Role>,
    deleted: BTreeSet<String>,
    #[serde(skip)]
    generation: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Role {
    path: Option<String>,
    description: Option<String>,
    max_session_duration: Option<u64>,
    created_at: Millis,
    /// Who may assume it; `None` for a role that nobody made.
    trust: Option<Value>,
    /// Inline policies by name.
    policies: BTreeMap<String, Value>,
    /// ARNs of managed policies.
    #[serde(default)]
    attached: BTreeSet<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

impl Role {
    /// Whether nobody has said anything about what it may do.
    fn is_free(&self) -> bool {
        self.trust.is_none() && self.policies.is_empty() && self.attached.is_empty()
    }
}

impl Iam {
    /// Counts changes since the state was loaded.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// A role, made or not.
    fn role(&self, name: &str) -> Result<Role, ApiError> {
        if self.deleted.contains(name) {
            return Err(api::no_role(name));
        }
        Ok(self.roles.get(name).cloned().unwrap_or_default())
    }

    /// Whether a token of this provider, with what conditions may ask of it, assumes the role.
    ///
    /// The audience must be STS's own unless the role's trust policy names another one.
    pub(crate) fn may_assume(
        &self,
        role: &str,
        provider: &str,
        audience: &str,
        context: &Context,
    ) -> bool {
        let Ok(role) = self.role(role) else {
            return false;
        };
        let usual = audience == "sts.amazonaws.com";
        match &role.trust {
            None => usual,
            Some(trust) => {
                let asks = policy::asks_for(trust, &format!("{provider}:aud"));
                (usual || asks) && policy::trusts(trust, provider, context)
            }
        }
    }

    /// Whether an identity may assume a role with its own credentials: the role's trust policy names it, or names the account and the identity's own policies allow it.
    pub(crate) fn may_assume_as(&self, identity: &Identity, role: &str, place: &Place) -> bool {
        let Ok(found) = self.role(role) else {
            return false;
        };
        let context = Context::new();
        let trusted = found.trust.as_ref().map_or(Trusted::Account, |trust| {
            policy::trusts_caller(trust, &identity.arn, &place.account, &context)
        });
        match trusted {
            Trusted::No => false,
            Trusted::Caller => true,
            Trusted::Account => {
                let arn = place.role_arn(role);
                self.decide(identity, "sts:AssumeRole", &arn, &context) == Decision::Allowed
            }
        }
    }

    /// How long a session of this role may be at most, in seconds.
    pub(crate) fn longest_session(&self, role: &str) -> u64 {
        let role = self.roles.get(role);
        role.and_then(|role| role.max_session_duration)
            .unwrap_or(3600)
    }

    /// Whether an identity may do this. The instance's own key and roles without policies may do everything.
    pub(crate) fn decide(
        &self,
        identity: &Identity,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> Decision {
        match identity.role() {
            None => Decision::Allowed,
            Some(role) => self.decide_for(role, action, resource, context),
        }
    }

    fn decide_for(&self, role: &str, action: &str, resource: &str, context: &Context) -> Decision {
        match self.role(role) {
            Err(_) => Decision::ImplicitDeny,
            Ok(role) if role.is_free() => Decision::Allowed,
            Ok(role) => {
                let attached = role.attached.iter();
                let attached = attached.filter_map(|arn| Some(managed::find(arn)?.document()));
                let all: Vec<Value> = role.policies.values().cloned().chain(attached).collect();
                policy::evaluate(&all, action, resource, context)
            }
        }
    }
}

/// Name of a role from its ARN in this account; paths are not part of a name.
pub(crate) fn role_name<'a>(arn: &'a str, place: &Place) -> Option<&'a str> {
    let prefix = format!("arn:aws:iam::{}:role/", place.account);
    arn.strip_prefix(&prefix)?.rsplit('/').next()
}

#[cfg(test)]
mod tests;
