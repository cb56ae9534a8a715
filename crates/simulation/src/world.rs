//! The world that AWS stands in: the ECS model, a runner that does what each version's fate says, other actors, and the time.

use std::collections::BTreeMap;

use fastrand::Rng;
use local_cloud::ecs::{Ecs, Pace, Settings};
use local_cloud::error::ApiError;
use local_cloud::task::{Effect, Millis, Report, TaskSpec};
use rollout::facts::TaskView;
use serde_json::{Value, json};

use crate::version::{self, Checks, Chore, Chores, Fate};
use crate::views;

/// Name of the cluster.
pub(crate) const CLUSTER: &str = "main";
/// Name of the service.
pub(crate) const SERVICE: &str = "api";
const CALLER: &str = "arn:aws:iam::123456789012:user/longshore";

/// Something that somebody else does to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Deploys this version.
    Deploy(u64),
    /// Deploys the present version anew.
    Redeploy,
    /// Wants so many tasks.
    Scale(u64),
    /// Deletes the service.
    Delete,
    /// Stops the deployment in flight, with a rollback or without.
    Stop {
        /// Whether ECS goes back.
        rollback: bool,
    },
    /// Stops one task.
    KillTask,
}

/// The world.
pub(crate) struct World {
    pub(crate) ecs: Ecs,
    /// The time as AWS has it.
    pub(crate) now: Millis,
    /// What others are going to do, the last first.
    pub(crate) acts: Vec<(Millis, Act)>,
    /// When others did something that had an effect.
    pub(crate) done: Vec<(Millis, Act)>,
    fates: BTreeMap<u64, Fate>,
    checks: Checks,
    quick: bool,
    rng: Rng,
    /// Version and container of each task that was handed to the runner.
    tasks: BTreeMap<String, (u64, String)>,
    /// What becomes of tasks that run before a release, by version.
    chores: BTreeMap<u64, Chores>,
    /// Command of each such task.
    chore_tasks: BTreeMap<String, String>,
    /// Tasks by the token that they were started with.
    tokens: BTreeMap<String, String>,
    /// Commands that ended with 0, and the task definition that they ran with: each run has its own.
    pub(crate) ended_well: Vec<(String, String)>,
    /// When the alarm fires; none when it does not.
    pub(crate) alarm_at: Option<Millis>,
    reports: BTreeMap<(Millis, u64), Report>,
    sent: u64,
    story: Option<Vec<String>>,
    /// What reads answered last.
    pub(crate) kept: views::Kept,
}

impl World {
    pub(crate) fn new(seed: u64, pace: Pace, checks: Checks, quick: bool, record: bool) -> Self {
        let settings = Settings {
            region: "eu-central-1".to_owned(),
            account: "123456789012".to_owned(),
            pace,
            seed,
        };
        let mut world = Self {
            ecs: Ecs::new(settings),
            now: 1_780_000_000_000,
            acts: Vec::new(),
            done: Vec::new(),
            fates: BTreeMap::new(),
            checks,
            quick,
            rng: Rng::with_seed(seed ^ 0x5eed),
            tasks: BTreeMap::new(),
            chores: BTreeMap::new(),
            chore_tasks: BTreeMap::new(),
            tokens: BTreeMap::new(),
            ended_well: Vec::new(),
            alarm_at: None,
            reports: BTreeMap::new(),
            sent: 0,
            story: record.then(Vec::new),
            kept: views::Kept::default(),
        };
        // A new model has no clusters, so that this name is free.
        let _ = world.apply("CreateCluster", &json!({"clusterName": CLUSTER}));
        world
    }

