//! Pushing an image.
//!
//! 1. Ask whether the image is there by its digest. Then all of its parts are: only the tags are left to do.
//! 2. For each blob, four at a time: ask whether it is there; if not, open a session and send it in one piece.
//!    (ECR's sessions cannot be resumed, and parts below 5 MiB are refused.)
//! 3. Where several images lie under an index: put the manifest of each under its digest, because a registry refuses
//!    an index that names what it does not have.
//! 4. For each tag: ask what it names; if it is another image or none, put the manifest or index under it. Without
//!    tags, put it under its digest.
//! 5. Ask whether it is there by its digest.
//!
//! Each of these is repeated as a whole when it fails in a way that may pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use image::{Blob, Digest, Image, ImageSet};
use reqwest::header::LOCATION;
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::address::check_names;
use crate::client::{Call, Client, Payload, digest_header};
use crate::error::Error;
use crate::progress::{Progress, Report};
use crate::pull::MANIFEST_TYPES;
use crate::retry::Failure;

/// How many blobs are on their way at a time.
const PARALLEL: usize = 4;

/// How finely progress is told, in bytes.
const STEP: usize = 256 * 1024;

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the image, or of the index over several; the registry has confirmed it.
    pub digest: Digest,
    /// How many blobs were sent.
    pub uploaded_blobs: usize,
    /// Their size in bytes.
    pub uploaded_bytes: u64,
    /// How many blobs were there before.
    pub skipped_blobs: usize,
    /// The tags that were changed; the others named this image before.
    pub changed_tags: Vec<String>,
}

/// What happened to a blob.
enum Sent {
    Now(u64),
    Before,
}

