//! What the OCI registry (`/v2`) asks of the state: which blobs and manifests there are, and what a pushed manifest must satisfy.
//!
//! Where ECR differs from the distribution specification, ECR is followed: a manifest needs a `mediaType` of its own, and an immutable tag refuses even an
//! identical push.

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Ecr, Image, Repository};
use crate::error::ApiError;
use crate::place::Place;
use crate::task::Millis;

/// An error of the registry: an HTTP status, a code of the OCI distribution specification and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Code, such as `NAME_UNKNOWN`.
    pub code: &'static str,
    /// What the client reads.
    pub message: String,
}

impl Refusal {
    /// A refusal with these parts.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// The body that goes with it.
    pub fn body(&self) -> Value {
        json!({"errors": [{"code": self.code, "message": self.message}]})
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::new(404, "NAME_UNKNOWN", error.message)
    }
}

/// A manifest that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// `sha256:…`.
    pub digest: &'a str,
    /// Its media type.
    pub media_type: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// A manifest that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// `sha256:…`.
    pub digest: String,
    /// The manifest it refers to, if it is a referrer.
    pub subject: Option<String>,
}

impl Ecr {
    /// Refuses unless the repository exists.
    pub fn must_exist(&self, name: &str, place: &Place) -> Result<(), Refusal> {
        self.repository(name, place)?;
        Ok(())
    }

    /// Size of a blob, if the repository has it.
    pub fn blob(&self, name: &str, digest: &str, place: &Place) -> Result<u64, Refusal> {
        self.repository(name, place)?
            .blobs
            .get(digest)
            .copied()
            .ok_or_else(|| {
                Refusal::new(
                    404,
                    "BLOB_UNKNOWN",
                    format!("The repository '{name}' has no blob {digest}"),
                )
            })
    }

    /// Records a blob whose bytes are stored.
    pub fn add_blob(
        &mut self,
        name: &str,
        digest: &str,
        size: u64,
        place: &Place,
    ) -> Result<(), Refusal> {
        let repository = self.change(name, place)?;
        repository.blobs.insert(digest.to_owned(), size);
        Ok(())
    }

    /// The manifest that a tag or digest names.
    pub fn manifest(
        &self,
        name: &str,
        reference: &str,
        place: &Place,
    ) -> Result<Found<'_>, Refusal> {
        self.repository(name, place)?
            .find(reference)
            .map(|(digest, image)| Found {
                digest,
                media_type: &image.media_type,
                bytes: image.manifest.as_bytes(),
            })
            .ok_or_else(|| {
                Refusal::new(
                    404,
                    "MANIFEST_UNKNOWN",
                    format!("Requested image not found: '{name}' has no {reference}"),
                )
            })
    }

    /// Remembers that a manifest was pulled, for `lastRecordedPullTime`.
    pub fn pulled(&mut self, name: &str, digest: &str, now: Millis) {
        if let Some(image) = self
            .repositories
            .get_mut(name)
            .and_then(|repository| repository.images.get_mut(digest))
        {
            image.pulled_at = Some(now);
            self.generation += 1;
        }
    }

    /// Stores a manifest under a tag or its digest.
    pub fn put_manifest(
        &mut self,
        name: &str,
        reference: &str,
        content_type: Option<&str>,
        bytes: &[u8],
        place: &Place,
        now: Millis,
    ) -> Result<Stored, Refusal> {
        let repository = self.change(name, place)?;
        let digest = digest(bytes);
        let tag = if reference.contains(':') {
            if reference != digest {
                return Err(Refusal::new(
                    400,
                    "DIGEST_INVALID",
                    format!("The manifest was put as {reference}, but its digest is {digest}"),
                ));
            }
            None
        } else {
            check_tag(reference)?;
            Some(reference)
        };

        let (mut image, wants) = read(bytes, content_type, now)?;
        let missing: Vec<&str> = image
            .parts
            .iter()
            .filter(|part| match wants {
                Wants::Blobs => !repository.blobs.contains_key(*part),
                Wants::Manifests => !repository.images.contains_key(*part),
            })
            .map(String::as_str)
            .collect();
        if !missing.is_empty() {
            let what = match wants {
                Wants::Blobs => "Layers",
                Wants::Manifests => "Images",
            };
            return Err(Refusal::new(
                404,
                "MANIFEST_BLOB_UNKNOWN",
                format!(
                    "{what} with digests '[{}]' required for pushing image into repository with name '{name}' in the registry with id '{}' do not exist",
                    missing.join(", "),
                    place.account
                ),
            ));
        }

        if let Some(tag) = tag {
            if repository.tags.contains_key(tag) && !repository.mutability.allows_moving(tag) {
                return Err(Refusal::new(
                    400,
                    "TAG_INVALID",
                    format!(
                        "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the tag is immutable."
                    ),
                ));
            }
            repository.tags.insert(tag.to_owned(), digest.clone());
        }
        if let Some(known) = repository.images.get(&digest) {
            image.pulled_at = known.pulled_at;
            // Another tag does not push the image anew.
            image.pushed_at = known.pushed_at;
        }
        let subject = image.subject.clone();
        repository.images.insert(digest.clone(), image);
        Ok(Stored { digest, subject })
    }

    /// Tags in order after `last`, at most `limit` of them, and whether there are more.
    pub fn tags(
        &self,
        name: &str,
        last: Option<&str>,
        limit: usize,
        place: &Place,
    ) -> Result<(Vec<&str>, bool), Refusal> {
        let repository = self.repository(name, place)?;
        let mut rest = repository
            .tags
            .keys()
            .map(String::as_str)
            .filter(|tag| last.is_none_or(|last| *tag > last));
        let tags: Vec<&str> = rest.by_ref().take(limit).collect();
        Ok((tags, rest.next().is_some()))
    }

    /// Names of repositories in order after `last`, at most `limit` of them, and whether there are more.
    pub fn catalog(&self, last: Option<&str>, limit: usize) -> (Vec<&str>, bool) {
        let mut rest = self
            .repositories
            .keys()
            .map(String::as_str)
            .filter(|name| last.is_none_or(|last| *name > last));
        let names: Vec<&str> = rest.by_ref().take(limit).collect();
        (names, rest.next().is_some())
    }

    /// An image index of the manifests that refer to `subject`.
    pub fn referrers(&self, name: &str, subject: &str, place: &Place) -> Result<Value, Refusal> {
        let repository = self.repository(name, place)?;
        let manifests: Vec<Value> = repository
            .images
            .iter()
            .filter(|(_, image)| image.subject.as_deref() == Some(subject))
            .map(|(digest, image)| {
                json!({
                    "mediaType": image.media_type,
                    "digest": digest,
                    "size": image.manifest.len(),
                    "artifactType": image.artifact_type,
                })
            })
            .collect();
        Ok(json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}))
    }
}

