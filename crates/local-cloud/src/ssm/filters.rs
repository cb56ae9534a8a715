//! Filters of parameters: *Systems Manager API reference, `ParameterStringFilter`* and the older `ParametersFilter`.

use serde::Deserialize;

use super::Parameter;
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Filter {
    pub(super) key: String,
    option: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

/// The older form, which has no options.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OldFilter {
    key: String,
    values: Vec<String>,
}

impl From<OldFilter> for Filter {
    fn from(old: OldFilter) -> Self {
        Self {
            key: old.key,
            option: None,
            values: old.values,
        }
    }
}

pub(super) fn bad_key(key: &str, allowed: &str) -> ApiError {
    ApiError::new(
        "InvalidFilterKey",
        format!(
            "The following filter key is not valid: {key}. Valid filter keys include: {allowed}."
        ),
    )
}

/// Whether a name lies in the hierarchy of a path: directly below it, or anywhere (`Recursive`).
pub(super) fn is_below(path: &str, name: &str, way: &str) -> bool {
    let prefix = format!("{}/", path.trim_end_matches('/'));
    name.strip_prefix(&prefix)
        .is_some_and(|rest| way == "Recursive" || !rest.contains('/'))
}

impl Parameter {
    /// Whether all filters let this parameter through.
    pub(super) fn passes(&self, name: &str, filters: &[Filter]) -> Result<bool, ApiError> {
        for filter in filters {
            if !self.passes_one(name, filter)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn passes_one(&self, name: &str, filter: &Filter) -> Result<bool, ApiError> {
        let Some(version) = self.versions.last() else {
            return Ok(false);
        };
        let option = filter.option.as_deref();
        let any = |text: Option<&str>| {
            let Some(text) = text else {
                return false;
            };
            filter.values.iter().any(|value| match option {
                Some("BeginsWith") => text.starts_with(value.as_str()),
                Some("Contains") => text.contains(value.as_str()),
                _ => text == value,
            })
        };
        let options: &[&str] = match filter.key.as_str() {
            "Name" => &["Equals", "BeginsWith", "Contains"],
            "Path" => &["Recursive", "OneLevel"],
            "KeyId" => &["Equals", "BeginsWith"],
            _ => &["Equals"],
        };
        if let Some(option) = option.filter(|option| !options.contains(option)) {
            return Err(ApiError::new(
                "InvalidFilterOption",
                format!(
                    "The following filter option is not valid: {option}. Valid options include: [{}].",
                    options.join(", ")
                ),
            ));
        }
        Ok(match filter.key.as_str() {
            "Name" => any(Some(name)),
            "Path" => {
                let way = option.unwrap_or("OneLevel");
                filter.values.iter().any(|path| is_below(path, name, way))
            }
            "Type" => any(Some(&format!("{:?}", version.kind))),
            "KeyId" => any(self.key_id(version)),
            "Tier" => any(Some(&format!("{:?}", self.tier))),
            "DataType" => any(Some("text")),
            // Nothing has labels here.
            "Label" => false,
            key => match key.strip_prefix("tag:") {
                Some(key) => match self.tags.get(key) {
                    Some(_) if filter.values.is_empty() => true,
                    value => any(value.map(String::as_str)),
                },
                None => {
                    return Err(bad_key(
                        key,
                        "[Name, Path, Type, KeyId, Tier, DataType, Label, tag:<key>]",
                    ));
                }
            },
        })
    }
}
