//! The jobs, and their steps.

use serde_saphyr::Commented;
use service_config::{Service, TestPostgres};

use crate::actions::{AWS_CREDENTIALS, CHECKOUT, RUST_CACHE, SETUP_GO, UPLOAD_ARTIFACT};
use crate::generate::{Unit, session_seconds};
use crate::model::{
    Container, DeployEnvironment, Entries, Job, Matrix, Permission, Step, Strategy, literal, quoted,
};

const RUNNER: &str = "ubuntu-24.04";
/// The PostgreSQL of the tests, when the pipeline file names no image.
const POSTGRES: &str = "postgres:17";
/// Minutes that everything around the tests may take: the toolchains, and longshore itself when its cache is cold.
const AROUND: u64 = 25;

/// An environment that is deployed to from CI.
#[derive(Clone, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) name: &'a str,
    pub(crate) branch: Option<&'a str>,
    pub(crate) role: &'a str,
    pub(crate) region: &'a str,
    pub(crate) account: Option<&'a str>,
    pub(crate) test: bool,
    pub(crate) units: Vec<&'a Unit<'a>>,
}

/// How long a deployment may take.
pub(crate) fn limit_seconds(service: &Service) -> u64 {
    const DEFAULT: u64 = 30 * 60;
    let timeout = service.pipeline.deploy.timeout;
    timeout.map_or(DEFAULT, |timeout| timeout.duration().as_secs())
}

fn read_contents() -> (String, Permission) {
    (
        "contents".to_owned(),
        Commented("read", "the sources".to_owned()),
    )
}

fn id_token() -> (String, Permission) {
    (
        "id-token".to_owned(),
        Commented(
            "write",
            "the OIDC token that AWS exchanges for the role's credentials".to_owned(),
        ),
    )
}

fn checkout(depth: u32) -> Step {
    let step = Step::uses(
        "Check out",
        CHECKOUT,
        [("persist-credentials", "false".to_owned())],
    );
    if depth > 1 {
        step.with([("fetch-depth", depth.to_string())])
    } else {
        step
    }
}

/// Where a step's cache stands, and what a linter has to know about it.
#[derive(Clone, Copy)]
pub(crate) enum Cache {
    /// In a workflow that only tests.
    Test,
    /// In the tests before a deployment, which builds everything again.
    BeforeDeployment,
}

impl Cache {
    fn on(self, step: Step) -> Step {
        match self {
            Self::Test => step,
            Self::BeforeDeployment => step.comment(
                " # zizmor: ignore[cache-poisoning] nothing that this job makes is deployed",
            ),
        }
    }
}

fn cargo_cache(cache: Cache) -> Step {
    cache.on(Step::uses("Cargo's cache", RUST_CACHE, []))
}

/// Before there are credentials, since build scripts of dependencies run here; and without a cache: what a test could write into one must not run with the
/// role's credentials afterwards.
fn build_longshore() -> Step {
    Step::run(
        "Build longshore",
        "cargo build --locked --package longshore",
        [],
    )
}

/// The services of a job: by a matrix when there are several. Gives what `matrix.NAME` or the only service is.
struct Which<'a> {
    units: &'a [&'a Unit<'a>],
}

impl Which<'_> {
    fn strategy(&self) -> Option<Strategy> {
        (self.units.len() > 1).then(|| Strategy {
            fail_fast: false,
            matrix: Matrix {
                include: self
                    .units
                    .iter()
                    .map(|unit| {
                        Entries::of([
                            ("service", literal(unit.name())),
                            ("module", literal(&unit.module)),
                        ])
                    })
                    .collect(),
            },
        })
    }

    fn service(&self) -> String {
        match self.units {
            [only] => literal(only.name()),
            _ => "${{ matrix.service }}".to_owned(),
        }
    }

    fn file(&self, name: &str) -> String {
        match self.units {
            [only] => literal(&only.file(name)),
            _ => format!("${{{{ matrix.module }}}}/{name}"),
        }
    }

    fn go(&self, cache: Cache) -> Step {
        cache.on(Step::uses(
            "Go, with its cache",
            SETUP_GO,
            [
                ("go-version-file", self.file("go.mod")),
                ("cache-dependency-path", self.file("go.sum")),
            ],
        ))
    }

    fn go_without_cache(&self) -> Step {
        let mut step = Step::uses("Go", SETUP_GO, [("go-version-file", self.file("go.mod"))]);
        step.with.0.push((
            "cache".to_owned(),
            Commented(
                "false".to_owned(),
                "what a test could write into a cache must not run with the role's credentials"
                    .to_owned(),
            ),
        ));
        step
    }
}

