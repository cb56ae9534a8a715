//! The load balancer's health check of a target.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use crate::runner::Dial;

/// Asks for `path` once and answers the status; the body is not waited for.
pub(super) async fn probe(
    dial: &Dial,
    port: u16,
    path: &str,
    timeout: Duration,
) -> Result<u16, String> {
    tokio::time::timeout(timeout, ask(dial, port, path))
        .await
        .unwrap_or_else(|_| Err("request timed out".to_owned()))
}

async fn ask(dial: &Dial, port: u16, path: &str) -> Result<u16, String> {
    let stream = dial.connect().await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut => "request timed out".to_owned(),
        _ => format!("connection failed: {error}"),
    })?;
    let closed = |error: hyper::Error| {
        if error.is_parse() {
            "the answer is not HTTP".to_owned()
        } else {
            "connection closed before an answer".to_owned()
        }
    };
    let (mut connection, job) = handshake(TokioIo::new(stream)).await.map_err(closed)?;
    let request = Request::get(path)
        .header(HOST, format!("127.0.0.1:{port}"))
        .header(USER_AGENT, "ELB-HealthChecker/2.0")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| format!("{path} is not a path"))?;
    // The connection works only while it is polled; it goes with this set.
    let mut jobs = JoinSet::new();
    jobs.spawn(job);
    let answer = connection.send_request(request).await.map_err(closed)?;
    Ok(answer.status().as_u16())
}
