//! The JSON API: settings that tools read and write and that change nothing here. Nobody else has access, images do not expire, and none is scanned.

use serde::Deserialize;
use serde_json::{Value, json};

use super::api::INVALID;
use super::{Ecr, Repository};
use crate::error::ApiError;
use crate::place::{Place, parse};

/// One of the two documents that a repository may have.
#[derive(Clone, Copy)]
enum Policy {
    /// Who else has access.
    Access,
    /// When images expire.
    Lifecycle,
}

impl Policy {
    /// The member of requests and answers that holds the document.
    fn member(self) -> &'static str {
        match self {
            Self::Access => "policyText",
            Self::Lifecycle => "lifecyclePolicyText",
        }
    }

    fn of(self, repository: &Repository) -> Option<&String> {
        match self {
            Self::Access => repository.policy.as_ref(),
            Self::Lifecycle => repository.lifecycle_policy.as_ref(),
        }
    }

    fn place_in(self, repository: &mut Repository) -> &mut Option<String> {
        match self {
            Self::Access => &mut repository.policy,
            Self::Lifecycle => &mut repository.lifecycle_policy,
        }
    }

    fn missing(self, name: &str, place: &Place) -> ApiError {
        let (code, what) = match self {
            Self::Access => ("RepositoryPolicyNotFoundException", "Repository"),
            Self::Lifecycle => ("LifecyclePolicyNotFoundException", "Lifecycle"),
        };
        ApiError::new(
            code,
            format!(
                "{what} policy does not exist for the repository with name '{name}' in the registry with id '{}'",
                place.account
            ),
        )
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    repository_name: String,
    policy_text: Option<String>,
    lifecycle_policy_text: Option<String>,
    image_scanning_configuration: Option<Scanning>,
}

/// Whether images are scanned when they arrive.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Scanning {
    #[serde(default)]
    pub(super) scan_on_push: bool,
}

impl Ecr {
    /// Answers the operations on policies and scanning.
    pub(super) fn settings(
        &mut self,
        operation: &str,
        request: &Value,
        place: &Place,
    ) -> Result<Value, ApiError> {
        use Policy::{Access, Lifecycle};
        match operation {
            "GetRepositoryPolicy" => self.policy(Access, request, place),
            "SetRepositoryPolicy" => self.put_policy(Access, request, place),
            "DeleteRepositoryPolicy" => self.delete_policy(Access, request, place),
            "GetLifecyclePolicy" => self.policy(Lifecycle, request, place),
            "PutLifecyclePolicy" => self.put_policy(Lifecycle, request, place),
            "DeleteLifecyclePolicy" => self.delete_policy(Lifecycle, request, place),
            "PutImageScanningConfiguration" => self.put_scanning(request, place),
            _ => Err(ApiError::unknown_operation("ECR", operation)),
        }
    }

    fn policy(&self, policy: Policy, request: &Value, place: &Place) -> Result<Value, ApiError> {
        let name = parse::<Request>(request, INVALID)?.repository_name;
        let text = policy.of(self.repository(&name, place)?);
        let text = text.ok_or_else(|| policy.missing(&name, place))?;
        Ok(answer(&name, place, policy.member(), text.as_str().into()))
    }

    fn put_policy(
        &mut self,
        policy: Policy,
        request: &Value,
        place: &Place,
    ) -> Result<Value, ApiError> {
        let request: Request = parse(request, INVALID)?;
        let text = match policy {
            Policy::Access => request.policy_text,
            Policy::Lifecycle => request.lifecycle_policy_text,
        };
        let is_document =
            |text: &String| serde_json::from_str::<Value>(text).is_ok_and(|v| v.is_object());
        let Some(text) = text.filter(is_document) else {
            return Err(ApiError::new(
                INVALID,
                format!(
                    "Invalid parameter at '{}' failed to satisfy constraint: 'must be a JSON document'",
                    policy.member()
                ),
            ));
        };
        let name = request.repository_name;
        let repository = self.change(&name, place)?;
        *policy.place_in(repository) = Some(text.clone());
        Ok(answer(&name, place, policy.member(), text.into()))
    }

    fn delete_policy(
        &mut self,
        policy: Policy,
        request: &Value,
        place: &Place,
    ) -> Result<Value, ApiError> {
        let name = parse::<Request>(request, INVALID)?.repository_name;
        let text = policy.place_in(self.change(&name, place)?).take();
        let text = text.ok_or_else(|| policy.missing(&name, place))?;
        Ok(answer(&name, place, policy.member(), text.into()))
    }

    fn put_scanning(&mut self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        let request: Request = parse(request, INVALID)?;
        let Some(Scanning { scan_on_push }) = request.image_scanning_configuration else {
            return Err(ApiError::new(
                INVALID,
                "Invalid parameter at 'imageScanningConfiguration' failed to satisfy constraint: 'Member must not be null'",
            ));
        };
        let name = request.repository_name;
        self.change(&name, place)?.scan_on_push = scan_on_push;
        let scanning = json!({"scanOnPush": scan_on_push});
        Ok(answer(&name, place, "imageScanningConfiguration", scanning))
    }
}

fn answer(name: &str, place: &Place, member: &str, value: Value) -> Value {
    let mut out = json!({"registryId": place.account, "repositoryName": name});
    out[member] = value;
    out
}
