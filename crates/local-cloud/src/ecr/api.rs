//! The JSON API: repositories, their settings and tags, and the login token.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::settings::Scanning;
use super::{Ecr, Encryption, Mutability, Repository, token};
use crate::error::ApiError;
use crate::place::{Place, page, parse, seconds};
use crate::tags::{self, Tag};
use crate::task::Millis;

pub(super) const INVALID: &str = "InvalidParameterException";

impl Ecr {
    /// Answers one operation of the API. `login` is what login tokens are made with, and the ARN of who asks.
    pub fn apply(
        &mut self,
        operation: &str,
        request: &Value,
        place: &Place,
        login: (&str, &str),
        now: Millis,
    ) -> Result<Value, ApiError> {
        match operation {
            "GetAuthorizationToken" => Ok(json!({"authorizationData": [{
                "authorizationToken": token::issue(login.0, login.1, now),
                "expiresAt": seconds(now + token::LIFETIME),
                "proxyEndpoint": place.endpoint(),
            }]})),
            "CreateRepository" => self.create_repository(request, place, now),
            "DescribeRepositories" => self.describe_repositories(request, place),
            "DeleteRepository" => self.delete_repository(request, place),
            "PutImageTagMutability" => self.put_mutability(request, place),
            "TagResource" | "UntagResource" | "ListTagsForResource" => {
                self.resource_tags(operation, request, place)
            }
            "DescribeImages" => self.describe_images(request, place),
            "ListImages" => self.list_images(request, place),
            "BatchGetImage" => self.batch_get_image(request, place, now),
            "BatchDeleteImage" => self.batch_delete_image(request, place),
            "PutImage" => self.put_image(request, place, now),
            "BatchCheckLayerAvailability" => self.check_layers(request, place),
            "GetDownloadUrlForLayer" => self.layer_url(request, place, login.0, now),
            "DescribeImageScanFindings" => self.scan_findings(request, place),
            _ => self.settings(operation, request, place),
        }
    }

    fn create_repository(
        &mut self,
        request: &Value,
        place: &Place,
        now: Millis,
    ) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            repository_name: String,
            image_tag_mutability: Option<String>,
            #[serde(default)]
            image_tag_mutability_exclusion_filters: Vec<Exclusion>,
            #[serde(default)]
            tags: Vec<Tag>,
            #[serde(default)]
            image_scanning_configuration: Scanning,
            encryption_configuration: Option<Encryption>,
        }
        let request: Request = parse(request, INVALID)?;
        let name = request.repository_name;
        check_name(&name)?;
        if self.repositories.contains_key(&name) {
            return Err(ApiError::new(
                "RepositoryAlreadyExistsException",
                format!(
                    "The repository with name '{name}' already exists in the registry with id '{}'",
                    place.account
                ),
            ));
        }
        let repository = Repository {
            created_at: now,
            mutability: mutability(
                request.image_tag_mutability.as_deref(),
                request.image_tag_mutability_exclusion_filters,
            )?,
            resource_tags: request
                .tags
                .into_iter()
                .map(|tag| (tag.key, tag.value))
                .collect(),
            images: BTreeMap::new(),
            tags: BTreeMap::new(),
            blobs: BTreeMap::new(),
            policy: None,
            lifecycle_policy: None,
            scan_on_push: request.image_scanning_configuration.scan_on_push,
            encryption: encryption(request.encryption_configuration, place)?,
        };
        let answer = json!({"repository": repository.describe(&name, place)});
        self.repositories.insert(name, repository);
        self.generation += 1;
        Ok(answer)
    }

    fn describe_repositories(&self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            repository_names: Option<Vec<String>>,
            next_token: Option<String>,
            max_results: Option<usize>,
        }
        let request: Request = parse(request, INVALID)?;
        let all: Vec<Value> = match request.repository_names {
            Some(names) if !names.is_empty() => names
                .iter()
                .map(|name| Ok(self.repository(name, place)?.describe(name, place)))
                .collect::<Result<_, ApiError>>()?,
            _ => self
                .repositories
                .iter()
                .map(|(name, repository)| repository.describe(name, place))
                .collect(),
        };
        let size = request.max_results.unwrap_or(100);
        let (part, token) = page(all, request.next_token.as_deref(), size, INVALID)?;
        Ok(with_token(json!({"repositories": part}), token))
    }

    fn delete_repository(&mut self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            repository_name: String,
            #[serde(default)]
            force: bool,
        }
        let request: Request = parse(request, INVALID)?;
        let name = &request.repository_name;
        let repository = self.repository(name, place)?;
        if !repository.images.is_empty() && !request.force {
            return Err(ApiError::new(
                "RepositoryNotEmptyException",
                format!(
                    "The repository with name '{name}' in registry with id '{}' cannot be deleted because it still contains images",
                    place.account
                ),
            ));
        }
        let answer = json!({"repository": repository.describe(name, place)});
        self.repositories.remove(name);
        self.generation += 1;
        Ok(answer)
    }

    fn put_mutability(&mut self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            repository_name: String,
            image_tag_mutability: String,
            #[serde(default)]
            image_tag_mutability_exclusion_filters: Vec<Exclusion>,
        }
        let request: Request = parse(request, INVALID)?;
        let wanted = mutability(
            Some(&request.image_tag_mutability),
            request.image_tag_mutability_exclusion_filters,
        )?;
        let repository = self.change(&request.repository_name, place)?;
        repository.mutability = wanted;
        Ok(json!({
            "registryId": place.account,
            "repositoryName": request.repository_name,
            "imageTagMutability": repository.mutability.name(),
            "imageTagMutabilityExclusionFilters": repository.mutability.filters(),
        }))
    }

    fn resource_tags(
        &mut self,
        operation: &str,
        request: &Value,
        place: &Place,
    ) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            resource_arn: String,
            #[serde(default)]
            tags: Vec<Tag>,
            #[serde(default)]
            tag_keys: Vec<String>,
        }
        let request: Request = parse(request, INVALID)?;
        let name = request
            .resource_arn
            .strip_prefix(&place.arn("ecr", "repository/"))
            .ok_or_else(|| {
                ApiError::new(
                    INVALID,
                    format!(
                        "Invalid parameter at 'resourceArn': '{}' is not the ARN of a repository of this account and region",
                        request.resource_arn
                    ),
                )
            })?;
        if operation == "ListTagsForResource" {
            let tags = &self.repository(name, place)?.resource_tags;
            return Ok(json!({"tags": tags::listed(tags)}));
        }
        let tags = &mut self.change(name, place)?.resource_tags;
        tags.extend(request.tags.into_iter().map(|tag| (tag.key, tag.value)));
        tags.retain(|key, _| !request.tag_keys.contains(key));
        Ok(json!({}))
    }
}

