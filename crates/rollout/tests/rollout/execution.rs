//! Executions against a scripted AWS with a clock of its own.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rollout::cause::CauseCode;
use rollout::execute::{Answer, Call, CallError, Cloud, End, Ended, Event, execute};
use rollout::facts::{RolloutState as State, ServiceDeploymentView, ServiceView, TaskView};
use rollout::plan::{ExpectedImage, Guard, Plan, ServiceSettings, Step};

use super::{arn, deployment, running, service, stopped};

/// Answers DescribeServices from a list, of which the last is repeated; keeps the names of all calls.
#[derive(Default)]
struct Script {
    services: RefCell<VecDeque<ServiceView>>,
    running: Vec<TaskView>,
    stopped: Vec<TaskView>,
    records: Vec<ServiceDeploymentView>,
    /// Operations that fail the next so many times, and whether that is for now only.
    failing: RefCell<Vec<(&'static str, u32, bool)>>,
    calls: RefCell<Vec<String>>,
    now: Cell<u64>,
    interrupt_at: Option<u64>,
}

impl Script {
    fn new(services: impl IntoIterator<Item = ServiceView>) -> Self {
        Self {
            services: RefCell::new(services.into_iter().collect()),
            ..Self::default()
        }
    }

    fn describe(&self) -> Option<ServiceView> {
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
        };
        self.calls.borrow_mut().push(name.clone());
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
            Call::Tasks { running: false } => Answer::Tasks(self.stopped.clone()),
            Call::ServiceDeployments => Answer::ServiceDeployments(self.records.clone()),
            Call::StopServiceDeployment { .. } => Answer::Done,
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
        format: 1,
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
        differences: Vec::new(),
        timeout_seconds: 900,
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
    let elsewhere = service(vec![deployment(9, "PRIMARY", State::Completed, 2)]);
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
