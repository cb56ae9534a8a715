//! Giving up every privilege, for good.
//!
//! A container's process has no capability, also as user 0: less than a container runtime leaves it, and nothing that a service on ECS needs. Ports below 1024 are open to
//! everyone inside the task (see [`super::network`]). References: `capabilities(7)`, `user_namespaces(7)`.

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_no_new_privs;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

use super::enter::map_user;
use super::failed;
use super::protocol::Mode;
use crate::runner::account::Account;

/// Open files a process may have on Fargate.
const OPEN_FILES: u64 = 65_535;

/// Limits as on Fargate, as far as this machine's own allow.
pub(super) fn limit() -> Result<(), String> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed("getrlimit"))?;
    let files = hard.min(OPEN_FILES);
    setrlimit(Resource::RLIMIT_NOFILE, files, files).map_err(failed("setrlimit"))?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(failed("setrlimit"))
}

/// Becomes `account` with no capability. In [`Mode::User`] the caller is in the user namespace where that account exists: see [`nest`].
pub(super) fn become_account(mode: Mode, account: &Account) -> Result<(), String> {
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // A capability this kernel does not know.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(format!("drop capability {capability:?}: {error}")),
        }
    }
    if mode == Mode::Root {
        let groups: Vec<Gid> = std::iter::once(account.gid)
            .chain(account.groups.iter().copied())
            .map(Gid::from_raw)
            .collect();
        setgroups(&groups).map_err(failed("setgroups"))?;
    }
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    setresgid(gid, gid, gid).map_err(failed("setgid"))?;
    setresuid(uid, uid, uid).map_err(failed("setuid"))?;
    clear_ambient_capability_set().map_err(failed("clear ambient capabilities"))?;
    let none = CapabilitySet::empty();
    set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )
    .map_err(failed("drop capabilities"))?;
    set_no_new_privs().map_err(failed("no_new_privs"))
}

/// Without root there is one user to be had; a user namespace inside the task's gives that user the number the image asks for.
pub(super) fn nest(account: &Account) -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWUSER).map_err(failed("unshare user"))?;
    map_user((account.uid, account.gid), (0, 0))
}
