//! The end of a run as a person reads it, perhaps at night: what failed, why, what runs now and what to do stand in the first ten lines; the evidence follows.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use rollout::cause::{Cause, CauseCode};
use rollout::receipt::{FailedTask, Outcome, Receipt, TimelineEntry};
use rollout::tail::{brief, telling};
use rollout::words::revision;

use crate::project::short;

/// Moments of the timeline that stand here, from both ends.
const MOMENTS: usize = 14;
/// Characters of the log line that stands at the top.
const LOG_LINE: usize = 240;
/// Characters of others' words that stand here; the receipt has all of them.
const WORDS: usize = 140;

/// The summary, several lines.
pub fn summary(receipt: &Receipt) -> String {
    let mut out = String::from("\n");
    verdict(receipt, &mut out);
    for (index, step) in receipt.next.iter().enumerate() {
        let name = if index == 0 { "do next" } else { "" };
        match &step.command {
            Some(command) => row(&mut out, name, &format!("{}: `{command}`", step.what)),
            None => row(&mut out, name, &step.what),
        }
    }
    release(receipt, &mut out);
    if matches!(receipt.outcome, Outcome::RolledBack | Outcome::Failed) {
        evidence(receipt, &mut out);
    }
    out.trim_end().to_owned()
}

fn row(out: &mut String, name: &str, value: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{name:>10}  {value}");
}

/// What failed, why, and what runs now.
fn verdict(receipt: &Receipt, out: &mut String) {
    let live = named(
        receipt.live_task_definition.as_deref(),
        receipt.live_commit.as_deref(),
    );
    let live = live.as_deref().unwrap_or("unknown");
    if !matches!(
        receipt.outcome,
        Outcome::Succeeded | Outcome::Unchanged | Outcome::Refused
    ) {
        row(out, "FAILED", &words(receipt.cause.as_ref()));
        let tail = receipt.cause.as_ref().map(|cause| &cause.log_tail[..]);
        if let Some(line) = telling(tail.unwrap_or_default()) {
            row(out, "its log", &brief(line, LOG_LINE));
        }
    }
    match receipt.outcome {
        Outcome::Succeeded => row(out, "live", live),
        Outcome::Unchanged => row(
            out,
            "unchanged",
            &format!("{live} is live already; nothing was done"),
        ),
        Outcome::RolledBack => {
            let by = receipt.rolled_back_by.as_deref();
            let by = by.map_or_else(String::new, |by| format!(", rolled back by {by}"));
            row(out, "live", &format!("{live}, as before{by}; verified"));
        }
        Outcome::Failed if receipt.exit_code == 1 => {
            row(out, "live", &format!("{live}; the service was not touched"));
        }
        Outcome::Failed => {
            if let Some(why) = &receipt.rollback_failure {
                row(out, "NOT BACK", why);
            }
            row(out, "live", &format!("{live}: a person is needed"));
        }
        Outcome::Refused => row(out, "REFUSED", &words(receipt.cause.as_ref())),
    }
}

/// What was released, where and when.
fn release(receipt: &Receipt, out: &mut String) {
    let from = named(
        receipt.previous_task_definition.as_deref(),
        receipt.previous_commit.as_deref(),
    );
    let to = named(
        receipt.task_definition.as_deref(),
        receipt.commit.as_deref(),
    );
    if let Some(to) = to.filter(|_| receipt.outcome != Outcome::Unchanged) {
        let from = from.map_or_else(String::new, |from| format!("{from} -> "));
        row(out, "release", &format!("{from}{to}"));
    }
    let known = [
        receipt.account.as_ref().map(|one| format!("account {one}")),
        receipt.region.clone(),
        receipt.cluster.as_ref().map(|one| format!("cluster {one}")),
    ];
    let known: Vec<String> = known.into_iter().flatten().collect();
    row(
        out,
        "where",
        &format!(
            "service {} in environment {}: {}",
            receipt.ecs_service.as_ref().unwrap_or(&receipt.service),
            receipt.environment,
            known.join(", ")
        ),
    );
    let began = receipt.changed_at.as_ref().or(receipt.started_at.as_ref());
    if let (Some(seconds), Some(began)) = (receipt.seconds_to_verdict, began) {
        let (word, back) = match (receipt.outcome, receipt.seconds_to_end) {
            (Outcome::Succeeded, _) => ("verified", String::new()),
            (Outcome::RolledBack, Some(end)) => ("failed", format!(", back after {end:.1} s")),
            _ => ("failed", String::new()),
        };
        row(
            out,
            "when",
            &format!("service changed at {began}, {word} after {seconds:.1} s{back}"),
        );
    }
    if let Some(image) = &receipt.image
        && receipt.outcome != Outcome::Refused
    {
        row(out, "image", image);
    }
    let mut stages: Vec<String> = receipt
        .stages
        .iter()
        .map(|stage| format!("{} {:.1} s", stage.name, stage.seconds))
        .collect();
    if receipt.aws_requests > 0 {
        stages.push(format!("{} requests to AWS", receipt.aws_requests));
    }
    if !stages.is_empty() {
        row(out, "stages", &stages.join(", "));
    }
}

