//! Images on disk, as the OCI image specification's "Image Layout" has them: for hand-over between commands and to
//! other tools (`skopeo copy oci:…`, `crane push`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::assemble::{Blob, Image};
use crate::digest::Digest;
use crate::files::{self, FREE_OUTPUT, FileError};
use crate::layer::Layer;
use crate::media_type;
use crate::oci::{Descriptor, ImageConfig, Index, Manifest, to_json};
use crate::set::{self, ImageSet};

/// An annotation that names an image within a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const MARKER: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// How long a blob stays that no index names.
const KEPT: Duration = Duration::from_hours(1);

/// A layout could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A blob is not what its name says.
    #[error("{} is damaged: its bytes have the digest {found}; delete it and build the image again", path.display())]
    Damaged {
        /// The blob's file.
        path: PathBuf,
        /// The digest of what is there.
        found: Digest,
    },
    /// A document is not what the specification asks for.
    #[error("{} is not a valid {what}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is more than one image, or none.
    #[error("{} holds {found} images; one was expected", path.display())]
    NotOne {
        /// The layout's index.
        path: PathBuf,
        /// How many it names.
        found: usize,
    },
}

/// Writes images to `folder` under the name `reference`. Blobs that are there already are kept; the index comes last, is
/// replaced as a whole, and then names these only. What earlier builds left is removed once it is [`KEPT`] old.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write(folder: &Path, set: &ImageSet, reference: &str) -> Result<(), LayoutError> {
    let blobs = folder.join("blobs/sha256");
    files::create_folder(&blobs, FREE_OUTPUT)?;
    let mut all = set.blobs();
    let manifests = set.images().iter().map(Image::manifest_blob);
    all.extend(
        manifests
            .chain(set.index().cloned())
            .map(|blob| (blob.digest.clone(), blob)),
    );
    for (digest, blob) in &all {
        let path = blobs.join(digest.hex());
        let whole = fs::read(&path).is_ok_and(|data| data == blob.data);
        if !whole {
            files::write(&path, &blob.data, FREE_OUTPUT)?;
        }
    }
    files::write(&folder.join("oci-layout"), MARKER, FREE_OUTPUT)?;

    // Several images are one entry, as other tools write them: their own index.
    let top = match set.index() {
        Some(index) => Descriptor::of(&index.media_type, &index.data),
        None => set::descriptor(&set.images()[0]),
    };
    let index = Index {
        schema_version: 2,
        media_type: media_type::INDEX.to_owned(),
        manifests: vec![Descriptor {
            annotations: BTreeMap::from([(REF_NAME.to_owned(), reference.to_owned())]),
            ..top
        }],
    };
    files::write(&folder.join("index.json"), &to_json(&index), FREE_OUTPUT)?;
    remove_old(&blobs, &all);
    Ok(())
}

/// Removes blobs that no index names, unless they are so new that another build may be about to name them. What
/// cannot be removed stays: it does no harm but to the disk.
fn remove_old(blobs: &Path, wanted: &BTreeMap<Digest, Blob>) {
    let Ok(entries) = fs::read_dir(blobs) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > KEPT));
        if old && !wanted.keys().any(|digest| name == digest.hex()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Reads the images of a layout and checks every digest.
///
/// # Errors
///
/// When a file is missing, damaged or not of the specification's form, or the layout's index names several things.
pub fn read(folder: &Path) -> Result<ImageSet, LayoutError> {
    let index_path = folder.join("index.json");
    let index: Index = parse(&index_path, "image index", &files::read(&index_path)?)?;
    let [entry] = index.manifests.as_slice() else {
        return Err(LayoutError::NotOne {
            path: index_path,
            found: index.manifests.len(),
        });
    };
    if entry.media_type != media_type::INDEX {
        return Ok(read_image(folder, entry)?.into());
    }
    let path = blob_path(folder, &entry.digest);
    let index: Index = parse(&path, "image index", &blob(folder, entry)?)?;
    let images = index
        .manifests
        .iter()
        .map(|entry| read_image(folder, entry))
        .collect::<Result<Vec<_>, _>>()?;
    let read = ImageSet::new(images).filter(|set| *set.digest() == entry.digest);
    read.ok_or_else(|| LayoutError::Invalid {
        path,
        what: "image index",
        reason: "it was not written by longshore".to_owned(),
    })
}

fn read_image(folder: &Path, entry: &Descriptor) -> Result<Image, LayoutError> {
    let manifest_data = blob(folder, entry)?;
    let manifest_path = blob_path(folder, &entry.digest);
    let manifest: Manifest = parse(&manifest_path, "image manifest", &manifest_data)?;
    let config_data = blob(folder, &manifest.config)?;
    let config_path = blob_path(folder, &manifest.config.digest);
    let config: ImageConfig = parse(&config_path, "image configuration", &config_data)?;
    let invalid = |reason: String| LayoutError::Invalid {
        path: config_path.clone(),
        what: "image configuration",
        reason,
    };

    let diff_ids = config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        return Err(invalid(format!(
            "it names {} layers, the manifest {}",
            diff_ids.len(),
            manifest.layers.len()
        )));
    }
    let layers = manifest
        .layers
        .iter()
        .zip(diff_ids)
        .map(|(layer, diff_id)| {
            Ok(Layer {
                media_type: layer.media_type.clone(),
                digest: layer.digest.clone(),
                diff_id,
                data: blob(folder, layer)?.into(),
            })
        })
        .collect::<Result<_, LayoutError>>()?;
    Ok(Image {
        platform: format!("{}/{}", config.os, config.architecture)
            .parse()
            .map_err(|error: crate::platform::ParsePlatformError| invalid(error.to_string()))?,
        manifest: manifest_data.into(),
        manifest_digest: entry.digest.clone(),
        config: Blob {
            media_type: manifest.config.media_type.clone(),
            digest: manifest.config.digest.clone(),
            data: config_data.into(),
        },
        layers,
    })
}

fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs/sha256").join(digest.hex())
}

fn blob(folder: &Path, descriptor: &Descriptor) -> Result<Vec<u8>, LayoutError> {
    let path = blob_path(folder, &descriptor.digest);
    let data = files::read(&path)?;
    let found = Digest::of(&data);
    if found != descriptor.digest {
        return Err(LayoutError::Damaged { path, found });
    }
    Ok(data)
}

fn parse<T: DeserializeOwned>(
    path: &Path,
    what: &'static str,
    data: &[u8],
) -> Result<T, LayoutError> {
    serde_json::from_slice(data).map_err(|error| LayoutError::Invalid {
        path: path.to_owned(),
        what,
        reason: error.to_string(),
    })
}
