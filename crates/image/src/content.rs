//! The layer of files beside the program, made to fit what lies under it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::layer::{Entry, LayerError, tar};
use crate::tree::{Found, TreeError};

/// What a layer below has at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Below {
    /// A folder.
    Folder,
    /// A symbolic link, which may lead to a folder.
    Link,
    /// Anything else.
    File,
}

/// What the tars of the layers below hold, by path without slashes at its ends.
///
/// # Errors
///
/// When a tar is damaged.
pub(crate) fn below(tars: &[Vec<u8>]) -> std::io::Result<BTreeMap<String, Below>> {
    let mut found = BTreeMap::new();
    for tar in tars {
        for entry in tar::Archive::new(tar.as_slice()).entries()? {
            let entry = entry?;
            let kind = match entry.header().entry_type() {
                tar::EntryType::Directory => Below::Folder,
                tar::EntryType::Symlink => Below::Link,
                _ => Below::File,
            };
            found.insert(clean(&entry.path()?), kind);
        }
    }
    Ok(found)
}

fn clean(path: &Path) -> String {
    path.to_string_lossy()
        .trim_start_matches("./")
        .trim_matches('/')
        .to_owned()
}

/// The tar of the files. Folders that are below already keep their owner and mode; those on the way that nobody made
/// are made, because some runtimes make them unreadable otherwise.
pub(crate) fn files_tar(
    files: &BTreeMap<String, Found>,
    below: &BTreeMap<String, Below>,
) -> Result<Vec<u8>, FilesError> {
    let taken = |path: &str, what| {
        Err(FilesError::Tree(TreeError::Taken {
            path: path.to_owned(),
            what,
        }))
    };
    let mut folders = BTreeSet::new();
    let mut entries = Vec::new();
    for (path, found) in files {
        for (end, _) in path.match_indices('/') {
            folders.insert(&path[..end]);
        }
        match found {
            Found::Folder => {
                folders.insert(path);
            }
            Found::File { data, executable } => {
                if below.get(path) == Some(&Below::Folder) {
                    return taken(path, "a folder already");
                }
                let mode = if *executable { 0o755 } else { 0o644 };
                entries.push(Entry::file(path.clone(), mode, data));
            }
        }
    }
    for path in folders {
        let ours = matches!(files.get(path), Some(Found::File { .. }));
        match below.get(path) {
            _ if ours => return taken(path, "a file and a folder at once"),
            Some(Below::File) => return taken(path, "a file already, and no folder"),
            Some(Below::Folder | Below::Link) => {}
            None => entries.push(Entry::folder(path, 0o755)),
        }
    }
    Ok(tar(&entries)?)
}

/// The layer of files could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Layer(#[from] LayerError),
}
