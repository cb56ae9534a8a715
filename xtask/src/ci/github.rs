//! GitHub Actions: workflow commands, and the files that the runner reads after a step (documented under "Workflow commands for GitHub Actions").
//!
//! Workflow commands go to standard error with everything else that is not data; the runner reads them there too.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use super::Level;
use crate::ui;

/// GitHub refuses a step's summary above 1 MiB; all of it, not what is too much.
const SUMMARY_LIMIT: usize = 1 << 20;

/// The runner that this program is a step of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHub {
    output: Option<PathBuf>,
    summary: Option<PathBuf>,
}

#[expect(
    clippy::unused_self,
    reason = "only where there is a runner are its commands understood"
)]
impl GitHub {
    /// `variable` reads the environment.
    pub fn detect(variable: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let file = |name| {
            variable(name)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        };
        (variable("GITHUB_ACTIONS")? == "true").then(|| Self {
            output: file("GITHUB_OUTPUT"),
            summary: file("GITHUB_STEP_SUMMARY"),
        })
    }

    /// Shows a text from outside as a group that can be opened; nothing in it acts as a workflow command.
    pub fn group(&self, title: &str, text: &str) {
        let token = token();
        ui::say(&format!(
            "::group::{}\n::stop-commands::{token}\n{}\n::{token}::\n::endgroup::",
            message(title),
            text.trim_end()
        ));
    }

    /// Shows a text from outside; nothing in it acts as a workflow command.
    pub fn inert(&self, text: &str) {
        let token = token();
        ui::say(&format!(
            "::stop-commands::{token}\n{}\n::{token}::",
            text.trim_end()
        ));
    }

    /// A message beside a line of a file, or at the run when there is no place.
    pub fn annotate(
        &self,
        level: Level,
        place: Option<(&str, u32, Option<u32>)>,
        title: &str,
        text: &str,
    ) {
        ui::say(&annotation(level, place, title, text));
    }

    /// Keeps a secret out of all logs from here on. The command itself is not shown.
    pub fn mask(&self, secret: &str) {
        for line in secret.lines().filter(|line| !line.is_empty()) {
            ui::say(&format!("::add-mask::{}", message(line)));
        }
    }

    /// Outputs of the step: `steps.ID.outputs.NAME`.
    pub fn outputs(&self, outputs: &[(&str, &str)]) {
        let text = outputs.iter().fold(String::new(), |text, (name, value)| {
            text + &output(name, value)
        });
        self.append(self.output.as_ref(), "GITHUB_OUTPUT", &text);
    }

    /// Adds Markdown to the summary of the step.
    pub fn summary(&self, markdown: &str) {
        self.append(
            self.summary.as_ref(),
            "GITHUB_STEP_SUMMARY",
            &fitting(markdown),
        );
    }

    /// A file of the runner that cannot be written does not undo a deployment: it is said, and that is all.
    fn append(&self, path: Option<&PathBuf>, name: &str, text: &str) {
        let Some(path) = path else { return };
        let written = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        if let Err(error) = written {
            self.annotate(
                Level::Warning,
                None,
                name,
                &format!("{} cannot be written: {error}", path.display()),
            );
        }
    }
}

fn annotation(
    level: Level,
    place: Option<(&str, u32, Option<u32>)>,
    title: &str,
    text: &str,
) -> String {
    let word = match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Notice => "notice",
    };
    let mut out = format!("::{word} ");
    if let Some((file, line, column)) = place {
        let _ = write!(out, "file={},line={line},", property(file));
        if let Some(column) = column {
            let _ = write!(out, "col={column},");
        }
    }
    let _ = write!(out, "title={}::{}", property(title), message(text));
    out
}

/// The data of a workflow command.
fn message(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

/// One entry of the output file. The delimiter is random, so that no value can end its own entry and begin another.
fn output(name: &str, value: &str) -> String {
    if value.contains(['\n', '\r']) {
        let delimiter = token();
        format!("{name}<<{delimiter}\n{value}\n{delimiter}\n")
    } else {
        format!("{name}={value}\n")
    }
}

fn token() -> String {
    format!(
        "longshore-{:016x}{:016x}",
        fastrand::u64(..),
        fastrand::u64(..)
    )
}

fn fitting(markdown: &str) -> String {
    const NOTE: &str = "\n\n… the rest is in the log of the step\n";
    if markdown.len() <= SUMMARY_LIMIT {
        return markdown.to_owned();
    }
    let mut end = SUMMARY_LIMIT - NOTE.len() - 8;
    while !markdown.is_char_boundary(end) {
        end -= 1;
    }
    // What is cut may be inside a code block.
    format!("{}\n```{NOTE}", &markdown[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_runner_is_a_runner() {
        let env = |value: &'static str| {
            move |name: &str| (name == "GITHUB_ACTIONS").then(|| value.to_owned())
        };
        assert!(GitHub::detect(&env("true")).is_some());
        assert_eq!(GitHub::detect(&env("false")), None);
        assert_eq!(GitHub::detect(&|_| None), None);
    }

    #[test]
    fn nothing_breaks_out_of_an_annotation() {
        assert_eq!(
            annotation(
                Level::Error,
                Some(("a,b:c.go", 3, Some(7))),
                "50%: x",
                "one\n::add-mask::two\r%0A"
            ),
            "::error file=a%2Cb%3Ac.go,line=3,col=7,title=50%25%3A x::one%0A::add-mask::two%0D%250A"
        );
        assert_eq!(
            annotation(Level::Notice, None, "t", "m"),
            "::notice title=t::m"
        );
    }

    #[test]
    fn nothing_breaks_out_of_an_output() {
        assert_eq!(output("url", "http://a=b"), "url=http://a=b\n");
        let text = output("cause", "a\nrole=admin\nEOF\n");
        let delimiter = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("cause<<"))
            .unwrap();
        let ends = text.lines().filter(|line| *line == delimiter).count();
        assert_eq!(ends, 1, "{text}");
        assert!(text.ends_with(&format!("\n{delimiter}\n")));
    }

    #[test]
    fn a_summary_that_is_too_long_is_cut() {
        let long = "ü".repeat(SUMMARY_LIMIT);
        let fits = fitting(&long);
        assert!(fits.len() <= SUMMARY_LIMIT && fits.ends_with("of the step\n"));
        assert_eq!(fitting("short"), "short");
    }
}
