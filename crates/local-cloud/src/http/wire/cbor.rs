//! Smithy's RPC v2 with CBOR, which CloudWatch's clients speak: the operation in the path, values as CBOR.
//!
//! Documented in the Smithy 2.0 specification, "Smithy RPC v2 CBOR protocol".

use ciborium::Value as Cbor;
use serde_json::{Map, Number, Value};

use super::query::is_time;
use crate::error::ApiError;

/// The value of the header `smithy-protocol` that every answer carries.
pub(super) const PROTOCOL: &str = "rpc-v2-cbor";
/// The media type.
pub(super) const TYPE: &str = "application/cbor";
/// A point in time: seconds since the epoch.
const EPOCH: u64 = 1;

/// Service and operation of a path such as `/service/GraniteServiceVersion20100801/operation/DescribeAlarms`.
pub(super) fn route(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("/service/")?.split_once("/operation/")
}

/// A request's members.
pub(super) fn request(body: &[u8]) -> Result<Value, ApiError> {
    let broken = |why: String| {
        ApiError::new(
            "SerializationException",
            format!("The request is not CBOR: {why}."),
        )
    };
    let value: Cbor = ciborium::from_reader(body).map_err(|error| broken(error.to_string()))?;
    from(value).ok_or_else(|| broken("it holds a value that no request has".to_owned()))
}

fn from(value: Cbor) -> Option<Value> {
    Some(match value {
        Cbor::Null => Value::Null,
        Cbor::Bool(flag) => flag.into(),
        Cbor::Integer(number) => i64::try_from(number).ok()?.into(),
        Cbor::Float(number) => Number::from_f64(number)?.into(),
        Cbor::Text(text) => text.into(),
        Cbor::Tag(EPOCH, inner) => from(*inner)?,
        Cbor::Array(items) => items
            .into_iter()
            .map(from)
            .collect::<Option<Vec<_>>>()?
            .into(),
        Cbor::Map(members) => members
            .into_iter()
            .map(|(name, value)| Some((name.into_text().ok()?, from(value)?)))
            .collect::<Option<Map<_, _>>>()?
            .into(),
        _ => return None,
    })
}

/// The bytes of an answer.
pub(super) fn answer(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing to memory fails for values that cannot be written, and none is made here.
    if let Err(error) = ciborium::into_writer(&to("", value), &mut out) {
        tracing::error!(%error, "an answer could not be written as CBOR");
    }
    out
}

fn to(name: &str, value: &Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(flag) => Cbor::Bool(*flag),
        Value::Number(number) => {
            let float = number.as_f64().unwrap_or_default();
            if is_time(name) {
                Cbor::Tag(EPOCH, Box::new(Cbor::Float(float)))
            } else {
                number
                    .as_i64()
                    .map_or(Cbor::Float(float), |whole| Cbor::Integer(whole.into()))
            }
        }
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Array(items) => Cbor::Array(items.iter().map(|item| to(name, item)).collect()),
        Value::Object(members) => Cbor::Map(
            members
                .iter()
                .map(|(name, value)| (Cbor::Text(name.clone()), to(name, value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_go_out_and_come_back() {
        let value = json!({"Names": ["a"], "Threshold": 5.5, "Period": 60, "Flag": true, "None": null, "StateUpdatedTimestamp": 1.5});
        assert_eq!(request(&answer(&value)).unwrap(), value);
        // {"StateUpdatedTimestamp": 1(1.5)}
        let time = answer(&json!({"StateUpdatedTimestamp": 1.5}));
        assert!(time.windows(2).any(|two| two == [0xc1, 0xf9]), "{time:x?}");
        assert!(request(b"\xff").is_err());
        assert!(request(&[0x41, 0x00]).is_err(), "bytes are in no request");
    }

    #[test]
    fn paths_name_the_operation() {
        assert_eq!(
            route("/service/Granite/operation/DescribeAlarms"),
            Some(("Granite", "DescribeAlarms"))
        );
        assert_eq!(route("/"), None);
    }
}
