//! From the checked-in template to the document that ECS gets: a pure function of the two files, the environment and the build.
//!
//! Members come out in the order of the model, so the same files give the same bytes wherever they are rendered.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::decode::{Context, Decode};
use crate::overlay::{put_named, unset};
use crate::pipeline::{Environment, Pipeline};
use crate::placeholder::Values;
use crate::task_definition::TaskDefinition;
use crate::{Service, tree};

/// What a rendering needs besides the files.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// Name of the environment.
    pub environment: &'a str,
    /// `repository@sha256:…` of the image that was pushed.
    pub image: &'a str,
    /// Commit that was built.
    pub commit: &'a str,
    /// Branch that was checked out.
    pub branch: &'a str,
    /// Account, when the environment names none.
    pub account: &'a str,
    /// Region, when the environment names none.
    pub region: &'a str,
    /// Variables for this deployment only, over all others.
    pub variables: &'a BTreeMap<String, String>,
}

impl<'a> Inputs<'a> {
    /// For review: what only a deployment knows stays a placeholder.
    pub fn for_review(environment: &'a str) -> Self {
        static NO_VARIABLES: BTreeMap<String, String> = BTreeMap::new();
        Self {
            environment,
            image: "${image}",
            commit: "${commit}",
            branch: "${branch}",
            account: "${account}",
            region: "${region}",
            variables: &NO_VARIABLES,
        }
    }
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
        let values = self.values(inputs)?;
        let environment = self.environment(inputs.environment)?;
        let mut document = compose(
            &self.document,
            &self.pipeline,
            environment,
            inputs.variables,
        );
        fill(&mut document, &values);
        let newer = self.pipeline.newer_members();
        let mut text =
            serde_json::to_string_pretty(&canonical(document, newer)).unwrap_or_default();
        text.push('\n');
        Ok(text)
    }

    /// What `${…}` stands for in both files, in one environment.
    pub fn values(&self, inputs: &Inputs<'_>) -> Result<Values, UnknownEnvironment> {
        let environment = self.environment(inputs.environment)?;
        let or =
            |own: &Option<String>, other: &str| own.clone().unwrap_or_else(|| other.to_owned());
        let built_in = [
            ("image", inputs.image.to_owned()),
            ("commit", inputs.commit.to_owned()),
            ("branch", inputs.branch.to_owned()),
            ("env", inputs.environment.to_owned()),
            ("region", or(&environment.region, inputs.region)),
            ("account", or(&environment.account, inputs.account)),
            (
                "service",
                or(&environment.service, &self.pipeline.service.name),
            ),
        ];
        let built_in = built_in.map(|(name, value)| (name.to_owned(), value));
        Ok(Values::new(built_in.into(), &self.pipeline, environment))
    }
}

/// The environment's own members laid over the document; nothing is filled in yet.
pub(crate) fn compose(
    document: &Value,
    pipeline: &Pipeline,
    environment: &Environment,
    more_variables: &BTreeMap<String, String>,
) -> Value {
    let mut document = document.clone();
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
    let deployed = document["containerDefinitions"]
        .as_array_mut()
        .and_then(|list| {
            list.iter_mut()
                .find(|container| container["name"] == pipeline.deploy.container.as_str())
        })
        .and_then(Value::as_object_mut);
    if let Some(container) = deployed {
        container.insert("image".to_owned(), json!("${image}"));
        let variables = environment.variables.iter().flatten().chain(more_variables);
        for (name, value) in variables {
            put_named(container, "environment", "secrets", name, "value", value);
        }
        for (name, value) in environment.secrets.iter().flatten() {
            if !more_variables.contains_key(name) {
                let (list, other) = ("secrets", "environment");
                put_named(container, list, other, name, "valueFrom", value);
            }
        }
    }
    document
}

/// Members in the order of the model. Those that it does not know come last, as they are.
fn canonical(document: Value, newer: &[String]) -> Value {
    let source = std::sync::Arc::new(diagnostic::Source::new("rendered", ""));
    let mut problems = Vec::new();
    let mut context = Context {
        source: &source,
        problems: &mut problems,
        partial: false,
        newer,
    };
    let typed = TaskDefinition::decode(&tree::from_value(&document), &mut context);
    let (Some(typed), true) = (typed, problems.is_empty()) else {
        // Rather in another order than with something lost.
        return document;
    };
    let mut ordered = serde_json::to_value(typed).unwrap_or_default();
    remove_nulls(&mut ordered);
    add_missing(&mut ordered, document);
    ordered
}

/// Adds what the first document lacks of the second.
fn add_missing(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                match into.get_mut(&name) {
                    Some(old) => add_missing(old, value),
                    None => {
                        into.insert(name, value);
                    }
                }
            }
        }
        (Value::Array(into), Value::Array(from)) => {
            for (old, new) in into.iter_mut().zip(from) {
                add_missing(old, new);
            }
        }
        _ => {}
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

fn fill(value: &mut Value, values: &Values) {
    match value {
        Value::String(text) => *text = values.fill(text),
        Value::Object(members) => members.values_mut().for_each(|member| fill(member, values)),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, values)),
        _ => {}
    }
}