impl Client {
    /// Pushes the images of a build to `repository` and gives them these tags; without tags they are known by their
    /// digest only. What is there already is not sent again.
    ///
    /// # Errors
    ///
    /// See [`Error`]. Blobs that were sent before an error stay in the registry, where they do no harm and are found
    /// by the next push.
    pub async fn push(
        &self,
        repository: &str,
        images: &ImageSet,
        tags: &[String],
        progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Pushed, Error> {
        check_names(repository, tags)?;
        let report: Report = Arc::new(progress);

        let top = images.top();
        let blobs = images.blobs();
        let mut pushed = Pushed {
            digest: top.digest.clone(),
            uploaded_blobs: 0,
            uploaded_bytes: 0,
            skipped_blobs: blobs.len(),
            changed_tags: Vec::new(),
        };
        // A registry does not take a manifest without its parts, nor lets one of them go before it.
        let there = self
            .retries
            .run(Some(&report), || {
                self.look_up(repository, top.digest.as_str())
            })
            .await?
            .is_some();
        if there {
            for (digest, blob) in &blobs {
                report(Progress::BlobSkipped {
                    digest: digest.clone(),
                    size: blob.data.len() as u64,
                });
            }
        } else {
            self.push_parts(repository, images, &blobs, &mut pushed, &report)
                .await?;
        }
        if tags.is_empty() && !there {
            self.put_manifest(repository, &top, top.digest.as_str(), &report)
                .await?;
        }
        for tag in tags {
            let changed = self.put_manifest(repository, &top, tag, &report).await?;
            report(Progress::Tagged {
                tag: tag.clone(),
                changed,
            });
            if changed {
                pushed.changed_tags.push(tag.clone());
            }
        }

        if !there {
            self.must_be_there(repository, &top.digest, &report).await?;
        }
        Ok(pushed)
    }

    /// Sends what is not there of the blobs, and the manifests that lie under an index.
    async fn push_parts(
        &self,
        repository: &str,
        images: &ImageSet,
        blobs: &BTreeMap<Digest, Blob>,
        pushed: &mut Pushed,
        report: &Report,
    ) -> Result<(), Error> {
        let sent: Vec<Sent> = stream::iter(
            blobs
                .values()
                .map(|blob| self.push_blob(repository, blob, report)),
        )
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
        for sent in sent {
            if let Sent::Now(size) = sent {
                pushed.uploaded_blobs += 1;
                pushed.uploaded_bytes += size;
                pushed.skipped_blobs -= 1;
            }
        }
        if images.index().is_some() {
            for manifest in images.images().iter().map(Image::manifest_blob) {
                let name = manifest.digest.as_str();
                self.put_manifest(repository, &manifest, name, report)
                    .await?;
            }
        }
        Ok(())
    }

    /// Asks until the image is there: the registry has accepted it and may need a moment to find it.
    async fn must_be_there(
        &self,
        repository: &str,
        digest: &Digest,
        report: &Report,
    ) -> Result<(), Error> {
        self.retries
            .run(Some(report), || async {
                match self.look_up(repository, digest.as_str()).await? {
                    Some(_) => Ok(()),
                    None => Err(Failure::transient(Error::NotFound {
                        registry: self.registry.host(),
                        action: format!("find {digest} in `{repository}` after the push"),
                    })),
                }
            })
            .await
    }

    /// Puts a manifest or index under a name. True when it was not there before.
    async fn put_manifest(
        &self,
        repository: &str,
        manifest: &Blob,
        name: &str,
        report: &Report,
    ) -> Result<bool, Error> {
        self.retries
            .run(Some(report), || {
                self.put_manifest_once(repository, manifest, name)
            })
            .await
    }

    async fn push_blob(
        &self,
        repository: &str,
        blob: &Blob,
        report: &Report,
    ) -> Result<Sent, Error> {
        self.retries
            .run(Some(report), || {
                self.push_blob_once(repository, blob, report)
            })
            .await
    }

    /// One try, in a session of its own.
    async fn push_blob_once(
        &self,
        repository: &str,
        blob: &Blob,
        report: &Report,
    ) -> Result<Sent, Failure> {
        let digest = &blob.digest;
        let size = blob.data.len() as u64;
        if self.has_blob(repository, digest).await? {
            report(Progress::BlobSkipped {
                digest: digest.clone(),
                size,
            });
            return Ok(Sent::Before);
        }

        let call = Call {
            method: Method::POST,
            url: self.url(repository, "blobs/uploads/"),
            repository,
            action: format!("begin an upload to `{repository}`"),
            accept: "",
            payload: Payload::Nothing,
        };
        let response = self.send(&call).await?;
        if !response.status().is_success() {
            return Err(self.refused(&call, response).await.1);
        }
        let mut url = self.location(&call, &response)?;
        url.query_pairs_mut().append_pair("digest", digest.as_str());

        report(Progress::BlobStarted {
            digest: digest.clone(),
            size,
        });
        let body = || body(blob, report);
        let call = Call {
            method: Method::PUT,
            url,
            repository,
            action: format!("take the blob {digest} into `{repository}`"),
            accept: "",
            payload: Payload::Stream(size, &body),
        };
        let response = self.send(&call).await?;
        if !response.status().is_success() {
            return Err(self.refused(&call, response).await.1);
        }
        self.confirm(&call, &response, digest)?;
        // "Accepted" is not "created".
        if response.status() != StatusCode::CREATED && !self.has_blob(repository, digest).await? {
            let reason = format!(
                "{} to a whole blob, which is then not there",
                response.status()
            );
            return Err(Failure::transient(Error::Protocol {
                registry: self.registry.host(),
                action: call.action,
                reason,
            }));
        }
        report(Progress::BlobDone {
            digest: digest.clone(),
            size,
        });
        Ok(Sent::Now(size))
    }

    async fn has_blob(&self, repository: &str, digest: &Digest) -> Result<bool, Failure> {
        let call = Call {
            method: Method::HEAD,
            url: self.url(repository, &format!("blobs/{digest}")),
            repository,
            action: format!("look for the blob {digest} in `{repository}`"),
            accept: "",
            payload: Payload::Nothing,
        };
        let response = self.send(&call).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(self.refused(&call, response).await.1),
        }
    }

