//! The task definitions of a repository as they are reviewed: every service, every environment, each in a snapshot beside its pipeline file.
//!
//! What is sent to ECS is a function of two files, and a small change to one of them may change much of it. So the result stands in the repository too,
//! `snapshots/ENVIRONMENT.snap`, where a pull request shows what a change comes to. What only a deployment knows (image, commit, branch; account and region where the environment
//! names none) stands in it as `${image}` and so on; all else is, byte for byte, what ECS gets.
//!
//! `cargo xtask render --check` compares, `--accept` writes; [`assert_reviewed`] does the same from a test with insta, whose files these are.

mod files;

use std::io;
use std::path::{Path, PathBuf};

use diagnostic::{Diagnostic, Severity};
use service_config::{Inputs, Loaded, Service};

pub use files::{pipelines, read_file};

/// The task definition of one service in one environment, and what was reviewed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Name of the service.
    pub service: String,
    /// Name of the environment.
    pub environment: String,
    /// The snapshot's file.
    pub snapshot: PathBuf,
    /// What would be sent now.
    pub now: String,
    /// What the snapshot holds; none when there is no snapshot.
    pub reviewed: Option<String>,
}

impl Document {
    /// Whether what would be sent is what was reviewed.
    pub fn is_reviewed(&self) -> bool {
        self.reviewed.as_ref() == Some(&self.now)
    }

    /// What has changed since the review, as a unified diff.
    pub fn difference(&self) -> String {
        let path = self.snapshot.display().to_string();
        let reviewed = self.reviewed.as_deref().unwrap_or_default();
        similar::TextDiff::from_lines(reviewed, &self.now)
            .unified_diff()
            .context_radius(3)
            .header(&path, &format!("{path} (now)"))
            .to_string()
    }

    /// The snapshot's file as it should be.
    pub fn file(&self) -> String {
        format!("---\nsource: cargo xtask render\n---\n{}", self.now)
    }
}

/// All services of a repository. `root` is its top folder; paths are as they are handed in.
pub fn load(pipelines: &[PathBuf]) -> Vec<Loaded> {
    let load = |path: &PathBuf| {
        let folder = path.parent().unwrap_or(Path::new(""));
        service_config::load(path, &|file| read_file(folder, file))
    };
    let mut loaded: Vec<Loaded> = pipelines.iter().map(load).collect();
    service_config::same_names(&mut loaded);
    loaded
}

/// The documents of one service, one for each environment.
pub fn documents(service: &Service) -> io::Result<Vec<Document>> {
    let folder = snapshots(service);
    let mut documents = Vec::new();
    for environment in service.pipeline.environments.keys() {
        let snapshot = folder.join(format!("{environment}.snap"));
        let now = service
            .render(&Inputs::for_review(environment))
            .map_err(io::Error::other)?;
        documents.push(Document {
            service: service.pipeline.service.name.clone(),
            environment: environment.clone(),
            reviewed: reviewed(&snapshot)?,
            snapshot,
            now,
        });
    }
    Ok(documents)
}

/// Snapshots of environments that the service does not have any more.
pub fn left_over(service: &Service) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(snapshots(service)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut left_over = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let environment = path.file_stem().and_then(|name| name.to_str());
        let known =
            environment.is_some_and(|name| service.pipeline.environments.contains_key(name));
        if path.extension().is_some_and(|end| end == "snap") && !known {
            left_over.push(path);
        }
    }
    left_over.sort();
    Ok(left_over)
}

fn snapshots(service: &Service) -> PathBuf {
    service.folder.join("snapshots")
}

/// What stands in a snapshot behind its head.
fn reviewed(path: &Path) -> io::Result<Option<String>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text.replace("\r\n", "\n"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let behind_head = text
        .strip_prefix("---\n")
        .and_then(|text| text.split_once("\n---\n"))
        .map_or(text.as_str(), |(_, body)| body);
    Ok(Some(format!("{}\n", behind_head.trim_end())))
}

/// Errors among what was found.
pub fn errors(loaded: &[Loaded]) -> Vec<Diagnostic> {
    let problems = loaded.iter().flat_map(|one| &one.problems);
    problems
        .filter(|problem| problem.severity == Severity::Error)
        .cloned()
        .collect()
}

