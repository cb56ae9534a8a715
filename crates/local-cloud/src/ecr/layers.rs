//! The JSON API: an image is put, its layers are looked for, its scan is not there.

use serde::Deserialize;
use serde_json::{Value, json};

use super::api::INVALID;
use super::images::ImageId;
use super::registry::{self, Refusal, is_digest};
use super::{Ecr, link};
use crate::error::ApiError;
use crate::place::{Place, parse};
use crate::task::Millis;

impl Ecr {
    /// Stores a manifest, most often one that is there already under another tag.
    pub(super) fn put_image(
        &mut self,
        request: &Value,
        place: &Place,
        now: Millis,
    ) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            repository_name: String,
            image_manifest: String,
            image_manifest_media_type: Option<String>,
            image_tag: Option<String>,
            image_digest: Option<String>,
        }
        let request: Request = parse(request, INVALID)?;
        let name = &request.repository_name;
        let digest = registry::digest(request.image_manifest.as_bytes());
        if request.image_digest.is_some_and(|stated| stated != digest) {
            return Err(ApiError::new(
                "ImageDigestDoesNotMatchException",
                format!(
                    "The specified image digest does not match the digest of the manifest, {digest}."
                ),
            ));
        }
        let repository = self.repository(name, place)?;
        let tag = request.image_tag.as_deref();
        let there = match tag {
            Some(tag) => repository.tags.get(tag) == Some(&digest),
            None => repository.images.contains_key(&digest),
        };
        if there {
            let tag = tag.map_or_else(String::new, |tag| format!(" and tag '{tag}'"));
            return Err(ApiError::new(
                "ImageAlreadyExistsException",
                format!(
                    "Image with digest '{digest}'{tag} already exists in the repository with name '{name}' in registry with id '{}'",
                    place.account
                ),
            ));
        }
        let taken = tag.is_some_and(|tag| repository.tags.contains_key(tag));
        let stored = self.put_manifest(
            name,
            tag.unwrap_or(&digest),
            request.image_manifest_media_type.as_deref(),
            request.image_manifest.as_bytes(),
            place,
            now,
        );
        stored.map_err(|refusal| put_error(refusal, taken))?;
        let found = self.manifest(name, &digest, place);
        let media_type = found.map_or_else(|_| String::new(), |found| found.media_type.to_owned());
        let mut id = json!({"imageDigest": digest});
        if let Some(tag) = tag {
            id["imageTag"] = tag.into();
        }
        Ok(json!({"image": {
            "registryId": place.account,
            "repositoryName": name,
            "imageId": id,
            "imageManifest": request.image_manifest,
            "imageManifestMediaType": media_type,
        }}))
    }

    pub(super) fn check_layers(&self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            repository_name: String,
            layer_digests: Vec<String>,
        }
        let request: Request = parse(request, INVALID)?;
        let repository = self.repository(&request.repository_name, place)?;
        let (mut layers, mut failures) = (Vec::new(), Vec::new());
        for digest in request.layer_digests {
            if !is_digest(&digest) {
                failures.push(json!({
                    "layerDigest": digest,
                    "failureCode": "InvalidLayerDigest",
                    "failureReason": "Invalid layer digest",
                }));
                continue;
            }
            layers.push(match repository.blobs.get(&digest) {
                Some(size) => json!({"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": size}),
                None => json!({"layerDigest": digest, "layerAvailability": "UNAVAILABLE"}),
            });
        }
        Ok(json!({"layers": layers, "failures": failures}))
    }

    pub(super) fn layer_url(
        &self,
        request: &Value,
        place: &Place,
        secret: &str,
        now: Millis,
    ) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            repository_name: String,
            layer_digest: String,
        }
        let request: Request = parse(request, INVALID)?;
        let (name, digest) = (&request.repository_name, &request.layer_digest);
        let repository = self.repository(name, place)?;
        if !repository.blobs.contains_key(digest) {
            return Err(ApiError::new(
                "LayersNotFoundException",
                format!(
                    "Layers with digests '[{digest}]' do not exist in the repository with name '{name}' in the registry with id '{}'",
                    place.account
                ),
            ));
        }
        let url = link::make(secret, digest, "127.0.0.1", place, now);
        Ok(json!({"downloadUrl": url, "layerDigest": digest}))
    }

    /// Nothing is scanned here.
    pub(super) fn scan_findings(&self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            repository_name: String,
            image_id: ImageId,
        }
        let request: Request = parse(request, INVALID)?;
        let name = &request.repository_name;
        let repository = self.repository(name, place)?;
        let what = request.image_id.words();
        let found = repository.named(&request.image_id);
        let (code, message) = match found {
            Err(failure) => (
                failure.exception(),
                format!("The image with imageId {what} does not exist within"),
            ),
            Ok(_) => (
                "ScanNotFoundException",
                format!("Image scan does not exist for the image with '{what}' in"),
            ),
        };
        Err(ApiError::new(
            code,
            format!(
                "{message} the repository with name '{name}' in the registry with id '{}'",
                place.account
            ),
        ))
    }
}

/// What the JSON API says where the registry refuses a manifest. `taken`: the tag was there.
fn put_error(refusal: Refusal, taken: bool) -> ApiError {
    let code = match refusal.code {
        "NAME_UNKNOWN" => "RepositoryNotFoundException",
        "TAG_INVALID" if taken => "ImageTagAlreadyExistsException",
        "MANIFEST_BLOB_UNKNOWN" if refusal.message.starts_with("Images") => {
            "ReferencedImagesNotFoundException"
        }
        "MANIFEST_BLOB_UNKNOWN" => "LayersNotFoundException",
        _ => INVALID,
    };
    ApiError::new(code, refusal.message)
}
