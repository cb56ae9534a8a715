//! The report as people read it: what failed first, with its output, then what ran.

use std::collections::HashSet;
use std::fmt::Write as _;

use go_test::{Kind, Outcome, Problem, Report};

use crate::ci::{self, GitHub, Level, code_block, code_span, table_cell};
use crate::report::count;
use crate::ui;

/// Lines of a problem's output that are shown; all of them are in the JUnit file and the JSON report.
const SHOWN: usize = 40;

/// Shows a report where people read: standard error, and in GitHub Actions annotations and the summary.
pub fn show(report: &Report) {
    let github = ci::github();
    let problems: Vec<&Problem> = report.problems().collect();
    if !problems.is_empty() {
        ui::say("");
    }
    let mut told = HashSet::new();
    for problem in &problems {
        let text = text(problem);
        // Without Go every step fails in the same words.
        if !told.insert(text.clone()) {
            continue;
        }
        match &github {
            Some(github) => {
                github.inert(&text);
                annotate(github, problem);
            }
            None => ui::say(&text),
        }
    }
    let packages = packages(report);
    match &github {
        Some(github) if !packages.is_empty() => github.group("packages", &packages),
        _ => ui::say(packages.trim_end()),
    }
    ui::say(&verdict(report));
    if let Some(github) = &github {
        github.summary(&markdown(report));
    }
}

/// One problem, as it stands on a terminal.
fn text(problem: &Problem) -> String {
    let mut out = format!("{}: {}\n", headline(problem), problem.message);
    if let Some(place) = &problem.place {
        let _ = write!(out, "  at  {}:{}", place.file, place.line);
        if let Some(column) = place.column {
            let _ = write!(out, ":{column}");
        }
        out.push('\n');
    }
    if let Some(help) = &problem.help {
        let _ = writeln!(out, "hint  {help}");
    }
    // A compiler's line says nothing that does not stand above.
    if !matches!(problem.kind, Kind::Build | Kind::Vet) || problem.place.is_none() {
        let lines: Vec<&str> = problem.output.trim_end().lines().collect();
        for line in lines.iter().take(SHOWN) {
            let _ = writeln!(out, "  | {line}");
        }
        if lines.len() > SHOWN {
            let _ = writeln!(
                out,
                "  | … {} more; `--junit FILE` and `--format json` have them all",
                count(lines.len() - SHOWN, "line")
            );
        }
    }
    out
}

fn headline(problem: &Problem) -> String {
    let mut out = format!("FAILED  {}", problem.kind.name());
    if let Some(test) = &problem.test {
        let _ = write!(out, "  {test}");
    }
    if let Some(package) = &problem.package {
        let _ = write!(out, "  ({package})");
    }
    out
}

fn annotate(github: &GitHub, problem: &Problem) {
    let title = match &problem.test {
        Some(test) => format!("{}: {test}", problem.kind.name()),
        None => problem.kind.name().to_owned(),
    };
    let mut text = problem.message.clone();
    if let Some(help) = &problem.help {
        let _ = write!(text, "\nhint: {help}");
    }
    let place = problem
        .place
        .as_ref()
        .map(|place| (place.file.as_str(), place.line, place.column));
    github.annotate(Level::Error, place, &title, &text);
}

fn packages(report: &Report) -> String {
    report.packages().fold(String::new(), |mut out, package| {
        let (word, time) = match package.outcome {
            Outcome::Passed if package.cached => ("ok", "cached".to_owned()),
            Outcome::Passed => ("ok", format!("{:.2} s", package.seconds)),
            Outcome::Failed => ("FAILED", format!("{:.2} s", package.seconds)),
            Outcome::Skipped => ("-", "no tests".to_owned()),
        };
        let _ = writeln!(out, "{word:>8}  {}  ({time})", package.name);
        out
    })
}

fn verdict(report: &Report) -> String {
    let tests = format!(
        "{} passed, {} failed, {} skipped",
        count(report.tests(Outcome::Passed), "test"),
        report.tests(Outcome::Failed),
        report.tests(Outcome::Skipped)
    );
    let problems = report.problems().count();
    match report.outcome {
        Outcome::Failed => format!("{:>8}  {}; {tests}", "FAILED", count(problems, "problem")),
        Outcome::Passed | Outcome::Skipped => format!("{:>8}  {tests}", "passed"),
    }
}

/// The report for a summary.
fn markdown(report: &Report) -> String {
    let mut out = format!(
        "## Tests of {}: {}\n\n| step | outcome | |\n|---|---|---|\n",
        table_cell(&report.service),
        report.outcome.name()
    );
    for step in &report.steps {
        let words = if step.problems.is_empty() {
            String::new()
        } else {
            count(step.problems.len(), "problem")
        };
        let _ = writeln!(
            out,
            "| {} | {} | {words} |",
            code_span(&step.command).replace('|', "\\|"),
            step.outcome.name()
        );
    }
    let _ = writeln!(
        out,
        "\n{} passed, {} failed, {} skipped",
        count(report.tests(Outcome::Passed), "test"),
        report.tests(Outcome::Failed),
        report.tests(Outcome::Skipped)
    );
    for problem in report.problems() {
        let _ = write!(
            out,
            "\n### {}\n\n{}",
            table_cell(&headline(problem)),
            table_cell(&problem.message)
        );
        if let Some(place) = &problem.place {
            let _ = write!(
                out,
                ", {}",
                code_span(&format!("{}:{}", place.file, place.line))
            );
        }
        out.push_str("\n\n");
        if let Some(help) = &problem.help {
            let _ = writeln!(out, "{}\n", table_cell(help));
        }
        let shown: Vec<&str> = problem.output.lines().take(SHOWN).collect();
        if !shown.is_empty() {
            out.push_str(&code_block("text", &shown.join("\n")));
        }
    }
    out
}
