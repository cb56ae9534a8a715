//! Where the bytes of blobs lie: one file each, named by digest, shared by all repositories.
//!
//! A blob is written to `uploads/`, hashed on its way, and renamed to its place when its digest is right: a file under `blobs/` is always whole.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::registry::{Refusal, is_digest};
use crate::files;
use crate::task::Millis;

/// ECR takes no smaller part, unless it is the last one of its blob.
const SMALLEST_PART: u64 = 5 << 20;
/// An upload that nothing came for in this time is dropped.
const FORGOTTEN_AFTER: Millis = 60 * 60 * 1000;

/// The blobs on disk.
#[derive(Debug)]
pub struct Blobs {
    root: PathBuf,
    uploads: Mutex<HashMap<String, Session>>,
}

#[derive(Debug)]
struct Session {
    upload: Arc<tokio::sync::Mutex<Upload>>,
    used_at: Millis,
}

/// A blob that is on its way.
#[derive(Debug)]
pub struct Upload {
    repository: String,
    path: PathBuf,
    file: tokio::fs::File,
    hash: Sha256,
    size: u64,
    /// Size of the last part, when there was one.
    last_part: Option<u64>,
}

impl Blobs {
    /// Opens the folder, makes it if needed, and removes what uploads of an earlier run left.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        files::private_folder(&root)?;
        files::private_folder(&root.join("blobs"))?;
        let uploads = root.join("uploads");
        match std::fs::remove_dir_all(&uploads) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        files::private_folder(&uploads)?;
        Ok(Self {
            root,
            uploads: Mutex::default(),
        })
    }

    /// Where a blob lies or would lie; `None` when the text is not a digest.
    pub fn path(&self, digest: &str) -> Option<PathBuf> {
        let hex = digest
            .strip_prefix("sha256:")
            .filter(|_| is_digest(digest))?;
        Some(self.root.join("blobs/sha256").join(&hex[..2]).join(hex))
    }

    /// Removes the files of all blobs that are not in `used`; how many there were.
    pub fn collect(&self, used: &BTreeSet<&str>) -> io::Result<usize> {
        let mut removed = 0;
        for folder in entries(&self.root.join("blobs/sha256"))? {
            for file in entries(&folder)? {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                if !used.contains(format!("sha256:{name}").as_str()) {
                    std::fs::remove_file(&file)?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Begins an upload under an id that nobody else knows.
    pub async fn begin(&self, id: String, repository: &str, now: Millis) -> Result<(), Refusal> {
        let path = self.root.join("uploads").join(&id);
        let file = tokio::fs::File::create_new(&path)
            .await
            .map_err(|error| self.unwritable(&error))?;
        let upload = Upload {
            repository: repository.to_owned(),
            path,
            file,
            hash: Sha256::new(),
            size: 0,
            last_part: None,
        };
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.retain(|_, session| now.saturating_sub(session.used_at) < FORGOTTEN_AFTER);
        uploads.insert(
            id,
            Session {
                upload: Arc::new(tokio::sync::Mutex::new(upload)),
                used_at: now,
            },
        );
        Ok(())
    }

    /// An upload under way; the guard keeps two requests from writing to it at once.
    pub async fn upload(
        &self,
        id: &str,
        repository: &str,
        now: Millis,
    ) -> Result<tokio::sync::OwnedMutexGuard<Upload>, Refusal> {
        let upload = {
            let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
            uploads.get_mut(id).map(|session| {
                session.used_at = now;
                Arc::clone(&session.upload)
            })
        };
        let unknown = || {
            Refusal::new(
                404,
                "BLOB_UPLOAD_UNKNOWN",
                format!("There is no upload {id} to the repository '{repository}'"),
            )
        };
        let upload = upload.ok_or_else(unknown)?.lock_owned().await;
        if upload.repository == repository {
            Ok(upload)
        } else {
            Err(unknown())
        }
    }

    /// Adds bytes to the part that is being received.
    pub async fn write(&self, upload: &mut Upload, bytes: &[u8]) -> Result<(), Refusal> {
        let written = async {
            upload.file.write_all(bytes).await?;
            upload.file.flush().await
        };
        written.await.map_err(|error| self.unwritable(&error))?;
        upload.hash.update(bytes);
        upload.size += bytes.len() as u64;
        Ok(())
    }

    /// Ends an upload: its size, once the blob is at its place.
    pub async fn finish(&self, id: &str, upload: &Upload, digest: &str) -> Result<u64, Refusal> {
        self.forget(id);
        let received = format!("sha256:{}", hex::encode(upload.hash.clone().finalize()));
        let Some(place) = self.path(digest).filter(|_| received == digest) else {
            // What was received is of no use; that it cannot be removed changes no answer.
            let _ = tokio::fs::remove_file(&upload.path).await;
            return Err(Refusal::new(
                400,
                "DIGEST_INVALID",
                format!("The blob was sent as {digest}, but what was received is {received}"),
            ));
        };
        let moved = async {
            if let Some(folder) = place.parent() {
                tokio::fs::create_dir_all(folder).await?;
            }
            tokio::fs::rename(&upload.path, &place).await
        };
        moved.await.map_err(|error| self.unwritable(&error))?;
        Ok(upload.size)
    }

    /// Ends an upload without a blob.
    pub async fn cancel(&self, id: &str, upload: &Upload) {
        self.forget(id);
        // The folder is emptied at the next start at the latest.
        let _ = tokio::fs::remove_file(&upload.path).await;
    }

    fn forget(&self, id: &str) {
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.remove(id);
    }

    fn unwritable(&self, error: &io::Error) -> Refusal {
        let folder = self.root.display();
        if error.kind() == io::ErrorKind::StorageFull {
            return Refusal::new(
                507,
                "UNKNOWN",
                format!("The disk with the registry's folder {folder} is full"),
            );
        }
        Refusal::new(
            500,
            "UNKNOWN",
            format!("The registry's folder {folder} cannot be written to: {error}"),
        )
    }
}

impl Upload {
    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Begins another part, which starts at `from` if the client said where. ECR's rules: parts follow on each other, and only the last one may be small.
    pub fn begin_part(&self, from: Option<u64>) -> Result<(), Refusal> {
        if from.is_some_and(|from| from != self.size) {
            return Err(Refusal::new(
                416,
                "BLOB_UPLOAD_INVALID",
                format!(
                    "The part begins at byte {}, but {} bytes were received",
                    from.unwrap_or_default(),
                    self.size
                ),
            ));
        }
        if self.last_part.is_some_and(|size| size < SMALLEST_PART) {
            return Err(Refusal::new(
                400,
                "BLOB_UPLOAD_INVALID",
                format!(
                    "Layer parts must be at least {SMALLEST_PART} bytes, other than the last one: the part before this one had {} (LayerPartTooSmallException)",
                    self.last_part.unwrap_or_default()
                ),
            ));
        }
        Ok(())
    }

    /// Ends the part that began when the upload had `from` bytes.
    pub fn end_part(&mut self, from: u64) {
        if self.size > from {
            self.last_part = Some(self.size - from);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // An upload that was forgotten for good: its file goes. After `finish` there is none any more.
        if let Ok(upload) = self.upload.try_lock() {
            let _ = std::fs::remove_file(&upload.path);
        }
    }
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::registry::digest;

    async fn send(blobs: &Blobs, id: &str, parts: &[&[u8]]) -> Result<(), Refusal> {
        blobs.begin(id.to_owned(), "api", 0).await?;
        for part in parts {
            let mut upload = blobs.upload(id, "api", 0).await?;
            let from = upload.size();
            upload.begin_part(None)?;
            blobs.write(&mut upload, part).await?;
            upload.end_part(from);
        }
        Ok(())
    }

    fn files(blobs: &Blobs, folder: &str) -> usize {
        entries(&blobs.root.join(folder)).unwrap().len()
    }

    #[tokio::test]
    async fn a_blob_is_there_when_its_digest_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path().join("registry")).unwrap();
        let right = digest(b"hello");
        for (id, name, expected) in [
            ("a", &right, Ok(5)),
            ("b", &digest(b"other"), Err("DIGEST_INVALID")),
        ] {
            send(&blobs, id, &[b"hello"]).await.unwrap();
            let upload = blobs.upload(id, "api", 0).await.unwrap();
            let outcome = blobs.finish(id, &upload, name).await.map_err(|r| r.code);
            assert_eq!(outcome, expected);
        }
        assert_eq!(
            std::fs::read(blobs.path(&right).unwrap()).unwrap(),
            b"hello"
        );
        assert_eq!(files(&blobs, "uploads"), 0);
        assert_eq!(blobs.collect(&BTreeSet::from([right.as_str()])).unwrap(), 0);
        assert_eq!(blobs.collect(&BTreeSet::new()).unwrap(), 1);
        assert!(blobs.path("sha256:../../etc/passwd").is_none());
    }

    #[tokio::test]
    async fn parts_follow_ecrs_rules() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path().join("registry")).unwrap();
        let big = vec![0; usize::try_from(SMALLEST_PART).unwrap()];
        send(&blobs, "big", &[&big, b"last"]).await.unwrap();
        let refused = send(&blobs, "small", &[b"small", b"last"]).await;
        assert_eq!(refused.unwrap_err().status, 400);
        let upload = blobs.upload("big", "api", 0).await.unwrap();
        assert_eq!(upload.begin_part(Some(3)).unwrap_err().status, 416);
    }

    #[tokio::test]
    async fn uploads_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path().join("registry")).unwrap();
        send(&blobs, "a", &[b"x"]).await.unwrap();
        assert!(blobs.upload("a", "other", 0).await.is_err());
        blobs
            .begin("b".to_owned(), "api", FORGOTTEN_AFTER)
            .await
            .unwrap();
        assert_eq!(
            blobs.upload("a", "api", 0).await.unwrap_err().code,
            "BLOB_UPLOAD_UNKNOWN"
        );
        assert_eq!(files(&blobs, "uploads"), 1);
        let again = Blobs::open(folder.path().join("registry")).unwrap();
        assert_eq!(files(&again, "uploads"), 0);
    }
}
