//! Push and pull against a registry that follows a script.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod server;

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::oci::{Descriptor, DescriptorPlatform, Index, Manifest};
use image::{Cache, Digest, Image, ImageSpec, Platform, assemble, media_type};
use registry::{Basic, Client, Error, Progress, Registry, Retries};
use server::{Fault, Script, Server};

/// An image whose binary carries `tail` after the smallest ELF header that passes.
fn image_with(commit: &str, tail: &[u8]) -> Image {
    let folder = tempfile::tempdir().unwrap();
    let mut elf = vec![0; 64];
    elf[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    elf[16] = 2;
    elf[18] = 62;
    elf[20] = 1;
    elf[52] = 64;
    elf.extend(tail);
    let binary = folder.path().join("api");
    fs::write(&binary, elf).unwrap();
    let spec = ImageSpec::new(Platform::LINUX_AMD64, binary, "api", commit);
    assemble(&spec, &Cache::new(folder.path().join("cache"))).unwrap()
}

fn image() -> Image {
    image_with("0123abc", b"")
}

fn client(server: &Server) -> Client {
    client_as(server, None)
}

fn client_as(server: &Server, credentials: Option<Basic>) -> Client {
    let retries = Retries {
        tries: 5,
        first_wait: Duration::ZERO,
        longest_wait: Duration::ZERO,
    };
    Client::new(Registry::new(&server.host, credentials).unwrap())
        .unwrap()
        .with_retries(retries)
}

fn tags(tags: &[&str]) -> Vec<String> {
    tags.iter().map(|&tag| tag.to_owned()).collect()
}

fn quiet(_: Progress) {}

#[tokio::test]
async fn a_second_push_uploads_nothing() {
    let server = Server::start(Script::default()).await;
    let (client, image) = (client(&server), image());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&seen);
    let first = client
        .push(
            "shop/api",
            &image.clone().into(),
            &tags(&["0123abc", "latest"]),
            move |step| listener.lock().unwrap().push(step),
        )
        .await
        .unwrap();
    assert_eq!(first.digest, image.manifest_digest);
    assert_eq!((first.uploaded_blobs, first.skipped_blobs), (3, 0));
    assert_eq!(
        first.uploaded_bytes,
        image.size() - image.manifest.len() as u64
    );
    assert_eq!(first.changed_tags, ["0123abc", "latest"]);
    {
        let state = server.state.lock().unwrap();
        let (kind, data) = &state.manifests[image.manifest_digest.as_str()];
        assert_eq!(
            (kind.as_str(), data),
            (media_type::MANIFEST, &image.manifest)
        );
        for blob in image.blobs() {
            assert_eq!(state.blobs[blob.digest.as_str()], blob.data);
        }
        assert_eq!(state.tags["latest"], image.manifest_digest.as_str());
    }
    for blob in image.blobs() {
        let size = blob.data.len() as u64;
        let seen = seen.lock().unwrap();
        assert!(seen.contains(&Progress::BlobSent {
            digest: blob.digest.clone(),
            sent: size,
            size
        }));
        assert!(seen.contains(&Progress::BlobDone {
            digest: blob.digest,
            size
        }));
    }

    server.forget_log();
    let second = client
        .push(
            "shop/api",
            &image.clone().into(),
            &tags(&["0123abc", "latest"]),
            quiet,
        )
        .await
        .unwrap();
    assert_eq!(
        (
            second.uploaded_blobs,
            second.uploaded_bytes,
            second.skipped_blobs
        ),
        (0, 0, 3)
    );
    assert!(second.changed_tags.is_empty());
    assert_eq!(server.count("P", ""), 0, "neither POST nor PUT");
}

#[tokio::test]
async fn without_tags_the_image_is_known_by_its_digest() {
    let server = Server::start(Script::default()).await;
    let (client, image) = (client(&server), image());
    client
        .push("shop/api", &image.clone().into(), &[], quiet)
        .await
        .unwrap();
    assert!(server.state.lock().unwrap().tags.is_empty());
    let found = client
        .resolve("shop/api", image.manifest_digest.as_str())
        .await
        .unwrap();
    assert_eq!(found, Some(image.manifest_digest));
    assert_eq!(client.resolve("shop/api", "0123abc").await.unwrap(), None);
}

