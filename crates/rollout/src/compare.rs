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

/// One form for all spellings: read-only members, empties and defaults gone, sizes as numbers, lists that ECS does not order keyed by what identifies an entry.
fn normal(document: &Value) -> Value {
    let mut document = document.clone();
    let mode = document["networkMode"].as_str().unwrap_or("bridge");
    // Under both, a port has one number.
    let one_port = matches!(mode, "awsvpc" | "host");
    if let Value::Object(members) = &mut document {
        members.retain(|name, _| !READ_ONLY.contains(&name.as_str()));
        drop_defaults(members, &TASK_DEFAULTS);
        for (size, unit) in [("cpu", "vcpu"), ("memory", "gb")] {
            if let Some(Value::String(text)) = members.get_mut(size)
                && let Some(number) = in_units(text, unit)
            {
                *text = number.to_string();
            }
        }
    }
    if let Some(Value::Array(all)) = document.get_mut("requiresCompatibilities") {
        all.sort_by_key(ToString::to_string);
    }
    for volume in objects(document.get_mut("volumes")) {
        if let Some(Value::Object(efs)) = volume.get_mut("efsVolumeConfiguration") {
            drop_defaults(efs, &EFS_DEFAULTS);
            if let Some(Value::Object(authorization)) = efs.get_mut("authorizationConfig") {
                drop_defaults(authorization, &[("iam", Preset::Text("DISABLED"))]);
            }
        }
    }
    for container in objects(document.get_mut("containerDefinitions")) {
        container_defaults(container, one_port);
    }
    tidy(&mut document);
    document
}

/// What a member is when nobody names it.
#[derive(Clone, Copy)]
enum Preset {
    Text(&'static str),
    Number(u64),
    Flag(bool),
}

/// Default values of the API (RegisterTaskDefinition and the types that it refers to). ECS fills some of them in and others not, and that changes with time (`enableFaultInjection` began in January 2025).
const TASK_DEFAULTS: [(&str, Preset); 2] = [
    ("enableFaultInjection", Preset::Flag(false)),
    ("networkMode", Preset::Text("bridge")),
];
const EFS_DEFAULTS: [(&str, Preset); 2] = [
    ("rootDirectory", Preset::Text("/")),
    ("transitEncryption", Preset::Text("DISABLED")),
];
const CONTAINER_DEFAULTS: [(&str, Preset); 3] = [
    ("cpu", Preset::Number(0)),
    ("essential", Preset::Flag(true)),
    ("versionConsistency", Preset::Text("enabled")),
];
const HEALTH_CHECK_DEFAULTS: [(&str, Preset); 3] = [
    ("interval", Preset::Number(30)),
    ("timeout", Preset::Number(5)),
    ("retries", Preset::Number(3)),
];

fn drop_defaults(members: &mut Map<String, Value>, defaults: &[(&str, Preset)]) {
    members.retain(|name, value| {
        !defaults.iter().any(|(member, preset)| {
            name == member
                && match preset {
                    Preset::Text(text) => value == text,
                    Preset::Number(number) => value.as_u64() == Some(*number),
                    Preset::Flag(flag) => value == flag,
                }
        })
    });
}

/// The entries of a list, as far as they are objects.
fn objects(list: Option<&mut Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let entries = list.and_then(Value::as_array_mut).into_iter().flatten();
    entries.filter_map(Value::as_object_mut)
}

/// `1024`, `1 vCPU`, `.5 GB` in CPU units or MiB, as ECS registers them (Amazon ECS task definition parameters, "Task size").
fn in_units(text: &str, unit: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let Some(number) = text.strip_suffix(unit) else {
        return text.parse().ok();
    };
    let (whole, part) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
    let digits = |text: &str| {
        if text.is_empty() {
            Some(0)
        } else {
            text.parse::<u64>().ok()
        }
    };
    let places = u32::try_from(part.len())
        .ok()
        .filter(|places| *places < 6)?;
    let part = digits(part)? * 1_024 / 10_u64.pow(places);
    digits(whole)?.checked_mul(1_024)?.checked_add(part)
}

/// The values that ECS fills in (RegisterTaskDefinition, "ContainerDefinition").
fn container_defaults(container: &mut Map<String, Value>, one_port: bool) {
    drop_defaults(container, &CONTAINER_DEFAULTS);
    for (member, defaults) in [
        ("healthCheck", &HEALTH_CHECK_DEFAULTS[..]),
        (
            "restartPolicy",
            &[("restartAttemptPeriod", Preset::Number(300))],
        ),
    ] {
        if let Some(Value::Object(members)) = container.get_mut(member) {
            drop_defaults(members, defaults);
        }
    }
    for list in ["mountPoints", "volumesFrom"] {
        for entry in objects(container.get_mut(list)) {
            drop_defaults(entry, &[("readOnly", Preset::Flag(false))]);
        }
    }
    for port in objects(container.get_mut("portMappings")) {
        drop_defaults(port, &[("protocol", Preset::Text("tcp"))]);
        let host = port.get("hostPort").cloned();
        let same_as_container = one_port && host == port.get("containerPort").cloned();
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
    fn what_ecs_fills_in_does_not_count() {
        let registered = json!({"family": "api", "networkMode": "awsvpc", "cpu": ".5 vCPU", "memory": "1 GB",
            "requiresCompatibilities": ["FARGATE", "EC2"],
            "volumes": [{"name": "data", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}],
            "containerDefinitions": [{"name": "app", "image": "r@sha256:1",
                "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}],
                "restartPolicy": {"enabled": true},
                "healthCheck": {"command": ["CMD", "/app", "health"]}}]});
        let described = json!({"family": "api", "networkMode": "awsvpc", "cpu": "512", "memory": "1024",
            "requiresCompatibilities": ["EC2", "FARGATE"], "enableFaultInjection": false,
            "volumes": [{"name": "data", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "/", "transitEncryption": "DISABLED"}}],
            "containerDefinitions": [{"name": "app", "image": "r@sha256:1", "versionConsistency": "enabled",
                "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": false}],
                "restartPolicy": {"enabled": true, "restartAttemptPeriod": 300},
                "healthCheck": {"command": ["CMD", "/app", "health"], "interval": 30, "timeout": 5, "retries": 3}}]});
        assert_eq!(differences(&registered, &described), Vec::<String>::new());
        for (pointer, value) in [
            ("/cpu", json!("1 vCPU")),
            ("/memory", json!("2048")),
            ("/enableFaultInjection", json!(true)),
            ("/containerDefinitions/0/healthCheck/interval", json!(10)),
            (
                "/containerDefinitions/0/mountPoints/0/readOnly",
                json!(true),
            ),
            (
                "/volumes/0/efsVolumeConfiguration/rootDirectory",
                json!("/a"),
            ),
        ] {
            let mut changed = described.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            assert!(!same_task(&registered, &changed), "{pointer}");
        }
    }

    #[test]
    fn sizes_are_read_as_ecs_reads_them() {
        for (text, unit, number) in [
            ("256", "vcpu", Some(256)),
            ("1 vCPU", "vcpu", Some(1024)),
            (".25vcpu", "vcpu", Some(256)),
            ("0.5 GB", "gb", Some(512)),
            ("30GB", "gb", Some(30_720)),
            ("much", "gb", None),
            ("1.x GB", "gb", None),
        ] {
            assert_eq!(in_units(text, unit), number, "{text}");
        }
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
