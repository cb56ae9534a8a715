//! Filter patterns for events that are JSON: `{ $.level = "error" && $.status >= 500 }`.
//!
//! Documented in the CloudWatch Logs user guide, "Filter pattern syntax": members are compared with strings (with `*`), numbers and `%regular expressions%`, and asked for with
//! `IS NULL`, `IS TRUE`, `IS FALSE` and `NOT EXISTS`; `&&` binds more tightly than `||`, and there are parentheses. A comparison with a member that is not there does not hold.

use regex::Regex;
use serde_json::Value;

/// A pattern that was read.
#[derive(Debug)]
pub(super) enum JsonPattern {
    All(Vec<JsonPattern>),
    Any(Vec<JsonPattern>),
    Test { path: Vec<Step>, test: Test },
}

/// A step from a value to one inside it.
#[derive(Debug)]
pub(super) enum Step {
    Member(String),
    Item(usize),
    /// Any item, or any member.
    Each,
}

/// What is asked of a member.
#[derive(Debug)]
pub(super) enum Test {
    IsNull,
    Is(bool),
    NotExists,
    Equals(Wanted),
    Differs(Wanted),
    Less(f64),
    AtMost(f64),
    More(f64),
    AtLeast(f64),
}

#[derive(Debug)]
pub(super) enum Wanted {
    /// A string; `*` stands for any characters.
    Text(String),
    Number(f64),
    Regex(Regex),
}

impl JsonPattern {
    /// Reads what stands in a pattern with its braces; an error in words when it is not one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let inner = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
            .ok_or("it begins with '{' and does not end with '}'")?;
        let mut reader = Reader { rest: inner };
        let pattern = reader.any()?;
        reader.skip();
        if reader.rest.is_empty() {
            Ok(pattern)
        } else {
            Err(format!("'{}' is not understood", reader.rest.trim_end()))
        }
    }

    /// Whether a message is wanted; one that is not a JSON object is not.
    pub(super) fn matches(&self, message: &str) -> bool {
        serde_json::from_str(message)
            .is_ok_and(|event: Value| event.is_object() && self.holds(&event))
    }

    fn holds(&self, event: &Value) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(event)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(event)),
            Self::Test { path, test } => {
                let found = values(event, path);
                match test {
                    Test::NotExists => found.is_empty(),
                    test => found.into_iter().any(|value| test.holds(value)),
                }
            }
        }
    }
}

/// The values that a path leads to.
fn values<'a>(event: &'a Value, path: &[Step]) -> Vec<&'a Value> {
    let mut found = vec![event];
    for step in path {
        found = found
            .into_iter()
            .flat_map(|value| match (step, value) {
                (Step::Member(name), value) => value.get(name).into_iter().collect::<Vec<_>>(),
                (Step::Item(at), value) => value.get(at).into_iter().collect(),
                (Step::Each, Value::Array(items)) => items.iter().collect(),
                (Step::Each, Value::Object(members)) => members.values().collect(),
                (Step::Each, _) => Vec::new(),
            })
            .collect();
    }
    found
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        let number = |holds: fn(f64, f64) -> bool, wanted: f64| {
            value.as_f64().is_some_and(|given| holds(given, wanted))
        };
        match self {
            Self::IsNull => value.is_null(),
            Self::Is(flag) => value.as_bool() == Some(*flag),
            Self::NotExists => false,
            Self::Equals(wanted) => wanted.is(value),
            Self::Differs(wanted) => !wanted.is(value),
            Self::Less(wanted) => number(|given, wanted| given < wanted, *wanted),
            Self::AtMost(wanted) => number(|given, wanted| given <= wanted, *wanted),
            Self::More(wanted) => number(|given, wanted| given > wanted, *wanted),
            Self::AtLeast(wanted) => number(|given, wanted| given >= wanted, *wanted),
        }
    }
}

