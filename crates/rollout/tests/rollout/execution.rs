//! Executions against a scripted AWS with a clock of its own.

mod outages;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rollout::cause::CauseCode;
use rollout::execute::{Answer, Call, CallError, Cloud, End, Ended, Event, execute};
use rollout::facts::{
    AlarmView, ContainerView, EventView, RevisionView, RolloutState as State,
    ServiceDeploymentView, ServiceView, TaskView,
};
use rollout::plan::{
    BeforeTask, Check, ExpectedImage, Guard, Marker, OnFailure, Placement, Plan, ServiceSettings,
    Step,
};
use rollout::receipt::{About, Outcome, Receipt};

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
            Call::TagRevision { .. } => "Tag".to_owned(),
            Call::UntagRevision { .. } => "Untag".to_owned(),
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

#[test]
fn a_good_release_succeeds() {
    let script = Script {
        running: vec![running(2, "sha256:new"), running(2, "sha256:new")],
        ..Script::new([old(), old(), rolling(), rolling(), done()])
    };
    let (ended, _) = run(&plan(), &script);
    assert_eq!((ended.end, ended.live), (End::Succeeded, Some(arn(2))));
    assert_eq!((script.called("Register"), script.called("Update")), (1, 1));
}

#[test]
fn a_moved_guard_refuses_before_any_change() {
    let script = Script::new([done()]);
    let (ended, _) = run(&plan(), &script);
    assert_eq!(ended.end, End::Refused);
    assert_eq!(ended.cause.unwrap().code, CauseCode::Refused);
    assert_eq!(script.called("Register") + script.called("Update"), 0);
}

#[test]
fn throttling_and_a_lost_answer_are_no_verdict() {
    let script = Script {
        running: vec![running(2, "sha256:new"), running(2, "sha256:new")],
        failing: RefCell::new(vec![
            ("DescribeService", 3, true),
            ("Tasks", 2, true),
            ("Update", 1, false),
        ]),
        ..Script::new([old(), old(), rolling(), done()])
    };
    let (ended, events) = run(&plan(), &script);
    assert_eq!(ended.end, End::Succeeded, "{ended:?}");
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Retrying(_)))
    );
}

#[test]
fn a_crash_loop_is_stopped_and_the_return_is_verified() {
    let exit = || {
        stopped(
            2,
            "EssentialContainerExited",
            "Essential container in task exited",
            Some(3),
        )
    };
    let script = Script {
        stopped: vec![exit(), exit(), exit()],
        running: vec![running(1, "sha256:old"), running(1, "sha256:old")],
        records: vec![record("IN_PROGRESS")],
        ..Script::new([
            old(),
            old(),
            rolling(),
            rolling(),
            rolling(),
            rolling(),
            rolling(),
            old(),
        ])
    };
    let (ended, events) = run(&plan(), &script);
    assert_eq!((ended.end, ended.live), (End::RolledBack, Some(arn(1))));
    let cause = ended.cause.unwrap();
    assert_eq!(
        (cause.code, cause.exit_code, cause.container.as_deref()),
        (CauseCode::Exit, Some(3), Some("app"))
    );
    assert_eq!(cause.log_tail, ["the last words"]);
    assert_eq!(script.called("Log /g p/app/1"), 1);
    assert_eq!(script.called("Stop"), 1);
    assert_eq!(script.called("Update"), 1, "ECS does the rest");
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::RollingBack { .. }))
    );
}

#[test]
fn where_ecs_cannot_stop_it_the_service_is_updated_to_the_recorded_revision() {
    let exit = || {
        stopped(
            2,
            "EssentialContainerExited",
            "Essential container in task exited",
            Some(3),
        )
    };
    let script = Script {
        stopped: vec![exit(), exit(), exit()],
        running: vec![running(1, "sha256:old"), running(1, "sha256:old")],
        records: vec![record("IN_PROGRESS")],
        failing: RefCell::new(vec![("Stop", 9, false)]),
        ..Script::new([
            old(),
            old(),
            rolling(),
            rolling(),
            rolling(),
            rolling(),
            rolling(),
            rolling(),
            old(),
        ])
    };
    let (ended, _) = run(&plan(), &script);
    assert_eq!(ended.end, End::RolledBack);
    assert_eq!(script.called(&format!("Update {}", arn(1))), 1);
}

