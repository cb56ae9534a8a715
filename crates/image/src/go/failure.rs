//! Why a Go build failed, in words that say what to do.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::{GoBuild, go, run};
use crate::files::FileError;

/// How much of Go's own text an error carries, in lines and in bytes a line.
const MAX_LINES: usize = 60;
const MAX_LINE: usize = 1000;

/// A build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Go is not installed.
    #[error("`go` is not on PATH: install Go from https://go.dev/dl")]
    NoGo,
    /// The module's folder is missing.
    #[error("the module folder {} does not exist", .0.display())]
    NoFolder(PathBuf),
    /// The folder belongs to no module.
    #[error("there is no go.mod in {} or above it: name the module's folder, or run `go mod init` there", .0.display())]
    NoModule(PathBuf),
    /// The package's name is not one package.
    #[error(
        "`{0}` does not name one package: use `.`, a path such as `./cmd/api`, or an import path"
    )]
    BadPackage(String),
    /// The module asks for a version of Go that is neither here nor to be had.
    #[error(
        "the module asks for Go {wanted}, which is not on this machine and cannot be fetched ({reason}): install it from \
         https://go.dev/dl, or ask for an earlier one in the `go` and `toolchain` lines of go.mod"
    )]
    Toolchain {
        /// The version, such as `1.26.3`.
        wanted: String,
        /// Why it cannot be fetched.
        reason: String,
    },
    /// The commit did not arrive in the program.
    #[error(
        "the program does not hold the commit: `commit-variable` names `{0}`, and no string variable of that name is used \
         in it. It is written as `main.commit`, or with the import path of another package, \
         `example.com/shop/internal/build.Commit`, and must be declared without a value or with a constant one"
    )]
    NoCommitVariable(String),
    /// There is no such package.
    #[error("there is no package `{package}` in {}: {reason}{}", module.display(), available_text(available))]
    PackageNotFound {
        /// The package that was asked for.
        package: String,
        /// Where it was looked for.
        module: PathBuf,
        /// Go's words.
        reason: String,
        /// The main packages that do exist, as `./paths`.
        available: Vec<String>,
    },
    /// The package is a library.
    #[error(
        "the package `{package}` is not `package main`, so it has no binary{}",
        available_text(available)
    )]
    NotMain {
        /// The package that was asked for.
        package: String,
        /// The main packages that do exist, as `./paths`.
        available: Vec<String>,
    },
    /// A value that cannot be passed to the linker.
    #[error("{what} `{value}` cannot be given to the Go linker: {reason}")]
    BadFlag {
        /// Which setting it is.
        what: &'static str,
        /// Its value.
        value: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The compiler, the linker or the module loader refused.
    #[error("`go build {package}` failed:\n{text}")]
    Failed {
        /// The package.
        package: String,
        /// Go's own text, cut to a bounded length.
        text: String,
    },
    /// The disk is full.
    #[error(
        "no space left on a disk while Go was building {package}: free some space for {} or for Go's build cache \
         (`go clean -cache`)",
        folder.display()
    )]
    DiskFull {
        /// The package.
        package: String,
        /// The output folder.
        folder: PathBuf,
    },
    /// `go` could not be started.
    #[error("cannot run `go`: {0}")]
    Start(#[source] io::Error),
    /// The output folder cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Where a build ran.
pub(super) struct Place<'a> {
    /// The folder that Go ran in.
    pub(super) module: &'a Path,
    /// What the package is called there.
    pub(super) package: &'a str,
    /// The folder that people's paths are relative to.
    pub(super) named_in: &'a Path,
}

/// Finds out why a build failed. Go's texts are for people, so what can be asked is asked.
pub(super) fn explain(
    spec: &GoBuild,
    place: &Place<'_>,
    folder: PathBuf,
    result: &Output,
) -> BuildError {
    let package = spec.package.clone();
    let text = bounded(&String::from_utf8_lossy(&result.stderr));
    if text.contains("no space left on device") || text.contains("disk quota exceeded") {
        return BuildError::DiskFull { package, folder };
    }
    if let Some((wanted, reason)) = missing_toolchain(&text) {
        return BuildError::Toolchain { wanted, reason };
    }
    let format = "{{.Name}}\t{{with .Error}}{{.Err}}{{end}}";
    if let Ok(list) =
        run(go(spec, place.module).args(["list", "-e", "-find", "-f", format, place.package]))
    {
        let answer = String::from_utf8_lossy(&list.stdout);
        // No name means that no Go file was found; a package with errors in it has a name.
        if let Some(("", reason)) = answer
            .trim_end()
            .split_once('\t')
            .map(|(name, reason)| (name.trim(), reason))
        {
            let reason = bounded(reason);
            let available = main_packages(spec, place);
            return BuildError::PackageNotFound {
                package,
                module: spec.module_dir.clone(),
                reason,
                available,
            };
        }
    }
    BuildError::Failed { package, text }
}

