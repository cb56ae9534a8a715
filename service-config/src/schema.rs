//! JSON Schemas of the files that people write, made from the same definitions that read them.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::decode::Naming;
use crate::ranges::RANGES;

/// The schema of `pipeline.toml`, pretty-printed, ending in a line end.
pub fn pipeline() -> String {
    document::<crate::Pipeline>("pipeline", "A longshore pipeline file", false)
}

/// The schema of a task definition file.
pub fn task_definition() -> String {
    document::<crate::TaskDefinition>("task-definition", "An ECS task definition", true)
}

/// Draft 7 is what editors for TOML and JSON understand without exceptions.
fn document<T: JsonSchema>(name: &str, title: &str, with_schema_member: bool) -> String {
    let generator = SchemaSettings::draft07()
        .with_transform(RecursiveTransform(DropNull))
        .into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    ranges(&mut schema);
    schema.insert("$id".into(), json!(format!("{name}.schema.json")));
    schema.insert("title".into(), json!(title));
    if with_schema_member && let Some(properties) = schema.get_mut("properties") {
        properties["$schema"] = json!({
            "type": "string",
            "description": "The schema that editors check this file with; not sent to ECS.",
        });
    }
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// Numbers that have a range of their own.
fn ranges(schema: &mut Schema) {
    for range in RANGES {
        let naming = if range.record == "AfterCheck" {
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
        if object.get("default") == Some(&Value::Null) {
            object.remove("default");
        }
    }
}
