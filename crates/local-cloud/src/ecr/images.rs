//! The JSON API: the images of a repository.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{INVALID, with_token};
use super::registry::is_digest;
use super::{Ecr, Image, Repository};
use crate::error::ApiError;
use crate::place::{Place, page, parse, seconds};
use crate::task::Millis;

/// An image named by digest, tag, or both.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageId {
    image_digest: Option<String>,
    image_tag: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    tag_status: Option<String>,
}

/// What is asked of a batch.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    repository_name: String,
    image_ids: Vec<ImageId>,
}

/// What is asked of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    repository_name: String,
    image_ids: Option<Vec<ImageId>>,
    filter: Option<Filter>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

impl List {
    fn wants(&self, tagged: bool) -> bool {
        match self.filter.as_ref().and_then(|f| f.tag_status.as_deref()) {
            Some("TAGGED") => tagged,
            Some("UNTAGGED") => !tagged,
            _ => true,
        }
    }
}

impl Ecr {
    pub(super) fn describe_images(
        &self,
        request: &Value,
        place: &Place,
    ) -> Result<Value, ApiError> {
        let request: List = parse(request, INVALID)?;
        let name = &request.repository_name;
        let repository = self.repository(name, place)?;
        let digests: Vec<&str> = match &request.image_ids {
            Some(ids) if !ids.is_empty() => {
                let mut digests = Vec::new();
                for id in ids {
                    let (digest, _) = repository.named(id).map_err(|failure| {
                        ApiError::new(failure.exception(), format!(
                            "The image with imageId {} does not exist within the repository with name '{name}' in the registry with id '{}'",
                            id.words(),
                            place.account
                        ))
                    })?;
                    if !digests.contains(&digest) {
                        digests.push(digest);
                    }
                }
                digests
            }
            _ => repository.images.keys().map(String::as_str).collect(),
        };
        let mut details = Vec::new();
        for digest in digests {
            let tags = repository.tags_of(digest);
            if let Some(image) = repository.images.get(digest)
                && request.wants(!tags.is_empty())
            {
                details.push(repository.describe_image(name, digest, &tags, image, place));
            }
        }
        let size = request.max_results.unwrap_or(100);
        let (part, token) = page(details, request.next_token.as_deref(), size, INVALID)?;
        Ok(with_token(json!({"imageDetails": part}), token))
    }

    pub(super) fn list_images(&self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        let request: List = parse(request, INVALID)?;
        let repository = self.repository(&request.repository_name, place)?;
        let mut ids = Vec::new();
        for digest in repository.images.keys() {
            let tags = repository.tags_of(digest);
            if tags.is_empty() && request.wants(false) {
                ids.push(json!({"imageDigest": digest}));
            }
            if request.wants(true) {
                ids.extend(
                    tags.iter()
                        .map(|tag| json!({"imageDigest": digest, "imageTag": tag})),
                );
            }
        }
        let size = request.max_results.unwrap_or(100);
        let (part, token) = page(ids, request.next_token.as_deref(), size, INVALID)?;
        Ok(with_token(json!({"imageIds": part}), token))
    }

    pub(super) fn batch_get_image(
        &mut self,
        request: &Value,
        place: &Place,
        now: Millis,
    ) -> Result<Value, ApiError> {
        let request: Batch = parse(request, INVALID)?;
        let name = &request.repository_name;
        let repository = self.repository(name, place)?;
        let (mut images, mut failures, mut pulled) = (Vec::new(), Vec::new(), Vec::new());
        for id in &request.image_ids {
            match repository.named(id) {
                Ok((digest, image)) => {
                    pulled.push(digest.to_owned());
                    images.push(json!({
                        "registryId": place.account,
                        "repositoryName": name,
                        "imageId": id.describe(Some(digest)),
                        "imageManifest": image.manifest,
                        "imageManifestMediaType": image.media_type,
                    }));
                }
                Err(failure) => failures.push(failure.describe(id)),
            }
        }
        for digest in pulled {
            self.pulled(name, &digest, now);
        }
        Ok(json!({"images": images, "failures": failures}))
    }

    pub(super) fn batch_delete_image(
        &mut self,
        request: &Value,
        place: &Place,
    ) -> Result<Value, ApiError> {
        let request: Batch = parse(request, INVALID)?;
        let repository = self.change(&request.repository_name, place)?;
        let (mut deleted, mut failures) = (Vec::new(), Vec::new());
        for id in &request.image_ids {
            match repository.delete(id) {
                Ok(ids) => deleted.extend(ids),
                Err(failure) => failures.push(failure.describe(id)),
            }
        }
        Ok(json!({"imageIds": deleted, "failures": failures}))
    }
}

impl Repository {
    /// The size of an image; of an index, that of the largest of its images.
    fn size_of(&self, image: &Image) -> u64 {
        let parts = image.parts.iter().filter_map(|part| self.images.get(part));
        parts.map(|part| part.size).max().unwrap_or(image.size)
    }

