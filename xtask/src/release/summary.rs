//! The end of a run as a person reads it: what failed, what runs now and what to do stand in the first ten lines; the evidence follows.

use std::fmt::Write as _;

use rollout::cause::Cause;
use rollout::receipt::{FailedTask, Outcome, Receipt, TimelineEntry};
use rollout::words::revision;

/// Lines of a log that stand here; the receipt has more.
const LOG_LINES: usize = 8;
/// Moments of the timeline that stand here, from both ends.
const MOMENTS: usize = 14;

/// The summary, several lines.
pub fn summary(receipt: &Receipt) -> String {
    let mut out = String::from("\n");
    let mut say = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{name:>10}  {value}");
    };
    let live = receipt
        .live_task_definition
        .as_deref()
        .map_or("unknown", revision);
    match receipt.outcome {
        Outcome::Succeeded => say("live", live),
        Outcome::Unchanged => say(
            "unchanged",
            &format!("{live} is live already; nothing was done"),
        ),
        Outcome::RolledBack => {
            say("FAILED", &words(receipt.cause.as_ref()));
            say("live", &format!("{live}, which served before; verified"));
        }
        Outcome::Failed if receipt.exit_code == 1 => {
            say("FAILED", &words(receipt.cause.as_ref()));
            say("live", &format!("{live}; the service was not touched"));
        }
        Outcome::Failed => {
            say("FAILED", &words(receipt.cause.as_ref()));
            if let Some(why) = &receipt.rollback_failure {
                say("NOT BACK", why);
            }
            say("live", &format!("{live}: a person is needed"));
        }
        Outcome::Refused => say("REFUSED", &words(receipt.cause.as_ref())),
    }
    for (index, step) in receipt.next.iter().enumerate() {
        let name = if index == 0 { "do next" } else { "" };
        match &step.command {
            Some(command) => say(name, &format!("{}: `{command}`", step.what)),
            None => say(name, &step.what),
        }
    }
    if let Some(seconds) = receipt.seconds_to_verdict {
        let back = match (receipt.outcome, receipt.seconds_to_end) {
            (Outcome::RolledBack, Some(end)) => format!(", back after {end:.1} s"),
            _ => String::new(),
        };
        say(
            "verdict",
            &format!(
                "{seconds:.1} s after the change of the service{back}; {} requests to AWS",
                receipt.aws_requests
            ),
        );
    }
    if let Some(image) = &receipt.image
        && receipt.outcome != Outcome::Refused
    {
        say("image", image);
    }
    let stages: Vec<String> = receipt
        .stages
        .iter()
        .map(|stage| format!("{} {:.1} s", stage.name, stage.seconds))
        .collect();
    if !stages.is_empty() {
        say("stages", &stages.join(", "));
    }
    if matches!(receipt.outcome, Outcome::RolledBack | Outcome::Failed) {
        evidence(receipt, &mut out);
    }
    out.trim_end().to_owned()
}

fn evidence(receipt: &Receipt, out: &mut String) {
    let tail = receipt.cause.as_ref().map(|cause| &cause.log_tail[..]);
    let tail = tail.unwrap_or_default();
    if !tail.is_empty() {
        let task = receipt.cause.as_ref().and_then(|cause| cause.task.clone());
        let _ = writeln!(out, "\nlast lines of task {}", task.unwrap_or_default());
        for line in &tail[tail.len().saturating_sub(LOG_LINES)..] {
            let _ = writeln!(out, "  | {line}");
        }
    }
    if !receipt.failed_tasks.is_empty() {
        let _ = writeln!(out, "\nfailed tasks");
        for task in &receipt.failed_tasks {
            let _ = writeln!(out, "  {}", failed(task));
        }
    }
    if !receipt.timeline.is_empty() {
        let _ = writeln!(out, "\nseconds from the change of the service");
        let (all, half) = (&receipt.timeline, MOMENTS / 2);
        let hidden = all.len().saturating_sub(MOMENTS);
        for (index, entry) in all.iter().enumerate() {
            if hidden > 0 && (half..half + hidden).contains(&index) {
                if index == half {
                    let _ = writeln!(out, "{:>9}  … {hidden} more in the receipt", "");
                }
                continue;
            }
            let _ = writeln!(out, "{}", moment(entry));
        }
    }
    if !receipt.events.is_empty() {
        let _ = writeln!(out, "\nECS's own record");
        for entry in &receipt.events[receipt.events.len().saturating_sub(MOMENTS)..] {
            let _ = writeln!(out, "{}", moment(entry));
        }
    }
}

fn moment(entry: &TimelineEntry) -> String {
    format!("{:>9.1}  {}", entry.seconds, entry.what)
}

fn failed(task: &FailedTask) -> String {
    let mut text = format!("{} [{}]", task.task, task.code.name());
    if let Some(reason) = &task.reason {
        let _ = write!(text, " {reason}");
    }
    for container in &task.containers {
        if let Some(code) = container.exit_code {
            let _ = write!(text, "; {} exited with {code}", container.name);
        }
        if let Some(reason) = container
            .reason
            .as_ref()
            .filter(|why| Some(*why) != task.reason.as_ref())
        {
            let _ = write!(text, " ({reason})");
        }
    }
    text
}

fn words(cause: Option<&Cause>) -> String {
    cause.map_or_else(
        || "no reason is known".to_owned(),
        |cause| format!("{} [{}]", cause.message, cause.code.name()),
    )
}
