//! Reading back, and base images.

use image::oci::{Descriptor, DescriptorPlatform, Index, Manifest};
use image::{Cache, Digest, Platform, media_type};
use registry::Error;

use crate::server::{Script, Server};
use crate::{client, image, quiet, tags};

#[tokio::test]
async fn manifests_and_blobs_are_read_back_and_checked() {
    let server = Server::start(Script::default()).await;
    let (client, image) = (client(&server), image());
    client
        .push("shop/api", &image.clone().into(), &tags(&["v1"]), quiet)
        .await
        .unwrap();

    let pulled = client.manifest("shop/api", "v1").await.unwrap();
    assert_eq!(pulled.data, image.manifest);
    assert_eq!(pulled.media_type, media_type::MANIFEST);
    let manifest: Manifest = serde_json::from_slice(&pulled.data).unwrap();
    assert_eq!(
        client.blob("shop/api", &manifest.config).await.unwrap(),
        image.config.data
    );

    let error = client.manifest("shop/api", "v2").await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    {
        let mut state = server.state.lock().unwrap();
        state
            .blobs
            .insert(manifest.config.digest.to_string(), vec![b' '; 10].into());
        let digest = image.manifest_digest.to_string();
        state
            .manifests
            .insert(digest, (String::new(), "other".into()));
    }
    let error = client.blob("shop/api", &manifest.config).await.unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    let error = client
        .manifest("shop/api", image.manifest_digest.as_str())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    let small = Descriptor {
        size: 5,
        ..manifest.config
    };
    let error = client.blob("shop/api", &small).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn a_base_is_pulled_once_and_built_upon() {
    let server = Server::start(Script::default()).await;
    let image = image();
    client(&server)
        .push("shop/api", &image.clone().into(), &tags(&["base"]), quiet)
        .await
        .unwrap();
    let entry = |architecture: &str, data: &[u8]| Descriptor {
        platform: Some(DescriptorPlatform {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
        }),
        ..Descriptor::of(media_type::MANIFEST, data)
    };
    let index = serde_json::to_vec(&Index {
        schema_version: 2,
        media_type: media_type::INDEX.to_owned(),
        manifests: vec![entry("s390x", b"other"), entry("amd64", &image.manifest)],
    })
    .unwrap();
    let digest = Digest::of(&index);
    let stored = (media_type::INDEX.to_owned(), index.into());
    server
        .state
        .lock()
        .unwrap()
        .manifests
        .insert(digest.to_string(), stored);

    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let reference = format!("{}/shop/api@{digest}", server.host);
    let base = registry::pull_base(&reference, Platform::LINUX_AMD64, None, &cache)
        .await
        .unwrap();
    assert_eq!(base.digest, image.manifest_digest);
    assert_eq!(base.layers, image.layers);

    server.forget_log();
    let again = registry::pull_base(&reference, Platform::LINUX_AMD64, None, &cache)
        .await
        .unwrap();
    assert_eq!(again, base);
    assert_eq!(server.count("", ""), 0, "everything comes from the cache");

    let error = registry::pull_base(&reference, Platform::LINUX_ARM64, None, &cache)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("no image for linux/arm64"),
        "{error}"
    );
    let unpinned = format!("{}/shop/api:base", server.host);
    let error = registry::pull_base(&unpinned, Platform::LINUX_AMD64, None, &cache)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not pinned"), "{error}");
}
