//! The repository that a command works on: its services, its commit, and the folder for what longshore makes.

use std::path::PathBuf;

use anyhow::Context as _;
use diagnostic::Severity;
use service_config::{Loaded, Service};
use xshell::{Shell, cmd};

use crate::commands::current_dir;
use crate::exit::{bad_input, refused};
use crate::sources;
use crate::ui;

/// What stands for commit and branch outside a git repository.
pub const UNVERSIONED: &str = "unversioned";
/// What a commit's name ends with when the sources were changed since it.
pub const DIRTY: &str = "-dirty";

/// The repository.
pub struct Project {
    /// Its top folder.
    pub root: PathBuf,
    shell: Shell,
}

/// The commit that is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Full hash; `-dirty` behind it when the sources differ from it; `unversioned` outside a git repository.
    pub name: String,
    /// Whether the sources differ from the commit.
    pub dirty: bool,
}

impl Commit {
    /// As people write it.
    pub fn short(&self) -> String {
        short(&self.name)
    }
}

/// The first twelve characters of a commit's hash, and that the sources were changed since it.
pub fn short(commit: &str) -> String {
    let (hash, dirty) = match commit.strip_suffix(DIRTY) {
        Some(hash) => (hash, DIRTY),
        None => (commit, ""),
    };
    format!("{}{dirty}", hash.get(..12).unwrap_or(hash))
}

impl Project {
    /// The project that the current folder is in.
    pub fn find() -> anyhow::Result<Self> {
        let shell = Shell::new().context("the current folder cannot be used")?;
        let here = current_dir()?;
        let asked = cmd!(shell, "git rev-parse --show-toplevel")
            .quiet()
            .ignore_status()
            .output();
        let why = match asked {
            Ok(output) if output.status.success() => {
                let top = String::from_utf8_lossy(&output.stdout);
                return Ok(Self {
                    root: PathBuf::from(top.trim_end()),
                    shell,
                });
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr)
                .trim_end()
                .to_owned(),
            Err(error) => error.to_string(),
        };
        // A repository that git does not want to read must not be taken for no repository: its image would name no commit.
        if let Some(top) = here.ancestors().find(|folder| folder.join(".git").exists()) {
            return Err(refused(
                format!(
                    "{} is a git repository, but git cannot read it: {why}",
                    top.display()
                ),
                Some("fix that first: the image is named after the commit"),
            ));
        }
        Ok(Self { root: here, shell })
    }

    /// Folder for what longshore makes: caches, images, the local AWS. It ignores itself in git.
    pub fn home(&self) -> anyhow::Result<PathBuf> {
        let home = match std::env::var_os("LONGSHORE_HOME") {
            Some(home) if !home.is_empty() => current_dir()?.join(home),
            _ => self.root.join(".longshore"),
        };
        let ignore = home.join(".gitignore");
        if !ignore.exists() {
            std::fs::create_dir_all(&home)
                .and_then(|()| std::fs::write(&ignore, "*\n"))
                .with_context(|| format!("{} cannot be written; it holds caches and images (LONGSHORE_HOME names another folder)", home.display()))?;
        }
        Ok(home)
    }

    /// Every pipeline file, relative to the current folder where that is possible.
    fn pipelines(&self) -> anyhow::Result<Vec<PathBuf>> {
        let here = current_dir()?;
        let relative = |path: PathBuf| path.strip_prefix(&here).map_or(path.clone(), Into::into);
        let paths = review::pipelines(&self.root).context("the pipeline files cannot be listed")?;
        Ok(paths.into_iter().map(relative).collect())
    }

    /// All services of the repository as far as they can be read, with what was found.
    pub fn services(&self) -> anyhow::Result<Vec<Loaded>> {
        Ok(review::load(&self.pipelines()?))
    }

