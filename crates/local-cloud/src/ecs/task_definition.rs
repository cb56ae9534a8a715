//! Task definitions: families of numbered documents that never change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::agenda::Timer;
use super::blueprint::Blueprint;
use super::cluster::{check_name, with_token};
use super::definition_rules::{check, compatibilities, fill_in, fits_fargate, requires};
use super::describe::object;
use super::paging::page;
use super::request::{CLIENT, Request, client, invalid};
use super::tags::{self, Tags};
use super::task_state::Status as TaskStatus;
use super::{Ecs, Result, names};
use crate::error::ApiError;
use crate::place::seconds;
use crate::task::Millis;

/// A revision that is to be deleted and that nothing uses is gone after so long. Its number is not used again.
const DELETED_AFTER_MS: Millis = 60_000;

/// All revisions of one name.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Family {
    last: u32,
    revisions: BTreeMap<u32, TaskDefinition>,
}

/// One revision.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskDefinition {
    /// The whole answer of `DescribeTaskDefinition`, `status` included.
    pub(super) document: Value,
    pub(super) status: Status,
    pub(super) tags: Tags,
    pub(super) blueprint: Blueprint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Status {
    Active,
    Inactive,
    Deleting,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Deleting => "DELETE_IN_PROGRESS",
        }
    }
}

/// Names one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DefinitionId {
    pub(super) family: String,
    pub(super) revision: u32,
}

impl Family {
    pub(super) fn revision(&self, revision: u32) -> Option<&TaskDefinition> {
        self.revisions.get(&revision)
    }
}

impl TaskDefinition {
    pub(super) fn supports_fargate(&self) -> bool {
        self.is_awsvpc() && self.document.as_object().is_some_and(fits_fargate)
    }

    pub(super) fn is_awsvpc(&self) -> bool {
        self.document["networkMode"] == "awsvpc"
    }

    fn set_status(&mut self, status: Status) {
        self.status = status;
        self.document["status"] = status.name().into();
    }
}

impl Ecs {
    pub(super) fn definition_arn(&self, id: &DefinitionId) -> String {
        let revision = id.revision.to_string();
        self.settings
            .arn(["task-definition/", &id.family, ":", &revision])
    }

    /// The revision that `family:revision` names.
    pub(super) fn definition_mut(&mut self, name: &str) -> Option<&mut TaskDefinition> {
        let (family, revision) = name.split_once(':')?;
        let family = self.families.get_mut(family)?;
        family.revisions.get_mut(&revision.parse().ok()?)
    }

    pub(super) fn definition(&self, id: &DefinitionId) -> Option<&TaskDefinition> {
        self.families.get(&id.family)?.revision(id.revision)
    }

    /// What `family`, `family:revision` or an ARN names: a family means its latest active revision.
    pub(super) fn find_definition(&self, name: &str) -> Option<DefinitionId> {
        let name = match names::resource(name) {
            Some(resource) => resource.strip_prefix("task-definition/")?,
            None => name,
        };
        let (family, revision) = match name.split_once(':') {
            Some((family, revision)) => (family, Some(revision.parse().ok()?)),
            None => (name, None),
        };
        let revisions = &self.families.get(family)?.revisions;
        let revision = if let Some(revision) = revision {
            revisions.contains_key(&revision).then_some(revision)?
        } else {
            let mut newest_first = revisions.iter().rev();
            *newest_first
                .find(|(_, one)| one.status == Status::Active)?
                .0
        };
        Some(DefinitionId {
            family: family.to_owned(),
            revision,
        })
    }

    /// As [`Self::find_definition`], for starting something with it: the revision must be active.
    pub(super) fn usable_definition(&self, name: &str) -> Result<DefinitionId> {
        let id = self
            .find_definition(name)
            .ok_or_else(|| client("TaskDefinition not found."))?;
        match self.definition(&id).map(|definition| definition.status) {
            Some(Status::Active) => Ok(id),
            _ => Err(client("TaskDefinition is inactive")),
        }
    }

    pub(super) fn register_task_definition(
        &mut self,
        request: Request<'_>,
        caller: &str,
        now: Millis,
    ) -> Result<Value> {
        let tags = tags::read(request, "tags")?;
        let mut document = request.members().clone();
        document.shift_remove("tags");
        let family = match document.get("family").and_then(Value::as_str) {
            Some(family) if !family.is_empty() => family.to_owned(),
            _ => return Err(client("Family cannot be null or empty.")),
        };
        check_name(&family, "Family").map_err(|error| client(error.message))?;
        fill_in(&mut document)?;
        check(&document)?;
        let mut document = Value::Object(document);
        let blueprint = Blueprint::read(Request::of(&document)?)?;

        let revision = self.families.get(&family).map_or(1, |known| known.last + 1);
        let id = DefinitionId { family, revision };
        document["taskDefinitionArn"] = self.definition_arn(&id).into();
        document["revision"] = revision.into();
        document["status"] = Status::Active.name().into();
        document["requiresAttributes"] = requires(&document);
        document["compatibilities"] = compatibilities(&document);
        document["registeredAt"] = seconds(now);
        document["registeredBy"] = caller.into();
        let answer = object([
            ("taskDefinition", document.clone()),
            ("tags", tags::view(&tags)),
        ]);
        let family = self.families.entry(id.family).or_default();
        family.last = revision;
        family.revisions.insert(
            revision,
            TaskDefinition {
                document,
                status: Status::Active,
                tags,
                blueprint,
            },
        );
        Ok(answer)
    }

