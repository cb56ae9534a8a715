//! From the events of `go test -json` (documented by `go doc test2json` and `go help buildjson`) to packages, tests and problems.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::diagnose::{self, Failure};
use crate::output::Output;
use crate::report::{Kind, Outcome, Package, Problem, TestCase};
use crate::tools::{Sources, compiler_lines};

/// One line of the stream. Members that a later Go adds are not an error: this is another program's promise.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    action: String,
    package: Option<String>,
    test: Option<String>,
    elapsed: Option<f64>,
    output: Option<String>,
    import_path: Option<String>,
    failed_build: Option<String>,
}

/// Takes the lines as they come.
#[derive(Debug, Default)]
pub struct Collector {
    packages: Vec<OpenPackage>,
    builds: BTreeMap<String, Output>,
    other: Output,
}

#[derive(Debug)]
struct OpenPackage {
    name: String,
    ended: Option<Outcome>,
    seconds: f64,
    output: Output,
    failed_build: Option<String>,
    tests: Vec<OpenTest>,
}

#[derive(Debug)]
struct OpenTest {
    name: String,
    ended: Option<Outcome>,
    seconds: f64,
    output: Output,
}

/// What came of a whole stream.
#[derive(Debug)]
pub struct Collected {
    /// The packages, in the order in which they began.
    pub packages: Vec<Package>,
    /// What is wrong, the most telling first.
    pub problems: Vec<Problem>,
    /// Lines that were no events.
    pub other: String,
}

impl Collector {
    /// Takes one line. Gives how many packages have ended when that number has changed.
    pub fn line(&mut self, line: &str) -> Option<usize> {
        let Ok(event) = serde_json::from_str::<Line>(line) else {
            self.other.push(line);
            self.other.push("\n");
            return None;
        };
        let ended = |packages: &[OpenPackage]| {
            let ended = packages.iter().filter(|package| package.ended.is_some());
            ended.count()
        };
        let before = ended(&self.packages);
        self.event(event);
        let after = ended(&self.packages);
        (after != before).then_some(after)
    }

    fn event(&mut self, event: Line) {
        let output = event.output.as_deref().unwrap_or_default();
        if let Some(path) = event.import_path {
            if event.action == "build-output" {
                self.builds.entry(path).or_default().push(output);
            }
            return;
        }
        let Some(name) = event.package else {
            return;
        };
        let package = self.package(&name);
        let ended = match event.action.as_str() {
            "pass" => Some(Outcome::Passed),
            "fail" => Some(Outcome::Failed),
            "skip" => Some(Outcome::Skipped),
            _ => None,
        };
        if let Some(name) = event.test {
            let test = package.test(&name);
            test.output.push(output);
            if ended.is_some() {
                test.ended = ended;
                test.seconds = event.elapsed.unwrap_or_default();
            }
            return;
        }
        package.output.push(output);
        if ended.is_some() {
            package.ended = ended;
            package.seconds = event.elapsed.unwrap_or_default();
            package.failed_build = event.failed_build;
        }
    }

    fn package(&mut self, name: &str) -> &mut OpenPackage {
        let position = self
            .packages
            .iter()
            .position(|package| package.name == name)
            .unwrap_or_else(|| {
                self.packages.push(OpenPackage {
                    name: name.to_owned(),
                    ended: None,
                    seconds: 0.0,
                    output: Output::default(),
                    failed_build: None,
                    tests: Vec::new(),
                });
                self.packages.len() - 1
            });
        &mut self.packages[position]
    }

    /// The stream has ended; `sources` knows where packages lie.
    pub fn finish(self, sources: &Sources) -> Collected {
        let mut problems = Vec::new();
        for (path, output) in &self.builds {
            problems.extend(build_problems(path, &output.text(), sources));
        }
        let mut packages = Vec::new();
        for package in self.packages {
            problems.extend(package.problems(sources));
            packages.push(package.close());
        }
        problems.sort_by_key(|problem| problem.kind);
        Collected {
            packages,
            problems,
            other: self.other.text(),
        }
    }
}

/// `x/b [x/b.test]` is package `x/b`, built for its tests.
fn build_problems(path: &str, output: &str, sources: &Sources) -> Vec<Problem> {
    let package = path.split(' ').next().unwrap_or(path);
    let mut problems = compiler_lines(output, Kind::Build, sources);
    if problems.is_empty() && !output.trim().is_empty() {
        let message = output
            .lines()
            .find(|line| !line.starts_with('#') && !line.trim().is_empty())
            .unwrap_or("it does not compile");
        problems.push(Problem::new(Kind::Build, message.trim()).output(output));
    }
    for problem in &mut problems {
        problem.package = Some(package.to_owned());
    }
    problems
}

impl OpenPackage {
    fn test(&mut self, name: &str) -> &mut OpenTest {
        let position = self
            .tests
            .iter()
            .position(|test| test.name == name)
            .unwrap_or_else(|| {
                self.tests.push(OpenTest {
                    name: name.to_owned(),
                    ended: None,
                    seconds: 0.0,
                    output: Output::default(),
                });
                self.tests.len() - 1
            });
        &mut self.tests[position]
    }

    fn outcome(&self) -> Outcome {
        // A package that never ended was cut off.
        self.ended.unwrap_or(Outcome::Failed)
    }

    fn problems(&self, sources: &Sources) -> Vec<Problem> {
        if self.outcome() != Outcome::Failed || self.failed_build.is_some() {
            return Vec::new();
        }
        let failed = |test: &&OpenTest| matches!(test.ended, None | Some(Outcome::Failed));
        let mut problems: Vec<Problem> = self
            .tests
            .iter()
            .filter(failed)
            .filter_map(|test| {
                let text = test.output.text();
                let failure = Failure {
                    package: &self.name,
                    test: Some(&test.name),
                    output: &text,
                    ended: test.ended.is_some(),
                };
                let children = format!("{}/", test.name);
                let by_its_children = self
                    .tests
                    .iter()
                    .filter(failed)
                    .any(|other| other.name.starts_with(&children));
                if by_its_children && !failure.says_something() {
                    return None;
                }
                Some(diagnose::problem(&failure, sources))
            })
            .collect();
        // Where one test ended the whole process, the others that were running at that time are its victims.
        if problems
            .iter()
            .any(|problem| matches!(problem.kind, Kind::Timeout | Kind::Panic))
        {
            problems.retain(|problem| problem.kind != Kind::Package);
        }
        if problems.is_empty() {
            let text = self.output.text();
            problems.push(diagnose::problem(
                &Failure {
                    package: &self.name,
                    test: None,
                    output: &text,
                    ended: self.ended.is_some(),
                },
                sources,
            ));
        }
        problems
    }

    fn close(self) -> Package {
        let outcome = self.outcome();
        let cached = self.output.text().contains("\t(cached)");
        Package {
            outcome,
            cached,
            seconds: self.seconds,
            tests: self
                .tests
                .into_iter()
                .map(|test| {
                    let outcome = test.ended.unwrap_or(outcome);
                    TestCase {
                        name: test.name,
                        outcome,
                        seconds: test.seconds,
                        output: match outcome {
                            Outcome::Passed => String::new(),
                            Outcome::Failed | Outcome::Skipped => {
                                diagnose::without_frames(&test.output.text())
                            }
                        },
                    }
                })
                .collect(),
            name: self.name,
        }
    }
}