    /// The service that is meant, to be released: what `check` warns of is said, and stops nothing.
    pub fn service_to_release(&self, name: Option<&str>) -> anyhow::Result<Service> {
        let loaded = self.services()?;
        let service = self.choose(loaded.clone(), name)?;
        let own = |one: &&Loaded| {
            let folder = one.service.as_ref().map(|one| &one.folder);
            folder == Some(&service.folder)
        };
        for loaded in loaded.iter().filter(own) {
            let mut warnings = loaded.problems.clone();
            warnings.retain(|problem| problem.severity == Severity::Warning);
            let lines = diagnostic::render(&warnings, diagnostic::Format::Concise, false);
            if !lines.is_empty() {
                ui::say(lines.trim_end());
            }
        }
        Ok(service)
    }

    /// The one service that is meant: the named one, the only one, or the one whose folder this is.
    pub fn service(&self, name: Option<&str>) -> anyhow::Result<Service> {
        self.choose(self.services()?, name)
    }

    fn choose(&self, loaded: Vec<Loaded>, name: Option<&str>) -> anyhow::Result<Service> {
        let mut services = Vec::new();
        let mut problems = Vec::new();
        for one in loaded {
            services.extend(one.service);
            problems.extend(one.problems);
        }
        problems.retain(|problem| problem.severity == Severity::Error);
        let names = || {
            let names = services
                .iter()
                .map(|service: &Service| service.pipeline.service.name.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        let position = match name {
            Some(name) => services
                .iter()
                .position(|service| service.pipeline.service.name == name),
            None if services.len() == 1 && problems.is_empty() => Some(0),
            None => services
                .iter()
                .position(|service| service.folder.as_os_str().is_empty()),
        };
        if let Some(position) = position {
            return Ok(services.swap_remove(position));
        }
        if !problems.is_empty() {
            crate::report::problems(&problems, diagnostic::Format::Full);
            let count = crate::report::count(problems.len(), "problem");
            return Err(bad_input(format!(
                "{count} to fix before anything is built"
            )));
        }
        Err(match name {
            Some(name) if !services.is_empty() => bad_input(format!(
                "there is no service `{name}` here; there are: {}",
                names()
            )),
            _ if services.is_empty() => bad_input(format!(
                "there is no pipeline.toml in {}; a service is described by a pipeline.toml beside its task-definition.json",
                self.root.display()
            )),
            _ => bad_input(format!(
                "the repository holds several services: {}; name one with --service",
                names()
            )),
        })
    }

    /// The branch that is checked out, as `${branch}` stands for it: by CI's word where it runs there, `HEAD` when a bare commit is checked out, `unversioned` outside a git repository.
    pub fn branch(&self) -> String {
        let root = &self.root;
        branch_of_ci().unwrap_or_else(|| {
            cmd!(self.shell, "git -C {root} rev-parse --abbrev-ref HEAD")
                .quiet()
                .ignore_stderr()
                .read()
                .unwrap_or_else(|_| UNVERSIONED.to_owned())
        })
    }

    /// The commit that a build of this service comes from.
    pub fn commit(&self, service: &Service) -> Commit {
        let root = &self.root;
        let head = cmd!(self.shell, "git -C {root} rev-parse HEAD")
            .quiet()
            .ignore_stderr()
            .read();
        let Ok(head) = head else {
            return Commit {
                name: UNVERSIONED.to_owned(),
                dirty: false,
            };
        };
        let sources = sources::folders(service);
        let changes = cmd!(self.shell, "git status --porcelain -- {sources...}")
            .quiet()
            .ignore_stderr()
            .read();
        let dirty = changes.map_or(true, |changes| !changes.is_empty());
        Commit {
            name: if dirty { head + DIRTY } else { head },
            dirty,
        }
    }
}

/// The branch that a CI service says it runs for; a checkout of a bare commit has none.
fn branch_of_ci() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    variable("GITHUB_HEAD_REF").or_else(|| {
        let branch = variable("GITHUB_REF_TYPE").is_some_and(|kind| kind == "branch");
        variable("GITHUB_REF_NAME").filter(|_| branch)
    })
}

/// The environment that is meant, by name.
pub fn environment<'a>(service: &'a Service, name: Option<&'a str>) -> anyhow::Result<&'a str> {
    let name = name.unwrap_or_else(|| service.pipeline.default_environment());
    service
        .environment(name)
        .map_err(|error| bad_input(error.to_string()))?;
    Ok(name)
}
