//! A plan carried out before the eyes of a person, and its receipt.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rollout::cause::{Cause, CauseCode};
use rollout::execute::{self, Answer, Call, CallError, End, Ended, Event};
use rollout::facts::Millis;
use rollout::plan::Plan;
use rollout::receipt::{Outcome, Receipt};

use super::Interrupt;
use crate::cloud::Cloud;
use crate::commands::OutputFormat;
use crate::exit::Code;
use crate::ui::{self, Ui};

/// AWS, the time and the signals, as a plan's execution sees them.
struct Live<'a> {
    cloud: &'a Cloud,
    interrupt: &'a Interrupt,
}

impl execute::Cloud for Live<'_> {
    async fn call(&self, call: Call) -> Result<Answer, CallError> {
        tracing::debug!(?call, "aws");
        self.cloud
            .aws
            .call(&self.cloud.cluster, &self.cloud.service, call)
            .await
    }

    fn now(&self) -> Millis {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }

    async fn sleep(&self, duration: Millis) {
        self.interrupt.sleep(Duration::from_millis(duration)).await;
    }

    fn interrupted(&self) -> bool {
        self.interrupt.wanted()
    }
}

/// Carries out a plan under the name of a stage.
pub async fn roll(
    plan: &Plan,
    cloud: &Cloud,
    interrupt: &Interrupt,
    stage: &'static str,
    ui: &mut Ui,
) -> Ended {
    if !plan.steps.is_empty() {
        ui.stage(
            stage,
            &format!("service {} in cluster {}", plan.service, plan.cluster),
        );
    }
    for line in &plan.differences {
        ui.line(line);
    }
    let ended = execute::execute(plan, &Live { cloud, interrupt }, &mut |event| {
        show(event, ui);
    })
    .await;
    if !plan.steps.is_empty() {
        ui.done(match ended.end {
            End::Unchanged => "nothing to do",
            End::Succeeded => "succeeded: the running tasks are the new ones",
            End::RolledBack => "FAILED, and rolled back: the revision before serves again",
            End::Failed => "FAILED, and not rolled back",
            End::Refused => "refused; nothing live was touched",
        });
    }
    ended
}

fn show(event: Event, ui: &mut Ui) {
    match event {
        Event::Registered(arn) => ui.line(&format!("registered {}", revision(&arn))),
        Event::Started {
            deployment,
            task_definition,
        } => {
            ui.line(&format!(
                "deployment {deployment} of {}",
                revision(&task_definition)
            ));
        }
        Event::Progress {
            running,
            desired,
            pending,
            failed,
        } => {
            let mut text = format!("{running} of {desired} tasks run");
            for (count, what) in [(pending, "starting"), (failed, "failed")] {
                if count > 0 {
                    let _ = write!(text, ", {count} {what}");
                }
            }
            ui.progress_of(running.into(), desired.into(), &text);
        }
        Event::Service(message) => tracing::info!("{message}"),
        Event::Retrying(what) => ui.line(&format!("trying again: {what}")),
        Event::Failed(cause) => {
            ui.line(&format!("FAILED: {}", cause.message));
            for line in &cause.log_tail {
                ui.line(&format!("  | {line}"));
            }
        }
        Event::RollingBack { to, how } => {
            ui.line(&format!("rolling back to {}: {how}", revision(&to)));
        }
    }
}

/// `family:revision` of an ARN.
pub fn revision(arn: &str) -> &str {
    arn.rsplit_once("task-definition/")
        .map_or(arn, |(_, revision)| revision)
}

/// All that a run knows when it ends.
pub struct Finish<'a> {
    /// Name of the service in its pipeline file.
    pub service: &'a str,
    /// Name of the environment.
    pub environment: &'a str,
    /// Commit that was deployed.
    pub commit: Option<String>,
    /// The cloud.
    pub cloud: &'a Cloud,
    /// The plan.
    pub plan: &'a Plan,
    /// How it ended.
    pub ended: Ended,
}

