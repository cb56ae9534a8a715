//! The query protocol: a form goes in, XML comes out.
//!
//! Lists travel as `Names.member.1=…`, structures as `Tags.member.1.Key=…`. Times are written as ISO 8601, and told apart from other numbers by their members' names, which end
//! alike in all services that are here.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::services::Service;
use crate::sigv4::Received;

/// One member of the form.
pub(super) fn parameter(received: Received<'_>, wanted: &str) -> Option<String> {
    pairs(received)
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value)
}

/// Names and values, from the body and from the address.
fn pairs(received: Received<'_>) -> impl Iterator<Item = (String, String)> + '_ {
    url::form_urlencoded::parse(received.body)
        .chain(url::form_urlencoded::parse(received.query.as_bytes()))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
}

/// The form as a value: every leaf is a string.
pub(super) fn request(received: Received<'_>) -> Value {
    let mut root = Value::Object(Map::new());
    for (name, value) in pairs(received) {
        if name != "Action" && name != "Version" {
            let path: Vec<&str> = name.split('.').collect();
            put(&mut root, &path, value);
        }
    }
    lists(root)
}

/// Puts a value where its path leads; what contradicts an earlier member replaces it.
fn put(at: &mut Value, path: &[&str], value: String) {
    let Some((first, rest)) = path.split_first() else {
        *at = Value::String(value);
        return;
    };
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    if let Value::Object(members) = at {
        let inner = members.entry(*first).or_insert(Value::Null);
        put(inner, rest, value);
    }
}

/// Turns `{"member": {"1": a, "2": b}}` into `[a, b]`.
fn lists(value: Value) -> Value {
    let Value::Object(mut members) = value else {
        return value;
    };
    if members.len() == 1
        && let Some(Value::Object(items)) = members.get_mut("member")
    {
        let mut numbered: Vec<(usize, Value)> = std::mem::take(items)
            .into_iter()
            .filter_map(|(number, item)| Some((number.parse().ok()?, lists(item))))
            .collect();
        numbered.sort_by_key(|(number, _)| *number);
        return numbered.into_iter().map(|(_, item)| item).collect();
    }
    let members = members.into_iter();
    members
        .map(|(name, inner)| (name, lists(inner)))
        .collect::<Map<_, _>>()
        .into()
}

/// The document of a good answer. Without a result there is no element for one.
pub(super) fn answer(service: Service, operation: &str, value: &Value, id: &str) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        r#"<{operation}Response xmlns="{}">"#,
        namespace(service)
    );
    if !value.is_null() {
        let _ = write!(out, "<{operation}Result>");
        element(&mut out, "", value);
        let _ = write!(out, "</{operation}Result>");
    }
    let _ = write!(
        out,
        "<ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{operation}Response>"
    );
    out
}

/// Writes what is inside the element `name`.
fn element(out: &mut String, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => {
            let _ = write!(out, "{flag}");
        }
        Value::Number(number) => match number.as_f64() {
            Some(seconds) if is_time(name) => out.push_str(&time(seconds)),
            _ => {
                let _ = write!(out, "{number}");
            }
        },
        Value::String(text) => out.push_str(&escape(text)),
        Value::Array(items) => {
            for item in items {
                out.push_str("<member>");
                element(out, name, item);
                out.push_str("</member>");
            }
        }
        Value::Object(members) => {
            for (name, inner) in members.iter().filter(|(_, inner)| !inner.is_null()) {
                let _ = write!(out, "<{name}>");
                element(out, name, inner);
                let _ = write!(out, "</{name}>");
            }
        }
    }
}

/// Whether a number in a member of this name is a time.
pub(super) fn is_time(name: &str) -> bool {
    ["Time", "Timestamp", "Date", "Expiration"]
        .iter()
        .any(|end| name.ends_with(end))
}

fn time(seconds: f64) -> String {
    let since = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let at = u64::try_from(since.as_millis()).unwrap_or_default();
    crate::place::rfc3339(at)
}

