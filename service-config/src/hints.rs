//! What to write instead: the help beside findings about the shape of a file.

use crate::decode::{Naming, closest};
use crate::lint::has_secret_shape;
use crate::pipeline as ours;
use crate::placeholder::foreign;
use crate::task_definition as aws;
use crate::tree::{Node, Value};

/// What a value should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    String,
    Bool,
    Integer,
    List,
    Names,
    Members,
}

impl Expected {
    /// As a message says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Bool => "true or false",
            Self::Integer => "a whole number",
            Self::List => "a list",
            Self::Names => "a table of names and values",
            Self::Members => "a table of members",
        }
    }
}

/// Whether a placeholder stands where a value would, without quotes around it.
pub(crate) fn is_unquoted_placeholder(node: &Node) -> bool {
    matches!(&node.value, Value::Other(text) if text.starts_with("${") || foreign(text).is_some())
}

/// What to write instead of a value of another type.
pub(crate) fn wrong_type(node: &Node, expected: Expected) -> Option<String> {
    if is_unquoted_placeholder(node) {
        return Some(match expected {
            Expected::String => "put it between quotes".to_owned(),
            _ => instead_of_a_placeholder("the value itself"),
        });
    }
    match (expected, &node.value) {
        (Expected::String, Value::Integer(number)) => Some(format!("write \"{number}\"")),
        (Expected::String, Value::Bool(value)) => Some(format!("write \"{value}\"")),
        (Expected::String, Value::Other(text)) => Some(format!("write \"{text}\"")),
        (Expected::Integer, Value::String(text)) if text.parse::<i64>().is_ok() => {
            Some(format!("write {text}, without quotes"))
        }
        (Expected::Integer, Value::String(text)) if is_placeholder(text) => {
            Some(instead_of_a_placeholder("the number itself"))
        }
        (Expected::Bool, Value::String(text)) => Some(match text.to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => "write true, without quotes".to_owned(),
            "false" | "no" | "off" | "0" => "write false, without quotes".to_owned(),
            _ => return None,
        }),
        (Expected::List, Value::Object(_)) => {
            Some("put square brackets around it: [{ … }]".to_owned())
        }
        (Expected::List, Value::String(text)) => Some(match words(text) {
            Some(words) => format!("write {}", list(&words)),
            None => {
                "put square brackets around it, and quotes around each of its entries".to_owned()
            }
        }),
        _ => None,
    }
}

/// What to write instead of a health check's command that is one string, or a list without its first word.
pub(crate) fn health_check_command(text: &str) -> String {
    if let Some(line) = text.strip_prefix("CMD-SHELL ")
        && showable(line)
    {
        return format!("write {}", list(&["CMD-SHELL", line.trim()]));
    }
    let text = text.strip_prefix("CMD ").unwrap_or(text);
    match words(text) {
        Some(words) if words == ["NONE"] => "write [\"NONE\"]".to_owned(),
        Some(words) => format!("write {}", list(&[&["CMD"], &words[..]].concat())),
        None => {
            "[\"CMD\", program, argument, …] runs a program without a shell; [\"CMD-SHELL\", line] needs one".to_owned()
        }
    }
}

/// The words of a command line that may be repeated and that needs no shell to be divided.
fn words(text: &str) -> Option<Vec<&str>> {
    let shell = |c: char| "\"'\\|&;<>()*?#~`".contains(c);
    let divided: Vec<&str> = text.split_whitespace().collect();
    (showable(text) && !divided.is_empty() && (divided.len() == 1 || !text.contains(shell)))
        .then_some(divided)
}

fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", quoted.join(", "))
}

/// What to write instead of a word that is not one of the set.
pub(crate) fn unknown_value(text: &str, words: &[&str]) -> String {
    let all = words.join(", ");
    if text.is_empty() {
        return format!("leave the member out, or write one of: {all}");
    }
    if is_placeholder(text) {
        return format!(
            "{}; one of: {all}",
            instead_of_a_placeholder("the word itself")
        );
    }
    if text.eq_ignore_ascii_case("default") {
        return format!("leave the member out to have ECS's default, or write one of: {all}");
    }
    match closest(text, words.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("one of: {all}"),
    }
}

