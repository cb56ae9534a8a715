//! `${name}`: what it may name, where it is filled in, and the placeholders of other tools that people's files hold.
//!
//! This is all the templating there is: a name in a string stands for a text. A text is filled in once, so what comes out is never looked at again.

use std::collections::{BTreeMap, BTreeSet};

use diagnostic::{Diagnostic, Severity};

use crate::File;
use crate::decode::closest;
use crate::pipeline::{Environment, Pipeline};
use crate::tree::{Node, Value};

/// The names that every file may use: the image (`repository@sha256:…`), the commit and the branch that were built, the environment, its region and account, and the name of the ECS service.
pub const PLACEHOLDERS: [&str; 7] = [
    "image", "commit", "branch", "env", "region", "account", "service",
];

/// What each name stands for, in one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values(BTreeMap<String, String>);

impl Values {
    /// The built-in names, and the named values of the file and of the environment.
    pub(crate) fn new(
        built_in: BTreeMap<String, String>,
        pipeline: &Pipeline,
        environment: &Environment,
    ) -> Self {
        let mut all = built_in.clone();
        let built_in = Self(built_in);
        let named = [&pipeline.values, &environment.values];
        for (name, value) in named.into_iter().flatten().flatten() {
            // The environment's come second, and win.
            all.insert(name.clone(), built_in.fill(value));
        }
        Self(all)
    }

