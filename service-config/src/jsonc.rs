//! The text of a JSON file as people write it: what can be mended in place, with their comments, order and line ends left as they are.

use std::ops::Range;

use crate::placeholder::foreign;

/// What a piece of text is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Space,
    Comment,
    Comma,
    /// `}` or `]`.
    Close,
    /// A string, a word or a number, or another mark.
    Other,
}

/// Cuts a text into pieces. Any text: what is not closed goes on to the end.
fn pieces(text: &str) -> Vec<(Kind, Range<usize>)> {
    let bytes = text.as_bytes();
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let (kind, length) = match bytes[at] {
            b' ' | b'\t' | b'\r' | b'\n' => {
                let space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
                (Kind::Space, rest.find(|c| !space(c)).unwrap_or(rest.len()))
            }
            b'/' if rest.starts_with("//") => {
                (Kind::Comment, rest.find('\n').unwrap_or(rest.len()))
            }
            b'/' if rest.starts_with("/*") => (
                Kind::Comment,
                rest[2..].find("*/").map_or(rest.len(), |end| end + 4),
            ),
            b'"' => (Kind::Other, string_length(rest)),
            b',' => (Kind::Comma, 1),
            b'}' | b']' => (Kind::Close, 1),
            b'{' | b'[' | b':' => (Kind::Other, 1),
            _ => {
                let mark = |c: char| " \t\r\n\",{}[]:/".contains(c);
                let first = rest.chars().next().map_or(1, char::len_utf8);
                let end = rest[first..].find(mark).map(|end| end + first);
                (Kind::Other, end.unwrap_or(rest.len()))
            }
        };
        pieces.push((kind, at..at + length));
        at += length;
    }
    pieces
}

/// Bytes of the string that a text begins with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Places of commas that stand before a closing bracket.
pub(crate) fn trailing_commas(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut comma = None;
    for (kind, span) in pieces(text) {
        match kind {
            Kind::Space | Kind::Comment => {}
            Kind::Comma => comma = Some(span),
            Kind::Close => found.extend(comma.take()),
            Kind::Other => comma = None,
        }
    }
    found
}

/// The text with a number of the same length in place of every placeholder that stands outside of strings, and where these were.
pub(crate) fn without_unquoted_placeholders(text: &str) -> (String, Vec<Range<usize>>) {
    let mut out = text.to_owned();
    let mut found = Vec::new();
    let mut end = 0;
    for (kind, span) in pieces(text) {
        if kind != Kind::Other || span.start < end {
            continue;
        }
        let rest = &text[span.start..];
        let close = match rest.as_bytes() {
            [b'$', b'{', ..] => "}",
            [b'{', b'{', ..] => "}}",
            [b'<', ..] => ">",
            _ => continue,
        };
        let Some(length) = rest.find(close).map(|at| at + close.len()) else {
            continue;
        };
        let placeholder = &rest[..length];
        if placeholder.contains(['\n', '"'])
            || !placeholder.starts_with('$') && foreign(placeholder) != Some(placeholder)
        {
            continue;
        }
        end = span.start + length;
        let number = format!("0{}", " ".repeat(length - 1));
        out.replace_range(span.start..end, &number);
        found.push(span.start..end);
    }
    (out, found)
}

/// One change to a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// A member goes, from its name to the end of its value.
    Remove(Range<usize>),
    /// A value is written otherwise.
    Replace(Range<usize>, String),
}

impl Edit {
    fn span(&self) -> &Range<usize> {
        match self {
            Self::Remove(span) | Self::Replace(span, _) => span,
        }
    }

    /// The same change as one to a part of the text; none when it is elsewhere.
    pub fn inside(&self, part: &Range<usize>) -> Option<Self> {
        let span = self.span();
        if span.start < part.start || span.end > part.end {
            return None;
        }
        let span = span.start - part.start..span.end - part.start;
        Some(match self {
            Self::Remove(_) => Self::Remove(span),
            Self::Replace(_, value) => Self::Replace(span, value.clone()),
        })
    }
}

/// Carries out changes that do not overlap, and takes trailing commas out.
pub(crate) fn apply(text: &str, edits: &[Edit]) -> String {
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort_by_key(|edit| edit.span().start);
    let mut out = text.to_owned();
    for edit in edits.into_iter().rev() {
        match edit {
            Edit::Remove(span) => {
                let span = whole_member(&out, span);
                out.replace_range(span, "");
            }
            Edit::Replace(span, value) => out.replace_range(span.clone(), value),
        }
    }
    for comma in trailing_commas(&out).into_iter().rev() {
        out.replace_range(comma, "");
    }
    out
}

