//! From a tree of values to typed records, with every problem told and not only the first.
//!
//! serde stops at the first mistake; a person mends a file once. So records decode here: each field reports its own problem at its own place and
//! decoding goes on. The `record!` and `choice!` macros define a type, its decoder and its JSON Schema from one definition, so the three cannot differ.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use diagnostic::{Diagnostic, Source};

use crate::hints::{self, Expected};
use crate::ranges;
use crate::tree::{Member, Node, Value};

/// Where problems of one file are gathered.
pub(crate) struct Context<'a> {
    pub source: &'a Arc<Source>,
    pub problems: &'a mut Vec<Diagnostic>,
    /// Whether members that must be there may be left out: the document is a part of another.
    pub partial: bool,
    /// Members that this version does not know and that are allowed by name.
    pub newer: &'a [String],
}

impl Context<'_> {
    /// Adds an error and hands it back for more words.
    pub fn error(&mut self, code: &'static str, span: Range<usize>, message: impl Into<String>) {
        self.problems
            .push(Diagnostic::error(code, self.source, span, message));
    }

    fn error_with_help(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let mut problem = Diagnostic::error(code, self.source, span, message);
        problem.help = help;
        self.problems.push(problem);
    }

    fn wrong_type(&mut self, node: &Node, expected: Expected) {
        let help = hints::wrong_type(node, expected);
        self.wrong_type_with_help(node, expected, help);
    }

    fn wrong_type_with_help(&mut self, node: &Node, expected: Expected, help: Option<String>) {
        let code = if hints::is_unquoted_placeholder(node) {
            "unquoted-placeholder"
        } else {
            "wrong-type"
        };
        let message = format!("expected {}, found {}", expected.name(), node.describe());
        self.error_with_help(code, node.name_span(), message, help);
    }
}

/// A type that can be read from a [`Node`]. `None` means that the problem has been told. What is given may hold stand-ins: it may only be used when no
/// problem was told.
pub(crate) trait Decode: Sized {
    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self>;

    /// The value when the member is not there; `None` when it must be.
    fn absent() -> Option<Self> {
        None
    }

    /// What stands in for a value that could not be read, so that what depends on others can still be looked at; `None` when nothing can.
    fn stand_in() -> Option<Self> {
        Self::absent()
    }
}

impl Decode for String {
    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let Value::String(text) = &node.value else {
            context.wrong_type(node, Expected::String);
            return None;
        };
        Some(text.clone())
    }

    /// Checks take an empty string for one that is not known.
    fn stand_in() -> Option<Self> {
        Some(Self::new())
    }
}

impl Decode for bool {
    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let Value::Bool(value) = node.value else {
            context.wrong_type(node, Expected::Bool);
            return None;
        };
        Some(value)
    }
}

macro_rules! decode_integer {
    ($($type:ty),*) => {$(
        impl Decode for $type {
            fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
                let Value::Integer(number) = node.value else {
                    context.wrong_type(node, Expected::Integer);
                    return None;
                };
                let Ok(number) = Self::try_from(number) else {
                    context.error(
                        "out-of-range",
                        node.span.clone(),
                        format!("{number} is not between {} and {}", Self::MIN, Self::MAX),
                    );
                    return None;
                };
                Some(number)
            }
        }
    )*};
}
decode_integer!(u16, u32, i32);

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        if node.value == Value::Null {
            return Some(None);
        }
        T::decode(node, context).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        T::decode(node, context).map(Self::new)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let Value::List(items) = &node.value else {
            context.wrong_type(node, Expected::List);
            return None;
        };
        let decoded: Vec<Option<T>> = items.iter().map(|item| T::decode(item, context)).collect();
        // With one item left out, those behind it would be looked at in the wrong place.
        decoded.into_iter().collect()
    }

    fn stand_in() -> Option<Self> {
        Some(Self::new())
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let Value::Object(members) = &node.value else {
            context.wrong_type(node, Expected::Names);
            return None;
        };
        let decode =
            |member: &Member| Some((member.key.clone(), T::decode(&member.node, context)?));
        Some(members.iter().filter_map(decode).collect())
    }

    fn stand_in() -> Option<Self> {
        Some(Self::new())
    }
}