/// `api:2 (commit 0123456789ab)`.
fn named(arn: Option<&str>, commit: Option<&str>) -> Option<String> {
    let name = revision(arn?);
    Some(match commit {
        Some(commit) => format!("{name} (commit {})", short(commit)),
        None => name.to_owned(),
    })
}

fn evidence(receipt: &Receipt, out: &mut String) {
    let cause = receipt.cause.as_ref();
    let tail = cause.map(|cause| &cause.log_tail[..]).unwrap_or_default();
    if !tail.is_empty() {
        let task = cause.and_then(|cause| cause.task.as_deref());
        let _ = writeln!(
            out,
            "\nlast {} lines of task {}",
            tail.len(),
            task.unwrap_or_default()
        );
        for line in tail {
            let _ = writeln!(out, "  | {line}");
        }
    }
    if !receipt.failed_tasks.is_empty() {
        let _ = writeln!(out, "\nfailed tasks");
        let said = cause.map_or("", |cause| cause.message.as_str());
        for (what, tasks) in alike(&receipt.failed_tasks, said) {
            let _ = writeln!(out, "  {what}: {}", tasks.join(", "));
        }
    }
    let zero = receipt.changed_at.as_ref().or(receipt.started_at.as_ref());
    let zero: Option<Timestamp> = zero.and_then(|at| at.parse().ok());
    // Each failed task stands in a list of its own.
    let timeline: Vec<&TimelineEntry> = receipt
        .timeline
        .iter()
        .filter(|entry| !(entry.what.starts_with("task ") && entry.what.contains(" failed")))
        .collect();
    if !timeline.is_empty() {
        let _ = writeln!(out, "\ntimeline (UTC, and seconds after UpdateService)");
        let half = MOMENTS / 2;
        let hidden = timeline.len().saturating_sub(MOMENTS);
        for (index, entry) in timeline.into_iter().enumerate() {
            if hidden > 0 && (half..half + hidden).contains(&index) {
                if index == half {
                    let _ = writeln!(out, "{:>18}  … {hidden} more in the receipt", "");
                }
                continue;
            }
            let _ = writeln!(out, "{}", moment(entry, zero));
        }
    }
    if !receipt.events.is_empty() {
        let hidden = receipt.events.len().saturating_sub(MOMENTS);
        let _ = writeln!(out, "\nECS service events");
        if hidden > 0 {
            let _ = writeln!(out, "{:>18}  … {hidden} earlier in the receipt", "");
        }
        for entry in &receipt.events[hidden..] {
            let _ = writeln!(out, "{}", moment(entry, zero));
        }
    }
}

/// `  20:23:48      +1.0  what`.
fn moment(entry: &TimelineEntry, zero: Option<Timestamp>) -> String {
    let at = zero.and_then(|zero| {
        let after = SignedDuration::try_from_secs_f64(entry.seconds).ok()?;
        zero.checked_add(after).ok()
    });
    let clock = at.map_or_else(String::new, |at| at.strftime("%H:%M:%S").to_string());
    format!(
        "  {clock:8}  {:>+6.1}  {}",
        entry.seconds,
        brief(&entry.what, WORDS)
    )
}

/// The failed tasks by what happened to them, in order; what `said` holds is not said again.
fn alike<'a>(tasks: &'a [FailedTask], said: &str) -> Vec<(String, Vec<&'a str>)> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for task in tasks {
        let what = ended(task, said);
        match groups.iter_mut().find(|(known, _)| *known == what) {
            Some((_, same)) => same.push(&task.task),
            None => groups.push((what, vec![&task.task])),
        }
    }
    groups
}

fn ended(task: &FailedTask, said: &str) -> String {
    let mut text = format!("[{}]", task.code.name());
    let mut say = |words: &str| {
        if !words.is_empty() && !said.contains(words) && !text.contains(words) {
            let _ = write!(text, " {}", brief(words, WORDS));
        }
    };
    say(task.reason.as_deref().unwrap_or_default());
    // ECS stops what fails a health check: how the program took that is no reason.
    let killed = matches!(task.code, CauseCode::HealthCheck | CauseCode::TargetHealth);
    for container in &task.containers {
        if let Some(code) = container.exit_code.filter(|_| !killed) {
            say(&format!("`{}` exited with code {code}", container.name));
        }
        say(container.reason.as_deref().unwrap_or_default());
    }
    text
}

fn words(cause: Option<&Cause>) -> String {
    cause.map_or_else(
        || "no reason is known".to_owned(),
        |cause| format!("{} [{}]", cause.message, cause.code.name()),
    )
}

