//! `/probe`: a program for images without a shell, which asks an HTTP address and ends with 0 when the answer is 200.
//!
//! ECS runs a container's health check inside the container. A service that has no health command of its own would
//! need curl, and with it a base image with a distribution. This one is a single small Go file, compiled here with
//! the toolchain that compiles the service: nothing is fetched, and the same toolchain gives the same bytes.

use std::path::PathBuf;
use std::process::Command;

use crate::files::{self, FREE_OUTPUT};
use crate::go::{self, BuildError, GoBuild};
use crate::platform::Platform;

/// Its path in the image, without the leading slash.
pub const NAME: &str = "probe";

const SOURCE: &str = include_str!("probe/main.go");
// The version is that of the language: an old one is understood by every toolchain.
const MODULE: &str = "module longshore/probe\n\ngo 1.21\n";

/// A probe to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeBuild {
    /// The folder of the service's module, which decides about the toolchain.
    pub module_dir: PathBuf,
    /// What the probe runs on.
    pub platform: Platform,
    /// Environment of the service's build.
    pub env: Vec<(String, String)>,
    /// Where its source and, below a folder for its platform, the binary go.
    pub output_dir: PathBuf,
}

/// Builds the probe and gives its path.
///
/// # Errors
///
/// When Go is missing or fails, or the output folder cannot be written; see [`BuildError`].
pub fn build(spec: &ProbeBuild) -> Result<PathBuf, BuildError> {
    let source = spec.output_dir.join("source");
    files::create_folder(&source, FREE_OUTPUT)?;
    for (name, text) in [("go.mod", MODULE), ("main.go", SOURCE)] {
        let path = source.join(name);
        if !std::fs::read(&path).is_ok_and(|found| found == text.as_bytes()) {
            files::write(&path, text.as_bytes(), FREE_OUTPUT)?;
        }
    }
    let mut env = spec.env.clone();
    // What is meant for the service's module is not meant for this one: `-mod=vendor`, a workspace, tags.
    env.extend([("GOFLAGS", ""), ("GOWORK", "off")].map(owned));
    if let Some(version) = toolchain(spec)? {
        env.push(owned(("GOTOOLCHAIN", &version)));
    }
    go::build(&GoBuild {
        module_dir: source,
        package: ".".to_owned(),
        platform: spec.platform,
        commit_variable: None,
        commit: String::new(),
        ldflags: Vec::new(),
        tags: Vec::new(),
        env,
        output_dir: spec.output_dir.clone(),
    })
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The toolchain that Go chooses in the service's module, as `GOTOOLCHAIN` takes it; `None` for one that is no release.
fn toolchain(spec: &ProbeBuild) -> Result<Option<String>, BuildError> {
    let mut command = Command::new("go");
    command
        .current_dir(&spec.module_dir)
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .args(["env", "GOVERSION"]);
    let answer = go::run(&mut command)?;
    let text = String::from_utf8_lossy(&answer.stdout);
    let version = text.split_whitespace().next().unwrap_or_default();
    let release = version
        .strip_prefix("go1.")
        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'));
    Ok(release.then(|| version.to_owned()))
}
