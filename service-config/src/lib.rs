//! The typed configuration of a service and its pipeline: `pipeline.toml` and the task definition beside it.
//!
//! Nothing here touches the world: files are read by a function that the caller hands in, rendering is a pure function, problems are data. All problems of both files come in
//! one pass, each with its place.

mod check;
mod decode;
mod environments;
mod hints;
mod jsonc;
mod lint;
mod normalize;
mod overlay;
mod pipeline;
mod placeholder;
mod ranges;
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
pub use placeholder::{PLACEHOLDERS, Values};
pub use render::{Inputs, UnknownEnvironment};
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

    /// The same at the name of a member.
    fn key_error(
        &self,
        code: &'static str,
        path: &[&str],
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(code, &self.source, self.root.key_place(path), message)
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
    /// The same as it was read, with the members that this version does not know.
    document: serde_json::Value,
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

    /// Members of the task definition that are passed on unknown.
    pub(crate) fn newer_members(&self) -> &[String] {
        self.service.newer_members.as_deref().unwrap_or_default()
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
    /// Files as they should be written, of those that were only accepted in another form.
    pub clean: Vec<Clean>,
    /// The name of the service, as far as it could be read.
    name: Option<Name>,
}

/// The name of a service, where it stands.
#[derive(Clone, Debug)]
struct Name {
    text: String,
    source: Arc<Source>,
    span: std::ops::Range<usize>,
}

/// A file as it should be written. Comments, order and line ends are as they were.
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
        clean: Vec::new(),
        unread: None,
        name: None,
    };
    let service = loading.service(pipeline);
    let Loading {
        mut problems,
        files,
        clean,
        name,
        ..
    } = loading;
    for file in &files {
        lint::mask(file, &mut problems);
    }
    diagnostic::sort(&mut problems);
    let service = service.filter(|_| !has_errors(&problems));
    Loaded {
        service,
        problems,
        clean,
        name,
    }
}

/// Tells services that have one name: which of them a command means, nobody could say.
pub fn same_names(loaded: &mut [Loaded]) {
    let names: Vec<Option<Name>> = loaded.iter().map(|one| one.name.clone()).collect();
    for (at, one) in loaded.iter_mut().enumerate() {
        let Some(own) = &names[at] else { continue };
        let mut others = names.iter().enumerate().filter(|(index, _)| *index != at);
        let twin =
            others.find_map(|(_, other)| other.as_ref().filter(|other| other.text == own.text));
        if let Some(twin) = twin {
            let place = twin.source.position(twin.span.start);
            let message = format!(
                "another service has the name `{}`: {}:{}:{}",
                own.text,
                twin.source.path.display(),
                place.line,
                place.column
            );
            let problem =
                Diagnostic::error("repeated-service", &own.source, own.span.clone(), message).help(
                    "rename one; `service` under [environments.NAME] is what the service is called in ECS",
                );
            one.problems.push(problem);
            diagnostic::sort(&mut one.problems);
            one.service = None;
        }
    }
}

struct Loading<'a> {
    read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    problems: Vec<Diagnostic>,
    files: Vec<File>,
    clean: Vec<Clean>,
    /// Why the file that was asked for last could not be read.
    unread: Option<io::ErrorKind>,
    /// The name of the service, where it stands.
    name: Option<Name>,
}

