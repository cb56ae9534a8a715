//! What goes wrong with a registry, what is tried again, and what is said.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry::{Basic, Client, Error, Progress, Registry, Retries};

use crate::server::{Fault, Script, Server};
use crate::{client, client_as, image, image_with, quiet, tags};

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
        // The look before the push, and the one after it.
        ("HEAD", "manifests/sha256", Fault::Answer(404, None, "")),
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

/// Both ways in which ECR throttles. The wait that it asks for is kept, though the client's own would be none.
#[tokio::test]
async fn a_registry_that_asks_for_a_pause_gets_it() {
    let pause = Some(("retry-after", "1"));
    let server = Server::start(Script {
        faults: [
            ("PUT", "manifests", Fault::Answer(429, pause, "")),
            ("PUT", "manifests", Fault::Answer(503, pause, "")),
        ]
        .into(),
        ..Script::default()
    })
    .await;
    let waits = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&waits);
    let since = Instant::now();
    client(&server)
        .push("shop/api", &image().into(), &[], move |step| {
            if let Progress::Retrying { wait, .. } = step {
                listener.lock().unwrap().push(wait);
            }
        })
        .await
        .unwrap();
    let second = Duration::from_secs(1);
    assert_eq!(*waits.lock().unwrap(), [second, second]);
    assert!(since.elapsed() >= 2 * second);
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
    // The first refusal ends the other two blobs, wherever they are.
    assert!(server.count("POST", "") <= 3, "not tried again");

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

/// What a push left behind when it failed is found by the next.
#[tokio::test]
async fn a_push_goes_on_where_the_last_one_failed() {
    let refusal = Fault::Answer(400, None, r#"{"errors":[{"code":"MANIFEST_INVALID"}]}"#);
    let server = Server::start(Script {
        faults: [("PUT", "manifests", refusal)].into(),
        ..Script::default()
    })
    .await;
    let (client, image) = (client(&server), image());
    let error = client
        .push("shop/api", &image.clone().into(), &[], quiet)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Refused { status: 400, .. }),
        "{error}"
    );
    let pushed = client
        .push("shop/api", &image.into(), &[], quiet)
        .await
        .unwrap();
    assert_eq!((pushed.uploaded_blobs, pushed.skipped_blobs), (0, 3));
}
