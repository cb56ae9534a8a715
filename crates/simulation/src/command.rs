//! What the commands `deploy` and `rollback` do once there is an image: facts, plan, the checks before it, and its execution.

use std::collections::BTreeMap;

use rollout::execute::{Ended, Event, execute};
use rollout::plan::{
    self, BeforeTask, Check, ExpectedImage, Marker, NewService, Placement, Plan, ServiceSettings,
    Wanted,
};
use rollout::preflight::{self, Answers, Finding, FindingSeverity};
use serde_json::Value;

use crate::cloud::Connection;
use crate::scenario::{Alarm, Run, Scenario};
use crate::version;
use crate::world::{CLUSTER, SERVICE};

/// How a run came to its end.
pub(crate) enum Outcome {
    /// There was a plan, and it was carried out.
    Ended(Box<(Plan, Ended)>),
    /// Nothing was done: there was no plan.
    NoPlan(String),
    /// The process died.
    Died,
}

/// A run of either command.
pub(crate) struct Command<'a> {
    pub(crate) scenario: &'a Scenario,
    /// How the service is made where it is not there.
    pub(crate) create: &'a NewService,
    pub(crate) run: &'a Run,
    /// The version to deploy; none for a rollback.
    pub(crate) wanted: Option<u64>,
}

impl Command<'_> {
    /// Carries the command out. What it tells is added to `events`.
    pub(crate) async fn carry_out(
        &self,
        connection: &Connection<'_>,
        events: &mut Vec<String>,
    ) -> Outcome {
        let facts = match connection.facts().await {
            Ok(facts) => facts,
            Err(error) => return Outcome::NoPlan(error.message),
        };
        let planned = match self.wanted {
            Some(number) => plan::deploy(self.wanted(number), &facts),
            None => plan::rollback(
                CLUSTER.to_owned(),
                SERVICE.to_owned(),
                &facts,
                None,
                None,
                self.run.timeout_seconds,
            ),
        };
        let mut plan = match planned {
            Ok(plan) => plan,
            Err(refusal) => return Outcome::NoPlan(refusal.to_string()),
        };
        let found = preflight::findings(&Value::Null, &facts, &plan, &Answers::default());
        let stops = |finding: &&Finding| finding.severity == FindingSeverity::Error;
        if let Some(finding) = found.iter().find(stops) {
            return Outcome::NoPlan(finding.message.clone());
        }
        if self.wanted.is_none()
            && let Some(document) = plan.target().and_then(|target| connection.document(target))
        {
            plan.image = ExpectedImage::of(&document, "app");
        }
        connection.follow(&plan);
        let mut tell = |event: Event| {
            let event = format!("{event:?}");
            connection.note(|| event.clone());
            events.push(event);
        };
        let ended = execute(&plan, connection, &mut tell).await;
        Outcome::Ended(Box::new((plan, ended)))
    }

    fn wanted(&self, number: u64) -> Wanted {
        let run = self.run;
        Wanted {
            cluster: CLUSTER.to_owned(),
            service: SERVICE.to_owned(),
            document: version::document(number, self.scenario.checks).to_string(),
            image: ExpectedImage {
                container: "app".to_owned(),
                reference: version::image(number),
            },
            settings: ServiceSettings {
                circuit_breaker: run.settings.circuit_breaker,
                ..ServiceSettings::default()
            },
            create: Some(self.create.clone()),
            timeout_seconds: run.timeout_seconds,
            supersede: run.supersede,
            before: run
                .before
                .map(|(marker, _)| chore(marker))
                .into_iter()
                .collect(),
            checks: run.checked.then(|| check(number)).into_iter().collect(),
            bake_seconds: run.bake_seconds,
            alarms: match run.alarm {
                Alarm::Unwatched => Vec::new(),
                Alarm::Quiet | Alarm::Fires(_) => vec!["errors".to_owned()],
            },
            tags: BTreeMap::from([("longshore:service".to_owned(), SERVICE.to_owned())]),
            ..Wanted::default()
        }
    }
}

fn chore(marker: Marker) -> BeforeTask {
    BeforeTask {
        name: "migrate".to_owned(),
        container: "app".to_owned(),
        command: vec![version::MIGRATE.to_owned()],
        timeout_seconds: 120,
        marker,
        reverse: (marker == Marker::Reverse).then(|| vec![version::REVERSE.to_owned()]),
        placement: Placement::default(),
    }
}

fn check(number: u64) -> Check {
    Check {
        url: "https://api.example.com/version".to_owned(),
        status: 200,
        contains: Some(version::body(number)),
        within_seconds: 60,
    }
}
