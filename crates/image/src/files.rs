//! Writing files so that a reader, or a crash, never meets a half-written one; and saying which folder is to blame
//! when it fails.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A file or folder could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No space left.
    #[error("no space left on the disk of {}: free some space there ({})", folder.display(), .free)]
    DiskFull {
        /// The folder being written.
        folder: PathBuf,
        /// What can be removed without harm.
        free: &'static str,
    },
    /// The folder may not be written.
    #[error("cannot write to {}: {source}; make the folder writable or choose another", folder.display())]
    NotWritable {
        /// The folder being written.
        folder: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Any other failure.
    #[error("cannot {verb} {}: {source}", path.display())]
    Other {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Which files may go when the disk is full.
pub(crate) const FREE_CACHE: &str =
    "everything in this cache can be deleted: it is made again when needed";
/// The same for a folder that is the caller's.
pub(crate) const FREE_OUTPUT: &str = "older images and builds beside it can be deleted";

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|source| FileError::Other {
        verb: "read",
        path: path.to_owned(),
        source,
    })
}

/// Makes a folder and those above it.
pub(crate) fn create_folder(folder: &Path, free: &'static str) -> Result<(), FileError> {
    fs::create_dir_all(folder).map_err(|source| write_error(folder, free, source))
}

/// Writes `data` beside `path` and renames it into place. The folder must exist.
pub(crate) fn write(path: &Path, data: &[u8], free: &'static str) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let attempt = || {
        let mut file = tempfile::Builder::new()
            .prefix(".writing-")
            .tempfile_in(folder)?;
        file.write_all(data)?;
        // Blobs are named by their content and may be shared: readable for all, as `fs::write` would make them.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            file.as_file()
                .set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    attempt().map_err(|source| write_error(folder, free, source))
}

/// Gives a failed write its name.
pub(crate) fn write_error(folder: &Path, free: &'static str, source: io::Error) -> FileError {
    let folder = folder.to_owned();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            FileError::DiskFull { folder, free }
        }
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::AlreadyExists => FileError::NotWritable { folder, source },
        _ => FileError::Other {
            verb: "write to",
            path: folder,
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_file_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"one", FREE_CACHE).unwrap();
        write(&path, b"two", FREE_CACHE).unwrap();
        assert_eq!(read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_full_disk_is_named_with_what_to_free() {
        let error = write_error(
            Path::new("/cache"),
            FREE_CACHE,
            io::ErrorKind::StorageFull.into(),
        );
        insta::assert_snapshot!(
            error,
            @"no space left on the disk of /cache: free some space there (everything in this cache can be deleted: it is made again when needed)"
        );
    }

    #[test]
    fn a_file_in_the_place_of_a_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        write(&file, b"", FREE_CACHE).unwrap();
        let error = create_folder(&file.join("sub"), FREE_CACHE).unwrap_err();
        assert!(matches!(error, FileError::NotWritable { .. }), "{error:?}");
    }
}