/// Asserts that every task definition of a repository, of every service in every environment, is as it was reviewed. For a test of your own:
///
/// ```no_run
/// # use std::path::Path;
/// // #[test]
/// fn the_task_definitions_are_as_reviewed() {
///     review::assert_reviewed(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")));
/// }
/// ```
///
/// What has changed is accepted as every snapshot of insta is: `cargo insta review`, or `INSTA_UPDATE=always`; or with `cargo xtask render --accept`.
///
/// # Panics
///
/// When a task definition is not as reviewed, a snapshot is left over, or a file has mistakes.
#[cfg(feature = "insta")]
#[expect(clippy::expect_used, reason = "a panic is how an assertion fails")]
pub fn assert_reviewed(root: &Path) {
    let root = root.canonicalize().expect("the repository is there");
    let loaded = load(&pipelines(&root).expect("the pipeline files can be listed"));
    assert!(
        !loaded.is_empty(),
        "{} has no pipeline.toml",
        root.display()
    );
    let errors = errors(&loaded);
    let told = diagnostic::render(&errors, diagnostic::Format::Full, false);
    assert!(errors.is_empty(), "{told}");
    for service in loaded.into_iter().filter_map(|one| one.service) {
        let left_over = left_over(&service).expect("the snapshots can be listed");
        assert!(left_over.is_empty(), "left over: {left_over:?}");
        for document in documents(&service).expect("the snapshots can be read") {
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(snapshots(&service));
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.bind(|| insta::assert_snapshot!(document.environment, document.now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        let folder = path.parent().expect("it is in a folder");
        std::fs::create_dir_all(folder).expect("the folder can be made");
        std::fs::write(path, text).expect("the file can be written");
    }

    fn service(root: &Path, name: &str) -> PathBuf {
        let folder = root.join(name);
        let pipeline = format!(
            "[service]\nname = \"{name}\"\n[build]\npackage = \".\"\n[registry]\nrepository = \"{name}\"\n[deploy]\ncontainer = \"app\"\n[environments.a]\n[environments.b]\n"
        );
        write(&folder.join("pipeline.toml"), &pipeline);
        let task =
            "{\"family\": \"${service}-${env}\", \"containerDefinitions\": [{\"name\": \"app\"}]}";
        write(&folder.join("task-definition.json"), task);
        folder.join("pipeline.toml")
    }

    fn all(pipelines: &[PathBuf]) -> Vec<Document> {
        let services = load(pipelines).into_iter().map(|one| one.service);
        services
            .flat_map(|service| documents(&service.expect("it has no mistakes")).expect("readable"))
            .collect()
    }

    /// Every service in every environment is new, then as reviewed, then changed; what else lies in the folder is left over.
    #[test]
    fn every_service_and_environment_is_compared() {
        let root = tempfile::tempdir().expect("a folder can be made");
        let pipelines = [service(root.path(), "one"), service(root.path(), "two")];
        let documents = all(&pipelines);
        assert_eq!(documents.len(), 4);
        for document in &documents {
            assert_eq!(document.reviewed, None);
            write(&document.snapshot, &document.file());
        }
        assert!(all(&pipelines).iter().all(Document::is_reviewed));
        // As git checks files out on some machines.
        let crlf = documents[0].file().replace('\n', "\r\n");
        write(&documents[0].snapshot, &crlf);
        assert!(all(&pipelines).iter().all(Document::is_reviewed));
        let changed = documents[3].file().replace("two-b", "two-c");
        write(&documents[3].snapshot, &changed);
        write(&root.path().join("two/snapshots/gone.snap"), "");
        let now = all(&pipelines);
        let reviewed: Vec<bool> = now.iter().map(Document::is_reviewed).collect();
        assert_eq!(reviewed, [true, true, true, false]);
        let difference = now[3].difference();
        assert!(difference.contains("-  \"family\": \"two-c\",\n+  \"family\": \"two-b\","));
        let left: Vec<PathBuf> = load(&pipelines)
            .iter()
            .filter_map(|one| one.service.as_ref())
            .flat_map(|service| left_over(service).expect("readable"))
            .collect();
        assert_eq!(left, [root.path().join("two/snapshots/gone.snap")]);
    }

    #[test]
    fn mistakes_are_told_and_not_compared() {
        let root = tempfile::tempdir().expect("a folder can be made");
        let pipeline = service(root.path(), "one");
        write(&root.path().join("one/task-definition.json"), "{}");
        assert_eq!(errors(&load(&[pipeline])).len(), 2);
    }
}
