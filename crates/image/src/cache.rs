//! Compressed layers and fetched blobs, kept between runs, so that an unchanged binary is not compressed again and
//! a base image is fetched once.
//!
//! A blob is a file named by its digest. A key is a small file that names a digest; the blob is written before the
//! key. Everything is checked when it is read, so a damaged cache costs time and never correctness. The least
//! recently used blobs go when the whole grows past [`LIMIT`].

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;

use crate::codec::Compression;
use crate::digest::Digest;
use crate::files::{self, FREE_CACHE, FileError};
use crate::layer::{self, Layer};

/// How many bytes of blobs are kept.
const LIMIT: u64 = 1 << 30;

/// A cache in a folder of the caller's choice. Several processes may use one folder at a time.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    limit: u64,
}

impl Cache {
    /// A cache in `folder`, which is made when something is first stored.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            limit: LIMIT,
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The blob of this digest, if it is here and whole.
    pub fn blob(&self, digest: &Digest) -> Option<Bytes> {
        let path = self.blob_path(digest);
        let data = fs::read(&path).ok()?;
        if Digest::of(&data) != *digest {
            // Out of the way: it will be stored again.
            let _ = fs::remove_file(&path);
            return None;
        }
        // The time of last use, for `prune`. Not being able to set it only makes the blob look older.
        let _ = File::options()
            .append(true)
            .open(&path)
            .and_then(|file| file.set_modified(SystemTime::now()));
        Some(data.into())
    }

    /// Stores a blob and gives its digest.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written; the error names it and says what may be deleted.
    pub fn store(&self, data: &[u8]) -> Result<Digest, FileError> {
        let digest = Digest::of(data);
        let path = self.blob_path(&digest);
        files::create_folder(&self.folder.join("blobs/sha256"), FREE_CACHE)?;
        files::write(&path, data, FREE_CACHE)?;
        self.prune(&path);
        Ok(digest)
    }

    /// The layer of this tar, compressed now or before.
    pub(crate) fn layer(&self, tar: &[u8], compression: Compression) -> Result<Layer, FileError> {
        let diff_id = Digest::of(tar);
        let key = self
            .folder
            .join("layers")
            .join(compression.id())
            .join(diff_id.hex());
        let known = fs::read_to_string(&key)
            .ok()
            .and_then(|text| text.trim_end().parse().ok())
            .and_then(|digest| self.blob(&digest))
            .filter(|data| compression.is_compressed(tar, data));
        if let Some(data) = known {
            return Ok(layer::layer(diff_id, data, compression));
        }
        let layer = layer::layer(diff_id, compression.compress(tar), compression);
        self.store(&layer.data)?;
        files::create_folder(key.parent().unwrap_or(&self.folder), FREE_CACHE)?;
        files::write(&key, format!("{}\n", layer.digest).as_bytes(), FREE_CACHE)?;
        Ok(layer)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.hex())
    }

    /// Removes the blobs used longest ago until the rest fits; never `keep`. What cannot be removed stays: the cache
    /// is then larger, which is no reason to fail.
    fn prune(&self, keep: &Path) {
        let Ok(folder) = fs::read_dir(self.folder.join("blobs/sha256")) else {
            return;
        };
        let mut blobs: Vec<(SystemTime, u64, PathBuf)> = folder
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        let mut total: u64 = blobs.iter().map(|(_, size, _)| size).sum();
        blobs.sort();
        for (_, size, path) in blobs {
            if total <= self.limit {
                break;
            }
            if path != keep && fs::remove_file(&path).is_ok() {
                total -= size;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GZIP: Compression = Compression::Gzip;

    #[test]
    fn a_layer_is_compressed_once() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("cache"));
        let first = cache.layer(b"tar", GZIP).unwrap();
        let path = cache.blob_path(&first.digest);
        let before = fs::metadata(&path).unwrap();
        assert_eq!(cache.layer(b"tar", GZIP).unwrap(), first);
        // A second write would have renamed another file into place.
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            assert_eq!(fs::metadata(&path).unwrap().ino(), before.ino());
        }
        assert_eq!(before.len(), first.size());
    }

    #[test]
    fn a_damaged_entry_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let first = cache.layer(b"tar", GZIP).unwrap();
        let path = cache.blob_path(&first.digest);
        let key = folder
            .path()
            .join("layers")
            .join(GZIP.id())
            .join(first.diff_id.hex());

        for damage in [&b"other bytes"[..], b""] {
            fs::write(&path, damage).unwrap();
            assert_eq!(cache.blob(&first.digest), None);
            assert_eq!(cache.layer(b"tar", GZIP).unwrap(), first);
            assert_eq!(cache.blob(&first.digest), Some(first.data.clone()));
        }
        let packed = cache.layer(b"tar", Compression::Zstd).unwrap();
        assert_ne!(packed.digest, first.digest);
        assert_eq!(packed.diff_id, first.diff_id);
        let other = cache.store(&GZIP.compress(b"another tar")).unwrap();
        for damage in ["nonsense", other.as_str()] {
            fs::write(&key, damage).unwrap();
            assert_eq!(cache.layer(b"tar", GZIP).unwrap(), first);
        }
    }

    #[test]
    fn the_blob_used_longest_ago_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache {
            limit: 25,
            ..Cache::new(folder.path())
        };
        let blobs = [[1_u8; 10], [2; 10], [3; 10]];
        let age = |digest: &Digest, seconds: u64| {
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            File::options()
                .append(true)
                .open(cache.blob_path(digest))
                .unwrap()
                .set_modified(time)
                .unwrap();
        };
        let first = cache.store(&blobs[0]).unwrap();
        age(&first, 2);
        let second = cache.store(&blobs[1]).unwrap();
        age(&second, 1);
        let third = cache.store(&blobs[2]).unwrap();
        assert_eq!(cache.blob(&second), None);
        assert!(cache.blob(&first).is_some() && cache.blob(&third).is_some());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::new(&file).layer(b"tar", GZIP).unwrap_err();
        assert!(
            error.to_string().contains(&file.display().to_string()),
            "{error}"
        );
    }
}
