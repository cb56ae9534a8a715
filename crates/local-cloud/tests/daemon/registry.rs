//! The registry over HTTP, as a client of ECR uses it.

use local_cloud::client::Instance;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Test;
use super::support::{Answer, Cloud, Headers, call, send};

pub const TESTS: &[Test] = &[
    (
        "registry::an_image_goes_in_and_comes_out",
        an_image_goes_in_and_comes_out,
    ),
    (
        "registry::what_is_wrong_is_refused",
        what_is_wrong_is_refused,
    ),
    ("registry::parts_are_put_together", parts_are_put_together),
];

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A cloud with one repository, and the headers of a client that logged in.
fn with_repository() -> (Cloud, Headers) {
    let cloud = Cloud::start();
    let (status, made) = cloud.call(
        "AmazonEC2ContainerRegistry_V20150921.CreateRepository",
        &json!({"repositoryName": "team/api", "imageTagMutability": "IMMUTABLE"}),
    );
    assert_eq!(status, 200, "{made}");
    let headers = login(&cloud.instance);
    (cloud, headers)
}

/// The headers of a client that logged in.
pub fn login(instance: &Instance) -> Headers {
    let (_, answer) = call(
        instance,
        "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
        &json!({}),
    );
    let data = &answer["authorizationData"][0];
    assert_eq!(data["proxyEndpoint"], json!(instance.endpoint));
    let token = data["authorizationToken"].as_str().unwrap();
    vec![("authorization".to_owned(), format!("Basic {token}"))]
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn begin(instance: &Instance, login: &Headers) -> String {
    let answer = send(instance, "POST", "/v2/team/api/blobs/uploads/", login, b"");
    assert_eq!(answer.status, 202);
    answer.header("location").unwrap().to_owned()
}

pub fn put_blob(instance: &Instance, login: &Headers, bytes: &[u8]) -> Answer {
    let place = begin(instance, login);
    let path = format!("{place}?digest={}", digest(bytes));
    send(instance, "PUT", &path, login, bytes)
}

fn image(config: &[u8], layer: &[u8]) -> String {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(layer), "size": layer.len()}],
    })
    .to_string()
}

fn an_image_goes_in_and_comes_out() {
    let (mut cloud, login) = with_repository();
    let layer: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    for blob in [&b"{}"[..], &layer] {
        assert_eq!(put_blob(&cloud.instance, &login, blob).status, 201);
    }
    let manifest = image(b"{}", &layer);
    let mut headers = login.clone();
    headers.push(("content-type".to_owned(), MANIFEST.to_owned()));
    let path = "/v2/team/api/manifests/v1";
    let answer = send(&cloud.instance, "PUT", path, &headers, manifest.as_bytes());
    assert_eq!(answer.status, 201, "{answer:?}");
    let name = digest(manifest.as_bytes());
    assert_eq!(answer.header("docker-content-digest"), Some(name.as_str()));

    cloud.restart();
    let cloud = &cloud;
    let get = |method, path: &str| send(&cloud.instance, method, path, &login, b"");
    let blob = format!("/v2/team/api/blobs/{}", digest(&layer));
    let redirect = get("GET", &blob);
    assert_eq!(redirect.status, 307, "{redirect:?}");
    let location = redirect.header("location").unwrap();
    // Another host: clients keep their credentials to the registry.
    let other = format!("http://localhost:{}", cloud.instance.port);
    let path = location.strip_prefix(&other).unwrap();
    let fetch = |path: &str, headers: &Headers| send(&cloud.instance, "GET", path, headers, b"");
    assert!(fetch(path, &Vec::new()).body == layer);
    let two_proofs = fetch(path, &login);
    assert_eq!(two_proofs.status, 400);
    assert!(String::from_utf8_lossy(&two_proofs.body).contains("Only one auth mechanism allowed"));
    let range = vec![("range".to_owned(), "bytes=10-19".to_owned())];
    let part = fetch(path, &range);
    assert_eq!((part.status, part.body), (206, layer[10..20].to_vec()));
    let forged = path.replacen("Signature=", "Signature=00", 1);
    assert_eq!(fetch(&forged, &Vec::new()).status, 403);
    assert_eq!(
        send(&cloud.instance, "HEAD", path, &Vec::new(), b"").status,
        403
    );
    let head = get("HEAD", &blob);
    assert_eq!(head.header("content-length"), Some("3000000"));
    assert!(head.body.is_empty());
    for reference in ["v1", &name] {
        let answer = get("GET", &format!("/v2/team/api/manifests/{reference}"));
        assert_eq!(answer.body, manifest.as_bytes());
        assert_eq!(answer.header("content-type"), Some(MANIFEST));
        let head = get("HEAD", &format!("/v2/team/api/manifests/{reference}"));
        assert_eq!(head.header("docker-content-digest"), Some(name.as_str()));
    }
    let names: Value = serde_json::from_slice(&get("GET", "/v2/_catalog?n=1").body).unwrap();
    assert_eq!(names, json!({"repositories": ["team/api"]}));
    let tags: Value = serde_json::from_slice(&get("GET", "/v2/team/api/tags/list").body).unwrap();
    assert_eq!(tags["tags"], json!(["v1"]));

    let (_, answer) = cloud.call(
        "AmazonEC2ContainerRegistry_V20150921.DescribeImages",
        &json!({"repositoryName": "team/api"}),
    );
    assert_eq!(answer["imageDetails"][0]["imageDigest"], json!(name));
    assert_eq!(answer["imageDetails"][0]["imageSizeInBytes"], 3_000_002);
}

