//! Executions against a scripted AWS with a clock of its own.

mod adopt;
mod after;
mod ask;
mod back;
mod before;
mod change;
mod evidence;
mod many;
mod outages;
mod watch;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::iter::repeat_n;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rollout::execute::{Answer, Call, CallError, Cloud, Ended, Event, execute};
use rollout::facts::{
    AlarmView, ContainerView, RevisionView, RolloutState as State, ServiceDeploymentView,
    ServiceView, TaskView,
};
use rollout::plan::{
    BeforeTask, ExpectedImage, Guard, Marker, Placement, Plan, ServiceSettings, Step,
};

use super::{arn, deployment, running, service, stopped};

/// Answers DescribeServices from a list, of which the last is repeated; keeps the names of all calls.
#[derive(Default)]
struct Script {
    services: RefCell<VecDeque<ServiceView>>,
    running: Vec<TaskView>,
    stopped: Vec<TaskView>,
    /// From this time on these have stopped, too.
    stopped_later: (u64, Vec<TaskView>),
    /// Whether the service is as it was until it is updated, however often it is looked at.
    old_until_update: bool,
    /// Revisions by ARN.
    revisions: Vec<(String, RevisionView)>,
    records: Vec<ServiceDeploymentView>,
    /// Operations that fail the next so many times, and whether that is for now only.
    failing: RefCell<Vec<(&'static str, u32, bool)>>,
    calls: RefCell<Vec<String>>,
    now: Cell<u64>,
    interrupt_at: Option<u64>,
    /// Exit codes of tasks by command; without one a task runs for ever.
    exits: BTreeMap<&'static str, i32>,
    /// Until then a task runs.
    runs_until: u64,
    ran: Cell<u32>,
    stopped_task: Cell<bool>,
    /// States of the alarm, one a look; the last is repeated.
    alarms: RefCell<VecDeque<&'static str>>,
    /// Since when the alarm is in its state.
    alarm_since: Option<u64>,
    /// From when until when no call gets through.
    outage: (u64, u64),
    /// So many times there is no room for a task.
    no_room: Cell<u32>,
    /// Answers of the public address; the last is repeated.
    answers: RefCell<VecDeque<(u16, &'static str)>>,
}

impl Script {
    fn task(&self, command: &[String]) -> TaskView {
        let exit = self.exits.get(command.join(" ").as_str()).copied();
        let exit = exit.filter(|_| self.now.get() >= self.runs_until);
        let exit = exit.or(self.stopped_task.get().then_some(137));
        TaskView {
            arn: format!("arn:task/{}", command.join("-")),
            last_status: if exit.is_some() { "STOPPED" } else { "RUNNING" }.into(),
            stop_code: exit.map(|_| "EssentialContainerExited".into()),
            containers: vec![ContainerView {
                name: "app".into(),
                exit_code: exit,
                ..ContainerView::default()
            }],
            ..TaskView::default()
        }
    }

    fn new(services: impl IntoIterator<Item = ServiceView>) -> Self {
        Self {
            services: RefCell::new(services.into_iter().collect()),
            ..Self::default()
        }
    }

    fn describe(&self) -> Option<ServiceView> {
        if self.old_until_update && self.called("Update") == 0 {
            return Some(old());
        }
        let mut services = self.services.borrow_mut();
        if services.len() > 1 {
            services.pop_front()
        } else {
            services.front().cloned()
        }
    }

    fn called(&self, name: &str) -> usize {
        self.calls
            .borrow()
            .iter()
            .filter(|call| call.starts_with(name))
            .count()
    }
}

impl Cloud for Script {
    async fn call(&self, call: Call) -> Result<Answer, CallError> {
        let name = match &call {
            Call::DescribeService => "DescribeService".to_owned(),
            Call::RegisterTaskDefinition { .. } => "Register".to_owned(),
            Call::CreateService { .. } => "Create".to_owned(),
            Call::UpdateService {
                task_definition, ..
            } => format!("Update {task_definition}"),
            Call::Tasks { .. } => "Tasks".to_owned(),
            Call::ServiceDeployments => "Records".to_owned(),
            Call::StopServiceDeployment { .. } => "Stop".to_owned(),
            Call::LogTail { group, stream, .. } => format!("Log {group} {stream}"),
            Call::TagRevision { tags, .. } => {
                let keys: Vec<&str> = tags.keys().map(String::as_str).collect();
                format!("Tag {}", keys.join(" "))
            }
            Call::UntagRevision { keys, .. } => format!("Untag {}", keys.join(" ")),
            Call::Revision { name } => format!("Revision {name}"),
            Call::RunTask { command, .. } => format!("Run {}", command.join(" ")),
            Call::Task { .. } => "Task".to_owned(),
            Call::StopTask { .. } => "StopTask".to_owned(),
            Call::LogPage { .. } => "LogPage".to_owned(),
            Call::Stage { .. } => "Stage".to_owned(),
            Call::Alarms { .. } => "Alarms".to_owned(),
            Call::Get { url } => format!("Get {url}"),
        };
        self.calls.borrow_mut().push(name.clone());
        if (self.outage.0..self.outage.1).contains(&self.now.get()) {
            self.now.set(self.now.get() + 5_000);
            return Err(CallError {
                transient: true,
                declined: false,
                message: "no connection".into(),
            });
        }
        if name.starts_with("Run ") && self.no_room.get() > 0 {
            self.no_room.set(self.no_room.get() - 1);
            return Err(CallError {
                transient: true,
                declined: true,
                message: "RESOURCE:MEMORY".into(),
            });
        }
        for (failing, times, transient) in self.failing.borrow_mut().iter_mut() {
            if name.starts_with(*failing) && *times > 0 {
                *times -= 1;
                return Err(CallError {
                    transient: *transient,
                    declined: false,
                    message: format!("{failing} failed"),
                });
            }
        }
        Ok(match call {
            Call::DescribeService => Answer::Service(self.describe()),
            Call::RegisterTaskDefinition { .. } => Answer::Registered(arn(2)),
            Call::CreateService { .. } | Call::UpdateService { .. } => {
                Answer::Service(self.describe())
            }
            Call::Tasks { running: true } => Answer::Tasks(self.running.clone()),
            Call::Tasks { running: false } => {
                let mut stopped = self.stopped.clone();
                if self.now.get() >= self.stopped_later.0 {
                    stopped.extend(self.stopped_later.1.clone());
                }
                Answer::Tasks(stopped)
            }
            Call::ServiceDeployments => Answer::ServiceDeployments(self.records.clone()),
            Call::StopServiceDeployment { .. }
            | Call::TagRevision { .. }
            | Call::UntagRevision { .. } => Answer::Done,
            Call::Revision { name } => {
                let mut revisions = self.revisions.iter();
                Answer::Revision(
                    revisions
                        .find(|(arn, _)| *arn == name)
                        .map(|(_, one)| one.clone()),
                )
            }
            Call::RunTask { command, .. } => {
                self.ran.set(self.ran.get() + 1);
                Answer::Task(Some(self.task(&command)))
            }
            Call::Task { arn } => {
                let command = arn.rsplit('/').next().unwrap_or_default().replace('-', " ");
                let command: Vec<String> = command.split(' ').map(str::to_owned).collect();
                Answer::Task(Some(self.task(&command)))
            }
            Call::StopTask { .. } => {
                self.stopped_task.set(true);
                Answer::Done
            }
            Call::LogPage { token, .. } => match token {
                None => Answer::LogPage(vec!["password=hunter2".into()], Some("1".into())),
                token => Answer::LogPage(Vec::new(), token),
            },
            Call::Stage { .. } => Answer::Stage(None),
            Call::Alarms { .. } => {
                let mut states = self.alarms.borrow_mut();
                let state = if states.len() > 1 {
                    states.pop_front()
                } else {
                    states.front().copied()
                };
                Answer::Alarms(vec![AlarmView {
                    name: "errors".into(),
                    state: state.unwrap_or("OK").into(),
                    reason: "2 > 1".into(),
                    since: self.alarm_since,
                }])
            }
            Call::Get { .. } => {
                let mut answers = self.answers.borrow_mut();
                let answer = if answers.len() > 1 {
                    answers.pop_front()
                } else {
                    answers.front().copied()
                };
                let (status, body) = answer.unwrap_or((200, ""));
                Answer::Http(status, body.to_owned())
            }
            Call::LogTail { .. } => Answer::Log(vec!["the last words".into()]),
        })
    }

    fn now(&self) -> u64 {
        self.now.get()
    }

    async fn sleep(&self, duration: u64) {
        self.now.set(self.now.get() + duration);
    }

    fn interrupted(&self) -> bool {
        self.interrupt_at.is_some_and(|at| self.now.get() >= at)
    }
}

/// Nothing in a script ever waits, so one poll runs it to its end.
fn run(plan: &Plan, script: &Script) -> (Ended, Vec<Event>) {
    let mut events = Vec::new();
    let ended = {
        let mut tell = |event| events.push(event);
        let mut future = pin!(execute(plan, script, &mut tell));
        match future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(ended) => ended,
            Poll::Pending => panic!("a script never waits"),
        }
    };
    (ended, events)
}

const DOCUMENT: &str = r#"{"family": "api", "containerDefinitions": [{"name": "app", "logConfiguration":
    {"logDriver": "awslogs", "options": {"awslogs-group": "/g", "awslogs-stream-prefix": "p"}}}]}"#;

