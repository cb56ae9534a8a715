//! A plan carried out before the eyes of a person, and its receipt.

use std::cell::RefCell;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rollout::cause::{Cause, CauseCode};
use rollout::execute::{self, Answer, Call, CallError, End, Ended, Event};
use rollout::facts::Millis;
use rollout::plan::Plan;
use rollout::preflight::Finding;
use rollout::receipt::{About, Outcome, Receipt};
use rollout::words;
use service_config::Service;

use super::{Interrupt, NotReady, summary};
use crate::cloud::Cloud;
use crate::commands::OutputFormat;
use crate::exit::{REFUSED, code_of};
use crate::ui::{self, Ui};

/// AWS, the time and the signals, as a plan's execution sees them.
struct Live<'a> {
    cloud: &'a Cloud,
    interrupt: &'a Interrupt,
}

/// What is said when the process that is AWS here has ended.
const GONE: &str = "the AWS on this machine does not answer; `cargo xtask local up` starts it again, and the rollout goes on";

impl execute::Cloud for Live<'_> {
    async fn call(&self, call: Call) -> Result<Answer, CallError> {
        tracing::debug!(call = variant(&call), "aws");
        let reads = call.reads();
        let cloud = self.cloud;
        let answer = cloud.aws.call(&cloud.cluster, &cloud.service, call);
        let answer = if !reads || self.interrupt.wanted() {
            answer.await
        } else {
            tokio::select! {
                answer = answer => answer,
                // AWS may take a minute to answer, or to not answer.
                () = self.interrupt.came() => Err(CallError {
                    transient: true,
                    declined: true,
                    message: "interrupted".to_owned(),
                }),
            }
        };
        answer.map_err(|mut error| {
            if cloud.embedded && error.transient && error.message.contains("Connect") {
                GONE.clone_into(&mut error.message);
            }
            error
        })
    }

    fn now(&self) -> Millis {
        now()
    }

    async fn sleep(&self, duration: Millis) {
        self.interrupt.sleep(Duration::from_millis(duration)).await;
    }

    fn interrupted(&self) -> bool {
        self.interrupt.wanted()
    }
}

/// The name of a call without what it carries: documents and commands may hold what nobody should read in a log.
fn variant(call: &Call) -> String {
    let all = format!("{call:?}");
    let end = all.find([' ', '(', '{']).unwrap_or(all.len());
    all[..end].to_owned()
}

fn now() -> Millis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// How far a run has come, for the case that it is ended without waiting.
#[derive(Clone, Debug, Default)]
struct Reached {
    task: Option<String>,
    deployment: Option<String>,
    rolling_back: bool,
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
    let reached = RefCell::new(Reached::default());
    let live = Live { cloud, interrupt };
    let began_at = now();
    let ended = {
        let mut tell = |event: Event| {
            note(&mut reached.borrow_mut(), &event);
            show(&event, ui);
        };
        tokio::select! {
            ended = execute::execute(plan, &live, &mut tell) => Some(ended),
            () = interrupt.insisted() => None,
        }
    };
    let ended = ended.unwrap_or_else(|| abandoned(plan, &reached.borrow(), began_at));
    if !plan.steps.is_empty() {
        ui.done(match ended.end {
            End::Unchanged => "nothing to do",
            End::Succeeded if ended.none_ran => {
                "succeeded, but the service wants no tasks: none of the new version has run"
            }
            End::Succeeded => "succeeded: the running tasks are the new ones",
            End::RolledBack => "FAILED, and rolled back: the revision before serves again",
            End::Failed => "FAILED, and not rolled back",
            End::Unreleased => "FAILED before the release; the service was not touched",
            End::Refused => "refused; nothing live was touched",
        });
    }
    ended
}

fn note(reached: &mut Reached, event: &Event) {
    match event {
        Event::TaskStarted { task, .. } => reached.task = Some(task.clone()),
        Event::TaskDone(_) => reached.task = None,
        Event::Started { deployment, .. } => {
            reached.task = None;
            reached.deployment = Some(deployment.clone());
        }
        Event::RollingBack { .. } => reached.rolling_back = true,
        _ => {}
    }
}