/// A member with the comma behind it, and with its lines where nothing else stands on them.
fn whole_member(text: &str, span: &Range<usize>) -> Range<usize> {
    let mut end = span.end;
    let mut comma = None;
    for (kind, piece) in pieces(&text[span.end..]) {
        match kind {
            Kind::Space | Kind::Comment => {}
            Kind::Comma => {
                comma = Some(span.end + piece.end);
                break;
            }
            Kind::Close | Kind::Other => break,
        }
    }
    end = comma.unwrap_or(end);
    let line_start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let alone_before = text[line_start..span.start].trim().is_empty();
    let rest = &text[end..];
    let line_end = rest.find('\n').map(|at| end + at + 1);
    let behind = &text[end..line_end.unwrap_or(text.len())];
    // A comment behind the member on its line is about it.
    let alone_behind = behind.trim().is_empty() || behind.trim_start().starts_with("//");
    match line_end {
        Some(line_end) if alone_before && alone_behind => line_start..line_end,
        Some(_) if behind.trim().is_empty() => {
            text[..span.start].trim_end_matches([' ', '\t']).len()..end
        }
        _ => span.start..end + (behind.len() - behind.trim_start_matches([' ', '\t']).len()),
    }
}

/// The text of an inner object, moved to the left edge; what stands before and behind the outer one is kept.
pub(crate) fn unwrapped(text: &str, outer: &Range<usize>, inner: &str) -> String {
    let last_line = inner.rsplit('\n').next().unwrap_or_default();
    let indent = &last_line[..last_line.len() - last_line.trim_start_matches([' ', '\t']).len()];
    let line = format!("\n{indent}");
    let mut moved = String::with_capacity(inner.len());
    for (kind, span) in pieces(inner) {
        match kind {
            Kind::Space | Kind::Comment => moved.push_str(&inner[span].replace(&line, "\n")),
            // A line end in a string is part of it.
            Kind::Comma | Kind::Close | Kind::Other => moved.push_str(&inner[span]),
        }
    }
    [&text[..outer.start], &moved, &text[outer.end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str, part: &str) -> Range<usize> {
        let start = text.find(part).expect("it is there");
        start..start + part.len()
    }

    #[test]
    fn members_go_with_their_lines_and_commas() {
        for (text, member, left) in [
            ("{\"a\": 1, \"b\": 2}", "\"a\": 1", "{\"b\": 2}"),
            ("{\"a\": 1, \"b\": 2}", "\"b\": 2", "{\"a\": 1 }"),
            (
                "{\n  \"a\": 1,\n  \"b\": 2\n}\n",
                "\"a\": 1",
                "{\n  \"b\": 2\n}\n",
            ),
            (
                "{\n  \"a\": 1,\n  \"b\": 2\n}\n",
                "\"b\": 2",
                "{\n  \"a\": 1\n}\n",
            ),
            (
                "{\r\n  \"a\": 1, // about a\r\n  // about b\r\n  \"b\": [2,],\r\n}\r\n",
                "\"a\": 1",
                "{\r\n  // about b\r\n  \"b\": [2]\r\n}\r\n",
            ),
            ("{\"a\": \"}, //\"}", "\"a\": \"}, //\"", "{}"),
        ] {
            let edit = Edit::Remove(span(text, member));
            assert_eq!(apply(text, &[edit]), left, "{text}");
        }
    }

    #[test]
    fn placeholders_outside_of_strings_become_numbers_of_their_length() {
        let text = r#"{"a": ${PORT}, "b": "${X}", "c": {{ n }}, "d": <N>} // ${Y}"#;
        let (out, found) = without_unquoted_placeholders(text);
        assert_eq!(
            out,
            r#"{"a": 0      , "b": "${X}", "c": 0      , "d": 0  } // ${Y}"#
        );
        let found: Vec<&str> = found.into_iter().map(|span| &text[span]).collect();
        assert_eq!(found, ["${PORT}", "{{ n }}", "<N>"]);
    }

    #[test]
    fn the_inner_object_moves_to_the_left() {
        let text = "// head\n{\n  \"x\": {\n    \"a\": 1\n  }\n}\n";
        let outer = span(text, "{\n  \"x\": {\n    \"a\": 1\n  }\n}");
        let inner = &text[span(text, "{\n    \"a\": 1\n  }")];
        assert_eq!(
            unwrapped(text, &outer, inner),
            "// head\n{\n  \"a\": 1\n}\n"
        );
    }
}