impl Wanted {
    fn is(&self, value: &Value) -> bool {
        match self {
            Self::Text(pattern) => value
                .as_str()
                .is_some_and(|text| crate::ecr::matches(pattern, text)),
            Self::Number(number) => value.as_f64() == Some(*number),
            Self::Regex(regex) => value.as_str().is_some_and(|text| regex.is_match(text)),
        }
    }
}

/// A comparison that lacks its number.
type Order = fn(f64) -> Test;

/// What is left to be read.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes words, whatever their case.
    fn take_words(&mut self, words: &[&str]) -> bool {
        let before = self.rest;
        for word in words {
            self.skip();
            let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
            match self.rest.split_at_checked(word.len()) {
                Some((start, rest)) if start.eq_ignore_ascii_case(word) && ends(rest) => {
                    self.rest = rest;
                }
                _ => {
                    self.rest = before;
                    return false;
                }
            }
        }
        true
    }

    fn any(&mut self) -> Result<JsonPattern, String> {
        let mut parts = vec![self.all()?];
        while self.take("||") {
            parts.push(self.all()?);
        }
        Ok(JsonPattern::Any(parts))
    }

    fn all(&mut self) -> Result<JsonPattern, String> {
        let mut parts = vec![self.one()?];
        while self.take("&&") {
            parts.push(self.one()?);
        }
        Ok(JsonPattern::All(parts))
    }

    fn one(&mut self) -> Result<JsonPattern, String> {
        if self.take("(") {
            let inner = self.any()?;
            return if self.take(")") {
                Ok(inner)
            } else {
                Err("a ')' is missing".to_owned())
            };
        }
        let path = self.path()?;
        let test = self.test()?;
        Ok(JsonPattern::Test { path, test })
    }

    /// `$.a.b[0]`, `$.['a.b']`, `$[*]`.
    fn path(&mut self) -> Result<Vec<Step>, String> {
        if !self.take("$") {
            return Err(format!("a member ($.name) is expected at '{}'", self.rest));
        }
        let mut path = Vec::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix('[') {
                let (inside, rest) = rest.split_once(']').ok_or("a ']' is missing")?;
                path.push(step(inside)?);
                self.rest = rest;
            } else if let Some(rest) = self.rest.strip_prefix('.') {
                self.rest = rest;
                if rest.starts_with('[') {
                    continue;
                }
                let end = rest.find(|c: char| !(c.is_alphanumeric() || "_-:*@".contains(c)));
                let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
                path.push(match name {
                    "" => return Err("the name of a member is missing".to_owned()),
                    "*" => Step::Each,
                    name => Step::Member(name.to_owned()),
                });
                self.rest = rest;
            } else {
                return Ok(path);
            }
        }
    }

    fn test(&mut self) -> Result<Test, String> {
        if self.take_words(&["NOT", "EXISTS"]) {
            return Ok(Test::NotExists);
        }
        if self.take_words(&["IS", "NULL"]) {
            return Ok(Test::IsNull);
        }
        for (word, flag) in [("TRUE", true), ("FALSE", false)] {
            if self.take_words(&["IS", word]) {
                return Ok(Test::Is(flag));
            }
        }
        if self.take("!=") {
            return self.wanted().map(Test::Differs);
        }
        // The longer ones first.
        let orders: [(&str, Order); 4] = [
            ("<=", Test::AtMost),
            (">=", Test::AtLeast),
            ("<", Test::Less),
            (">", Test::More),
        ];
        for (operator, test) in orders {
            if self.take(operator) {
                return match self.wanted()? {
                    Wanted::Number(number) => Ok(test(number)),
                    _ => Err(format!("'{operator}' compares numbers")),
                };
            }
        }
        if self.take("=") {
            return self.wanted().map(Test::Equals);
        }
        Err(format!("an operator is expected at '{}'", self.rest))
    }

    fn wanted(&mut self) -> Result<Wanted, String> {
        self.skip();
        if let Some(rest) = self.rest.strip_prefix('%') {
            let (inside, rest) = rest.split_once('%').ok_or("a '%' is missing")?;
            self.rest = rest;
            let regex = Regex::new(inside);
            return regex
                .map(Wanted::Regex)
                .map_err(|_| format!("%{inside}% is not a regular expression"));
        }
        if let Some(rest) = self.rest.strip_prefix('"') {
            let (text, rest) = quoted(rest).ok_or("a '\"' is missing")?;
            self.rest = rest;
            return Ok(Wanted::Text(text));
        }
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || "&|()".contains(c));
        let (word, rest): (&'a str, &'a str) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        match word.parse() {
            _ if word.is_empty() => Err("a value is missing".to_owned()),
            Ok(number) => Ok(Wanted::Number(number)),
            Err(_) => Ok(Wanted::Text(word.to_owned())),
        }
    }
}

