//! What a client is shown: a JSON value, parts of which belong to the model as well.
//!
//! An answer about a service has up to a hundred events in it, which never change. Such parts are shared, so that an answer costs what is new in it.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// A JSON value in parts.
#[derive(Clone, Debug)]
pub enum View {
    /// A part of its own.
    Own(Value),
    /// A part that the model has, too.
    Shared(Arc<Value>),
    /// An array.
    List(Vec<View>),
    /// An object, its members in this order.
    Object(Vec<(String, View)>),
}

impl View {
    /// An object of these members.
    pub(crate) fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        let members = members.map(|(name, value)| (name.to_owned(), value));
        Self::Object(members.into())
    }

    /// The value at a JSON pointer (RFC 6901, without its escapes), unless it is one in parts.
    pub fn pointer(&self, pointer: &str) -> Option<&Value> {
        let (name, rest) = match self {
            Self::Own(value) => return value.pointer(pointer),
            Self::Shared(value) => return value.pointer(pointer),
            Self::List(_) | Self::Object(_) => {
                let path = pointer.strip_prefix('/')?;
                let end = path.find('/').unwrap_or(path.len());
                path.split_at(end)
            }
        };
        match self {
            Self::List(items) => items.get(name.parse::<usize>().ok()?)?.pointer(rest),
            Self::Object(members) => {
                let (_, member) = members.iter().find(|(known, _)| known == name)?;
                member.pointer(rest)
            }
            Self::Own(_) | Self::Shared(_) => None,
        }
    }

    /// In one part.
    pub(crate) fn value(&self) -> Cow<'_, Value> {
        match self {
            Self::Own(value) => Cow::Borrowed(value),
            Self::Shared(value) => Cow::Borrowed(value),
            Self::List(_) | Self::Object(_) => Cow::Owned(self.clone().into()),
        }
    }
}

impl From<Value> for View {
    fn from(value: Value) -> Self {
        Self::Own(value)
    }
}

impl From<View> for Value {
    fn from(view: View) -> Self {
        match view {
            View::Own(value) => value,
            View::Shared(value) => Arc::unwrap_or_clone(value),
            View::List(items) => items.into_iter().map(Self::from).collect(),
            View::Object(members) => members
                .into_iter()
                .map(|(name, value)| (name, Self::from(value)))
                .collect(),
        }
    }
}

impl Serialize for View {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Own(value) => value.serialize(serializer),
            Self::Shared(value) => value.serialize(serializer),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view() -> View {
        let shared = || View::Shared(Arc::new(json!({"id": 7})));
        View::object([
            ("zeal", json!([1, {"a": null}]).into()),
            ("events", View::List(vec![shared(), json!("text").into()])),
            ("alone", shared()),
        ])
    }

    #[test]
    fn in_parts_it_is_written_as_in_one() {
        let text = r#"{"zeal":[1,{"a":null}],"events":[{"id":7},"text"],"alone":{"id":7}}"#;
        assert_eq!(serde_json::to_string(&view()).unwrap(), text);
        assert_eq!(view().value().to_string(), text);
        assert_eq!(Value::from(view()).to_string(), text);
    }

    #[test]
    fn a_pointer_goes_through_all_kinds_of_parts() {
        let found = |pointer: &str| view().pointer(pointer).cloned();
        assert_eq!(found("/zeal/1"), Some(json!({"a": null})));
        assert_eq!(found("/events/0/id"), Some(json!(7)));
        assert_eq!(found("/alone"), Some(json!({"id": 7})));
        for nowhere in ["/events/2/id", "/none", "/zeal/x", "events", ""] {
            assert_eq!(found(nowhere), None, "{nowhere}");
        }
    }
}
