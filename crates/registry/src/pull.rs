//! Reading back what a registry holds: what a tag names, a manifest, a blob. Everything is checked against its
//! digest.

use bytes::Bytes;
use image::oci::Descriptor;
use image::{Digest, media_type};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response};

use crate::address::check_names;
use crate::client::{Call, Client, Payload, read_body};
use crate::error::Error;
use crate::retry::Failure;

/// What is accepted as a manifest.
pub(crate) const MANIFEST_TYPES: &str = concat!(
    "application/vnd.oci.image.manifest.v1+json,application/vnd.oci.image.index.v1+json,",
    "application/vnd.docker.distribution.manifest.v2+json,",
    "application/vnd.docker.distribution.manifest.list.v2+json"
);

/// The distribution specification lets registries refuse larger manifests ("Pushing Manifests").
const LARGEST_MANIFEST: usize = 4 * 1024 * 1024;

/// A manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledManifest {
    /// What it is.
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its bytes.
    pub data: Bytes,
}

impl Client {
    /// The digest that a tag names, or `None` when there is no such tag. A digest gives itself if it is there.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn resolve(&self, repository: &str, name: &str) -> Result<Option<Digest>, Error> {
        check_reference(repository, name)?;
        self.retries
            .run(None, || self.look_up(repository, name))
            .await
    }

    /// The manifest of a tag or digest.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when it is not there; [`Error::Mismatch`] when its bytes are not those of the digest.
    pub async fn manifest(&self, repository: &str, name: &str) -> Result<PulledManifest, Error> {
        check_reference(repository, name)?;
        self.retries
            .run(None, || self.get_manifest_once(repository, name))
            .await
    }

    /// The blob of a descriptor. No more than its size is read.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when it is not there; [`Error::Mismatch`] when its bytes are not those of the digest.
    pub async fn blob(&self, repository: &str, descriptor: &Descriptor) -> Result<Bytes, Error> {
        check_names(repository, &[])?;
        self.retries
            .run(None, || async {
                let digest = &descriptor.digest;
                let call = Call {
                    method: Method::GET,
                    url: self.url(repository, &format!("blobs/{digest}")),
                    repository,
                    action: format!("give the blob {digest} of `{repository}`"),
                    accept: "",
                    payload: Payload::Nothing,
                };
                let limit = usize::try_from(descriptor.size).unwrap_or(usize::MAX);
                let (_, data) = self.get(&call, limit).await?;
                self.check_digest(&call, digest, &data)?;
                Ok(data)
            })
            .await
    }

    pub(crate) async fn get_manifest_once(
        &self,
        repository: &str,
        name: &str,
    ) -> Result<PulledManifest, Failure> {
        let call = Call {
            method: Method::GET,
            url: self.url(repository, &format!("manifests/{name}")),
            repository,
            action: format!("give the manifest of `{repository}:{name}`"),
            accept: MANIFEST_TYPES,
            payload: Payload::Nothing,
        };
        let (media_type, data) = self.get(&call, LARGEST_MANIFEST).await?;
        if let Ok(expected) = name.parse::<Digest>() {
            self.check_digest(&call, &expected, &data)?;
        }
        Ok(PulledManifest {
            media_type,
            digest: Digest::of(&data),
            data,
        })
    }

    /// The media type and the body.
    async fn get(&self, call: &Call<'_>, limit: usize) -> Result<(String, Bytes), Failure> {
        let response = self.send(call).await?;
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            let (answer, failure) = self.refused(call, response).await;
            let unknown = answer.codes.iter().any(|code| code.ends_with("_UNKNOWN"))
                && !answer.has("NAME_UNKNOWN");
            return Err(if unknown {
                Error::NotFound {
                    registry: self.registry.host(),
                    action: call.action.clone(),
                }
                .into()
            } else {
                failure
            });
        }
        if !response.status().is_success() {
            return Err(self.refused(call, response).await.1);
        }
        let kind = content_type(&response);
        match read_body(response, limit).await {
            Ok(body) => Ok((kind, body.into())),
            Err(Some(error)) => Err(self.lost(call, error)),
            Err(None) => {
                let reason = format!("the body is longer than {limit} bytes");
                Err(Error::Protocol {
                    registry: self.registry.host(),
                    action: call.action.clone(),
                    reason,
                }
                .into())
            }
        }
    }

    fn check_digest(&self, call: &Call<'_>, expected: &Digest, data: &[u8]) -> Result<(), Error> {
        let found = Digest::of(data);
        if found == *expected {
            return Ok(());
        }
        Err(Error::Mismatch {
            registry: self.registry.host(),
            action: call.action.clone(),
            expected: expected.clone(),
            found: found.to_string(),
        })
    }
}

/// A name that is a digest needs no grammar.
fn check_reference(repository: &str, name: &str) -> Result<(), Error> {
    if name.parse::<Digest>().is_ok() {
        check_names(repository, &[])
    } else {
        check_names(repository, &[name.to_owned()])
    }
}
fn content_type(response: &Response) -> String {
    let header = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    header
        .and_then(|value| value.split(';').next())
        .unwrap_or(media_type::MANIFEST)
        .trim()
        .to_owned()
}
