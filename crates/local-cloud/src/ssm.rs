//! SSM's Parameter Store: strings by name, with their versions.
//!
//! Documented in the AWS Systems Manager API reference. Parameters of the advanced tier cost and have policies there; here they may only be larger. A `SecureString` is kept as it is, in a file that only its owner reads: there is no key management here.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::place::{Place, page, parse, seconds};
use crate::tags::Tag;
use crate::task::Millis;

mod filters;
mod limits;
mod metadata;
mod resource_tags;

use filters::Filter;
use limits::{Tier, most};

const INVALID: &str = "ValidationException";
/// How many versions of a parameter are kept, as SSM does.
const VERSIONS: usize = 100;

/// All parameters of the account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ssm {
    parameters: BTreeMap<String, Parameter>,
    #[serde(skip)]
    generation: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    description: Option<String>,
    /// What values must match.
    #[serde(default)]
    allowed_pattern: Option<String>,
    /// The key that is named for it; there is no encryption here.
    #[serde(default)]
    key_id: Option<String>,
    #[serde(default)]
    tier: Tier,
    tags: BTreeMap<String, String>,
    /// The oldest first; never empty.
    versions: Vec<Version>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Version {
    number: u64,
    kind: Kind,
    value: String,
    at: Millis,
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version")
            .field("number", &self.number)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    String,
    StringList,
    SecureString,
}

