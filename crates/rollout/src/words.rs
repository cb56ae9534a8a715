//! Events in words, for a screen and for a timeline. Writing to a string does not fail.

use std::fmt::Write as _;

use crate::execute::Event;
use crate::tail::brief;

/// Characters of a reason that is told once more.
const BRIEF: usize = 100;

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
            task_definition,
            running,
            desired,
            pending,
            failed,
        } => {
            let mut text = format!("{}: ", revision(task_definition));
            // A deployment that ECS has given up is wanted no tasks of: `0 of 0` would be a riddle.
            let _ = match desired {
                0 => write!(text, "{running} tasks running, none wanted any more"),
                _ => write!(text, "{running} of {desired} tasks running"),
            };
            for (count, what) in [(pending, "starting"), (failed, "failed")] {
                if *count > 0 {
                    let _ = write!(text, ", {count} {what}");
                }
            }
            text
        }
        Event::Stage(stage) => format!("lifecycle stage {stage}"),
        Event::TaskFailed {
            task,
            code,
            again: true,
            ..
        } => format!("task {task} failed as well [{}]", code.name()),
        Event::TaskFailed {
            task,
            code,
            message,
            again: false,
        } => format!("task {task} failed: {message} [{}]", code.name()),
        Event::RolledOut => "the rollout is done; now it must prove itself".to_owned(),
        Event::Checking(url) => format!("checking {url}"),
        Event::Checked(url) => format!("answered as it should be: {url}"),
        Event::Baking(seconds) => format!("watching the new version for {seconds} s"),
        Event::Service(message) => message.clone(),
        Event::Retrying(what) => format!("trying again: {what}"),
        // The whole of it stands in the summary, and the reasons of tasks were told with the tasks.
        Event::Failed(cause) => format!("FAILED: {}", brief(&cause.message, BRIEF)),
        Event::RollingBack { to, by } => format!("rolling back to {}, by {by}", revision(to)),
        Event::Back(to) => format!("{} serves again; verified", revision(to)),
        Event::Succeeded => "succeeded".to_owned(),
    }
}
