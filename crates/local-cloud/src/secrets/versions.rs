//! The versions of a secret and the labels that move between them.

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Filter, INVALID, Named, Secret, Secrets, Sent, Tag, Version, not_found};
use crate::error::ApiError;
use crate::place::{page, parse, seconds};
use crate::task::Millis;

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

impl Secrets {
    /// Values of several secrets. What cannot be read is told beside those that can.
    pub(super) fn batch_get(&self, request: &Value) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            #[serde(default)]
            secret_id_list: Vec<String>,
            #[serde(default)]
            filters: Vec<Filter>,
            max_results: Option<usize>,
            next_token: Option<String>,
        }
        let request: Request = parse(request, INVALID)?;
        if request.secret_id_list.is_empty() == request.filters.is_empty() {
            return Err(ApiError::new(
                INVALID,
                "Either 'SecretIdList' or 'Filters' must be provided, but not both.",
            ));
        }
        if request.secret_id_list.len() > 20 {
            return Err(ApiError::new(
                INVALID,
                "SecretIdList must have at most 20 items.",
            ));
        }
        let ids: Vec<&str> = if request.filters.is_empty() {
            request.secret_id_list.iter().map(String::as_str).collect()
        } else {
            self.filtered(&request.filters)?
                .filter(|(_, secret)| secret.deleted_from.is_none())
                .map(|(name, _)| name.as_str())
                .collect()
        };
        let size = request.max_results.unwrap_or(20).clamp(1, 20);
        let token = request.next_token.as_deref();
        let (ids, token) = page(ids, token, size, "InvalidNextTokenException")?;
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        for id in ids {
            match self.read(id, None, None) {
                Ok(value) => values.push(value),
                Err(error) => errors.push(json!({
                    "SecretId": id,
                    "ErrorCode": error.code,
                    "Message": error.message,
                })),
            }
        }
        let mut out = json!({"SecretValues": values, "Errors": errors});
        if let Some(token) = token {
            out["NextToken"] = token.into();
        }
        Ok(out)
    }

    pub(super) fn list_versions(&self, request: &Value) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            secret_id: String,
            #[serde(default)]
            include_deprecated: bool,
            max_results: Option<usize>,
            next_token: Option<String>,
        }
        let request: Request = parse(request, INVALID)?;
        let (name, secret) = self.find(&request.secret_id)?;
        let all = secret
            .versions
            .iter()
            .filter(|(_, version)| request.include_deprecated || !version.stages.is_empty())
            .map(|(id, version)| {
                json!({
                    "VersionId": id,
                    "VersionStages": version.stages,
                    "CreatedDate": seconds(version.created_at),
                    "KmsKeyIds": [secret.kms_key_id.as_deref().unwrap_or("DefaultEncryptionKey")],
                })
            })
            .collect();
        let size = request.max_results.unwrap_or(100);
        let token = request.next_token.as_deref();
        let (part, token) = page(all, token, size, "InvalidNextTokenException")?;
        let mut out = json!({"ARN": secret.arn, "Name": name, "Versions": part});
        if let Some(token) = token {
            out["NextToken"] = token.into();
        }
        Ok(out)
    }

    /// Moves a label from one version to another, or takes it away.
    pub(super) fn move_label(&mut self, request: &Value, now: Millis) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            secret_id: String,
            version_stage: String,
            remove_from_version_id: Option<String>,
            move_to_version_id: Option<String>,
        }
        let request: Request = parse(request, INVALID)?;
        let stage = request.version_stage.as_str();
        let name = self.readable(&request.secret_id)?.0.to_owned();
        let secret = self.secrets.get_mut(&name).ok_or_else(not_found)?;
        for id in [&request.remove_from_version_id, &request.move_to_version_id]
            .into_iter()
            .flatten()
        {
            if !secret.versions.contains_key(id) {
                return Err(ApiError::new(
                    "ResourceNotFoundException",
                    format!("Secrets Manager can't find the specified secret version: {id}"),
                ));
            }
        }
        let has = |(_, version): &(&String, &Version)| version.stages.iter().any(|s| s == stage);
        let holder = secret.versions.iter().find(has).map(|(id, _)| id.clone());
        match (&holder, &request.remove_from_version_id) {
            (Some(holder), None) if request.move_to_version_id.as_ref() != Some(holder) => {
                return Err(ApiError::new(
                    INVALID,
                    format!(
                        "The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
                    ),
                ));
            }
            (holder, Some(from)) if holder.as_ref() != Some(from) => {
                return Err(ApiError::new(
                    INVALID,
                    format!(
                        "The staging label {stage} is not attached to version {from}, which RemoveFromVersionId names."
                    ),
                ));
            }
            _ => {}
        }
        match &request.move_to_version_id {
            Some(to) if holder.as_ref() == Some(to) => {}
            Some(to) => secret.attach(stage, to),
            None if stage == CURRENT => {
                return Err(ApiError::new(
                    INVALID,
                    "You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed.",
                ));
            }
            None => {
                secret.detach(stage);
            }
        }
        secret.changed_at = now;
        let answer = json!({"ARN": secret.arn, "Name": name});
        self.generation += 1;
        Ok(answer)
    }

    /// No secret has a policy of its own here.
    pub(super) fn resource_policy(&self, request: &Value) -> Result<Value, ApiError> {
        let id: Named = parse(request, INVALID)?;
        let (name, secret) = self.find(&id.secret_id)?;
        Ok(json!({"ARN": secret.arn, "Name": name}))
    }

    pub(super) fn change_tags(&mut self, request: &Value) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            secret_id: String,
            #[serde(default)]
            tags: Vec<Tag>,
            #[serde(default)]
            tag_keys: Vec<String>,
        }
        let request: Request = parse(request, INVALID)?;
        let name = self.readable(&request.secret_id)?.0.to_owned();
        let tags = &mut self.secrets.get_mut(&name).ok_or_else(not_found)?.tags;
        tags.extend(request.tags.into_iter().map(|tag| (tag.key, tag.value)));
        tags.retain(|key, _| !request.tag_keys.contains(key));
        self.generation += 1;
        Ok(Value::Null)
    }
}