/// Reads the members of a record one by one; made and used by the `record!` macro.
pub(crate) struct Fields<'a, 'c, 's> {
    node: &'a Node,
    context: &'c mut Context<'s>,
    record: &'static Record,
    next: usize,
}

/// What is known of a record before anything is read.
#[derive(Debug)]
pub(crate) struct Record {
    /// Its name in the code.
    name: &'static str,
    /// Its members, as the code has them and as the file does.
    members: Vec<(&'static str, String)>,
    naming: Naming,
}

impl Record {
    pub fn new(name: &'static str, members: &[&'static str], naming: Naming) -> Self {
        let members = members.iter().map(|member| (*member, naming.name(member)));
        Self {
            name,
            members: members.collect(),
            naming,
        }
    }
}

impl<'a, 'c, 's> Fields<'a, 'c, 's> {
    pub fn new(
        node: &'a Node,
        context: &'c mut Context<'s>,
        record: &'static Record,
    ) -> Option<Self> {
        let Value::Object(members) = &node.value else {
            context.wrong_type(node, Expected::Members);
            return None;
        };
        for member in members {
            let known = record.members.iter().any(|(_, name)| *name == member.key);
            let newer = record.naming == Naming::Camel && context.newer.contains(&member.key);
            if !known && !newer {
                let names: Vec<&str> = record.members.iter().map(|(_, name)| &**name).collect();
                let help = hints::unknown_key(record.name, record.naming, &member.key, &names);
                context.error_with_help(
                    "unknown-key",
                    member.key_span.clone(),
                    format!("unknown key `{}`", member.key),
                    Some(help),
                );
            }
        }
        Some(Self {
            node,
            context,
            record,
            next: 0,
        })
    }

    /// The next field, or what stands in for it when it could not be read.
    pub fn take<T: Decode>(&mut self) -> Option<T> {
        let record = self.record;
        let (field, name) = &record.members[self.next];
        self.next += 1;
        let value = match self.node.get(name) {
            Some(node) if self.is_bare_command(field, node) => None,
            Some(node) if self.in_range(field, node) => T::decode(node, self.context),
            Some(_) => None,
            None => T::absent().or_else(|| {
                if !self.context.partial {
                    self.context.error_with_help(
                        "missing-key",
                        self.node.name_span(),
                        format!("`{name}` is missing here"),
                        hints::missing_key(record.name, name),
                    );
                }
                None
            }),
        };
        value.or_else(T::stand_in)
    }

    /// Whether a health check's command is one string; tells how its words are divided, which is not the same as for other lists.
    fn is_bare_command(&mut self, field: &str, node: &Node) -> bool {
        let Value::String(text) = &node.value else {
            return false;
        };
        if (self.record.name, field) != ("HealthCheck", "command") {
            return false;
        }
        let help = Some(hints::health_check_command(text));
        self.context
            .wrong_type_with_help(node, Expected::List, help);
        true
    }

    /// Whether a number is one that ECS takes there; tells it when it is not.
    fn in_range(&mut self, field: &str, node: &Node) -> bool {
        let (Value::Integer(number), Some(range)) =
            (&node.value, ranges::of(self.record.name, field))
        else {
            return true;
        };
        if (range.least..=range.most).contains(number) {
            return true;
        }
        let message = format!("{number} is not between {} and {}", range.least, range.most);
        self.context
            .error("out-of-range", node.span.clone(), message);
        false
    }
}

/// How a file names its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// As AWS's documents do: `fieldName`.
    Camel,
    /// As our TOML does: `field-name`.
    Kebab,
}

impl Naming {
    /// The name of a field in the file.
    pub fn name(self, field: &str) -> String {
        match self {
            Self::Camel => camel_case(field),
            Self::Kebab => kebab_case(field),
        }
    }
}

