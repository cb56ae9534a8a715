//! `/v2/…`: the OCI registry over HTTP.
//!
//! Follows the OCI distribution specification 1.1, and ECR where ECR differs: `PATCH` answers 201, parts other than the last have 5 MiB at least, mounts are
//! answered with an ordinary upload, and a blob lies elsewhere (307, see [`super::blobs`]).

mod lists;

use std::sync::Arc;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use serde_json::json;

use super::answer::{self, Answer, Broken, with};
use super::api::authorize;
use super::record::{self, Outcome, request_id};
use crate::calls;
use crate::daemon::cloud::{Cloud, now};
use crate::ecr::blobs::Upload;
use crate::ecr::link;
use crate::ecr::registry::Refusal;
use crate::ecr::token;
use crate::faults::{Injection, Instead};
use crate::identity::Identity;
use crate::random;
use lists::{catalog, tags};

/// ECR takes manifests up to this size.
const MANIFEST: usize = 4 << 20;
/// Received bytes are written to disk in pieces of this size.
const PIECE: usize = 1 << 20;

/// The list of all repositories.
const CATALOG: &str = "/v2/_catalog";

/// What a path asks for, behind the repository's name.
#[derive(Debug, PartialEq, Eq)]
enum Resource<'a> {
    Blob(&'a str),
    Uploads,
    Upload(&'a str),
    Manifest(&'a str),
    Tags,
    Referrers(&'a str),
}

/// Splits `/v2/<name>/…`; names hold slashes themselves, so the path is read from its end.
fn route(path: &str) -> Option<(&str, Resource<'_>)> {
    let path = path.strip_prefix("/v2/")?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if let Some(name) = path.strip_suffix("/blobs/uploads") {
        return Some((name, Resource::Uploads));
    }
    if let Some(name) = path.strip_suffix("/tags/list") {
        return Some((name, Resource::Tags));
    }
    let (rest, last) = path.rsplit_once('/')?;
    if let Some(name) = rest.strip_suffix("/blobs/uploads") {
        Some((name, Resource::Upload(last)))
    } else if let Some(name) = rest.strip_suffix("/blobs") {
        Some((name, Resource::Blob(last)))
    } else if let Some(name) = rest.strip_suffix("/manifests") {
        Some((name, Resource::Manifest(last)))
    } else {
        rest.strip_suffix("/referrers")
            .map(|name| (name, Resource::Referrers(last)))
    }
}

/// The operation of ECR's API that does what a request asks for; `None` for what is not one, such as `GET /v2/`.
fn operation(method: &Method, resource: &Resource<'_>) -> Option<&'static str> {
    Some(match (method.as_str(), resource) {
        ("GET", Resource::Blob(_)) => "GetDownloadUrlForLayer",
        ("HEAD", Resource::Blob(_)) => "BatchCheckLayerAvailability",
        ("POST", Resource::Uploads) => "InitiateLayerUpload",
        ("PATCH" | "GET" | "DELETE", Resource::Upload(_)) => "UploadLayerPart",
        ("PUT", Resource::Upload(_)) => "CompleteLayerUpload",
        ("GET" | "HEAD", Resource::Manifest(_) | Resource::Referrers(_)) => "BatchGetImage",
        ("PUT", Resource::Manifest(_)) => "PutImage",
        ("GET", Resource::Tags) => "ListImages",
        _ => return None,
    })
}

/// Answers a request below `/v2/`, and puts it into the call log when ECR's API has an operation for it.
pub(super) async fn handle(cloud: &Arc<Cloud>, request: Request<Incoming>) -> Answer {
    let (at, id) = (now(), request_id());
    let authorization = text(&request, AUTHORIZATION.as_str());
    let signer = token::check(authorization, &cloud.instance.secret_access_key, at);
    let path = request.uri().path();
    let need = if path == CATALOG {
        let operation = "DescribeRepositories";
        Some(calls::of_registry(operation, None, &cloud.place))
    } else {
        route(path).and_then(|(name, resource)| {
            let operation = operation(request.method(), &resource)?;
            Some(calls::of_registry(operation, Some(name), &cloud.place))
        })
    };
    let caller = match &signer {
        Ok(caller) => caller.clone(),
        Err(_) if authorization.is_none() => "anonymous".to_owned(),
        Err(_) => "refused".to_owned(),
    };
    let injection = match &need {
        Some(need) => cloud.faults().meet(&need.action, fastrand::f64),
        None => Injection::default(),
    };
    if !injection.delay.is_zero() {
        tokio::time::sleep(injection.delay).await;
    }
    let allowed = match (&signer, &need) {
        (Ok(arn), Some(need)) => {
            let identity = Identity::of_arn(arn);
            authorize(cloud, &identity, std::slice::from_ref(need))
                .map_err(|error| Refusal::new(403, "DENIED", error.message))
        }
        _ => Ok(()),
    };
    let outcome = match (allowed, injection.instead) {
        (_, Some(Instead::Reset)) => Err(Refusal::new(0, "Reset", "")),
        (Err(refusal), _) => Err(refusal),
        (Ok(()), Some(Instead::Throttle)) => {
            Err(Refusal::new(429, "TOOMANYREQUESTS", "Rate exceeded"))
        }
        (Ok(()), Some(Instead::ServerError)) => Err(Refusal::new(
            500,
            "UNKNOWN",
            "An error occurred on the server side",
        )),
        (Ok(()), _) => answer(cloud, request, signer.map(|_| ())).await,
    };
    let code = match &outcome {
        Ok(answer) if answer.status() == 401 => "UNAUTHORIZED",
        Ok(_) => "ok",
        Err(refusal) => refusal.code,
    };
    let answer = match outcome {
        Ok(_) if injection.instead == Some(Instead::LoseResponse) => answer::broken(),
        Ok(answer) => answer,
        Err(Refusal { status: 0, .. }) => answer::broken(),
        Err(refusal) => answer::json(refusal.status, &refusal.body()),
    };
    if let Some(need) = need {
        let broken = answer.extensions().get::<Broken>().is_some();
        let outcome = Outcome {
            code,
            status: if broken { 0 } else { answer.status().as_u16() },
            fault: injection.names.as_deref(),
        };
        record::record(cloud, at, &id, &[need], &caller, outcome);
    }
    let answer = with(answer, "x-amzn-requestid", &id);
    with(answer, "docker-distribution-api-version", "registry/2.0")
}

async fn answer(
    cloud: &Arc<Cloud>,
    request: Request<Incoming>,
    signed: Result<(), token::Refused>,
) -> Result<Answer, Refusal> {
    match signed {
        Ok(()) => {}
        Err(token::Refused::Unknown) => {
            let answer = answer::bytes(401, "text/plain; charset=utf-8", "Not Authorized\n");
            let realm = format!(
                "Basic realm=\"{}/\",service=\"ecr.amazonaws.com\"",
                cloud.place.endpoint()
            );
            return Ok(with(answer, "www-authenticate", &realm));
        }
        Err(token::Refused::Expired) => {
            return Err(Refusal::new(
                403,
                "DENIED",
                "Your authorization token has expired. Reauthenticate and try again.",
            ));
        }
    }

    let path = request.uri().path().to_owned();
    if path == "/v2/" || path == "/v2" {
        return Ok(answer::json(200, &json!({})));
    }
    let unsupported = || {
        Refusal::new(
            405,
            "UNSUPPORTED",
            "The operation is not supported by this registry",
        )
    };
    if path == CATALOG && request.method() == Method::GET {
        return catalog(cloud, &request);
    }
    let (name, resource) = route(&path)
        .ok_or_else(|| Refusal::new(404, "NAME_UNKNOWN", format!("There is nothing at {path}")))?;
    cloud.models().ecr.must_exist(name, &cloud.place)?;
    match (request.method(), resource) {
        (&Method::GET, Resource::Blob(digest)) => {
            let host = text(&request, HOST.as_str()).unwrap_or_default();
            blob(cloud, name, digest, Some(host))
        }
        (&Method::HEAD, Resource::Blob(digest)) => blob(cloud, name, digest, None),
        (&Method::POST, Resource::Uploads) => begin_upload(cloud, name, request).await,
        (&Method::PATCH, Resource::Upload(id)) => patch(cloud, name, id, request).await,
        (&Method::PUT, Resource::Upload(id)) => finish_upload(cloud, name, id, request).await,
        (&Method::GET, Resource::Upload(id)) => {
            let upload = cloud.blobs.upload(id, name, now()).await?;
            Ok(progress(answer::empty(204), name, id, &upload))
        }
        (&Method::DELETE, Resource::Upload(id)) => {
            let upload = cloud.blobs.upload(id, name, now()).await?;
            cloud.blobs.cancel(id, &upload).await;
            Ok(answer::empty(204))
        }
        (&Method::GET, Resource::Manifest(reference)) => manifest(cloud, name, reference, true),
        (&Method::HEAD, Resource::Manifest(reference)) => manifest(cloud, name, reference, false),
        (&Method::PUT, Resource::Manifest(reference)) => {
            put_manifest(cloud, name, reference, request).await
        }
        (&Method::GET, Resource::Tags) => tags(cloud, name, &request),
        (&Method::GET, Resource::Referrers(digest)) => {
            let index = cloud.models().ecr.referrers(name, digest, &cloud.place)?;
            let media = "application/vnd.oci.image.index.v1+json";
            Ok(answer::bytes(200, media, index.to_string()))
        }
        _ => Err(unsupported()),
    }
}

/// A blob, asked for at `host`: where it lies. Without a host, how large it is.
fn blob(cloud: &Cloud, name: &str, digest: &str, host: Option<&str>) -> Result<Answer, Refusal> {
    let size = cloud.models().ecr.blob(name, digest, &cloud.place)?;
    let answer = match host {
        Some(host) => {
            // Another host than the registry's, as on AWS: clients then keep their credentials back.
            let other = match host.split(':').next() {
                Some("localhost") => "127.0.0.1",
                _ => "localhost",
            };
            let secret = &cloud.instance.secret_access_key;
            let location = link::make(secret, digest, other, &cloud.place, now());
            with(answer::empty(307), "location", &location)
        }
        // hyper sends the length of a HEAD answer and no body.
        None => with(answer::empty(200), "content-length", &size.to_string()),
    };
    Ok(with(answer, "docker-content-digest", digest))
}

/// Mounting from another repository is opt-in at ECR: the request is answered as if it had not been asked for.
async fn begin_upload(
    cloud: &Cloud,
    name: &str,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let id = random::text(random::LETTERS, 32)
        .map_err(|error| Refusal::new(500, "UNKNOWN", format!("No random numbers: {error}")))?;
    cloud.blobs.begin(id.clone(), name, now()).await?;
    if let Some(digest) = parameter(&request, "digest") {
        return put_blob(cloud, name, &id, &digest, request).await;
    }
    let upload = cloud.blobs.upload(&id, name, now()).await?;
    Ok(progress(answer::empty(202), name, &id, &upload))
}

async fn patch(
    cloud: &Cloud,
    name: &str,
    id: &str,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let mut upload = cloud.blobs.upload(id, name, now()).await?;
    receive(cloud, &mut upload, request).await?;
    // 201 where the specification says 202: clients of ECR must take both.
    Ok(progress(answer::empty(201), name, id, &upload))
}

async fn finish_upload(
    cloud: &Cloud,
    name: &str,
    id: &str,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let digest = parameter(&request, "digest").ok_or_else(|| {
        Refusal::new(
            400,
            "DIGEST_INVALID",
            "The query holds no digest of the blob",
        )
    })?;
    put_blob(cloud, name, id, &digest, request).await
}

async fn put_blob(
    cloud: &Cloud,
    name: &str,
    id: &str,
    digest: &str,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let mut upload = cloud.blobs.upload(id, name, now()).await?;
    receive(cloud, &mut upload, request).await?;
    let size = cloud.blobs.finish(id, &upload, digest).await?;
    cloud
        .models()
        .ecr
        .add_blob(name, digest, size, &cloud.place)?;
    cloud.changed();
    cloud.durable().await;
    let answer = with(
        answer::empty(201),
        "location",
        &format!("/v2/{name}/blobs/{digest}"),
    );
    Ok(with(answer, "docker-content-digest", digest))
}

/// Takes a body as one part of an upload. An empty body is no part.
async fn receive(
    cloud: &Cloud,
    upload: &mut Upload,
    request: Request<Incoming>,
) -> Result<(), Refusal> {
    let stated = text(&request, CONTENT_RANGE.as_str())
        .and_then(|range| range.trim_start_matches("bytes ").split('-').next())
        .and_then(|start| start.parse().ok());
    let from = upload.size();
    let mut body = request.into_body();
    let mut piece: Vec<u8> = Vec::new();
    let mut begun = false;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Refusal::new(
                400,
                "BLOB_UPLOAD_INVALID",
                format!("The body broke off: {error}"),
            )
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.is_empty() {
            continue;
        }
        if !begun {
            upload.begin_part(stated)?;
            begun = true;
        }
        piece.extend_from_slice(&data);
        if piece.len() >= PIECE {
            cloud.blobs.write(upload, &piece).await?;
            piece.clear();
        }
    }
    if !piece.is_empty() {
        cloud.blobs.write(upload, &piece).await?;
    }
    upload.end_part(from);
    Ok(())
}

fn progress(answer: Answer, name: &str, id: &str, upload: &Upload) -> Answer {
    let end = upload.size().saturating_sub(1);
    let location = format!("/v2/{name}/blobs/uploads/{id}");
    let answer = with(answer, "location", &location);
    let answer = with(answer, "docker-upload-uuid", id);
    with(answer, "range", &format!("0-{end}"))
}

fn manifest(
    cloud: &Cloud,
    name: &str,
    reference: &str,
    with_body: bool,
) -> Result<Answer, Refusal> {
    let mut models = cloud.models();
    let found = models.ecr.manifest(name, reference, &cloud.place)?;
    let answer = if with_body {
        answer::bytes(200, "", found.bytes.to_vec())
    } else {
        let size = found.bytes.len().to_string();
        with(answer::empty(200), "content-length", &size)
    };
    let answer = with(answer, "content-type", found.media_type);
    let answer = with(answer, "docker-content-digest", found.digest);
    if with_body {
        let digest = found.digest.to_owned();
        models.ecr.pulled(name, &digest, now());
        drop(models);
        cloud.changed();
    }
    Ok(answer)
}

async fn put_manifest(
    cloud: &Cloud,
    name: &str,
    reference: &str,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let media = text(&request, CONTENT_TYPE.as_str()).map(str::to_owned);
    let body = Limited::new(request.into_body(), MANIFEST)
        .collect()
        .await
        .map_err(|error| {
            Refusal::new(
                400,
                "MANIFEST_INVALID",
                format!("The manifest could not be received: {error}"),
            )
        })?
        .to_bytes();
    let stored = {
        let (media, place) = (media.as_deref(), &cloud.place);
        let mut models = cloud.models();
        models
            .ecr
            .put_manifest(name, reference, media, &body, place, now())?
    };
    cloud.changed();
    cloud.durable().await;
    let location = format!("/v2/{name}/manifests/{}", stored.digest);
    let answer = with(answer::empty(201), "location", &location);
    let answer = with(answer, "docker-content-digest", &stored.digest);
    Ok(match stored.subject {
        Some(subject) => with(answer, "oci-subject", &subject),
        None => answer,
    })
}

fn text<'a>(request: &'a Request<Incoming>, header: &str) -> Option<&'a str> {
    request.headers().get(header)?.to_str().ok()
}

fn parameter(request: &Request<Incoming>, name: &str) -> Option<String> {
    let query = request.uri().query()?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_their_end() {
        let cases = [
            ("/v2/api/blobs/uploads/", Some(("api", Resource::Uploads))),
            (
                "/v2/team/api/blobs/uploads",
                Some(("team/api", Resource::Uploads)),
            ),
            (
                "/v2/team/api/blobs/uploads/x",
                Some(("team/api", Resource::Upload("x"))),
            ),
            (
                "/v2/api/blobs/sha256:0",
                Some(("api", Resource::Blob("sha256:0"))),
            ),
            (
                "/v2/blobs/manifests/v1",
                Some(("blobs", Resource::Manifest("v1"))),
            ),
            ("/v2/a/b/c/tags/list", Some(("a/b/c", Resource::Tags))),
            (
                "/v2/api/referrers/sha256:0",
                Some(("api", Resource::Referrers("sha256:0"))),
            ),
            ("/v2/api/other/x", None),
            ("/v2/api", None),
        ];
        for (path, expected) in cases {
            assert_eq!(route(path), expected, "{path}");
        }
    }
}
