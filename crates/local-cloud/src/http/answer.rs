//! Answers of the server.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What the server sends.
pub(crate) type Answer = Response<BoxBody<Bytes, io::Error>>;

/// How much of a file is read at a time.
const CHUNK: usize = 256 << 10;

/// An answer with a body of this type.
pub(crate) fn bytes(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).map_err(|never| match never {});
    let mut answer = Response::new(body.boxed());
    *answer.status_mut() = status_of(status);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// An answer without a body.
pub(crate) fn empty(status: u16) -> Answer {
    let mut answer = bytes(status, "", Bytes::new());
    answer.headers_mut().remove(CONTENT_TYPE);
    answer
}

/// Marks an answer that is not sent: the connection is reset instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Broken;

/// No answer at all.
pub(crate) fn broken() -> Answer {
    let mut answer = empty(500);
    answer.extensions_mut().insert(Broken);
    answer
}

/// A JSON answer.
pub(crate) fn json(status: u16, body: &Value) -> Answer {
    bytes(status, "application/json", body.to_string())
}

/// A file, or a part of one, of a known size.
pub(crate) fn file(file: impl AsyncRead + Send + Sync + Unpin + 'static, size: u64) -> Answer {
    let frames = stream::try_unfold(file, |mut file| async move {
        let mut chunk = Vec::with_capacity(CHUNK);
        file.read_buf(&mut chunk).await?;
        Ok::<_, io::Error>((!chunk.is_empty()).then(|| (Frame::data(Bytes::from(chunk)), file)))
    });
    let mut answer = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_LENGTH, size.into());
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    answer
}

/// The same answer with one more header; one that cannot be written is left out.
pub(crate) fn with(mut answer: Answer, name: &'static str, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        let name = HeaderName::from_static(name);
        answer.headers_mut().insert(name, value);
    }
    answer
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