#[test]
fn ecs_coming_to_rest_elsewhere_is_corrected() {
    // The breaker went back to a revision that is not the one which served.
    let mut elsewhere = service(vec![deployment(9, "PRIMARY", State::Completed, 2)]);
    let to = elsewhere.deployments[0].id.clone();
    elsewhere.events = vec![EventView {
        at: 0,
        message: format!("(service api) rolling back to deployment {to}."),
    }];
    let script = Script {
        records: vec![record("ROLLBACK_SUCCESSFUL")],
        running: vec![running(1, "sha256:old"), running(1, "sha256:old")],
        ..Script::new([
            old(),
            old(),
            rolling(),
            rolling(),
            elsewhere.clone(),
            elsewhere.clone(),
            elsewhere,
            old(),
        ])
    };
    let (ended, _) = run(&plan(), &script);
    assert_eq!((ended.end, ended.live), (End::RolledBack, Some(arn(1))));
    assert_eq!(script.called(&format!("Update {}", arn(1))), 1);
}

#[test]
fn what_somebody_deployed_after_ecs_went_back_is_left_alone() {
    // ECS's record of the rollback is no excuse: nothing says that ECS went to this one.
    let foreign = service(vec![deployment(9, "PRIMARY", State::Completed, 2)]);
    let script = Script {
        records: vec![record("ROLLBACK_SUCCESSFUL")],
        running: vec![running(9, "sha256:other"), running(9, "sha256:other")],
        ..Script::new([old(), old(), rolling(), rolling(), foreign])
    };
    let (ended, _) = run(&plan(), &script);
    assert_eq!((ended.end, ended.live), (End::Failed, Some(arn(9))));
    assert_eq!(script.called(&format!("Update {}", arn(1))), 0);
}

#[test]
fn an_update_is_not_sent_again_over_what_somebody_deployed_meanwhile() {
    let foreign = service(vec![deployment(9, "PRIMARY", State::InProgress, 0)]);
    let script = Script {
        failing: RefCell::new(vec![("Update", 1, true)]),
        ..Script::new([old(), old(), foreign])
    };
    let (ended, _) = run(&plan(), &script);
    // The first one may have worked for a moment, so that this is not "nothing was changed".
    assert_eq!((ended.end, ended.live), (End::Failed, Some(arn(9))));
    assert!(ended.changed_at.is_some());
    assert_eq!(script.called("Update"), 1);
}

#[test]
fn an_interrupt_rolls_back() {
    let script = Script {
        interrupt_at: Some(2_000),
        running: vec![running(1, "sha256:old"), running(1, "sha256:old")],
        records: vec![record("IN_PROGRESS")],
        ..Script::new([
            old(),
            old(),
            rolling(),
            rolling(),
            rolling(),
            rolling(),
            rolling(),
            rolling(),
            rolling(),
            rolling(),
            old(),
        ])
    };
    let (ended, _) = run(&plan(), &script);
    assert_eq!(ended.end, End::RolledBack, "{ended:?}");
    assert_eq!(ended.cause.unwrap().code, CauseCode::Interrupted);
}

#[test]
fn without_a_way_back_the_failure_says_so() {
    let mut first = plan();
    first.guard.primary_deployment = None;
    first.way_back = None;
    first.steps[1] = Step::CreateService {
        settings: rollout::plan::NewService {
            desired_count: 2,
            load_balancer: None,
            subnets: Vec::new(),
            settings: ServiceSettings::default(),
        },
    };
    let failed = service(vec![deployment(2, "PRIMARY", State::Failed, 0)]);
    let inactive = ServiceView {
        status: "INACTIVE".into(),
        ..ServiceView::default()
    };
    let script = Script::new([inactive.clone(), inactive, rolling(), failed]);
    let (ended, _) = run(&first, &script);
    assert_eq!(ended.end, End::Failed);
    assert_eq!(
        ended.rollback_failure.as_deref(),
        Some("there is no earlier revision to return to")
    );
}

