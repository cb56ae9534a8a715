//! The images of one build: one, or one for each platform under an image index.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::assemble::{Blob, Image};
use crate::digest::Digest;
use crate::media_type;
use crate::oci::{Descriptor, DescriptorPlatform, Index, to_json};

/// The images of one build. It has one name, its digest: that of the image's manifest, or of the index when there are
/// several images. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSet {
    images: Vec<Image>,
    index: Option<Blob>,
}

impl From<Image> for ImageSet {
    fn from(image: Image) -> Self {
        Self {
            images: vec![image],
            index: None,
        }
    }
}

impl ImageSet {
    /// These images; `None` when there is none. Their order does not matter.
    pub fn new(mut images: Vec<Image>) -> Option<Self> {
        images.sort_by_key(|image| image.platform.to_string());
        if images.len() < 2 {
            return images.pop().map(Self::from);
        }
        let data: Bytes = to_json(&Index {
            schema_version: 2,
            media_type: media_type::INDEX.to_owned(),
            manifests: images.iter().map(descriptor).collect(),
        })
        .into();
        let index = Blob {
            media_type: media_type::INDEX.to_owned(),
            digest: Digest::of(&data),
            data,
        };
        Some(Self {
            images,
            index: Some(index),
        })
    }

    /// The images, by platform.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// The index over them, when there are several.
    pub fn index(&self) -> Option<&Blob> {
        self.index.as_ref()
    }

    /// What a tag names: the index, or the manifest of the only image.
    pub fn top(&self) -> Blob {
        match (&self.index, self.images.as_slice()) {
            (Some(index), _) => index.clone(),
            (None, images) => images[0].manifest_blob(),
        }
    }

    /// The digest that names it.
    pub fn digest(&self) -> &Digest {
        match &self.index {
            Some(index) => &index.digest,
            None => &self.images[0].manifest_digest,
        }
    }

    /// The layers and configurations of all images, each once: what must be in the registry before any manifest.
    pub fn blobs(&self) -> BTreeMap<Digest, Blob> {
        self.images
            .iter()
            .flat_map(Image::blobs)
            .map(|blob| (blob.digest.clone(), blob))
            .collect()
    }

    /// The size in bytes of everything that a registry stores for it.
    pub fn size(&self) -> u64 {
        let blobs: usize = self.blobs().values().map(|blob| blob.data.len()).sum();
        let manifests: usize = self.images.iter().map(|image| image.manifest.len()).sum();
        let index = self.index.as_ref().map_or(0, |index| index.data.len());
        (blobs + manifests + index) as u64
    }
}

/// An image in an index.
pub(crate) fn descriptor(image: &Image) -> Descriptor {
    Descriptor {
        platform: Some(DescriptorPlatform {
            architecture: image.platform.arch.as_str().to_owned(),
            os: image.platform.os.as_str().to_owned(),
        }),
        ..Descriptor::of(media_type::MANIFEST, &image.manifest)
    }
}
