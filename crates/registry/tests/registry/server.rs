//! A registry in this process that behaves as its script says: ECR's ways, other registries' ways, and failures.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderName};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use image::Digest;
use tokio::net::TcpListener;

/// How the registry behaves.
#[derive(Clone)]
pub struct Script {
    /// The status of a POST that begins an upload.
    pub post_status: u16,
    /// The status of a PUT that ends one.
    pub put_status: u16,
    /// `Location` without scheme and host, and without a query.
    pub relative_location: bool,
    /// Where uploads go, if not to this registry.
    pub upload_host: Option<String>,
    /// Leaves `Docker-Content-Digest` out.
    pub no_digest_header: bool,
    /// Tags cannot be written twice, not even with the same content.
    pub immutable_tags: bool,
    /// There is no such repository; uploads are answered so.
    pub missing_repository: bool,
    /// Basic credentials that are asked for, as `user:password` in base64.
    pub basic: Option<String>,
    /// Asks for a token, which the token service gives for `basic`.
    pub bearer: bool,
    /// Each fault happens once, to the first request that it fits.
    pub faults: VecDeque<(&'static str, &'static str, Fault)>,
}

/// What goes wrong with a request, chosen by method and a part of the path.
#[derive(Clone)]
pub enum Fault {
    /// An answer: status, header, body.
    Answer(u16, Option<(&'static str, &'static str)>, &'static str),
    /// The connection ends after the first bytes of the body.
    Close,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            post_status: 202,
            put_status: 201,
            relative_location: false,
            upload_host: None,
            no_digest_header: false,
            immutable_tags: false,
            missing_repository: false,
            basic: None,
            bearer: false,
            faults: VecDeque::new(),
        }
    }
}

/// What the registry holds and has seen.
#[derive(Default)]
pub struct State {
    pub blobs: HashMap<String, Bytes>,
    /// By digest.
    pub manifests: HashMap<String, (String, Bytes)>,
    /// Tag to digest.
    pub tags: HashMap<String, String>,
    /// `METHOD path` of each request, in order.
    pub log: Vec<String>,
    /// How many requests had an `Authorization`.
    pub authorized: usize,
    sessions: u32,
    open: Vec<String>,
}

pub struct Server {
    pub host: String,
    pub state: Arc<Mutex<State>>,
    pub script: Arc<Mutex<Script>>,
}

