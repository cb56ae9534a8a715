//! The report as JUnit XML, which every CI system reads. One suite for each package, and one for each other step.

use std::fmt::Write as _;

use crate::report::{Outcome, Package, Problem, Report, Step};

/// The report as JUnit XML.
pub fn junit(report: &Report) -> String {
    let mut suites = String::new();
    let (mut tests, mut failures) = (0, 0);
    let mut add = |suite: Suite| {
        tests += suite.cases.len();
        failures += suite.cases.iter().filter(|case| case.failed()).count();
        suite.write(&mut suites);
    };
    for step in &report.steps {
        if step.packages.is_empty() {
            add(Suite::of_step(step));
        }
        for package in &step.packages {
            add(Suite::of_package(package, &step.problems));
        }
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" time=\"{:.3}\">\n{suites}</testsuites>\n",
        escape(&report.service),
        report.seconds
    )
}

struct Suite {
    name: String,
    seconds: f64,
    cases: Vec<Case>,
}

struct Case {
    name: String,
    seconds: f64,
    outcome: Outcome,
    message: String,
    place: Option<(String, u32)>,
    text: String,
}

impl Case {
    fn failed(&self) -> bool {
        self.outcome == Outcome::Failed
    }

    fn of_problem(problem: &Problem) -> Self {
        Self {
            name: problem
                .test
                .clone()
                .unwrap_or_else(|| problem.kind.name().to_owned()),
            seconds: 0.0,
            outcome: Outcome::Failed,
            message: format!("{}: {}", problem.kind.name(), problem.message),
            place: place(problem),
            text: problem.output.clone(),
        }
    }
}

fn place(problem: &Problem) -> Option<(String, u32)> {
    problem
        .place
        .as_ref()
        .map(|place| (place.file.clone(), place.line))
}

impl Suite {
    fn of_step(step: &Step) -> Self {
        let cases = if step.problems.is_empty() {
            vec![Case {
                name: step.command.clone(),
                seconds: step.seconds,
                outcome: step.outcome,
                message: String::new(),
                place: None,
                text: String::new(),
            }]
        } else {
            step.problems.iter().map(Case::of_problem).collect()
        };
        Self {
            name: step.name.clone(),
            seconds: step.seconds,
            cases,
        }
    }

    fn of_package(package: &Package, problems: &[Problem]) -> Self {
        let own = |problem: &&Problem| problem.package.as_ref() == Some(&package.name);
        let mut cases: Vec<Case> = package
            .tests
            .iter()
            .map(|test| {
                let problem = problems
                    .iter()
                    .filter(own)
                    .find(|problem| problem.test.as_ref() == Some(&test.name));
                Case {
                    name: test.name.clone(),
                    seconds: test.seconds,
                    outcome: test.outcome,
                    message: problem.map_or_else(
                        || "see its subtests".to_owned(),
                        |problem| format!("{}: {}", problem.kind.name(), problem.message),
                    ),
                    place: problem.and_then(place),
                    text: test.output.clone(),
                }
            })
            .collect();
        // What no test stands for: the package does not compile, or failed outside its tests.
        cases.extend(
            problems
                .iter()
                .filter(own)
                .filter(|problem| problem.test.is_none())
                .map(Case::of_problem),
        );
        Self {
            name: package.name.clone(),
            seconds: package.seconds,
            cases,
        }
    }

    fn write(&self, out: &mut String) {
        let failures = self.cases.iter().filter(|case| case.failed()).count();
        let skipped = self
            .cases
            .iter()
            .filter(|case| case.outcome == Outcome::Skipped)
            .count();
        let name = escape(&self.name);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{:.3}\">",
            self.cases.len(),
            self.seconds
        );
        for case in &self.cases {
            let _ = write!(
                out,
                "    <testcase classname=\"{name}\" name=\"{}\" time=\"{:.3}\"",
                escape(&case.name),
                case.seconds
            );
            if let Some((file, line)) = &case.place {
                let _ = write!(out, " file=\"{}\" line=\"{line}\"", escape(file));
            }
            let _ = match case.outcome {
                Outcome::Passed => writeln!(out, "/>"),
                Outcome::Failed => writeln!(
                    out,
                    ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                    escape(&case.message),
                    escape(&case.text)
                ),
                Outcome::Skipped => writeln!(
                    out,
                    ">\n      <skipped message=\"{}\"/>\n    </testcase>",
                    escape(case.text.trim())
                ),
            };
        }
        out.push_str("  </testsuite>\n");
    }
}

/// Text for XML 1.0, in attributes too. Characters that XML cannot hold in any form become U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(
            escape("<a & \"b\">\u{1b}[31m\n\u{0}"),
            "&lt;a &amp; &quot;b&quot;&gt;\u{fffd}[31m&#10;\u{fffd}"
        );
    }
}