/// The configuration, and what a pull request does to what will be registered.
pub(crate) fn check() -> Job {
    Job {
        name: "Configuration".to_owned(),
        runs_on: RUNNER,
        timeout_minutes: AROUND,
        permissions: Entries(vec![read_contents()]),
        steps: vec![
            // The commit before: the first parent of the merge is what the pull request is compared with.
            checkout(2),
            cargo_cache(Cache::Test),
            Step::run(
                "Pipeline files and task definitions",
                "cargo xtask check --format github",
                [],
            ),
            Step::run(
                "These workflows are up to date",
                "cargo xtask workflows --check",
                [],
            ),
            Step::run(
                "What changes in the task definitions",
                "cargo xtask diff --base 'HEAD^1'",
                [],
            ),
        ],
        ..Job::default()
    }
}

/// The tests; a job for each kind of database that services want, and a matrix over the services that share one.
pub(crate) fn test(units: &[&Unit<'_>], cache: Cache) -> Vec<(String, Job)> {
    let mut groups: Vec<(Option<Database>, Vec<&Unit<'_>>)> = Vec::new();
    for unit in units {
        let section = unit.service.pipeline.test.as_ref();
        let database = section
            .and_then(|section| section.postgres.as_ref())
            .map(Database::of);
        match groups.iter_mut().find(|(of, _)| *of == database) {
            Some((_, members)) => members.push(unit),
            None => groups.push((database, vec![unit])),
        }
    }
    let single = groups.len() == 1;
    groups
        .into_iter()
        .enumerate()
        .map(|(number, (database, members))| {
            let id = if single {
                "test".to_owned()
            } else {
                format!("test-{}", number + 1)
            };
            (id, test_job(database.as_ref(), &members, cache))
        })
        .collect()
}

fn test_job(database: Option<&Database>, units: &[&Unit<'_>], cache: Cache) -> Job {
    let which = Which { units };
    let mut steps = vec![checkout(1), which.go(cache), cargo_cache(cache)];
    let setting = |get: fn(&service_config::TestSection) -> Option<bool>| {
        units.iter().any(|unit| {
            let section = unit.service.pipeline.test.as_ref();
            section.and_then(get).unwrap_or(false)
        })
    };
    if setting(|section| section.vulnerabilities) {
        steps.push(Step::run(
            "The vulnerability scanner",
            "go install golang.org/x/vuln/cmd/govulncheck@v1.9.0",
            [],
        ));
    }
    let mut test = Step::run(
        "Tests",
        "cargo xtask test --service \"$SERVICE\" --junit \"$RUNNER_TEMP/junit.xml\"",
        [("SERVICE", which.service())],
    );
    if let Some(database) = database {
        test.env.0.push((database.variable.clone(), database.url()));
    }
    steps.push(test);
    steps.push(
        Step::uses(
            "Keep the results",
            UPLOAD_ARTIFACT,
            [
                ("name", format!("tests-{}", which.service())),
                ("path", "${{ runner.temp }}/junit.xml".to_owned()),
                ("if-no-files-found", "ignore".to_owned()),
            ],
        )
        .also_after_failure(),
    );
    Job {
        name: format!("Tests of {}", which.service()),
        runs_on: RUNNER,
        timeout_minutes: AROUND + tests_minutes(units),
        permissions: Entries(vec![read_contents()]),
        strategy: which.strategy(),
        services: database.map_or_else(Entries::default, |database| {
            Entries::of([("postgres", database.container())])
        }),
        steps,
        ..Job::default()
    }
}

/// Minutes that the tests may take: the limit of one package some times over, since packages are built and run side by side.
fn tests_minutes(units: &[&Unit<'_>]) -> u64 {
    const PACKAGES: u64 = 5;
    let limits = units.iter().map(|unit| {
        let section = unit.service.pipeline.test.as_ref();
        section
            .and_then(|section| section.timeout)
            .map_or(120, |timeout| timeout.duration().as_secs())
    });
    (limits.max().unwrap_or(120) * PACKAGES).div_ceil(60)
}

/// A PostgreSQL beside the tests.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Database {
    name: String,
    variable: String,
    image: String,
}

impl Database {
    fn of(wanted: &TestPostgres) -> Self {
        let or =
            |value: &Option<String>, default: &str| value.as_deref().unwrap_or(default).to_owned();
        Self {
            name: or(&wanted.database, "test"),
            variable: or(&wanted.variable, "DATABASE_URL"),
            image: or(&wanted.image, POSTGRES),
        }
    }

    /// No password: the container listens to this job alone, and holds nothing.
    fn url(&self) -> String {
        literal(&format!(
            "postgres://postgres@127.0.0.1:5432/{}?sslmode=disable",
            self.name
        ))
    }

    fn container(&self) -> Container {
        let reason = if self.image.contains("@sha256:") {
            "pinned by the pipeline file"
        } else {
            "zizmor: ignore[unpinned-images] it holds the tests' data and has no credentials; `test.postgres.image` in pipeline.toml pins it"
        };
        Container {
            image: Commented(literal(&self.image), reason.to_owned()),
            env: Entries::of([
                ("POSTGRES_DB", literal(&self.name)),
                ("POSTGRES_HOST_AUTH_METHOD", "trust".to_owned()),
            ]),
            ports: vec!["5432:5432".to_owned()],
            options: "--health-cmd pg_isready --health-interval 2s --health-timeout 5s --health-retries 30".to_owned(),
        }
    }
}

fn credentials(target: &Target<'_>) -> Step {
    let seconds = target
        .units
        .iter()
        .map(|unit| session_seconds(unit.service));
    let step = Step::uses(
        "Take on the role",
        AWS_CREDENTIALS,
        [
            ("role-to-assume", literal(target.role)),
            ("aws-region", literal(target.region)),
            (
                "role-session-name",
                "longshore-${{ github.run_id }}".to_owned(),
            ),
            (
                "role-duration-seconds",
                seconds.max().unwrap_or(900).to_string(),
            ),
        ],
    );
    match target.account {
        Some(account) => step.with([("allowed-account-ids", literal(account))]),
        None => step,
    }
}

/// Only from the environment's branch, also when a person starts it.
fn only_from(target: &Target<'_>) -> Option<String> {
    let branch = target.branch?;
    Some(format!(
        "github.ref == {}",
        quoted(&format!("refs/heads/{branch}"))
    ))
}

fn keep_receipt(name: String) -> Step {
    Step::uses(
        "Keep the receipt",
        UPLOAD_ARTIFACT,
        [
            ("name", name),
            ("path", "${{ runner.temp }}/receipt.json".to_owned()),
            ("if-no-files-found", "ignore".to_owned()),
        ],
    )
    .also_after_failure()
}

fn minutes(target: &Target<'_>) -> u64 {
    let limits = target.units.iter().map(|unit| limit_seconds(unit.service));
    // Twice: a deployment that fails at its limit comes back in as much time.
    AROUND + limits.max().unwrap_or(1800).div_ceil(60) * 2
}

/// The deployment. The tests ran in a job before it, which had no token.
pub(crate) fn deploy(target: &Target<'_>, needs: Vec<String>) -> Job {
    let which = Which {
        units: &target.units,
    };
    Job {
        name: format!("Deploy {}", which.service()),
        needs,
        r#if: only_from(target),
        runs_on: RUNNER,
        timeout_minutes: minutes(target),
        environment: Some(DeployEnvironment {
            name: target.name.to_owned(),
            url: "${{ steps.deploy.outputs.url }}".to_owned(),
        }),
        permissions: Entries(vec![read_contents(), id_token()]),
        strategy: which.strategy(),
        steps: vec![
            checkout(1),
            which.go_without_cache(),
            build_longshore(),
            credentials(target),
            Step::run(
                "Deploy",
                "cargo xtask deploy --env \"$ENVIRONMENT\" --service \"$SERVICE\" --skip-tests --format json > \"$RUNNER_TEMP/receipt.json\"",
                [
                    ("ENVIRONMENT", target.name.to_owned()),
                    ("SERVICE", which.service()),
                ],
            )
            .id("deploy"),
            keep_receipt(format!("receipt-{}", which.service())),
        ],
        ..Job::default()
    }
}

/// The way back. It needs no Go: nothing is built but longshore itself.
pub(crate) fn rollback(target: &Target<'_>, several: bool) -> Job {
    let service = match target.units.as_slice() {
        [only] if !several => literal(only.name()),
        _ => "${{ inputs.service }}".to_owned(),
    };
    let here = format!("inputs.environment == {}", quoted(target.name));
    Job {
        name: literal(&format!("Roll back {}", target.name)),
        r#if: Some(match only_from(target) {
            Some(branch) => format!("{here} && {branch}"),
            None => here,
        }),
        runs_on: RUNNER,
        timeout_minutes: minutes(target),
        environment: Some(DeployEnvironment {
            name: target.name.to_owned(),
            url: "${{ steps.rollback.outputs.url }}".to_owned(),
        }),
        permissions: Entries(vec![read_contents(), id_token()]),
        steps: vec![
            checkout(1),
            build_longshore(),
            credentials(target),
            Step::run(
                "Roll back",
                "cargo xtask rollback --env \"$ENVIRONMENT\" --service \"$SERVICE\" ${REVISION:+--to \"$REVISION\"} --format json > \"$RUNNER_TEMP/receipt.json\"",
                [
                    ("ENVIRONMENT", target.name.to_owned()),
                    ("SERVICE", service),
                    ("REVISION", "${{ inputs.revision }}".to_owned()),
                ],
            )
            .id("rollback"),
            keep_receipt("receipt".to_owned()),
        ],
        ..Job::default()
    }
}