fn step(inside: &str) -> Result<Step, String> {
    let inside = inside.trim();
    for quote in ['\'', '"'] {
        let name = inside
            .strip_prefix(quote)
            .and_then(|name| name.strip_suffix(quote));
        if let Some(name) = name {
            return Ok(Step::Member(name.to_owned()));
        }
    }
    if inside == "*" {
        return Ok(Step::Each);
    }
    let number = inside.parse().map(Step::Item);
    number.map_err(|_| format!("[{inside}] is neither a number nor a name"))
}

/// A string up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => out.push(letters.next()?.1),
            letter => out.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_events() {
        let event = r#"{"level": "error", "status": 503, "took": 1.5, "ok": false, "none": null,
            "user": {"name": "ann b", "roles": ["admin", "dev"]}, "a.b": 1}"#;
        let cases = [
            (r#"{ $.level = "error" }"#, true),
            (r"{ $.level = error }", true),
            (r#"{$.level="err*"}"#, true),
            (r#"{ $.level = "info" }"#, false),
            (r#"{ $.level != "info" }"#, true),
            (r#"{ $.level != "e*" }"#, false),
            // A member that is not there.
            (r#"{ $.missing != "x" }"#, false),
            (r"{ $.missing NOT EXISTS }", true),
            (r"{ $.level not exists }", false),
            (r"{ $.status = 503 }", true),
            (r"{ $.status >= 500 && $.status < 504 }", true),
            (r"{ $.status > 503 }", false),
            (r"{ $.status <= 503.0 }", true),
            (r"{ $.level > 3 }", false),
            (r"{ $.took != 1.5 }", false),
            (r"{ $.ok IS FALSE }", true),
            (r"{ $.ok IS TRUE }", false),
            (r"{ $.none IS NULL }", true),
            (r"{ $.ok IS NULL }", false),
            (r#"{ $.user.name = "ann b" }"#, true),
            (r#"{ $.user.roles[1] = "dev" }"#, true),
            (r#"{ $.user.roles[0] = "dev" }"#, false),
            (r#"{ $.user.roles[*] = "dev" }"#, true),
            (r"{ $.['a.b'] = 1 }", true),
            (r"{ $.level = %^err.r$% }", true),
            (r"{ $.level = %^x% }", false),
            // "And" comes before "or".
            (r"{ $.status = 1 && $.took = 1 || $.level = error }", true),
            (
                r"{ $.status = 1 && ($.took = 1 || $.level = error) }",
                false,
            ),
        ];
        for (pattern, expected) in cases {
            let read = JsonPattern::parse(pattern).unwrap();
            assert_eq!(read.matches(event), expected, "{pattern}");
            assert!(!read.matches("not JSON: error"));
        }
        for wrong in [
            "{ $.a = 1",
            "{ }",
            "{ a = 1 }",
            "{ $.a }",
            "{ $.a = }",
            "{ $. = 1 }",
            "{ $.a = 1 && }",
            "{ ($.a = 1 }",
            "{ $.a = 1 $.b = 2 }",
            "{ $.a = \"x }",
            "{ $.a = %[% }",
            "{ $.a < x }",
            "{ $.a[x] = 1 }",
        ] {
            assert!(JsonPattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
