//! The schemas have every member, described.

use service_config::schema;

/// Every path of RegisterTaskDefinition's input, from the ECS API model, is in the schema with its type and words.
#[test]
fn the_schema_has_every_member_of_the_api() {
    let schema: serde_json::Value = serde_json::from_str(&schema::task_definition()).unwrap();
    let table = include_str!("fixtures/register-task-definition.tsv");
    let mut seen = 0;
    for line in table.lines().skip(1) {
        let mut columns = line.split('\t');
        let (path, kind) = (columns.next().unwrap(), columns.next().unwrap());
        let required = columns.next().unwrap_or_default() == "yes";
        let words: Vec<&str> = columns
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let (parent, node, name) = at(&schema, path);
        assert!(node["description"].is_string(), "{path} has no description");
        let required_here = parent["required"]
            .as_array()
            .is_some_and(|list| list.contains(&name.into()));
        assert_eq!(required_here, required, "{path}: required");
        let node = resolve(&schema, node);
        let leaf = if path.ends_with("[]") {
            resolve(&schema, &node["items"])
        } else {
            node
        };
        let expected = match kind {
            "structure" | "list of structure" | "map of string" => "object",
            "list of string" => "string",
            "list of integer" => "integer",
            other => other,
        };
        let words_here: Vec<&str> = leaf["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|word| word["const"].as_str().or(word["enum"][0].as_str()))
            .collect();
        if words.is_empty() {
            assert_eq!(leaf["type"], expected, "{path}");
        } else {
            assert_eq!(words_here, words, "{path}");
        }
        seen += 1;
    }
    assert_eq!(seen, 162);
}

/// Editors show descriptions beside what they complete, and on hover.
#[test]
fn every_member_and_every_word_is_described() {
    for (text, least) in [(schema::pipeline(), 200), (schema::task_definition(), 159)] {
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut seen = 0;
        described(&schema, "", &mut seen);
        assert!(seen >= least, "{seen}");
    }
}

fn described(node: &serde_json::Value, path: &str, seen: &mut usize) {
    let has_words = |node: &serde_json::Value| {
        node["description"]
            .as_str()
            .is_some_and(|text| text.trim().len() > 2 && !text.contains("TODO"))
    };
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        assert!(has_words(property), "{path}/{name} has no description");
        *seen += 1;
    }
    for word in node["oneOf"].as_array().into_iter().flatten() {
        assert!(has_words(word), "{path}: {word} has no description");
    }
    for (name, definition) in node["definitions"].as_object().into_iter().flatten() {
        described(definition, &format!("{path}/{name}"), seen);
    }
}

fn resolve<'a>(
    schema: &'a serde_json::Value,
    node: &'a serde_json::Value,
) -> &'a serde_json::Value {
    let reference = node["$ref"].as_str().or(node["allOf"][0]["$ref"].as_str());
    reference.map_or(node, |reference| schema.pointer(&reference[1..]).unwrap())
}

/// The object that a path's last member belongs to, the member's schema, and its name.
fn at<'a>(
    schema: &'a serde_json::Value,
    path: &'a str,
) -> (&'a serde_json::Value, &'a serde_json::Value, &'a str) {
    let mut parent = schema;
    let mut node = schema;
    let mut last = "";
    for step in path.split('.') {
        let name = step.trim_end_matches("[]");
        if !last.is_empty() {
            node = resolve(schema, node);
            if last.ends_with("[]") {
                node = resolve(schema, &node["items"]);
            }
        }
        parent = node;
        node = &node["properties"][name];
        assert!(node.is_object(), "{path}: {name} is not in the schema");
        last = step;
    }
    (parent, node, last.trim_end_matches("[]"))
}
