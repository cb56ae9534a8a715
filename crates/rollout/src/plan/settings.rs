//! The settings of a service that the pipeline file may own, and how they differ from what the service has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::DeploymentRules;

/// ECS's circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Breaker {
    /// Whether it ends a deployment that fails.
    pub enable: bool,
    /// Whether it then goes back.
    pub rollback: bool,
}

/// Settings of a service that the pipeline file may own. What is none is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSettings {
    /// `deploymentConfiguration.minimumHealthyPercent`.
    pub minimum_healthy_percent: Option<u32>,
    /// `deploymentConfiguration.maximumPercent`.
    pub maximum_percent: Option<u32>,
    /// `deploymentConfiguration.deploymentCircuitBreaker`.
    pub circuit_breaker: Option<Breaker>,
}

impl ServiceSettings {
    /// What of these settings a service has otherwise, and how it has it; none when it has all of them.
    pub(super) fn changed(&self, rules: &DeploymentRules) -> Option<(Self, Self)> {
        fn differs<T: PartialEq + Copy>(
            wanted: Option<T>,
            now: Option<T>,
        ) -> (Option<T>, Option<T>) {
            match wanted {
                Some(_) if wanted != now => (wanted, now),
                _ => (None, None),
            }
        }
        let minimum = differs(self.minimum_healthy_percent, rules.minimum_healthy_percent);
        let maximum = differs(self.maximum_percent, rules.maximum_percent);
        let breaker = differs(self.circuit_breaker, rules.circuit_breaker);
        let wanted = Self {
            minimum_healthy_percent: minimum.0,
            maximum_percent: maximum.0,
            circuit_breaker: breaker.0,
        };
        let before = Self {
            minimum_healthy_percent: minimum.1,
            maximum_percent: maximum.1,
            circuit_breaker: breaker.1,
        };
        (wanted != Self::default()).then_some((wanted, before))
    }

    /// Whether a service has all of these settings.
    pub fn hold(&self, rules: &DeploymentRules) -> bool {
        self.changed(rules).is_none()
    }

    /// What would change, one line a setting.
    pub(super) fn differences(&self, rules: &DeploymentRules) -> Vec<String> {
        let number =
            |number: Option<u32>| number.map_or_else(|| "(none)".to_owned(), |n| n.to_string());
        let breaker = |breaker: Option<Breaker>| match breaker {
            Some(Breaker {
                enable: true,
                rollback: true,
            }) => "on, with rollback",
            Some(Breaker { enable: true, .. }) => "on, without rollback",
            Some(_) => "off",
            None => "(none)",
        };
        let Some((wanted, before)) = self.changed(rules) else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        let mut line = |name: &str, before: String, wanted: String| {
            lines.push(format!("service.{name}: {before} -> {wanted}"));
        };
        if wanted.minimum_healthy_percent.is_some() {
            line(
                "minimumHealthyPercent",
                number(before.minimum_healthy_percent),
                number(wanted.minimum_healthy_percent),
            );
        }
        if wanted.maximum_percent.is_some() {
            line(
                "maximumPercent",
                number(before.maximum_percent),
                number(wanted.maximum_percent),
            );
        }
        if wanted.circuit_breaker.is_some() {
            line(
                "deploymentCircuitBreaker",
                breaker(before.circuit_breaker).to_owned(),
                breaker(wanted.circuit_breaker).to_owned(),
            );
        }
        lines
    }
}
