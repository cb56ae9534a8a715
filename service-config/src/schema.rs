//! JSON Schemas of the files that people write, made from the same definitions that read them.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::decode::Naming;
use crate::ranges::RANGES;

/// The schema of `pipeline.toml`, pretty-printed, ending in a line end.
pub fn pipeline() -> String {
    let mut schema = document::<crate::Pipeline>("A longshore pipeline file");
    typed_override(&mut schema);
    text(&schema)
}

/// The schema of a task definition file.
pub fn task_definition() -> String {
    let mut schema = document::<crate::TaskDefinition>("An ECS task definition");
    if let Some(properties) = schema.get_mut("properties") {
        properties["$schema"] = json!({
            "type": "string",
            "description": "The schema that editors check this file with; not sent to ECS.",
        });
    }
    text(&schema)
}

/// Draft 7 is what editors for TOML and JSON understand without exceptions. Without `$id`: taplo takes an absolute one only, and would fetch it.
fn document<T: JsonSchema>(title: &str) -> Schema {
    let generator = SchemaSettings::draft07()
        .with_transform(RecursiveTransform(DropNull))
        .into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    ranges(&mut schema);
    schema.insert("title".into(), json!(title));
    schema
}

fn text(schema: &Schema) -> String {
    let mut text = serde_json::to_string_pretty(schema).unwrap_or_default();
    text.push('\n');
    text
}

/// An override is a task definition of which everything may be left out.
fn typed_override(schema: &mut Schema) {
    const PREFIX: &str = "TaskDefinition.";
    let mut whole = document::<crate::TaskDefinition>("").to_value();
    everything_optional(&mut whole, PREFIX);
    let Some(Value::Object(definitions)) = schema.get_mut("definitions") else {
        return;
    };
    if let Some(Value::Object(inner)) = whole.get_mut("definitions").map(Value::take) {
        definitions.extend(
            inner
                .into_iter()
                .map(|(name, definition)| (format!("{PREFIX}{name}"), definition)),
        );
    }
    if let Some(Value::Object(into)) = definitions.get_mut("Override") {
        for member in ["properties", "additionalProperties"] {
            into.insert(member.to_owned(), whole[member].take());
        }
    }
}

fn everything_optional(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("properties") {
                members.remove("required");
            }
            if let Some(Value::String(reference)) = members.get_mut("$ref") {
                *reference =
                    reference.replace("#/definitions/", &format!("#/definitions/{prefix}"));
            }
            for member in members.values_mut() {
                everything_optional(member, prefix);
            }
        }
        Value::Array(items) => {
            for item in items {
                everything_optional(item, prefix);
            }
        }
        _ => {}
    }
}

/// Numbers that have a range of their own.
fn ranges(schema: &mut Schema) {
    for range in RANGES {
        let naming = if matches!(range.record, "AfterCheck" | "DeploySection") {
            Naming::Kebab
        } else {
            Naming::Camel
        };
        let place = format!(
            "/definitions/{}/properties/{}",
            range.record,
            naming.name(range.field)
        );
        if let Some(Value::Object(property)) = schema.pointer_mut(&place) {
            property.insert("minimum".into(), json!(range.least));
            property.insert("maximum".into(), json!(range.most));
        }
    }
}

/// `Option<T>` is a member that may be left out, not one that may be null: "anyOf null" would hide which leaf is wrong.
#[derive(Clone)]
struct DropNull;

impl Transform for DropNull {
    fn transform(&mut self, schema: &mut Schema) {
        let Some(object) = schema.as_object_mut() else {
            return;
        };
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".into(), only);
            }
        }
        if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
            choices.retain(|choice| choice["type"] != "null");
            if let [Value::Object(only)] = choices.as_slice() {
                let only = only.clone();
                object.remove("anyOf");
                if object.contains_key("description") && only.contains_key("$ref") {
                    // Beside $ref, draft 7 ignores what stands there; allOf keeps the description.
                    object.insert("allOf".into(), json!([only]));
                } else {
                    object.extend(only);
                }
            }
        }
        // Not every reader of schemas knows these formats.
        let bounds = match object.get("format").and_then(Value::as_str) {
            Some("int32") => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
            Some("uint32") => Some((0, i64::from(u32::MAX))),
            Some("uint16") => Some((0, i64::from(u16::MAX))),
            _ => None,
        };
        if let Some((least, most)) = bounds {
            object.remove("format");
            object.insert("minimum".into(), json!(least));
            object.insert("maximum".into(), json!(most));
        }
        if object.get("default") == Some(&Value::Null) {
            object.remove("default");
        }
    }
}
