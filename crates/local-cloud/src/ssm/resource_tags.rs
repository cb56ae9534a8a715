//! Tags of parameters.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{INVALID, Ssm, Tag};
use crate::error::ApiError;
use crate::place::parse;
use crate::tags;

impl Ssm {
    pub(super) fn resource_tags(
        &mut self,
        operation: &str,
        request: &Value,
    ) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            resource_type: String,
            resource_id: String,
            #[serde(default)]
            tags: Vec<Tag>,
            #[serde(default)]
            tag_keys: Vec<String>,
        }
        let request: Request = parse(request, INVALID)?;
        if request.resource_type != "Parameter" {
            return Err(ApiError::new(
                "InvalidResourceType",
                format!(
                    "The local cloud's SSM has parameters only, no resources of type {}.",
                    request.resource_type
                ),
            ));
        }
        let parameter = self.parameters.get_mut(&request.resource_id);
        let tags = parameter.map(|parameter| &mut parameter.tags);
        let tags = tags.ok_or_else(|| {
            ApiError::new(
                "InvalidResourceId",
                "The resource ID is not valid. Verify that you entered the correct ID and try again.",
            )
        })?;
        if operation == "ListTagsForResource" {
            return Ok(json!({"TagList": tags::listed(tags.iter())}));
        }
        tags.extend(request.tags.into_iter().map(|tag| (tag.key, tag.value)));
        tags.retain(|key, _| !request.tag_keys.contains(key));
        self.generation += 1;
        Ok(json!({}))
    }
}
