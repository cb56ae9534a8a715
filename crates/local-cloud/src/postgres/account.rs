//! Whom the server runs as: PostgreSQL refuses to run as root.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::unistd::{User, geteuid};

/// A user without root's rights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// `None` for whoever is not root: the server runs as they do.
    pub(super) fn choose() -> Result<Option<Self>, ()> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| {
                Some(Self {
                    uid: user.uid.as_raw(),
                    gid: user.gid.as_raw(),
                })
            })
            .ok_or(())
    }

    /// Whether this account can go into a folder: every folder on the way must let it pass.
    pub(super) fn reaches(self, folder: &Path) -> bool {
        folder.ancestors().all(|folder| {
            folder.as_os_str().is_empty()
                || folder.metadata().is_ok_and(|data| {
                    let bit = if data.uid() == self.uid {
                        0o100
                    } else if data.gid() == self.gid {
                        0o010
                    } else {
                        0o001
                    };
                    data.mode() & bit != 0
                })
        })
    }

    /// The program is run as this account, in none of root's groups.
    pub(super) fn apply(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_closed_folder_on_the_way_is_not_passed() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let stranger = Account {
            uid: 4_000_000,
            gid: 4_000_000,
        };
        for (mode, expected) in [(0o755, true), (0o711, true), (0o700, false), (0o750, false)] {
            set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(stranger.reaches(&inner), expected, "{mode:o}");
        }
    }
}
