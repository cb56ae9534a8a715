//! An environment's own members laid over the task definition.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::decode::{Context, Decode};
use crate::task_definition::TaskDefinition;
use crate::tree::{self, Node};

/// Members of a task definition, any of them: those that an environment has otherwise than the file.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(transparent)]
pub struct Override(Value);

impl Decode for Override {
    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        // Typed for its mistakes only: what is left out here stands in the file.
        let before = context.problems.len();
        let mut partial = Context {
            source: context.source,
            problems: context.problems,
            partial: true,
            newer: context.newer,
        };
        let _ = TaskDefinition::decode(node, &mut partial);
        (context.problems.len() == before).then(|| Self(tree::to_json(node)))
    }
}

impl JsonSchema for Override {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Override".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "Members of the task definition, as in its own file; containers and other named entries are merged by name.",
        })
    }
}

impl Override {
    /// The members.
    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    /// Lays the members over a document.
    pub(crate) fn apply(&self, document: &mut Value) {
        merge(document, &self.0);
    }
}

/// Objects are merged, lists of named entries by name; anything else is replaced.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) if named(into) && named(from) => {
            for entry in from {
                match into.iter_mut().find(|old| old["name"] == entry["name"]) {
                    Some(old) => merge(old, entry),
                    None => into.push(entry.clone()),
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn named(entries: &[Value]) -> bool {
    !entries.is_empty() && entries.iter().all(|entry| entry["name"].is_string())
}

/// Takes a member away, by its path: `containerDefinitions.api.healthCheck`. Entries of lists go by their name. Whether it was there.
pub(crate) fn unset(document: &mut Value, path: &str) -> bool {
    let (parents, last) = path
        .rsplit_once('.')
        .map_or((None, path), |(parents, last)| (Some(parents), last));
    let mut node = document;
    for step in parents.into_iter().flat_map(|parents| parents.split('.')) {
        let next = match node {
            Value::Object(members) => members.get_mut(step),
            Value::Array(entries) => entries.iter_mut().find(|entry| entry["name"] == step),
            _ => None,
        };
        let Some(next) = next else { return false };
        node = next;
    }
    match node {
        Value::Object(members) => members.shift_remove(last).is_some(),
        Value::Array(entries) => {
            let before = entries.len();
            entries.retain(|entry| entry["name"] != last);
            entries.len() < before
        }
        _ => false,
    }
}

/// Sets one entry of a list of named entries, and takes the name out of the list where it must not stand as well.
pub(crate) fn put_named(
    container: &mut Map<String, Value>,
    list: &str,
    other_list: &str,
    name: &str,
    member: &str,
    value: &str,
) {
    if let Some(Value::Array(others)) = container.get_mut(other_list) {
        others.retain(|entry| entry["name"] != name);
    }
    let entry = json!({"name": name, member: value});
    let entries = container.entry(list).or_insert_with(|| json!([]));
    if let Value::Array(entries) = entries {
        match entries.iter_mut().find(|entry| entry["name"] == name) {
            Some(old) => *old = entry,
            None => entries.push(entry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        json!({"family": "api", "cpu": "256", "containerDefinitions": [
            {"name": "app", "command": ["a"], "healthCheck": {"interval": 5}},
            {"name": "side"}]})
    }

    #[test]
    fn named_entries_merge_and_lists_of_words_are_replaced() {
        let mut merged = document();
        merge(
            &mut merged,
            &json!({"cpu": "512", "containerDefinitions": [
                {"name": "app", "command": ["b", "c"], "healthCheck": {"retries": 2}},
                {"name": "new"}]}),
        );
        assert_eq!(
            merged,
            json!({"family": "api", "cpu": "512", "containerDefinitions": [
                {"name": "app", "command": ["b", "c"], "healthCheck": {"interval": 5, "retries": 2}},
                {"name": "side"}, {"name": "new"}]})
        );
    }

    #[test]
    fn members_go_by_path_and_entries_by_name() {
        for (path, there, pointer) in [
            ("cpu", true, "/cpu"),
            (
                "containerDefinitions.app.healthCheck",
                true,
                "/containerDefinitions/0/healthCheck",
            ),
            ("containerDefinitions.side", true, "/containerDefinitions/1"),
            ("containerDefinitions.nobody.command", false, "/nothing"),
            ("memory", false, "/memory"),
        ] {
            let mut changed = document();
            assert_eq!(unset(&mut changed, path), there, "{path}");
            assert_eq!(changed.pointer(pointer), None, "{path}");
        }
    }
}
