//! The typed configuration of a service and its pipeline: `pipeline.toml` and the task definition beside it.
//!
//! Nothing here touches the world: files are read by a function that the caller hands in, rendering is a pure function, problems are data. All problems of both files come in
//! one pass, each with its place.

mod check;
mod decode;
mod pipeline;
mod render;
pub mod schema;
mod task_definition;
mod tree;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diagnostic::{Diagnostic, Source};

use decode::{Context, Decode};
pub use pipeline::*;
pub use render::{Inputs, PLACEHOLDERS, UnknownEnvironment};
pub use task_definition::TaskDefinition;
use tree::{Node, Value};

/// A file that could be read: its text and its tree.
#[derive(Clone, Debug)]
pub(crate) struct File {
    source: Arc<Source>,
    root: Node,
}

impl File {
    fn error(&self, code: &'static str, path: &[&str], message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, &self.source, self.root.place(path), message)
    }
}

/// A service: both files, typed and checked.
#[derive(Clone, Debug)]
pub struct Service {
    /// Folder of the pipeline file; paths in it are relative to this.
    pub folder: PathBuf,
    /// The pipeline file.
    pub pipeline: Pipeline,
    /// The task definition, as a template.
    pub task_definition: TaskDefinition,
    pipeline_file: File,
}

impl Pipeline {
    /// Name of the environment that commands use when none is named.
    pub fn default_environment(&self) -> &str {
        self.service
            .default_environment
            .as_deref()
            .unwrap_or("local")
    }

    /// Path of the task definition, relative to the pipeline file.
    pub fn task_definition_path(&self) -> &str {
        self.service
            .task_definition
            .as_deref()
            .unwrap_or("task-definition.json")
    }
}

impl Service {
    /// The environment of that name.
    pub fn environment(&self, name: &str) -> Result<&Environment, UnknownEnvironment> {
        self.pipeline
            .environments
            .get(name)
            .ok_or_else(|| UnknownEnvironment {
                name: name.to_owned(),
                known: self.pipeline.environments.keys().cloned().collect(),
            })
    }

    /// An error at a place of the pipeline file, for what only shows when it is used (a package that is not there).
    pub fn error_at(
        &self,
        code: &'static str,
        path: &[&str],
        message: impl Into<String>,
    ) -> Diagnostic {
        self.pipeline_file.error(code, path, message)
    }
}

/// Reads and checks a service. `pipeline` is the path of its pipeline file; `read` gives the text of a file.
///
/// # Errors
///
/// All problems of both files, sorted by place.
pub fn load(
    pipeline: &Path,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Service, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let service = load_into(pipeline, read, &mut problems);
    diagnostic::sort(&mut problems);
    match service {
        Some(service) if problems.is_empty() => Ok(service),
        _ => Err(problems),
    }
}

fn load_into(
    path: &Path,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Service> {
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let source = read_source(path, read, problems)?;
    let root = tree::parse_toml(&source, problems)?;
    let pipeline_file = File { source, root };
    let pipeline = decode_file::<Pipeline>(&pipeline_file, problems);
    if let Some(pipeline) = &pipeline {
        check::pipeline(pipeline, &pipeline_file, problems);
    }

    // The task definition is looked at even when the pipeline file has mistakes: one run shows all.
    let relative = pipeline_file
        .root
        .get("service")
        .and_then(|service| service.get("task-definition"));
    let relative = match relative.map(|node| &node.value) {
        Some(Value::String(path)) => path.as_str(),
        _ => "task-definition.json",
    };
    let task_path = folder.join(relative);
    let before = problems.len();
    let task_source = read_source(&task_path, read, problems);
    if task_source.is_none()
        && pipeline_file.root.get("service").is_some()
        && problems.len() > before
    {
        // Said again where a person can mend it.
        let problem = problems.remove(before);
        problems.push(pipeline_file.error(
            "unreadable-file",
            &["service", "task-definition"],
            problem.message,
        ));
    }
    let task_source = task_source?;
    let root = tree::parse_json(&task_source, problems)?;
    let task_file = File {
        source: task_source,
        root: without_schema_member(root),
    };
    let task_definition = decode_file::<TaskDefinition>(&task_file, problems)?;
    check::task_definition(
        pipeline.as_ref().map(|pipeline| (pipeline, &pipeline_file)),
        &task_definition,
        &task_file,
        problems,
    );
    Some(Service {
        folder,
        pipeline: pipeline?,
        task_definition,
        pipeline_file,
    })
}

fn decode_file<T: Decode>(file: &File, problems: &mut Vec<Diagnostic>) -> Option<T> {
    let mut context = Context {
        source: &file.source,
        problems,
    };
    T::decode(&file.root, &mut context)
}

/// `$schema` is for editors.
fn without_schema_member(mut root: Node) -> Node {
    if let Value::Object(members) = &mut root.value {
        members.retain(|member| member.key != "$schema");
    }
    root
}

fn read_source(
    path: &Path,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Arc<Source>> {
    let unreadable = |text: String| {
        let source = Arc::new(Source::new(path, ""));
        Diagnostic::error("unreadable-file", &source, 0..0, text)
    };
    let text = match read(path).map(String::from_utf8) {
        Ok(Ok(text)) => return Some(Arc::new(Source::new(path, text))),
        Ok(Err(_)) => format!("{} is not UTF-8 text", path.display()),
        Err(error) => format!("{} cannot be read: {error}", path.display()),
    };
    problems.push(unreadable(text));
    None
}