#[tokio::test]
async fn other_status_codes_and_locations_are_understood() {
    let scripts = [
        Script {
            post_status: 201,
            relative_location: true,
            ..Script::default()
        },
        Script {
            post_status: 200,
            put_status: 204,
            ..Script::default()
        },
        Script {
            put_status: 202,
            no_digest_header: true,
            ..Script::default()
        },
    ];
    for script in scripts {
        let server = Server::start(script).await;
        let image = image();
        let pushed = client(&server)
            .push("shop/api", &image.clone().into(), &tags(&["a"]), quiet)
            .await
            .unwrap();
        assert_eq!(pushed.uploaded_blobs, 3);
        let again = client(&server)
            .push("shop/api", &image.clone().into(), &tags(&["a"]), quiet)
            .await
            .unwrap();
        assert!(again.changed_tags.is_empty());
    }
}

#[tokio::test]
async fn an_immutable_tag_is_left_alone_or_named() {
    let server = Server::start(Script {
        immutable_tags: true,
        ..Script::default()
    })
    .await;
    let (client, image) = (client(&server), image());
    for _ in 0..2 {
        client
            .push("shop/api", &image.clone().into(), &tags(&["v1"]), quiet)
            .await
            .unwrap();
    }
    let other = image_with("4567def", b"");
    let error = client
        .push("shop/api", &other.clone().into(), &tags(&["v1"]), quiet)
        .await
        .unwrap_err();
    match &error {
        Error::TagImmutable {
            tag,
            existing,
            wanted,
            ..
        } => {
            assert_eq!(
                (tag.as_str(), existing.as_ref()),
                ("v1", Some(&image.manifest_digest))
            );
            assert_eq!(wanted, &other.manifest_digest);
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_tag_that_somebody_else_wrote_meanwhile_is_no_error() {
    let server = Server::start(Script {
        immutable_tags: true,
        ..Script::default()
    })
    .await;
    let (client, image) = (client(&server), image());
    client
        .push("shop/api", &image.clone().into(), &tags(&["v1"]), quiet)
        .await
        .unwrap();
    // The first look finds nothing, the PUT is refused, the second look finds this image.
    server.set(|script| {
        script
            .faults
            .push_back(("HEAD", "manifests/v1", Fault::Answer(404, None, "")));
    });
    let pushed = client
        .push("shop/api", &image.clone().into(), &tags(&["v1"]), quiet)
        .await
        .unwrap();
    assert!(pushed.changed_tags.is_empty());
}

#[tokio::test]
async fn failures_that_pass_are_tried_again_with_a_fresh_session() {
    let tail: Vec<u8> = (0..3_000_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let image = image_with("0123abc", &tail);
    let faults = [
        (
            "POST",
            "uploads",
            Fault::Answer(429, Some(("retry-after", "0")), ""),
        ),
        ("PUT", "uploads", Fault::Close),
        ("PUT", "uploads", Fault::Answer(503, None, "throttled")),
        ("HEAD", "blobs", Fault::Answer(500, None, "")),
        ("PUT", "manifests", Fault::Close),
        ("HEAD", "manifests/sha256", Fault::Answer(404, None, "")),
    ];
    let server = Server::start(Script {
        faults: faults.into(),
        ..Script::default()
    })
    .await;
    let seen = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&seen);
    let pushed = client(&server)
        .push(
            "shop/api",
            &image.clone().into(),
            &tags(&["v1"]),
            move |step| {
                if matches!(step, Progress::Retrying { .. }) {
                    *counter.lock().unwrap() += 1;
                }
            },
        )
        .await
        .unwrap();
    assert_eq!(pushed.uploaded_blobs, 3);
    assert_eq!(*seen.lock().unwrap(), 6);
    // Three blobs, one POST that was refused, two sessions that were lost.
    assert_eq!(server.count("POST", "uploads"), 6);
}

#[tokio::test]
async fn a_connection_that_always_closes_is_explained() {
    let faults = vec![("PUT", "uploads", Fault::Close); 50];
    let server = Server::start(Script {
        faults: faults.into(),
        ..Script::default()
    })
    .await;
    let error = client(&server)
        .push("shop/api", &image().into(), &[], quiet)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::GaveUp { tries: 5, source } if matches!(**source, Error::Disconnected { .. })),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("ecr:InitiateLayerUpload") && text.contains("missing repository"),
        "{text}"
    );
    assert!(!text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let retries = Retries {
        tries: 2,
        first_wait: Duration::ZERO,
        longest_wait: Duration::ZERO,
    };
    let client = Client::new(Registry::new(&host, None).unwrap())
        .unwrap()
        .with_retries(retries);
    let error = client
        .push("shop/api", &image().into(), &[], quiet)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::GaveUp { tries: 2, source } if matches!(**source, Error::Unreachable { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn a_failed_handshake_is_not_tried_again() {
    let server = Server::start(Script::default()).await;
    let base = format!("https://{}", server.host).parse().unwrap();
    let client = Client::new(Registry {
        base,
        credentials: None,
    })
    .unwrap();
    let error = client
        .push("shop/api", &image().into(), &[], quiet)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn refusals_have_their_own_words() {
    let server = Server::start(Script {
        missing_repository: true,
        ..Script::default()
    })
    .await;
    let error = client(&server)
        .push("shop/api", &image().into(), &[], quiet)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::RepositoryNotFound { .. }), "{error}");
    assert_eq!(server.count("POST", ""), 3, "not tried again");

    let denied = r#"{"errors":[{"code":"DENIED","message":"not authorized to perform: ecr:InitiateLayerUpload"}]}"#;
    let faults = vec![("POST", "uploads", Fault::Answer(403, None, denied)); 3];
    let server = Server::start(Script {
        faults: faults.into(),
        ..Script::default()
    })
    .await;
    let error = client(&server)
        .push("shop/api", &image().into(), &[], quiet)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Denied { message, .. } if message.contains("InitiateLayerUpload")),
        "{error}"
    );
}

#[tokio::test]
async fn basic_credentials_go_along_and_never_into_an_error() {
    let basic = STANDARD.encode("AWS:hunter2");
    let server = Server::start(Script {
        basic: Some(basic),
        ..Script::default()
    })
    .await;
    let good = client_as(&server, Some(Basic::new("AWS", "hunter2")));
    good.push("shop/api", &image().into(), &tags(&["a"]), quiet)
        .await
        .unwrap();

    for credentials in [None, Some(Basic::new("AWS", "hunter3"))] {
        let client = client_as(&server, credentials);
        let error = client
            .push("shop/api", &image().into(), &tags(&["a"]), quiet)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
        assert!(!format!("{error} {error:?} {client:?}").contains("hunter"));
    }
}

#[tokio::test]
async fn a_token_is_fetched_where_the_registry_asks_for_one() {
    let basic = STANDARD.encode("me:hunter2");
    let server = Server::start(Script {
        basic: Some(basic),
        bearer: true,
        ..Script::default()
    })
    .await;
    let client_of = |password| client_as(&server, Some(Basic::new("me", password)));
    let image = image();
    client_of("hunter2")
        .push("shop/api", &image.clone().into(), &tags(&["a"]), quiet)
        .await
        .unwrap();
    assert!(server.count("GET", "/token") >= 1);
    let error = client_of("wrong")
        .push("shop/api", &image.clone().into(), &tags(&["a"]), quiet)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
}

#[tokio::test]
async fn credentials_do_not_follow_an_upload_to_another_host() {
    let other = Server::start(Script::default()).await;
    let script = Script {
        basic: Some(STANDARD.encode("AWS:hunter2")),
        upload_host: Some(other.host.clone()),
        ..Script::default()
    };
    let server = Server::start(script).await;
    let client = client_as(&server, Some(Basic::new("AWS", "hunter2")));
    // The other host knows no session of this one, so the push fails; what matters is what it was sent.
    client
        .push("shop/api", &image().into(), &[], quiet)
        .await
        .unwrap_err();
    assert!(other.count("PUT", "uploads") > 0);
    assert_eq!(other.state.lock().unwrap().authorized, 0);
    assert!(server.state.lock().unwrap().authorized > 0);
}

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
