//! What must hold between members, and between the two files, before anything is built.

use std::collections::BTreeMap;

use diagnostic::Diagnostic;

use crate::File;
use crate::decode::closest;
use crate::pipeline::Pipeline;
use crate::render::{PLACEHOLDERS, placeholders};
use crate::task_definition::TaskDefinition;
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
    placeholders_known(&file.root, file, problems);
}

/// Findings about the task definition, and about the two files together.
pub(crate) fn task_definition(
    pipeline: Option<(&Pipeline, &File)>,
    task_definition: &TaskDefinition,
    file: &File,
    problems: &mut Vec<Diagnostic>,
) {
    let containers = &task_definition.container_definitions;
    if !containers
        .iter()
        .any(|container| container.essential.unwrap_or(true))
    {
        problems.push(
            file.error(
                "no-essential-container",
                &["containerDefinitions"],
                "no container is essential; ECS refuses such a task definition",
            )
            .help("leave `essential` out of the container that matters, or set it to true"),
        );
    }
    for (index, container) in containers.iter().enumerate() {
        let index = index.to_string();
        let Some(name) = &container.name else {
            problems.push(file.error(
                "missing-key",
                &["containerDefinitions", &index],
                "the container has no `name`",
            ));
            continue;
        };
        let earlier = &containers[..index.parse().unwrap_or(0)];
        if earlier
            .iter()
            .any(|other| other.name.as_ref() == Some(name))
        {
            problems.push(file.error(
                "repeated-container",
                &["containerDefinitions", &index, "name"],
                format!("two containers are named `{name}`"),
            ));
        }
    }
    if let Some((pipeline, pipeline_file)) = pipeline {
        let names = || {
            containers
                .iter()
                .filter_map(|container| container.name.as_deref())
        };
        let wanted = pipeline.deploy.container.as_str();
        if !names().any(|name| name == wanted) {
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

fn placeholders_known(node: &Node, file: &File, problems: &mut Vec<Diagnostic>) {
    match &node.value {
        Value::String(text) => {
            for name in placeholders(text) {
                if !PLACEHOLDERS.contains(&name) {
                    problems.push(
                        Diagnostic::error(
                            "unknown-placeholder",
                            &file.source,
                            node.span.clone(),
                            format!("`${{{name}}}` stands for nothing that is known here"),
                        )
                        .help(format!(
                            "known: {}",
                            PLACEHOLDERS.map(|name| format!("${{{name}}}")).join(", ")
                        )),
                    );
                }
            }
        }
        Value::List(items) => {
            for item in items {
                placeholders_known(item, file, problems);
            }
        }
        Value::Object(members) => {
            for member in members {
                placeholders_known(&member.node, file, problems);
            }
        }
        _ => {}
    }
}

fn names<T>(table: &BTreeMap<String, T>) -> String {
    table
        .keys()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