impl Secret {
    /// Adds a version, with the labels that are asked for, `AWSCURRENT` without any; its id. The same token and value again change nothing.
    pub(super) fn add(&mut self, name: &str, sent: Sent, now: Millis) -> Result<String, ApiError> {
        if sent.secret_string.is_some() == sent.secret_binary.is_some() {
            return Err(ApiError::new(
                INVALID,
                "You must provide either SecretString or SecretBinary.",
            ));
        }
        let id = sent.client_request_token.unwrap_or_else(|| {
            let count = self.versions.len();
            hex::encode(&Sha256::digest(format!("{name} {now} {count}"))[..16])
        });
        let mut stages = match sent.version_stages {
            None => vec![CURRENT.to_owned()],
            Some(stages) if !(1..=20).contains(&stages.len()) => {
                return Err(ApiError::new(
                    INVALID,
                    "VersionStages must have 1 to 20 labels.",
                ));
            }
            Some(stages) => stages,
        };
        // A secret's first version is the current one as well.
        if self.versions.is_empty() && !stages.iter().any(|stage| stage == CURRENT) {
            stages.push(CURRENT.to_owned());
        }
        if let Some(known) = self.versions.get(&id) {
            return if known.string == sent.secret_string && known.binary == sent.secret_binary {
                Ok(id)
            } else {
                Err(ApiError::new(
                    "ResourceExistsException",
                    "You can't use ClientRequestToken because that value is already in use for a version of this secret with another value.",
                ))
            };
        }
        self.versions.insert(
            id.clone(),
            Version {
                stages: Vec::new(),
                string: sent.secret_string,
                binary: sent.secret_binary,
                created_at: now,
            },
        );
        for stage in &stages {
            self.attach(stage, &id);
        }
        // Versions without a label are deprecated; Secrets Manager drops them in time.
        self.versions
            .retain(|_, version| !version.stages.is_empty());
        self.changed_at = now;
        Ok(id)
    }

    /// Moves a label to a version. What was the current version so far becomes the previous one.
    fn attach(&mut self, stage: &str, id: &str) {
        let before = self.detach(stage);
        if let Some(version) = self.versions.get_mut(id) {
            version.stages.push(stage.to_owned());
        }
        if stage == CURRENT
            && let Some(before) = before
            && before != id
        {
            self.detach(PREVIOUS);
            if let Some(version) = self.versions.get_mut(&before) {
                version.stages.push(PREVIOUS.to_owned());
            }
        }
    }

    /// Takes a label away; the version that had it.
    fn detach(&mut self, stage: &str) -> Option<String> {
        let mut had = None;
        for (id, version) in &mut self.versions {
            let before = version.stages.len();
            version.stages.retain(|known| known != stage);
            if version.stages.len() < before {
                had = Some(id.clone());
            }
        }
        had
    }

    pub(super) fn version(
        &self,
        stage: Option<&str>,
        id: Option<&str>,
    ) -> Result<(&str, &Version), ApiError> {
        let wanted = stage.or(if id.is_none() { Some(CURRENT) } else { None });
        self.versions
            .iter()
            .find(|(known, version)| {
                id.is_none_or(|id| id == known.as_str())
                    && wanted.is_none_or(|stage| version.stages.iter().any(|s| s == stage))
            })
            .map(|(id, version)| (id.as_str(), version))
            .ok_or_else(|| {
                let what = match (wanted, id) {
                    (_, Some(id)) => format!("VersionId: {id}"),
                    (stage, None) => format!("staging label: {}", stage.unwrap_or_default()),
                };
                ApiError::new(
                    "ResourceNotFoundException",
                    format!("Secrets Manager can't find the specified secret value for {what}"),
                )
            })
    }
}
