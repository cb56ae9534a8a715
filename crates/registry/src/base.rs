//! Fetching a base image, pinned by its digest, for `image` to build upon. This is what the crate `oci-distribution`
//! (now `oci-client`) does well. What was fetched once comes from the cache: a digest never changes its meaning.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use image::oci::{Descriptor, ImageConfig, Index, Manifest};
use image::{BaseImage, Cache, Digest, Layer, Platform, media_type};
use oci_distribution::client::{ClientConfig, ClientProtocol};
use oci_distribution::errors::OciDistributionError;
use oci_distribution::secrets::RegistryAuth;
use oci_distribution::{Client, Reference};
use serde::de::DeserializeOwned;

use crate::address::{Basic, Registry};
use crate::client::{install_tls_provider, reason_of};
use crate::error::Error;
use crate::retry::{Failure, Retries};

/// How many layers are on their way at a time.
const PARALLEL: usize = 4;

/// Fetches the base image that `reference` names, such as `gcr.io/distroless/static-debian12@sha256:…`. The digest
/// may be that of an index; the manifest for `platform` is then taken from it.
///
/// # Errors
///
/// When the reference has no digest, the registry cannot be used, there is no image for the platform, or the cache
/// cannot be written.
pub async fn pull_base(
    reference: &str,
    platform: Platform,
    credentials: Option<&Basic>,
    cache: &Cache,
) -> Result<BaseImage, Error> {
    let source = Source::new(reference, credentials, cache).await?;
    let pinned = source.pinned.clone();

    let document = source.manifest(&pinned).await?;
    let (digest, document) = match source.parse::<Index>("an image index", &document) {
        Ok(index) => {
            let fits = |entry: &&Descriptor| {
                entry.platform.as_ref().is_some_and(|found| {
                    format!("{}/{}", found.os, found.architecture) == platform.to_string()
                })
            };
            let entry = index
                .manifests
                .iter()
                .find(fits)
                .ok_or_else(|| source.bad(format!("its index has no image for {platform}")))?;
            (entry.digest.clone(), source.manifest(&entry.digest).await?)
        }
        Err(_) => (pinned, document),
    };
    let manifest: Manifest = source.parse("an image manifest", &document)?;
    let config: ImageConfig = source.parse(
        "an image configuration",
        &source.blob(&manifest.config).await?,
    )?;

    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        let (layers, found) = (manifest.layers.len(), diff_ids.len());
        return Err(source.bad(format!(
            "it has {layers} layers, but its configuration names {found}"
        )));
    }
    let layers = stream::iter(
        manifest
            .layers
            .iter()
            .zip(diff_ids)
            .map(|(layer, diff_id)| source.layer(layer, diff_id)),
    )
    .buffered(PARALLEL)
    .try_collect()
    .await?;
    Ok(BaseImage {
        reference: reference.to_owned(),
        digest,
        config,
        layers,
    })
}

/// A repository to fetch from, through the cache.
struct Source<'a> {
    text: &'a str,
    reference: Reference,
    pinned: Digest,
    client: Client,
    auth: RegistryAuth,
    cache: &'a Cache,
}

impl<'a> Source<'a> {
    async fn new(
        text: &'a str,
        credentials: Option<&Basic>,
        cache: &'a Cache,
    ) -> Result<Self, Error> {
        let name = |reason: String| Error::Name {
            what: "base image",
            name: text.to_owned(),
            reason,
        };
        let reference = Reference::try_from(text).map_err(|error| name(error.to_string()))?;
        let digest = reference.digest().ok_or_else(|| {
            name("it is not pinned: end it with the digest, as in `…/static@sha256:…`".to_owned())
        })?;
        let pinned = digest
            .parse()
            .map_err(|error: image::ParseDigestError| name(error.to_string()))?;

        let plain = Registry::new(reference.resolve_registry(), None)?
            .base
            .scheme()
            == "http";
        install_tls_provider();
        let client = Client::new(ClientConfig {
            protocol: if plain {
                ClientProtocol::Http
            } else {
                ClientProtocol::Https
            },
            connect_timeout: Some(Duration::from_secs(10)),
            read_timeout: Some(Duration::from_mins(1)),
            user_agent: concat!("longshore/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        let auth = credentials.map_or(RegistryAuth::Anonymous, |basic| {
            let (user, password) = basic.parts();
            RegistryAuth::Basic(user.to_owned(), password.to_owned())
        });
        client
            .store_auth_if_needed(reference.resolve_registry(), &auth)
            .await;
        Ok(Self {
            text,
            reference,
            pinned,
            client,
            auth,
            cache,
        })
    }

    fn bad(&self, reason: String) -> Error {
        Error::Base {
            reference: self.text.to_owned(),
            reason,
        }
    }

    fn parse<T: DeserializeOwned>(&self, what: &str, data: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(data)
            .map_err(|error| self.bad(format!("it does not hold {what}: {error}")))
    }

    async fn manifest(&self, digest: &Digest) -> Result<Bytes, Error> {
        let types = [
            media_type::MANIFEST,
            media_type::INDEX,
            media_type::DOCKER_MANIFEST,
            media_type::DOCKER_INDEX,
        ];
        let reference = self.reference.clone_with_digest(digest.to_string());
        self.fetch(digest, || async {
            let (data, _) = self
                .client
                .pull_manifest_raw(&reference, &self.auth, &types)
                .await?;
            Ok(data)
        })
        .await
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<Bytes, Error> {
        self.fetch(&descriptor.digest, || async {
            let mut data = Vec::new();
            self.client
                .pull_blob(&self.reference, descriptor.digest.as_str(), &mut data)
                .await?;
            Ok(data.into())
        })
        .await
    }

    async fn layer(&self, descriptor: &Descriptor, diff_id: &Digest) -> Result<Layer, Error> {
        let media_type = media_type::oci_layer(&descriptor.media_type).ok_or_else(|| {
            self.bad(format!(
                "it has a layer of the unknown kind `{}`",
                descriptor.media_type
            ))
        })?;
        Ok(Layer {
            media_type: media_type.to_owned(),
            digest: descriptor.digest.clone(),
            diff_id: diff_id.clone(),
            data: self.blob(descriptor).await?,
        })
    }

    /// From the cache, or else from the registry into the cache.
    async fn fetch<F, Fut>(&self, digest: &Digest, download: F) -> Result<Bytes, Error>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<Bytes, OciDistributionError>>,
    {
        if let Some(data) = self.cache.blob(digest) {
            return Ok(data);
        }
        let data = Retries::default()
            .run(None, || async {
                download().await.map_err(|error| self.failure(error))
            })
            .await?;
        if Digest::of(&data) != *digest {
            return Err(self.bad(format!(
                "the registry gave other bytes than those of {digest}"
            )));
        }
        self.cache.store(&data)?;
        Ok(data)
    }

    fn failure(&self, error: OciDistributionError) -> Failure {
        match error {
            OciDistributionError::RequestError(error) => {
                Failure::transient(self.bad(reason_of(error)))
            }
            OciDistributionError::ServerError { code, message, .. } => Failure {
                error: self.bad(format!("its registry answered {code} {message}")),
                transient: code >= 500 || code == 429,
                retry_after: None,
            },
            OciDistributionError::UnauthorizedError { .. } => self
                .bad("its registry asks for credentials, or does not have it".to_owned())
                .into(),
            OciDistributionError::RegistryError { envelope, .. } => self
                .bad(format!("its registry answered: {envelope}"))
                .into(),
            other => self.bad(other.to_string()).into(),
        }
    }
}