impl Finish<'_> {
    /// Shows the end to people and scripts, and gives the exit code.
    pub fn show(self, format: OutputFormat, ui: &mut Ui) -> ExitCode {
        let Self {
            service,
            environment,
            commit,
            cloud,
            plan,
            ended,
        } = self;
        let unchanged = ended.end == End::Unchanged;
        let receipt = Receipt {
            outcome: match ended.end {
                End::Unchanged => Outcome::Unchanged,
                End::Succeeded => Outcome::Succeeded,
                End::RolledBack => Outcome::RolledBack,
                End::Failed => Outcome::Failed,
                End::Refused => Outcome::Refused,
            },
            service: service.to_owned(),
            environment: environment.to_owned(),
            commit,
            image: plan.image.as_ref().map(|image| image.reference.clone()),
            task_definition: if unchanged {
                ended.live.clone()
            } else {
                ended.task_definition.clone()
            },
            previous_task_definition: plan.way_back.clone(),
            live_task_definition: ended.live.clone(),
            url: cloud.url.clone(),
            cause: ended.cause.clone(),
            stages: ui.stages(),
        };
        summary(&receipt, &ended, cloud);
        print(&receipt, format);
        Code::from(ended.end).into()
    }
}

fn summary(receipt: &Receipt, ended: &Ended, cloud: &Cloud) {
    let live = ended.live.as_deref().map_or("unknown", revision);
    let say = |name: &str, value: &str| ui::say(&format!("{name:>10}  {value}"));
    ui::say("");
    match receipt.outcome {
        Outcome::Succeeded => say("live", live),
        Outcome::Unchanged => say(
            "unchanged",
            &format!("{live} is live already; nothing was done"),
        ),
        Outcome::RolledBack => {
            say("FAILED", &words(receipt));
            say("live", &format!("{live}, which served before; verified"));
        }
        Outcome::Failed => {
            say("FAILED", &words(receipt));
            if let Some(why) = &ended.rollback_failure {
                say("not back", why);
            }
            say(
                "live",
                &format!(
                    "{live}; a person should look: `aws ecs describe-services --cluster {} --services {}`",
                    cloud.cluster, cloud.service
                ),
            );
        }
        Outcome::Refused => say("REFUSED", &words(receipt)),
    }
    if let Some(image) = &receipt.image
        && receipt.outcome != Outcome::Refused
    {
        say("image", image);
    }
    let stages: Vec<String> = receipt
        .stages
        .iter()
        .map(|stage| format!("{} {:.1} s", stage.name, stage.seconds))
        .collect();
    say("stages", &stages.join(", "));
}

fn words(receipt: &Receipt) -> String {
    let Some(cause) = &receipt.cause else {
        return "no reason is known".to_owned();
    };
    let code = serde_json::to_value(cause.code).ok();
    let code = code
        .as_ref()
        .and_then(|code| code.as_str())
        .unwrap_or_default();
    format!("{} [{code}]", cause.message)
}

fn print(receipt: &Receipt, format: OutputFormat) {
    match format {
        OutputFormat::Json => {
            let text = serde_json::to_string_pretty(receipt).unwrap_or_default();
            ui::print(&format!("{text}\n"));
        }
        // What a person copies or a shell substitutes: the address.
        OutputFormat::Text => {
            if let Some(url) = &receipt.url
                && receipt.live_task_definition.is_some()
            {
                ui::print(&format!("{url}\n"));
            }
        }
    }
}

/// A receipt for a run that ended before there was a plan, so that scripts always read one.
pub fn refused_receipt(
    service: &str,
    environment: &str,
    error: &anyhow::Error,
    refused: bool,
    format: OutputFormat,
    ui: &mut Ui,
) {
    if format != OutputFormat::Json {
        return;
    }
    let code = if refused {
        CauseCode::Refused
    } else {
        CauseCode::Stage
    };
    let receipt = Receipt {
        outcome: if refused {
            Outcome::Refused
        } else {
            Outcome::Failed
        },
        service: service.to_owned(),
        environment: environment.to_owned(),
        commit: None,
        image: None,
        task_definition: None,
        previous_task_definition: None,
        live_task_definition: None,
        url: None,
        cause: Some(Cause::new(code, error.to_string())),
        stages: ui.stages(),
    };
    print(&receipt, format);
}