/// What an unknown key may have meant.
pub(crate) fn unknown_key(record: &str, naming: Naming, key: &str, names: &[&str]) -> String {
    if (record, key) == ("KeyValuePair", "valueFrom") {
        return "a value by reference is an entry of the container's `secrets`: {\"name\": …, \"valueFrom\": …}".to_owned();
    }
    if (record, key) == ("Secret", "value") {
        return "a plain value is an entry of the container's `environment`: {\"name\": …, \"value\": …}".to_owned();
    }
    if let Some(place) = home(naming, key) {
        return format!("`{key}` belongs in {place}");
    }
    match closest(key, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if naming == Naming::Kebab => format!("what can stand here: {}", names.join(", ")),
        None => format!(
            "what can stand here: {}; a member that ECS has had since goes into `newer-members` under [service] of the pipeline file",
            names.join(", ")
        ),
    }
}

/// What to write for a member that must be there.
pub(crate) fn missing_key(record: &str, name: &str) -> Option<String> {
    let example = match (record, name) {
        ("TaskDefinition", "family") => "\"family\": \"${service}\"",
        ("Pipeline", "service") => "[service]\nname = \"…\"",
        ("Pipeline", "build") => "[build]\npackage = \"./cmd/…\"",
        ("Pipeline", "registry") => "[registry]\nrepository = \"…\"",
        ("Pipeline", "deploy") => "[deploy]\ncontainer = \"…\"",
        _ => return None,
    };
    Some(format!("add {}", example.replace('\n', ", ")))
}

/// Where a key that stands in the wrong record belongs; none when no record, or more than one, has it.
fn home(naming: Naming, key: &str) -> Option<&'static str> {
    type Home = (&'static str, &'static [&'static str]);
    let aws: [Home; 8] = [
        (
            "the task definition itself, beside `containerDefinitions`",
            aws::TaskDefinition::MEMBERS,
        ),
        ("a container", aws::ContainerDefinition::MEMBERS),
        ("`healthCheck` of a container", aws::HealthCheck::MEMBERS),
        (
            "`logConfiguration` of a container",
            aws::LogConfiguration::MEMBERS,
        ),
        (
            "`linuxParameters` of a container",
            aws::LinuxParameters::MEMBERS,
        ),
        (
            "an entry of `portMappings` of a container",
            aws::PortMapping::MEMBERS,
        ),
        ("`runtimePlatform`", aws::RuntimePlatform::MEMBERS),
        ("`ephemeralStorage`", aws::EphemeralStorage::MEMBERS),
    ];
    let ours: [Home; 8] = [
        ("[service]", ours::ServiceSection::MEMBERS),
        ("[build]", ours::BuildSection::MEMBERS),
        ("[test]", ours::TestSection::MEMBERS),
        ("[image]", ours::ImageSection::MEMBERS),
        ("[registry]", ours::RegistrySection::MEMBERS),
        ("[deploy]", ours::DeploySection::MEMBERS),
        ("[environments.NAME]", ours::Environment::MEMBERS),
        ("[environments.NAME.embedded]", ours::Embedded::MEMBERS),
    ];
    let homes = match naming {
        Naming::Kebab => ours,
        Naming::Camel => aws,
    };
    let mut having = homes
        .iter()
        .filter(|(_, members)| members.iter().any(|member| naming.name(member) == key));
    match (having.next(), having.next()) {
        (Some((place, _)), None) => Some(place),
        _ => None,
    }
}

fn instead_of_a_placeholder(what: &str) -> String {
    format!(
        "only strings are filled in: write {what}, and where an environment has another, put it into [environments.NAME.override] of the pipeline file"
    )
}

fn is_placeholder(text: &str) -> bool {
    text.contains("${") || foreign(text).is_some()
}

/// Whether a text may be repeated in a message.
fn showable(text: &str) -> bool {
    text.chars().count() <= 40 && !has_secret_shape(text)
}
