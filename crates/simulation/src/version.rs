//! Versions of the simulated service: what becomes of their tasks, and the task definitions that name them.

use fastrand::Rng;
use local_cloud::task::{Millis, StartFailure};
use serde_json::{Value, json};

/// Stands in the environment of every task. Nothing that a person or a script reads may hold it.
pub(crate) const SECRET: &str = "correct-horse-battery-staple";

/// What becomes of the tasks of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They start, become healthy and stay.
    Good,
    /// They cannot be started.
    FailsToStart(StartFailure),
    /// They end right after their start.
    ExitsAtStart,
    /// They are killed for want of memory right after their start.
    OutOfMemory,
    /// They run and pass no check.
    NeverHealthy,
    /// They run another image than the one that their task definition names.
    WrongImage,
    /// There is no room for them: they never start.
    NoCapacity,
    /// They end after so many milliseconds.
    CrashesLater(Millis),
    /// Four of ten end right after their start.
    Flaky,
    /// They run, pass every check of ECS, and answer requests wrongly.
    AnswersWrongly,
}

/// What becomes of a task that runs before a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chore {
    /// It ends with this code.
    Ends(i32),
    /// It never ends.
    Hangs,
}

/// What becomes of the tasks that run before a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chores {
    pub(crate) migrate: Chore,
    pub(crate) reverse: Chore,
}

impl Default for Chores {
    fn default() -> Self {
        Self {
            migrate: Chore::Ends(0),
            reverse: Chore::Ends(0),
        }
    }
}

/// The command of the task that runs before a release.
pub(crate) const MIGRATE: &str = "migrate";
/// The command that undoes it.
pub(crate) const REVERSE: &str = "reverse";

/// What version `number` answers.
pub(crate) fn body(number: u64) -> String {
    format!("version {number};")
}

impl Fate {
    /// A fate; half of them good.
    pub(crate) fn draw(rng: &mut Rng, checked: bool, quick: bool) -> Self {
        if rng.bool() {
            return Self::Good;
        }
        match rng.u32(0..11) {
            10 => Self::AnswersWrongly,
            0 => Self::FailsToStart(StartFailure::CannotPullContainerError),
            1 => Self::FailsToStart(StartFailure::ResourceInitializationError),
            2 => Self::FailsToStart(StartFailure::CannotStartContainerError),
            3 => Self::ExitsAtStart,
            4 => Self::OutOfMemory,
            // Without a check nobody can tell.
            5 if checked => Self::NeverHealthy,
            5 | 6 => Self::WrongImage,
            7 => Self::NoCapacity,
            8 if quick => Self::CrashesLater(rng.u64(300..30_000)),
            8 => Self::CrashesLater(rng.u64(5_000..600_000)),
            _ => Self::Flaky,
        }
    }

    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::FailsToStart(StartFailure::CannotPullContainerError) => "image cannot be pulled",
            Self::FailsToStart(StartFailure::ResourceInitializationError) => "secret missing",
            Self::FailsToStart(StartFailure::CannotStartContainerError) => "program cannot start",
            Self::ExitsAtStart => "exits at start",
            Self::OutOfMemory => "out of memory",
            Self::NeverHealthy => "never healthy",
            Self::WrongImage => "wrong image",
            Self::NoCapacity => "no capacity",
            Self::CrashesLater(_) => "crashes later",
            Self::Flaky => "flaky",
            Self::AnswersWrongly => "answers wrongly",
        }
    }

    /// Whether a release of it must fail: it can neither succeed nor stay undecided.
    pub(crate) fn is_hopeless(self) -> bool {
        !matches!(
            self,
            Self::Good | Self::CrashesLater(_) | Self::Flaky | Self::AnswersWrongly
        )
    }
}

/// How tasks are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checks {
    /// The container has a health check.
    pub(crate) container: bool,
    /// The service is behind a load balancer.
    pub(crate) balancer: bool,
}

/// The image of version `number`: its digest says which version it is.
pub(crate) fn image(number: u64) -> String {
    format!("registry.invalid/app@{}", digest(number))
}

/// The digest of version `number`.
pub(crate) fn digest(number: u64) -> String {
    format!("sha256:{number:064x}")
}

/// The task definition of version `number`.
pub(crate) fn document(number: u64, checks: Checks) -> Value {
    let mut container = json!({
        "name": "app",
        "image": image(number),
        "portMappings": [{"containerPort": 8080}],
        "environment": [{"name": "TOKEN", "value": SECRET}],
        "secrets": [{"name": "DATABASE_URL", "valueFrom": "arn:aws:ssm:eu-central-1:123456789012:parameter/database"}],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {"awslogs-group": "/app", "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "app"},
        },
    });
    if checks.container {
        container["healthCheck"] =
            json!({"command": ["CMD", "/app", "check"], "interval": 10, "retries": 2});
    }
    json!({
        "family": "api",
        "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
        "memory": "512",
        "containerDefinitions": [container],
    })
}
