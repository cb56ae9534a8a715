//! AWS Signature Version 4: whether a request was signed with this cloud's own credentials.
//!
//! The local cloud checks signatures although it is alone on its machine, because a client that signs wrongly must fail here and not first in production, and
//! because any page in a browser can send requests to a loopback port.
//!
//! Documented in the IAM user guide, "Create a signed AWS API request".

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::HeaderMap;
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;
use crate::task::Millis;

/// How far the date of a signature may be from now.
const SKEW: Millis = 5 * 60 * 1000;

/// The header of a session token.
const TOKEN: &str = "x-amz-security-token";

/// A request as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Path as sent, percent-encoded.
    pub path: &'a str,
    /// Query as sent, without the question mark.
    pub query: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
}

/// Checks the signature of a request to `service` in `region`, and says who made it.
///
/// `find` gives the secret key and the owner of an access key, which is sent together with a session token when it is a temporary one.
///
/// Errors carry the codes of AWS's JSON services: `MissingAuthenticationTokenException`, `IncompleteSignatureException`, `UnrecognizedClientException` and
/// `InvalidSignatureException`. None of them tells what the signature should have been.
pub fn verify<Owner>(
    request: Received<'_>,
    find: impl FnOnce(&str, Option<&str>) -> Result<(String, Owner), ApiError>,
    region: &str,
    service: &str,
    now: Millis,
) -> Result<Owner, ApiError> {
    let header = request
        .headers
        .get("authorization")
        .ok_or_else(|| error("MissingAuthenticationTokenException", "Missing Authentication Token: the request is not signed. Use the access key that the local cloud exports."))?;
    let authorization = header
        .to_str()
        .ok()
        .and_then(Authorization::parse)
        .ok_or_else(|| error("IncompleteSignatureException", "The Authorization header is not of the form 'AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…'."))?;

    let token = text(request.headers, TOKEN);
    let (secret, owner) = find(authorization.access_key_id, token)?;
    if authorization.region != region {
        return Err(invalid(format!(
            "Credential should be scoped to a valid region: the local cloud is in {region}, the request was signed for {}.",
            authorization.region
        )));
    }
    if authorization.service != service {
        return Err(invalid(format!(
            "Credential should be scoped to correct service: '{service}', not '{}'.",
            authorization.service
        )));
    }

    let date = text(request.headers, "x-amz-date").ok_or_else(|| {
        error(
            "IncompleteSignatureException",
            "The request has no X-Amz-Date header.",
        )
    })?;
    let at = moment(date).ok_or_else(|| {
        error(
            "IncompleteSignatureException",
            format!("X-Amz-Date '{date}' is not of the form 20060102T150405Z."),
        )
    })?;
    if !date.starts_with(authorization.date) {
        return Err(invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.",
        ));
    }
    if at.abs_diff(now) > SKEW {
        return Err(invalid(format!(
            "Signature expired: {date} is more than 5 minutes away from this machine's time."
        )));
    }

    for required in ["host", "x-amz-target", TOKEN] {
        let sent = request.headers.contains_key(required);
        if sent && !authorization.signed_headers().any(|name| name == required) {
            return Err(invalid(format!("The header '{required}' must be signed.")));
        }
    }
    let body = hex::encode(Sha256::digest(request.body));
    if text(request.headers, "x-amz-content-sha256").is_some_and(|stated| stated != body) {
        return Err(invalid(
            "The X-Amz-Content-Sha256 header is not the SHA-256 of the body that was received.",
        ));
    }

    let canonical = canonical_request(request, &authorization, &body);
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{}/{region}/{service}/aws4_request\n{}",
        authorization.date,
        hex::encode(Sha256::digest(canonical.as_bytes()))
    );
    let key = signing_key(&secret, authorization.date, region, service);
    let signature = hex::decode(authorization.signature).unwrap_or_default();
    // `verify_slice` compares in constant time.
    mac(&key, to_sign.as_bytes())
        .verify_slice(&signature)
        .map(|()| owner)
        .map_err(|_| invalid("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method."))
}

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    headers: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let (mut credential, mut headers, mut signature) = (None, None, None);
        for part in header.strip_prefix("AWS4-HMAC-SHA256")?.split(',') {
            match part.trim().split_once('=')? {
                ("Credential", value) => credential = Some(value),
                ("SignedHeaders", value) => headers = Some(value),
                ("Signature", value) => signature = Some(value),
                _ => return None,
            }
        }
        let mut scope = credential?.split('/');
        let (access_key_id, date, region, service, end) = (
            scope.next()?,
            scope.next()?,
            scope.next()?,
            scope.next()?,
            scope.next()?,
        );
        (end == "aws4_request" && scope.next().is_none()).then_some(Self {
            access_key_id,
            date,
            region,
            service,
            headers: headers?,
            signature: signature?,
        })
    }

    fn signed_headers(&self) -> impl Iterator<Item = &'a str> {
        self.headers.split(';')
    }
}

