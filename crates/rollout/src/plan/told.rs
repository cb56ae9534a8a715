//! What a plan says that it changes, held against what its steps change. A plan is a file between review and deployment, and files get edited.

use serde_json::Value;

use super::{Plan, ServiceSettings, Step};
use crate::compare::differences;
use crate::facts::Facts;

/// What a plan says that runs the proofs of a live revision again. It changes nothing.
pub(super) const NOT_PROVEN: &str = "(no change): this is live, but no run on record has seen it pass what pipeline.toml asks after a rollout (checks, bake time, alarms); that is done now";

/// What a document and settings change of what is live, a line each.
pub(super) fn told(
    facts: &Facts,
    document: Option<&Value>,
    settings: Option<&ServiceSettings>,
) -> Vec<String> {
    let of_document = facts.primary_document.as_ref().zip(document);
    let of_settings = facts.service.as_ref().zip(settings);
    let mut lines = of_document.map_or_else(Vec::new, |(live, new)| differences(live, new));
    lines.extend(
        of_settings
            .into_iter()
            .flat_map(|(service, settings)| settings.differences(&service.rules)),
    );
    lines
}

impl Plan {
    /// What the steps change of what is live, in the words of [`Plan::differences`].
    fn differences_from(&self, facts: &Facts) -> Vec<String> {
        let lines = self.steps.iter().map(|step| match step {
            Step::RegisterTaskDefinition { document } => {
                let document: Value = serde_json::from_str(document).unwrap_or_default();
                told(facts, Some(&document), None)
            }
            Step::UpdateService { settings, .. } | Step::Adopt { settings, .. } => {
                told(facts, None, Some(settings))
            }
            Step::RunTask { .. } | Step::CreateService { .. } => Vec::new(),
        });
        lines.flatten().collect()
    }

    /// Whether the plan's differences are those of its steps. Only a plan whose guard still holds can be judged: otherwise something else is live than was when it was made.
    pub fn tells_all(&self, facts: &Facts) -> bool {
        let primary = facts.service.as_ref().and_then(|service| service.primary());
        let holds = primary.map(|primary| &primary.id) == self.guard.primary_deployment.as_ref();
        let said = self.differences.iter().filter(|line| *line != NOT_PROVEN);
        !holds || said.eq(&self.differences_from(facts))
    }
}
