//! Tags of log groups.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api::INVALID;
use super::{Logs, Record};
use crate::error::ApiError;
use crate::place::{Place, parse};

impl Logs {
    pub(super) fn resource_tags(
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
            tags: BTreeMap<String, String>,
            #[serde(default)]
            tag_keys: Vec<String>,
        }
        let request: Request = parse(request, INVALID)?;
        let name = request
            .resource_arn
            .strip_prefix(&place.arn("logs", "log-group:"))
            .map(|name| name.strip_suffix(":*").unwrap_or(name))
            .ok_or_else(|| {
                ApiError::new(
                    INVALID,
                    format!(
                        "'{}' is not the ARN of a log group of this account and region.",
                        request.resource_arn
                    ),
                )
            })?;
        let group = self.group(name)?;
        if operation == "ListTagsForResource" {
            return Ok(json!({"tags": group.tags}));
        }
        let mut tags = group.tags.clone();
        tags.extend(request.tags);
        tags.retain(|key, _| !request.tag_keys.contains(key));
        let record = Record::Group {
            group: name.to_owned(),
            at: group.created_at,
            days: group.retention_days,
            tags,
        };
        self.change(record);
        Ok(Value::Null)
    }
}
