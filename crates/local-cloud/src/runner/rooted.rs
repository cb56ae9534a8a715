//! Paths inside an image's root file system, looked at from outside.
//!
//! An image is written by somebody else. A symbolic link in it must lead where it would lead a process whose root is the image, never into the host's files.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// As many links as Linux follows before it gives up (`path_resolution(7)`).
const MAX_LINKS: u32 = 40;

/// Where `path` lies below `root`, with links followed as if `root` were `/`. Parts that do not exist are taken as written.
pub(super) fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut pending = parts(path);
    let mut found = PathBuf::new();
    let mut links = 0;
    while let Some(part) = pending.pop_front() {
        if part == ".." {
            found.pop();
            continue;
        }
        let candidate = root.join(&found).join(&part);
        match std::fs::read_link(&candidate) {
            Ok(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(io::Error::other(format!(
                        "too many symbolic links in {}",
                        path.display()
                    )));
                }
                if target.is_absolute() {
                    found.clear();
                }
                for part in parts(&target).into_iter().rev() {
                    pending.push_front(part);
                }
            }
            // Not a link, or not there.
            Err(_) => found.push(part),
        }
    }
    Ok(root.join(found))
}

/// Like [`resolve`], but the last part of the path is not followed when it is a link: the place to make or remove something.
pub(super) fn resolve_parent(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} names no file", path.display()),
        )
    })?;
    let parent = resolve(root, path.parent().unwrap_or(Path::new("")))?;
    Ok(parent.join(name))
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_inside() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("usr/lib")).unwrap();
        symlink("usr/lib", root.join("lib")).unwrap();
        symlink("/usr", root.join("absolute")).unwrap();
        symlink("../../../../etc", root.join("up")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        for (path, expected) in [
            ("lib/a", "usr/lib/a"),
            ("/lib/a", "usr/lib/a"),
            ("absolute/lib/a", "usr/lib/a"),
            ("up/passwd", "etc/passwd"),
            ("../../etc/passwd", "etc/passwd"),
            ("lib/../x", "usr/x"),
            ("new/../x", "x"),
        ] {
            assert_eq!(
                resolve(root, Path::new(path)).unwrap(),
                root.join(expected),
                "{path}"
            );
        }
        assert!(resolve(root, Path::new("loop/a")).is_err());
        assert_eq!(
            resolve_parent(root, Path::new("/lib/../up")).unwrap(),
            root.join("usr/up")
        );
        assert_eq!(
            resolve_parent(root, Path::new("up")).unwrap(),
            root.join("up")
        );
    }
}
