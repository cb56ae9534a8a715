//! Tags of resources, as most services write them: a list of `{"Key": …, "Value": …}`. ECS writes its members small, CloudWatch Logs a map.

use serde::Deserialize;
use serde_json::{Value, json};

/// A tag in a request.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// The tags of a list, as far as they are whole.
pub(crate) fn read(list: &Value) -> impl Iterator<Item = (String, String)> + '_ {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|tag| {
        let text = |member: &str| tag[member].as_str().map(str::to_owned);
        Some((text("Key")?, text("Value")?))
    })
}

/// Pairs of names and values as a list.
pub(crate) fn listed<K: AsRef<str>, V: AsRef<str>>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> Vec<Value> {
    let pairs = pairs.into_iter();
    pairs
        .map(|(key, value)| json!({"Key": key.as_ref(), "Value": value.as_ref()}))
        .collect()
}
