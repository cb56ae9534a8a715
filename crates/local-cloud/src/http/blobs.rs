//! Where the bytes of blobs lie: at signed addresses beside the registry, as S3 has them for ECR.

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, RANGE};
use hyper::{Method, Request};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::answer::{self, Answer, with};
use crate::daemon::cloud::{Cloud, now};
use crate::ecr::link::{self, Refused};

/// An error as S3 says it.
fn refused(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"#
    );
    answer::bytes(status, "application/xml", body)
}

/// Answers a request below [`link::PATH`].
pub(super) async fn handle(cloud: &Cloud, request: Request<Incoming>) -> Answer {
    if request.headers().contains_key(AUTHORIZATION) {
        return refused(
            400,
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified",
        );
    }
    let path = request.uri().path();
    let digest = path.strip_prefix(link::PATH).unwrap_or_default();
    let query = request.uri().query().unwrap_or_default();
    let parameter = |wanted: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let found = pairs.find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.into_owned())
    };
    let (end, proof) = (parameter("Expires"), parameter("Signature"));
    let secret = &cloud.instance.secret_access_key;
    let good = link::check(secret, digest, end.as_deref(), proof.as_deref(), now());
    match good {
        // The method is part of what is signed.
        Ok(()) if request.method() == Method::GET => {}
        Err(Refused::Expired) => return refused(403, "AccessDenied", "Request has expired"),
        Ok(()) | Err(Refused::Unsigned) => {
            return refused(
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
            );
        }
    }
    let range = request.headers().get(RANGE);
    let range = range.and_then(|range| range.to_str().ok());
    match read(cloud, digest, range).await {
        Ok(answer) => with(answer, "accept-ranges", "bytes"),
        Err(error) => {
            tracing::warn!(%error, digest, "a blob cannot be read");
            refused(404, "NoSuchKey", "The specified key does not exist.")
        }
    }
}

async fn read(cloud: &Cloud, digest: &str, range: Option<&str>) -> std::io::Result<Answer> {
    let path = cloud.blobs.path(digest);
    let path = path.ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut file = tokio::fs::File::open(path).await?;
    let size = file.metadata().await?.len();
    match range.map_or(Part::Whole, |range| part(range, size)) {
        Part::Whole => Ok(answer::file(file, size)),
        Part::Nothing => {
            let answer = refused(
                416,
                "InvalidRange",
                "The requested range is not satisfiable",
            );
            Ok(with(answer, "content-range", &format!("bytes */{size}")))
        }
        Part::Bytes(first, last) => {
            file.seek(std::io::SeekFrom::Start(first)).await?;
            let length = last - first + 1;
            let mut answer = answer::file(file.take(length), length);
            *answer.status_mut() = hyper::StatusCode::PARTIAL_CONTENT;
            let stated = format!("bytes {first}-{last}/{size}");
            Ok(with(answer, "content-range", &stated))
        }
    }
}

/// What a range asks for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// Everything: what is not one range of bytes is not heeded.
    Whole,
    /// From the first byte to the last, both included.
    Bytes(u64, u64),
    /// There is nothing there.
    Nothing,
}

fn part(range: &str, size: u64) -> Part {
    let Some((first, last)) = range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Part::Whole;
    };
    if first.is_empty() {
        return match last.parse::<u64>() {
            Ok(length) if length > 0 && size > 0 => {
                Part::Bytes(size.saturating_sub(length), size - 1)
            }
            Ok(_) => Part::Nothing,
            Err(_) => Part::Whole,
        };
    }
    let end = if last.is_empty() {
        Ok(u64::MAX)
    } else {
        last.parse()
    };
    match (first.parse::<u64>(), end) {
        (Ok(first), Ok(last)) if first > last => Part::Whole,
        (Ok(first), Ok(_)) if first >= size => Part::Nothing,
        (Ok(first), Ok(last)) => Part::Bytes(first, last.min(size - 1)),
        _ => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, part};

    #[test]
    fn ranges() {
        let cases = [
            ("bytes=0-3", Part::Bytes(0, 3)),
            ("bytes=4-", Part::Bytes(4, 9)),
            ("bytes=4-99", Part::Bytes(4, 9)),
            ("bytes=-3", Part::Bytes(7, 9)),
            ("bytes=-30", Part::Bytes(0, 9)),
            ("bytes=10-", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            ("bytes=3-2", Part::Whole),
            ("bytes=1-2,4-5", Part::Whole),
            ("items=1-2", Part::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(part(range, 10), expected, "{range}");
        }
    }
}
