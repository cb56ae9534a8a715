//! The receipt: what was done, what is live now, and why. It is what scripts read, so its form is a promise.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cause::{Cause, CauseCode};
use crate::execute::{End, Ended};
use crate::facts::Millis;
use crate::next;
use crate::plan::Plan;
use crate::preflight::Finding;

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
    /// The deployment failed and the revision before could not be brought back (exit code 5), or a stage before it failed and nothing live was touched (1).
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
    /// The exit code of the command.
    pub exit_code: u8,
    /// Name of the service in its pipeline file.
    pub service: String,
    /// Name of the environment.
    pub environment: String,
    /// AWS account, 12 digits.
    pub account: Option<String>,
    /// AWS region.
    pub region: Option<String>,
    /// ECS cluster.
    pub cluster: Option<String>,
    /// ECS service.
    pub ecs_service: Option<String>,
    /// Commit that was deployed; `-dirty` at its end when the work tree had changes.
    pub commit: Option<String>,
    /// Commit of the revision that served before, when longshore registered it.
    pub previous_commit: Option<String>,
    /// Commit of the revision that the service works with at the end, when that is known.
    pub live_commit: Option<String>,
    /// `repository@sha256:…`.
    pub image: Option<String>,
    /// ARN of the revision that was to be live.
    pub task_definition: Option<String>,
    /// ARN of the revision that served before.
    pub previous_task_definition: Option<String>,
    /// ARN of the revision that the service works with at the end.
    pub live_task_definition: Option<String>,
    /// ID of the ECS deployment that was watched.
    pub deployment: Option<String>,
    /// Where the service answers, when longshore knows.
    pub url: Option<String>,
    /// Why it failed or was refused: the first cause.
    pub cause: Option<Cause>,
    /// By whom or by what the service went back: ECS's deployment circuit breaker, StopServiceDeployment, UpdateService, ….
    pub rolled_back_by: Option<String>,
    /// Why the revision before could not be brought back.
    pub rollback_failure: Option<String>,
    /// What to do next, the first thing first.
    pub next: Vec<NextStep>,
    /// Tasks of the deployment that failed, oldest first; the first ten.
    pub failed_tasks: Vec<FailedTask>,
    /// What happened, in order.
    pub timeline: Vec<TimelineEntry>,
    /// ECS's service events since UpdateService, oldest first.
    pub events: Vec<TimelineEntry>,
    /// What was found before anything was changed.
    pub findings: Vec<Finding>,
    /// When the rollout began (RFC 3339, UTC).
    pub started_at: Option<String>,
    /// When the service was changed: UpdateService or CreateService (RFC 3339, UTC).
    pub changed_at: Option<String>,
    /// Seconds from there to the verdict.
    pub seconds_to_verdict: Option<f64>,
    /// Seconds from there to the end, the way back included.
    pub seconds_to_end: Option<f64>,
    /// Requests to AWS during the rollout.
    pub aws_requests: u64,
    /// The stages that ran, in order.
    pub stages: Vec<Stage>,
}

/// Something to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NextStep {
    /// In words.
    pub what: String,
    /// The command, when it is one.
    pub command: Option<String>,
}

/// A moment, by the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Millis,
    /// What happened.
    pub what: String,
}

impl Moment {
    /// A moment.
    pub fn new(at: Millis, what: impl Into<String>) -> Self {
        Self {
            at,
            what: what.into(),
        }
    }
}

/// A moment, relative to the change of the service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimelineEntry {
    /// Seconds after the service was changed (UpdateService), negative before; after the beginning where it was not changed.
    pub seconds: f64,
    /// What happened.
    pub what: String,
}

/// A task of the deployment that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailedTask {
    /// Its ID.
    pub task: String,
    /// Why it failed, as longshore names it.
    pub code: CauseCode,
    /// ECS's `stopCode`.
    pub stop_code: Option<String>,
    /// ECS's `stoppedReason`.
    pub reason: Option<String>,
    /// Its containers.
    pub containers: Vec<ContainerEnd>,
}

