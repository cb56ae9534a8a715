//! From the checked-in template to the document that ECS gets: a pure function of the two files, the environment and the build.
//!
//! Members come out in the order of the model, so the same files give the same bytes wherever they are rendered.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Service;
use crate::overlay::{put_named, unset};

/// What `${…}` may name in a string of either file.
pub const PLACEHOLDERS: [&str; 6] = ["image", "commit", "env", "region", "account", "service"];

/// What a rendering needs besides the files.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// Name of the environment.
    pub environment: &'a str,
    /// `repository@sha256:…` of the image that was pushed.
    pub image: &'a str,
    /// Commit that was built.
    pub commit: &'a str,
    /// Account, when the environment names none.
    pub account: &'a str,
    /// Region, when the environment names none.
    pub region: &'a str,
    /// Variables for this deployment only, over all others.
    pub variables: &'a BTreeMap<String, String>,
}

/// A service cannot be rendered for an environment that its pipeline file does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEnvironment {
    /// The name that was asked for.
    pub name: String,
    /// The names that there are.
    pub known: Vec<String>,
}

impl std::fmt::Display for UnknownEnvironment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, known } = self;
        write!(
            f,
            "there is no environment `{name}`; the pipeline file has: {}",
            known.join(", ")
        )
    }
}

impl std::error::Error for UnknownEnvironment {}

impl Service {
    /// The document that RegisterTaskDefinition gets, ending in a line end.
    pub fn render(&self, inputs: &Inputs<'_>) -> Result<String, UnknownEnvironment> {
        let environment = self.environment(inputs.environment)?;
        let mut document = serde_json::to_value(&self.task_definition).unwrap_or_default();
        remove_nulls(&mut document);
        if let Some(overlay) = &environment.r#override {
            overlay.apply(&mut document);
        }
        for path in environment.unset.iter().flatten() {
            unset(&mut document, path);
        }
        if let Some(document) = document.as_object_mut() {
            for (member, value) in [("cpu", &environment.cpu), ("memory", &environment.memory)] {
                if let Some(value) = value {
                    document.insert(member.to_owned(), json!(value));
                }
            }
        }
        let container = document["containerDefinitions"]
            .as_array_mut()
            .and_then(|list| {
                list.iter_mut()
                    .find(|c| c["name"] == self.pipeline.deploy.container.as_str())
            })
            .and_then(Value::as_object_mut);
        if let Some(container) = container {
            container.insert("image".to_owned(), json!("${image}"));
            let variables = environment
                .variables
                .iter()
                .flatten()
                .chain(inputs.variables);
            for (name, value) in variables {
                put_named(container, "environment", "secrets", name, "value", value);
            }
            for (name, value) in environment.secrets.iter().flatten() {
                if !inputs.variables.contains_key(name) {
                    put_named(
                        container,
                        "secrets",
                        "environment",
                        name,
                        "valueFrom",
                        value,
                    );
                }
            }
        }
        let ecs_service = environment
            .service
            .as_deref()
            .unwrap_or(&self.pipeline.service.name);
        let values = BTreeMap::from([
            ("image", inputs.image),
            ("commit", inputs.commit),
            ("env", inputs.environment),
            (
                "region",
                environment.region.as_deref().unwrap_or(inputs.region),
            ),
            (
                "account",
                environment.account.as_deref().unwrap_or(inputs.account),
            ),
            ("service", ecs_service),
        ]);
        fill(&mut document, &values);
        let mut text = serde_json::to_string_pretty(&canonical(document)).unwrap_or_default();
        text.push('\n');
        Ok(text)
    }
}

/// Members that the overlay added go where the model has them, not to the end.
fn canonical(document: Value) -> Value {
    use crate::decode::{Context, Decode};
    use crate::task_definition::TaskDefinition;
    let source = std::sync::Arc::new(diagnostic::Source::new("rendered", document.to_string()));
    let mut problems = Vec::new();
    let Some(node) = crate::tree::parse_json(&source, &mut problems) else {
        return document;
    };
    let mut context = Context {
        source: &source,
        problems: &mut problems,
        partial: false,
    };
    match TaskDefinition::decode(&node, &mut context) {
        Some(typed) => {
            let mut value = serde_json::to_value(typed).unwrap_or(document);
            remove_nulls(&mut value);
            value
        }
        None => document,
    }
}

fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

fn fill(value: &mut Value, values: &BTreeMap<&str, &str>) {
    match value {
        Value::String(text) => *text = substitute(text, values),
        Value::Object(members) => members.values_mut().for_each(|member| fill(member, values)),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, values)),
        _ => {}
    }
}

/// The names in `${name}`, in order. `$${` is a literal `${`.
pub(crate) fn placeholders(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let escaped = rest[..at].ends_with('$');
        rest = &rest[at + 2..];
        let Some(end) = rest.find('}') else { break };
        if !escaped {
            names.push(&rest[..end]);
        }
    }
    names
}

fn substitute(text: &str, values: &BTreeMap<&str, &str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let before = &rest[..at];
        let after = &rest[at + 2..];
        let name = after.split_once('}').map(|(name, _)| name);
        match name.and_then(|name| values.get(name).map(|value| (name, value))) {
            _ if before.ends_with('$') => {
                out.push_str(&before[..before.len() - 1]);
                out.push_str("${");
                rest = after;
            }
            Some((name, value)) => {
                out.push_str(before);
                out.push_str(value);
                rest = &after[name.len() + 1..];
            }
            None => {
                out.push_str(before);
                out.push_str("${");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_found_and_filled() {
        let values = BTreeMap::from([("env", "local"), ("commit", "abc")]);
        for (text, names, filled) in [
            ("plain", vec![], "plain"),
            ("/${env}/x-${commit}", vec!["env", "commit"], "/local/x-abc"),
            ("$${env} ${env}", vec!["env"], "${env} local"),
            ("${nope", vec![], "${nope"),
            ("a${nope}b", vec!["nope"], "a${nope}b"),
        ] {
            assert_eq!(placeholders(text), names, "{text}");
            assert_eq!(substitute(text, &values), filled, "{text}");
        }
    }
}
