//! The schema and the parser agree: what an editor marks is what `check` refuses, as far as the shape of a file goes.
//!
//! Documents are made from the schemas, and then broken in one place. The exceptions: a null is accepted with a note, as is a task's size as a number; a member that
//! `newer-members` allows is marked by editors all the same; what `$schema` holds is the editor's own matter; and what only several members together show, or the text of a string, is no matter of shape.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use fastrand::Rng;
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use service_config::schema;

use crate::{PIPELINE, TASK_DEFINITION, files, load_from};

/// Findings that a schema could have, too.
const OF_SHAPE: [&str; 6] = [
    "wrong-type",
    "unknown-key",
    "missing-key",
    "unknown-value",
    "out-of-range",
    "not-a-duration",
];

/// A schema, ready to make documents and to judge them.
struct Judge {
    schema: Value,
    validator: Validator,
}

impl Judge {
    fn new(text: &str) -> Self {
        let schema: Value = serde_json::from_str(text).unwrap();
        let validator = jsonschema::draft7::new(&schema).unwrap();
        Self { schema, validator }
    }

    fn resolve<'a>(&'a self, node: &'a Value) -> &'a Value {
        match node["$ref"].as_str().or(node["allOf"][0]["$ref"].as_str()) {
            Some(reference) => self.resolve(self.schema.pointer(&reference[1..]).unwrap()),
            None => node,
        }
    }

    /// A document that satisfies the schema.
    fn document(&self, node: &Value, rng: &mut Rng, depth: usize) -> Value {
        let node = self.resolve(node);
        if let Some(words) = node["oneOf"].as_array() {
            let word = &words[rng.usize(..words.len())];
            return word.get("const").unwrap_or(&word["enum"][0]).clone();
        }
        if let Some(words) = node["enum"].as_array() {
            return words[rng.usize(..words.len())].clone();
        }
        match node["type"].as_str().unwrap() {
            "object" => self.object(node, rng, depth),
            "array" => {
                let length = if depth > 6 { 0 } else { rng.usize(..3) };
                let item = |_| self.document(&node["items"], rng, depth + 1);
                (0..length).map(item).collect()
            }
            "integer" => {
                let least = node["minimum"].as_i64().unwrap();
                let most = node["maximum"].as_i64().unwrap();
                json!(match rng.u8(..4) {
                    0 => least,
                    1 => most,
                    _ => rng.i64(least..=most),
                })
            }
            "boolean" => json!(rng.bool()),
            "string" if node["pattern"].is_string() => {
                json!(["90s", "15m", "1h30m", "0s", "2h1s"][rng.usize(..5)])
            }
            "string" => json!(["", "a", "api", "./x", "/x y", "${env}", "ü"][rng.usize(..7)]),
            other => panic!("{other}: {node}"),
        }
    }

    fn object(&self, node: &Value, rng: &mut Rng, depth: usize) -> Value {
        let mut members = Map::new();
        let required: BTreeSet<&str> = node["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (name, property) in node["properties"].as_object().into_iter().flatten() {
            if required.contains(name.as_str()) || depth < 6 && rng.u8(..3) == 0 {
                members.insert(name.clone(), self.document(property, rng, depth + 1));
            }
        }
        if node["additionalProperties"].is_object() {
            for name in ["a", "b c"].iter().take(rng.usize(..3)) {
                let value = self.document(&node["additionalProperties"], rng, depth + 1);
                members.insert((*name).to_owned(), value);
            }
        }
        Value::Object(members)
    }
}

/// Breaks one place of a document, most likely.
fn broken(mut document: Value, rng: &mut Rng) -> Value {
    let mut pointers = Vec::new();
    all(&document, String::new(), &mut pointers);
    let pointer = &pointers[rng.usize(..pointers.len())];
    let node = document.pointer_mut(pointer).unwrap();
    match node {
        Value::Object(members) if rng.u8(..3) > 0 => {
            let name = members.keys().nth(rng.usize(..=members.len())).cloned();
            match name {
                Some(name) if rng.bool() => {
                    members.remove(&name);
                }
                Some(name) => {
                    let value = members.remove(&name).unwrap();
                    members.insert(format!("{name}x"), value);
                }
                None => {
                    members.insert("strange".to_owned(), json!(1));
                }
            }
        }
        node => {
            *node = match rng.u8(..7) {
                0 => json!({}),
                1 => json!([]),
                2 => json!(["a"]),
                3 => json!(true),
                4 => json!("5s1m"),
                5 => json!(-3_000_000_000_i64),
                _ => json!(1.5),
            };
        }
    }
    document
}

fn all(node: &Value, pointer: String, into: &mut Vec<String>) {
    match node {
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                all(member, format!("{pointer}/{name}"), into);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                all(item, format!("{pointer}/{index}"), into);
            }
        }
        _ => {}
    }
    into.push(pointer);
}

/// What the parser says of the shape of one of the two files.
fn of_shape(pipeline: &str, task_definition: &str, file: &str) -> Vec<String> {
    load_from(&files(pipeline, task_definition))
        .problems
        .into_iter()
        .filter(|problem| OF_SHAPE.contains(&problem.code) && problem.source.path.ends_with(file))
        .map(|problem| format!("{}: {}", problem.code, problem.message))
        .collect()
}

fn agree(judge: &Judge, document: &Value, told: &[String]) -> Result<(), TestCaseError> {
    let errors: Vec<String> = judge
        .validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    prop_assert_eq!(
        errors.is_empty(),
        told.is_empty(),
        "schema: {:?}\nparser: {:?}\n{:#}",
        errors,
        told,
        document
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn on_task_definitions(seed in any::<u64>()) {
        static JUDGE: LazyLock<Judge> = LazyLock::new(|| Judge::new(&schema::task_definition()));
        let judge = &*JUDGE;
        let mut rng = Rng::with_seed(seed);
        let good = judge.document(&judge.schema, &mut rng, 0);
        let told = of_shape(PIPELINE, &good.to_string(), "task-definition.json");
        prop_assert_eq!(&told, &Vec::<String>::new());
        agree(judge, &good, &told)?;
        for _ in 0..8 {
            let bad = broken(good.clone(), &mut rng);
            let excepted = bad["cpu"].is_i64()
                || bad["memory"].is_i64()
                || bad.get("$schema").is_some_and(|schema| !schema.is_string());
            // A document that is a list is told as what it is.
            if bad.is_object() && !excepted {
                agree(judge, &bad, &of_shape(PIPELINE, &bad.to_string(), "task-definition.json"))?;
            }
        }
    }

    #[test]
    fn on_pipeline_files(seed in any::<u64>()) {
        static JUDGE: LazyLock<Judge> = LazyLock::new(|| Judge::new(&schema::pipeline()));
        let judge = &*JUDGE;
        let mut rng = Rng::with_seed(seed);
        let good = judge.document(&judge.schema, &mut rng, 0);
        let told = of_shape(&toml::to_string(&good).unwrap(), TASK_DEFINITION, "pipeline.toml");
        prop_assert_eq!(&told, &Vec::<String>::new(), "{:#}", good);
        agree(judge, &good, &told)?;
        for _ in 0..8 {
            let bad = broken(good.clone(), &mut rng);
            if let Ok(text) = toml::to_string(&bad) {
                agree(judge, &bad, &of_shape(&text, TASK_DEFINITION, "pipeline.toml"))?;
            }
        }
    }
}
