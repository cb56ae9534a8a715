//! The sandbox of a task: a small tree of helper processes that are this same program, started again.
//!
//! ```text
//! daemon
//! └─ enter        makes the namespaces of the task, waits
//!    └─ init      process 1 of the task: starts, stops, checks, reaps, tells
//!       ├─ run    makes the root of one container, drops every privilege, becomes its program
//!       └─ join   enters a running container and becomes a health check
//! ```
//!
//! Every step is a fresh process with one thread, because the kernel asks for that (a user or mount namespace cannot be changed with threads running), and
//! because a step that ends in `exec` needs no code that runs between `fork` and `exec`. So nothing here is unsafe.
//!
//! A container has its own mount and pid namespace; the containers of a task share network, ipc and host name. When the daemon goes away, `init` reads the end of
//! its input and ends; with process 1 the kernel ends all others of the pid namespace.
//!
//! Without namespaces (`plain`) `init` is a plain process: it adopts orphans and kills all its descendants before it ends.

mod enter;
mod init;
mod join;
mod lines;
mod memory;
mod mounts;
pub(super) mod network;
mod privileges;
mod program;
pub(super) mod protocol;
mod run;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::process::{Command, ExitCode};

use protocol::{Event, Mode};

/// Entry of the helper processes: the last argument of a process started with a [`Helper`](super::Helper) is `stage`. Call it before any thread or runtime exists.
///
/// Reads what to do from stdin, and ends in the container's program, or with this exit code.
pub fn sandbox_main(stage: &OsStr) -> ExitCode {
    let result = match stage.to_str() {
        Some("probe-root") => enter::probe(Mode::Root),
        Some("probe-user") => enter::probe(Mode::User),
        Some("probe-inside-root") => enter::probe_inside(Mode::Root),
        Some("probe-inside-user") => enter::probe_inside(Mode::User),
        Some("enter-root") => enter::enter(Mode::Root),
        Some("enter-user") => enter::enter(Mode::User),
        Some("enter-plain") => init::init(Mode::Plain),
        Some("init-root") => init::init(Mode::Root),
        Some("init-user") => init::init(Mode::User),
        Some("run-root") => run::run(Mode::Root),
        Some("run-user") => run::run(Mode::User),
        Some("run-plain") => run::run(Mode::Plain),
        _ => Err("this command is for the program itself".to_owned()),
    };
    match result {
        Ok(code) => code,
        Err(reason) => {
            // Nobody may be there to read it.
            let _ = tell(&Event::Broken { reason });
            ExitCode::FAILURE
        }
    }
}

fn tell(event: &Event) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    std::io::stdout().lock().write_all(&line)
}

/// The stage of a helper process for a mode, such as `init-user`.
pub(super) fn stage(step: &str, mode: Mode) -> String {
    let mode = match mode {
        Mode::Root => "root",
        Mode::User => "user",
        Mode::Plain => "plain",
    };
    format!("{step}-{mode}")
}

/// This program again, at another stage.
fn again(stage: &str) -> Command {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    arguments.pop();
    let mut command = Command::new("/proc/self/exe");
    command.args(arguments).arg(stage).env_clear();
    command
}

/// An error in words, with what was tried: `mount /proc: permission denied`.
fn failed<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> String + '_ {
    move |error| format!("{what}: {error}")
}
