//! Entering a container that runs, for a health check.

use std::fs::File;

use nix::sched::{CloneFlags, setns};

use super::protocol::Mode;
use super::{failed, privileges};
use crate::runner::account::Account;

/// Makes the namespaces of process `pid` this process's own and becomes `account`. The pid namespace is the parent's doing: it counts for children only.
pub(super) fn enter(mode: Mode, pid: i32, account: &Account) -> Result<(), String> {
    privileges::limit()?;
    if mode == Mode::Plain {
        return Ok(());
    }
    // Both are opened first: behind the mount namespace lies another /proc.
    let open = |kind: &str| {
        let path = format!("/proc/{pid}/ns/{kind}");
        File::open(&path).map_err(|error| format!("{path}: {error}"))
    };
    let mount = open("mnt")?;
    let user = open("user")?;
    setns(mount, CloneFlags::CLONE_NEWNS).map_err(failed("enter the mount namespace"))?;
    if mode == Mode::User {
        setns(user, CloneFlags::CLONE_NEWUSER).map_err(failed("enter the user namespace"))?;
    }
    privileges::become_account(mode, account)
}
