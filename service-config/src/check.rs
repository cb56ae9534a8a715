//! What must hold between members, and between the two files, before anything is built.

mod arn;
mod environments;
mod pipeline;
mod task;

use diagnostic::{Diagnostic, Severity};

use crate::File;
use crate::decode::closest;
use crate::overlay::Override;
use crate::pipeline::Pipeline;
use crate::task_definition::TaskDefinition;
use crate::tree::{Node, Value};

pub(crate) use pipeline::check as pipeline;
pub(crate) use task::check as task_definition;

/// The containers that the pipeline file names must be there. `file` is where it names them.
pub(crate) fn named_containers(
    pipeline: &Pipeline,
    task_definition: &TaskDefinition,
    file: &File,
    problems: &mut Vec<Diagnostic>,
) {
    let names = || {
        task_definition
            .container_definitions
            .iter()
            .filter_map(|container| container.name.as_deref())
    };
    let mut look = |wanted: &str, path: &[&str]| {
        // Where nothing could be read, nothing is missing.
        if wanted.is_empty() || names().next().is_none() || names().any(|name| name == wanted) {
            return;
        }
        let help = match closest(wanted, names()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("its containers: {}", names().collect::<Vec<_>>().join(", ")),
        };
        let message = format!("the task definition has no container `{wanted}`");
        problems.push(file.error("unknown-container", path, message).help(help));
    };
    look(&pipeline.deploy.container, &["deploy", "container"]);
    for (index, task) in pipeline.deploy.before.iter().flatten().enumerate() {
        if let Some(container) = &task.container {
            let index = index.to_string();
            look(container, &["deploy", "before", &index, "container"]);
        }
    }
}

/// Containers beside the deployed one need an image of their own.
pub(crate) fn images_of_others(
    pipeline: &Pipeline,
    task_definition: &TaskDefinition,
    file: &File,
    problems: &mut Vec<Diagnostic>,
) {
    for (index, container) in task_definition.container_definitions.iter().enumerate() {
        let deployed = container.name.as_deref() == Some(&pipeline.deploy.container);
        let empty = container.image.as_deref().is_none_or(str::is_empty);
        let index = index.to_string();
        let place = ["containerDefinitions", index.as_str()];
        // A wrong type has been told.
        let unread = file
            .root
            .at(&[place[0], place[1], "image"])
            .is_some_and(|image| !matches!(image.value, Value::String(_)));
        if !deployed && empty && !unread {
            let name = container.name.as_deref().unwrap_or("?");
            let message = format!("container `{name}` has no `image`");
            problems.push(
                file.error("incomplete-container", &place, message)
                    .help(format!(
                        "only `{}`, which is deployed, gets one; write repository@sha256:…",
                        pipeline.deploy.container
                    )),
            );
        }
    }
}

/// Names under `newer-members` that nothing needs.
pub(crate) fn newer_members(
    pipeline: &Pipeline,
    pipeline_file: &File,
    task_file: &File,
    problems: &mut Vec<Diagnostic>,
) {
    for (index, name) in pipeline.newer_members().iter().enumerate() {
        let overrides = pipeline
            .environments
            .values()
            .filter_map(|environment| environment.r#override.as_ref());
        if has_member(&task_file.root, name) || overrides.into_iter().any(|one| one.has(name)) {
            continue;
        }
        let index = index.to_string();
        let message = format!("`{name}` is allowed as a newer member, and nothing here needs it");
        let place = ["service", "newer-members", &index];
        let mut problem = pipeline_file.error("unused-allow", &place, message);
        problem.severity = Severity::Warning;
        problems.push(problem.help("take the entry out"));
    }
}

fn has_member(node: &Node, name: &str) -> bool {
    match &node.value {
        Value::Object(members) => members
            .iter()
            .any(|member| member.key == name || has_member(&member.node, name)),
        Value::List(items) => items.iter().any(|item| has_member(item, name)),
        _ => false,
    }
}

impl Override {
    fn has(&self, name: &str) -> bool {
        has_member(&crate::tree::from_value(self.value()), name)
    }
}
