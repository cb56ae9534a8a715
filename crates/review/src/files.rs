//! The files of a repository: which there are, and how they are read.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// Every pipeline file of a git repository, tracked or new, that is not ignored: paths that begin with `root`. Outside of git, the one in `root`.
pub fn pipelines(root: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = Command::new("git")
        .arg("-C")
        .arg(root)
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .args(["--", "pipeline.toml", "**/pipeline.toml"])
        .output();
    let names = match listed {
        Ok(listed) if listed.status.success() => {
            String::from_utf8_lossy(&listed.stdout).into_owned()
        }
        _ => "pipeline.toml".to_owned(),
    };
    let mut paths: Vec<PathBuf> = names
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(|name| root.join(name))
        // A file that git tracks may be deleted in the work tree.
        .filter(|path| path.exists())
        .collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Reads a file of the configuration of the service in `folder`. Links below that folder are not followed: they may lead anywhere.
pub fn read_file(folder: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let mut at = folder.to_path_buf();
    let below = path.strip_prefix(folder).unwrap_or(path);
    for step in below.components() {
        if !matches!(step, Component::Normal(_) | Component::CurDir) {
            return Err(io::Error::other("it is outside of the service's folder"));
        }
        at.push(step);
        if std::fs::symlink_metadata(&at)?.is_symlink() {
            let what = if at == path {
                "it is a symbolic link, and links are not followed".to_owned()
            } else {
                format!(
                    "{} is a symbolic link, and links are not followed",
                    at.display()
                )
            };
            return Err(io::Error::other(what));
        }
    }
    std::fs::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_below_the_services_folder_are_refused() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let service = folder.path().join("service");
        std::fs::create_dir_all(service.join("inner")).expect("it is new");
        std::fs::write(folder.path().join("secret.json"), "{}").expect("it can be written");
        std::fs::write(service.join("inner/good.json"), "{}").expect("it can be written");
        let link = |from: &str, to: &str| {
            std::os::unix::fs::symlink(from, service.join(to)).expect("it is new");
        };
        link("../secret.json", "link.json");
        link("..", "up");
        for (path, good) in [
            ("inner/good.json", true),
            ("link.json", false),
            ("up/secret.json", false),
            ("../secret.json", false),
            ("missing.json", false),
        ] {
            let read = read_file(&service, &service.join(path));
            assert_eq!(read.is_ok(), good, "{path}: {read:?}");
        }
        // The folder itself may be reached by a link: that is how the person came there.
        link("inner", "other");
        let through = service.join("other");
        assert!(read_file(&through, &through.join("good.json")).is_ok());
    }
}
