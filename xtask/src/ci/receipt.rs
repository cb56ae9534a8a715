//! A receipt as a CI system shows it: outputs of the step, a summary, an annotation.

use std::fmt::Write as _;

use rollout::receipt::{Outcome, Receipt};

use super::{GitHub, Level, code_block, code_span, table_cell};

/// Lines of a failed task's log that an annotation takes; the summary has all of them.
const TAIL: usize = 5;

/// Shows a finished receipt; `differences` are those of the task definitions, a line each.
pub fn show(github: &GitHub, receipt: &Receipt, differences: &[String]) {
    let outputs = outputs(receipt);
    let outputs: Vec<(&str, &str)> = outputs
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    github.outputs(&outputs);
    github.summary(&markdown(receipt, differences));
    let (level, title, text) = annotation(receipt);
    github.annotate(level, None, &title, &text);
}

/// Outputs of the step. All of them are always there; what is not known is empty.
fn outputs(receipt: &Receipt) -> [(&'static str, String); 8] {
    let or_empty = |value: &Option<String>| value.clone().unwrap_or_default();
    let digest = receipt
        .image
        .as_deref()
        .and_then(|image| image.split_once('@'))
        .map_or("", |(_, digest)| digest);
    [
        ("outcome", word(receipt.outcome).to_owned()),
        ("image", or_empty(&receipt.image)),
        ("digest", digest.to_owned()),
        ("task-definition", or_empty(&receipt.task_definition)),
        (
            "live-task-definition",
            or_empty(&receipt.live_task_definition),
        ),
        ("deployment", or_empty(&receipt.deployment)),
        ("commit", or_empty(&receipt.commit)),
        ("url", or_empty(&receipt.url)),
    ]
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Unchanged => "unchanged",
        Outcome::RolledBack => "rolled-back",
        Outcome::Failed => "failed",
        Outcome::Refused => "refused",
    }
}

fn sentence(receipt: &Receipt) -> &'static str {
    match receipt.outcome {
        Outcome::Succeeded => "succeeded: the running tasks are the new ones",
        Outcome::Unchanged => "nothing to do: this is live already",
        Outcome::RolledBack => "FAILED, and rolled back: the revision before serves again",
        Outcome::Failed if receipt.needs_a_person() => {
            "FAILED, and not rolled back: a person is needed"
        }
        Outcome::Failed => "FAILED before the service was changed",
        Outcome::Refused => "refused: nothing live was touched",
    }
}

fn annotation(receipt: &Receipt) -> (Level, String, String) {
    let level = match receipt.outcome {
        Outcome::Succeeded | Outcome::Unchanged => Level::Notice,
        Outcome::RolledBack | Outcome::Failed | Outcome::Refused => Level::Error,
    };
    let title = format!("{} in {}", receipt.service, receipt.environment);
    let mut text = sentence(receipt).to_owned();
    if let Some(cause) = &receipt.cause {
        let _ = write!(text, "\n{}", cause.message);
        let tail = &cause.log_tail;
        for line in &tail[tail.len().saturating_sub(TAIL)..] {
            let _ = write!(text, "\n  | {line}");
        }
    }
    (level, title, text)
}

fn markdown(receipt: &Receipt, differences: &[String]) -> String {
    let mut out = format!(
        "## {} in {}: {}\n\n| | |\n|---|---|\n",
        table_cell(&receipt.service),
        table_cell(&receipt.environment),
        sentence(receipt)
    );
    let revision = |arn: &Option<String>| {
        arn.as_deref()
            .map(crate::release::revision)
            .map(str::to_owned)
    };
    let rows = [
        ("wanted", revision(&receipt.task_definition)),
        ("live now", revision(&receipt.live_task_definition)),
        ("before", revision(&receipt.previous_task_definition)),
        ("image", receipt.image.clone()),
        ("commit", receipt.commit.clone()),
        ("deployment", receipt.deployment.clone()),
        ("address", receipt.url.clone()),
    ];
    for (name, value) in rows {
        if let Some(value) = value {
            let _ = writeln!(
                out,
                "| {name} | {} |",
                code_span(&value).replace('|', "\\|")
            );
        }
    }
    if let Some(cause) = &receipt.cause {
        let _ = write!(out, "\n### Why\n\n{}\n", table_cell(&cause.message));
        if !cause.log_tail.is_empty() {
            let _ = write!(out, "\n{}", code_block("text", &cause.log_tail.join("\n")));
        }
    }
    if !receipt.next.is_empty() {
        out.push_str("\n### What to do next\n\n");
        for step in &receipt.next {
            let _ = write!(out, "1. {}", table_cell(&step.what));
            if let Some(command) = &step.command {
                let _ = write!(out, ": {}", code_span(command));
            }
            out.push('\n');
        }
    }
    if !differences.is_empty() {
        let _ = write!(
            out,
            "\n### What changed\n\n{}",
            code_block("text", &differences.join("\n"))
        );
    }
    out.push_str(&stages(receipt));
    out.push_str(&timeline(receipt));
    out
}

/// The stages as a chart.
fn stages(receipt: &Receipt) -> String {
    if receipt.stages.is_empty() {
        return String::new();
    }
    let mut chart = String::from("gantt\n    dateFormat x\n    axisFormat %M:%S\n");
    let mut start = 0;
    for stage in &receipt.stages {
        let end = start + milliseconds(stage.seconds);
        let _ = writeln!(
            chart,
            "    {} {:.1} s : {start}, {end}",
            mermaid_words(&stage.name),
            stage.seconds
        );
        start = end;
    }
    format!("\n### Stages\n\n{}", code_block("mermaid", &chart))
}

/// What happened, as a chart that is read from left to right.
fn timeline(receipt: &Receipt) -> String {
    if receipt.timeline.is_empty() {
        return String::new();
    }
    let mut chart = String::from("timeline\n");
    for entry in &receipt.timeline {
        let _ = writeln!(
            chart,
            "    {:+.1} s : {}",
            entry.seconds,
            mermaid_words(&entry.what)
        );
    }
    format!(
        "\n### What happened, in seconds after the service was changed\n\n{}",
        code_block("mermaid", &chart)
    )
}

/// Words in a Mermaid chart, without what has a meaning there.
fn mermaid_words(text: &str) -> String {
    let mut words = String::new();
    for character in text.chars() {
        match character {
            ':' | ';' | '#' | '%' | '<' | '>' | '{' | '}' | '"' | '`' => words.push(' '),
            c if c.is_control() => words.push(' '),
            other => words.push(other),
        }
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At least one, so that a stage is seen.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a stage lasts seconds"
)]
fn milliseconds(seconds: f64) -> u64 {
    ((seconds * 1000.0).round() as u64).max(1)
}
