//! The members and types of requests, from a table, so that a request is judged as AWS's parser judges it before anything reads it.
//!
//! The table holds one line a member: the operation or structure that it belongs to, its name, its type, whether it is required, the values of its enumeration. It follows the
//! service's API model (2014-11-13).

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::Result;
use super::request::{CLIENT, INVALID, client, not_among, serialization};
use crate::error::ApiError;

/// What a value must be.
#[derive(Debug)]
enum Shape {
    Text(Vec<&'static str>),
    Integer,
    Number,
    Boolean,
    Timestamp,
    List(Box<Shape>),
    /// A map with strings as values.
    Texts,
    /// Named in the table.
    Structure(&'static str),
}

#[derive(Debug)]
struct Member {
    name: &'static str,
    required: bool,
    shape: Shape,
}

type Table = HashMap<&'static str, Vec<Member>>;

static TABLE: LazyLock<Table> = LazyLock::new(|| parse(include_str!("requests.tsv")));

/// The request with only the members that are modelled; an error when one has another type or value, or when one that is required inside a structure is missing.
///
/// What is missing from the request itself is for the operation to say: each has words of its own for it.
pub(super) fn conform(operation: &str, request: &Value) -> Result<Map<String, Value>> {
    let Value::Object(given) = request else {
        return Err(serialization(request, "structure"));
    };
    match TABLE.get(operation) {
        Some(members) => Place { operation }.structure(members, given, ""),
        // There is no such operation, which is the better thing to say.
        None => Ok(Map::new()),
    }
}

/// Whose request it is.
#[derive(Clone, Copy)]
struct Place<'a> {
    operation: &'a str,
}

impl Place<'_> {
    fn value(self, shape: &Shape, value: &Value, path: &str) -> Result<Value> {
        match (shape, value) {
            (Shape::Text(allowed), Value::String(text)) => {
                if !allowed.is_empty() && !allowed.contains(&text.as_str()) {
                    return Err(not_among(text, path, allowed));
                }
                Ok(value.clone())
            }
            (Shape::Integer, Value::Number(number)) if number.is_i64() => Ok(value.clone()),
            (Shape::Boolean, Value::Bool(_))
            | (Shape::Number | Shape::Timestamp, Value::Number(_)) => Ok(value.clone()),
            (Shape::List(item), Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(index, value)| {
                    self.value(item, value, &format!("{path}.{}.member", index + 1))
                })
                .collect::<Result<_>>()
                .map(Value::Array),
            (Shape::Texts, Value::Object(entries)) => {
                let mut texts = Map::new();
                for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
                    let value = self.value(&Shape::Text(Vec::new()), value, path)?;
                    texts.insert(key.clone(), value);
                }
                Ok(Value::Object(texts))
            }
            (Shape::Structure(name), Value::Object(given)) => {
                let members = TABLE.get(name).map_or(&[][..], Vec::as_slice);
                self.structure(members, given, path).map(Value::Object)
            }
            (Shape::Text(_), other) => Err(serialization(other, "a String")),
            (Shape::Integer, other) => Err(serialization(other, "an Integer")),
            (Shape::Number, other) => Err(serialization(other, "a Double")),
            (Shape::Timestamp, other) => Err(serialization(other, "a Timestamp")),
            (Shape::Boolean, other) => Err(serialization(other, "Boolean")),
            (Shape::List(_), other) => Err(serialization(other, "list")),
            (Shape::Texts | Shape::Structure(_), other) => Err(serialization(other, "structure")),
        }
    }

    fn structure(
        self,
        members: &[Member],
        given: &Map<String, Value>,
        path: &str,
    ) -> Result<Map<String, Value>> {
        let mut kept = Map::new();
        for member in members {
            match get(given, member.name).filter(|value| !value.is_null()) {
                Some(value) => {
                    let value = self.value(&member.shape, value, &join(path, member.name))?;
                    kept.insert(member.name.to_owned(), value);
                }
                None if member.required => self.missing(member.name, path)?,
                None => {}
            }
        }
        Ok(kept)
    }

    fn missing(self, name: &str, path: &str) -> Result<()> {
        let registers = self.operation == "RegisterTaskDefinition";
        if path.is_empty() {
            return match name {
                "family" => Err(client("Family cannot be null or empty.")),
                "containerDefinitions" => Err(client("Container list cannot be empty.")),
                _ => Ok(()),
            };
        }
        let code = if registers { CLIENT } else { INVALID };
        let path = join(path, name);
        Err(ApiError::new(
            code,
            format!(
                "1 validation error detected: Value null at '{path}' failed to satisfy constraint: Member must not be null"
            ),
        ))
    }
}

/// The member of that name. A request has few of the members that it may have, and then it is quicker to compare names than to hash each.
fn get<'a>(given: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if given.len() > 8 {
        return given.get(name);
    }
    let mut members = given.iter();
    members.find_map(|(known, value)| (known == name).then_some(value))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        return name.to_owned();
    }
    format!("{path}.{name}")
}

fn parse(text: &'static str) -> Table {
    let mut table = Table::new();
    for line in text.lines().skip(1) {
        let mut columns = line.split('\t');
        let (Some(structure), Some(name), Some(kind)) =
            (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let required = columns.next() == Some("yes");
        let allowed = columns
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        table.entry(structure).or_default().push(Member {
            name,
            required,
            shape: shape(kind, allowed),
        });
    }
    table
}

fn shape(kind: &'static str, allowed: Vec<&'static str>) -> Shape {
    if let Some(item) = kind.strip_prefix("list of ") {
        return Shape::List(Box::new(shape(item, allowed)));
    }
    match kind {
        "string" => Shape::Text(allowed),
        "integer" => Shape::Integer,
        "number" => Shape::Number,
        "boolean" => Shape::Boolean,
        "timestamp" => Shape::Timestamp,
        "map of string" => Shape::Texts,
        structure => Shape::Structure(structure),
    }
}
