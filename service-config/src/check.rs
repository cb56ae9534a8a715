//! What must hold between members, and between the two files, before anything is built.

mod image;
mod task;

use std::collections::BTreeMap;

use diagnostic::Diagnostic;

use crate::File;
use crate::decode::closest;
use crate::pipeline::Pipeline;
use crate::render::{PLACEHOLDERS, placeholders};
use crate::task_definition::{Compatibility, TaskDefinition};
use crate::tree::{Node, Value};

/// Findings about the pipeline file alone.
pub(crate) fn pipeline(pipeline: &Pipeline, file: &File, problems: &mut Vec<Diagnostic>) {
    if pipeline.environments.is_empty() {
        problems.push(
            file.error(
                "no-environment",
                &["environments"],
                "there is no environment to deploy to",
            )
            .help("add a table such as [environments.local]"),
        );
    }
    let chosen = pipeline.default_environment();
    if pipeline.service.default_environment.is_some() && !pipeline.environments.contains_key(chosen)
    {
        problems.push(
            file.error(
                "unknown-environment",
                &["service", "default-environment"],
                format!("there is no environment `{chosen}` in this file"),
            )
            .help(format!("one of: {}", names(&pipeline.environments))),
        );
    }
    for (name, environment) in &pipeline.environments {
        if let Some(account) = &environment.account
            && (account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()))
        {
            problems.push(file.error(
                "not-an-account",
                &["environments", name, "account"],
                format!("{account:?} is not an AWS account: 12 digits"),
            ));
        }
        let variables = environment.variables.iter().flatten();
        for (variable, _) in variables {
            let secret = environment
                .secrets
                .iter()
                .flatten()
                .any(|(secret, _)| secret == variable);
            if secret {
                problems.push(file.error(
                    "variable-and-secret",
                    &["environments", name, "variables", variable],
                    format!("`{variable}` is a variable and a secret of the same environment"),
                ));
            }
        }
    }
    image::check(pipeline, file, problems);
    placeholders_known(&file.root, file, problems);
}

/// Findings about an environment's sizes over those of the task definition.
fn environment_sizes(
    pipeline: &Pipeline,
    file: &File,
    task: &TaskDefinition,
    problems: &mut Vec<Diagnostic>,
) {
    let fargate = task
        .requires_compatibilities
        .iter()
        .flatten()
        .any(|kind| *kind == Compatibility::Fargate);
    for (name, environment) in pipeline.environments.iter().filter(|_| fargate) {
        if environment.cpu.is_none() && environment.memory.is_none() {
            continue;
        }
        let cpu = environment.cpu.as_deref().or(task.cpu.as_deref());
        let memory = environment.memory.as_deref().or(task.memory.as_deref());
        if let Some(problem) = task::size(cpu, memory) {
            let member = if environment.memory.is_some() {
                "memory"
            } else {
                "cpu"
            };
            problems.push(file.error("fargate-size", &["environments", name, member], problem));
        }
    }
}

/// Findings about the task definition, and about the two files together.
pub(crate) fn task_definition(
    pipeline: Option<(&Pipeline, &File)>,
    task_definition: &TaskDefinition,
    file: &File,
    problems: &mut Vec<Diagnostic>,
) {
    task::check(task_definition, file, problems);
    let containers = &task_definition.container_definitions;
    if let Some((pipeline, pipeline_file)) = pipeline {
        environment_sizes(pipeline, pipeline_file, task_definition, problems);
        let names = || {
            containers
                .iter()
                .filter_map(|container| container.name.as_deref())
        };
        let wanted = pipeline.deploy.container.as_str();
        if !wanted.is_empty() && !names().any(|name| name == wanted) {
            let mut problem = pipeline_file.error(
                "unknown-container",
                &["deploy", "container"],
                format!("{} has no container `{wanted}`", file.source.path.display()),
            );
            problem.help = Some(match closest(wanted, names()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("its containers: {}", names().collect::<Vec<_>>().join(", ")),
            });
            problems.push(problem);
        }
    }
    placeholders_known(&file.root, file, problems);
}

/// `${…}` of ours by name; placeholders of other tools by their looks.
fn placeholders_known(node: &Node, file: &File, problems: &mut Vec<Diagnostic>) {
    match &node.value {
        Value::String(text) => {
            let known = || PLACEHOLDERS.map(|name| format!("${{{name}}}")).join(", ");
            for name in placeholders(text)
                .into_iter()
                .filter(|name| !PLACEHOLDERS.contains(name))
            {
                let message = format!("`${{{name}}}` stands for nothing that is known here");
                let problem = Diagnostic::error(
                    "unknown-placeholder",
                    &file.source,
                    node.span.clone(),
                    message,
                );
                let instead = ours_for(name).map_or_else(
                    || format!("known: {}; a value of your own goes into `variables` of an environment; a literal is written $${{{name}}}", known()),
                    |ours| format!("write ${{{ours}}}"),
                );
                problems.push(problem.help(instead));
            }
            if let Some(foreign) = foreign_placeholder(text) {
                let message = format!(
                    "`{foreign}` is a placeholder of another tool, and nothing fills it in here"
                );
                let problem = Diagnostic::error(
                    "foreign-placeholder",
                    &file.source,
                    node.span.clone(),
                    message,
                );
                let instead = ours_for(foreign).map_or_else(
                    || format!("known: {}", known()),
                    |ours| format!("write ${{{ours}}}"),
                );
                problems.push(problem.help(instead));
            }
        }
        Value::List(items) => items
            .iter()
            .for_each(|item| placeholders_known(item, file, problems)),
        Value::Object(members) => members
            .iter()
            .for_each(|member| placeholders_known(&member.node, file, problems)),
        _ => {}
    }
}

/// `{{ … }}` of templating tools, `<IMAGE1_NAME>` of CodePipeline.
fn foreign_placeholder(text: &str) -> Option<&str> {
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
        ("env", "env"),
        ("stage", "env"),
    ];
    table
        .iter()
        .find(|(part, _)| name.contains(part))
        .map(|(_, ours)| *ours)
}

fn names<T>(table: &BTreeMap<String, T>) -> String {
    table
        .keys()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::foreign_placeholder;

    #[test]
    fn placeholders_of_other_tools_are_known_by_their_looks() {
        for (text, found) in [
            ("{{ image }}", Some("{{ image }}")),
            ("repo:{{TAG}}", Some("{{TAG}}")),
            ("<IMAGE1_NAME>", Some("<IMAGE1_NAME>")),
            ("a < b > c", None),
            ("<html>", None),
            ("{{", None),
            ("plain", None),
        ] {
            assert_eq!(foreign_placeholder(text), found, "{text}");
        }
    }
}