fn what_is_wrong_is_refused() {
    let (cloud, login) = with_repository();
    let instance = &cloud.instance;
    let get = |path: &str, headers: &Headers| send(instance, "GET", path, headers, b"");
    let anonymous = get("/v2/", &Vec::new());
    assert_eq!(anonymous.status, 401);
    assert!(
        anonymous
            .header("www-authenticate")
            .unwrap()
            .starts_with("Basic ")
    );
    assert_eq!(get("/v2/", &login).status, 200);

    let cases = [
        ("GET", "/v2/none/manifests/v1", 404, "NAME_UNKNOWN"),
        ("POST", "/v2/none/blobs/uploads/", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/team/api/manifests/v1", 404, "MANIFEST_UNKNOWN"),
        ("GET", "/v2/team/api/blobs/sha256:00", 404, "BLOB_UNKNOWN"),
        (
            "PATCH",
            "/v2/team/api/blobs/uploads/none",
            404,
            "BLOB_UPLOAD_UNKNOWN",
        ),
        ("DELETE", "/v2/team/api/manifests/v1", 405, "UNSUPPORTED"),
        (
            "GET",
            "/v2/team/api/tags/list?n=0",
            400,
            "PAGINATION_NUMBER_INVALID",
        ),
    ];
    for (method, path, status, code) in cases {
        let answer = send(instance, method, path, &login, b"");
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{method} {path}"
        );
    }

    let put = |tag: &str, manifest: &str| {
        let path = format!("/v2/team/api/manifests/{tag}");
        send(instance, "PUT", &path, &login, manifest.as_bytes())
    };
    let manifest = image(b"{}", b"layer");
    let answer = put("v1", &manifest);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (404, "MANIFEST_BLOB_UNKNOWN")
    );
    put_blob(instance, &login, b"{}");
    put_blob(instance, &login, b"layer");
    assert_eq!(put("v1", &manifest).status, 201);
    let answer = put("v1", &manifest);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "TAG_INVALID")
    );

    let place = begin(instance, &login);
    let path = format!("{place}?digest={}", digest(b"something else"));
    let answer = send(instance, "PUT", &path, &login, b"sent");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "DIGEST_INVALID")
    );
    // A mount is answered with an ordinary upload, as ECR does where mounting is off.
    let path = format!(
        "/v2/team/api/blobs/uploads/?mount={}&from=other",
        digest(b"layer")
    );
    assert_eq!(send(instance, "POST", &path, &login, b"").status, 202);
}

fn parts_are_put_together() {
    let (cloud, login) = with_repository();
    let instance = &cloud.instance;
    let first = vec![b'x'; 5 << 20];
    let whole = [&first[..], b"end"].concat();

    // One part, and an empty PUT.
    let place = begin(instance, &login);
    let answer = send(instance, "PATCH", &place, &login, &whole);
    assert_eq!(answer.status, 201);
    assert_eq!(
        answer.header("range"),
        Some(format!("0-{}", whole.len() - 1).as_str())
    );
    let path = format!("{place}?digest={}", digest(&whole));
    assert_eq!(send(instance, "PUT", &path, &login, b"").status, 201);

    // Two parts.
    let place = begin(instance, &login);
    assert_eq!(send(instance, "PATCH", &place, &login, &first).status, 201);
    let path = format!("{place}?digest={}", digest(&whole));
    assert_eq!(send(instance, "PUT", &path, &login, b"end").status, 201);

    // A first part that is too small.
    let place = begin(instance, &login);
    assert_eq!(
        send(instance, "PATCH", &place, &login, b"small").status,
        201
    );
    assert_eq!(send(instance, "PATCH", &place, &login, b"end").status, 400);

    // All in one POST.
    let path = format!("/v2/team/api/blobs/uploads/?digest={}", digest(b"one"));
    assert_eq!(send(instance, "POST", &path, &login, b"one").status, 201);
    let path = format!("/v2/team/api/blobs/{}", digest(b"one"));
    assert_eq!(send(instance, "HEAD", &path, &login, b"").status, 200);
}
