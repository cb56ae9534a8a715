//! Each environment's own task definition: the file with the environment's members laid over it, checked as if it were a file of its own.
//!
//! An override that is fine by itself may still make a whole that ECS refuses. What is found in a whole and not in the file is told at the environment.

use std::collections::BTreeMap;
use std::sync::Arc;

use diagnostic::{Diagnostic, Source};

use crate::decode::{Context, Decode};
use crate::overlay;
use crate::pipeline::{Environment, Pipeline};
use crate::render::compose;
use crate::task_definition::TaskDefinition;
use crate::{File, check, placeholder, tree};

/// The task definition of one environment, before anything is filled in.
pub(crate) struct Composed {
    /// Name of the environment.
    pub name: String,
    /// The document.
    pub document: serde_json::Value,
    /// The same with the paths of its values for places; none when the environment adds nothing that could be wrong.
    pub whole: Option<Whole>,
}

/// A composed document that is looked at.
pub(crate) struct Whole {
    /// The tree. A place is the number of a path.
    pub file: File,
    /// The typed document, when it could be typed.
    pub task_definition: Option<TaskDefinition>,
    /// What is wrong with its shape.
    pub problems: Vec<Diagnostic>,
    paths: Vec<String>,
}

impl Whole {
    /// The same problem where a person can mend it: at the environment.
    pub fn at_environment(
        &self,
        problem: &Diagnostic,
        pipeline_file: &File,
        name: &str,
        settings: &Environment,
    ) -> Diagnostic {
        let path = self
            .paths
            .get(problem.span.start)
            .map(String::as_str)
            .unwrap_or_default();
        let member = match path {
            "cpu" if settings.cpu.is_some() => "cpu",
            "memory" | "cpu" if settings.memory.is_some() => "memory",
            "memory" if settings.cpu.is_some() => "cpu",
            _ if settings.r#override.is_some() => "override",
            _ if settings.unset.is_some() => "unset",
            _ if settings.cpu.is_some() => "cpu",
            _ => "memory",
        };
        let what = if path.is_empty() {
            String::new()
        } else {
            format!("`{path}`: ")
        };
        let message = format!("in environment `{name}`, {what}{}", problem.message);
        let mut moved =
            pipeline_file.key_error(problem.code, &["environments", name, member], message);
        moved.severity = problem.severity;
        moved.help.clone_from(&problem.help);
        moved
    }
}

/// The task definitions of all environments.
pub(crate) fn all(pipeline: &Pipeline, document: &serde_json::Value) -> Vec<Composed> {
    let none = BTreeMap::new();
    let compose = |(name, settings): (&String, &Environment)| {
        let document = compose(document, pipeline, settings, &none);
        let adds = settings.r#override.is_some()
            || settings.unset.is_some()
            || settings.cpu.is_some()
            || settings.memory.is_some();
        Composed {
            name: name.clone(),
            whole: adds.then(|| whole(&document, pipeline.newer_members())),
            document,
        }
    };
    pipeline.environments.iter().map(compose).collect()
}

fn whole(document: &serde_json::Value, newer: &[String]) -> Whole {
    let mut paths = Vec::new();
    let root = tree::from_value_with(document, Some(""), &mut |path| {
        paths.push(path.to_owned());
        paths.len() - 1..paths.len() - 1
    });
    let source = Arc::new(Source::new("", ""));
    let mut problems = Vec::new();
    let mut context = Context {
        source: &source,
        problems: &mut problems,
        partial: false,
        newer,
    };
    let task_definition = TaskDefinition::decode(&root, &mut context);
    Whole {
        file: File { source, root },
        task_definition,
        problems,
        paths,
    }
}

/// What is wrong with the whole and was not with the file.
pub(crate) fn check(
    pipeline: &Pipeline,
    pipeline_file: &File,
    environments: &[Composed],
    problems: &mut Vec<Diagnostic>,
) {
    for composed in environments {
        let Some(settings) = pipeline.environments.get(&composed.name) else {
            continue;
        };
        if let Some(whole) = &composed.whole {
            let mut found = whole.problems.clone();
            if let (Some(task_definition), true) = (&whole.task_definition, found.is_empty()) {
                check::task_definition(task_definition, &whole.file, &mut found);
                check::named_containers(pipeline, task_definition, &whole.file, &mut found);
            }
            problems.extend(found.iter().map(|problem| {
                whole.at_environment(problem, pipeline_file, &composed.name, settings)
            }));
        }
    }
    let documents: Vec<(String, &serde_json::Value)> = environments
        .iter()
        .map(|composed| (composed.name.clone(), &composed.document))
        .collect();
    placeholder::use_of_values(pipeline, pipeline_file, &documents, problems);
}

/// Paths that an environment takes out and that are not there.
pub(crate) fn unset_paths(
    pipeline: &Pipeline,
    pipeline_file: &File,
    document: &serde_json::Value,
    problems: &mut Vec<Diagnostic>,
) {
    for (name, settings) in &pipeline.environments {
        let mut document = document.clone();
        if let Some(overlay) = &settings.r#override {
            overlay.apply(&mut document);
        }
        for (index, path) in settings.unset.iter().flatten().enumerate() {
            if !overlay::unset(&mut document, path) {
                let index = index.to_string();
                let place = ["environments", name.as_str(), "unset", &index];
                let message = format!("the task definition has nothing at `{path}`");
                problems.push(
                    pipeline_file
                        .error("unknown-member", &place, message)
                        .help("a path of members and of names of entries: containerDefinitions.api.healthCheck"),
                );
            }
        }
    }
}
