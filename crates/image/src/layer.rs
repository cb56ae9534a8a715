//! Layers: a tar whose bytes depend on nothing but its entries, compressed by a pinned codec.
//!
//! Every header field that could carry the machine or the moment is set here: the time is 0, owners are numbers
//! without names, entries are sorted.

use std::io;

use bytes::Bytes;
use tar::{EntryType, Header};

use crate::codec::Compression;
use crate::digest::Digest;

/// A compressed layer, in memory. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The media type that the manifest gives.
    pub media_type: String,
    /// The digest of the compressed bytes: the blob's name in a registry.
    pub digest: Digest,
    /// The digest of the tar before compression: the layer's name in the image configuration.
    pub diff_id: Digest,
    /// The compressed bytes.
    pub data: Bytes,
}

impl Layer {
    /// The compressed size in bytes.
    pub fn size(&self) -> u64 {
        self.data.len() as u64
    }
}

/// A layer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A path that a tar header cannot hold.
    #[error("`{path}` cannot be stored in a layer: {reason}; use a shorter, relative path")]
    Path {
        /// The path within the image.
        path: String,
        /// What the tar format has against it.
        reason: String,
    },
    /// Two entries for one path: which one wins would depend on the reader.
    #[error("`{path}` is in the layer twice")]
    Duplicate {
        /// The path within the image.
        path: String,
    },
}

/// One file or folder of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The path within the image, without a leading slash. `.` is the root folder.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// The owner; user and group alike.
    pub owner: u32,
    /// A file's bytes, or a folder.
    pub content: Content<'a>,
}

/// What an [`Entry`] holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<'a> {
    /// A folder.
    Folder,
    /// A regular file with these bytes.
    File(&'a [u8]),
}

impl<'a> Entry<'a> {
    /// A file owned by root.
    pub fn file(path: impl Into<String>, mode: u32, data: &'a [u8]) -> Self {
        Self {
            path: path.into(),
            mode,
            owner: 0,
            content: Content::File(data),
        }
    }

    /// A folder owned by root.
    pub fn folder(path: impl Into<String>, mode: u32) -> Self {
        Self {
            path: path.into(),
            mode,
            owner: 0,
            content: Content::Folder,
        }
    }
}

/// Builds the tar. The order of `entries` does not matter; folders come before what they hold because a path sorts
/// before its continuations.
///
/// # Errors
///
/// When a path is absolute, holds `..`, is too long for a USTAR header (100 bytes, or 255 with a slash at the right
/// place) or appears twice.
pub fn tar(entries: &[Entry<'_>]) -> Result<Vec<u8>, LayerError> {
    let mut sorted: Vec<&Entry<'_>> = entries.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].path == pair[1].path) {
        return Err(LayerError::Duplicate {
            path: pair[0].path.clone(),
        });
    }

    // Headers and padding take at most two blocks of 512 bytes an entry; the end takes two more.
    let content: usize = sorted.iter().map(|entry| entry.data().len()).sum();
    let mut out = Vec::with_capacity(content + (sorted.len() + 1) * 1024);
    for entry in sorted {
        let header = header(entry).map_err(|error| LayerError::Path {
            path: entry.path.clone(),
            reason: error.to_string(),
        })?;
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(entry.data());
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    Ok(out)
}

impl Entry<'_> {
    fn data(&self) -> &[u8] {
        match self.content {
            Content::Folder => &[],
            Content::File(data) => data,
        }
    }
}

fn header(entry: &Entry<'_>) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    match entry.content {
        Content::Folder => {
            header.set_entry_type(EntryType::Directory);
            header.set_path(format!("{}/", entry.path))?;
        }
        Content::File(_) => {
            header.set_entry_type(EntryType::Regular);
            header.set_path(&entry.path)?;
        }
    }
    header.set_mode(entry.mode);
    header.set_uid(entry.owner.into());
    header.set_gid(entry.owner.into());
    header.set_mtime(0);
    header.set_size(entry.data().len() as u64);
    header.set_cksum();
    Ok(header)
}

/// A layer of a tar and its compressed form.
pub(crate) fn layer(diff_id: Digest, data: Bytes, compression: Compression) -> Layer {
    Layer {
        media_type: compression.media_type().to_owned(),
        digest: Digest::of(&data),
        diff_id,
        data,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_carry_only_what_the_entry_says() {
        let entries = [
            Entry::file("z/app", 0o755, b"binary"),
            Entry {
                owner: 65532,
                ..Entry::folder("home/nonroot", 0o700)
            },
            Entry::folder(".", 0o755),
        ];
        let bytes = tar(&entries).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header().clone();
            assert_eq!(header.mtime().unwrap(), 0);
            assert_eq!(header.username().unwrap(), Some(""));
            assert_eq!(header.groupname().unwrap(), Some(""));
            assert_eq!(header.uid().unwrap(), header.gid().unwrap());
            let mut data = Vec::new();
            entry.read_to_end(&mut data).unwrap();
            seen.push(format!(
                "{} {:o} {} {}",
                entry.path().unwrap().display(),
                header.mode().unwrap(),
                header.uid().unwrap(),
                data.len()
            ));
        }
        assert_eq!(
            seen,
            ["./ 755 0 0", "home/nonroot/ 700 65532 0", "z/app 755 0 6"]
        );
    }

    #[test]
    fn paths_that_do_not_fit_are_refused() {
        for path in ["/etc/passwd", "a/../b", "", &"x".repeat(300)] {
            let error = tar(&[Entry::file(path, 0o644, b"")]).unwrap_err();
            assert!(matches!(error, LayerError::Path { .. }), "{path}: {error}");
        }
        let twice = [Entry::file("a", 0o644, b""), Entry::folder("a", 0o755)];
        assert!(matches!(tar(&twice), Err(LayerError::Duplicate { .. })));
    }

    proptest! {
        #[test]
        fn the_order_of_entries_does_not_matter(
            (names, shuffled) in proptest::collection::btree_set("[a-z]{1,8}(/[a-z]{1,8}){0,3}", 1..20)
                .prop_map(|names| names.into_iter().collect::<Vec<_>>())
                .prop_flat_map(|names| (Just(names.clone()), Just(names).prop_shuffle()))
        ) {
            let build = |names: &[String]| {
                let entries: Vec<_> = names
                    .iter()
                    .map(|name| Entry::file(name.clone(), 0o644, name.as_bytes()))
                    .collect();
                tar(&entries).unwrap()
            };
            prop_assert_eq!(build(&names), build(&shuffled));
        }
    }
}
