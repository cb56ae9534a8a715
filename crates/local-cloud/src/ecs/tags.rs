//! Tags, and the three calls that change and list them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::request::{Request, invalid};
use super::{Ecs, Result, names};
use crate::error::ApiError;

/// Tags of one resource, by key.
pub(super) type Tags = BTreeMap<String, String>;

/// A resource has at most this many tags (*Amazon ECS service quotas*).
const MOST: usize = 50;

/// Reads and checks a list of tags.
pub(super) fn read(request: Request<'_>, name: &str) -> Result<Tags> {
    let mut tags = Tags::new();
    for tag in request.structures(name)? {
        let key = tag.required("key")?;
        let value = tag.text("value")?.unwrap_or_default();
        if key.len() > 128 || value.len() > 256 {
            return Err(invalid(
                "A tag's key may have 128 characters and its value 256.",
            ));
        }
        if key
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
        {
            return Err(invalid(
                "Tag keys that begin with aws: are reserved for internal use.",
            ));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(invalid(format!("Duplicate tag key '{key}'.")));
        }
    }
    check_number(&tags)?;
    Ok(tags)
}

fn check_number(tags: &Tags) -> Result<()> {
    if tags.len() > MOST {
        return Err(ApiError::new(
            "LimitExceededException",
            format!("A resource may have {MOST} tags."),
        ));
    }
    Ok(())
}

/// The tags that ECS itself gives to tasks where `enableECSManagedTags` is set (*Tagging Amazon ECS resources*).
pub(super) fn managed_tags(cluster: &str, service: Option<&str>) -> Tags {
    let cluster = ("aws:ecs:clusterName", Some(cluster));
    [cluster, ("aws:ecs:serviceName", service)]
        .into_iter()
        .filter_map(|(key, name)| Some((key.to_owned(), name?.to_owned())))
        .collect()
}

/// Tags as answers hold them.
pub(super) fn view(tags: &Tags) -> Value {
    tags.iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect()
}

impl Ecs {
    pub(super) fn tag_resource(&mut self, request: Request<'_>) -> Result<Value> {
        let more = read(request, "tags")?;
        let tags = self.tags_of(request)?;
        let mut all = tags.clone();
        all.extend(more);
        check_number(&all)?;
        *tags = all;
        Ok(json!({}))
    }

    pub(super) fn untag_resource(&mut self, request: Request<'_>) -> Result<Value> {
        let keys = request.texts("tagKeys")?;
        let tags = self.tags_of(request)?;
        tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(json!({}))
    }

    pub(super) fn list_tags_for_resource(&mut self, request: Request<'_>) -> Result<Value> {
        Ok(json!({"tags": view(self.tags_of(request)?)}))
    }

    fn tags_of(&mut self, request: Request<'_>) -> Result<&mut Tags> {
        let arn = request.required("resourceArn")?;
        let Some((kind, name)) = names::resource(arn).and_then(|name| name.split_once('/')) else {
            return Err(invalid("Invalid Resource ARN."));
        };
        let found = match kind {
            "cluster" => self.clusters.get_mut(name).map(|cluster| &mut cluster.tags),
            "task" => self
                .tasks
                .get_mut(names::last(name))
                .map(|task| &mut task.tags),
            "task-definition" => self
                .definition_mut(name)
                .map(|definition| &mut definition.tags),
            "service" => name
                .split_once('/')
                .and_then(|(cluster, service)| {
                    self.clusters.get(cluster)?.services.get(service).copied()
                })
                .and_then(|key| self.services.get_mut(&key))
                .map(|service| &mut service.tags),
            _ => None,
        };
        found.ok_or_else(|| {
            invalid("The specified resource wasn't found. Verify the resource ARN and try again.")
        })
    }
}