impl Loading<'_> {
    /// Both files, as far as they go: the task definition is looked at even when the pipeline file has mistakes.
    fn service(&mut self, path: &Path) -> Option<Service> {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let (source, encoding) = self.source(path)?;
        let root = tree::parse_toml(&source, &mut self.problems);
        if encoding != text::Encoding::Plain {
            let text = source.text.clone();
            self.clean.push(Clean {
                path: path.to_path_buf(),
                text,
            });
        }
        let Some(root) = root else {
            self.task_definition_alone(&folder, &source);
            return None;
        };
        let pipeline_file = File { source, root };
        self.files.push(pipeline_file.clone());
        self.name = name_of(&pipeline_file);
        let newer = newer_members(&pipeline_file.root);
        let pipeline = decode_file::<Pipeline>(&pipeline_file, &newer, &mut self.problems);
        if let Some(pipeline) = &pipeline {
            check::pipeline(pipeline, &pipeline_file, &mut self.problems);
        }
        let task_file = self.task_file(&folder, &pipeline_file)?;
        self.files.push(task_file.clone());
        let task_definition =
            decode_file::<TaskDefinition>(&task_file, &newer, &mut self.problems)?;
        check::task_definition(&task_definition, &task_file, &mut self.problems);
        placeholder::task_definition(pipeline.as_ref(), &task_file, &mut self.problems);
        let pipeline = pipeline?;
        let problems = &mut self.problems;
        check::named_containers(&pipeline, &task_definition, &pipeline_file, problems);
        check::images_of_others(&pipeline, &task_definition, &task_file, problems);
        if has_errors(&self.problems) {
            // What could not be read would be taken for missing.
            return None;
        }
        let document = tree::to_json(&task_file.root);
        environments::unset_paths(&pipeline, &pipeline_file, &document, &mut self.problems);
        let environments = environments::all(&pipeline, &document);
        environments::check(&pipeline, &pipeline_file, &environments, &mut self.problems);
        check::newer_members(&pipeline, &pipeline_file, &task_file, &mut self.problems);
        let input = lint::Input {
            pipeline: &pipeline,
            pipeline_file: &pipeline_file,
            task_definition: &task_definition,
            task_file: &task_file,
        };
        lint::run(&input, &environments, &mut self.problems);
        Some(Service {
            folder,
            pipeline,
            task_definition,
            document,
        })
    }

    /// The task definition beside a pipeline file that is no TOML: its mistakes are told all the same.
    fn task_definition_alone(&mut self, folder: &Path, source: &Arc<Source>) {
        if (self.read)(&folder.join("task-definition.json")).is_err() {
            // The pipeline file may name another.
            return;
        }
        let nothing = File {
            source: Arc::clone(source),
            root: Node {
                span: 0..0,
                value: Value::Object(Vec::new()),
            },
        };
        let Some(file) = self.task_file(folder, &nothing) else {
            return;
        };
        self.files.push(file.clone());
        if let Some(decoded) = decode_file::<TaskDefinition>(&file, &[], &mut self.problems) {
            check::task_definition(&decoded, &file, &mut self.problems);
        }
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
        let Some((source, encoding)) = self.source(&path) else {
            // Of a file that is not there, the place is where it is named; of one that is no text, the file.
            let missing = self.unread == Some(io::ErrorKind::NotFound);
            if let Some(problem) = self.problems.get_mut(before)
                && (missing || self.unread.is_some() && named.is_some())
            {
                *problem = pipeline_file.error(
                    "unreadable-file",
                    &["service", "task-definition"],
                    problem.message.clone(),
                )
                .help("a task definition stands beside the pipeline file, as task-definition.json or as `task-definition` under [service] names it");
            }
            return None;
        };
        let root = tree::parse_json(&source, &mut self.problems)?;
        let normal = normalize::task_definition(root, &source, &mut self.problems);
        let clean = match normal.clean {
            None if encoding != text::Encoding::Plain => Some(source.text.clone()),
            clean => clean,
        };
        self.clean.extend(clean.map(|text| Clean { path, text }));
        let root = normal.root;
        Some(File { source, root })
    }

    fn source(&mut self, path: &Path) -> Option<(Arc<Source>, text::Encoding)> {
        self.unread = None;
        let (message, before) = match (self.read)(path).map(|bytes| text::decode(&bytes)) {
            Ok(Ok((text, encoding))) => {
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
                return Some((source, encoding));
            }
            Ok(Err(text::NotText { before, byte })) => {
                let message = match byte {
                    Some((offset, byte)) => format!(
                        "{} is not UTF-8 text: byte {byte:#04x} at offset {offset}",
                        path.display()
                    ),
                    None => format!("{} begins as UTF-16 text and is none", path.display()),
                };
                (message, before)
            }
            Err(error) => {
                self.unread = Some(error.kind());
                let message = format!("{} cannot be read: {error}", path.display());
                (message, String::new())
            }
        };
        let end = before.len();
        let source = Arc::new(Source::new(path, before));
        self.problems.push(Diagnostic::error(
            "unreadable-file",
            &source,
            end..end,
            message,
        ));
        None
    }
}

fn name_of(file: &File) -> Option<Name> {
    let node = file.root.at(&["service", "name"])?;
    match &node.value {
        Value::String(text) if !text.is_empty() => Some(Name {
            text: text.clone(),
            source: Arc::clone(&file.source),
            span: node.span.clone(),
        }),
        _ => None,
    }
}

/// Members that are allowed though they are not known, whatever else the file holds.
fn newer_members(root: &Node) -> Vec<String> {
    let list = root.at(&["service", "newer-members"]);
    let Some(Value::List(items)) = list.map(|list| &list.value) else {
        return Vec::new();
    };
    let name = |item: &Node| match &item.value {
        Value::String(name) => Some(name.clone()),
        _ => None,
    };
    items.iter().filter_map(name).collect()
}

fn has_errors(problems: &[Diagnostic]) -> bool {
    problems
        .iter()
        .any(|problem| problem.severity == Severity::Error)
}

fn decode_file<T: Decode>(
    file: &File,
    newer: &[String],
    problems: &mut Vec<Diagnostic>,
) -> Option<T> {
    let mut context = Context {
        source: &file.source,
        problems,
        partial: false,
        newer,
    };
    T::decode(&file.root, &mut context)
}