    fn describe_image(
        &self,
        name: &str,
        digest: &str,
        tags: &[&str],
        image: &Image,
        place: &Place,
    ) -> Value {
        let mut out = json!({
            "registryId": place.account,
            "repositoryName": name,
            "imageDigest": digest,
            "imageSizeInBytes": self.size_of(image),
            "imageStatus": "ACTIVE",
            "imagePushedAt": seconds(image.pushed_at),
            "imageManifestMediaType": image.media_type,
        });
        if !tags.is_empty() {
            out["imageTags"] = tags.into();
        }
        if let Some(kind) = &image.artifact_type {
            out["artifactMediaType"] = kind.as_str().into();
        }
        if let Some(at) = image.pulled_at {
            out["lastRecordedPullTime"] = seconds(at);
        }
        if let Some(subject) = &image.subject {
            out["subjectManifestDigest"] = subject.as_str().into();
        }
        out
    }

    fn tags_of(&self, digest: &str) -> Vec<&str> {
        self.tags
            .iter()
            .filter(|(_, target)| target.as_str() == digest)
            .map(|(tag, _)| tag.as_str())
            .collect()
    }

    pub(super) fn named(&self, id: &ImageId) -> Result<(&str, &Image), Failure> {
        let digest = match (&id.image_digest, &id.image_tag) {
            (None, None) => return Err(Failure::MissingDigestAndTag),
            (Some(digest), _) if !is_digest(digest) => return Err(Failure::InvalidImageDigest),
            (Some(digest), Some(tag)) if self.tags.get(tag) != Some(digest) => {
                return Err(Failure::ImageTagDoesNotMatchDigest);
            }
            (Some(digest), _) => digest,
            (None, Some(tag)) => self.tags.get(tag).ok_or(Failure::ImageNotFound)?,
        };
        let (digest, image) = self
            .images
            .get_key_value(digest)
            .ok_or(Failure::ImageNotFound)?;
        Ok((digest, image))
    }

    /// A tag is taken away; the image goes with its last tag, or at once when it is named by digest.
    fn delete(&mut self, id: &ImageId) -> Result<Vec<Value>, Failure> {
        let digest = self.named(id)?.0.to_owned();
        let tags: Vec<String> = self
            .tags_of(&digest)
            .into_iter()
            .map(str::to_owned)
            .collect();
        if let Some(tag) = &id.image_tag
            && tags.len() > 1
        {
            self.tags.remove(tag);
            return Ok(vec![json!({"imageDigest": digest, "imageTag": tag})]);
        }
        let indexed = self
            .images
            .iter()
            .any(|(other, image)| *other != digest && image.parts.contains(&digest));
        if indexed {
            return Err(Failure::ImageReferencedByManifestList);
        }
        if let Some(image) = self.images.remove(&digest) {
            self.forget_blobs(&image);
        }
        if tags.is_empty() {
            return Ok(vec![json!({"imageDigest": digest})]);
        }
        let mut ids = Vec::new();
        for tag in tags {
            self.tags.remove(&tag);
            ids.push(json!({"imageDigest": digest, "imageTag": tag}));
        }
        Ok(ids)
    }

    /// Drops the blobs of a deleted image that no other one uses. Blobs of no image at all stay: a push may be under way.
    fn forget_blobs(&mut self, deleted: &Image) {
        let used: BTreeSet<&String> = self.images.values().flat_map(|i| &i.parts).collect();
        for part in &deleted.parts {
            if !used.contains(part) {
                self.blobs.remove(part);
            }
        }
    }
}

impl ImageId {
    /// As messages name an image.
    pub(super) fn words(&self) -> String {
        format!(
            "{{imageDigest:'{}', imageTag:'{}'}}",
            self.image_digest.as_deref().unwrap_or("null"),
            self.image_tag.as_deref().unwrap_or("null")
        )
    }

    fn describe(&self, digest: Option<&str>) -> Value {
        let mut out = json!({});
        if let Some(digest) = digest.or(self.image_digest.as_deref()) {
            out["imageDigest"] = digest.into();
        }
        if let Some(tag) = &self.image_tag {
            out["imageTag"] = tag.as_str().into();
        }
        out
    }
}

/// Why an image of a batch was not handled.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    InvalidImageDigest,
    ImageTagDoesNotMatchDigest,
    ImageNotFound,
    MissingDigestAndTag,
    ImageReferencedByManifestList,
}

impl Failure {
    fn describe(self, id: &ImageId) -> Value {
        let (code, reason) = match self {
            Self::InvalidImageDigest => ("InvalidImageDigest", "Invalid image digest"),
            Self::ImageTagDoesNotMatchDigest => (
                "ImageTagDoesNotMatchDigest",
                "The tag points to another digest",
            ),
            Self::ImageNotFound => ("ImageNotFound", "Requested image not found"),
            Self::MissingDigestAndTag => ("MissingDigestAndTag", "Neither digest nor tag is given"),
            Self::ImageReferencedByManifestList => (
                "ImageReferencedByManifestList",
                "Requested image is part of an image index: delete the index first",
            ),
        };
        json!({"imageId": id.describe(None), "failureCode": code, "failureReason": reason})
    }

    pub(super) fn exception(self) -> &'static str {
        match self {
            Self::InvalidImageDigest | Self::MissingDigestAndTag => INVALID,
            _ => "ImageNotFoundException",
        }
    }
}