#[test]
fn a_deployment_of_somebody_else_is_left_alone() {
    let other = service(vec![
        deployment(7, "PRIMARY", State::InProgress, 0),
        deployment(1, "ACTIVE", State::Completed, 2),
    ]);
    let script = Script::new([old(), old(), rolling(), rolling(), other]);
    let (ended, _) = run(&plan(), &script);
    assert_eq!(ended.end, End::Failed);
    assert_eq!(ended.cause.unwrap().code, CauseCode::Superseded);
    assert_eq!(
        script.called("Update") + script.called("Stop"),
        1,
        "only the plan's own update"
    );
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

/// A crash loop of revision 2, after which ECS brings revision 1 back.
fn crashing(exits: &[(&'static str, i32)]) -> Script {
    let exit = || stopped(2, "EssentialContainerExited", "x", Some(3));
    Script {
        stopped: vec![exit(), exit(), exit()],
        running: vec![running(1, "sha256:old"), running(1, "sha256:old")],
        records: vec![record("IN_PROGRESS")],
        exits: exits.iter().copied().collect(),
        ..Script::new([
            old(),
            old(),
            old(),
            rolling(),
            rolling(),
            rolling(),
            rolling(),
            rolling(),
            rolling(),
            old(),
        ])
    }
}

fn order(script: &Script, names: &[&str]) -> Vec<String> {
    let calls = script.calls.borrow();
    calls
        .iter()
        .filter(|call| names.iter().any(|name| call.starts_with(name)))
        .cloned()
        .collect()
}

#[test]
fn a_task_before_runs_with_the_new_revision_and_before_the_service_is_changed() {
    let script = Script {
        running: vec![running(2, "sha256:new"), running(2, "sha256:new")],
        exits: BTreeMap::from([("migrate", 0)]),
        ..Script::new([old(), old(), old(), rolling(), done()])
    };
    let (ended, events) = run(&plan_with(Marker::Never), &script);
    assert_eq!(ended.end, End::Succeeded, "{ended:?}");
    assert_eq!(
        order(&script, &["Register", "Run", "Update"]),
        ["Register", "Run migrate", &format!("Update {}", arn(2))]
    );
    assert!(events.contains(&Event::TaskOutput("password=***".into())));
}

#[test]
fn a_task_before_that_fails_ends_the_release_and_touches_nothing() {
    let script = Script {
        exits: BTreeMap::from([("migrate", 1)]),
        ..Script::new([old()])
    };
    let (ended, _) = run(&plan_with(Marker::Never), &script);
    assert_eq!(ended.end, End::Unreleased, "{ended:?}");
    let cause = ended.cause.unwrap();
    assert_eq!(
        (cause.code, cause.exit_code),
        (CauseCode::BeforeTask, Some(1))
    );
    assert_eq!(cause.log_tail, ["the last words"]);
    assert_eq!((ended.live, script.called("Update")), (Some(arn(1)), 0));
    assert_eq!(script.called("Untag"), 1, "nobody has to wait for it");
}

#[test]
fn a_task_before_that_takes_too_long_or_is_interrupted_is_stopped() {
    let script = Script::new([old()]);
    let (ended, _) = run(&plan_with(Marker::Safe), &script);
    assert_eq!(ended.end, End::Unreleased, "{ended:?}");
    assert!(ended.cause.unwrap().message.contains("not done after 60 s"));
    assert_eq!((script.called("StopTask"), script.called("Update")), (1, 0));

    let script = Script {
        interrupt_at: Some(2_000),
        ..Script::new([old()])
    };
    let (ended, _) = run(&plan_with(Marker::Safe), &script);
    assert_eq!(ended.cause.unwrap().code, CauseCode::Interrupted);
    assert_eq!((script.called("StopTask"), script.called("Update")), (1, 0));
}

#[test]
fn the_way_back_begins_with_the_reverse() {
    let script = crashing(&[("migrate", 0), ("unmigrate", 0)]);
    let (ended, _) = run(&plan_with(Marker::Reverse), &script);
    assert_eq!(ended.end, End::RolledBack, "{ended:?}");
    assert_eq!(
        order(&script, &["Run", "Update", "Stop"]),
        [
            "Run migrate",
            &format!("Update {}", arn(2)),
            "Run unmigrate",
            "Stop"
        ]
    );
}

#[test]
fn without_its_reverse_nothing_goes_back() {
    let script = crashing(&[("migrate", 0), ("unmigrate", 1)]);
    let (ended, _) = run(&plan_with(Marker::Reverse), &script);
    assert_eq!(ended.end, End::Failed, "{ended:?}");
    assert!(
        ended
            .rollback_failure
            .unwrap()
            .contains("migrate (reverse)")
    );
    assert_eq!(script.called("Stop"), 0);
}

#[test]
fn after_a_task_marked_never_nothing_goes_back_by_itself() {
    let script = crashing(&[("migrate", 0)]);
    let (ended, _) = run(&plan_with(Marker::Never), &script);
    assert_eq!(ended.end, End::Failed, "{ended:?}");
    assert!(ended.rollback_failure.unwrap().contains("never"));
    assert_eq!((script.called("Stop"), script.called("Update")), (0, 1));

    let mut stay = plan_with(Marker::Safe);
    stay.on_failure = OnFailure::Stay;
    let script = crashing(&[("migrate", 0)]);
    let (ended, _) = run(&stay, &script);
    assert_eq!(ended.end, End::Failed, "{ended:?}");
    assert_eq!((script.called("Stop"), script.called("Update")), (0, 1));
}

fn good() -> Script {
    Script {
        running: vec![running(2, "sha256:new"), running(2, "sha256:new")],
        records: vec![record("SUCCESSFUL")],
        ..Script::new([old(), old(), rolling(), done()])
    }
}

fn check() -> Check {
    Check {
        url: "http://x/version".into(),
        status: 200,
        contains: Some("abc".into()),
        within_seconds: 30,
    }
}

#[test]
fn checks_are_tried_until_they_are_answered_as_they_should_be() {
    let mut plan = plan();
    plan.checks = vec![check()];
    let script = Script {
        answers: RefCell::new([(502, ""), (200, "old"), (200, "it is abc")].into()),
        ..good()
    };
    let (ended, _) = run(&plan, &script);
    assert_eq!(ended.end, End::Succeeded, "{ended:?}");
    assert_eq!(script.called("Get"), 3);

    let script = Script {
        answers: RefCell::new([(200, "token=abd")].into()),
        services: RefCell::new(
            [
                old(),
                old(),
                rolling(),
                done(),
                done(),
                done(),
                done(),
                old(),
            ]
            .into(),
        ),
        ..good()
    };
    let (ended, _) = run(&plan, &script);
    let cause = ended.cause.unwrap();
    assert_eq!(cause.code, CauseCode::Check);
    assert!(cause.message.contains("token=***"), "{}", cause.message);
}

#[test]
fn the_bake_time_is_waited_for_and_a_crash_in_it_fails() {
    let mut plan = plan();
    plan.bake_seconds = 120;
    let script = good();
    let (ended, _) = run(&plan, &script);
    assert_eq!(ended.end, End::Succeeded, "{ended:?}");
    assert!(ended.judged_at.unwrap() - ended.changed_at.unwrap() >= 120_000);

    let mut crash = stopped(2, "EssentialContainerExited", "x", Some(2));
    crash.arn = "arn:task/crashed".into();
    let script = Script {
        stopped_later: (30_000, vec![crash]),
        ..good()
    };
    let (ended, _) = run(&plan, &script);
    let cause = ended.cause.unwrap();
    assert_eq!((cause.code, cause.exit_code), (CauseCode::Exit, Some(2)));
    assert!(
        cause.message.starts_with("after the rollout"),
        "{}",
        cause.message
    );
}

#[test]
fn an_alarm_that_fires_fails_and_one_that_fired_before_does_not() {
    let mut plan = plan();
    plan.alarms = vec!["errors".into()];
    plan.bake_seconds = 60;
    let script = Script {
        alarms: RefCell::new(["OK", "OK", "ALARM"].into()),
        ..good()
    };
    let (ended, _) = run(&plan, &script);
    assert_eq!(ended.cause.unwrap().code, CauseCode::Alarm);

    let script = Script {
        alarms: RefCell::new(["ALARM"].into()),
        ..good()
    };
    let (ended, events) = run(&plan, &script);
    assert_eq!(ended.end, End::Succeeded, "{ended:?}");
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Note(text) if text.contains("already")))
    );
}

