//! The test stage: tidy, vet, tests with the race detector, against a PostgreSQL that is thrown away afterwards.
//!
//! 1. `go mod tidy -diff` and `go mod verify`: what is built is what `go.mod` and `go.sum` say.
//! 2. `go vet`.
//! 3. `govulncheck`, where the pipeline file asks for it.
//! 4. A PostgreSQL, where the pipeline file asks for it and nobody provides one.
//! 5. `go test -json`, with the race detector.
//!
//! A step that fails does not keep the next from running: a person reads all that is wrong at once. Nothing that was started is left running.

mod postgres;
mod process;
mod show;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use go_test::{Collector, Kind, Outcome, Problem, Report, Sources, Step};
use service_config::{Service, Span, TestSection};

use self::postgres::Database;
use self::process::{End, Finished};
pub use self::show::show;
use crate::project::Project;
use crate::release::Interrupt;
use crate::report::count;
use crate::sources;
use crate::ui::Ui;

/// Variables that would hand a deployment's credentials to the tests that run before it.
const CREDENTIALS: [&str; 9] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_PROFILE",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "GITHUB_TOKEN",
];

/// How often a log that cannot move in place is told how far the tests are.
const PROGRESS: Duration = Duration::from_secs(10);

/// What is tested, and how.
pub struct Stage<'a> {
    project: &'a Project,
    service: &'a Service,
    section: Option<&'a TestSection>,
    /// Whether the tests are kept from the credentials in the environment.
    keep_credentials: bool,
    /// Where Go is run.
    folder: PathBuf,
    module: PathBuf,
}

impl<'a> Stage<'a> {
    /// The stage as `test` runs it: with the environment as it is.
    pub fn new(project: &'a Project, service: &'a Service) -> Self {
        let folder = absolute(&service.folder);
        let module = sources::module(service);
        Self {
            project,
            service,
            section: service.pipeline.test.as_ref(),
            keep_credentials: true,
            // Go finds a module below only from within.
            folder: if module.starts_with(&folder) {
                module.clone()
            } else {
                folder
            },
            module,
        }
    }

    /// The stage as `deploy` runs it: the credentials are the deployment's, not the tests'.
    pub fn before_deployment(project: &'a Project, service: &'a Service) -> Self {
        Self {
            keep_credentials: false,
            ..Self::new(project, service)
        }
    }

    /// Runs all steps.
    pub async fn run(&self, interrupt: &Interrupt, ui: &mut Ui) -> anyhow::Result<Report> {
        let since = Instant::now();
        let mut steps = Vec::new();
        if self.setting(|section| section.tidy).unwrap_or(true) {
            steps.push(self.tidy(interrupt, ui).await);
            steps.push(self.verify(interrupt, ui).await);
        }
        let sources = self.sources(interrupt).await;
        if self.setting(|section| section.vet).unwrap_or(true) {
            steps.push(self.vet(&sources, interrupt, ui).await);
        }
        if self
            .setting(|section| section.vulnerabilities)
            .unwrap_or(false)
        {
            steps.push(self.vulnerabilities(interrupt, ui).await);
        }
        self.tests(&sources, &mut steps, interrupt, ui).await?;
        let failed = steps.iter().any(|step| step.outcome == Outcome::Failed);
        Ok(Report {
            outcome: if failed {
                Outcome::Failed
            } else {
                Outcome::Passed
            },
            service: self.service.pipeline.service.name.clone(),
            commit: self.project.commit(self.service).name,
            seconds: rounded(since.elapsed()),
            steps,
        })
    }

