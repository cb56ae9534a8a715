//! One tree for TOML and JSON: values with the places they stand at.
//!
//! Both kinds of file are read into [`Node`]s first and typed afterwards. So every later finding, of whatever rule, can name line and column, and there is one decoder for both.

use std::ops::Range;
use std::sync::Arc;

use diagnostic::{Diagnostic, Source};
use jsonc_parser::ast;
use toml::de::DeTable;

use crate::jsonc;
use crate::lint::has_secret_shape;

/// A value and its byte range in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Range<usize>,
    /// What it is.
    pub value: Value,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// JSON's null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number that fits.
    Integer(i64),
    /// Any other number, or a TOML date, as written.
    Other(String),
    /// A string.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// An object or table, in the order of the file.
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name.
    pub key: String,
    /// Where the name stands.
    pub key_span: Range<usize>,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// The member of that name, of an object that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.member(key).map(|member| &member.node)
    }

    fn member(&self, key: &str) -> Option<&Member> {
        match &self.value {
            Value::Object(members) => members.iter().find(|member| member.key == key),
            _ => None,
        }
    }

    /// The place of the value at a path of member names and list positions (`0`, `1`, …). Where the path leaves the file, the last place that is in it.
    pub fn place(&self, path: &[&str]) -> Range<usize> {
        let mut node = self;
        let mut span = self.name_span();
        for step in path {
            let next = match &node.value {
                Value::Object(_) => node.member(step).map(|member| {
                    // A table's own span is its whole text or just its header; its name is what a reader looks for.
                    let span = match member.node.value {
                        Value::Object(_) => member.key_span.clone(),
                        _ => member.node.span.clone(),
                    };
                    (&member.node, span)
                }),
                Value::List(items) => step
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| items.get(index))
                    .map(|item| (item, item.name_span())),
                _ => None,
            };
            let Some((next, next_span)) = next else { break };
            node = next;
            span = next_span;
        }
        span
    }

    /// The node at a path of member names and list positions, when all of it is there.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, step| match &node.value {
            Value::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => node.get(step),
        })
    }

    /// The place of the name of the member at a path; that of the value where the file does not go so far.
    pub(crate) fn key_place(&self, path: &[&str]) -> Range<usize> {
        path.split_last()
            .and_then(|(last, parents)| self.at(parents)?.member(last))
            .map_or_else(|| self.place(path), |member| member.key_span.clone())
    }

    /// A short place that stands for the whole value: an object's first character, everything of a scalar.
    pub(crate) fn name_span(&self) -> Range<usize> {
        match &self.value {
            Value::Object(_) | Value::List(_) => {
                self.span.start..self.span.end.min(self.span.start + 1)
            }
            _ => self.span.clone(),
        }
    }

    /// What it is, in words that an error can use.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "null".into(),
            Value::Bool(value) => format!("the boolean {value}"),
            Value::Integer(value) => format!("the number {value}"),
            Value::Other(text) => format!("`{text}`"),
            Value::String(text) if text.chars().count() <= 40 && !has_secret_shape(text) => {
                format!("the string {text:?}")
            }
            Value::String(_) => "a string".into(),
            Value::List(_) => "a list".into(),
            Value::Object(_) => "a table of members".into(),
        }
    }
}

/// Reads TOML. All syntax errors that the parser can recover from are told at once.
pub(crate) fn parse_toml(source: &Arc<Source>, problems: &mut Vec<Diagnostic>) -> Option<Node> {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    if errors.is_empty() {
        let span = 0..source.text.len();
        return Some(from_toml_table(table.get_ref(), span));
    }
    let mut last: Option<(Range<usize>, String)> = None;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().trim_end().to_owned();
        // A row of the same wrong characters is one mistake.
        let again = last.as_ref().is_some_and(|(before, said)| {
            *said == message && span.start <= before.end.max(before.start + 1)
        });
        last = Some((span.clone(), message.clone()));
        if again {
            continue;
        }
        problems.push(Diagnostic::error(
            "toml-syntax",
            source,
            span,
            format!("this is not TOML: {message}"),
        ));
    }
    None
}

fn from_toml_table(table: &DeTable<'_>, span: Range<usize>) -> Node {
    let mut members: Vec<Member> = table
        .iter()
        .map(|(key, value)| Member {
            key: key.get_ref().to_string(),
            key_span: key.span(),
            node: from_toml(value.get_ref(), value.span()),
        })
        .collect();
    members.sort_by_key(|member| member.key_span.start);
    Node {
        span,
        value: Value::Object(members),
    }
}

fn from_toml(value: &toml::de::DeValue<'_>, span: Range<usize>) -> Node {
    use toml::de::DeValue;
    let value = match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other(number.as_str().to_owned()),
        },
        DeValue::Float(number) => Value::Other(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(date) => Value::Other(date.to_string()),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| from_toml(item.get_ref(), item.span()))
                .collect(),
        ),
        DeValue::Table(table) => return from_toml_table(table, span),
    };
    Node { span, value }
}

