//! The report: what ran, how it ended, and what is wrong. Scripts read it, so its form is a promise.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Well.
    Passed,
    /// Not well.
    Failed,
    /// It did not run.
    Skipped,
}

impl Outcome {
    /// The word that people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One run of the test stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Name of the service in its pipeline file.
    pub service: String,
    /// Commit that was tested; `-dirty` at its end when the work tree had changes.
    pub commit: String,
    /// How long all of it took.
    pub seconds: f64,
    /// The steps, in the order in which they ran.
    pub steps: Vec<Step>,
}

/// One step of the stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// `tidy`, `verify`, `vet`, `vulnerabilities`, `postgres` or `test`.
    pub name: String,
    /// The command as a person would type it; for `postgres` what is started.
    pub command: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// What is wrong, the most telling first.
    pub problems: Vec<Problem>,
    /// The packages that were tested; only of the step `test`.
    pub packages: Vec<Package>,
}

/// What kind of problem it is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A package does not compile.
    Build,
    /// The race detector saw two goroutines at one variable.
    Race,
    /// A test did not end in time.
    Timeout,
    /// A test panicked.
    Panic,
    /// A test says that something is wrong.
    Test,
    /// A package failed outside its tests: in `init`, `TestMain`, or by `os.Exit`.
    Package,
    /// `go vet` found something.
    Vet,
    /// `go mod tidy` would change `go.mod` or `go.sum`.
    Untidy,
    /// A module in the cache is not what `go.sum` says.
    Module,
    /// A vulnerability is known.
    Vulnerability,
    /// There is no PostgreSQL for the tests.
    Postgres,
    /// A program that is needed is missing or refuses to work.
    Program,
    /// The run was interrupted.
    Interrupted,
}

impl Kind {
    /// The words that people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "does not compile",
            Self::Race => "data race",
            Self::Timeout => "hangs",
            Self::Panic => "panic",
            Self::Test => "test failed",
            Self::Package => "package failed",
            Self::Vet => "vet",
            Self::Untidy => "not tidy",
            Self::Module => "module changed",
            Self::Vulnerability => "vulnerability",
            Self::Postgres => "no PostgreSQL",
            Self::Program => "cannot run",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// The file, relative to the top of the repository where it lies in it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1, when it is known.
    pub column: Option<u32>,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: Kind,
    /// Import path of the package.
    pub package: Option<String>,
    /// Name of the test; a subtest's behind a `/`.
    pub test: Option<String>,
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub place: Option<Place>,
    /// What the program said about it.
    pub output: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// A problem that has nothing but a message.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            package: None,
            test: None,
            message: message.into(),
            place: None,
            output: String::new(),
            help: None,
        }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with what a program said.
    #[must_use]
    pub fn output(mut self, output: impl Into<String>) -> Self {
        self.output = output.into();
        self
    }
}

/// The tests of one package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Package {
    /// Import path.
    pub name: String,
    /// How it ended; skipped when it has no tests.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// Whether Go took the result from its cache.
    pub cached: bool,
    /// Its tests, in the order in which they began.
    pub tests: Vec<TestCase>,
}

/// One test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestCase {
    /// Its name; a subtest's behind a `/`.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// What it wrote, when it failed or was skipped.
    pub output: String,
}

impl Report {
    /// All problems, in the order of the steps.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.steps.iter().flat_map(|step| &step.problems)
    }

    /// How many tests ended so; subtests count.
    pub fn tests(&self, outcome: Outcome) -> usize {
        self.packages()
            .flat_map(|package| &package.tests)
            .filter(|test| test.outcome == outcome)
            .count()
    }

    /// All packages.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        self.steps.iter().flat_map(|step| &step.packages)
    }
}

/// The JSON Schema of a report.
pub fn report_schema() -> String {
    let generator = schemars::generate::SchemaSettings::draft07().into_generator();
    let schema = generator.into_root_schema_for::<Report>();
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
