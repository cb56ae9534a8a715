//! What people's task definition files hold besides what RegisterTaskDefinition takes, brought to one form before it is typed.
//!
//! Barely half of the files in public repositories can be registered as they stand. What has one meaning is accepted, with a note that says what was dropped or rewritten; what has none is left for the decoder to refuse.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use diagnostic::{Diagnostic, Severity, Source};

use crate::jsonc::{self, Edit};
use crate::placeholder::foreign;
use crate::tree::{Member, Node, Value};

/// Members that only DescribeTaskDefinition answers (ECS API reference, `TaskDefinition`).
const READ_ONLY: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];

/// The task definition in one form, and how the file gets it.
pub(crate) struct Normal {
    /// Its tree.
    pub root: Node,
    /// The file as it should be written; none when it is so already.
    pub clean: Option<String>,
}

/// The task definition in one form. What has none is left for the decoder to refuse.
pub(crate) fn task_definition(
    root: Node,
    source: &Arc<Source>,
    problems: &mut Vec<Diagnostic>,
) -> Normal {
    let mut work = Work {
        source,
        problems,
        edits: Vec::new(),
        trailing_commas: false,
    };
    let outer = root.span.clone();
    let schema = root.get("$schema").cloned();
    let (mut root, unwrapped) = work.unwrapped(root);
    if let Value::List(_) = root.value {
        root = work.bare_containers(root);
    }
    let schema = schema.filter(|_| unwrapped && root.get("$schema").is_none());
    if let Value::Object(members) = &mut root.value {
        members.retain(|member| {
            let read_only = READ_ONLY.contains(&member.key.as_str());
            if read_only {
                let message = format!(
                    "`{}` is what ECS answers, not what it takes; it is left out",
                    member.key
                );
                work.drop("read-only-member", member, message);
            }
            // `$schema` is for editors.
            !read_only && member.key != "$schema"
        });
        for member in members
            .iter_mut()
            .filter(|member| member.key == "cpu" || member.key == "memory")
        {
            work.size(member);
        }
    }
    work.drop_nulls(&mut root);
    work.trailing_commas();
    let rewritten = unwrapped || work.trailing_commas || !work.edits.is_empty();
    let clean = rewritten.then(|| work.clean(&outer, &root, schema));
    Normal { root, clean }
}

/// One file while it is brought to one form.
struct Work<'a> {
    source: &'a Arc<Source>,
    problems: &'a mut Vec<Diagnostic>,
    edits: Vec<Edit>,
    trailing_commas: bool,
}

impl Work<'_> {
    fn note(&mut self, code: &'static str, span: Range<usize>, message: String) {
        note(self.problems, code, self.source, span, message);
    }

    fn drop(&mut self, code: &'static str, member: &Member, message: String) {
        self.note(code, member.key_span.clone(), message);
        let span = member.key_span.start..member.node.span.end;
        self.edits.push(Edit::Remove(span));
    }

    /// `{"taskDefinition": {…}}`, as DescribeTaskDefinition answers. What is inside, and whether it was so.
    fn unwrapped(&mut self, root: Node) -> (Node, bool) {
        let wrapped = root
            .get("taskDefinition")
            .is_some_and(|inner| matches!(inner.value, Value::Object(_)))
            && root.get("containerDefinitions").is_none();
        let Value::Object(members) = root.value else {
            return (root, false);
        };
        if !wrapped {
            let value = Value::Object(members);
            let span = root.span;
            return (Node { span, value }, false);
        }
        let mut inner = None;
        for member in members {
            let message = match member.key.as_str() {
                "taskDefinition" => {
                    "the task definition is wrapped in `taskDefinition`; what is inside is used"
                        .to_owned()
                }
                "$schema" => continue,
                other => format!("`{other}` beside `taskDefinition` is left out"),
            };
            self.note("wrapped-document", member.key_span, message);
            if member.key == "taskDefinition" {
                inner = Some(member.node);
            }
        }
        // The check above has seen the member.
        let nothing = || Node {
            span: root.span,
            value: Value::Object(Vec::new()),
        };
        (inner.unwrap_or_else(nothing), true)
    }

    /// A list of containers, as Terraform takes: an error, and its containers are looked at all the same.
    fn bare_containers(&mut self, list: Node) -> Node {
        let message = "this is a list of containers, not a task definition";
        self.problems.push(
            Diagnostic::error("bare-containers", self.source, list.name_span(), message).help(
                "write {\"family\": \"${service}\", \"containerDefinitions\": [ … ]} around it",
            ),
        );
        let start = list.span.start..list.span.start;
        let member = |key: &str, node: Node| Member {
            key: key.to_owned(),
            key_span: start.clone(),
            node,
        };
        let family = Node {
            span: start.clone(),
            value: Value::String(String::new()),
        };
        Node {
            span: list.span.clone(),
            value: Value::Object(vec![
                member("family", family),
                member("containerDefinitions", list),
            ]),
        }
    }

    fn drop_nulls(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::Object(members) => {
                members.retain(|member| {
                    let null = member.node.value == Value::Null;
                    if null {
                        let message = format!("`{}` is null; it is left out", member.key);
                        self.drop("null-member", member, message);
                    }
                    !null
                });
                for member in members {
                    self.drop_nulls(&mut member.node);
                }
            }
            Value::List(items) => {
                for item in items {
                    self.drop_nulls(item);
                }
            }
            _ => {}
        }
    }

    /// A task's size in ECS's own unit, whatever the spelling: `256`, `"256"`, `"0.25 vCPU"`; `512`, `"512"`, `"0.5 GB"`.
    fn size(&mut self, member: &mut Member) {
        let written = match &member.node.value {
            Value::Integer(number) => number.to_string(),
            Value::String(text) if is_size(text) => return,
            Value::String(text) => text.clone(),
            _ => return,
        };
        let span = member.node.span.clone();
        let Some(size) = in_units(&written, units(&member.key)) else {
            return;
        };
        let message = format!("`{}` is read as \"{size}\"", member.key);
        self.note("size-spelling", span.clone(), message);
        self.edits.push(Edit::Replace(span, format!("\"{size}\"")));
        member.node.value = Value::String(size.to_string());
    }

    fn trailing_commas(&mut self) {
        let commas = jsonc::trailing_commas(&self.source.text);
        let Some(first) = commas.first().cloned() else {
            return;
        };
        let message = match commas.len() {
            1 => "a comma stands before a closing bracket; it is read past".to_owned(),
            count => format!("{count} commas stand before closing brackets; they are read past"),
        };
        self.note("trailing-comma", first, message);
        self.trailing_commas = true;
    }

    /// The file with all of this done. Comments, order and line ends stay.
    fn clean(&self, outer: &Range<usize>, root: &Node, schema: Option<Node>) -> String {
        let text = &self.source.text;
        if *outer == root.span {
            return jsonc::apply(text, &self.edits);
        }
        let inner = root.span.clone();
        let edits: Vec<Edit> = self
            .edits
            .iter()
            .filter_map(|edit| edit.inside(&inner))
            .collect();
        let mut body = jsonc::apply(&text[inner], &edits);
        if let Some(schema) = schema {
            let schema = &text[schema.span];
            let rest = body.split_off(1);
            let _ = write!(body, "\n    \"$schema\": {schema},{rest}");
            body = jsonc::apply(&body, &[]);
        }
        jsonc::unwrapped(text, outer, &body)
    }
}

