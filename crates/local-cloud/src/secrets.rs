//! Secrets Manager: secrets with versions and staging labels.
//!
//! Documented in the AWS Secrets Manager API reference. Values are kept as they are, in a file that only its owner reads.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;
use crate::place::{Place, page, parse, seconds};
use crate::random::LETTERS;
use crate::tags::{self, Tag};
use crate::task::Millis;

mod password;
mod versions;

const INVALID: &str = "InvalidParameterException";
const DAY: Millis = 24 * 60 * 60 * 1000;

/// All secrets of the account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    secrets: BTreeMap<String, Secret>,
    #[serde(skip)]
    generation: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    arn: String,
    description: Option<String>,
    /// The key that is named for it; there is no encryption here.
    #[serde(default)]
    kms_key_id: Option<String>,
    tags: BTreeMap<String, String>,
    created_at: Millis,
    changed_at: Millis,
    /// When it goes; until then it can be restored.
    deleted_from: Option<Millis>,
    versions: BTreeMap<String, Version>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Version {
    stages: Vec<String>,
    string: Option<String>,
    /// Base64, as on the wire.
    binary: Option<String>,
    created_at: Millis,
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version")
            .field("stages", &self.stages)
            .finish_non_exhaustive()
    }
}

/// A value as it is sent.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sent {
    client_request_token: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    version_stages: Option<Vec<String>>,
}

impl Sent {
    fn has_value(&self) -> bool {
        self.secret_string.is_some() || self.secret_binary.is_some()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    secret_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: String,
    values: Vec<String>,
}

impl Filter {
    /// Whether a name begins with one of the values; `!` in front of a value means the opposite.
    fn takes(&self, name: &str) -> bool {
        let mut values = self.values.iter();
        values.any(|value| match value.strip_prefix('!') {
            Some(value) => !name.starts_with(value),
            None => name.starts_with(value.as_str()),
        })
    }
}

impl Secrets {
    /// Counts changes since the state was loaded.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many secrets there are.
    pub fn len(&self) -> usize {
        self.secrets.len()
    }

    /// Whether there are no secrets.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The string of a secret, by name or ARN, at a staging label or version (`AWSCURRENT` without either). Errors are in Secrets Manager's words.
    pub fn value(
        &self,
        id: &str,
        stage: Option<&str>,
        version: Option<&str>,
    ) -> Result<&str, ApiError> {
        let (_, version) = self.readable(id)?.1.version(stage, version)?;
        version.string.as_deref().ok_or_else(|| {
            ApiError::new("InvalidRequestException", "The secret is binary, not text.")
        })
    }

    /// Answers one operation of the API.
    pub fn apply(
        &mut self,
        operation: &str,
        request: &Value,
        place: &Place,
        now: Millis,
    ) -> Result<Value, ApiError> {
        self.forget_deleted(now);
        match operation {
            "CreateSecret" => self.create(request, place, now),
            "PutSecretValue" => self.put(request, now),
            "UpdateSecret" => self.update(request, now),
            "GetSecretValue" => self.get(request),
            "BatchGetSecretValue" => self.batch_get(request),
            "ListSecretVersionIds" => self.list_versions(request),
            "UpdateSecretVersionStage" => self.move_label(request, now),
            "GetResourcePolicy" => self.resource_policy(request),
            "GetRandomPassword" => password::random(request),
            "TagResource" | "UntagResource" => self.change_tags(request),
            "DescribeSecret" => self.describe(request),
            "ListSecrets" => self.list(request),
            "DeleteSecret" => self.delete(request, now),
            "RestoreSecret" => self.restore(request),
            _ => Err(ApiError::unknown_operation("Secrets Manager", operation)),
        }
    }

