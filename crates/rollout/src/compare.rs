//! Whether two task definitions mean the same to ECS.
//!
//! ECS hands a registered task definition back with defaults filled in and lists in any order, so equal bytes cannot be asked for. Both sides are brought to one form first.

use serde_json::{Map, Value, json};

use crate::mask::{HIDDEN, is_secret_name, mask};

/// Members that only DescribeTaskDefinition answers (ECS API, `TaskDefinition`).
const READ_ONLY: [&str; 10] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
    "tags",
];

/// Whether both documents describe the same task.
pub fn same_task(a: &Value, b: &Value) -> bool {
    normal(a) == normal(b)
}

/// What differs, one line a member: `containerDefinitions.app.image: old -> new`. Sorted by path. What looks like a secret is hidden: the live revision may hold one in clear that nobody reviewed, and a plan
/// is read by more people than it.
pub fn differences(old: &Value, new: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    walk("", Some(&normal(old)), Some(&normal(new)), &mut lines);
    lines
}

fn walk(path: &str, old: Option<&Value>, new: Option<&Value>, lines: &mut Vec<String>) {
    if old == new {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (old, new) {
        let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            walk(&path, old.get(name), new.get(name), lines);
        }
        return;
    }
    let show = |value: Option<&Value>| match value {
        Some(value) => only_value(shown(path, value)).to_string(),
        None => "(none)".to_owned(),
    };
    lines.push(format!("{path}: {} -> {}", show(old), show(new)));
}

/// Of a variable the value: its name stands in the path.
fn only_value(shown: Value) -> Value {
    match shown {
        Value::Object(mut members)
            if members.len() == 2
                && members.contains_key("name")
                && members.contains_key("value") =>
        {
            members.remove("value").unwrap_or_default()
        }
        other => other,
    }
}

/// The members whose entries people name.
const NAMED_BY_PEOPLE: [&str; 5] = [
    "environment",
    "options",
    "dockerLabels",
    "driverOpts",
    "properties",
];

/// The value with every secret in it hidden: those of variables and options that have a secret's name, and what has the shape of one.
fn shown(path: &str, value: &Value) -> Value {
    let is_secret = path
        .split('.')
        .skip_while(|part| !NAMED_BY_PEOPLE.contains(part))
        .any(is_secret_name);
    match value {
        Value::String(_) if is_secret => json!(HIDDEN),
        Value::String(text) => json!(mask(text)),
        Value::Array(items) => items.iter().map(|item| shown(path, item)).collect(),
        Value::Object(members) => {
            let name = members.get("name").and_then(Value::as_str).unwrap_or("");
            let show = |(member, value): (&String, &Value)| {
                // The name of a variable says what its value is, and is none itself.
                let shown = match member.as_str() {
                    "name" => value.clone(),
                    "value" => shown(&format!("{path}.{name}"), value),
                    _ => shown(&format!("{path}.{member}"), value),
                };
                (member.clone(), shown)
            };
            members.iter().map(show).collect()
        }
        other => other.clone(),
    }
}

/// One form for all spellings: read-only members, empties and defaults gone, lists that ECS does not order keyed by what identifies an entry.
fn normal(document: &Value) -> Value {
    let mut document = document.clone();
    let awsvpc = document["networkMode"] == "awsvpc";
    if let Value::Object(members) = &mut document {
        members.retain(|name, _| !READ_ONLY.contains(&name.as_str()));
    }
    if let Some(containers) = document["containerDefinitions"].as_array_mut() {
        for container in containers.iter_mut().filter_map(Value::as_object_mut) {
            container_defaults(container, awsvpc);
        }
    }
    tidy(&mut document);
    document
}

/// The values that ECS fills in (RegisterTaskDefinition, "ContainerDefinition").
fn container_defaults(container: &mut Map<String, Value>, awsvpc: bool) {
    for (member, default) in [("cpu", json!(0)), ("essential", json!(true))] {
        if container.get(member) == Some(&default) {
            container.remove(member);
        }
    }
    let ports = container
        .get_mut("portMappings")
        .and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        if port
            .get("protocol")
            .is_some_and(|protocol| protocol == "tcp")
        {
            port.remove("protocol");
        }
        let host = port.get("hostPort").cloned();
        let same_as_container = awsvpc && host == port.get("containerPort").cloned();
        if same_as_container || host == Some(json!(0)) {
            port.remove("hostPort");
        }
    }
}

