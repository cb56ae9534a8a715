//! Findings that ECS would not refuse and that teams regret: each has a code, a reason and a way to allow it in `pipeline.toml` with a reason of one's own.

mod cost;
mod secrets;
mod security;
mod zero_downtime;

use std::sync::Arc;

use diagnostic::{Diagnostic, Severity};

use crate::File;
use crate::environments::Composed;
use crate::pipeline::Pipeline;
use crate::rules;
use crate::task_definition::{ContainerDefinition, TaskDefinition};

pub(crate) use secrets::{has_secret_shape, mask};

/// What the rules look at.
pub(crate) struct Input<'a> {
    pub pipeline: &'a Pipeline,
    pub pipeline_file: &'a File,
    pub task_definition: &'a TaskDefinition,
    pub task_file: &'a File,
}

impl Input<'_> {
    /// The container that is deployed, and its place in the list.
    fn deployed(&self) -> Option<(String, &ContainerDefinition)> {
        let wanted = Some(&self.pipeline.deploy.container);
        let containers = &self.task_definition.container_definitions;
        let index = containers
            .iter()
            .position(|container| container.name.as_ref() == wanted)?;
        Some((index.to_string(), &containers[index]))
    }

    /// All containers with their places in the list.
    fn containers(&self) -> impl Iterator<Item = (String, &ContainerDefinition)> {
        let containers = &self.task_definition.container_definitions;
        containers
            .iter()
            .enumerate()
            .map(|(index, container)| (index.to_string(), container))
    }
}

/// Runs every rule, and leaves out what the pipeline file allows.
pub(crate) fn run(input: &Input<'_>, environments: &[Composed], problems: &mut Vec<Diagnostic>) {
    let mut found = every_rule(input);
    for composed in environments {
        let settings = input.pipeline.environments.get(&composed.name);
        let (Some(whole), Some(settings)) = (&composed.whole, settings) else {
            continue;
        };
        let Some(task_definition) = &whole.task_definition else {
            continue;
        };
        let here = every_rule(&Input {
            task_definition,
            task_file: &whole.file,
            ..*input
        });
        for problem in here {
            let known =
                |other: &Diagnostic| other.code == problem.code && other.message == problem.message;
            if Arc::ptr_eq(&problem.source, &whole.file.source) && !found.iter().any(known) {
                let file = input.pipeline_file;
                found.push(whole.at_environment(&problem, file, &composed.name, settings));
            }
        }
    }
    let allowed = input.pipeline.allow.as_deref().unwrap_or_default();
    for (index, allow) in allowed.iter().enumerate() {
        let index = index.to_string();
        let known = rules::find(&allow.rule).filter(|rule| rule.allowable);
        if known.is_none() {
            let message = format!("`{}` is no rule that can be allowed", allow.rule);
            problems.push(input.pipeline_file.error(
                "unknown-rule",
                &["allow", &index, "rule"],
                message,
            ));
        } else if !found.iter().any(|problem| problem.code == allow.rule) {
            let message = format!("`{}` is allowed, and nothing here needs it", allow.rule);
            let problem =
                input
                    .pipeline_file
                    .error("unused-allow", &["allow", &index, "rule"], message);
            problems.push(warning(problem).help("take the entry out"));
        }
    }
    found.retain(|problem| !allowed.iter().any(|allow| allow.rule == problem.code));
    problems.extend(found);
}

fn every_rule(input: &Input<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    zero_downtime::run(input, &mut found);
    security::run(input, &mut found);
    cost::run(input, &mut found);
    found
}

/// The same as a warning.
fn warning(mut problem: Diagnostic) -> Diagnostic {
    problem.severity = Severity::Warning;
    problem
}
