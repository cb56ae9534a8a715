//! `go build`, made repeatable: the same sources and toolchain give the same bytes in any folder on any machine.
//!
//! - Paths of this machine are trimmed, version control stamps are off, the commit comes in by `-X`.
//! - cgo is off, so that the result needs no C library and no C compiler decides about its bytes.
//! - The instruction set is Go's baseline even where the caller's shell exports `GOAMD64` or `GOARM64`.
//! - `GOFLAGS` is left alone. Go's own default is `-mod=readonly`, or `-mod=vendor` where there is a `vendor` folder,
//!   which is what is wanted.
//!
//! The output path is stable: Go then links again only when something changed.

mod failure;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub use failure::BuildError;

use crate::files::{self, FREE_OUTPUT};
use crate::platform::Platform;

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
    let named_in = spec
        .module_dir
        .canonicalize()
        .map_err(|_| BuildError::NoFolder(spec.module_dir.clone()))?;
    let (module, package) =
        &place(&named_in, package).ok_or_else(|| BuildError::NoModule(spec.module_dir.clone()))?;
    let root = module_root(module).unwrap_or(module);
    let run_as = failure::Place {
        module,
        package,
        named_in: &named_in,
    };
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
    let output = folder.join(binary_name(module, root, package));

    let mut command = go(spec, module);
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
        return Err(failure::explain(spec, &run_as, folder, &result));
    }
    if is_archive(&output) {
        // For a library, Go writes an object archive and is content.
        let _ = std::fs::remove_file(&output);
        return Err(BuildError::NotMain {
            package: spec.package.clone(),
            available: failure::main_packages(spec, &run_as),
        });
    }
    if let Some(variable) = &spec.commit_variable
        && !holds(&output, &spec.commit)?
    {
        // The linker sets what it finds and is silent about the rest.
        return Err(BuildError::NoCommitVariable(variable.clone()));
    }
    Ok(output)
}

/// Where Go is run, and what the package is called there. A package by its path may lie in a module below the folder
/// that it was named in (`./backend/cmd/api`); Go finds it only from within. `None` when it is in no module.
fn place(folder: &Path, package: &str) -> Option<(PathBuf, String)> {
    if package.starts_with("./") {
        let path = folder.join(package);
        // A folder that does not exist is Go's to complain about, from within the module that it would be in.
        let target = path.ancestors().find_map(|part| {
            Some(
                part.canonicalize()
                    .ok()?
                    .join(path.strip_prefix(part).ok()?),
            )
        })?;
        if let Some(below) = module_root(&target)
            && below != folder
            && below.starts_with(folder)
        {
            let package = match target.strip_prefix(below).ok()?.to_str()? {
                "" => ".".to_owned(),
                rest => format!("./{rest}"),
            };
            return Some((below.to_owned(), package));
        }
    }
    module_root(folder)?;
    Some((folder.to_owned(), package.to_owned()))
}

/// The nearest folder with a go.mod, from `folder` upwards.
fn module_root(folder: &Path) -> Option<&Path> {
    folder
        .ancestors()
        .find(|folder| folder.join("go.mod").is_file())
}

/// Whether the program holds a text.
fn holds(program: &Path, text: &str) -> Result<bool, BuildError> {
    let data = files::read(program)?;
    Ok(memchr::memmem::find(&data, text.as_bytes()).is_some())
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
}