impl Server {
    /// Serves until the test's runtime ends.
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let server = Self {
            host: host.clone(),
            state: Arc::default(),
            script: Arc::new(Mutex::new(script)),
        };
        let (state, script) = (Arc::clone(&server.state), Arc::clone(&server.script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (host, state, script) = (host.clone(), Arc::clone(&state), Arc::clone(&script));
                let service = service_fn(move |request| {
                    answer(
                        host.clone(),
                        Arc::clone(&state),
                        Arc::clone(&script),
                        request,
                    )
                });
                tokio::spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        server
    }

    /// How many requests had this method and a path with this part.
    pub fn count(&self, method: &str, part: &str) -> usize {
        let state = self.state.lock().unwrap();
        state
            .log
            .iter()
            .filter(|line| line.starts_with(method) && line.contains(part))
            .count()
    }

    pub fn forget_log(&self) {
        self.state.lock().unwrap().log.clear();
    }

    pub fn set(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }
}

type Reply = Result<Response<Full<Bytes>>, io::Error>;

async fn answer(
    host: String,
    state: Arc<Mutex<State>>,
    script: Arc<Mutex<Script>>,
    request: Request<Incoming>,
) -> Reply {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    {
        let mut state = state.lock().unwrap();
        state.log.push(format!("{} {path}", head.method));
        state.authorized += usize::from(head.headers.contains_key("authorization"));
    }

    let fault = {
        let faults = &mut script.lock().unwrap().faults;
        let fits =
            |(method, part, _): &(&str, &str, Fault)| head.method == *method && path.contains(part);
        faults
            .iter()
            .position(fits)
            .and_then(|index| faults.remove(index))
    };
    match fault {
        Some((_, _, Fault::Close)) => {
            let _ = body.frame().await;
            return Err(io::Error::other("closed by the script"));
        }
        Some((_, _, Fault::Answer(status, header, text))) => {
            let _ = body.collect().await;
            let header = header.map(|(name, value)| (name, value.to_owned()));
            return Ok(reply(
                status,
                header.as_slice(),
                text.as_bytes().to_vec().into(),
            ));
        }
        None => {}
    }
    if head.method == Method::PUT && !head.headers.contains_key("content-length") {
        let _ = body.collect().await;
        return Ok(error(411, "SIZE_INVALID", "a body without its length"));
    }
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let script = script.lock().unwrap().clone();
    if let Some(refusal) = authorize(&script, &host, &path, &head.headers) {
        return Ok(refusal);
    }
    if script.missing_repository && head.method != Method::HEAD {
        return Ok(error(
            404,
            "NAME_UNKNOWN",
            "The repository with name 'shop/api' does not exist",
        ));
    }
    let mut state = state.lock().unwrap();
    let Some(rest) = path.strip_prefix("/v2/shop/api/") else {
        return Ok(error(404, "NAME_UNKNOWN", "no such repository"));
    };
    Ok(if let Some(name) = rest.strip_prefix("manifests/") {
        manifests(&mut state, &script, &head.method, name, &head.headers, body)
    } else if let Some(upload) = rest.strip_prefix("blobs/uploads/") {
        uploads(
            &mut state,
            &script,
            &host,
            &head.method,
            upload,
            &query,
            body,
        )
    } else if let Some(digest) = rest.strip_prefix("blobs/") {
        match state.blobs.get(digest) {
            Some(data) => reply(200, &[], data.clone()),
            None => error(404, "BLOB_UNKNOWN", "no such blob"),
        }
    } else {
        error(404, "NOT_FOUND", "no such path")
    })
}

fn authorize(
    script: &Script,
    host: &str,
    path: &str,
    headers: &HeaderMap,
) -> Option<Response<Full<Bytes>>> {
    let given = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let basic = script.basic.as_ref().map(|basic| format!("Basic {basic}"));
    if path == "/token" {
        return Some(if basic.is_none_or(|basic| basic == given) {
            reply(200, &[], Bytes::from_static(br#"{"token":"t0ken"}"#))
        } else {
            error(401, "UNAUTHORIZED", "wrong password")
        });
    }
    let challenge = if script.bearer {
        (given != "Bearer t0ken").then(|| {
            format!("Bearer realm=\"http://{host}/token\",service=\"{host}\",scope=\"repository:shop/api:pull,push\"")
        })
    } else {
        basic
            .filter(|basic| basic != given)
            .map(|_| "Basic realm=\"x\"".to_owned())
    };
    challenge.map(|challenge| {
        let text = br#"{"errors":[{"code":"UNAUTHORIZED","message":"no basic auth credentials"}]}"#;
        reply(
            401,
            &[("www-authenticate", challenge)],
            Bytes::from_static(text),
        )
    })
}

fn uploads(
    state: &mut State,
    script: &Script,
    host: &str,
    method: &Method,
    upload: &str,
    query: &str,
    body: Bytes,
) -> Response<Full<Bytes>> {
    if method == Method::POST {
        state.sessions += 1;
        let session = format!("session-{}", state.sessions);
        let host = script.upload_host.as_deref().unwrap_or(host);
        let location = if script.relative_location {
            format!("/v2/shop/api/blobs/uploads/{session}")
        } else {
            format!("http://{host}/v2/shop/api/blobs/uploads/{session}?_state=s3cret")
        };
        state.open.push(session);
        return reply(script.post_status, &[("location", location)], Bytes::new());
    }
    let Some(index) = state.open.iter().position(|session| session == upload) else {
        return error(404, "BLOB_UPLOAD_UNKNOWN", "no such session");
    };
    if script.relative_location == query.contains("_state=s3cret") {
        return error(400, "BLOB_UPLOAD_INVALID", "the session's query was lost");
    }
    state.open.remove(index);
    let wanted = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("digest="))
        .unwrap_or_default();
    let digest = Digest::of(&body).to_string();
    if wanted.replace("%3A", ":") != digest {
        return error(400, "DIGEST_INVALID", "the digest is not that of the bytes");
    }
    state.blobs.insert(digest, body);
    reply(script.put_status, &[], Bytes::new())
}

fn manifests(
    state: &mut State,
    script: &Script,
    method: &Method,
    name: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Response<Full<Bytes>> {
    if method != Method::PUT {
        let digest = state
            .tags
            .get(name)
            .cloned()
            .unwrap_or_else(|| name.to_owned());
        let Some((kind, data)) = state.manifests.get(&digest) else {
            return error(404, "MANIFEST_UNKNOWN", "Requested image not found");
        };
        let mut with = vec![("content-type", kind.clone())];
        if !script.no_digest_header {
            with.push(("docker-content-digest", digest));
        }
        return reply(200, &with, data.clone());
    }
    match parts_there(state, &body) {
        Ok(true) => {}
        Ok(false) => return error(404, "MANIFEST_BLOB_UNKNOWN", "a part is missing"),
        Err(problem) => return error(400, "MANIFEST_INVALID", &problem),
    }
    let digest = Digest::of(&body).to_string();
    if name != digest {
        if script.immutable_tags && state.tags.contains_key(name) {
            return error(
                400,
                "TAG_INVALID",
                "the image tag already exists and the tag is immutable",
            );
        }
        state.tags.insert(name.to_owned(), digest.clone());
    }
    let kind = headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    state.manifests.insert(digest, (kind.to_owned(), body));
    // As ECR may: no `Location`.
    reply(201, &[], Bytes::new())
}

/// Whether all that a manifest or index names is there. As ECR wants it, each says itself what it is.
fn parts_there(state: &State, body: &[u8]) -> Result<bool, String> {
    let invalid = |problem: serde_json::Error| problem.to_string();
    let document: serde_json::Value = serde_json::from_slice(body).map_err(invalid)?;
    match document["mediaType"].as_str() {
        Some(image::media_type::INDEX) => {
            let index: image::oci::Index = serde_json::from_slice(body).map_err(invalid)?;
            let mut parts = index.manifests.iter();
            Ok(parts.all(|part| state.manifests.contains_key(part.digest.as_str())))
        }
        Some(image::media_type::MANIFEST) => {
            let manifest: image::oci::Manifest = serde_json::from_slice(body).map_err(invalid)?;
            let mut parts = manifest.layers.iter().chain([&manifest.config]);
            Ok(parts.all(|part| state.blobs.contains_key(part.digest.as_str())))
        }
        _ => Err("a manifest without a media type".to_owned()),
    }
}

fn error(status: u16, code: &str, message: &str) -> Response<Full<Bytes>> {
    let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
    reply(status, &[], body.to_string().into())
}

fn reply(status: u16, headers: &[(&'static str, String)], body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    response
}
