//! Filter patterns for unstructured events: terms that a message must hold.
//!
//! Documented in the CloudWatch Logs user guide, "Filter pattern syntax": all plain terms, at least one of the `?optional` ones, none of the `-excluded` ones;
//! `"a phrase"` is one term. `%…%` is a regular expression, `{ … }` a pattern over JSON members (see there). Columns (`[ … ]`) are not understood.

use regex::Regex;

use super::json_pattern::JsonPattern;

/// A pattern that was read.
#[derive(Debug)]
pub(super) enum Pattern {
    Terms(Terms),
    Regex(Regex),
    Json(JsonPattern),
}

#[derive(Debug, Default)]
pub(super) struct Terms {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

impl Pattern {
    /// Reads a pattern; an error in words when it is of a kind that is not understood.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with('{') {
            return JsonPattern::parse(text).map(Self::Json);
        }
        if text.starts_with('[') {
            return Err("the local cloud's patterns have no columns ('[')".to_owned());
        }
        if let Some(regex) = text.strip_prefix('%') {
            let regex = regex.strip_suffix('%').ok_or("a '%' is missing")?;
            let regex = Regex::new(regex).map(Self::Regex);
            return regex.map_err(|_| format!("{text} is not a regular expression"));
        }
        Ok(Self::Terms(Terms::parse(text)))
    }

    /// Whether a message is wanted. Case matters.
    pub(super) fn matches(&self, message: &str) -> bool {
        match self {
            Self::Terms(terms) => terms.admit(message),
            Self::Regex(regex) => regex.is_match(message),
            Self::Json(json) => json.matches(message),
        }
    }
}

impl Terms {
    fn parse(text: &str) -> Self {
        let mut out = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (into, after) = match rest.as_bytes()[0] {
                b'?' => (&mut out.any, &rest[1..]),
                b'-' => (&mut out.none, &rest[1..]),
                _ => (&mut out.all, rest),
            };
            let (term, after) = match after.strip_prefix('"') {
                Some(after) => after.split_once('"').unwrap_or((after, "")),
                None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
            };
            if !term.is_empty() {
                into.push(term.to_owned());
            }
            rest = after.trim_start();
        }
        out
    }

    fn admit(&self, message: &str) -> bool {
        let holds = |term: &String| message.contains(term.as_str());
        self.all.iter().all(holds)
            && (self.any.is_empty() || self.any.iter().any(holds))
            && !self.none.iter().any(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_messages() {
        let cases = [
            ("", "anything", true),
            ("ERROR", "an ERROR here", true),
            ("ERROR", "an error here", false),
            ("ERROR disk", "disk full: ERROR", true),
            ("ERROR disk", "ERROR", false),
            ("\"disk full\"", "the disk is full", false),
            ("\"disk full\" now", "disk full now", true),
            ("?a ?b", "only b", true),
            ("?x ?y", "my", true),
            ("?xx ?z", "none", false),
            ("level -debug", "level debug", false),
            ("-debug", "level info", true),
            ("\"open", "open end", true),
            ("%^E[0-9]+%", "E42", true),
            ("%^E[0-9]+%", "an E42", false),
            ("{ $.a = 1 }", "{\"a\": 1}", true),
        ];
        for (pattern, message, expected) in cases {
            let read = Pattern::parse(pattern).unwrap();
            assert_eq!(read.matches(message), expected, "{pattern} on {message}");
        }
        for wrong in ["[a, b]", "%a", "%[%", "{ $.a"] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
