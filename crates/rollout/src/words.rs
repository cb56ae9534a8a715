//! Events in words, for a screen and for a timeline.

use std::fmt::Write as _;

use crate::execute::Event;

/// `family:revision` of an ARN.
pub fn revision(arn: &str) -> &str {
    arn.rsplit_once("task-definition/")
        .map_or(arn, |(_, revision)| revision)
}

/// An event in one line; none for those that would only fill a page.
pub fn timeline(event: &Event) -> Option<String> {
    match event {
        Event::Service(_) | Event::TaskOutput(_) => None,
        event => Some(line(event)),
    }
}

/// An event in one line.
pub fn line(event: &Event) -> String {
    match event {
        Event::Registered(arn) => format!("registered {}", revision(arn)),
        Event::Note(text) => format!("note: {text}"),
        Event::TaskStarted { name, task } => format!("task {name} runs ({task})"),
        Event::TaskDone(name) => format!("task {name} ended well"),
        Event::TaskOutput(line) => format!("| {line}"),
        Event::Started {
            deployment,
            task_definition,
        } => format!("deployment {deployment} of {}", revision(task_definition)),
        Event::Progress {
            running,
            desired,
            pending,
            failed,
        } => {
            let mut text = format!("{running} of {desired} tasks run");
            for (count, what) in [(pending, "starting"), (failed, "failed")] {
                if *count > 0 {
                    // Writing to a string does not fail.
                    let _ = write!(text, ", {count} {what}");
                }
            }
            text
        }
        Event::Stage(stage) => format!("lifecycle stage {stage}"),
        Event::TaskFailed {
            task,
            code,
            message,
        } => format!("task {task} failed: {message} [{}]", code.name()),
        Event::RolledOut => "the rollout is done; now it must prove itself".to_owned(),
        Event::Checking(url) => format!("checking {url}"),
        Event::Checked(url) => format!("answered as it should be: {url}"),
        Event::Baking(seconds) => format!("watching the new version for {seconds} s"),
        Event::Service(message) => message.clone(),
        Event::Retrying(what) => format!("trying again: {what}"),
        Event::Failed(cause) => format!("FAILED: {}", cause.message),
        Event::RollingBack { to, how } => format!("rolling back to {}: {how}", revision(to)),
        Event::Back(to) => format!("{} serves again; verified", revision(to)),
        Event::Succeeded => "succeeded".to_owned(),
    }
}
