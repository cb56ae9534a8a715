//! What the daemon and a task's sandbox say to each other: one JSON value a line, orders on stdin, events on stdout.
//!
//! Environment values, secrets among them, travel here and nowhere else: no command line, no file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::runner::account::Account;

/// How far a task is kept apart from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::runner) enum Mode {
    /// Namespaces, made by root.
    Root,
    /// Namespaces inside a user namespace, made by anybody.
    User,
    /// No namespaces: plain child processes.
    Plain,
}

impl Mode {
    /// Whether the task has namespaces of its own.
    pub(in crate::runner) fn isolated(self) -> bool {
        self != Self::Plain
    }
}

/// The first line a sandbox reads: all it needs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::runner) struct Plan {
    /// Folder of the task; nothing else is written to.
    pub(in crate::runner) folder: PathBuf,
    /// Name of the machine, as the containers see it.
    pub(in crate::runner) hostname: String,
    /// Containers in the order they start.
    pub(in crate::runner) containers: Vec<Container>,
}

/// One container to run.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::runner) struct Container {
    /// Its name.
    pub(in crate::runner) name: String,
    /// The unpacked image, which is not changed.
    pub(in crate::runner) root: PathBuf,
    /// What to execute.
    pub(in crate::runner) process: Process,
    /// Whether the root file system is read-only.
    pub(in crate::runner) readonly_root: bool,
    /// Above this it is killed.
    pub(in crate::runner) memory_bytes: Option<u64>,
    /// How long after the stop signal comes SIGKILL.
    pub(in crate::runner) stop_timeout_ms: u64,
    /// Name of the signal that asks it to end.
    pub(in crate::runner) stop_signal: String,
    /// Whether it waits for an order of its own.
    pub(in crate::runner) held: bool,
    /// Whether it may be started again after its end.
    pub(in crate::runner) restarts: bool,
}

/// A process inside a container. No `Debug`: the environment holds secrets.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::runner) struct Process {
    /// Program and arguments.
    pub(in crate::runner) argv: Vec<String>,
    /// The whole environment.
    pub(in crate::runner) env: Vec<(String, String)>,
    /// Working directory inside the container.
    pub(in crate::runner) cwd: String,
    /// Who it runs as.
    pub(in crate::runner) account: Account,
}

/// What the daemon asks of a sandbox, after the plan.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::runner) enum Order {
    /// Start the containers that are not held back.
    Start,
    /// Start one container that was held back, or that has ended.
    StartContainer {
        /// Name of the container.
        container: String,
    },
    /// Ask all containers to end; kill each after its timeout.
    Stop,
    /// Kill all containers now.
    Kill,
    /// Run a program inside a container, once.
    Check {
        /// Name of the container.
        container: String,
        /// Program and arguments.
        argv: Vec<String>,
        /// After this long it is killed and has failed.
        timeout_ms: u64,
    },
}

/// What a sandbox tells.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::runner) enum Event {
    /// The namespaces stand; the containers can start.
    Ready,
    /// The sandbox itself could not be made.
    Broken {
        /// What went wrong.
        reason: String,
    },
    /// A container's program was executed.
    Started {
        /// Name of the container.
        container: String,
    },
    /// A container's program could not be executed; all others are killed.
    StartFailed {
        /// Name of the container.
        container: String,
        /// What went wrong.
        reason: String,
    },
    /// One line of output.
    Line {
        /// Name of the container.
        container: String,
        /// The line, without its end.
        text: String,
    },
    /// A container's process ended and all its output was told.
    Exited {
        /// Name of the container.
        container: String,
        /// Exit code, or 128 + signal.
        code: i32,
        /// Whether it was killed for taking more memory than it may.
        out_of_memory: bool,
    },
    /// Answer to [`Order::Check`].
    Checked {
        /// Name of the container.
        container: String,
        /// Whether the program ended with 0 in time.
        healthy: bool,
    },
}

/// What a sandbox asks of the process it makes for a container.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Job {
    /// Make the container's root and execute its program there.
    Run {
        /// The container.
        container: Box<Container>,
        /// Number of the start: names its mount point.
        index: usize,
        /// Name of the machine.
        hostname: String,
    },
    /// Execute a program in a container that runs.
    Join {
        /// The container's process, as the sandbox sees it.
        pid: i32,
        /// The unpacked image.
        root: PathBuf,
        /// What to execute.
        process: Box<Process>,
    },
}
