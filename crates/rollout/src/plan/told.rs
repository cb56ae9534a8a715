//! What a plan says that it changes, held against what its steps change. A plan is a file between review and deployment, and files get edited.

use serde_json::Value;

use super::{Plan, Step};
use crate::compare::differences;
use crate::facts::Facts;

impl Plan {
    /// What the steps change of what is live, in the words of [`Plan::differences`].
    pub fn differences_from(&self, facts: &Facts) -> Vec<String> {
        let mut lines = Vec::new();
        for step in &self.steps {
            match step {
                Step::RegisterTaskDefinition { document } => {
                    let document: Value = serde_json::from_str(document).unwrap_or_default();
                    if let Some(live) = &facts.primary_document {
                        lines.extend(differences(live, &document));
                    }
                }
                Step::UpdateService { settings, .. } => {
                    if let Some(service) = &facts.service {
                        lines.extend(settings.differences(&service.rules));
                    }
                }
                _ => {}
            }
        }
        lines
    }

    /// Whether the plan's differences are those of its steps. Only a plan whose guard still holds can be judged: otherwise something else is live than was when it was made.
    pub fn tells_all(&self, facts: &Facts) -> bool {
        let primary = facts.service.as_ref().and_then(|service| service.primary());
        let holds = primary.map(|primary| &primary.id) == self.guard.primary_deployment.as_ref();
        !holds || self.differences == self.differences_from(facts)
    }
}