    fn create(&mut self, request: &Value, place: &Place, now: Millis) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            name: String,
            description: Option<String>,
            kms_key_id: Option<String>,
            #[serde(default)]
            tags: Vec<Tag>,
        }
        let sent: Sent = parse(request, INVALID)?;
        let request: Request = parse(request, INVALID)?;
        let name = request.name;
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@!-".contains(&byte);
        if name.is_empty() || name.len() > 512 || !name.bytes().all(letters) {
            return Err(ApiError::new(
                INVALID,
                "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
            ));
        }
        if let Some(known) = self.secrets.get(&name) {
            return Err(if known.deleted_from.is_some() {
                ApiError::new(
                    "InvalidRequestException",
                    "You can't create this secret because a secret with this name is already scheduled for deletion.",
                )
            } else {
                ApiError::new(
                    "ResourceExistsException",
                    format!("The operation failed because the secret {name} already exists."),
                )
            });
        }
        let mut secret = Secret {
            arn: place.arn(
                "secretsmanager",
                &format!("secret:{name}-{}", suffix(&name, now)),
            ),
            description: request.description,
            kms_key_id: request.kms_key_id,
            tags: request
                .tags
                .into_iter()
                .map(|tag| (tag.key, tag.value))
                .collect(),
            created_at: now,
            changed_at: now,
            deleted_from: None,
            versions: BTreeMap::new(),
        };
        let mut answer = json!({"ARN": secret.arn, "Name": name});
        if sent.has_value() {
            answer["VersionId"] = secret.add(&name, sent, now)?.into();
        }
        self.secrets.insert(name, secret);
        self.generation += 1;
        Ok(answer)
    }

    fn put(&mut self, request: &Value, now: Millis) -> Result<Value, ApiError> {
        let sent: Sent = parse(request, INVALID)?;
        let id: Named = parse(request, INVALID)?;
        let name = self.readable(&id.secret_id)?.0.to_owned();
        let secret = self.secrets.get_mut(&name).ok_or_else(not_found)?;
        let version = secret.add(&name, sent, now)?;
        let stages = &secret.versions[&version].stages;
        let answer =
            json!({"ARN": secret.arn, "Name": name, "VersionId": version, "VersionStages": stages});
        self.generation += 1;
        Ok(answer)
    }

    /// Changes what is given; a value makes a new version, which becomes the current one.
    fn update(&mut self, request: &Value, now: Millis) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            secret_id: String,
            description: Option<String>,
            kms_key_id: Option<String>,
        }
        let sent = Sent {
            // It knows no labels.
            version_stages: None,
            ..parse(request, INVALID)?
        };
        let request: Request = parse(request, INVALID)?;
        let name = self.readable(&request.secret_id)?.0.to_owned();
        let secret = self.secrets.get_mut(&name).ok_or_else(not_found)?;
        let mut answer = json!({"ARN": secret.arn, "Name": name});
        if sent.has_value() {
            answer["VersionId"] = secret.add(&name, sent, now)?.into();
        }
        if request.description.is_some() {
            secret.description = request.description;
        }
        if request.kms_key_id.is_some() {
            secret.kms_key_id = request.kms_key_id;
        }
        secret.changed_at = now;
        self.generation += 1;
        Ok(answer)
    }

    fn get(&self, request: &Value) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            secret_id: String,
            version_id: Option<String>,
            version_stage: Option<String>,
        }
        let request: Request = parse(request, INVALID)?;
        self.read(
            &request.secret_id,
            request.version_stage.as_deref(),
            request.version_id.as_deref(),
        )
    }

    /// A value with all that goes with it.
    fn read(
        &self,
        id: &str,
        stage: Option<&str>,
        version: Option<&str>,
    ) -> Result<Value, ApiError> {
        let (name, secret) = self.readable(id)?;
        let (id, version) = secret.version(stage, version)?;
        let mut out = json!({
            "ARN": secret.arn,
            "Name": name,
            "VersionId": id,
            "VersionStages": version.stages,
            "CreatedDate": seconds(version.created_at),
        });
        if let Some(string) = &version.string {
            out["SecretString"] = string.as_str().into();
        }
        if let Some(binary) = &version.binary {
            out["SecretBinary"] = binary.as_str().into();
        }
        Ok(out)
    }

    fn describe(&self, request: &Value) -> Result<Value, ApiError> {
        let id: Named = parse(request, INVALID)?;
        let (name, secret) = self.find(&id.secret_id)?;
        let mut out = secret.describe(name);
        out["VersionIdsToStages"] = secret
            .versions
            .iter()
            .map(|(id, version)| (id.clone(), json!(version.stages)))
            .collect();
        Ok(out)
    }

    fn list(&self, request: &Value) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            #[serde(default)]
            include_planned_deletion: bool,
            #[serde(default)]
            filters: Vec<Filter>,
            max_results: Option<usize>,
            next_token: Option<String>,
        }
        let request: Request = parse(request, INVALID)?;
        let all = self
            .filtered(&request.filters)?
            .filter(|(_, secret)| secret.deleted_from.is_none() || request.include_planned_deletion)
            .map(|(name, secret)| secret.describe(name))
            .collect();
        let size = request.max_results.unwrap_or(100);
        let token = request.next_token.as_deref();
        let (part, token) = page(all, token, size, "InvalidNextTokenException")?;
        let mut out = json!({"SecretList": part});
        if let Some(token) = token {
            out["NextToken"] = token.into();
        }
        Ok(out)
    }

    /// The secrets that all filters let through.
    fn filtered<'a>(
        &'a self,
        filters: &'a [Filter],
    ) -> Result<impl Iterator<Item = (&'a String, &'a Secret)>, ApiError> {
        if let Some(filter) = filters.iter().find(|filter| filter.key != "name") {
            return Err(ApiError::new(
                INVALID,
                format!(
                    "The local cloud filters secrets by name, not by {}.",
                    filter.key
                ),
            ));
        }
        Ok(self
            .secrets
            .iter()
            .filter(|(name, _)| filters.iter().all(|filter| filter.takes(name))))
    }

    fn delete(&mut self, request: &Value, now: Millis) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            secret_id: String,
            recovery_window_in_days: Option<u64>,
            #[serde(default)]
            force_delete_without_recovery: bool,
        }
        let request: Request = parse(request, INVALID)?;
        let days = match request.recovery_window_in_days {
            Some(days) if !(7..=30).contains(&days) || request.force_delete_without_recovery => {
                return Err(ApiError::new(
                    INVALID,
                    "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive), and does not go with ForceDeleteWithoutRecovery.",
                ));
            }
            Some(days) => days,
            None if request.force_delete_without_recovery => 0,
            None => 30,
        };
        let name = self.find(&request.secret_id)?.0.to_owned();
        let secret = self.secrets.get_mut(&name).ok_or_else(not_found)?;
        let at = now + days * DAY;
        secret.deleted_from = Some(at);
        let answer = json!({"ARN": secret.arn, "Name": name, "DeletionDate": seconds(at)});
        self.generation += 1;
        self.forget_deleted(now);
        Ok(answer)
    }

    fn restore(&mut self, request: &Value) -> Result<Value, ApiError> {
        let id: Named = parse(request, INVALID)?;
        let name = self.find(&id.secret_id)?.0.to_owned();
        let secret = self.secrets.get_mut(&name).ok_or_else(not_found)?;
        secret.deleted_from = None;
        self.generation += 1;
        Ok(json!({"ARN": secret.arn, "Name": name}))
    }

    fn forget_deleted(&mut self, now: Millis) {
        let before = self.secrets.len();
        self.secrets
            .retain(|_, secret| secret.deleted_from.is_none_or(|at| at > now));
        if self.secrets.len() != before {
            self.generation += 1;
        }
    }

    /// By name, whole ARN, or ARN without the six characters at its end.
    fn find(&self, id: &str) -> Result<(&str, &Secret), ApiError> {
        self.secrets
            .get_key_value(id)
            .or_else(|| {
                self.secrets.iter().find(|(_, secret)| {
                    let arn = secret.arn.as_str();
                    arn == id || arn.get(..arn.len() - 7) == Some(id)
                })
            })
            .map(|(name, secret)| (name.as_str(), secret))
            .ok_or_else(not_found)
    }

    /// As [`Self::find`], for all that a secret marked for deletion refuses.
    fn readable(&self, id: &str) -> Result<(&str, &Secret), ApiError> {
        let found = self.find(id)?;
        if found.1.deleted_from.is_some() {
            return Err(ApiError::new(
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for deletion.",
            ));
        }
        Ok(found)
    }
}

impl Secret {
    fn describe(&self, name: &str) -> Value {
        let tags = tags::listed(&self.tags);
        let mut out = json!({
            "ARN": self.arn,
            "Name": name,
            "CreatedDate": seconds(self.created_at),
            "LastChangedDate": seconds(self.changed_at),
            "Tags": tags,
        });
        if let Some(description) = &self.description {
            out["Description"] = description.as_str().into();
        }
        if let Some(key) = &self.kms_key_id {
            out["KmsKeyId"] = key.as_str().into();
        }
        if let Some(at) = self.deleted_from {
            out["DeletedDate"] = seconds(at);
        }
        out
    }
}

fn not_found() -> ApiError {
    ApiError::new(
        "ResourceNotFoundException",
        "Secrets Manager can't find the specified secret.",
    )
}

/// Six letters that follow a secret's name in its ARN. They tell a new secret from a deleted one of the same name, so they come from name and time.
fn suffix(name: &str, now: Millis) -> String {
    Sha256::digest(format!("{name} {now}"))
        .iter()
        .take(6)
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect()
}

#[cfg(test)]
mod tests;
