//! The documents of an image: configuration, manifest and index, as the OCI image specification (v1.1) defines them.
//!
//! They are written as compact JSON with members in the order of these structs and maps sorted, so the same values
//! always give the same bytes. Reading is lenient towards unknown and null members, as the specification asks:
//! the documents of base images are made by others.
#![expect(
    clippy::zero_sized_map_values,
    reason = "the specification has a map to `{}` for exposed ports, not a list"
)]

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;

/// The moment that every image claims to be made at. A real time would give each build its own digest.
pub const EPOCH: &str = "1970-01-01T00:00:00Z";

/// An image configuration (`config.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// As `GOARCH`.
    pub architecture: String,
    /// As `GOOS`.
    pub os: String,
    /// How the container runs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: RunConfig,
    /// The layers before compression.
    pub rootfs: RootFs,
    /// One entry a layer, and entries marked `empty_layer`.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub history: Vec<History>,
}

/// The member `config` of an [`ImageConfig`]: execution parameters that a task definition may override.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// User name or number, optionally `:group`.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub user: String,
    /// Keys such as `8080/tcp`.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// `NAME=value`.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub env: Vec<String>,
    /// The program and its first arguments.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub entrypoint: Vec<String>,
    /// Arguments after the entry point.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cmd: Vec<String>,
    /// The folder the program starts in.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub working_dir: String,
    /// Labels.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
}

/// `{}`: the value of a Go map that is used as a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The layers of an image, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the uncompressed tars.
    pub diff_ids: Vec<Digest>,
}

/// Where a layer came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// True for a step that made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// An image manifest (`manifest.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Optional in the specification; ECR has refused manifests without it.
    #[serde(default)]
    pub media_type: String,
    /// The image configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Annotations.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// An image index (`image-index.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// [`crate::media_type::INDEX`], or Docker's.
    #[serde(default)]
    pub media_type: String,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
}

/// A reference to a blob (`descriptor.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// In an index: what the manifest is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<DescriptorPlatform>,
    /// Annotations.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// The platform of a manifest in an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorPlatform {
    /// As `GOARCH`.
    pub architecture: String,
    /// As `GOOS`.
    pub os: String,
}

impl Descriptor {
    /// A descriptor of these bytes.
    pub fn of(media_type: &str, data: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(data),
            size: data.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// Compact JSON.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    // serde_json fails on maps with keys that are not strings and on failing `Serialize` implementations; the types
    // of this module have neither.
    serde_json::to_vec(value).expect("plain structs with string keys always serialize")
}

fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    value: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_with_nulls_and_foreign_members_is_read() {
        let text = format!(
            r#"{{"architecture":"arm64","variant":"v8","os":"linux","container":"x","config":{{"Env":null,
            "User":"0","ExposedPorts":{{"80/tcp":{{}}}},"OnBuild":null,"Labels":null}},
            "rootfs":{{"type":"layers","diff_ids":["{}"]}},"history":null}}"#,
            Digest::of(b"")
        );
        let config: ImageConfig = serde_json::from_str(&text).unwrap();
        assert_eq!(config.config.user, "0");
        assert!(config.config.env.is_empty() && config.history.is_empty());
        assert_eq!(config.config.exposed_ports.len(), 1);
    }
}
