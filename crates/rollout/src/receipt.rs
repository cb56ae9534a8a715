//! The receipt: what was done, what is live now, and why. It is what scripts read, so its form is a promise.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cause::Cause;

/// How a deployment or rollback ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// What was wanted is live, and that was verified.
    Succeeded,
    /// What was wanted was live already; nothing was done.
    Unchanged,
    /// The deployment failed; the revision before serves again, and that was verified.
    RolledBack,
    /// The deployment failed and the revision before could not be brought back, or a stage before it failed.
    Failed,
    /// Refused before any change.
    Refused,
}

/// What one run did to one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// How it ended.
    pub outcome: Outcome,
    /// Name of the service in its pipeline file.
    pub service: String,
    /// Name of the environment.
    pub environment: String,
    /// Commit that was deployed; `-dirty` at its end when the work tree had changes.
    pub commit: Option<String>,
    /// `repository@sha256:…`.
    pub image: Option<String>,
    /// ARN of the revision that was to be live.
    pub task_definition: Option<String>,
    /// ARN of the revision that served before.
    pub previous_task_definition: Option<String>,
    /// ARN of the revision that the service works with at the end.
    pub live_task_definition: Option<String>,
    /// Where the service answers, when longshore knows.
    pub url: Option<String>,
    /// Why it failed or was refused.
    pub cause: Option<Cause>,
    /// The stages that ran, in order.
    pub stages: Vec<Stage>,
}

/// One stage of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stage {
    /// `build`, `image`, `push`, `deploy`, `rollback`, ….
    pub name: String,
    /// How long it took.
    pub seconds: f64,
}

/// The JSON Schema of a receipt.
pub fn receipt_schema() -> String {
    schema::<Receipt>()
}

/// The JSON Schema of a plan.
pub fn plan_schema() -> String {
    schema::<crate::plan::Plan>()
}

fn schema<T: JsonSchema>() -> String {
    let generator = schemars::generate::SchemaSettings::draft07().into_generator();
    let mut text =
        serde_json::to_string_pretty(&generator.into_root_schema_for::<T>()).unwrap_or_default();
    text.push('\n');
    text
}