impl Repository {
    fn find(&self, reference: &str) -> Option<(&str, &Image)> {
        let digest = if reference.contains(':') {
            reference
        } else {
            self.tags.get(reference)?
        };
        let (digest, image) = self.images.get_key_value(digest)?;
        Some((digest, image))
    }
}

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

const MANIFESTS: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const INDEXES: [&str; 2] = [
    OCI_INDEX,
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// What a manifest's parts are.
enum Wants {
    Blobs,
    Manifests,
}

/// The members of a manifest or index that matter here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
    subject: Option<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

fn read(bytes: &[u8], content_type: Option<&str>, now: Millis) -> Result<(Image, Wants), Refusal> {
    let invalid = |message: String| Refusal::new(400, "MANIFEST_INVALID", message);
    let manifest = std::str::from_utf8(bytes)
        .map_err(|_| invalid("The manifest is not UTF-8".to_owned()))?
        .to_owned();
    let document: Document = serde_json::from_str(&manifest)
        .map_err(|error| invalid(format!("The manifest cannot be read: {error}")))?;
    if document.schema_version != 2 {
        return Err(invalid(format!(
            "Manifests of schema version {} are not supported",
            document.schema_version
        )));
    }
    let media_type = document.media_type.ok_or_else(|| {
        invalid("The manifest has no 'mediaType' member, which ECR requires".to_owned())
    })?;
    if content_type.is_some_and(|stated| stated != media_type) {
        return Err(invalid(format!(
            "Content-Type '{}' is not the manifest's mediaType '{media_type}'",
            content_type.unwrap_or_default()
        )));
    }

    let (wants, parts, artifact_type) = if MANIFESTS.contains(&media_type.as_str()) {
        let config = document
            .config
            .ok_or_else(|| invalid("The manifest has no 'config'".to_owned()))?;
        let kind = document
            .artifact_type
            .unwrap_or_else(|| config.media_type.clone());
        let parts: Vec<Descriptor> = std::iter::once(config).chain(document.layers).collect();
        (Wants::Blobs, parts, Some(kind))
    } else if INDEXES.contains(&media_type.as_str()) {
        (Wants::Manifests, document.manifests, document.artifact_type)
    } else {
        return Err(invalid(format!(
            "The media type '{media_type}' is not that of a manifest or index"
        )));
    };
    let image = Image {
        size: match wants {
            Wants::Blobs => parts
                .iter()
                .fold(0, |sum, part| sum.saturating_add(part.size)),
            Wants::Manifests => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        },
        parts: parts.into_iter().map(|part| part.digest).collect(),
        media_type,
        artifact_type,
        subject: document.subject.map(|subject| subject.digest),
        manifest,
        pushed_at: now,
        pulled_at: None,
    };
    Ok((image, wants))
}

/// `sha256:…` of some bytes.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Whether a text is a digest of the only algorithm ECR takes.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn check_tag(tag: &str) -> Result<(), Refusal> {
    let first = tag.bytes().next();
    let good = tag.len() <= 128
        && first.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if good {
        Ok(())
    } else {
        Err(Refusal::new(
            400,
            "TAG_INVALID",
            format!("'{tag}' is not a tag: at most 128 letters, digits, '.', '_' and '-'"),
        ))
    }
}