impl Repository {
    fn describe(&self, name: &str, place: &Place) -> Value {
        let mut out = json!({
            "repositoryArn": place.arn("ecr", &format!("repository/{name}")),
            "registryId": place.account,
            "repositoryName": name,
            "repositoryUri": format!("{}/{name}", place.registry()),
            "createdAt": seconds(self.created_at),
            "imageTagMutability": self.mutability.name(),
            "imageScanningConfiguration": {"scanOnPush": self.scan_on_push},
            "encryptionConfiguration": {"encryptionType": "AES256"},
        });
        if let Some(encryption) = &self.encryption {
            out["encryptionConfiguration"] = json!(encryption);
        }
        if !self.mutability.except.is_empty() {
            out["imageTagMutabilityExclusionFilters"] = self.mutability.filters();
        }
        out
    }
}

impl Mutability {
    fn filters(&self) -> Value {
        let filters = self.except.iter();
        filters
            .map(|filter| json!({"filterType": "WILDCARD", "filter": filter}))
            .collect()
    }
}

#[derive(Deserialize)]
struct Exclusion {
    filter: String,
}

fn mutability(name: Option<&str>, except: Vec<Exclusion>) -> Result<Mutability, ApiError> {
    let except: Vec<String> = except.into_iter().map(|one| one.filter).collect();
    let invalid = |message: String| Err(ApiError::new(INVALID, message));
    let (immutable, exclusion) = match name.unwrap_or("MUTABLE") {
        "MUTABLE" => (false, false),
        "IMMUTABLE" => (true, false),
        "MUTABLE_WITH_EXCLUSION" => (false, true),
        "IMMUTABLE_WITH_EXCLUSION" => (true, true),
        other => {
            return invalid(format!(
                "Invalid parameter at 'imageTagMutability': '{other}' is none of MUTABLE, IMMUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION"
            ));
        }
    };
    if exclusion == except.is_empty() || except.len() > 5 {
        return invalid("Invalid parameter at 'imageTagMutabilityExclusionFilters': one to five filters go with the settings …_WITH_EXCLUSION, none with the others".to_owned());
    }
    Ok(Mutability { immutable, except })
}

/// How a repository is said to be encrypted; a KMS key that is not named is the one that ECR has in the account.
fn encryption(wanted: Option<Encryption>, place: &Place) -> Result<Option<Encryption>, ApiError> {
    let Some(mut wanted) = wanted else {
        return Ok(None);
    };
    match (wanted.encryption_type.as_str(), &wanted.kms_key) {
        ("AES256", None) => {}
        ("KMS" | "KMS_DSSE", key) => {
            let key = key.clone();
            wanted.kms_key = key.or_else(|| Some(place.arn("kms", "alias/aws/ecr")));
        }
        (kind, _) => {
            return Err(ApiError::new(
                INVALID,
                format!(
                    "Invalid parameter at 'encryptionConfiguration': '{kind}' is none of AES256 (without a key), KMS, KMS_DSSE"
                ),
            ));
        }
    }
    Ok(Some(wanted))
}

/// Refuses names that ECR refuses: 2 to 256 of `a-z0-9` with `.`, `_`, `__`, `-` between, in parts divided by `/`.
fn check_name(name: &str) -> Result<(), ApiError> {
    let part_is_good = |part: &str| {
        let bytes = part.as_bytes();
        let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric)
            && bytes
                .iter()
                .all(|byte| alphanumeric(byte) || b"._-".contains(byte))
    };
    if (2..=256).contains(&name.len()) && name.split('/').all(part_is_good) {
        Ok(())
    } else {
        Err(ApiError::new(
            INVALID,
            format!(
                "Invalid parameter at 'repositoryName' failed to satisfy constraint: '{name}' must be 2 to 256 of a-z, 0-9, '.', '_', '-' in parts divided by '/'"
            ),
        ))
    }
}

pub(super) fn with_token(mut answer: Value, token: Option<String>) -> Value {
    if let Some(token) = token {
        answer["nextToken"] = token.into();
    }
    answer
}
