//! The four ways to show problems. Each is a pure function from data to text.

use std::fmt::Write as _;
use std::str::FromStr;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use crate::source::whole_characters;
use crate::{Diagnostic, Severity};

/// A way to show problems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The lines of the file with the place marked: for a person at a terminal.
    #[default]
    Full,
    /// `file:line:col: code message`, a line each: for editors and `grep`.
    Concise,
    /// GitHub's workflow commands, which become annotations of a pull request.
    Github,
    /// An array of objects: for scripts.
    Json,
}

/// A word that names no format.
#[derive(Debug, PartialEq, Eq)]
pub struct ParseFormatError(String);

impl std::fmt::Display for ParseFormatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` is not one of full, concise, github, json",
            self.0.escape_default()
        )
    }
}

impl std::error::Error for ParseFormatError {}

impl FromStr for Format {
    type Err = ParseFormatError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "full" => Ok(Self::Full),
            "concise" => Ok(Self::Concise),
            "github" => Ok(Self::Github),
            "json" => Ok(Self::Json),
            other => Err(ParseFormatError(other.to_owned())),
        }
    }
}

/// Shows problems, in the order given. The text ends with a line end unless there is nothing to say.
///
/// `color` only matters for [`Format::Full`]; nothing is said by colour alone.
pub fn render(problems: &[Diagnostic], format: Format, color: bool) -> String {
    match format {
        Format::Full => full(problems, color),
        Format::Concise => concise(problems),
        Format::Github => github(problems),
        Format::Json => json(problems),
    }
}

fn full(problems: &[Diagnostic], color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut out = String::new();
    for problem in problems {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let path = problem.source.path.display().to_string();
        let text = problem.source.text.as_str();
        let mut annotation = AnnotationKind::Primary.span(whole_characters(text, &problem.span));
        if let Some(label) = &problem.label {
            annotation = annotation.label(label.as_str());
        }
        let mut group: Group<'_> = level
            .primary_title(problem.message.as_str())
            .id(problem.code)
            .element(
                Snippet::source(text)
                    .path(path.as_str())
                    .annotation(annotation),
            );
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let _ = writeln!(out, "{}\n", renderer.render(&[group]));
    }
    out
}

fn concise(problems: &[Diagnostic]) -> String {
    let mut out = String::new();
    for problem in problems {
        let start = problem.start();
        let _ = writeln!(
            out,
            "{}:{}:{}: {}[{}] {}",
            problem.source.path.display(),
            start.line,
            start.column,
            problem.severity.name(),
            problem.code,
            one_line(&problem.message)
        );
    }
    out
}

/// <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>: properties escape more than the message does.
fn github(problems: &[Diagnostic]) -> String {
    let mut out = String::new();
    for problem in problems {
        let (start, end) = (problem.start(), problem.end());
        let command = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let mut message = problem.message.clone();
        if let Some(help) = &problem.help {
            let _ = write!(message, "\nhelp: {help}");
        }
        let _ = writeln!(
            out,
            "::{command} title={},file={},line={},col={},endLine={},endColumn={}::{}",
            github_property(problem.code),
            github_property(&problem.source.path.display().to_string()),
            start.line,
            start.column,
            end.line,
            end.column,
            github_message(&message)
        );
    }
    out
}

fn github_message(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn github_property(text: &str) -> String {
    github_message(text).replace(':', "%3A").replace(',', "%2C")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[derive(Serialize)]
struct Place {
    line: usize,
    column: usize,
    offset: usize,
}

#[derive(Serialize)]
struct Entry<'a> {
    code: &'a str,
    severity: &'a str,
    message: &'a str,
    file: String,
    start: Place,
    end: Place,
    label: Option<&'a str>,
    help: Option<&'a str>,
}

fn json(problems: &[Diagnostic]) -> String {
    let entries: Vec<Entry<'_>> = problems
        .iter()
        .map(|problem| {
            let (start, end) = (problem.start(), problem.end());
            Entry {
                code: problem.code,
                severity: problem.severity.name(),
                message: &problem.message,
                file: problem.source.path.display().to_string(),
                start: Place {
                    line: start.line,
                    column: start.column,
                    offset: problem.span.start,
                },
                end: Place {
                    line: end.line,
                    column: end.column,
                    offset: problem.span.end,
                },
                label: problem.label.as_deref(),
                help: problem.help.as_deref(),
            }
        })
        .collect();
    // Strings and numbers cannot fail to serialize.
    let mut text = serde_json::to_string_pretty(&entries).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Source;

    fn problems() -> Vec<Diagnostic> {
        let source = Arc::new(Source::new(
            "app/pipeline.toml",
            "[build]\npakage = \"./cmd\"\nplatform = 3\n",
        ));
        vec![
            Diagnostic::error("unknown-key", &source, 8..14, "unknown key `pakage`")
                .help("did you mean `package`?"),
            Diagnostic::error("wrong-type", &source, 36..37, "expected a string, found 3")
                .label("100% wrong:\nhere"),
        ]
    }

    #[test]
    fn each_format_shows_the_same_places() {
        for (name, format) in [
            ("full", Format::Full),
            ("concise", Format::Concise),
            ("github", Format::Github),
            ("json", Format::Json),
        ] {
            assert_eq!(name.parse::<Format>().unwrap(), format);
            insta::assert_snapshot!(name, render(&problems(), format, false));
        }
    }

    #[test]
    fn a_span_past_the_end_is_no_panic() {
        let source = Arc::new(Source::new("empty.toml", ""));
        let problem = vec![Diagnostic::error("missing-key", &source, 0..0, "missing")];
        for format in [Format::Full, Format::Concise, Format::Github, Format::Json] {
            assert!(render(&problem, format, true).contains("missing"));
        }
    }

    #[test]
    fn a_span_inside_a_character_is_no_panic() {
        for text in ["\u{feff}", "ü=1", "a\u{feff}"] {
            let source = Arc::new(Source::new("f.toml", text));
            let problem = vec![Diagnostic::error("missing-key", &source, 1..2, "missing")];
            for format in [Format::Full, Format::Concise, Format::Github, Format::Json] {
                assert!(render(&problem, format, false).contains("missing"));
            }
        }
    }

    #[test]
    fn an_unknown_format_is_named() {
        assert_eq!(
            "yaml".parse::<Format>().unwrap_err().to_string(),
            "`yaml` is not one of full, concise, github, json"
        );
    }
}