/// Empty members go; lists of entries with a name become tables, so that their order does not count.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(tidy);
            members.retain(|_, member| !is_empty(member));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(tidy);
            if let Some(table) = keyed(items) {
                *value = Value::Object(table);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

fn keyed(items: &[Value]) -> Option<Map<String, Value>> {
    let mut table = Map::new();
    for item in items {
        let name = item.get("name")?.as_str()?;
        if table.insert(name.to_owned(), item.clone()).is_some() {
            return None;
        }
    }
    // serde_json keeps insertion order; equality of maps does not look at it.
    (!table.is_empty()).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reviewed() -> Value {
        json!({"family": "api", "networkMode": "awsvpc", "cpu": "256", "containerDefinitions": [
            {"name": "app", "image": "r@sha256:1", "portMappings": [{"containerPort": 8080}],
             "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
             "command": ["b", "a"]}]})
    }

    fn described() -> Value {
        json!({"taskDefinitionArn": "arn", "revision": 3, "status": "ACTIVE", "family": "api", "networkMode": "awsvpc", "cpu": "256",
            "volumes": [], "placementConstraints": [], "compatibilities": ["FARGATE"], "containerDefinitions": [
            {"name": "app", "image": "r@sha256:1", "cpu": 0, "essential": true, "mountPoints": [], "volumesFrom": [], "systemControls": [],
             "portMappings": [{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}],
             "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
             "command": ["b", "a"]}]})
    }

    #[test]
    fn defaults_and_order_of_named_entries_do_not_count() {
        assert!(same_task(&reviewed(), &described()));
        assert_eq!(differences(&reviewed(), &described()), Vec::<String>::new());
    }

    #[test]
    fn every_real_difference_counts_and_is_named() {
        for (pointer, value, line) in [
            (
                "/containerDefinitions/0/image",
                json!("r@sha256:2"),
                r#"containerDefinitions.app.image: "r@sha256:1" -> "r@sha256:2""#,
            ),
            (
                "/containerDefinitions/0/environment/1/value",
                json!("3"),
                r#"containerDefinitions.app.environment.B.value: "2" -> "3""#,
            ),
            (
                "/containerDefinitions/0/command",
                json!(["a", "b"]),
                r#"containerDefinitions.app.command: ["b","a"] -> ["a","b"]"#,
            ),
            ("/cpu", json!("512"), r#"cpu: "256" -> "512""#),
        ] {
            let mut changed = reviewed();
            *changed.pointer_mut(pointer).unwrap() = value;
            assert!(!same_task(&changed, &described()), "{pointer}");
            assert_eq!(differences(&described(), &changed), [line]);
        }
    }

    #[test]
    fn secrets_in_clear_are_not_shown_and_references_are() {
        let task = |container: Value| json!({"containerDefinitions": [container]});
        let old = task(json!({"name": "tokens", "image": "r@sha256:1",
            "command": ["serve", "--db", "postgres://api:s3cret@db/api"],
            "environment": [{"name": "API_TOKEN", "value": "s3cret-1"}, {"name": "DB_PASSWORD", "value": "s3cret-2"}],
            "logConfiguration": {"options": {"splunk-token": "s3cret-3"}}}));
        let new = task(json!({"name": "tokens", "image": "r@sha256:2",
            "environment": [{"name": "API_TOKEN", "value": "s3cret-4"}],
            "secrets": [{"name": "DB_PASSWORD", "valueFrom": "/api/db/password"}]}));
        assert_eq!(
            differences(&old, &new),
            [
                r#"containerDefinitions.tokens.command: ["serve","--db","postgres://api:***@db/api"] -> (none)"#,
                r#"containerDefinitions.tokens.environment.API_TOKEN.value: "***" -> "***""#,
                r#"containerDefinitions.tokens.environment.DB_PASSWORD: "***" -> (none)"#,
                r#"containerDefinitions.tokens.image: "r@sha256:1" -> "r@sha256:2""#,
                r#"containerDefinitions.tokens.logConfiguration: {"options":{"splunk-token":"***"}} -> (none)"#,
                r#"containerDefinitions.tokens.secrets: (none) -> {"DB_PASSWORD":{"name":"DB_PASSWORD","valueFrom":"/api/db/password"}}"#,
            ]
        );
    }
}
