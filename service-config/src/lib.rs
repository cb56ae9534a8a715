//! The typed configuration of a service and its pipeline: `pipeline.toml` and the task definition beside it.
//!
//! Nothing here touches the world: files are read by a function that the caller hands in, rendering is a pure function, problems are data. All problems of both files come in
//! one pass, each with its place.

mod check;
mod decode;
mod lint;
mod normalize;
mod overlay;
mod pipeline;
mod render;
pub mod rules;
pub mod schema;
mod task_definition;
mod text;
mod tree;

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use diagnostic::{Diagnostic, Severity, Source};

use decode::{Context, Decode};
pub use overlay::Override;
pub use pipeline::*;
pub use render::{Inputs, PLACEHOLDERS, UnknownEnvironment};
pub use task_definition::{NetworkMode, TaskDefinition};
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
}

/// A service as far as it could be read, and all that was found on the way.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The service; none when an error stands in the way.
    pub service: Option<Service>,
    /// Errors, warnings and notes of both files, sorted by place.
    pub problems: Vec<Diagnostic>,
    /// The task definition file as it should be written, when it was only accepted in another form.
    pub clean: Option<Clean>,
}

/// A file as it should be written. Comments are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clean {
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Reads and checks a service. `pipeline` is the path of its pipeline file; `read` gives the bytes of a file.
pub fn load(pipeline: &Path, read: &dyn Fn(&Path) -> io::Result<Vec<u8>>) -> Loaded {
    let mut loading = Loading {
        read,
        problems: Vec::new(),
        files: Vec::new(),
        clean: None,
    };
    let service = loading.service(pipeline);
    let Loading {
        mut problems,
        files,
        clean,
        ..
    } = loading;
    for file in &files {
        lint::mask(file, &mut problems);
    }
    diagnostic::sort(&mut problems);
    let errors = problems
        .iter()
        .any(|problem| problem.severity == Severity::Error);
    Loaded {
        service: service.filter(|_| !errors),
        problems,
        clean,
    }
}

struct Loading<'a> {
    read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    problems: Vec<Diagnostic>,
    files: Vec<File>,
    clean: Option<Clean>,
}

impl Loading<'_> {
    /// Both files, as far as they go: the task definition is looked at even when the pipeline file has mistakes.
    fn service(&mut self, path: &Path) -> Option<Service> {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let source = self.source(path)?;
        let root = tree::parse_toml(&source, &mut self.problems)?;
        let pipeline_file = File { source, root };
        self.files.push(pipeline_file.clone());
        let pipeline = decode_file::<Pipeline>(&pipeline_file, &mut self.problems);
        if let Some(pipeline) = &pipeline {
            check::pipeline(pipeline, &pipeline_file, &mut self.problems);
        }
        let task_file = self.task_file(&folder, &pipeline_file)?;
        self.files.push(task_file.clone());
        let task_definition = decode_file::<TaskDefinition>(&task_file, &mut self.problems)?;
        let both = pipeline.as_ref().map(|pipeline| (pipeline, &pipeline_file));
        check::task_definition(both, &task_definition, &task_file, &mut self.problems);
        let pipeline = pipeline?;
        if self
            .problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
        {
            // What could not be read would be taken for missing.
            return None;
        }
        let input = lint::Input {
            pipeline: &pipeline,
            pipeline_file: &pipeline_file,
            task_definition: &task_definition,
            task_file: &task_file,
        };
        lint::run(&input, &mut self.problems);
        Some(Service {
            folder,
            pipeline,
            task_definition,
        })
    }

    /// The task definition that the pipeline file names, in one form.
    fn task_file(&mut self, folder: &Path, pipeline_file: &File) -> Option<File> {
        let named = pipeline_file
            .root
            .get("service")
            .and_then(|service| service.get("task-definition"));
        let relative = match named.map(|node| &node.value) {
            Some(Value::String(path)) => Path::new(path),
            _ => Path::new("task-definition.json"),
        };
        if relative.is_absolute()
            || relative
                .components()
                .any(|part| part == Component::ParentDir)
        {
            let message = "the task definition must stand in the service's own folder";
            self.problems.push(pipeline_file.error(
                "unreadable-file",
                &["service", "task-definition"],
                message,
            ));
            return None;
        }
        let path = folder.join(relative);
        let before = self.problems.len();
        let Some(source) = self.source(&path) else {
            // Said again where a person can mend it.
            if let Some(problem) = self.problems.get_mut(before) {
                *problem = pipeline_file.error(
                    "unreadable-file",
                    &["service", "task-definition"],
                    problem.message.clone(),
                );
            }
            return None;
        };
        let root = tree::parse_json(&source, &mut self.problems)?;
        let schema = root.get("$schema").map(tree::to_json);
        let root = normalize::task_definition(root, &source, &mut self.problems)?;
        let rewritten = self.problems[before..]
            .iter()
            .any(|problem| problem.severity == Severity::Note);
        if rewritten {
            let text = clean_text(&root, schema);
            self.clean = Some(Clean { path, text });
        }
        Some(File { source, root })
    }

    fn source(&mut self, path: &Path) -> Option<Arc<Source>> {
        let message = match (self.read)(path).map(text::decode) {
            Ok(Some((text, encoding))) => {
                let source = Arc::new(Source::new(path, text));
                if encoding != text::Encoding::Plain {
                    let message = "the file is not plain UTF-8 (byte order mark or UTF-16); it is read as if it were";
                    normalize::note(
                        &mut self.problems,
                        "encoding",
                        &source,
                        0..0,
                        message.to_owned(),
                    );
                }
                return Some(source);
            }
            Ok(None) => format!("{} is not UTF-8 text", path.display()),
            Err(error) => format!("{} cannot be read: {error}", path.display()),
        };
        let source = Arc::new(Source::new(path, ""));
        self.problems
            .push(Diagnostic::error("unreadable-file", &source, 0..0, message));
        None
    }
}

fn clean_text(root: &Node, schema: Option<serde_json::Value>) -> String {
    let mut document = serde_json::Map::new();
    if let Some(schema) = schema {
        document.insert("$schema".to_owned(), schema);
    }
    if let serde_json::Value::Object(members) = tree::to_json(root) {
        document.extend(members);
    }
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn decode_file<T: Decode>(file: &File, problems: &mut Vec<Diagnostic>) -> Option<T> {
    let mut context = Context {
        source: &file.source,
        problems,
        partial: false,
    };
    T::decode(&file.root, &mut context)
}