/// Reads JSON, with the comments and trailing commas that people's files hold.
pub(crate) fn parse_json(source: &Arc<Source>, problems: &mut Vec<Diagnostic>) -> Option<Node> {
    let options = jsonc_parser::ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parse =
        |text| jsonc_parser::parse_to_ast(text, &jsonc_parser::CollectOptions::default(), &options);
    let mut parsed = parse(&source.text);
    let text;
    let mut unquoted = Vec::new();
    if parsed.is_err() {
        // Numbers in their place, so that all else can be looked at.
        (text, unquoted) = jsonc::without_unquoted_placeholders(&source.text);
        if let Ok(mended) = parse(&text) {
            parsed = Ok(mended);
        }
    }
    match parsed {
        Ok(jsonc_parser::ParseResult {
            value: Some(value), ..
        }) => {
            let mut node = from_json(&value);
            if !unquoted.is_empty() {
                put_back(&mut node, &unquoted, &source.text);
            }
            repeated_keys(&node, source, problems);
            Some(node)
        }
        Ok(_) => {
            problems.push(Diagnostic::error(
                "json-syntax",
                source,
                0..0,
                "the file holds no JSON value",
            ));
            None
        }
        Err(error) => {
            let range = error.range();
            problems.push(Diagnostic::error(
                "json-syntax",
                source,
                range.start..range.end,
                format!("this is not JSON: {}", error.kind()),
            ));
            None
        }
    }
}

/// Placeholders without quotes, where numbers were read in their stead.
fn put_back(node: &mut Node, unquoted: &[Range<usize>], text: &str) {
    match &mut node.value {
        Value::Integer(_) => {
            if let Some(span) = unquoted.iter().find(|span| span.start == node.span.start) {
                node.span = span.clone();
                node.value = Value::Other(text[span.clone()].to_owned());
            }
        }
        Value::List(items) => {
            for item in items {
                put_back(item, unquoted, text);
            }
        }
        Value::Object(members) => {
            for member in members {
                put_back(&mut member.node, unquoted, text);
            }
        }
        _ => {}
    }
}

/// JSON lets a name stand twice and drops one of the two in silence; a deployment should not.
fn repeated_keys(node: &Node, source: &Arc<Source>, problems: &mut Vec<Diagnostic>) {
    match &node.value {
        Value::Object(members) => {
            for (index, member) in members.iter().enumerate() {
                if members[..index].iter().any(|other| other.key == member.key) {
                    problems.push(
                        Diagnostic::error(
                            "repeated-key",
                            source,
                            member.key_span.clone(),
                            format!("`{}` stands twice in the same object", member.key),
                        )
                        .help("keep one of the two"),
                    );
                }
                repeated_keys(&member.node, source, problems);
            }
        }
        Value::List(items) => {
            for item in items {
                repeated_keys(item, source, problems);
            }
        }
        _ => {}
    }
}

fn from_json(value: &ast::Value<'_>) -> Node {
    fn range(range: jsonc_parser::common::Range) -> Range<usize> {
        range.start..range.end
    }
    match value {
        ast::Value::StringLit(text) => Node {
            span: range(text.range),
            value: Value::String(text.value.to_string()),
        },
        ast::Value::NumberLit(number) => Node {
            span: range(number.range),
            value: number
                .value
                .parse()
                .map_or_else(|_| Value::Other(number.value.to_owned()), Value::Integer),
        },
        ast::Value::BooleanLit(value) => Node {
            span: range(value.range),
            value: Value::Bool(value.value),
        },
        ast::Value::NullKeyword(null) => Node {
            span: range(null.range),
            value: Value::Null,
        },
        ast::Value::Array(list) => Node {
            span: range(list.range),
            value: Value::List(list.elements.iter().map(from_json).collect()),
        },
        ast::Value::Object(object) => Node {
            span: range(object.range),
            value: Value::Object(
                object
                    .properties
                    .iter()
                    .map(|property| {
                        let name = match &property.name {
                            ast::ObjectPropName::String(name) => range(name.range),
                            ast::ObjectPropName::Word(name) => range(name.range),
                        };
                        Member {
                            key: property.name.as_str().to_owned(),
                            key_span: name,
                            node: from_json(&property.value),
                        }
                    })
                    .collect(),
            ),
        },
    }
}

/// JSON as a tree that has no places.
pub(crate) fn from_value(value: &serde_json::Value) -> Node {
    from_value_with(value, None, &mut |_| 0..0)
}

/// JSON as a tree whose places are what `place` makes of each value's path, such as `containerDefinitions.app.image`. Entries that have a name go by it. Without a path to begin
/// with, none is made.
pub(crate) fn from_value_with(
    value: &serde_json::Value,
    path: Option<&str>,
    place: &mut dyn FnMut(&str) -> Range<usize>,
) -> Node {
    use serde_json::Value as Json;
    let join = |step: &dyn std::fmt::Display| match path? {
        "" => Some(step.to_string()),
        path => Some(format!("{path}.{step}")),
    };
    let span = place(path.unwrap_or_default());
    let value = match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number
            .as_i64()
            .map_or_else(|| Value::Other(number.to_string()), Value::Integer),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::List(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    let step = match &item["name"] {
                        Json::String(name) => join(name),
                        _ => join(&index),
                    };
                    from_value_with(item, step.as_deref(), place)
                })
                .collect(),
        ),
        Json::Object(members) => Value::Object(
            members
                .iter()
                .map(|(key, value)| {
                    let node = from_value_with(value, join(key).as_deref(), place);
                    Member {
                        key: key.clone(),
                        key_span: node.span.clone(),
                        node,
                    }
                })
                .collect(),
        ),
    };
    Node { span, value }
}

/// The tree as JSON, without its places.
pub(crate) fn to_json(node: &Node) -> serde_json::Value {
    use serde_json::Value as Json;
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Integer(number) => Json::from(*number),
        Value::Other(text) => text
            .parse()
            .map_or_else(|_| Json::from(text.clone()), Json::Number),
        Value::String(text) => Json::from(text.clone()),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|member| (member.key.clone(), to_json(&member.node)));
            Json::Object(members.collect())
        }
    }
}