impl Ssm {
    /// Counts changes since the state was loaded.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many parameters there are.
    pub fn len(&self) -> usize {
        self.parameters.len()
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// The decrypted value of a parameter named as [`Self::apply`]'s `GetParameter` takes it: name or ARN, with an optional `:version`.
    pub fn value(&self, name: &str) -> Option<&str> {
        let (_, version, _) = self.find(name)?;
        Some(&version.value)
    }

    /// Answers one operation of the API.
    pub fn apply(
        &mut self,
        operation: &str,
        request: &Value,
        place: &Place,
        now: Millis,
    ) -> Result<Value, ApiError> {
        match operation {
            "PutParameter" => self.put(request, now),
            "GetParameter" => self.get(request, place),
            "GetParameters" => self.get_many(request, place),
            "GetParametersByPath" => self.get_by_path(request, place),
            "DescribeParameters" => self.describe(request, place),
            "GetParameterHistory" => self.history(request, place),
            "ListTagsForResource" | "AddTagsToResource" | "RemoveTagsFromResource" => {
                self.resource_tags(operation, request)
            }
            "DeleteParameter" => self.delete(request),
            "DeleteParameters" => self.delete_many(request),
            _ => Err(ApiError::unknown_operation("SSM", operation)),
        }
    }

    /// Puts a `SecureString`; a new version only when the value is another one.
    pub fn put_secure(&mut self, name: &str, value: &str, now: Millis) -> Result<(), ApiError> {
        if self.value(name) == Some(value) {
            return Ok(());
        }
        let request =
            json!({"Name": name, "Value": value, "Type": "SecureString", "Overwrite": true});
        self.put(&request, now).map(drop)
    }

    fn put(&mut self, request: &Value, now: Millis) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            name: String,
            value: String,
            #[serde(rename = "Type")]
            kind: Option<String>,
            description: Option<String>,
            allowed_pattern: Option<String>,
            key_id: Option<String>,
            tier: Option<String>,
            #[serde(default)]
            overwrite: bool,
            #[serde(default)]
            tags: Vec<Tag>,
        }
        let request: Request = parse(request, INVALID)?;
        check_name(&request.name)?;
        if request.overwrite && !request.tags.is_empty() {
            return Err(ApiError::new(
                INVALID,
                "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.",
            ));
        }
        let known = self.parameters.get(&request.name);
        if known.is_some() && !request.overwrite {
            return Err(ApiError::new(
                "ParameterAlreadyExists",
                "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
            ));
        }
        let last = known.and_then(|parameter| parameter.versions.last());
        let kind = match (request.kind.as_deref(), last) {
            (Some("String"), _) => Kind::String,
            (Some("StringList"), _) => Kind::StringList,
            (Some("SecureString"), _) => Kind::SecureString,
            (None, Some(last)) => last.kind,
            (None, None) => {
                return Err(ApiError::new(
                    INVALID,
                    "A parameter type is required when you create a parameter.",
                ));
            }
            (Some(other), _) => {
                return Err(ApiError::new(
                    "UnsupportedParameterType",
                    format!("The parameter type {other} isn't supported."),
                ));
            }
        };
        let number = last.map_or(1, |last| last.number + 1);
        let tier = Tier::of(
            request.tier.as_deref(),
            known.map(|parameter| parameter.tier),
            &request.value,
        )?;
        let pattern = request.allowed_pattern.as_deref();
        let pattern =
            pattern.or_else(|| known.and_then(|parameter| parameter.allowed_pattern.as_deref()));
        limits::check_value(&request.value, pattern)?;
        let parameter = self
            .parameters
            .entry(request.name)
            .or_insert_with(|| Parameter {
                description: None,
                allowed_pattern: None,
                key_id: None,
                tier,
                tags: BTreeMap::new(),
                versions: Vec::new(),
            });
        parameter.tier = tier;
        if request.allowed_pattern.is_some() {
            parameter.allowed_pattern = request.allowed_pattern;
        }
        if request.key_id.is_some() {
            parameter.key_id = request.key_id;
        }
        if request.description.is_some() {
            parameter.description = request.description;
        }
        let tags = request.tags.into_iter().map(|tag| (tag.key, tag.value));
        parameter.tags.extend(tags);
        parameter.versions.push(Version {
            number,
            kind,
            value: request.value,
            at: now,
        });
        if parameter.versions.len() > VERSIONS {
            parameter.versions.remove(0);
        }
        self.generation += 1;
        Ok(json!({"Version": number, "Tier": tier}))
    }

    fn get(&self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            name: String,
            #[serde(default)]
            with_decryption: bool,
        }
        let request: Request = parse(request, INVALID)?;
        let found = self
            .find(&request.name)
            .ok_or_else(|| self.missing(&request.name))?;
        Ok(json!({"Parameter": answer(found, request.with_decryption, place)}))
    }

    fn get_many(&self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            names: Vec<String>,
            #[serde(default)]
            with_decryption: bool,
        }
        let request: Request = parse(request, INVALID)?;
        if request.names.is_empty() || request.names.len() > 10 {
            return Err(ApiError::new(
                INVALID,
                "Member 'names' must have 1 to 10 items.",
            ));
        }
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for name in &request.names {
            match self.find(name) {
                Some(one) => found.push(answer(one, request.with_decryption, place)),
                None => missing.push(name),
            }
        }
        Ok(json!({"Parameters": found, "InvalidParameters": missing}))
    }

    fn get_by_path(&self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            path: String,
            #[serde(default)]
            recursive: bool,
            #[serde(default)]
            with_decryption: bool,
            #[serde(default)]
            parameter_filters: Vec<Filter>,
            max_results: Option<usize>,
            next_token: Option<String>,
        }
        let request: Request = parse(request, INVALID)?;
        let size = most(request.max_results, 10)?;
        for filter in &request.parameter_filters {
            if !["Type", "KeyId", "Label"].contains(&filter.key.as_str()) {
                return Err(filters::bad_key(&filter.key, "[Type|KeyId|Label]"));
            }
        }
        if !request.path.starts_with('/') {
            return Err(ApiError::new(
                INVALID,
                "The parameter path must begin with a slash (/).",
            ));
        }
        let way = if request.recursive {
            "Recursive"
        } else {
            "OneLevel"
        };
        let mut all = Vec::new();
        for (name, parameter) in &self.parameters {
            if filters::is_below(&request.path, name, way)
                && parameter.passes(name, &request.parameter_filters)?
                && let Some(found) = self.find(name)
            {
                all.push(answer(found, request.with_decryption, place));
            }
        }
        let token = request.next_token.as_deref();
        let (part, token) = page(all, token, size, "InvalidNextToken")?;
        Ok(with_token(json!({"Parameters": part}), token))
    }

    fn delete(&mut self, request: &Value) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            name: String,
        }
        let request: Request = parse(request, INVALID)?;
        self.parameters
            .remove(&request.name)
            .ok_or_else(|| self.missing(&request.name))?;
        self.generation += 1;
        Ok(json!({}))
    }

    fn delete_many(&mut self, request: &Value) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Request {
            names: Vec<String>,
        }
        let request: Request = parse(request, INVALID)?;
        let (deleted, missing): (Vec<String>, Vec<String>) = request
            .names
            .into_iter()
            .partition(|name| self.parameters.remove(name).is_some());
        self.generation += 1;
        Ok(json!({"DeletedParameters": deleted, "InvalidParameters": missing}))
    }

    /// By name or ARN, with an optional version selector: the name, the version, the selector.
    fn find<'a, 'r>(&'a self, reference: &'r str) -> Option<(&'a str, &'a Version, &'r str)> {
        let reference = name_of(reference);
        let (name, selector) = match reference.split_once(':') {
            Some((name, _)) => (name, &reference[name.len()..]),
            None => (reference, ""),
        };
        let (name, parameter) = self.parameters.get_key_value(name)?;
        let version = if selector.is_empty() {
            parameter.versions.last()?
        } else {
            let number: u64 = selector[1..].parse().ok()?;
            let mut versions = parameter.versions.iter();
            versions.find(|version| version.number == number)?
        };
        Some((name, version, selector))
    }

    fn missing(&self, reference: &str) -> ApiError {
        let name = name_of(reference).split(':').next().unwrap_or_default();
        if self.parameters.contains_key(name) {
            ApiError::new(
                "ParameterVersionNotFound",
                format!("Systems Manager could not find version {reference} of the parameter."),
            )
        } else {
            ApiError::new(
                "ParameterNotFound",
                format!("Parameter {reference} not found."),
            )
        }
    }
}

