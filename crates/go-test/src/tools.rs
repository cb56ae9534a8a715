//! What the other Go tools say: the compiler and `go vet`, `go mod tidy`, `go mod verify`, `govulncheck`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::report::{Kind, Place, Problem};

/// Where the sources lie: turns what Go's tools name into files of the repository.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Top of the repository; places are relative to it.
    pub root: PathBuf,
    /// Folder that the tools run in; relative paths of theirs begin here.
    pub folder: PathBuf,
    /// Folder of each package, by import path.
    pub packages: BTreeMap<String, PathBuf>,
}

impl Sources {
    /// Reads `go list -f '{{.ImportPath}}\t{{.Dir}}'`.
    pub fn list(&mut self, output: &str) {
        self.packages = output
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(path, folder)| (path.to_owned(), PathBuf::from(folder)))
            .collect();
    }

    /// A file named by its last part, in a package.
    pub(crate) fn in_package(&self, package: &str, file: &str, line: u32) -> Option<Place> {
        // An external test package has the folder of the one it tests.
        let folder = self
            .packages
            .get(package)
            .or_else(|| self.packages.get(package.strip_suffix("_test")?))?;
        Some(self.place(&folder.join(file), line, None))
    }

    /// An absolute path, when it is one of the service's own files.
    pub(crate) fn own(&self, file: &str, line: u32) -> Option<Place> {
        let path = Path::new(file);
        let own = path.starts_with(&self.root)
            || self
                .packages
                .values()
                .any(|folder| path.starts_with(folder));
        // Go's own main of a test binary is in no folder.
        (own && !file.ends_with("_testmain.go")).then(|| self.place(path, line, None))
    }

    /// A path as a tool wrote it.
    fn written(&self, file: &str, line: u32, column: Option<u32>) -> Place {
        let path: PathBuf = self
            .folder
            .join(file)
            .components()
            .filter(|part| !matches!(part, std::path::Component::CurDir))
            .collect();
        self.place(&path, line, column)
    }

    fn place(&self, path: &Path, line: u32, column: Option<u32>) -> Place {
        let file = path.strip_prefix(&self.root).unwrap_or(path);
        Place {
            file: file.display().to_string(),
            line,
            column,
        }
    }
}

/// Lines `file.go:3:31: message`, each a problem; a tab continues the line before.
pub(crate) fn compiler_lines(output: &str, kind: Kind, sources: &Sources) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut package = None;
    for line in output.lines() {
        if let Some(header) = line.strip_prefix("# ") {
            let name = header.trim_matches(['[', ']']).split(' ').next();
            package = name.map(str::to_owned);
        } else if let Some((place, message)) = compiler_line(line, sources) {
            let mut problem = Problem::new(kind, message).output(format!("{line}\n"));
            problem.place = Some(place);
            problem.package.clone_from(&package);
            problems.push(problem);
        } else if let Some(last) = problems.last_mut()
            && line.starts_with('\t')
        {
            last.output.push_str(line);
            last.output.push('\n');
        }
    }
    problems
}

fn compiler_line<'a>(line: &'a str, sources: &Sources) -> Option<(Place, &'a str)> {
    let line = line.strip_prefix("vet: ").unwrap_or(line);
    let (file, rest) = line.split_once(".go:")?;
    let (number, rest) = rest.split_once(':')?;
    let number = number.parse().ok()?;
    let (column, message) = match rest.split_once(':') {
        Some((column, message)) if column.parse::<u32>().is_ok() => (column.parse().ok(), message),
        _ => (None, rest),
    };
    let place = sources.written(&format!("{file}.go"), number, column);
    Some((place, message.trim()))
}

/// What `go vet` wrote on standard error. Empty when it is no finding but a refusal.
pub fn vet(output: &str, sources: &Sources) -> Vec<Problem> {
    compiler_lines(output, Kind::Vet, sources)
}

/// `go mod tidy -diff` wrote a diff.
pub fn untidy(diff: &str, module: &str) -> Problem {
    let mut files: Vec<&str> = diff
        .lines()
        .filter_map(|line| line.strip_prefix("diff current/"))
        .filter_map(|rest| rest.split(' ').next())
        .collect();
    files.dedup();
    let files = if files.is_empty() {
        "go.mod".to_owned()
    } else {
        files.join(" and ")
    };
    let count = |sign: char| {
        diff.lines()
            .filter(|line| line.starts_with(sign) && !line.starts_with(&sign.to_string().repeat(3)))
            .count()
    };
    let mut problem = Problem::new(
        Kind::Untidy,
        format!(
            "{files} differ from what `go mod tidy` writes: {} lines to add, {} to remove",
            count('+'),
            count('-')
        ),
    )
    .output(diff)
    .help(format!(
        "run `go mod tidy` in {module} and commit what it changes"
    ));
    problem.place = Some(Place {
        file: if module == "." {
            "go.mod".to_owned()
        } else {
            format!("{module}/go.mod")
        },
        line: 1,
        column: None,
    });
    problem
}

/// `go mod verify` failed.
pub fn verify(output: &str) -> Problem {
    let message = output
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("a module in the cache is not what go.sum says");
    Problem::new(Kind::Module, message)
        .output(output)
        .help("`go clean -modcache` removes the changed copy; if it happens again, find out who changed the module")
}

/// What `govulncheck` printed: `Vulnerability #1: GO-2024-1234` and lines behind it.
pub fn vulnerabilities(output: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for block in output.split("Vulnerability #").skip(1) {
        let id = block
            .lines()
            .next()
            .and_then(|line| line.split_once(": "))
            .map_or("unknown", |(_, id)| id.trim());
        let what = block.lines().nth(1).map_or("", str::trim);
        let fixed = block
            .lines()
            .find_map(|line| line.trim().strip_prefix("Fixed in: "));
        let mut problem = Problem::new(Kind::Vulnerability, format!("{id}: {what}"))
            .output(format!("Vulnerability #{}", block.trim_end()));
        problem.help = Some(match fixed {
            Some("N/A") | None => {
                format!("no version without it is known; see https://pkg.go.dev/vuln/{id}")
            }
            Some(fixed) => {
                format!("take {fixed} or a later version; see https://pkg.go.dev/vuln/{id}")
            }
        });
        problems.push(problem);
    }
    problems
}
