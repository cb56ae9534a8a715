//! Header fields that a proxy takes away or adds.

use std::net::SocketAddr;

use hyper::HeaderMap;
use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Removes the fields that belong to one connection: RFC 9110, section 7.6.1.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let always = [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        PROXY_CONNECTION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for name in named.into_iter().chain(always) {
        headers.remove(name);
    }
}

/// Adds who asked and how: Elastic Load Balancing user guide, "HTTP headers and Application Load Balancers".
pub(super) fn add_forwarded(headers: &mut HeaderMap, client: SocketAddr, port: u16) {
    let before = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .fold(String::new(), |list, value| list + value + ", ");
    for (name, value) in [
        (FORWARDED_FOR, format!("{before}{}", client.ip())),
        (FORWARDED_PROTO, "http".to_owned()),
        (FORWARDED_PORT, port.to_string()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|&(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn fields_of_one_connection_go() {
        let mut headers = map(&[
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("host", "a"),
            ("upgrade", "h2c"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("host", "a")]));
    }

    #[test]
    fn the_client_is_added_to_those_before() {
        let mut headers = map(&[("x-forwarded-for", "10.0.0.1"), ("x-forwarded-port", "1")]);
        add_forwarded(&mut headers, ([127, 0, 0, 1], 5000).into(), 8080);
        assert_eq!(
            headers,
            map(&[
                ("x-forwarded-for", "10.0.0.1, 127.0.0.1"),
                ("x-forwarded-port", "8080"),
                ("x-forwarded-proto", "http"),
            ])
        );
    }
}