    fn setting<T>(&self, get: impl FnOnce(&'a TestSection) -> Option<T>) -> Option<T> {
        self.section.and_then(get)
    }

    async fn tidy(&self, interrupt: &Interrupt, ui: &mut Ui) -> Step {
        let open = Open::begin("tidy", "go mod tidy -diff", ui);
        let finished = self.go(&["mod", "tidy", "-diff"], interrupt).await;
        let problems = match refusal(&finished) {
            Some(problem) => vec![problem],
            None if finished.ok() => Vec::new(),
            None if finished.stdout.trim().is_empty() => vec![program("go mod tidy", &finished)],
            None => vec![go_test::untidy(
                &finished.stdout,
                &self.relative(&self.module),
            )],
        };
        open.end(problems, "go.mod and go.sum are tidy", ui)
    }

    async fn verify(&self, interrupt: &Interrupt, ui: &mut Ui) -> Step {
        let open = Open::begin("verify", "go mod verify", ui);
        let finished = self.go(&["mod", "verify"], interrupt).await;
        let problems = match refusal(&finished) {
            Some(problem) => vec![problem],
            None if finished.ok() => Vec::new(),
            None => vec![go_test::verify(&finished.both())],
        };
        open.end(problems, "the modules are what go.sum says", ui)
    }

    async fn vet(&self, sources: &Sources, interrupt: &Interrupt, ui: &mut Ui) -> Step {
        let packages = self.packages();
        let command = format!("go vet {}", packages.join(" "));
        let open = Open::begin("vet", &command, ui);
        let arguments: Vec<&str> = std::iter::once("vet").chain(packages).collect();
        let finished = self.go(&arguments, interrupt).await;
        let problems = match refusal(&finished) {
            Some(problem) => vec![problem],
            None if finished.ok() => Vec::new(),
            None => match go_test::vet(&finished.both(), sources) {
                found if found.is_empty() => vec![program("go vet", &finished)],
                found => found,
            },
        };
        open.end(problems, "nothing suspicious", ui)
    }

    async fn vulnerabilities(&self, interrupt: &Interrupt, ui: &mut Ui) -> Step {
        let packages = self.packages();
        let command = format!("govulncheck {}", packages.join(" "));
        let open = Open::begin("vulnerabilities", &command, ui);
        let mut run = Command::new("govulncheck");
        run.args(&packages).current_dir(&self.folder);
        let finished = process::run(self.environment(run), None, interrupt, &mut |_| {}).await;
        let problems = match &finished.end {
            End::NotFound(_) => vec![
                Problem::new(Kind::Program, "there is no `govulncheck` on PATH").help(
                    "`go install golang.org/x/vuln/cmd/govulncheck@latest` installs it; `vulnerabilities = false` under [test] in pipeline.toml does without",
                ),
            ],
            _ => match refusal(&finished) {
                Some(problem) => vec![problem],
                None if finished.ok() => Vec::new(),
                None => match go_test::vulnerabilities(&finished.stdout) {
                    found if found.is_empty() => vec![program("govulncheck", &finished)],
                    found => found,
                },
            },
        };
        open.end(problems, "none is known", ui)
    }

    async fn tests(
        &self,
        sources: &Sources,
        steps: &mut Vec<Step>,
        interrupt: &Interrupt,
        ui: &mut Ui,
    ) -> anyhow::Result<()> {
        let race = self.setting(|section| section.race).unwrap_or(true);
        let limit = self
            .setting(|section| section.timeout)
            .map_or(Duration::from_mins(2), Span::duration);
        let limit_text = format!("{}s", limit.as_secs());
        let mut arguments = vec!["test", "-json"];
        if race {
            arguments.push("-race");
        }
        arguments.extend(["-timeout", &limit_text]);
        arguments.extend(self.packages());
        let command = format!("go {}", arguments.join(" ").replace("-json ", ""));

        if race && let Some(problem) = self.without_compiler(interrupt).await {
            let open = Open::begin("test", &command, ui);
            steps.push(open.end(vec![problem], "", ui));
            return Ok(());
        }
        let database = match self.setting(|section| section.postgres.as_ref()) {
            None => None,
            Some(wanted) => {
                let own = self.setting(|section| section.env.as_ref());
                let found = Database::existing(wanted, own);
                if let Some(database) = found {
                    Some(database)
                } else {
                    let open = Open::begin("postgres", "a PostgreSQL for the tests", ui);
                    let started =
                        tokio::task::block_in_place(|| Database::start(wanted, self.project));
                    match started? {
                        Ok(database) => {
                            let said = format!("a new one, on port {}", database.port());
                            steps.push(open.end(Vec::new(), &said, ui));
                            Some(database)
                        }
                        Err(problem) => {
                            steps.push(open.end(vec![problem], "", ui));
                            let open = Open::begin("test", &command, ui);
                            steps.push(open.skip("there is no PostgreSQL", ui));
                            return Ok(());
                        }
                    }
                }
            }
        };
        if interrupt.wanted() {
            return Ok(());
        }
        let open = Open::begin("test", &command, ui);
        if let Some(database) = &database {
            ui.line(&database.said());
        }
        let mut run = Command::new("go");
        run.args(&arguments).current_dir(&self.folder);
        let mut run = self.environment(run);
        if let Some(database) = &database {
            run.env(database.variable(), database.url());
        }
        let mut collector = Collector::default();
        let all = sources.packages.len();
        let mut said = Instant::now();
        // Go ends a test that hangs by itself. This is for when Go hangs, or what a test has started.
        let silence = limit * 2 + Duration::from_mins(10);
        let finished = process::run(run, Some(silence), interrupt, &mut |line| {
            if let Some(ended) = collector.line(line) {
                let far = format!("{ended} of {all} packages");
                if said.elapsed() >= PROGRESS {
                    said = Instant::now();
                    ui.progress(&far);
                } else {
                    ui.spin(&far);
                }
            }
        })
        .await;
        if let Some(database) = database {
            tokio::task::block_in_place(|| database.stop(ui));
        }
        let collected = collector.finish(sources);
        let mut problems = collected.problems;
        if let Some(problem) = refusal(&finished) {
            problems.insert(0, problem);
        } else if !finished.ok() && problems.is_empty() {
            problems.push(
                program("go test", &finished)
                    .output(format!("{}{}", collected.other, finished.stderr)),
            );
        }
        let passed = |packages: &[go_test::Package]| {
            let tests = packages.iter().flat_map(|package| &package.tests);
            tests.filter(|test| test.outcome == Outcome::Passed).count()
        };
        let with_tests = collected
            .packages
            .iter()
            .filter(|package| package.outcome != Outcome::Skipped)
            .count();
        let said = format!(
            "{} passed in {}",
            count(passed(&collected.packages), "test"),
            count(with_tests, "package")
        );
        let mut step = open.end(problems, &said, ui);
        step.packages = collected.packages;
        steps.push(step);
        Ok(())
    }

    /// The race detector is C code: it needs a C compiler, and Go says so only after it has built everything.
    async fn without_compiler(&self, interrupt: &Interrupt) -> Option<Problem> {
        let finished = self.go(&["env", "CGO_ENABLED", "CC"], interrupt).await;
        if let Some(problem) = refusal(&finished) {
            return Some(problem);
        }
        let mut lines = finished.stdout.lines();
        let (enabled, compiler) = (lines.next()?, lines.next()?);
        let program = compiler.split_whitespace().next()?;
        let missing = !on_path(program);
        let help = "install a C compiler (`apt-get install gcc`), or set `race = false` under [test] in pipeline.toml to test without the race detector";
        if missing {
            let message = format!(
                "the race detector needs a C compiler, and there is no `{program}` on PATH"
            );
            return Some(Problem::new(Kind::Program, message).help(help));
        }
        if enabled == "0" {
            let message = "the race detector needs cgo, and CGO_ENABLED is 0";
            return Some(Problem::new(Kind::Program, message).help(
                "set `env = { CGO_ENABLED = \"1\" }` under [test] in pipeline.toml; the build's own environment stays as it is",
            ));
        }
        None
    }

    /// Where the packages lie; empty when Go cannot say, which the other steps report.
    async fn sources(&self, interrupt: &Interrupt) -> Sources {
        let mut arguments = vec!["list", "-e", "-f", "{{.ImportPath}}\t{{.Dir}}"];
        arguments.extend(self.packages());
        let finished = self.go(&arguments, interrupt).await;
        let mut sources = Sources {
            root: self.project.root.clone(),
            folder: self.folder.clone(),
            ..Sources::default()
        };
        sources.list(&finished.stdout);
        sources
    }

    async fn go(&self, arguments: &[&str], interrupt: &Interrupt) -> Finished {
        let mut command = Command::new("go");
        command.args(arguments).current_dir(&self.folder);
        process::run(self.environment(command), None, interrupt, &mut |_| {}).await
    }

    fn environment(&self, mut command: Command) -> Command {
        if !self.keep_credentials {
            for name in CREDENTIALS {
                command.env_remove(name);
            }
        }
        command.envs(
            self.setting(|section| section.env.as_ref())
                .into_iter()
                .flatten(),
        );
        command
    }

    fn packages(&self) -> Vec<&str> {
        match self.setting(|section| section.packages.as_ref()) {
            Some(packages) => packages.iter().map(String::as_str).collect(),
            None => vec!["./..."],
        }
    }

    /// A path as people type it at the top of the repository.
    fn relative(&self, path: &Path) -> String {
        match path.strip_prefix(&self.project.root) {
            Ok(path) if path.as_os_str().is_empty() => ".".to_owned(),
            Ok(path) => path.display().to_string(),
            Err(_) => path.display().to_string(),
        }
    }
}

/// A step that is under way.
struct Open {
    name: &'static str,
    command: String,
    since: Instant,
}

impl Open {
    fn begin(name: &'static str, command: &str, ui: &mut Ui) -> Self {
        ui.stage(name, command);
        Self {
            name,
            command: command.to_owned(),
            since: Instant::now(),
        }
    }

