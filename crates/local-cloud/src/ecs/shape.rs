//! The members and types of a `RegisterTaskDefinition` request, from a table, so that a document is judged as AWS's parser judges it.
//!
//! The table holds one line a member: path, type, whether it is required, values of the enumeration. It follows the service's API model (2014-11-13).

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::Result;
use super::request::{client, not_among, serialization};

/// What a value must be.
#[derive(Debug)]
enum Shape {
    Text(Vec<&'static str>),
    Integer,
    Boolean,
    List(Box<Shape>),
    /// A map with strings as values.
    Texts,
    Structure(Vec<Member>),
}

#[derive(Debug)]
struct Member {
    name: &'static str,
    required: bool,
    shape: Shape,
}

static REGISTER: LazyLock<Vec<Member>> =
    LazyLock::new(|| parse(include_str!("register-task-definition.tsv")));

/// The document with only the members that are modelled; an error when one has another type or value, or a required one is missing.
pub(super) fn task_definition(request: &Map<String, Value>) -> Result<Map<String, Value>> {
    structure(&REGISTER, request, "")
}

fn conform(shape: &Shape, value: &Value, path: &str) -> Result<Value> {
    match (shape, value) {
        (Shape::Text(allowed), Value::String(text)) => {
            if !allowed.is_empty() && !allowed.contains(&text.as_str()) {
                return Err(not_among(text, path, allowed));
            }
            Ok(value.clone())
        }
        (Shape::Integer, Value::Number(number)) if number.is_i64() => Ok(value.clone()),
        (Shape::Boolean, Value::Bool(_)) => Ok(value.clone()),
        (Shape::List(item), Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(index, value)| conform(item, value, &format!("{path}.{}.member", index + 1)))
            .collect::<Result<_>>()
            .map(Value::Array),
        (Shape::Texts, Value::Object(entries)) => {
            let mut texts = Map::new();
            for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
                let value = conform(&Shape::Text(Vec::new()), value, path)?;
                texts.insert(key.clone(), value);
            }
            Ok(Value::Object(texts))
        }
        (Shape::Structure(members), Value::Object(given)) => {
            structure(members, given, path).map(Value::Object)
        }
        (Shape::Text(_), other) => Err(serialization(other, "a String")),
        (Shape::Integer, other) => Err(serialization(other, "an Integer")),
        (Shape::Boolean, other) => Err(serialization(other, "Boolean")),
        (Shape::List(_), other) => Err(serialization(other, "list")),
        (Shape::Texts | Shape::Structure(_), other) => Err(serialization(other, "structure")),
    }
}

fn structure(
    members: &[Member],
    given: &Map<String, Value>,
    path: &str,
) -> Result<Map<String, Value>> {
    let mut kept = Map::new();
    for member in members {
        let path = if path.is_empty() {
            member.name.to_owned()
        } else {
            format!("{path}.{}", member.name)
        };
        match given.get(member.name).filter(|value| !value.is_null()) {
            Some(value) => {
                let value = conform(&member.shape, value, &path)?;
                kept.insert(member.name.to_owned(), value);
            }
            None if member.required => return Err(missing(member.name, &path)),
            None => {}
        }
    }
    Ok(kept)
}

fn missing(name: &str, path: &str) -> crate::error::ApiError {
    match name {
        "family" => client("Family cannot be null or empty."),
        "containerDefinitions" => client("Container list cannot be empty."),
        _ => client(format!(
            "1 validation error detected: Value null at '{path}' failed to satisfy constraint: Member must not be null"
        )),
    }
}

fn parse(table: &'static str) -> Vec<Member> {
    let mut root = Vec::new();
    for line in table.lines().skip(1) {
        let mut columns = line.split('\t');
        let (Some(path), Some(kind)) = (columns.next(), columns.next()) else {
            continue;
        };
        let required = columns.next() == Some("yes");
        let allowed = columns
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let shape = match kind {
            "integer" => Shape::Integer,
            "boolean" => Shape::Boolean,
            "structure" => Shape::Structure(Vec::new()),
            "map of string" => Shape::Texts,
            "list of string" => Shape::List(Box::new(Shape::Text(allowed))),
            "list of integer" => Shape::List(Box::new(Shape::Integer)),
            "list of structure" => Shape::List(Box::new(Shape::Structure(Vec::new()))),
            _ => Shape::Text(allowed),
        };
        insert(&mut root, path, required, shape);
    }
    root
}

/// Puts `shape` at `path`; its parents stand before it in the table.
fn insert(members: &mut Vec<Member>, path: &'static str, required: bool, shape: Shape) {
    let Some((name, rest)) = path.split_once('.') else {
        members.push(Member {
            name: path.trim_end_matches("[]"),
            required,
            shape,
        });
        return;
    };
    let name = name.trim_end_matches("[]");
    let parent = members.iter_mut().find(|member| member.name == name);
    match parent.map(|member| &mut member.shape) {
        Some(Shape::Structure(members)) => insert(members, rest, required, shape),
        Some(Shape::List(item)) => {
            if let Shape::Structure(members) = item.as_mut() {
                insert(members, rest, required, shape);
            }
        }
        _ => {}
    }
}
