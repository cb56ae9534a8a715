//! The judge: looks at the model itself and decides whether a run's outcome told the truth.
//!
//! "Failed" may always be too dark, as it calls for a person. Every other outcome is a promise, and what it promises is looked up here.

use rollout::execute::{End, Ended};
use rollout::facts::{DeploymentView, RolloutState, ServiceView, TaskView};
use rollout::plan::{Marker, Plan};

use crate::version;

/// What the model knows at one moment.
pub(crate) struct Truth {
    pub(crate) service: Option<ServiceView>,
    pub(crate) running: Vec<TaskView>,
    /// The version that the PRIMARY deployment's task definition names.
    pub(crate) version: Option<u64>,
}

/// A run that has ended, and what is known of it besides.
pub(crate) struct Case<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) ended: &'a Ended,
    /// The version that the run was to bring; none for a rollback.
    pub(crate) wanted: Option<u64>,
    /// Whether the run changed anything of the service.
    pub(crate) touched: bool,
    /// Whether somebody else changed the service after the run last looked at it.
    pub(crate) disturbed: bool,
    /// Whether the version that should be live keeps all its tasks.
    pub(crate) steady: bool,
    /// What the plan's task before the release says about the way back, when it has one that ran.
    pub(crate) marker: Option<Marker>,
    /// Whether that task ended with 0.
    pub(crate) migrated: bool,
    /// Whether its reverse ended with 0 in this run.
    pub(crate) reversed: bool,
    /// Whether the alarm that is watched fired well before the verdict and after the beginning.
    pub(crate) alarmed: bool,
    /// Whether the release answers wrongly and is asked.
    pub(crate) wrong_answers: bool,
}

impl Case<'_> {
    /// What is wrong with the steps around the rollout.
    fn chores(&self, ended: &Ended) -> Option<String> {
        match (ended.end, self.marker) {
            (End::Succeeded, Some(_)) if !self.migrated => {
                Some("Succeeded, but the task before did not end well".to_owned())
            }
            (End::RolledBack, Some(Marker::Never)) if self.migrated => {
                Some("RolledBack after a task that nothing goes back after".to_owned())
            }
            (End::RolledBack | End::Unreleased | End::Refused, Some(Marker::Reverse))
                if self.migrated && !self.reversed =>
            {
                Some(format!("{:?}, but the reverse did not run", ended.end))
            }
            (End::Unreleased | End::Refused, Some(Marker::Never)) if self.migrated => {
                Some(format!(
                    "{:?}, but a task ran that the old version does not work after",
                    ended.end
                ))
            }
            (End::Succeeded, _) if self.alarmed => {
                Some("Succeeded, but the alarm had fired".to_owned())
            }
            (End::Succeeded | End::Unchanged, _) if self.wrong_answers => {
                Some(format!("{:?}, but the address answers wrongly", ended.end))
            }
            _ => None,
        }
    }
}

impl Truth {
    fn primary(&self) -> Option<&DeploymentView> {
        self.service
            .as_ref()
            .filter(|service| service.status == "ACTIVE")
            .and_then(ServiceView::primary)
    }

    /// Why this revision is not what is live; none when it is.
    fn denies(&self, definition: &str, steady: bool) -> Option<String> {
        let (Some(service), Some(primary)) = (&self.service, self.primary()) else {
            return Some("there is no service".to_owned());
        };
        if primary.task_definition != definition || service.task_definition != definition {
            return Some(format!(
                "the PRIMARY deployment is of {}",
                primary.task_definition
            ));
        }
        if primary.rollout_state != Some(RolloutState::Completed) {
            return Some(format!(
                "the PRIMARY deployment is {:?}",
                primary.rollout_state
            ));
        }
        let tasks: Vec<&TaskView> = self
            .running
            .iter()
            .filter(|task| task.last_status == "RUNNING" && task.task_definition == definition)
            .collect();
        if steady && tasks.len() < service.desired_count as usize {
            return Some(format!(
                "{} of {} tasks run",
                tasks.len(),
                service.desired_count
            ));
        }
        None
    }

    /// A running task of the revision that is live runs another image.
    fn wrong_image(&self) -> Option<String> {
        let live = &self.primary()?.task_definition;
        let right = self.version.map(version::digest);
        self.running
            .iter()
            .filter(|task| task.last_status == "RUNNING" && task.task_definition == *live)
            .flat_map(|task| &task.containers)
            .find(|container| container.image_digest != right)
            .map(|container| format!("a task runs {:?}", container.image_digest))
    }
}

