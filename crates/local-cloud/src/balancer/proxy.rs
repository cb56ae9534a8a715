//! From a client's request to a target's answer.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, SERVER};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Group;
use super::headers::{add_forwarded, remove_hop_by_hop};
use super::target::{Relay, Use};

/// How long a target may be silent: the idle timeout of an Application Load Balancer.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// Serves the group's clients until it is dropped, with all connections.
pub(super) async fn serve(listener: TcpListener, group: Arc<Group>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => {
                    connections.spawn(serve_client(stream, client, Arc::clone(&group)));
                }
                // Out of file descriptors, most likely: wait for some to be closed.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_client(stream: TcpStream, client: SocketAddr, group: Arc<Group>) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // Fails only on a socket that is gone, which the server notices too.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let group = Arc::clone(&group);
        async move { Ok::<_, Infallible>(relay(&group, request, client, local.port()).await) }
    });
    // The client went away, or did not speak HTTP.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn relay(
    group: &Group,
    request: Request<Incoming>,
    client: SocketAddr,
    port: u16,
) -> Response<Relay> {
    let Some(used) = group.choose() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE);
    };
    let (mut parts, body) = request.into_parts();
    let Some(()) = rewrite(&mut parts, client, port) else {
        return plain(StatusCode::BAD_REQUEST);
    };
    match tokio::time::timeout(IDLE_TIMEOUT, send(used, parts, body)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
            plain(StatusCode::GATEWAY_TIMEOUT)
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a target failed");
            plain(StatusCode::BAD_GATEWAY)
        }
        Err(_) => plain(StatusCode::GATEWAY_TIMEOUT),
    }
}

/// The request as the target gets it; `None` when it names no host.
fn rewrite(parts: &mut Parts, client: SocketAddr, port: u16) -> Option<()> {
    remove_hop_by_hop(&mut parts.headers);
    add_forwarded(&mut parts.headers, client, port);
    parts.version = Version::HTTP_11;
    if let Some(authority) = parts.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str()).ok()?;
        parts.headers.insert(HOST, host);
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse::<Uri>().ok()?;
    parts.headers.contains_key(HOST).then_some(())
}

/// Sends the request, on a connection used before if there is one. Such a connection may have been closed by the target in the meantime: then the request goes out on a new
/// one, if nothing of it was sent, or if it may be repeated (RFC 9110, section 9.2.2) and has no body.
async fn send(used: Use, parts: Parts, body: Incoming) -> io::Result<Response<Relay>> {
    let repeatable = (parts.method.is_idempotent() && body.is_end_stream()).then(|| parts.clone());
    let mut request = Request::from_parts(parts, body.boxed());
    let mut fresh = false;
    loop {
        let (mut connection, reused) = used.connection(fresh).await?;
        // Fails on a closed connection, as does the next step.
        let _ = connection.ready().await;
        match connection.try_send_request(request).await {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                remove_hop_by_hop(&mut parts.headers);
                let body = used.answer(body, connection);
                return Ok(Response::from_parts(parts, body.boxed()));
            }
            Err(mut error) => {
                let again = error.take_message().or_else(|| {
                    let parts = repeatable.clone()?;
                    Some(Request::from_parts(parts, no_body()))
                });
                match again {
                    Some(again) if reused => {
                        request = again;
                        fresh = true;
                    }
                    _ => return Err(io::Error::other(error.into_error())),
                }
            }
        }
    }
}

fn no_body() -> Relay {
    Empty::<Bytes>::new()
        .map_err(|never| match never {})
        .boxed()
}

/// An answer of the balancer itself, in the form an Application Load Balancer gives it.
fn plain(status: StatusCode) -> Response<Relay> {
    let reason = status.canonical_reason().unwrap_or("");
    let text = format!(
        "<html>\r\n<head><title>{0} {reason}</title></head>\r\n<body><center><h1>{0} {reason}</h1></center></body>\r\n</html>\r\n",
        status.as_u16()
    );
    let body = Full::new(Bytes::from(text));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("awselb/2.0"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}