#[cfg(test)]
mod tests {
    use rollout::receipt::{About, ContainerEnd};

    use super::*;

    const PULL: &str = "CannotPullContainerError: pull image manifest has been retried 7 time(s): failed to resolve ref 000000000000.dkr.ecr.us-east-1.amazonaws.com/longshore/api@sha256:1: not found";

    fn receipt(code: CauseCode, message: &str, log: &[&str]) -> Receipt {
        let arn = |revision: u32| {
            Some(format!(
                "arn:aws:ecs:us-east-1:000000000000:task-definition/api:{revision}"
            ))
        };
        let cause = Cause {
            task: Some("one".into()),
            log_tail: log.iter().map(|line| (*line).to_owned()).collect(),
            ..Cause::new(code, message)
        };
        let about = About {
            service: "api".into(),
            environment: "production".into(),
            account: Some("000000000000".into()),
            region: Some("us-east-1".into()),
            cluster: Some("main".into()),
            commit: Some("2222222222222222222222222222222222222222-dirty".into()),
            ..About::default()
        };
        let mut receipt = Receipt::without_plan(about, Outcome::RolledBack, 4, cause);
        receipt.task_definition = arn(2);
        receipt.previous_task_definition = arn(1);
        receipt.live_task_definition = arn(1);
        receipt.previous_commit = Some("1111111111111111111111111111111111111111".into());
        receipt.live_commit = receipt.previous_commit.clone();
        receipt.rolled_back_by = Some("ECS's deployment circuit breaker".into());
        receipt.changed_at = Some("2026-01-02T03:04:05Z".into());
        receipt.seconds_to_verdict = Some(61.0);
        receipt.seconds_to_end = Some(90.5);
        receipt.timeline = vec![TimelineEntry {
            seconds: 61.0,
            what: format!("task one failed: {message}"),
        }];
        receipt.failed_tasks = ["one", "two"]
            .map(|task| FailedTask {
                task: task.into(),
                code,
                stop_code: None,
                reason: Some(message.into()),
                containers: vec![ContainerEnd {
                    name: "api".into(),
                    exit_code: Some(0),
                    health: None,
                    reason: Some(message.into()),
                }],
            })
            .into();
        receipt
    }

    #[test]
    fn the_first_ten_lines_say_what_failed_why_and_what_to_do() {
        let mut log = vec!["a line"; 12];
        log.insert(2, "level=error msg=\"no such table: orders\"");
        let cause = "essential container `api` exited with code 3";
        let text = summary(&receipt(CauseCode::Exit, cause, &log));
        let head: Vec<&str> = text.trim_start().lines().take(10).collect();
        let head = head.join("\n");
        for part in [
            cause,
            "no such table: orders",
            "api:1 (commit 111111111111)",
            "circuit breaker",
            "the program ended by itself",
            "cargo xtask logs --service api --env production --task one",
            "-> api:2 (commit 222222222222-dirty)",
            "account 000000000000, us-east-1, cluster main",
            "2026-01-02T03:04:05Z",
            "back after 90.5 s",
        ] {
            assert!(head.contains(part), "{part}: {text}");
        }
        // All that was kept of the log stands below.
        assert_eq!(text.matches("  | ").count(), log.len(), "{text}");
    }

    #[test]
    fn a_long_reason_is_said_once() {
        let text = summary(&receipt(CauseCode::ImagePull, PULL, &[]));
        assert_eq!(
            text.matches("CannotPullContainerError").count(),
            1,
            "{text}"
        );
        assert!(text.contains("one, two"), "{text}");
        // Nothing ever ran that could have written a log.
        assert!(!text.contains("xtask logs"), "{text}");
    }

    #[test]
    fn that_ecs_stopped_an_unhealthy_task_is_no_exit_of_its_own() {
        let text = summary(&receipt(
            CauseCode::HealthCheck,
            "Task failed container health checks",
            &["ready", "stopping"],
        ));
        assert!(!text.contains("exited with"), "{text}");
    }

    #[test]
    fn after_an_interrupt_nothing_has_to_be_fixed() {
        let text = summary(&receipt(CauseCode::Interrupted, "interrupted", &[]));
        assert!(
            text.contains("to deploy again: `cargo xtask deploy"),
            "{text}"
        );
        assert!(!text.contains("fixed"), "{text}");
    }

    #[test]
    fn moments_are_told_by_the_clock_too() {
        let mut receipt = receipt(CauseCode::Exit, "x", &[]);
        receipt.timeline.push(TimelineEntry {
            seconds: -1.5,
            what: "registered api:2".into(),
        });
        let text = summary(&receipt);
        assert!(
            text.contains("  03:04:03    -1.5  registered api:2"),
            "{text}"
        );
    }
}
