//! `go build`, made repeatable: the same sources and toolchain give the same bytes in any folder on any machine.
//!
//! - Paths of this machine are trimmed, version control stamps are off, the commit comes in by `-X`.
//! - cgo is off, so that the result needs no C library and no C compiler decides about its bytes.
//! - The instruction set is Go's baseline even where the caller's shell exports `GOAMD64` or `GOARM64`.
//! - `GOFLAGS` is left alone. Go's own default is `-mod=readonly`, or `-mod=vendor` where there is a `vendor` folder,
//!   which is what is wanted.
//!
//! The output path is stable: Go then links again only when something changed.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::files::{self, FREE_OUTPUT, FileError};
use crate::platform::Platform;

/// How much of Go's own text an error carries, in lines and in bytes a line.
const MAX_LINES: usize = 60;
const MAX_LINE: usize = 1000;

/// A binary to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoBuild {
    /// The folder of the module, or one within it. Packages are relative to it.
    pub module_dir: PathBuf,
    /// The main package: `.`, `./cmd/api` or an import path.
    pub package: String,
    /// What the binary runs on.
    pub platform: Platform,
    /// A string variable that the linker sets to `commit`, such as `main.commit`.
    pub commit_variable: Option<String>,
    /// The commit being built.
    pub commit: String,
    /// More flags for the linker, as `-ldflags` takes them: each may hold several, and quotes.
    pub ldflags: Vec<String>,
    /// Build tags.
    pub tags: Vec<String>,
    /// Environment of the build. It wins over everything set here, such as `GOAMD64`.
    pub env: Vec<(String, String)>,
    /// Where the binary goes, below a folder for its platform.
    pub output_dir: PathBuf,
}

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

/// Builds the binary and gives its path, `<output_dir>/<os>-<arch>/<name>`, where the name is the last element of the
/// import path of the package.
///
/// # Errors
///
/// When the input is wrong, the build fails or the output folder cannot be written; see [`BuildError`].
pub fn build(spec: &GoBuild) -> Result<PathBuf, BuildError> {
    let package = spec.package.as_str();
    if package.is_empty()
        || package.starts_with('-')
        || package.contains("...")
        || package.contains(char::is_whitespace)
    {
        return Err(BuildError::BadPackage(spec.package.clone()));
    }
    let module = spec
        .module_dir
        .canonicalize()
        .map_err(|_| BuildError::NoFolder(spec.module_dir.clone()))?;
    let root = module
        .ancestors()
        .find(|folder| folder.join("go.mod").is_file())
        .ok_or_else(|| BuildError::NoModule(spec.module_dir.clone()))?;
    let ldflags = linker_flags(spec)?;

    let platform = spec.platform;
    let folder = spec
        .output_dir
        .join(format!("{}-{}", platform.os.as_str(), platform.arch));
    files::create_folder(&folder, FREE_OUTPUT)?;
    // Go runs in the module's folder, so a relative path would mean another place to it.
    let folder = folder
        .canonicalize()
        .map_err(|source| files::write_error(&spec.output_dir, FREE_OUTPUT, source))?;
    let output = folder.join(binary_name(&module, root, package));

    let mut command = go(spec, &module);
    command.args([
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        &ldflags,
    ]);
    if !spec.tags.is_empty() {
        command.arg("-tags").arg(spec.tags.join(","));
    }
    command.arg("-o").arg(&output).arg(package);
    let result = run(&mut command)?;
    if !result.status.success() {
        return Err(explain(spec, &module, folder, &result));
    }
    if is_archive(&output) {
        // For a library, Go writes an object archive and is content.
        let _ = std::fs::remove_file(&output);
        return Err(BuildError::NotMain {
            package: spec.package.clone(),
            available: main_packages(spec, &module),
        });
    }
    Ok(output)
}

/// `go` in the module's folder, with the environment that decides about the bytes.
fn go(spec: &GoBuild, module: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(module)
        .env("CGO_ENABLED", "0")
        .env("GOOS", spec.platform.os.as_str())
        .env("GOARCH", spec.platform.arch.as_str())
        .env("GOAMD64", "v1")
        .env("GOARM64", "v8.0")
        .env_remove("GOEXPERIMENT")
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null());
    command
}

pub(crate) fn run(command: &mut Command) -> Result<Output, BuildError> {
    command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => BuildError::NoGo,
        _ => BuildError::Start(error),
    })
}

fn linker_flags(spec: &GoBuild) -> Result<String, BuildError> {
    let mut flags = "-s -w".to_owned();
    if let Some(variable) = &spec.commit_variable {
        let bad = |what, value: &str, reason| {
            Err(BuildError::BadFlag {
                what,
                value: value.to_owned(),
                reason,
            })
        };
        if !variable.contains('.')
            || variable.contains(|c: char| c.is_whitespace() || "='\"".contains(c))
        {
            return bad(
                "the commit variable",
                variable,
                "write it as `package.name`, such as `main.commit`",
            );
        }
        if spec.commit.contains(['\'', '\n', '\r', '\0']) {
            return bad(
                "the commit",
                &spec.commit,
                "it holds a quote or a line break",
            );
        }
        let _ = write!(flags, " -X '{variable}={}'", spec.commit);
    }
    for flag in &spec.ldflags {
        flags.push(' ');
        flags.push_str(flag);
    }
    Ok(flags)
}

