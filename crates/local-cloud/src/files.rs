//! Files that are either whole or not there: written beside their place, then renamed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Puts `bytes` at `path`, readable by the owner only: most of what is kept here holds credentials or secrets.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    // A file left by a crash may have other permissions; `mode` only acts on a new one.
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(beside)?;
    file.write_all(bytes)?;
    drop(file);
    fs::rename(beside, path)
}

/// Makes a folder and its parents; only its owner gets into it.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    folder(path, 0o700)
}

/// Makes a folder and its parents; others get through it, but cannot list it.
pub(crate) fn passable_folder(path: &Path) -> io::Result<()> {
    folder(path, 0o711)
}

fn folder(path: &Path, mode: u32) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("a/b");
        private_folder(&home).unwrap();
        private_folder(&home).unwrap();
        let path = home.join("state.json");
        write(&path, b"one").unwrap();
        fs::write(home.join("state.json.new"), "left by a crash").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&home)), (0o600, 0o700));
        assert!(!home.join("state.json.new").exists());
    }
}
