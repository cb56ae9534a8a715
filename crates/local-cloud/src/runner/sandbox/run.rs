//! One container: the helper process that becomes its program.
//!
//! Its stdin is a socket to `init`: the job comes in; a reason for failure goes out. When the program is executed, the socket closes by itself.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, fchown, setsid};

use super::protocol::{Container, Job, Mode};
use super::{failed, join, mounts, privileges, program};

/// Reads a [`Job`] and does it.
pub(super) fn run(mode: Mode) -> Result<ExitCode, String> {
    let mut channel = UnixStream::from(
        std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map_err(failed("stdin"))?,
    );
    let mut job = Vec::new();
    channel.read_to_end(&mut job).map_err(failed("stdin"))?;
    let job: Job = serde_json::from_slice(&job).map_err(failed("job"))?;
    // A session of its own: a signal to the process group reaches all of the container and nothing else.
    let reason = setsid()
        .map_err(failed("setsid"))
        .err()
        .unwrap_or_else(|| match &job {
            Job::Run {
                container,
                index,
                hostname,
            } => match prepare(mode, container, *index, hostname) {
                Ok(()) => {
                    let root = (!mode.isolated()).then_some(container.root.as_path());
                    program::become_program(&container.process, root)
                }
                Err(reason) => reason,
            },
            Job::Join { pid, root, process } => match join::enter(mode, *pid, &process.account) {
                Ok(()) => {
                    let root = (!mode.isolated()).then_some(root.as_path());
                    program::become_program(process, root)
                }
                Err(reason) => reason,
            },
        });
    channel
        .write_all(reason.as_bytes())
        .map_err(failed("stdin"))?;
    Ok(ExitCode::FAILURE)
}

fn prepare(mode: Mode, container: &Container, index: usize, hostname: &str) -> Result<(), String> {
    privileges::limit()?;
    let account = &container.process.account;
    let cwd = &container.process.cwd;
    if mode == Mode::Plain {
        // With namespaces the kernel ends the container together with `init`.
        set_pdeathsig(Signal::SIGKILL).map_err(failed("prctl"))?;
        return mounts::working_directory(&container.root, cwd);
    }
    unshare(CloneFlags::CLONE_NEWNS).map_err(failed("unshare mount"))?;
    mounts::enter_root(mode, container, index, hostname)?;
    mounts::seal(container.readonly_root)?;
    if mode == Mode::User {
        // After the mounts: those need the rights that are left behind here.
        privileges::nest(account)?;
    } else {
        let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
        // Programs open /dev/stdout and /dev/stderr by name.
        fchown(std::io::stdout(), Some(uid), Some(gid)).map_err(failed("stdout"))?;
        fchown(std::io::stderr(), Some(uid), Some(gid)).map_err(failed("stderr"))?;
    }
    privileges::become_account(mode, account)
}