fn plan() -> Plan {
    Plan {
        format: Plan::FORMAT,
        cluster: "c".into(),
        service: "api".into(),
        image: Some(ExpectedImage {
            container: "app".into(),
            reference: "r@sha256:new".into(),
        }),
        guard: Guard {
            primary_deployment: Some("ecs-svc/1".into()),
        },
        way_back: Some(arn(1)),
        steps: vec![
            Step::RegisterTaskDefinition {
                document: DOCUMENT.into(),
            },
            Step::UpdateService {
                task_definition: None,
                settings: ServiceSettings::default(),
            },
        ],
        timeout_seconds: 900,
        ..Plan::default()
    }
}

fn old() -> ServiceView {
    service(vec![deployment(1, "PRIMARY", State::Completed, 2)])
}

fn rolling() -> ServiceView {
    service(vec![
        deployment(2, "PRIMARY", State::InProgress, 0),
        deployment(1, "ACTIVE", State::Completed, 2),
    ])
}

fn done() -> ServiceView {
    service(vec![deployment(2, "PRIMARY", State::Completed, 2)])
}

fn record(status: &str) -> ServiceDeploymentView {
    ServiceDeploymentView {
        arn: "arn:record".into(),
        status: status.into(),
        task_definition: arn(2),
        ..ServiceDeploymentView::default()
    }
}