    fn end(self, problems: Vec<Problem>, well: &str, ui: &mut Ui) -> Step {
        let (outcome, said) = if problems.is_empty() {
            (Outcome::Passed, well.to_owned())
        } else {
            let number = count(problems.len(), "problem");
            (Outcome::Failed, format!("FAILED: {number}"))
        };
        ui.done(&said);
        self.close(outcome, problems)
    }

    fn skip(self, why: &str, ui: &mut Ui) -> Step {
        ui.done(&format!("did not run: {why}"));
        self.close(Outcome::Skipped, Vec::new())
    }

    fn close(self, outcome: Outcome, problems: Vec<Problem>) -> Step {
        Step {
            name: self.name.to_owned(),
            command: self.command,
            outcome,
            seconds: rounded(self.since.elapsed()),
            problems,
            packages: Vec::new(),
        }
    }
}

/// Why a program did not come to an end of its own.
fn refusal(finished: &Finished) -> Option<Problem> {
    match &finished.end {
        End::Exited(_) => None,
        End::NotFound(program) => Some(
            Problem::new(Kind::Program, format!("there is no `{program}` on PATH"))
                .help("install Go: https://go.dev/dl/"),
        ),
        End::CannotRun(why) => Some(Problem::new(Kind::Program, why.clone())),
        End::Interrupted => Some(Problem::new(
            Kind::Interrupted,
            "it was interrupted; what it had started is ended",
        )),
        End::Silent(limit) => Some(
            Problem::new(
                Kind::Timeout,
                format!(
                    "it said nothing for {} s and was ended with all that it had started",
                    limit.as_secs()
                ),
            )
            .output(finished.both()),
        ),
    }
}

/// A program that failed without a finding.
fn program(name: &str, finished: &Finished) -> Problem {
    let output = finished.both();
    let message = output
        .lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .unwrap_or("it failed without a word")
        .to_owned();
    Problem::new(Kind::Program, format!("{name}: {message}")).output(output)
}

fn on_path(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

fn absolute(folder: &Path) -> PathBuf {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    absolute.canonicalize().unwrap_or(absolute)
}

fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Whether a deployment to an environment runs the tests first: unless it says otherwise, everywhere but on this machine.
pub fn wanted(service: &Service, environment: &str) -> anyhow::Result<bool> {
    let environment = service.environment(environment)?;
    Ok(environment.test.unwrap_or(environment.embedded.is_none()))
}

/// Variables as the tests see them; for the database that is there already.
fn variable(name: &str, own: Option<&BTreeMap<String, String>>) -> Option<String> {
    own.and_then(|own| own.get(name).cloned())
        .or_else(|| std::env::var(name).ok())
        .filter(|value| !value.is_empty())
}
