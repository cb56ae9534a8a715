//! Layers of an image, unpacked into a folder.
//!
//! The order and the rules are those of the OCI image specification, "Image Layer Filesystem Changeset": later layers replace what earlier ones brought, a file
//! named `.wh.NAME` removes `NAME`, `.wh..wh..opq` empties its folder. Nothing is ever written outside the folder, whatever names and links the archive holds.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, lchown, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use tar::EntryType;
use thiserror::Error;

use super::rooted;

/// One layer: where its blob is, and what it must be.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// File that holds the blob.
    pub(super) blob: PathBuf,
    /// Digest of the blob.
    pub(super) digest: String,
    /// Digest of the archive inside: `rootfs.diff_ids` of the image's configuration.
    pub(super) diff_id: String,
    /// How the blob is compressed.
    pub(super) compression: Compression,
}

/// How a layer's blob is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// By the media type of the layer; `None` for what is no layer that can be unpacked.
    pub(super) fn of(media_type: &str) -> Option<Self> {
        match media_type {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar" => Some(Self::None),
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Some(Self::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Why an image could not be unpacked.
#[derive(Debug, Error)]
pub(super) enum UnpackError {
    #[error("failed to read layer {digest}: {source}")]
    Read { digest: String, source: io::Error },
    #[error("unexpected content in {what}: want {want}, got {got}")]
    Digest {
        what: &'static str,
        want: String,
        got: String,
    },
    #[error("layer {digest}: {path}: {reason}")]
    Entry {
        digest: String,
        path: String,
        reason: String,
    },
    #[error("failed to write {path}: {source}")]
    Write { path: String, source: io::Error },
}

/// Owner and permissions of a folder, given to it when all layers are in place: a folder may forbid writing to its owner.
struct Attributes {
    mode: u32,
    uid: u64,
    gid: u64,
}

/// Unpacks `layers`, lowest first, into the empty folder `root`. `keep_owner` needs root.
pub(super) fn unpack(root: &Path, layers: &[Layer], keep_owner: bool) -> Result<(), UnpackError> {
    let mut folders = BTreeMap::new();
    for layer in layers {
        unpack_layer(root, layer, keep_owner, &mut folders)?;
    }
    // Deepest first, so that a folder is still open while those in it are changed.
    for (path, attributes) in folders.iter_mut().rev() {
        if !keep_owner {
            // Who is not root could not remove what is in a folder without these. A container gains nothing: its user owns the folder.
            attributes.mode |= 0o700;
        }
        if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            apply(path, attributes, keep_owner).map_err(|source| UnpackError::Write {
                path: path.display().to_string(),
                source,
            })?;
        }
    }
    Ok(())
}

fn unpack_layer(
    root: &Path,
    layer: &Layer,
    keep_owner: bool,
    folders: &mut BTreeMap<PathBuf, Attributes>,
) -> Result<(), UnpackError> {
    let read_error = |source| UnpackError::Read {
        digest: layer.digest.clone(),
        source,
    };
    // The blob is hashed before it is decompressed: bytes nobody vouched for reach no decoder.
    let mut whole = Hashing::new(File::open(&layer.blob).map_err(read_error)?);
    io::copy(&mut whole, &mut io::sink()).map_err(read_error)?;
    expect_digest("layer", &layer.digest, &whole.digest())?;

    let blob = BufReader::new(File::open(&layer.blob).map_err(read_error)?);
    let archive: Box<dyn Read> = match layer.compression {
        Compression::None => Box::new(blob),
        Compression::Gzip => Box::new(MultiGzDecoder::new(blob)),
        Compression::Zstd => {
            Box::new(zstd::stream::read::Decoder::with_buffer(blob).map_err(read_error)?)
        }
    };
    let mut archive = tar::Archive::new(Hashing::new(archive));
    let mut written = BTreeSet::new();
    for entry in archive.entries().map_err(read_error)? {
        let mut entry = entry.map_err(read_error)?;
        let name = entry.path().map_err(read_error)?.into_owned();
        place(root, &mut entry, &name, keep_owner, folders, &mut written).map_err(|reason| {
            UnpackError::Entry {
                digest: layer.digest.clone(),
                path: name.display().to_string(),
                reason,
            }
        })?;
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(read_error)?;
    expect_digest("layer archive", &layer.diff_id, &rest.digest())
}

/// Puts one entry in its place; the error says what is wrong with it.
fn place(
    root: &Path,
    entry: &mut tar::Entry<'_, impl Read>,
    name: &Path,
    keep_owner: bool,
    folders: &mut BTreeMap<PathBuf, Attributes>,
    written: &mut BTreeSet<PathBuf>,
) -> Result<(), String> {
    let words = |error: io::Error| error.to_string();
    let Some(relative) = inside(name) else {
        return Err("the path leads out of the image".to_owned());
    };
    let header = entry.header();
    let kind = header.entry_type();
    let attributes = Attributes {
        mode: header.mode().map_err(words)? & 0o7777,
        uid: header.uid().map_err(words)?,
        gid: header.gid().map_err(words)?,
    };
    let Some(file_name) = relative.file_name() else {
        if kind == EntryType::Directory {
            folders.insert(root.to_owned(), attributes);
        }
        return Ok(());
    };
    let target = rooted::resolve_parent(root, &relative).map_err(words)?;
    let parent = target.parent().unwrap_or(root);
    std::fs::create_dir_all(parent).map_err(words)?;

    if let Some(hidden) = file_name.as_bytes().strip_prefix(b".wh.") {
        return if hidden == b".wh..opq" {
            empty(parent, written).map_err(words)
        } else if hidden.is_empty() || hidden == b"." || hidden == b".." {
            Err("the whiteout names no file".to_owned())
        } else {
            remove(&parent.join(OsStr::from_bytes(hidden))).map_err(words)
        };
    }
    match kind {
        EntryType::Directory => {
            if !target.symlink_metadata().is_ok_and(|found| found.is_dir()) {
                remove(&target).map_err(words)?;
                std::fs::create_dir(&target).map_err(words)?;
            }
            folders.insert(target.clone(), attributes);
        }
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            remove(&target).map_err(words)?;
            let modified = header.mtime().unwrap_or(0);
            let mut file = File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&target)
                .map_err(words)?;
            io::copy(entry, &mut file).map_err(words)?;
            // Static file servers answer with this time. A time the file system cannot hold is no reason to fail.
            if let Some(modified) =
                SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(modified))
            {
                let _ = file.set_modified(modified);
            }
            apply(&target, &attributes, keep_owner).map_err(words)?;
        }
        EntryType::Symlink => {
            let link = link_name(entry)?;
            if link.is_relative() && inside(&parent_of(&relative).join(&link)).is_none() {
                return Err(format!(
                    "the symbolic link to {} leads out of the image",
                    link.display()
                ));
            }
            remove(&target).map_err(words)?;
            symlink(&link, &target).map_err(words)?;
            if keep_owner {
                lchown(
                    &target,
                    Some(id(attributes.uid)?),
                    Some(id(attributes.gid)?),
                )
                .map_err(words)?;
            }
        }
        EntryType::Link => {
            let link = link_name(entry)?;
            let Some(existing) = inside(&link).filter(|link| link.file_name().is_some()) else {
                return Err(format!(
                    "the hard link to {} leads out of the image",
                    link.display()
                ));
            };
            let existing = rooted::resolve_parent(root, &existing).map_err(words)?;
            if existing != target {
                remove(&target).map_err(words)?;
                std::fs::hard_link(&existing, &target).map_err(words)?;
            }
        }
        // Devices and pipes: a container gets its devices from the sandbox. Other kinds carry nothing to write.
        _ => return Ok(()),
    }
    written.insert(target);
    Ok(())
}