fn migrate(marker: Marker) -> BeforeTask {
    BeforeTask {
        name: "migrate".into(),
        container: "app".into(),
        command: vec!["migrate".into()],
        timeout_seconds: 60,
        marker,
        reverse: (marker == Marker::Reverse).then(|| vec!["unmigrate".into()]),
        placement: Placement::default(),
    }
}

fn plan_with(marker: Marker) -> Plan {
    let mut plan = plan();
    let task = migrate(marker);
    plan.steps.insert(1, Step::RunTask { task });
    plan
}

/// Looks at the service: so many as it was, so many while it is rolled out, and then it is as it was.
fn out_and_back(before: usize, rolled_out: usize) -> impl Iterator<Item = ServiceView> {
    repeat_n(old(), before)
        .chain(repeat_n(rolling(), rolled_out))
        .chain([old()])
}

/// A crash loop of revision 2, after which ECS brings revision 1 back.
fn crashing(exits: &[(&'static str, i32)]) -> Script {
    let exit = || stopped(2, "EssentialContainerExited", "x", Some(3));
    Script {
        stopped: vec![exit(), exit(), exit()],
        running: vec![running(1, "sha256:old"), running(1, "sha256:old")],
        records: vec![record("IN_PROGRESS")],
        exits: exits.iter().copied().collect(),
        ..Script::new(out_and_back(3, 6))
    }
}
