//! Push and pull against a registry that follows a script.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod failures;
mod pull;
mod server;

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use image::{Arch, Cache, Image, ImageSet, ImageSpec, Platform, assemble, media_type};
use registry::{Basic, Client, Error, Progress, Registry, Retries};
use server::{Fault, Script, Server};

/// An image whose binary carries `tail` after the smallest ELF header that passes.
fn image_with(commit: &str, tail: &[u8]) -> Image {
    built(Platform::LINUX_AMD64, commit, tail)
}

fn image_for(platform: Platform) -> Image {
    built(platform, "0123abc", b"")
}

fn built(platform: Platform, commit: &str, tail: &[u8]) -> Image {
    let folder = tempfile::tempdir().unwrap();
    let mut elf = vec![0; 64];
    elf[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    elf[16] = 2;
    elf[18] = match platform.arch {
        Arch::Amd64 => 62,
        Arch::Arm64 => 183,
    };
    elf[20] = 1;
    elf[52] = 64;
    elf.extend(tail);
    let binary = folder.path().join("api");
    fs::write(&binary, elf).unwrap();
    let spec = ImageSpec::new(platform, binary, "api", commit);
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
    assert_eq!(
        server.count("", ""),
        3,
        "one look for the image, one for each tag"
    );
}

/// Another version of the program: the layer with the program and the configuration are sent, and nothing else.
#[tokio::test]
async fn a_layer_that_is_there_is_never_sent_again() {
    let server = Server::start(Script::default()).await;
    let (client, first) = (client(&server), image());
    client
        .push("shop/api", &first.into(), &tags(&["a"]), quiet)
        .await
        .unwrap();
    let other = image_with("4567def", b"another program");
    let pushed = client
        .push("shop/api", &other.clone().into(), &tags(&["b"]), quiet)
        .await
        .unwrap();
    assert_eq!((pushed.uploaded_blobs, pushed.skipped_blobs), (2, 1));
    let sent = other.layers[1].data.len() + other.config.data.len();
    assert_eq!(pushed.uploaded_bytes, sent as u64);
}

/// An index names manifests that must be there before it; and only it gets the tag.
#[tokio::test]
async fn an_index_goes_last_and_is_what_the_tag_names() {
    let server = Server::start(Script {
        immutable_tags: true,
        ..Script::default()
    })
    .await;
    let client = client(&server);
    let set = ImageSet::new(vec![image(), image_for(Platform::LINUX_ARM64)]).unwrap();
    let pushed = client
        .push("shop/api", &set, &tags(&["v1"]), quiet)
        .await
        .unwrap();
    assert_eq!(&pushed.digest, set.digest());
    // Two programs and two configurations; the base is the same.
    assert_eq!(pushed.uploaded_blobs, 5);
    {
        let state = server.state.lock().unwrap();
        assert_eq!(state.tags["v1"], set.digest().as_str());
        assert_eq!(state.manifests.len(), 3);
        let (kind, data) = &state.manifests[set.digest().as_str()];
        assert_eq!(kind, media_type::INDEX);
        assert_eq!(*data, set.top().data);
    }
    server.forget_log();
    let again = client
        .push("shop/api", &set, &tags(&["v1"]), quiet)
        .await
        .unwrap();
    assert_eq!((again.uploaded_blobs, again.skipped_blobs), (0, 5));
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
