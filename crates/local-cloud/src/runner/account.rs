//! Who a container's process runs as: the `User` of an image, looked up in the image's own `/etc/passwd` and `/etc/group`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::rooted;

/// A user as the kernel knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Further groups, from `/etc/group`.
    pub(super) groups: Vec<u32>,
    /// Home folder; `/` when passwd does not know the user.
    pub(super) home: String,
}

/// Looks up `user` (`uid`, `name`, `uid:gid`, `name:group`; empty is root) in the image unpacked at `root`.
///
/// # Errors
/// In a container runtime's words, when a name is not known.
pub(super) fn look_up(root: &Path, user: &str) -> Result<Account, String> {
    let passwd = read(root, "etc/passwd");
    let group = read(root, "etc/group");
    let (user, wanted_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let entry = passwd.lines().map(fields).find(|entry| {
        entry.first() == Some(&user) || user.parse::<u32>().is_ok() && entry.get(2) == Some(&user)
    });
    let number = |at: usize| {
        entry
            .as_ref()
            .and_then(|entry| entry.get(at))
            .and_then(|number| number.parse::<u32>().ok())
    };
    let uid = number(2)
        .or_else(|| user.parse().ok())
        .ok_or_else(|| format!("unable to find user {user}: no matching entries in passwd file"))?;
    let name = entry.as_ref().map(|entry| entry[0]);
    let home = entry
        .as_ref()
        .and_then(|entry| entry.get(5))
        .filter(|home| !home.is_empty())
        .map_or("/", |home| home);
    let groups = group.lines().map(fields);
    let (gid, groups) = if let Some(wanted) = wanted_group {
        let gid = groups
            .clone()
            .find(|entry| entry.first() == Some(&wanted))
            .and_then(|entry| entry.get(2)?.parse().ok())
            .or_else(|| wanted.parse().ok())
            .ok_or_else(|| {
                format!("unable to find group {wanted}: no matching entries in group file")
            })?;
        (gid, Vec::new())
    } else {
        let is_member = |entry: &Vec<&str>| {
            name.zip(entry.get(3))
                .is_some_and(|(name, members)| members.split(',').any(|member| member == name))
        };
        let member_of = groups
            .filter(is_member)
            .filter_map(|entry| entry.get(2)?.parse().ok())
            .collect();
        (number(3).unwrap_or(0), member_of)
    };
    Ok(Account {
        uid,
        gid,
        groups,
        home: home.to_owned(),
    })
}

fn read(root: &Path, path: &str) -> String {
    rooted::resolve(root, Path::new(path))
        .and_then(std::fs::read)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_looked_up_in_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let etc = folder.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        std::fs::write(
            etc.join("passwd"),
            "root:x:0:0:root:/root:/bin/sh\nnonroot:x:65532:65533:n:/home/nonroot:/sbin/nologin\n",
        )
        .unwrap();
        std::fs::write(
            etc.join("group"),
            "root:x:0:\nstaff:x:50:other,nonroot\nnonroot:x:65533:\n",
        )
        .unwrap();
        let account = |uid, gid, groups: &[u32], home: &str| Account {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.to_owned(),
        };
        for (user, expected) in [
            ("", Ok(account(0, 0, &[], "/root"))),
            ("nonroot", Ok(account(65532, 65533, &[50], "/home/nonroot"))),
            ("65532", Ok(account(65532, 65533, &[50], "/home/nonroot"))),
            ("65532:staff", Ok(account(65532, 50, &[], "/home/nonroot"))),
            ("1234", Ok(account(1234, 0, &[], "/"))),
            ("1234:99", Ok(account(1234, 99, &[], "/"))),
            (
                "nobody",
                Err("unable to find user nobody: no matching entries in passwd file"),
            ),
            (
                "0:wheel",
                Err("unable to find group wheel: no matching entries in group file"),
            ),
        ] {
            assert_eq!(
                look_up(folder.path(), user),
                expected.map_err(str::to_owned),
                "{user:?}"
            );
        }
    }
}