    /// Adds a line to the story, when it is written down.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        let at = self.now - 1_780_000_000_000;
        if let Some(story) = &mut self.story {
            story.push(format!("{:>9}.{:03}  {}", at / 1000, at % 1000, line()));
        }
    }

    /// The story so far.
    pub(crate) fn take_story(&mut self) -> Vec<String> {
        self.story.take().unwrap_or_default()
    }

    /// Says what becomes of version `number`.
    pub(crate) fn set_fate(&mut self, number: u64, fate: Fate) {
        self.fates.insert(number, fate);
    }

    pub(crate) fn fate(&self, number: u64) -> Fate {
        self.fates.get(&number).copied().unwrap_or(Fate::Good)
    }

    /// Says what becomes of the tasks that run before version `number`.
    pub(crate) fn set_chores(&mut self, number: u64, chores: Chores) {
        self.chores.insert(number, chores);
    }

    /// RunTask. The same token starts no second task.
    pub(crate) fn run_task(
        &mut self,
        definition: &str,
        container: &str,
        command: &[String],
        token: &str,
    ) -> Result<TaskView, ApiError> {
        if let Some(arn) = self.tokens.get(token).cloned()
            && let Some(task) = views::task(self, &arn)?
        {
            return Ok(task);
        }
        let request = json!({
            "cluster": CLUSTER,
            "taskDefinition": definition,
            "overrides": {"containerOverrides": [{"name": container, "command": command}]},
        });
        let answer = self.apply("RunTask", &request)?;
        let task = views::task_view(&answer["tasks"][0]);
        self.tokens.insert(token.to_owned(), task.arn.clone());
        Ok(task)
    }

    /// State of the one alarm.
    pub(crate) fn alarm_state(&self) -> &'static str {
        match self.alarm_at {
            Some(at) if at <= self.now => "ALARM",
            _ => "OK",
        }
    }

    /// What the public address answers: some task of the service, with its version.
    pub(crate) fn answer(&mut self) -> (u16, String) {
        let running = views::tasks(self, true).unwrap_or_default();
        let up: Vec<&TaskView> = running
            .iter()
            .filter(|task| task.last_status == "RUNNING")
            .collect();
        let Some(task) = self.rng.choice(up) else {
            return (503, String::new());
        };
        let number = self.tasks.get(task.id()).map(|(number, _)| *number);
        match self.fate(number.unwrap_or_default()) {
            Fate::NeverHealthy => (500, String::new()),
            Fate::AnswersWrongly => (200, format!("TOKEN={}", version::SECRET)),
            _ => (200, version::body(number.unwrap_or_default())),
        }
    }

    /// The version that a task definition names, by the model.
    pub(crate) fn version_of(&mut self, definition: &str) -> Option<u64> {
        let request = json!({"taskDefinition": definition});
        let answer = self.apply("DescribeTaskDefinition", &request).ok()?;
        let image = answer["taskDefinition"]["containerDefinitions"][0]["image"].as_str()?;
        version_in(image)
    }

    /// One API call, as it reaches AWS.
    pub(crate) fn apply(&mut self, operation: &str, request: &Value) -> Result<Value, ApiError> {
        let answer = self.ecs.apply(operation, request, CALLER, self.now);
        self.carry_out();
        answer.map(Value::from)
    }

    /// Which state of the model this is.
    pub(crate) fn generation(&mut self) -> u64 {
        self.ecs.tick(self.now);
        self.carry_out();
        self.ecs.generation()
    }

    /// Lets time pass and everything happen that is due.
    pub(crate) fn advance(&mut self, until: Millis) {
        loop {
            let report = self.reports.first_key_value().map(|((at, _), _)| *at);
            let act = self.acts.last().map(|(at, _)| *at);
            let next = [report, act, self.ecs.next_due()]
                .into_iter()
                .flatten()
                .min();
            let Some(next) = next.filter(|next| *next <= until) else {
                break;
            };
            self.now = self.now.max(next);
            self.ecs.tick(self.now);
            self.carry_out();
            while let Some(first) = self
                .reports
                .first_entry()
                .filter(|first| first.key().0 <= self.now)
            {
                let report = first.remove();
                let ended = match &report {
                    Report::Exited { task, .. } => self.chore_tasks.get(task).cloned(),
                    _ => None,
                };
                let task = ended.map(|command| (report_task(&report), command));
                self.ecs.report(report, self.now);
                self.carry_out();
                if let Some((id, command)) = task {
                    self.note_end(&id, command);
                }
            }
            if self.acts.last().is_some_and(|(at, _)| *at <= self.now)
                && let Some((_, act)) = self.acts.pop()
            {
                self.perform(act);
            }
        }
        self.now = self.now.max(until);
        self.ecs.tick(self.now);
        self.carry_out();
    }

    fn perform(&mut self, act: Act) {
        let service = json!({"cluster": CLUSTER, "service": SERVICE});
        let with = |member: &str, value: Value| {
            let mut request = service.clone();
            request[member] = value;
            request
        };
        let result = match act {
            Act::Deploy(number) => {
                let document = version::document(number, self.checks);
                self.apply("RegisterTaskDefinition", &document)
                    .and_then(|answer| {
                        let arn = answer["taskDefinition"]["taskDefinitionArn"].clone();
                        self.apply("UpdateService", &with("taskDefinition", arn))
                    })
            }
            Act::Redeploy => self.apply("UpdateService", &with("forceNewDeployment", true.into())),
            Act::Scale(desired) => {
                self.apply("UpdateService", &with("desiredCount", desired.into()))
            }
            Act::Delete => self.apply("DeleteService", &with("force", true.into())),
            Act::Stop { rollback } => {
                let newest = views::records(self).unwrap_or_default();
                let arn = newest.first().map(|record| record.arn.clone());
                let kind = if rollback { "ROLLBACK" } else { "ABORT" };
                self.apply(
                    "StopServiceDeployment",
                    &json!({"serviceDeploymentArn": arn, "stopType": kind}),
                )
            }
            Act::KillTask => {
                let tasks = views::tasks(self, true).unwrap_or_default();
                let task = tasks.first().map(|task| task.arn.clone());
                self.apply("StopTask", &json!({"cluster": CLUSTER, "task": task}))
            }
        };
        match result {
            Ok(_) => {
                self.note(|| format!("somebody else: {act:?}"));
                self.done.push((self.now, act));
            }
            Err(error) => self.note(|| format!("somebody else: {act:?} has no effect: {error}")),
        }
    }

    fn report_in(&mut self, delay: Millis, report: Report) {
        self.sent += 1;
        self.reports.insert((self.now + delay, self.sent), report);
    }

    /// Does what the model asks for, or plans to.
    fn carry_out(&mut self) {
        for effect in self.ecs.take_effects() {
            match effect {
                Effect::Start { task } => self.start(&task),
                Effect::Stop { task } => self.stop(task),
                Effect::CheckHealth {
                    task, container, ..
                } => {
                    let healthy = self.fate_of(&task) != Fate::NeverHealthy;
                    let report = Report::HealthChecked {
                        task,
                        container,
                        healthy,
                    };
                    self.report_in(20, report);
                }
                Effect::ProbeTarget {
                    target_group, task, ..
                } => {
                    let healthy = self.fate_of(&task) != Fate::NeverHealthy;
                    let report = Report::TargetProbed {
                        target_group,
                        task,
                        outcome: Ok(if healthy { 200 } else { 500 }),
                    };
                    self.report_in(20, report);
                }
                // The simulated versions have one container each, without a restart policy.
                Effect::Route { .. } | Effect::StartContainer { .. } => {}
            }
        }
    }

    fn fate_of(&self, task: &str) -> Fate {
        let number = self.tasks.get(task).map(|(number, _)| *number);
        self.fate(number.unwrap_or_default())
    }

    fn start(&mut self, spec: &TaskSpec) {
        let Some(container) = spec.containers.first() else {
            return;
        };
        let number = version_in(&container.image).unwrap_or_default();
        let (task, container) = (spec.id.clone(), container.name.clone());
        let command = spec.containers[0].command.clone().unwrap_or_default();
        self.tasks.insert(task.clone(), (number, container.clone()));
        if let Some(command) = command.first() {
            return self.start_chore(task, container, number, command);
        }
        let fate = self.fate(number);
        let start = self
            .rng
            .u64(if self.quick { 50..500 } else { 1_000..40_000 });
        // Before anything counts such a task as healthy and the service as settled.
        let soon = self.rng.u64(1..400);
        self.note(|| format!("runner: task {task} of version {number} is to start"));
        match fate {
            Fate::NoCapacity => return,
            Fate::FailsToStart(failure) => {
                let report = Report::StartFailed {
                    task,
                    container: Some(container),
                    failure,
                    reason: "it is not there".to_owned(),
                };
                self.report_in(start, report);
                return;
            }
            _ => {}
        }
        let runs = if fate == Fate::WrongImage {
            version::digest(u64::MAX)
        } else {
            version::digest(number)
        };
        let pulled = Report::Pulled {
            task: task.clone(),
            digests: BTreeMap::from([(container.clone(), runs)]),
        };
        self.report_in(start / 2, pulled);
        let started = Report::Started {
            task: task.clone(),
            container: container.clone(),
        };
        self.report_in(start, started);
        let exit = match fate {
            Fate::ExitsAtStart => Some((soon, 3, false)),
            Fate::OutOfMemory => Some((soon, 137, true)),
            Fate::CrashesLater(after) => Some((after, 1, false)),
            Fate::Flaky if self.rng.u32(0..10) < 4 => Some((soon, 1, false)),
            _ => None,
        };
        if let Some((after, exit_code, out_of_memory)) = exit {
            let exited = Report::Exited {
                task,
                container,
                exit_code,
                out_of_memory,
            };
            self.report_in(start + after, exited);
        }
    }

    /// Whether a task before a release ended with 0, by the model.
    fn note_end(&mut self, id: &str, command: String) {
        let Some(task) = views::task(self, id).ok().flatten() else {
            return;
        };
        if task.containers.iter().any(|one| one.exit_code == Some(0)) {
            self.note(|| {
                format!(
                    "runner: {command} of {} has done its work",
                    task.task_definition
                )
            });
            self.ended_well.push((task.task_definition, command));
        }
    }

    /// A task that runs before a release, or its reverse.
    fn start_chore(&mut self, task: String, container: String, number: u64, command: &str) {
        self.chore_tasks.insert(task.clone(), command.to_owned());
        let chores = self.chores.get(&number).copied().unwrap_or_default();
        let chore = if command == version::MIGRATE {
            chores.migrate
        } else {
            chores.reverse
        };
        let start = self
            .rng
            .u64(if self.quick { 50..500 } else { 1_000..40_000 });
        let takes = self.rng.u64(1..20_000);
        let started = Report::Started {
            task: task.clone(),
            container: container.clone(),
        };
        self.report_in(start, started);
        let exit_code = match chore {
            Chore::Hangs => return,
            Chore::Ends(code) => code,
        };
        let exited = Report::Exited {
            task,
            container,
            exit_code,
            out_of_memory: false,
        };
        self.report_in(start + takes, exited);
    }

    fn stop(&mut self, task: String) {
        let after = self.rng.u64(if self.quick { 10..300 } else { 100..30_000 });
        if let Some((_, container)) = self.tasks.get(&task).cloned() {
            let exited = Report::Exited {
                task: task.clone(),
                container,
                exit_code: 143,
                out_of_memory: false,
            };
            self.report_in(after, exited);
        }
        self.report_in(after, Report::Gone { task });
    }
}

fn report_task(report: &Report) -> String {
    match report {
        Report::Exited { task, .. } => task.clone(),
        _ => String::new(),
    }
}

fn version_in(image: &str) -> Option<u64> {
    let (_, digits) = image.rsplit_once("@sha256:")?;
    u64::from_str_radix(digits.get(48..)?, 16).ok()
}
