//! What people's task definition files hold besides what RegisterTaskDefinition takes, brought to one form before it is typed.
//!
//! Barely half of the files in public repositories can be registered as they stand. What has one meaning is accepted, with a note that says what was dropped or rewritten; what has none is left for the decoder to refuse.

use std::ops::Range;
use std::sync::Arc;

use diagnostic::{Diagnostic, Severity, Source};

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

/// The task definition in one form; none when the document is something else altogether.
pub(crate) fn task_definition(
    root: Node,
    source: &Arc<Source>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Node> {
    let mut root = unwrapped(root, source, problems);
    if let Value::List(_) = root.value {
        problems.push(
            Diagnostic::error(
                "bare-containers",
                source,
                root.name_span(),
                "this is a list of containers, not a task definition",
            )
            .help("write {\"family\": \"NAME\", \"containerDefinitions\": [ … ]} around it"),
        );
        return None;
    }
    if let Value::Object(members) = &mut root.value {
        members.retain(|member| {
            let read_only = READ_ONLY.contains(&member.key.as_str());
            if read_only {
                note(
                    problems,
                    "read-only-member",
                    source,
                    member.key_span.clone(),
                    format!(
                        "`{}` is what ECS answers, not what it takes; it is left out",
                        member.key
                    ),
                );
            }
            // `$schema` is for editors.
            !read_only && member.key != "$schema"
        });
        for member in members
            .iter_mut()
            .filter(|member| member.key == "cpu" || member.key == "memory")
        {
            size(member, source, problems);
        }
    }
    drop_nulls(&mut root, source, problems);
    Some(root)
}

/// `{"taskDefinition": {…}}`, as DescribeTaskDefinition answers.
fn unwrapped(root: Node, source: &Arc<Source>, problems: &mut Vec<Diagnostic>) -> Node {
    let wrapped = root
        .get("taskDefinition")
        .is_some_and(|inner| matches!(inner.value, Value::Object(_)))
        && root.get("containerDefinitions").is_none();
    if !wrapped {
        return root;
    }
    let Value::Object(members) = root.value else {
        return root;
    };
    let mut inner = None;
    for member in members {
        if member.key == "taskDefinition" {
            note(
                problems,
                "wrapped-document",
                source,
                member.key_span,
                "the task definition is wrapped in `taskDefinition`; what is inside is used"
                    .to_owned(),
            );
            inner = Some(member.node);
        } else if member.key != "$schema" {
            note(
                problems,
                "wrapped-document",
                source,
                member.key_span,
                format!("`{}` beside `taskDefinition` is left out", member.key),
            );
        }
    }
    // The caller's check has seen the member.
    inner.unwrap_or(Node {
        span: root.span,
        value: Value::Object(Vec::new()),
    })
}

fn drop_nulls(node: &mut Node, source: &Arc<Source>, problems: &mut Vec<Diagnostic>) {
    match &mut node.value {
        Value::Object(members) => {
            members.retain(|member| {
                let null = member.node.value == Value::Null;
                if null {
                    let message = format!("`{}` is null; it is left out", member.key);
                    note(
                        problems,
                        "null-member",
                        source,
                        member.key_span.clone(),
                        message,
                    );
                }
                !null
            });
            for member in members {
                drop_nulls(&mut member.node, source, problems);
            }
        }
        Value::List(items) => {
            for item in items {
                drop_nulls(item, source, problems);
            }
        }
        _ => {}
    }
}

/// A task's size in ECS's own unit, whatever the spelling: `256`, `"256"`, `"0.25 vCPU"`; `512`, `"512"`, `"0.5 GB"`.
fn size(member: &mut Member, source: &Arc<Source>, problems: &mut Vec<Diagnostic>) {
    let written = match &member.node.value {
        Value::Integer(number) => number.to_string(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => return,
        Value::String(text) => text.clone(),
        _ => return,
    };
    let units: &[&str] = if member.key == "cpu" {
        &["vcpu"]
    } else {
        &["gb", "gib"]
    };
    let Some(size) = in_units(&written, units) else {
        return;
    };
    note(
        problems,
        "size-spelling",
        source,
        member.node.span.clone(),
        format!("`{}` is read as \"{size}\"", member.key),
    );
    member.node.value = Value::String(size.to_string());
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