/// What is wrong with an outcome; none when it told the truth.
pub(crate) fn judge(case: &Case<'_>, truth: &Truth) -> Option<String> {
    let Case { plan, ended, .. } = case;
    if matches!(ended.end, End::Refused | End::Unchanged | End::Unreleased) && case.touched {
        return Some(format!("{:?}, but the service was changed", ended.end));
    }
    if let Some(wrong) = case.chores(ended) {
        return Some(wrong);
    }
    if case.disturbed {
        return None;
    }
    match ended.end {
        End::Failed | End::Refused | End::Unreleased => None,
        End::Succeeded => {
            let Some(definition) = &ended.task_definition else {
                return Some("Succeeded without a task definition".to_owned());
            };
            if case.wanted.is_some() && truth.version != case.wanted {
                return Some(format!(
                    "Succeeded, but live is version {:?}, not {:?}",
                    truth.version, case.wanted
                ));
            }
            let denied = truth
                .denies(definition, case.steady)
                .or_else(|| truth.wrong_image().filter(|_| case.wanted.is_some()))?;
            Some(format!("Succeeded with {definition}, but {denied}"))
        }
        End::RolledBack => {
            let Some(back) = &plan.way_back else {
                return Some("RolledBack without a way back".to_owned());
            };
            let denied = truth.denies(back, case.steady)?;
            Some(format!("RolledBack to {back}, but {denied}"))
        }
        End::Unchanged => {
            let live = truth.primary();
            if case.wanted.is_some() && truth.version != case.wanted {
                return Some(format!(
                    "Unchanged, but live is version {:?}, not {:?}",
                    truth.version, case.wanted
                ));
            }
            let completed =
                live.is_some_and(|live| live.rollout_state == Some(RolloutState::Completed));
            if !completed {
                return Some(format!("Unchanged, but live is {live:?}"));
            }
            let wrong = truth.wrong_image().filter(|_| case.wanted.is_some())?;
            Some(format!("Unchanged, but {wrong}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use rollout::facts::ContainerView;

    use super::*;

    const NEW: &str = "arn:task-definition/api:2";
    const OLD: &str = "arn:task-definition/api:1";

    fn plan() -> Plan {
        Plan {
            format: 1,
            cluster: "main".into(),
            service: "api".into(),
            way_back: Some(OLD.into()),
            timeout_seconds: 60,
            ..Plan::default()
        }
    }

    fn truth(definition: &str, state: RolloutState, version: u64, runs: u64) -> Truth {
        let task = TaskView {
            last_status: "RUNNING".into(),
            task_definition: definition.into(),
            containers: vec![ContainerView {
                image_digest: Some(version::digest(runs)),
                ..ContainerView::default()
            }],
            ..TaskView::default()
        };
        Truth {
            service: Some(ServiceView {
                status: "ACTIVE".into(),
                desired_count: 1,
                task_definition: definition.into(),
                deployments: vec![DeploymentView {
                    status: "PRIMARY".into(),
                    task_definition: definition.into(),
                    rollout_state: Some(state),
                    ..DeploymentView::default()
                }],
                ..ServiceView::default()
            }),
            running: vec![task],
            version: Some(version),
        }
    }

    fn verdict(end: End, touched: bool, truth: &Truth) -> Option<String> {
        let ended = Ended {
            end,
            task_definition: Some(NEW.into()),
            ..Ended::default()
        };
        let case = Case {
            plan: &plan(),
            ended: &ended,
            wanted: Some(2),
            touched,
            disturbed: false,
            steady: true,
            marker: None,
            migrated: false,
            reversed: false,
            alarmed: false,
            wrong_answers: false,
        };
        judge(&case, truth)
    }

    #[test]
    fn outcomes_that_tell_the_truth_pass() {
        let new = truth(NEW, RolloutState::Completed, 2, 2);
        let old = truth(OLD, RolloutState::Completed, 1, 1);
        assert_eq!(verdict(End::Succeeded, true, &new), None);
        assert_eq!(verdict(End::Unchanged, false, &new), None);
        assert_eq!(verdict(End::RolledBack, true, &old), None);
        assert_eq!(verdict(End::Refused, false, &old), None);
        assert_eq!(verdict(End::Failed, true, &old), None);
    }

    #[test]
    fn a_wrong_outcome_is_caught() {
        let rolling = truth(NEW, RolloutState::InProgress, 2, 2);
        let other_image = truth(NEW, RolloutState::Completed, 2, 9);
        let new = truth(NEW, RolloutState::Completed, 2, 2);
        let old = truth(OLD, RolloutState::Completed, 1, 1);
        let mut gone = truth(NEW, RolloutState::Completed, 2, 2);
        gone.running.clear();
        let wrong = [
            (End::Succeeded, true, &rolling),
            (End::Succeeded, true, &other_image),
            (End::Succeeded, true, &old),
            (End::Succeeded, true, &gone),
            (End::RolledBack, true, &new),
            (End::RolledBack, true, &rolling),
            (End::Unchanged, false, &old),
            (End::Unchanged, false, &rolling),
            (End::Unchanged, false, &other_image),
            (End::Unchanged, true, &new),
            (End::Refused, true, &old),
        ];
        for (end, touched, truth) in wrong {
            assert!(verdict(end, touched, truth).is_some(), "{end:?} passed");
        }
    }
}
