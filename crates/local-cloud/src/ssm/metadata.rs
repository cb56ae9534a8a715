//! What is told of parameters besides their values, now and in the past.

use serde::Deserialize;
use serde_json::{Value, json};

use super::filters::{Filter, OldFilter};
use super::limits::most;
use super::{INVALID, Kind, Parameter, Ssm, Version, arn, name_of, shown, with_token};
use crate::error::ApiError;
use crate::identity::owner_arn;
use crate::place::{Place, page, parse, seconds};

impl Ssm {
    pub(super) fn describe(&self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            #[serde(default)]
            parameter_filters: Vec<Filter>,
            #[serde(default)]
            filters: Vec<OldFilter>,
            max_results: Option<usize>,
            next_token: Option<String>,
        }
        let mut request: Request = parse(request, INVALID)?;
        let size = most(request.max_results, 50)?;
        if !request.filters.is_empty() && !request.parameter_filters.is_empty() {
            return Err(ApiError::new(
                INVALID,
                "You can use either Filters or ParameterFilters in a single request.",
            ));
        }
        let old = request.filters.drain(..).map(Filter::from);
        request.parameter_filters.extend(old);
        let mut all = Vec::new();
        for (name, parameter) in &self.parameters {
            if parameter.passes(name, &request.parameter_filters)?
                && let Some(version) = parameter.versions.last()
            {
                all.push(parameter.metadata(name, version, place));
            }
        }
        let token = request.next_token.as_deref();
        let (part, token) = page(all, token, size, "InvalidNextToken")?;
        Ok(with_token(json!({"Parameters": part}), token))
    }

    /// All versions that are kept, the oldest first.
    pub(super) fn history(&self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            name: String,
            #[serde(default)]
            with_decryption: bool,
            max_results: Option<usize>,
            next_token: Option<String>,
        }
        let request: Request = parse(request, INVALID)?;
        let size = most(request.max_results, 50)?;
        let (name, parameter) = self
            .parameters
            .get_key_value(name_of(&request.name))
            .ok_or_else(|| self.missing(&request.name))?;
        let all = parameter
            .versions
            .iter()
            .map(|version| {
                let mut one = parameter.metadata(name, version, place);
                if let Some(members) = one.as_object_mut() {
                    members.remove("ARN");
                }
                one["Labels"] = json!([]);
                one["Value"] = shown(name, version, request.with_decryption).into();
                one
            })
            .collect();
        let token = request.next_token.as_deref();
        let (part, token) = page(all, token, size, "InvalidNextToken")?;
        Ok(with_token(json!({"Parameters": part}), token))
    }
}

impl Parameter {
    pub(super) fn key_id(&self, version: &Version) -> Option<&str> {
        (version.kind == Kind::SecureString)
            .then(|| self.key_id.as_deref().unwrap_or("alias/aws/ssm"))
    }

    /// All but the value.
    fn metadata(&self, name: &str, version: &Version, place: &Place) -> Value {
        let mut one = json!({
            "Name": name,
            "ARN": arn(name, place),
            "Type": version.kind,
            "LastModifiedDate": seconds(version.at),
            "LastModifiedUser": owner_arn(place),
            "Version": version.number,
            "Tier": self.tier,
            "Policies": [],
            "DataType": "text",
        });
        let texts = [
            ("Description", self.description.as_deref()),
            ("AllowedPattern", self.allowed_pattern.as_deref()),
            ("KeyId", self.key_id(version)),
        ];
        for (member, text) in texts {
            if let Some(text) = text {
                one[member] = text.into();
            }
        }
        one
    }
}