/// What a second interrupt leaves behind.
fn abandoned(plan: &Plan, reached: &Reached, began_at: Millis) -> Ended {
    let cluster = &plan.cluster;
    let (end, left) = match reached {
        Reached {
            rolling_back: true, ..
        } => (
            End::Failed,
            "the way back has begun and was not waited for; ECS goes on with it by itself"
                .to_owned(),
        ),
        Reached {
            task: Some(task), ..
        } => (
            End::Failed,
            format!(
                "task {task} may still run; stop it with `aws ecs stop-task --cluster {cluster} --task {task}`"
            ),
        ),
        Reached {
            deployment: Some(deployment),
            ..
        } => (
            End::Failed,
            format!(
                "deployment {deployment} is left to ECS, which ends it or takes it back as the service's circuit breaker says"
            ),
        ),
        _ => (
            End::Failed,
            "it is not known whether the service was changed".to_owned(),
        ),
    };
    Ended {
        end,
        cause: Some(Cause::new(
            CauseCode::Interrupted,
            "interrupted twice: ended at once",
        )),
        began_at,
        ended_at: now(),
        deployment: reached.deployment.clone(),
        rollback_failure: Some(left),
        ..Ended::default()
    }
}

fn show(event: &Event, ui: &mut Ui) {
    let line = words::line(event);
    match event {
        Event::Progress {
            running, desired, ..
        } => ui.progress_of((*running).into(), (*desired).into(), &line),
        Event::Service(message) => tracing::info!("{message}"),
        // The same again and again, perhaps for minutes.
        Event::Retrying(_) => ui.progress(&line),
        // Said at the end of the stage.
        Event::Succeeded => {}
        _ => ui.line(&line),
    }
}

/// What a receipt says besides what the execution knows.
pub fn about(
    service: &Service,
    environment: &str,
    cloud: &Cloud,
    commit: Option<String>,
    findings: Vec<Finding>,
) -> About {
    About {
        service: service.pipeline.service.name.clone(),
        environment: environment.to_owned(),
        account: Some(cloud.account.clone()),
        region: Some(cloud.region.clone()),
        cluster: Some(cloud.cluster.clone()),
        ecs_service: Some(cloud.service.clone()),
        commit,
        url: cloud.url.clone(),
        findings,
        stages: Vec::new(),
    }
}

/// Shows the end to people and scripts, and gives the exit code.
pub fn finish(
    mut about: About,
    plan: &Plan,
    ended: Ended,
    format: OutputFormat,
    ui: &mut Ui,
) -> ExitCode {
    about.stages = ui.stages();
    let receipt = Receipt::of(about, plan, ended);
    ui::say(&summary(&receipt));
    print(&receipt, format);
    crate::ci::receipt(&receipt, &plan.differences);
    ExitCode::from(receipt.exit_code)
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
    service: &Service,
    environment: &str,
    error: &anyhow::Error,
    format: OutputFormat,
    ui: &mut Ui,
) {
    let code = code_of(error);
    let (outcome, cause) = if code == REFUSED {
        (Outcome::Refused, CauseCode::Refused)
    } else {
        (Outcome::Failed, CauseCode::Stage)
    };
    let about = About {
        service: service.pipeline.service.name.clone(),
        environment: environment.to_owned(),
        findings: error
            .downcast_ref::<NotReady>()
            .map(|NotReady(found)| found.clone())
            .unwrap_or_default(),
        stages: ui.stages(),
        ..About::default()
    };
    let cause = Cause::new(cause, error.to_string());
    let receipt = Receipt::without_plan(about, outcome, code.number(), cause);
    crate::ci::receipt(&receipt, &[]);
    if format == OutputFormat::Json {
        print(&receipt, format);
    }
}