/// Whether a size is written as ECS's own unit, or is not known yet.
pub(crate) fn is_size(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits || text.contains("${") || foreign(text).is_some()
}

/// What is wrong with a size that cannot be read, and what to write.
pub(crate) fn bad_size(member: &str, text: &str) -> (String, String) {
    let message = format!("{text:?} is not a size");
    let help = match (in_units(text, units(member)), member) {
        (Some(size), _) => format!("write \"{size}\""),
        (None, "cpu") => "write CPU units, of which 1024 are one vCPU: \"256\"".to_owned(),
        (None, _) => "write MiB: \"512\"".to_owned(),
    };
    (message, help)
}

fn units(member: &str) -> &'static [&'static str] {
    if member == "cpu" {
        &["vcpu"]
    } else {
        &["gb", "gib"]
    }
}

/// A number of 1/1024 units: plain, or with a unit behind it. At most three decimals.
fn in_units(text: &str, units: &[&str]) -> Option<u64> {
    let text = text.trim().to_lowercase();
    if let Ok(number) = text.parse::<u64>() {
        return Some(number);
    }
    let number = units
        .iter()
        .find_map(|unit| text.strip_suffix(unit))?
        .trim_end();
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if number.is_empty() || decimals.len() > 3 || !digits(whole) || !digits(decimals) {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let thousandths: u64 = if decimals.is_empty() {
        0
    } else {
        format!("{decimals:0<3}").parse().ok()?
    };
    whole
        .checked_mul(1024)?
        .checked_add(thousandths * 1024 / 1000)
}

pub(crate) fn note(
    problems: &mut Vec<Diagnostic>,
    code: &'static str,
    source: &Arc<Source>,
    span: Range<usize>,
    message: String,
) {
    let mut problem = Diagnostic::error(code, source, span, message);
    problem.severity = Severity::Note;
    problems.push(problem);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_in_all_spellings() {
        let (cpu, memory) = (["vcpu"], ["gb", "gib"]);
        for (text, units, size) in [
            ("256", &cpu[..], Some(256)),
            ("1 vCPU", &cpu, Some(1024)),
            (".5vcpu", &cpu, Some(512)),
            ("0.25 vCPU", &cpu, Some(256)),
            ("2 GB", &memory, Some(2048)),
            ("0.5gb", &memory, Some(512)),
            ("1 GB", &cpu, None),
            ("${CPU}", &cpu, None),
            ("-1", &cpu, None),
            ("vcpu", &cpu, None),
            ("1e9 gb", &memory, None),
            ("99999999999999999999 gb", &memory, None),
        ] {
            assert_eq!(in_units(text, units), size, "{text}");
        }
    }
}