    pub(super) fn describe_task_definition(&self, request: Request<'_>) -> Result<Value> {
        let name = request.required("taskDefinition")?;
        let definition = self
            .find_definition(name)
            .and_then(|id| self.definition(&id))
            .ok_or_else(unable_to_describe)?;
        let mut answer = object([("taskDefinition", definition.document.clone())]);
        if request.includes("TAGS")? {
            answer["tags"] = tags::view(&definition.tags);
        }
        Ok(answer)
    }

    pub(super) fn deregister_task_definition(
        &mut self,
        request: Request<'_>,
        now: Millis,
    ) -> Result<Value> {
        let name = request.required("taskDefinition")?;
        let definition = self.revision_mut(name)?;
        if definition.status != Status::Active {
            return Err(client(
                "The specified task definition is not active and cannot be deregistered.",
            ));
        }
        definition.set_status(Status::Inactive);
        definition.document["deregisteredAt"] = seconds(now);
        Ok(object([("taskDefinition", definition.document.clone())]))
    }

    pub(super) fn delete_task_definitions(
        &mut self,
        request: Request<'_>,
        now: Millis,
    ) -> Result<Value> {
        let names = request.texts("taskDefinitions")?;
        if names.is_empty() || names.len() > 10 {
            return Err(invalid("Specify 1 to 10 task definitions."));
        }
        let (mut deleted, mut failures) = (Vec::new(), Vec::new());
        let mut due_to_go = Vec::new();
        for name in names {
            let id = self.find_definition(name);
            match self.revision_mut(name) {
                Ok(definition) if definition.status == Status::Active => failures.push(json!({
                    "arn": name,
                    "reason": "The specified task definition is still in ACTIVE status. Please deregister the target and try again.",
                })),
                Ok(definition) => {
                    if definition.status == Status::Inactive {
                        definition.set_status(Status::Deleting);
                        definition.document["deleteRequestedAt"] = seconds(now);
                        if let Some(DefinitionId { family, revision }) = id {
                            due_to_go.push(Timer::Delete { family, revision });
                        }
                    }
                    deleted.push(definition.document.clone());
                }
                Err(error) => failures.push(json!({"arn": name, "reason": error.message})),
            }
        }
        for timer in due_to_go {
            self.agenda.set(now + DELETED_AFTER_MS, timer);
        }
        Ok(json!({"taskDefinitions": deleted, "failures": failures}))
    }

    /// Time for a revision to go. As long as a task or a service uses it, it stays.
    pub(super) fn deleted(&mut self, family: String, revision: u32, now: Millis) {
        let id = DefinitionId { family, revision };
        let mut tasks = self.tasks.values();
        let used = tasks.any(|task| task.status != TaskStatus::Stopped && task.definition == id)
            || self.services.values().any(|service| service.uses(&id));
        let DefinitionId { family, revision } = id;
        if used {
            let due = now + DELETED_AFTER_MS;
            self.agenda.set(due, Timer::Delete { family, revision });
        } else if let Some(family) = self.families.get_mut(&family) {
            family.revisions.remove(&revision);
        }
    }

    /// A revision named with its number, as changing one asks for.
    fn revision_mut(&mut self, name: &str) -> Result<&mut TaskDefinition> {
        let short = names::last(name).to_owned();
        if !short.contains(':') {
            return Err(invalid("Invalid revision number. Number: null"));
        }
        self.find_definition(name)
            .and_then(|_| self.definition_mut(&short))
            .ok_or_else(unable_to_describe)
    }

    pub(super) fn list_task_definitions(&self, request: Request<'_>) -> Result<Value> {
        let family = request.text("familyPrefix")?;
        let status = request
            .choice("status", &["ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"])?
            .unwrap_or("ACTIVE");
        let descending = request.choice("sort", &["ASC", "DESC"])? == Some("DESC");
        let mut found: Vec<(String, String)> = self
            .families
            .iter()
            .filter(|(name, _)| family.is_none_or(|family| family == *name))
            .flat_map(|(name, family)| family.revisions.iter().map(move |one| (name, one)))
            .filter(|(_, (_, definition))| definition.status.name() == status)
            .map(|(name, (revision, _))| {
                let id = DefinitionId {
                    family: name.clone(),
                    revision: *revision,
                };
                (format!("{name}:{revision:010}"), self.definition_arn(&id))
            })
            .collect();
        found.sort();
        if descending {
            found.reverse();
        }
        let (arns, token) = page(found.into_iter(), descending, request, 100, 100)?;
        Ok(with_token(json!({"taskDefinitionArns": arns}), token))
    }

    pub(super) fn list_task_definition_families(&self, request: Request<'_>) -> Result<Value> {
        let prefix = request.text("familyPrefix")?.unwrap_or_default();
        let status = request.choice("status", &["ACTIVE", "INACTIVE", "ALL"])?;
        let items = self
            .families
            .iter()
            .filter(|(name, family)| {
                let active = family
                    .revisions
                    .values()
                    .any(|definition| definition.status == Status::Active);
                !family.revisions.is_empty()
                    && name.starts_with(prefix)
                    && match status {
                        Some("ACTIVE") => active,
                        Some("INACTIVE") => !active,
                        _ => true,
                    }
            })
            .map(|(name, _)| (name.clone(), name.clone()));
        let (families, token) = page(items, false, request, 100, 100)?;
        Ok(with_token(json!({"families": families}), token))
    }
}

fn unable_to_describe() -> ApiError {
    ApiError::new(CLIENT, "Unable to describe task definition.")
}
