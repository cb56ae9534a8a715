//! What came of many stories.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::story::{Kind, Told};

/// So many violations are kept; all are counted.
const KEPT: usize = 20;

/// What came of many stories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Stories told.
    pub stories: u64,
    /// Runs in them: releases and rollbacks.
    pub runs: u64,
    /// Requests to AWS.
    pub calls: u64,
    /// Virtual time, in seconds.
    pub virtual_seconds: u64,
    /// How runs ended.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// The same for each kind of version.
    pub scenarios: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// How runs that raced ended.
    pub races: BTreeMap<String, u64>,
    /// Stories in which an outcome was wrong.
    pub violated: u64,
    /// The first of them, by kind and seed.
    pub violations: Vec<Violation>,
}

/// An outcome that did not tell the truth.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// Kind of the story.
    pub kind: Kind,
    /// Seed of the story.
    pub seed: u64,
    /// What is wrong.
    pub what: String,
}

impl Report {
    /// Counts a story.
    pub(crate) fn add(&mut self, told: &Told) {
        self.stories += 1;
        self.calls += told.calls;
        self.virtual_seconds += told.virtual_ms / 1000;
        for (scenario, outcome) in &told.runs {
            self.runs += 1;
            *self.outcomes.entry(outcome).or_default() += 1;
            let outcomes = self.scenarios.entry(scenario).or_default();
            *outcomes.entry(outcome).or_default() += 1;
        }
        for race in &told.races {
            *self.races.entry(race.clone()).or_default() += 1;
        }
        self.violated += u64::from(!told.violations.is_empty());
        let violations = told.violations.iter().map(|what| Violation {
            kind: told.kind,
            seed: told.seed,
            what: what.clone(),
        });
        self.violations.extend(violations);
        if self.violations.len() > 2 * KEPT {
            self.finish();
        }
    }

    /// Takes in another report.
    pub(crate) fn merge(&mut self, other: Self) {
        self.stories += other.stories;
        self.runs += other.runs;
        self.calls += other.calls;
        self.virtual_seconds += other.virtual_seconds;
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        for (scenario, outcomes) in other.scenarios {
            let known = self.scenarios.entry(scenario).or_default();
            for (outcome, count) in outcomes {
                *known.entry(outcome).or_default() += count;
            }
        }
        for (race, count) in other.races {
            *self.races.entry(race).or_default() += count;
        }
        self.violated += other.violated;
        self.violations.extend(other.violations);
    }

    /// Keeps the first violations only.
    pub(crate) fn finish(&mut self) {
        self.violations.sort();
        self.violations.truncate(KEPT);
    }
}