fn canonical_request(
    request: Received<'_>,
    authorization: &Authorization<'_>,
    body: &str,
) -> String {
    let mut out = format!(
        "{}\n{}\n{}\n",
        request.method,
        canonical_path(request.path),
        canonical_query(request.query)
    );
    for name in authorization.signed_headers() {
        let values: Vec<String> = request
            .headers
            .get_all(name)
            .iter()
            .map(|value| {
                let value = String::from_utf8_lossy(value.as_bytes());
                value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect();
        out.push_str(name);
        out.push(':');
        out.push_str(&values.join(","));
        out.push('\n');
    }
    out.push('\n');
    out.push_str(authorization.headers);
    out.push('\n');
    out.push_str(body);
    out
}

/// Every service but S3 signs the path encoded once more than it is sent.
fn canonical_path(path: &str) -> String {
    path.split('/').map(encode).collect::<Vec<_>>().join("/")
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn signing_key(secret: &str, date: &str, region: &str, service: &str) -> Vec<u8> {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [date, region, service, "aws4_request"] {
        key = mac(&key, part.as_bytes()).finalize().into_bytes().to_vec();
    }
    key
}

pub(crate) fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(message);
    mac
}

fn moment(date: &str) -> Option<Millis> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?;
    let time = jiff::tz::TimeZone::UTC.to_timestamp(time).ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn error(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(code, message)
}

fn invalid(message: impl Into<String>) -> ApiError {
    error("InvalidSignatureException", message)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    // The example of AWS's own signature test suite: key, date and region are published with it.
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const NOW: Millis = 1_440_938_160_000;

    fn find(key: &str, token: Option<&str>) -> Result<(String, ()), ApiError> {
        match (key, token) {
            ("AKIDEXAMPLE", None) => Ok((SECRET.to_owned(), ())),
            _ => Err(error("UnrecognizedClientException", "unknown")),
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    /// `get-vanilla` of the test suite.
    const VANILLA: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    /// `post-x-www-form-urlencoded` of the test suite.
    const FORM: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";

    /// What it is, body, header, time, outcome.
    type Case<'a> = (&'a str, &'a [u8], &'a str, Millis, Result<(), &'a str>);

    fn check(
        method: &str,
        body: &[u8],
        extra: &[(&'static str, &str)],
        now: Millis,
    ) -> Result<(), &'static str> {
        let mut all = vec![
            ("host", "example.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ];
        all.extend_from_slice(extra);
        let headers = headers(&all);
        let request = Received {
            method,
            path: "/",
            query: "",
            headers: &headers,
            body,
        };
        verify(request, find, "us-east-1", "service", now).map_err(|error| error.code)
    }

    #[test]
    fn the_published_examples_verify() {
        assert_eq!(
            check("GET", b"", &[("authorization", VANILLA)], NOW),
            Ok(())
        );
        let form = [
            ("authorization", FORM),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        assert_eq!(check("POST", b"Param1=value1", &form, NOW), Ok(()));
    }

    #[test]
    fn what_is_not_rightly_signed_is_refused() {
        let invalid = Err("InvalidSignatureException");
        let cases: [Case<'_>; 6] = [
            ("a body", b"x", VANILLA, NOW, invalid),
            ("too late", b"", VANILLA, NOW + SKEW + 1000, invalid),
            ("too early", b"", VANILLA, NOW - SKEW - 1000, invalid),
            ("just in time", b"", VANILLA, NOW + SKEW, Ok(())),
            (
                "not a header of SigV4",
                b"",
                "Bearer x",
                NOW,
                Err("IncompleteSignatureException"),
            ),
            (
                "another key",
                b"",
                &VANILLA.replace("AKIDEXAMPLE", "AKIDANOTHER"),
                NOW,
                Err("UnrecognizedClientException"),
            ),
        ];
        for (name, body, authorization, now, expected) in cases {
            assert_eq!(
                check("GET", body, &[("authorization", authorization)], now),
                expected,
                "{name}"
            );
        }
        assert_eq!(
            check("POST", b"", &[("authorization", VANILLA)], NOW),
            invalid
        );
        assert_eq!(
            check("GET", b"", &[], NOW),
            Err("MissingAuthenticationTokenException")
        );
        for (from, to) in [
            ("us-east-1", "eu-west-1"),
            ("/service/", "/ecs/"),
            ("20150830/", "20150831/"),
            ("SignedHeaders=host;", "SignedHeaders="),
            ("Signature=5f", "Signature=5e"),
            ("Signature=5f", "Signature=zz"),
        ] {
            let changed = VANILLA.replace(from, to);
            assert_eq!(
                check("GET", b"", &[("authorization", &changed)], NOW),
                invalid,
                "{changed}"
            );
        }
        let session = [("authorization", VANILLA), ("x-amz-security-token", "t")];
        assert_eq!(
            check("GET", b"", &session, NOW),
            Err("UnrecognizedClientException")
        );
        let unsigned_target = [("authorization", VANILLA), ("x-amz-target", "A.B")];
        assert_eq!(check("GET", b"", &unsigned_target, NOW), invalid);
    }

    #[test]
    fn no_error_tells_the_secret() {
        let headers = headers(&[
            ("host", "example.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
            (
                "authorization",
                &VANILLA.replace("Signature=5f", "Signature=00"),
            ),
        ]);
        let request = Received {
            method: "GET",
            path: "/",
            query: "",
            headers: &headers,
            body: b"",
        };
        let error = verify(request, find, "us-east-1", "service", NOW).unwrap_err();
        assert!(!error.to_string().contains(SECRET));
        assert!(!error.to_string().contains("5fa00fa3"));
    }

    #[test]
    fn paths_and_queries_are_made_canonical() {
        assert_eq!(canonical_path("/a%20b/c"), "/a%2520b/c");
        assert_eq!(canonical_query("b=2&a=1+x&a=%2F"), "a=%2F&a=1%20x&b=2");
        assert_eq!(canonical_query("Action=X&flag"), "Action=X&flag=");
    }
}