fn camel_case(field: &str) -> String {
    let mut name = String::with_capacity(field.len());
    let mut upper = false;
    for c in field.trim_start_matches("r#").chars() {
        if c == '_' {
            upper = true;
        } else if upper {
            name.extend(c.to_uppercase());
            upper = false;
        } else {
            name.push(c);
        }
    }
    name
}

fn kebab_case(field: &str) -> String {
    field.trim_start_matches("r#").replace('_', "-")
}

/// Of the known words the one that a misspelt word most likely meant.
pub(crate) fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    known
        .map(|candidate| {
            let (a, b) = (word.to_lowercase(), candidate.to_lowercase());
            (edit_distance(&a.replace('_', "-"), &b), candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, substitutions and swaps of neighbours between two words.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let substitution = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = substitution.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

/// Reads a word that must be one of a set; used by the `choice!` macro.
pub(crate) fn decode_choice<T: Copy>(
    node: &Node,
    context: &mut Context<'_>,
    words: &[(&'static str, T)],
) -> Option<T> {
    let text = String::decode(node, context)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    context.error_with_help(
        "unknown-value",
        node.span.clone(),
        format!("{} is not a value that can stand here", node.describe()),
        Some(hints::unknown_value(&text, &words)),
    );
    None
}

/// Defines a record: the struct, its decoder and its JSON Schema. `camelCase` for AWS's documents, `kebab-case` for ours.
macro_rules! record {
    (@naming "camelCase") => { $crate::decode::Naming::Camel };
    (@naming "kebab-case") => { $crate::decode::Naming::Kebab };
    ($case:tt; $(
        $(#[$meta:meta])*
        struct $name:ident {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty ),* $(,)?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, schemars::JsonSchema)]
        #[serde(rename_all = $case, deny_unknown_fields)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl $name {
            /// Names of its members, as the code has them.
            pub(crate) const MEMBERS: &[&str] = &[$(stringify!($field)),*];
        }

        impl $crate::decode::Decode for $name {
            fn decode(
                node: &$crate::tree::Node,
                context: &mut $crate::decode::Context<'_>,
            ) -> Option<Self> {
                static RECORD: std::sync::LazyLock<$crate::decode::Record> =
                    std::sync::LazyLock::new(|| {
                        $crate::decode::Record::new(
                            stringify!($name),
                            $name::MEMBERS,
                            record!(@naming $case),
                        )
                    });
                let mut fields = $crate::decode::Fields::new(node, context, &RECORD)?;
                // In the order of the members; all are read before one that has no stand-in makes the record fail.
                $( let $field = fields.take(); )*
                Some(Self { $( $field: $field? ),* })
            }
        }
    )*};
}
pub(crate) use record;

/// Defines a word out of a set: the enum, its decoder, its spelling and its JSON Schema.
macro_rules! choice {
    ($(
        $(#[$meta:meta])*
        enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $word:literal ),* $(,)?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
        pub enum $name {
            $( $(#[$variant_meta])* #[serde(rename = $word)] $variant, )*
        }

        impl $crate::decode::Decode for $name {
            fn decode(
                node: &$crate::tree::Node,
                context: &mut $crate::decode::Context<'_>,
            ) -> Option<Self> {
                $crate::decode::decode_choice(node, context, &[$(($word, Self::$variant)),*])
            }
        }
    )*};
}
pub(crate) use choice;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_file() {
        for (field, camel, kebab) in [
            ("size_in_gi_b", "sizeInGiB", "size-in-gi-b"),
            ("r#type", "type", "type"),
            (
                "s3files_volume_configuration",
                "s3filesVolumeConfiguration",
                "s3files-volume-configuration",
            ),
        ] {
            assert_eq!(camel_case(field), camel);
            assert_eq!(kebab_case(field), kebab);
        }
    }

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_a_strange_one_none() {
        let known = ["package", "platform", "container-name"];
        for (word, expected) in [
            ("pakage", Some("package")),
            ("pacakge", Some("package")),
            ("Platform", Some("platform")),
            ("container_name", Some("container-name")),
            ("zebra", None),
        ] {
            assert_eq!(closest(word, known.into_iter()), expected, "{word}");
        }
    }
}