fn link_name(entry: &tar::Entry<'_, impl Read>) -> Result<PathBuf, String> {
    entry
        .link_name()
        .map_err(|error| error.to_string())?
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| "the link names no target".to_owned())
}

fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// `path` without `/`, `.` and `..`; `None` when `..` leads above its start.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(clean)
}

fn apply(path: &Path, attributes: &Attributes, keep_owner: bool) -> io::Result<()> {
    if keep_owner {
        let id = |number| id(number).map_err(io::Error::other);
        lchown(path, Some(id(attributes.uid)?), Some(id(attributes.gid)?))?;
    }
    // After the owner: a change of owner takes the set-user-ID bit away.
    std::fs::set_permissions(path, Permissions::from_mode(attributes.mode))
}

fn id(number: u64) -> Result<u32, String> {
    u32::try_from(number).map_err(|_| format!("no user or group has the number {number}"))
}

/// Removes what earlier layers put into `folder`; what this layer has `written` stays.
fn empty(folder: &Path, written: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if written.contains(&path) {
            continue;
        }
        let holds_new = written
            .range(path.clone()..)
            .next()
            .is_some_and(|next| next.starts_with(&path));
        if holds_new {
            empty(&path, written)?;
        } else {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Removes a file, a link or a whole folder; nothing there is fine too.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if found.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    }
}

/// Checks that `got` is the digest that was promised.
pub(super) fn expect_digest(what: &'static str, want: &str, got: &str) -> Result<(), UnpackError> {
    if want == got {
        Ok(())
    } else {
        Err(UnpackError::Digest {
            what,
            want: want.to_owned(),
            got: got.to_owned(),
        })
    }
}

/// `sha256:…` of some bytes.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A reader that hashes what passes.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R> Hashing<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
        }
    }

    fn digest(self) -> String {
        format!("sha256:{}", hex::encode(self.hash.finalize()))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hash.update(&buffer[..length]);
        Ok(length)
    }
}