/// The name in an ARN `arn:aws:ssm:region:account:parameter/path`; a name is itself.
///
/// In the ARN of `/a/b` the leading slash is the one after `parameter`; the ARN of `b`, without a path, has one that is not part of the name.
fn name_of(reference: &str) -> &str {
    let Some(rest) = reference.strip_prefix("arn:aws:ssm:") else {
        return reference;
    };
    let Some((_, path)) = rest.split_once(":parameter") else {
        return reference;
    };
    let name = path.strip_prefix('/').unwrap_or(path);
    if name.contains('/') { path } else { name }
}

fn arn(name: &str, place: &Place) -> String {
    let slash = if name.starts_with('/') { "" } else { "/" };
    place.arn("ssm", &format!("parameter{slash}{name}"))
}

fn answer(
    (name, version, selector): (&str, &Version, &str),
    decrypt: bool,
    place: &Place,
) -> Value {
    let mut out = json!({
        "Name": name,
        "Type": version.kind,
        "Value": shown(name, version, decrypt),
        "Version": version.number,
        "LastModifiedDate": seconds(version.at),
        "ARN": arn(name, place),
        "DataType": "text",
    });
    if !selector.is_empty() {
        out["Selector"] = selector.into();
    }
    out
}

/// A version's value; what stands for the ciphertext of a secure one tells nothing of the value.
fn shown(name: &str, version: &Version, decrypt: bool) -> String {
    if version.kind == Kind::SecureString && !decrypt {
        use base64::Engine as _;
        let opaque = format!("encrypted: {name} version {}", version.number);
        base64::engine::general_purpose::STANDARD.encode(opaque)
    } else {
        version.value.clone()
    }
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let invalid = |message: &str| Err(ApiError::new(INVALID, message));
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    if name.is_empty() || name.len() > 1011 || !name.bytes().all(letters) {
        return invalid(
            "Parameter name must be 1 to 1011 of the letters a-zA-Z0-9_.- and '/' between parts of a path.",
        );
    }
    if name.contains('/') && !name.starts_with('/') {
        return invalid(
            "Parameter name must be a fully qualified name: a path begins with a slash (/).",
        );
    }
    if name.ends_with('/') || name.contains("//") {
        return invalid("Parameter name must not end with a slash or have an empty part.");
    }
    let first = name.trim_start_matches('/').to_ascii_lowercase();
    if first.starts_with("aws") || first.starts_with("ssm") {
        return invalid(
            "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive).",
        );
    }
    Ok(())
}

fn with_token(mut answer: Value, token: Option<String>) -> Value {
    if let Some(token) = token {
        answer["NextToken"] = token.into();
    }
    answer
}

#[cfg(test)]
mod tests;