    /// The text with every `${name}` replaced, and `$${` made `${`. A name that is not known stays as it is; [`crate::load`] refuses files with such names.
    pub fn fill(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let before = &rest[..at];
            let after = &rest[at + 2..];
            let name = after.split_once('}').map(|(name, _)| name);
            match name.and_then(|name| self.0.get(name).map(|value| (name, value))) {
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
}

/// The names in `${name}`, in order. `$${` is a literal `${`.
pub(crate) fn names(text: &str) -> Vec<&str> {
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

/// `{{ … }}` of templating tools, `<IMAGE1_NAME>` of CodePipeline.
pub(crate) fn foreign(text: &str) -> Option<&str> {
    if let Some(start) = text.find("{{")
        && let Some(length) = text[start..].find("}}")
    {
        return Some(&text[start..start + length + 2]);
    }
    let start = text.find('<')?;
    let length = text[start..].find('>')?;
    let name = &text[start + 1..start + length];
    let word = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    word.then(|| &text[start..=start + length])
}

/// Whether a named value may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Every name that some environment knows.
fn known(pipeline: Option<&Pipeline>) -> BTreeSet<&str> {
    let mut known: BTreeSet<&str> = PLACEHOLDERS.into();
    if let Some(pipeline) = pipeline {
        let environments = pipeline
            .environments
            .values()
            .map(|environment| &environment.values);
        let all = [&pipeline.values].into_iter().chain(environments);
        known.extend(all.flatten().flat_map(BTreeMap::keys).map(String::as_str));
    }
    known
}

/// Findings about the names in the task definition: all of it is filled in.
pub(crate) fn task_definition(
    pipeline: Option<&Pipeline>,
    file: &File,
    problems: &mut Vec<Diagnostic>,
) {
    let known = known(pipeline);
    every_string(&file.root, &mut Vec::new(), &mut |_, node, text| {
        look(text, node, file, &known, problems);
    });
}

/// Findings about the names in the pipeline file: only some of its strings are filled in.
pub(crate) fn pipeline(pipeline: &Pipeline, file: &File, problems: &mut Vec<Diagnostic>) {
    let all = known(Some(pipeline));
    let built_in: BTreeSet<&str> = PLACEHOLDERS.into();
    every_string(
        &file.root,
        &mut Vec::new(),
        &mut |path, node, text| match path {
            ["values", _] | ["environments", _, "values", _] => {
                look(text, node, file, &built_in, problems);
            }
            ["environments", _, "variables" | "secrets" | "override", ..]
            | ["deploy", "before", _, "command" | "reverse", ..]
            | ["deploy", "checks", _, "path" | "contains"] => {
                look(text, node, file, &all, problems);
            }
            _ => {
                let Some(name) = names(text).first().copied() else {
                    return;
                };
                let message = format!("`${{{name}}}` stands where nothing is filled in");
                let help = "in this file names are filled in under `values`, `variables`, `secrets` and `override` of environments, in `command` and `reverse` of [[deploy.before]], and in `path` and `contains` of [[deploy.checks]]";
                problems.push(
                    Diagnostic::error(
                        "misplaced-placeholder",
                        &file.source,
                        node.span.clone(),
                        message,
                    )
                    .help(help),
                );
            }
        },
    );
}

/// Findings about the names that the file gives its own values.
pub(crate) fn value_names(pipeline: &Pipeline, file: &File, problems: &mut Vec<Diagnostic>) {
    let mut look = |path: &[&str], name: &str| {
        let path = [path, &[name]].concat();
        if PLACEHOLDERS.contains(&name) {
            let message = format!(
                "`{name}` is one of longshore's own names, and cannot be given another value"
            );
            problems.push(
                file.key_error("reserved-name", &path, message)
                    .help(format!("taken: {}", PLACEHOLDERS.join(", "))),
            );
        } else if !is_name(name) {
            let message = format!("`{name}` cannot be the name of a value");
            problems.push(
                file.key_error("bad-name", &path, message)
                    .help("letters, digits, `_` and `-`, beginning with a letter"),
            );
        }
    };
    for name in pipeline.values.iter().flat_map(BTreeMap::keys) {
        look(&["values"], name);
    }
    for (environment, settings) in &pipeline.environments {
        for name in settings.values.iter().flat_map(BTreeMap::keys) {
            look(&["environments", environment, "values"], name);
        }
    }
}

/// Values that an environment lacks, and values that nothing uses. `documents` are the environments' task definitions, not filled in.
pub(crate) fn use_of_values(
    pipeline: &Pipeline,
    file: &File,
    documents: &[(String, &serde_json::Value)],
    problems: &mut Vec<Diagnostic>,
) {
    let mut shared = BTreeSet::new();
    if let Some(deploy) = file.root.get("deploy") {
        every_string(deploy, &mut Vec::new(), &mut |_, _, text| {
            shared.extend(names(text).into_iter().map(str::to_owned));
        });
    }
    let mut used = BTreeSet::new();
    for (environment, document) in documents {
        let mut here = shared.clone();
        names_in(document, &mut here);
        let own = pipeline
            .environments
            .get(environment)
            .and_then(|settings| settings.values.as_ref());
        for name in &here {
            let has = PLACEHOLDERS.contains(&name.as_str())
                || [own, pipeline.values.as_ref()]
                    .into_iter()
                    .flatten()
                    .any(|values| values.contains_key(name));
            if !has {
                let message = format!(
                    "environment `{environment}` has no value for `${{{name}}}`, which it uses"
                );
                problems.push(
                    file.key_error("missing-value", &["environments", environment], message)
                        .help(format!(
                            "add `{name} = \"…\"` under [environments.{environment}.values], or under [values] for all environments"
                        )),
                );
            }
        }
        used.extend(here);
    }
    let mut unused = |path: &[&str], name: &String| {
        if !used.contains(name) {
            let message = format!("nothing uses the value `{name}`");
            let path = [path, &[name.as_str()]].concat();
            let mut problem = file.key_error("unused-value", &path, message);
            problem.severity = Severity::Warning;
            problems.push(problem.help(format!(
                "write ${{{name}}} where it belongs, or take it out"
            )));
        }
    };
    for name in pipeline.values.iter().flat_map(BTreeMap::keys) {
        unused(&["values"], name);
    }
    for (environment, settings) in &pipeline.environments {
        for name in settings.values.iter().flat_map(BTreeMap::keys) {
            unused(&["environments", environment, "values"], name);
        }
    }
}

fn names_in(value: &serde_json::Value, into: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::String(text) => into.extend(names(text).into_iter().map(str::to_owned)),
        serde_json::Value::Array(items) => items.iter().for_each(|item| names_in(item, into)),
        serde_json::Value::Object(members) => {
            members.values().for_each(|member| names_in(member, into));
        }
        _ => {}
    }
}

/// Visits every string with the names that lead to it.
fn every_string<'a>(
    node: &'a Node,
    path: &mut Vec<&'a str>,
    visit: &mut dyn FnMut(&[&'a str], &'a Node, &'a str),
) {
    match &node.value {
        Value::String(text) => visit(path, node, text),
        Value::List(items) => {
            path.push("");
            for item in items {
                every_string(item, path, visit);
            }
            path.pop();
        }
        Value::Object(members) => {
            for member in members {
                path.push(&member.key);
                every_string(&member.node, path, visit);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Names that are not known, and placeholders of other tools, in one string.
fn look(
    text: &str,
    node: &Node,
    file: &File,
    known: &BTreeSet<&str>,
    problems: &mut Vec<Diagnostic>,
) {
    // Said already, in other words: a placeholder where a word of a fixed set belongs.
    let told = problems.iter().any(|problem| {
        std::sync::Arc::ptr_eq(&problem.source, &file.source)
            && problem.span == node.span
            && problem.severity == Severity::Error
    });
    if told {
        return;
    }
    let mut tell = |code, message: String, help: String| {
        let problem = Diagnostic::error(code, &file.source, node.span.clone(), message);
        problems.push(problem.help(help));
    };
    let all = || {
        let all: Vec<String> = known.iter().map(|name| format!("${{{name}}}")).collect();
        format!("known: {}", all.join(", "))
    };
    for name in names(text).into_iter().filter(|name| !known.contains(name)) {
        let message = format!("`${{{name}}}` stands for nothing that is known here");
        let help = match closest(name, known.iter().copied()).or_else(|| ours_for(name)) {
            Some(ours) => format!("did you mean ${{{ours}}}? {}", all()),
            None if is_name(name) => format!(
                "{}; {}; a literal is written $${{{name}}}",
                of_your_own(name),
                all()
            ),
            None => all(),
        };
        tell("unknown-placeholder", message, help);
    }
    if let Some(placeholder) = foreign(text) {
        let message = format!(
            "`{placeholder}` is a placeholder of another tool, and nothing fills it in here"
        );
        let name = own_name(placeholder);
        let help = match ours_for(placeholder) {
            Some(ours) => format!("write ${{{ours}}}"),
            None if is_name(&name) => format!("write ${{{name}}}, and {}", of_your_own(&name)),
            None => all(),
        };
        tell("foreign-placeholder", message, help);
    }
}

fn of_your_own(name: &str) -> String {
    format!(
        "give it a value in the pipeline file: `{name} = \"…\"` under [values], or under [environments.NAME.values]"
    )
}

/// `{{ .Values.logLevel }}` and `<LOG_LEVEL>` as a name of ours.
fn own_name(placeholder: &str) -> String {
    let inner = placeholder.trim_matches(['{', '}', '<', '>', ' ']);
    let last = inner.rsplit(['.', ' ']).next().unwrap_or_default();
    last.to_lowercase()
}

/// What people most likely mean by a name of theirs.
fn ours_for(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let table = [
        ("image", "image"),
        ("region", "region"),
        ("account", "account"),
        ("commit", "commit"),
        ("sha", "commit"),
        ("tag", "commit"),
        ("branch", "branch"),
        ("env", "env"),
        ("stage", "env"),
    ];
    table
        .iter()
        .find(|(part, _)| name.contains(part))
        .map(|(_, ours)| *ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_found_and_filled() {
        let values = Values(BTreeMap::from([
            ("env".into(), "local".into()),
            ("commit".into(), "${env}".into()),
        ]));
        for (text, found, filled) in [
            ("plain", vec![], "plain"),
            (
                "/${env}/x-${commit}",
                vec!["env", "commit"],
                "/local/x-${env}",
            ),
            ("$${env} ${env}", vec!["env"], "${env} local"),
            ("${nope", vec![], "${nope"),
            ("a${nope}b", vec!["nope"], "a${nope}b"),
            ("${}", vec![""], "${}"),
        ] {
            assert_eq!(names(text), found, "{text}");
            assert_eq!(values.fill(text), filled, "{text}");
        }
    }

    #[test]
    fn placeholders_of_other_tools_are_known_by_their_looks() {
        for (text, found, name) in [
            ("{{ image }}", Some("{{ image }}"), "image"),
            ("repo:{{TAG}}", Some("{{TAG}}"), "tag"),
            (
                "{{ .Values.logLevel }}",
                Some("{{ .Values.logLevel }}"),
                "loglevel",
            ),
            ("<IMAGE1_NAME>", Some("<IMAGE1_NAME>"), "image1_name"),
            ("a < b > c", None, ""),
            ("<html>", None, ""),
            ("{{", None, ""),
            ("plain", None, ""),
        ] {
            assert_eq!(foreign(text), found, "{text}");
            assert_eq!(found.map(own_name).unwrap_or_default(), name, "{text}");
        }
    }
}