/// How a container of a failed task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerEnd {
    /// Its name.
    pub name: String,
    /// Its exit code, when it ended.
    pub exit_code: Option<i32>,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`, where it has a health check.
    pub health: Option<String>,
    /// ECS's words about why it stopped.
    pub reason: Option<String>,
}

/// Who was released where: what a receipt says besides what the execution knows.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Name of the service in its pipeline file.
    pub service: String,
    /// Name of the environment.
    pub environment: String,
    /// AWS account.
    pub account: Option<String>,
    /// AWS region.
    pub region: Option<String>,
    /// ECS cluster.
    pub cluster: Option<String>,
    /// ECS service.
    pub ecs_service: Option<String>,
    /// Commit.
    pub commit: Option<String>,
    /// Where the service answers.
    pub url: Option<String>,
    /// What was found before anything was changed.
    pub findings: Vec<Finding>,
    /// The stages that ran.
    pub stages: Vec<Stage>,
}

impl Receipt {
    /// Whether the service was changed and could not be brought back, so that a person is needed. What runs then need not be known.
    pub fn needs_a_person(&self) -> bool {
        self.outcome == Outcome::Failed && self.exit_code == 5
    }

    /// The receipt of a run that ended before there was a plan.
    pub fn without_plan(about: About, outcome: Outcome, exit_code: u8, cause: Cause) -> Self {
        let mut receipt = Self {
            outcome,
            exit_code,
            service: about.service,
            environment: about.environment,
            account: about.account,
            region: about.region,
            cluster: about.cluster,
            ecs_service: about.ecs_service,
            commit: about.commit,
            previous_commit: None,
            live_commit: None,
            image: None,
            task_definition: None,
            previous_task_definition: None,
            live_task_definition: None,
            deployment: None,
            url: about.url,
            cause: Some(cause),
            rolled_back_by: None,
            rollback_failure: None,
            next: Vec::new(),
            failed_tasks: Vec::new(),
            timeline: Vec::new(),
            events: Vec::new(),
            findings: about.findings,
            started_at: None,
            changed_at: None,
            seconds_to_verdict: None,
            seconds_to_end: None,
            aws_requests: 0,
            stages: about.stages,
        };
        receipt.next = next::steps(&receipt);
        receipt
    }

    /// The receipt of a plan that was carried out.
    pub fn of(about: About, plan: &Plan, ended: Ended) -> Self {
        let (outcome, exit_code) = match ended.end {
            End::Unchanged => (Outcome::Unchanged, 0),
            End::Succeeded => (Outcome::Succeeded, 0),
            End::RolledBack => (Outcome::RolledBack, 4),
            End::Failed => (Outcome::Failed, 5),
            End::Unreleased => (Outcome::Failed, 1),
            End::Refused => (Outcome::Refused, 3),
        };
        let zero = ended.changed_at.unwrap_or(ended.began_at);
        let relative = |moments: &[Moment]| -> Vec<TimelineEntry> {
            let entry = |moment: &Moment| TimelineEntry {
                seconds: seconds(zero, moment.at),
                what: moment.what.clone(),
            };
            moments.iter().map(entry).collect()
        };
        let after = |at: Option<Millis>| Some(seconds(ended.changed_at?, at?));
        let mut receipt = Self {
            image: plan.image.as_ref().map(|image| image.reference.clone()),
            task_definition: if ended.end == End::Unchanged {
                ended.live.clone()
            } else {
                ended.task_definition
            },
            previous_task_definition: plan.way_back.clone(),
            live_task_definition: ended.live,
            previous_commit: before_commit(plan),
            deployment: ended.deployment,
            rolled_back_by: ended.back_by.map(str::to_owned),
            rollback_failure: ended.rollback_failure,
            failed_tasks: ended.failed_tasks,
            timeline: relative(&ended.timeline),
            events: relative(&ended.events),
            started_at: Some(rfc3339(ended.began_at)),
            changed_at: ended.changed_at.map(rfc3339),
            seconds_to_verdict: after(ended.judged_at),
            seconds_to_end: after(Some(ended.ended_at)),
            aws_requests: ended.calls,
            ..Self::without_plan(
                about,
                outcome,
                exit_code,
                Cause::new(CauseCode::Refused, String::new()),
            )
        };
        receipt.cause = ended.cause;
        receipt.live_commit = match &receipt.live_task_definition {
            None => None,
            live if *live == receipt.previous_task_definition => receipt.previous_commit.clone(),
            live if *live == receipt.task_definition => receipt.commit.clone(),
            Some(_) => None,
        };
        receipt.next = next::steps(&receipt);
        receipt
    }
}

/// Commit of the revision to return to, as far as the plan knows it.
fn before_commit(plan: &Plan) -> Option<String> {
    let present = plan.present.as_ref()?;
    (plan.way_back.as_ref() == Some(&present.task_definition))
        .then(|| present.commit.clone())
        .flatten()
}

/// Seconds from one moment to another, to the tenth.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of one run are few"
)]
fn seconds(from: Millis, to: Millis) -> f64 {
    let ms = to as f64 - from as f64;
    // Adding zero takes the sign off a negative zero, which would be printed.
    (ms / 100.0).round() / 10.0 + 0.0
}

/// RFC 3339, in UTC, to the second.
pub fn rfc3339(at: Millis) -> String {
    let seconds = i64::try_from(at / 1000).unwrap_or_default();
    Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_string()
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
    schema::<Plan>()
}

fn schema<T: JsonSchema>() -> String {
    let generator = schemars::generate::SchemaSettings::draft07().into_generator();
    let mut text =
        serde_json::to_string_pretty(&generator.into_root_schema_for::<T>()).unwrap_or_default();
    text.push('\n');
    text
}
