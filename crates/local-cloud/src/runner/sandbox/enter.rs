//! The first step: namespaces of a task.
//!
//! References: `namespaces(7)`, `user_namespaces(7)`, `pid_namespaces(7)`.

use std::process::{ExitCode, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use super::protocol::Mode;
use super::{again, failed, mounts, network, privileges, stage};
use crate::runner::account::Account;

/// Makes the namespaces and runs `init` in them until it ends.
pub(super) fn enter(mode: Mode) -> Result<ExitCode, String> {
    close_inherited()?;
    namespaces(mode)?;
    run_inside(&stage("init", mode))
}

/// Makes the namespaces and tries in them what a container needs, to know beforehand whether this machine allows it.
pub(super) fn probe(mode: Mode) -> Result<ExitCode, String> {
    close_inherited()?;
    namespaces(mode)?;
    run_inside(&stage("probe-inside", mode))
}

/// The second half of [`probe`], as process 1: up to the user that images made for ECS run as.
pub(super) fn probe_inside(mode: Mode) -> Result<ExitCode, String> {
    mounts::proc_for_init()?;
    network::loopback_up()?;
    mounts::probe(mode)?;
    let nonroot = Account {
        uid: 65532,
        gid: 65532,
        ..Account::default()
    };
    if mode == Mode::User {
        privileges::nest(&nonroot)?;
    }
    privileges::become_account(mode, &nonroot)?;
    super::tell(&super::Event::Ready).map_err(failed("stdout"))?;
    Ok(ExitCode::SUCCESS)
}

fn namespaces(mode: Mode) -> Result<(), String> {
    let user = (geteuid().as_raw(), getegid().as_raw());
    let mut flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    if mode == Mode::User {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    unshare(flags).map_err(failed("unshare"))?;
    if mode == Mode::User {
        map_user((0, 0), user)?;
    }
    // What is mounted from here on is not seen outside.
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .map_err(failed("mount / private"))
}

/// In a user namespace just made: the user and group `outside` get the numbers `inside`.
pub(super) fn map_user(inside: (u32, u32), outside: (u32, u32)) -> Result<(), String> {
    for (file, text) in [
        // Without this an unprivileged process may not map groups.
        ("/proc/self/setgroups", "deny".to_owned()),
        (
            "/proc/self/uid_map",
            format!("{} {} 1", inside.0, outside.0),
        ),
        (
            "/proc/self/gid_map",
            format!("{} {} 1", inside.1, outside.1),
        ),
    ] {
        std::fs::write(file, text).map_err(failed(file))?;
    }
    Ok(())
}

fn run_inside(stage: &str) -> Result<ExitCode, String> {
    let status = again(stage)
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .status()
        .map_err(failed("start in the namespaces"))?;
    Ok(match status.code() {
        Some(0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Closes what the daemon's own parents left open: a container must not get it.
pub(super) fn close_inherited() -> Result<(), String> {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .map_err(failed("/proc/self/fd"))?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|&descriptor| descriptor > 2) {
        // The one that listed the folder is closed already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}