/// The last element of the package's import path, as Go itself would name the binary. For the package at the
/// module's root that is the module's name and not the folder's, which differs from checkout to checkout.
fn binary_name(module: &Path, root: &Path, package: &str) -> String {
    let last = |path: &str| {
        let is_version = |name: &&str| {
            name.strip_prefix('v')
                .is_some_and(|number| number.parse::<u32>().is_ok())
        };
        path.trim_end_matches('/')
            .rsplit('/')
            .find(|name| !is_version(name))
            .map(str::to_owned)
    };
    let name = if package.starts_with('.') {
        // A folder that does not exist is Go's to complain about.
        let folder = module.join(package);
        let folder = folder.canonicalize().unwrap_or(folder);
        if folder == root {
            std::fs::read_to_string(root.join("go.mod"))
                .ok()
                .and_then(|text| last(module_path(&text)?))
        } else {
            folder
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
        }
    } else {
        last(package)
    };
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| "app".to_owned())
}

/// The module's path in the text of a go.mod.
fn module_path(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        let path = line.trim_start().strip_prefix("module")?;
        if !path.starts_with([' ', '\t']) {
            return None;
        }
        let path = path.split("//").next().unwrap_or_default();
        Some(path.trim().trim_matches(['"', '`'])).filter(|path| !path.is_empty())
    })
}

fn is_archive(path: &Path) -> bool {
    use std::io::Read as _;
    let mut magic = [0; 8];
    std::fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut magic))
        .is_ok()
        && magic == *b"!<arch>\n"
}

/// Finds out why a build failed. Go's texts are for people, so what can be asked is asked.
fn explain(spec: &GoBuild, module: &Path, folder: PathBuf, result: &Output) -> BuildError {
    let package = spec.package.clone();
    let text = bounded(&String::from_utf8_lossy(&result.stderr));
    if text.contains("no space left on device") {
        return BuildError::DiskFull { package, folder };
    }
    let format = "{{.Name}}\t{{with .Error}}{{.Err}}{{end}}";
    if let Ok(list) = run(go(spec, module).args(["list", "-e", "-find", "-f", format, &package])) {
        let answer = String::from_utf8_lossy(&list.stdout);
        // No name means that no Go file was found; a package with errors in it has a name.
        if let Some(("", reason)) = answer
            .trim_end()
            .split_once('\t')
            .map(|(name, reason)| (name.trim(), reason))
        {
            let reason = bounded(reason);
            let available = main_packages(spec, module);
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

/// The main packages of the module, as paths relative to its folder. Empty when Go cannot list them: this only helps
/// an error along.
fn main_packages(spec: &GoBuild, module: &Path) -> Vec<String> {
    let format = "{{if eq .Name \"main\"}}{{.Dir}}{{end}}";
    let Ok(list) = run(go(spec, module).args(["list", "-e", "-find", "-f", format, "./..."]))
    else {
        return Vec::new();
    };
    let folders = String::from_utf8_lossy(&list.stdout);
    let mut packages: Vec<String> = folders
        .lines()
        .filter_map(|folder| Path::new(folder).strip_prefix(module).ok())
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

    fn spec() -> GoBuild {
        GoBuild {
            module_dir: PathBuf::from("."),
            package: ".".to_owned(),
            platform: Platform::LINUX_AMD64,
            commit_variable: Some("main.commit".to_owned()),
            commit: "0123abc".to_owned(),
            ldflags: vec!["-X 'main.version=1.0 beta'".to_owned()],
            tags: Vec::new(),
            env: Vec::new(),
            output_dir: PathBuf::from("out"),
        }
    }

    #[test]
    fn linker_flags_are_quoted_as_go_reads_them() {
        assert_eq!(
            linker_flags(&spec()).unwrap(),
            "-s -w -X 'main.commit=0123abc' -X 'main.version=1.0 beta'"
        );
        for (variable, commit) in [
            ("commit", "a"),
            ("main.a b", "a"),
            ("main.a=b", "a"),
            ("main.a", "it's"),
        ] {
            let spec = GoBuild {
                commit_variable: Some(variable.to_owned()),
                commit: commit.to_owned(),
                ..spec()
            };
            assert!(
                matches!(linker_flags(&spec), Err(BuildError::BadFlag { .. })),
                "{variable} {commit}"
            );
        }
    }

    #[test]
    fn the_binary_is_named_as_go_would() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("cmd/api")).unwrap();
        std::fs::write(
            root.join("go.mod"),
            "// about\nmodule example.com/shop/v2 // us\n\ngo 1.21\n",
        )
        .unwrap();
        for (module, package, name) in [
            ("", "./cmd/api", "api"),
            ("", "./cmd/api/", "api"),
            ("", "./cmd/missing", "missing"),
            ("", "example.com/shop/v2/cmd/worker", "worker"),
            ("", "example.com/shop/v2", "shop"),
            ("", ".", "shop"),
            ("cmd/api", ".", "api"),
            ("cmd/api", "../..", "shop"),
        ] {
            assert_eq!(
                binary_name(&root.join(module), &root, package),
                name,
                "{module} {package}"
            );
        }
    }

    #[test]
    fn the_module_path_is_found_in_go_mod() {
        assert_eq!(
            module_path("module\t\"example.com/a\"\n"),
            Some("example.com/a")
        );
        assert_eq!(module_path("modules x\n module a.b/c"), Some("a.b/c"));
        assert_eq!(module_path("go 1.21\nmodule \n"), None);
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