    /// Where an upload goes on: absolute or relative, with or without a query.
    fn location(&self, call: &Call<'_>, response: &Response) -> Result<Url, Error> {
        let protocol = |reason: &str| Error::Protocol {
            registry: self.registry.host(),
            action: call.action.clone(),
            reason: reason.to_owned(),
        };
        let location = response
            .headers()
            .get(LOCATION)
            .ok_or_else(|| protocol("it gave no upload location"))?;
        let location = location
            .to_str()
            .map_err(|_| protocol("its upload location is not text"))?;
        call.url
            .join(location)
            .map_err(|_| protocol("its upload location is not a URL"))
    }

    /// The same, in one try.
    async fn put_manifest_once(
        &self,
        repository: &str,
        manifest: &Blob,
        name: &str,
    ) -> Result<bool, Failure> {
        let wanted = &manifest.digest;
        if self.look_up(repository, name).await?.as_ref() == Some(wanted) {
            return Ok(false);
        }
        let call = Call {
            method: Method::PUT,
            url: self.url(repository, &format!("manifests/{name}")),
            repository,
            action: format!("take the manifest {wanted} as `{repository}:{name}`"),
            accept: "",
            payload: Payload::Document(&manifest.media_type, manifest.data.clone()),
        };
        let response = self.send(&call).await?;
        if response.status().is_success() {
            self.confirm(&call, &response, wanted)?;
            return Ok(true);
        }
        let (answer, failure) = self.refused(&call, response).await;
        let immutable = answer.has("TAG_INVALID")
            || answer.message.contains("ImageTagAlreadyExists")
            || answer.message.contains("tag is immutable");
        if !immutable {
            return Err(failure);
        }
        // Somebody may have pushed the same image since we looked.
        let existing = self.look_up(repository, name).await?;
        if existing.as_ref() == Some(wanted) {
            return Ok(false);
        }
        if existing.is_none()
            && !answer.message.contains("mmutable")
            && !answer.message.contains("AlreadyExists")
        {
            // Nothing is there to be in the way: the tag is invalid for another reason.
            return Err(failure);
        }
        let (repository, tag, wanted) = (repository.to_owned(), name.to_owned(), wanted.clone());
        Err(Error::TagImmutable {
            repository,
            tag,
            wanted,
            existing,
        }
        .into())
    }

    /// The digest that a tag names, or the digest itself if it is there.
    pub(crate) async fn look_up(
        &self,
        repository: &str,
        name: &str,
    ) -> Result<Option<Digest>, Failure> {
        let call = Call {
            method: Method::HEAD,
            url: self.url(repository, &format!("manifests/{name}")),
            repository,
            action: format!("look up `{repository}:{name}`"),
            accept: MANIFEST_TYPES,
            payload: Payload::Nothing,
        };
        let response = self.send(&call).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => match digest_header(&response) {
                Some(text) => Ok(text.parse().ok()),
                // Not every registry says it here, but the manifest itself always does.
                None => self
                    .get_manifest_once(repository, name)
                    .await
                    .map(|manifest| Some(manifest.digest)),
            },
            _ => Err(self.refused(&call, response).await.1),
        }
    }
}

/// The blob's bytes in steps, each told when the connection takes it.
fn body(blob: &Blob, report: &Report) -> reqwest::Body {
    let (data, digest, report) = (blob.data.clone(), blob.digest.clone(), Arc::clone(report));
    let size = data.len() as u64;
    let steps = (0..data.len()).step_by(STEP).map(move |start| {
        let end = data.len().min(start + STEP);
        report(Progress::BlobSent {
            digest: digest.clone(),
            sent: end as u64,
            size,
        });
        Ok::<Bytes, std::convert::Infallible>(data.slice(start..end))
    });
    reqwest::Body::wrap_stream(stream::iter(steps))
}
