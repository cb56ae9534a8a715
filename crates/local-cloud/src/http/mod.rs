//! The one port: AWS's APIs at `/`, the registry at `/v2/`, its blobs at `/_blobs/`, the issuer's public key at `/.well-known/`, the project's own client at `/_local/`.

mod admin;
mod answer;
mod api;
mod blobs;
mod record;
mod registry;
mod stream;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;

use crate::daemon::Daemon;
use crate::daemon::cloud::now;
use crate::ecr::link;
use crate::issuer;
use stream::Stream;

/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_mins(1);
/// How long requests under way may take when the server closes.
const GRACE: Duration = Duration::from_secs(2);

/// Serves until `stop` ends, then lets the requests under way end.
pub(crate) async fn serve(
    listener: TcpListener,
    daemon: Arc<Daemon>,
    stop: impl Future<Output = ()>,
) {
    let connections = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: others must end before there can be new ones.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        // Answers are small and should not wait for each other.
        let _ = stream.set_nodelay(true);
        let daemon = Arc::clone(&daemon);
        let stream = Stream::new(stream);
        let reset = stream.reset();
        let service = service_fn(move |request| {
            let (daemon, reset) = (Arc::clone(&daemon), reset.clone());
            async move {
                let answer = route(&daemon, request).await;
                if answer.extensions().get::<answer::Broken>().is_some() {
                    return Err(reset.order());
                }
                Ok(dated(&daemon, answer))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke off");
            }
        });
    }
    drop(listener);
    let ended = tokio::time::timeout(GRACE, connections.shutdown()).await;
    if ended.is_err() {
        tracing::debug!("requests were still under way");
    }
}

async fn route(
    daemon: &Arc<Daemon>,
    request: hyper::Request<hyper::body::Incoming>,
) -> answer::Answer {
    let path = request.uri().path();
    if path == "/v2" || path.starts_with("/v2/") {
        registry::handle(&daemon.cloud, request).await
    } else if path.starts_with(link::PATH) {
        blobs::handle(&daemon.cloud, request).await
    } else if path == "/.well-known/openid-configuration" {
        answer::json(200, &issuer::discovery(&daemon.cloud.place.endpoint()))
    } else if path == "/.well-known/jwks" {
        answer::json(200, &daemon.cloud.issuer.keys())
    } else if path.starts_with("/_local/") {
        admin::handle(daemon, request).await
    } else {
        api::handle(&daemon.cloud, request).await
    }
}

/// Puts the date of a clock that is made wrong into the answer; clients set theirs by it.
fn dated(daemon: &Daemon, answer: answer::Answer) -> answer::Answer {
    let now = now();
    let skewed = daemon.cloud.skewed(now);
    if skewed == now {
        return answer;
    }
    let date = i64::try_from(skewed).ok();
    let date = date.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    match date {
        Some(date) => {
            let text = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            answer::with(answer, "date", &text)
        }
        None => answer,
    }
}
