//! Reading a request's members, with the errors that AWS answers to what it cannot read.

use serde_json::{Map, Value};

use super::Result;
use crate::error::ApiError;
use crate::task::Millis;

/// The code for a parameter that is missing or out of range.
pub(super) const INVALID: &str = "InvalidParameterException";
/// The code for most of what else a caller does wrong.
pub(super) const CLIENT: &str = "ClientException";

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(INVALID, message)
}

pub(super) fn client(message: impl Into<String>) -> ApiError {
    ApiError::new(CLIENT, message)
}

/// A JSON value of another type than the member's.
pub(super) fn serialization(value: &Value, wanted: &str) -> ApiError {
    let message = match value {
        Value::Object(_) => "Start of structure or map found where not expected.".to_owned(),
        Value::Array(_) => "Start of list found where not expected.".to_owned(),
        _ if wanted == "list" => "Expected list or null".to_owned(),
        _ if wanted == "structure" => "Expected structure or null".to_owned(),
        Value::Null => format!("NULL_VALUE can not be converted to {wanted}"),
        Value::Bool(true) => format!("TRUE_VALUE can not be converted to {wanted}"),
        Value::Bool(false) => format!("FALSE_VALUE can not be converted to {wanted}"),
        Value::Number(_) => format!("NUMBER_VALUE can not be converted to {wanted}"),
        Value::String(_) => format!("STRING_VALUE can not be converted to {wanted}"),
    };
    ApiError::new("SerializationException", message)
}

/// A value outside an enumeration.
pub(super) fn not_among(value: &str, path: &str, allowed: &[&str]) -> ApiError {
    invalid(format!(
        "1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
        allowed.join(", ")
    ))
}

/// The members of a request or of a structure in it. A member that is null counts as absent, one that nobody asks for is ignored, as AWS does.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    members: &'a Map<String, Value>,
}

impl<'a> Request<'a> {
    pub(super) fn of(value: &'a Value) -> Result<Self> {
        match value {
            Value::Object(members) => Ok(Self { members }),
            other => Err(serialization(other, "structure")),
        }
    }

    /// A structure that is already one.
    pub(super) fn of_members(members: &'a Map<String, Value>) -> Self {
        Self { members }
    }

    /// All members.
    pub(super) fn members(self) -> &'a Map<String, Value> {
        self.members
    }

    /// The member as it stands.
    pub(super) fn value(self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(self, name: &str) -> Result<Option<&'a str>> {
        self.value(name).map(text).transpose()
    }

    /// A string that must be there and not be empty.
    pub(super) fn required(self, name: &str) -> Result<&'a str> {
        self.text(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| invalid(format!("{} cannot be empty.", capital(name))))
    }

    /// One string of an enumeration.
    pub(super) fn choice(self, name: &str, allowed: &[&str]) -> Result<Option<&'a str>> {
        match self.text(name)? {
            Some(text) if !allowed.contains(&text) => Err(not_among(text, name, allowed)),
            other => Ok(other),
        }
    }

    /// A whole number within bounds.
    pub(super) fn count(self, name: &str, least: u64, most: u64) -> Result<Option<u64>> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        if !value.is_i64() && !value.is_u64() {
            return Err(serialization(value, "an Integer"));
        }
        value
            .as_u64()
            .filter(|count| (least..=most).contains(count))
            .map(Some)
            .ok_or_else(|| {
                invalid(format!(
                    "{name} must be between {least} and {most}, not {value}."
                ))
            })
    }

    pub(super) fn flag(self, name: &str) -> Result<Option<bool>> {
        self.value(name)
            .map(|value| {
                value
                    .as_bool()
                    .ok_or_else(|| serialization(value, "Boolean"))
            })
            .transpose()
    }

    /// The members of a list; none when the list is absent.
    pub(super) fn list(self, name: &str) -> Result<&'a [Value]> {
        match self.value(name) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(other) => Err(serialization(other, "list")),
        }
    }

    pub(super) fn texts(self, name: &str) -> Result<Vec<&'a str>> {
        self.list(name)?.iter().map(text).collect()
    }

    /// A list of structures.
    pub(super) fn structures(self, name: &str) -> Result<Vec<Request<'a>>> {
        self.list(name)?.iter().map(Request::of).collect()
    }

    pub(super) fn structure(self, name: &str) -> Result<Option<Request<'a>>> {
        self.value(name).map(Request::of).transpose()
    }

    /// A point in time, which the wire holds as seconds with a fraction.
    pub(super) fn time(self, name: &str) -> Result<Option<Millis>> {
        self.value(name)
            .map(|value| {
                value
                    .as_f64()
                    .and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok())
                    .and_then(|since| Millis::try_from(since.as_millis()).ok())
                    .ok_or_else(|| serialization(value, "a Timestamp"))
            })
            .transpose()
    }

    /// Whether a list such as `include` names `field`.
    pub(super) fn includes(self, field: &str) -> Result<bool> {
        Ok(self.texts("include")?.contains(&field))
    }
}

fn text(value: &Value) -> Result<&str> {
    value
        .as_str()
        .ok_or_else(|| serialization(value, "a String"))
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
