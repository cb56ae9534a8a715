//! What can go wrong around an instance, in words for the person who started it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// An instance could not be started, reached or stopped.
#[derive(Debug, Error)]
pub enum Error {
    /// A file or folder of the home.
    #[error("{path} cannot be used: {source}")]
    Home {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process serves this home.
    #[error("an instance already runs on {home} (process {pid})")]
    AlreadyRunning {
        /// Its process.
        pid: u32,
        /// The home folder.
        home: PathBuf,
    },
    /// Another program has the port.
    #[error(
        "port {port} on 127.0.0.1 is taken by another program: choose another one with LONGSHORE_LOCAL_PORT, or for `local up` with --port"
    )]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// The port cannot be bound for another reason.
    #[error("port {port} on 127.0.0.1 cannot be listened on: {source}")]
    Bind {
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The saved state cannot be read.
    #[error(
        "{path} cannot be read as saved state, perhaps because another version wrote it ({why}): remove it to begin anew"
    )]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The runner could not be made.
    #[error(transparent)]
    Runner(#[from] crate::runner::RunnerError),
    /// The daemon could not be started as a process.
    #[error("{program} could not be started: {source}")]
    Launch {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon ended before it answered.
    #[error("{said}\n(the AWS on this machine ended while it started, {status}; its log is {log})")]
    Died {
        /// How the process ended.
        status: String,
        /// The log file.
        log: PathBuf,
        /// Its last lines.
        said: String,
    },
    /// A process holds the home but does not answer.
    #[error(
        "the local cloud (process {pid}) does not answer at {endpoint}; see {log}, or end it with `kill {pid}`"
    )]
    NotAnswering {
        /// The process.
        pid: u32,
        /// Where it should answer.
        endpoint: String,
        /// The log file.
        log: PathBuf,
    },
    /// A process of another version of this program holds the home: its answers have another form.
    #[error(
        "the local cloud (process {pid}) was started by another version of longshore; end it with `kill {pid}`, and the next command starts it anew"
    )]
    OtherVersion {
        /// The process.
        pid: u32,
    },
    /// The instance refused what it was asked.
    #[error("{0}")]
    Refused(String),
    /// The instance answered something else than it should.
    #[error("the local cloud's answer could not be read: {0}")]
    Answer(String),
    /// A listener of a service's load balancer.
    #[error(
        "the load balancer cannot listen on port {port} of 127.0.0.1: {source}; `port` under [environments.NAME.embedded] of pipeline.toml chooses another one, and 0 takes one that is free"
    )]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The model refused what was to be provisioned.
    #[error(transparent)]
    Api(#[from] crate::error::ApiError),
}
