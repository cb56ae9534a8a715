//! Tasks that ran before a release and that the revision before does not work after, remembered as a tag of the revision, for whoever goes back later.

use std::collections::{BTreeMap, BTreeSet};

use super::{BeforeTask, Marker};
use crate::facts::Facts;
use crate::words::revision;

/// Tag of a revision: the tasks that ran before it and that are not safe to go back after, `migrate=never backfill=reverse`.
pub(crate) const RAN_TAG: &str = "longshore:ran";
/// Characters that the value of a tag has at most (ECS API, `Tag`).
const MOST: usize = 256;

/// A task that stands in the way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InTheWay {
    /// ARN of the revision that it ran with.
    pub task_definition: String,
    /// Its name.
    pub task: String,
    /// What pipeline.toml said of it then: `Reverse` or `Never`.
    pub marker: Marker,
}

/// The value of the tag; none when every task is safe. What is worst comes first, as there is an end to a tag.
pub(super) fn remembered(tasks: &[BeforeTask]) -> Option<String> {
    let mut value = String::new();
    for (marker, word) in [(Marker::Never, "never"), (Marker::Reverse, "reverse")] {
        for task in tasks.iter().filter(|task| task.marker == marker) {
            // What a tag may hold.
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
            let name: String = task
                .name
                .chars()
                .map(|c| if allowed(c) { c } else { '_' })
                .collect();
            let entry = format!("{name}={word}");
            if value.len() + entry.len() < MOST {
                value.push_str(if value.is_empty() { "" } else { " " });
                value.push_str(&entry);
            }
        }
    }
    (!value.is_empty()).then_some(value)
}

/// ARNs of the revisions that were rolled out since the target last was, the newest first: what was done for them was done after it.
pub fn since(facts: &Facts, target: &str) -> Vec<String> {
    let primary = facts.service.as_ref().and_then(|service| service.primary());
    let primary = primary.map(|primary| primary.task_definition.as_str());
    let rolled_out = facts
        .history
        .iter()
        .take_while(|record| record.status != "SUCCESSFUL" || record.task_definition != target)
        .map(|record| record.task_definition.as_str());
    let mut seen = BTreeSet::new();
    primary
        .into_iter()
        .chain(rolled_out)
        .filter(|arn| *arn != target && !is_older(arn, target) && seen.insert(*arn))
        .map(str::to_owned)
        .collect()
}

/// Whether a revision was registered before another one of its family.
fn is_older(arn: &str, than: &str) -> bool {
    let parts = |arn| {
        let (family, number) = revision(arn).rsplit_once(':')?;
        Some((family, number.parse::<u64>().ok()?))
    };
    match (parts(arn), parts(than)) {
        (Some((family, number)), Some((other, than))) => family == other && number < than,
        _ => false,
    }
}

/// The tasks that ran with these revisions and are not safe to go back after, by the revisions' tags.
pub fn in_the_way(
    revisions: &[String],
    tags: &BTreeMap<String, BTreeMap<String, String>>,
) -> Vec<InTheWay> {
    let remembered = |arn: &String| {
        let value = tags.get(arn)?.get(RAN_TAG)?.clone();
        Some((arn.clone(), value))
    };
    let mut found = Vec::new();
    for (arn, value) in revisions.iter().filter_map(remembered) {
        for (task, marker) in value.split(' ').filter_map(|entry| entry.rsplit_once('=')) {
            found.push(InTheWay {
                task_definition: arn.clone(),
                task: task.to_owned(),
                // A word that only a later longshore knows is no promise that one can go back.
                marker: if marker == "reverse" {
                    Marker::Reverse
                } else {
                    Marker::Never
                },
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{DeploymentView, ServiceDeploymentView, ServiceView};

    fn task(name: &str, marker: Marker) -> BeforeTask {
        BeforeTask {
            name: name.to_owned(),
            marker,
            ..BeforeTask::default()
        }
    }

    #[test]
    fn what_was_remembered_stands_in_the_way() {
        let tasks = [
            task("back fill", Marker::Reverse),
            task("warm", Marker::Safe),
            task("migrate", Marker::Never),
        ];
        let value = remembered(&tasks).unwrap();
        assert_eq!(value, "migrate=never back_fill=reverse");
        assert_eq!(remembered(&tasks[1..2]), None);
        let many = vec![task("a-rather-long-name", Marker::Never); 40];
        assert!(remembered(&many).unwrap().len() <= MOST);

        let tags = BTreeMap::from([(
            "b".to_owned(),
            BTreeMap::from([(RAN_TAG.to_owned(), value)]),
        )]);
        let found = in_the_way(&["a".to_owned(), "b".to_owned()], &tags);
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.task.as_str(), one.marker))
            .collect();
        assert_eq!(
            found,
            [("migrate", Marker::Never), ("back_fill", Marker::Reverse)]
        );
    }

    #[test]
    fn only_what_was_rolled_out_since_counts() {
        let arn = |number: u32| format!("arn:aws:ecs:r:1:task-definition/api:{number}");
        let since = |primary: u32, history: &[(u32, &str)], target: u32| {
            let facts = Facts {
                service: Some(ServiceView {
                    deployments: vec![DeploymentView {
                        status: "PRIMARY".into(),
                        task_definition: arn(primary),
                        ..DeploymentView::default()
                    }],
                    ..ServiceView::default()
                }),
                history: history
                    .iter()
                    .map(|(number, status)| ServiceDeploymentView {
                        status: (*status).to_owned(),
                        task_definition: arn(*number),
                        ..ServiceDeploymentView::default()
                    })
                    .collect(),
                ..Facts::default()
            };
            let found = since(&facts, &arn(target));
            found
                .iter()
                .map(|arn| arn[arn.len() - 1..].to_owned())
                .collect::<String>()
        };
        let (ok, bad) = ("SUCCESSFUL", "ROLLBACK_SUCCESSFUL");
        assert_eq!(since(3, &[(3, ok), (2, ok), (1, ok)], 2), "3");
        assert_eq!(since(3, &[(3, ok), (2, ok), (1, ok)], 1), "32");
        assert_eq!(
            since(3, &[(3, ok), (2, bad), (1, ok)], 1),
            "32",
            "its task ran"
        );
        assert_eq!(
            since(3, &[(3, ok), (1, ok), (2, ok), (1, ok)], 1),
            "3",
            "it served after that"
        );
        assert_eq!(since(3, &[(3, ok), (2, ok)], 4), "", "a way forward");
        assert_eq!(since(2, &[(2, ok)], 1), "2", "no record of it any more");
    }
}
