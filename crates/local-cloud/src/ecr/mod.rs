//! ECR: repositories and what is in them.
//!
//! The state is plain data under two doors: [`Ecr::apply`] answers the JSON API, and the functions in [`registry`] are what the OCI registry (`/v2`) reads and
//! changes. Neither touches a disk: blobs are known here by digest and size, and their bytes lie in [`blobs`]. Manifests are small and kept whole.
//!
//! Documented in the Amazon ECR API reference and in the OCI distribution specification 1.1.

mod api;
pub mod blobs;
mod images;
mod layers;
pub(crate) mod link;
pub mod registry;
mod settings;
pub mod token;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::place::Place;
use crate::task::Millis;

/// All repositories of the account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ecr {
    repositories: BTreeMap<String, Repository>,
    /// Grows with every change: whoever saves the state compares it.
    #[serde(skip)]
    generation: u64,
}

/// One repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Repository {
    created_at: Millis,
    mutability: Mutability,
    resource_tags: BTreeMap<String, String>,
    /// Manifests by digest.
    images: BTreeMap<String, Image>,
    /// Tags, each with the digest it points to.
    tags: BTreeMap<String, String>,
    /// Layers and configurations: digest to size. A blob belongs to the repositories it was pushed to, as in ECR.
    blobs: BTreeMap<String, u64>,
    /// Who else has access, as JSON. Kept and told, and nothing more; so are the next two.
    #[serde(default)]
    policy: Option<String>,
    /// When images expire, as JSON.
    #[serde(default)]
    lifecycle_policy: Option<String>,
    #[serde(default)]
    scan_on_push: bool,
    /// How it is said to be encrypted, as it was asked for; nothing is encrypted here.
    #[serde(default)]
    encryption: Option<Encryption>,
}

/// What is said of a repository's encryption.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Encryption {
    encryption_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key: Option<String>,
}

/// Which tags may be moved to another image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutability {
    /// Whether tags are immutable.
    immutable: bool,
    /// Tags that are not treated so: patterns with `*`.
    except: Vec<String>,
}

impl Mutability {
    fn allows_moving(&self, tag: &str) -> bool {
        let excepted = self.except.iter().any(|pattern| matches(pattern, tag));
        self.immutable == excepted
    }

    fn name(&self) -> &'static str {
        match (self.immutable, self.except.is_empty()) {
            (false, true) => "MUTABLE",
            (false, false) => "MUTABLE_WITH_EXCLUSION",
            (true, true) => "IMMUTABLE",
            (true, false) => "IMMUTABLE_WITH_EXCLUSION",
        }
    }
}

/// One manifest (an image or an index).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    media_type: String,
    /// The configuration's media type, or the artifact type when the manifest names one.
    artifact_type: Option<String>,
    /// Digest of the manifest this one refers to.
    subject: Option<String>,
    /// Bytes of the manifest; JSON, so UTF-8.
    manifest: String,
    /// Configuration and layers; the manifest itself where there are none.
    size: u64,
    /// Digests of the blobs (of an image) or manifests (of an index) that this one is made of.
    parts: Vec<String>,
    pushed_at: Millis,
    pulled_at: Option<Millis>,
}

impl Ecr {
    /// Counts changes since the state was loaded.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Digests of all blobs that a repository holds; any other blob may be deleted.
    pub fn blobs_in_use(&self) -> std::collections::BTreeSet<&str> {
        let repositories = self.repositories.values();
        repositories
            .flat_map(|repository| repository.blobs.keys())
            .map(String::as_str)
            .collect()
    }

    /// How many repositories, images and blob bytes there are.
    pub fn totals(&self) -> (usize, usize, u64) {
        let blobs: BTreeMap<&String, u64> = self
            .repositories
            .values()
            .flat_map(|repository| {
                repository
                    .blobs
                    .iter()
                    .map(|(digest, size)| (digest, *size))
            })
            .collect();
        (
            self.repositories.len(),
            self.repositories.values().map(|r| r.images.len()).sum(),
            blobs.values().sum(),
        )
    }

    fn repository(&self, name: &str, place: &Place) -> Result<&Repository, ApiError> {
        self.repositories
            .get(name)
            .ok_or_else(|| not_found(name, place))
    }

    /// For changes: counts one.
    fn change(&mut self, name: &str, place: &Place) -> Result<&mut Repository, ApiError> {
        self.generation += 1;
        self.repositories
            .get_mut(name)
            .ok_or_else(|| not_found(name, place))
    }
}

fn not_found(name: &str, place: &Place) -> ApiError {
    ApiError::new(
        "RepositoryNotFoundException",
        format!(
            "The repository with name '{name}' does not exist in the registry with id '{}'",
            place.account
        ),
    )
}

/// Whether `text` matches a pattern in which `*` stands for any characters.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests;
