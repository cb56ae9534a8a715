//! `diff`: what the present sources register otherwise than those of another commit. Offline: nothing is built and nobody is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use diagnostic::Severity;
use serde::Serialize;
use service_config::{Inputs, Loaded, Service};
use xshell::{Shell, cmd};

use super::OutputFormat;
use crate::ci::{self, code_block, table_cell};
use crate::commands::workflows::all_services;
use crate::exit::bad_input;
use crate::project::Project;
use crate::ui;

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The commit to compare with: a branch, a tag, `HEAD^1`.
    #[arg(long, value_name = "COMMIT")]
    base: String,
    /// What is printed on standard output.
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// What changes for one service in one environment.
#[derive(Debug, Serialize)]
struct Change {
    service: String,
    environment: String,
    /// A unified diff of the rendered task definitions; empty when nothing changes.
    diff: String,
}

/// Runs `diff`.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    let base = Base::find(&project, &args.base)?;
    let before = documents(&base.services()?);
    let after = documents(&all_services(&project)?);
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changes: Vec<Change> = names
        .into_iter()
        .map(|key| {
            let text = |side: &Documents| side.get(key).cloned().unwrap_or_default();
            let (old, new) = (text(&before), text(&after));
            let (service, environment) = key.clone();
            Change {
                diff: similar::TextDiff::from_lines(&old, &new)
                    .unified_diff()
                    .header(&base.name, "now")
                    .to_string(),
                service,
                environment,
            }
        })
        .collect();
    if let Some(github) = ci::github() {
        github.summary(&markdown(&base, &changes));
    }
    match args.format {
        OutputFormat::Json => {
            ui::print(&format!("{}\n", serde_json::to_string_pretty(&changes)?));
        }
        OutputFormat::Text => ui::print(&text(&changes)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Service and environment, and the document that is registered.
type Documents = BTreeMap<(String, String), String>;

fn documents(services: &[Service]) -> Documents {
    let mut documents = Documents::new();
    for service in services {
        for environment in service.pipeline.environments.keys() {
            // What changes with each build is the same on both sides.
            let document = service.render(&Inputs {
                environment,
                image: "IMAGE",
                commit: "COMMIT",
                branch: "BRANCH",
                account: "ACCOUNT",
                region: "REGION",
                variables: &BTreeMap::new(),
            });
            if let Ok(document) = document {
                let key = (service.pipeline.service.name.clone(), environment.clone());
                documents.insert(key, document);
            }
        }
    }
    documents
}

/// The files of another commit.
struct Base {
    shell: Shell,
    root: PathBuf,
    commit: String,
    name: String,
}

impl Base {
    fn find(project: &Project, name: &str) -> anyhow::Result<Self> {
        let shell = Shell::new()?;
        let root = project.root.clone();
        let wanted = format!("{name}^{{commit}}");
        let commit = cmd!(shell, "git -C {root} rev-parse --verify --quiet --end-of-options {wanted}")
            .quiet()
            .ignore_stderr()
            .read()
            .map_err(|_| {
                bad_input(format!(
                    "there is no commit `{name}` in this repository; a shallow clone lacks all but the newest (`fetch-depth` of actions/checkout)"
                ))
            })?;
        Ok(Self {
            shell,
            root,
            commit,
            name: name.to_owned(),
        })
    }

    /// The services that could be read at that commit. What was wrong there is not this command's business.
    fn services(&self) -> anyhow::Result<Vec<Service>> {
        let (root, commit) = (&self.root, &self.commit);
        let listed = cmd!(
            self.shell,
            "git -C {root} ls-tree -r -z --name-only {commit}"
        )
        .quiet()
        .read()?;
        let pipelines = listed
            .split('\0')
            .filter(|path| *path == "pipeline.toml" || path.ends_with("/pipeline.toml"));
        let read = |path: &Path| self.read(path);
        Ok(pipelines
            .map(|path| service_config::load(Path::new(path), &read))
            .filter_map(|loaded: Loaded| {
                let broken = loaded
                    .problems
                    .iter()
                    .any(|problem| problem.severity == Severity::Error);
                if broken {
                    ui::say(&format!("note: a service cannot be read at {}", self.name));
                }
                loaded.service
            })
            .collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (root, object) = (&self.root, format!("{}:{}", self.commit, path.display()));
        let output = cmd!(self.shell, "git -C {root} cat-file blob {object}")
            .quiet()
            .ignore_status()
            .output()
            .map_err(io::Error::other)?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("it is not in {}", self.name),
            ))
        }
    }
}

fn text(changes: &[Change]) -> String {
    let mut out = String::new();
    for change in changes {
        let what = if change.diff.is_empty() {
            "nothing changes"
        } else {
            "the task definition changes"
        };
        let _ = writeln!(out, "{} in {}: {what}", change.service, change.environment);
        out.push_str(&change.diff);
    }
    out
}

fn markdown(base: &Base, changes: &[Change]) -> String {
    let mut out = format!(
        "## Task definitions, against {}\n\nThe image and the commit aside, this is what a deployment would register.\n",
        table_cell(&base.name)
    );
    let same: Vec<String> = changes
        .iter()
        .filter(|change| change.diff.is_empty())
        .map(|change| format!("{} in {}", change.service, change.environment))
        .collect();
    for change in changes.iter().filter(|change| !change.diff.is_empty()) {
        let _ = write!(
            out,
            "\n### {} in {}\n\n{}",
            table_cell(&change.service),
            table_cell(&change.environment),
            code_block("diff", &change.diff)
        );
    }
    if !same.is_empty() {
        let _ = writeln!(
            out,
            "\nNothing changes for {}.",
            table_cell(&same.join(", "))
        );
    }
    out
}