/// The document of an error.
pub(super) fn error(service: Service, error: &ApiError, id: &str) -> String {
    failure(&format!(r#" xmlns="{}""#, namespace(service)), error, id)
}

/// The document of an error of a service that is not here, known by the version that was asked for only. EC2 has a form of its own.
pub(super) fn unknown(version: Option<&str>, error: &ApiError, id: &str) -> String {
    const EC2: &str = "2016-11-15";
    if version == Some(EC2) {
        let message = escape(&error.message);
        return format!(
            "<Response><Errors><Error><Code>{}</Code><Message>{message}</Message></Error></Errors><RequestID>{id}</RequestID></Response>",
            error.code
        );
    }
    failure("", error, id)
}

fn failure(namespace: &str, error: &ApiError, id: &str) -> String {
    let side = if error.status >= 500 {
        "Receiver"
    } else {
        "Sender"
    };
    format!(
        concat!(
            "<ErrorResponse{namespace}>",
            "<Error><Type>{side}</Type><Code>{code}</Code><Message>{message}</Message></Error>",
            "<RequestId>{id}</RequestId></ErrorResponse>",
        ),
        namespace = namespace,
        side = side,
        code = error.code,
        message = escape(&error.message),
        id = id,
    )
}

/// The names that the JSON services have for why a caller is refused, and those of the query protocol.
const CODES: [(&str, &str); 6] = [
    ("UnrecognizedClientException", "InvalidClientTokenId"),
    ("InvalidSignatureException", "SignatureDoesNotMatch"),
    (
        "MissingAuthenticationTokenException",
        "MissingAuthenticationToken",
    ),
    ("IncompleteSignatureException", "IncompleteSignature"),
    ("ExpiredTokenException", "ExpiredToken"),
    ("AccessDeniedException", "AccessDenied"),
];

/// A refusal in this protocol: another name, and 403 where the JSON protocol has 400.
pub(super) fn refusal(mut error: ApiError) -> ApiError {
    if let Some((_, code)) = CODES.iter().find(|(json, _)| *json == error.code) {
        error.code = code;
        error.status = 403;
    }
    error
}

fn namespace(service: Service) -> String {
    let names = service.names();
    let host = match names.version {
        Some("2015-12-01" | "2010-08-01") => format!("http://{}", names.signing),
        _ => format!("https://{}", names.signing),
    };
    format!(
        "{host}.amazonaws.com/doc/{}/",
        names.version.unwrap_or_default()
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use serde_json::json;

    use super::*;

    #[test]
    fn forms_become_values() {
        let headers = HeaderMap::new();
        let received = Received {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
            body: b"Action=X&Version=1&Names.member.2=b&Names.member.1=a&Names.member.10=c&Tags.member.1.Key=k%26&Deep.Inner=1",
        };
        assert_eq!(
            request(received),
            json!({"Names": ["a", "b", "c"], "Tags": [{"Key": "k&"}], "Deep": {"Inner": "1"}})
        );
        assert_eq!(parameter(received, "Action").as_deref(), Some("X"));
    }

    #[test]
    fn answers_become_xml() {
        let value = json!({"Arn": "a<b", "Empty": [], "None": null, "List": [{"N": 1, "CreateDate": 1.5}, {"N": 2.5}], "Flag": true});
        assert_eq!(
            answer(Service::Sts, "Get", &value, "id"),
            concat!(
                r#"<GetResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetResult>"#,
                "<Arn>a&lt;b</Arn><Empty></Empty><List><member><N>1</N><CreateDate>1970-01-01T00:00:01.500Z</CreateDate></member>",
                "<member><N>2.5</N></member></List><Flag>true</Flag></GetResult>",
                "<ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></GetResponse>",
            )
        );
        assert!(!answer(Service::Sts, "Set", &Value::Null, "id").contains("SetResult"));
    }

    #[test]
    fn an_unknown_service_is_told_in_xml() {
        let refused = ApiError::new("InvalidAction", "There is no <such> service.");
        assert_eq!(
            unknown(Some("2010-12-01"), &refused, "id"),
            "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>There is no &lt;such&gt; service.</Message></Error><RequestId>id</RequestId></ErrorResponse>"
        );
        let ec2 = unknown(Some("2016-11-15"), &refused, "id");
        assert!(
            ec2.starts_with("<Response><Errors><Error><Code>InvalidAction</Code>"),
            "{ec2}"
        );
    }
}