/// The version of Go that is missing, and why it was not fetched, in Go's words for either case: it may not be fetched
/// (`GOTOOLCHAIN=local`), or it cannot be.
fn missing_toolchain(text: &str) -> Option<(String, String)> {
    let number = |text: &str| {
        let end = text
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
            .unwrap_or(text.len());
        text[..end].trim_end_matches('.').to_owned()
    };
    text.lines().find_map(|line| {
        if let Some((_, rest)) = line.split_once("requires go >= ") {
            let reason = rest.split_once('(').map_or(rest, |(_, rest)| rest);
            return Some((number(rest), reason.trim_end_matches(')').to_owned()));
        }
        let rest = line.strip_prefix("go: download go")?;
        let reason = rest.rsplit_once(": ").map_or(rest, |(_, reason)| reason);
        Some((number(rest), reason.to_owned()))
    })
}

/// The main packages of the module, as paths relative to its folder. Empty when Go cannot list them: this only helps
/// an error along.
pub(super) fn main_packages(spec: &GoBuild, place: &Place<'_>) -> Vec<String> {
    let format = "{{if eq .Name \"main\"}}{{.Dir}}{{end}}";
    let Ok(list) = run(go(spec, place.module).args(["list", "-e", "-find", "-f", format, "./..."]))
    else {
        return Vec::new();
    };
    let folders = String::from_utf8_lossy(&list.stdout);
    let mut packages: Vec<String> = folders
        .lines()
        .filter_map(|folder| Path::new(folder).strip_prefix(place.named_in).ok())
        .map(|path| {
            if path.as_os_str().is_empty() {
                ".".to_owned()
            } else {
                format!("./{}", path.display())
            }
        })
        .collect();
    packages.sort();
    packages
}

fn available_text(available: &[String]) -> String {
    if available.is_empty() {
        "; the module has no main package".to_owned()
    } else {
        format!("; the main packages are: {}", available.join(", "))
    }
}

/// The head of Go's text: the first error is the one to mend.
fn bounded(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.trim_end().lines();
    for line in lines.by_ref().take(MAX_LINES) {
        if !out.is_empty() {
            out.push('\n');
        }
        match line.char_indices().nth(MAX_LINE) {
            Some((end, _)) => {
                out.push_str(&line[..end]);
                out.push('…');
            }
            None => out.push_str(line),
        }
    }
    let rest = lines.count();
    if rest > 0 {
        let _ = write!(out, "\n… and {rest} more lines");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_toolchain_is_known_by_gos_words() {
        for (text, expected) in [
            (
                "go: go.mod requires go >= 1.26.99 (running go 1.26.8; GOTOOLCHAIN=local)",
                Some(("1.26.99", "running go 1.26.8; GOTOOLCHAIN=local")),
            ),
            (
                "go: module ../lib requires go >= 1.27rc1 (running go 1.26.8)",
                Some(("1.27rc1", "running go 1.26.8")),
            ),
            (
                "go: downloading go1.99.0 (linux/amd64)\ngo: download go1.99.0 for linux/amd64: toolchain not available",
                Some(("1.99.0", "toolchain not available")),
            ),
            (
                "go: download go1.99.0: golang.org/toolchain@v0.0.1-go1.99.0.linux-amd64: Get \"https://x/y\": dial tcp: connection refused",
                Some(("1.99.0", "connection refused")),
            ),
            ("main.go:3:15: undefined: x", None),
        ] {
            let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
            assert_eq!(missing_toolchain(text), expected, "{text}");
        }
    }

    #[test]
    fn long_output_keeps_its_head() {
        let text = (0..100)
            .map(|line| format!("line {line}"))
            .collect::<Vec<_>>()
            .join(
                "
",
            );
        let short = bounded(&text);
        assert!(
            short.starts_with("line 0\n") && short.ends_with("line 59\n… and 40 more lines"),
            "{short}"
        );
        assert_eq!(bounded(&"é".repeat(2000)).chars().count(), MAX_LINE + 1);
    }
}