#[test]
fn settings_that_the_plan_changed_are_put_back() {
    let mut plan = plan_with(Marker::Safe);
    plan.settings_before = Some(ServiceSettings {
        minimum_healthy_percent: Some(100),
        ..ServiceSettings::default()
    });
    let script = crashing(&[("migrate", 0)]);
    let (ended, _) = run(&plan, &script);
    // The script's service never gets its settings back, and that is told.
    assert_eq!(ended.end, End::Failed);
    assert!(ended.rollback_failure.unwrap().contains("settings"));
    assert_eq!(script.called(&format!("Update {}", arn(1))), 1);
}

#[test]
fn another_run_that_registered_first_goes_on_alone() {
    let rival = |guard: &str, registered_at| RevisionView {
        arn: arn(1),
        status: "ACTIVE".into(),
        registered_at,
        tags: BTreeMap::from([
            ("longshore:service".to_owned(), "api".to_owned()),
            ("longshore:guard".to_owned(), guard.to_owned()),
        ]),
        ..RevisionView::default()
    };
    let own = RevisionView {
        arn: arn(2),
        registered_at: 100_000,
        ..RevisionView::default()
    };
    // The other deploys while this one waits.
    let script = Script {
        revisions: vec![(arn(2), own.clone()), (arn(1), rival("ecs-svc/1", 95_000))],
        ..Script::new([old(), old(), old(), done()])
    };
    let (ended, events) = run(&plan(), &script);
    assert_eq!(
        (ended.end, script.called("Update")),
        (End::Refused, 0),
        "{ended:?}"
    );
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Note(text) if text.contains("another run")))
    );

    // It is about another deployment, or too old: no reason to wait. Or it never does anything: it must be dead.
    for (guard, registered_at, waits) in [
        ("ecs-svc/0", 95_000, false),
        ("ecs-svc/1", 20_000, false),
        ("ecs-svc/1", 95_000, true),
    ] {
        let script = Script {
            revisions: vec![(arn(2), own.clone()), (arn(1), rival(guard, registered_at))],
            running: vec![running(2, "sha256:new"), running(2, "sha256:new")],
            old_until_update: true,
            ..Script::new([rolling(), done()])
        };
        let (ended, _) = run(&plan(), &script);
        assert_eq!(
            ended.end,
            End::Succeeded,
            "{guard} {registered_at} {ended:?}"
        );
        let waited = ended.changed_at.unwrap_or_default();
        assert_eq!(waited >= 50_000, waits, "{waited}");
    }
}

#[test]
fn a_receipt_tells_the_story_relative_to_the_change() {
    let script = crashing(&[("migrate", 0)]);
    let (ended, _) = run(&plan_with(Marker::Safe), &script);
    let about = About {
        service: "api".into(),
        environment: "production".into(),
        ..About::default()
    };
    let receipt = Receipt::of(about, &plan_with(Marker::Safe), ended);
    assert_eq!(
        (receipt.outcome, receipt.exit_code),
        (Outcome::RolledBack, 4)
    );
    assert!(
        receipt
            .seconds_to_verdict
            .is_some_and(|seconds| seconds < 60.0)
    );
    assert_eq!(receipt.failed_tasks[0].containers[0].exit_code, Some(3));
    let before = receipt
        .timeline
        .iter()
        .find(|one| one.what.contains("task migrate runs"));
    assert!(
        before.is_some_and(|one| one.seconds < 0.0),
        "{:?}",
        receipt.timeline
    );
    let commands: Vec<_> = receipt
        .next
        .iter()
        .filter_map(|step| step.command.as_deref())
        .collect();
    assert!(
        commands[0].starts_with("cargo xtask logs --service api --env production --task"),
        "{commands:?}"
    );
}
