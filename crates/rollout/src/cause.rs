//! Why a deployment failed: one cause, named from the evidence that ECS leaves on stopped tasks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{ContainerView, TaskView};

/// What kind of failure it was.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum CauseCode {
    /// The image, or its repository, is not there or cannot be read.
    ImagePull,
    /// A secret, parameter or log destination could not be prepared.
    Secret,
    /// The process could not be executed.
    CannotStart,
    /// A container was killed for want of memory.
    OutOfMemory,
    /// An essential container ended.
    Exit,
    /// The container's own health check failed.
    HealthCheck,
    /// The load balancer's health check failed.
    TargetHealth,
    /// There was no room to run the task.
    Capacity,
    /// AWS took back the capacity that the task ran on.
    SpotInterruption,
    /// A CloudWatch alarm fired.
    Alarm,
    /// The public address did not answer as it should after the rollout.
    Check,
    /// A task that had to run before the service was changed did not end well.
    BeforeTask,
    /// ECS's circuit breaker ended the deployment, and left no better evidence.
    CircuitBreaker,
    /// ECS ended the deployment for a reason of its own, such as an alarm.
    Stopped,
    /// Another deployment took this one's place.
    Superseded,
    /// The service was deleted.
    ServiceDeleted,
    /// The deployment did not end in time.
    Timeout,
    /// The tasks that run do not run the image that was pushed.
    WrongImage,
    /// A person or the pipeline interrupted the deployment.
    Interrupted,
    /// A stage before the rollout failed: build, image or push.
    Stage,
    /// Something had to be refused before any change.
    Refused,
    /// AWS could not be asked.
    Aws,
}

/// Why a deployment failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cause {
    /// What kind of failure it was.
    pub code: CauseCode,
    /// In words.
    pub message: String,
    /// The container at fault, when one is.
    pub container: Option<String>,
    /// Its exit code, when it ended.
    pub exit_code: Option<i32>,
    /// ID of the task that shows it best.
    pub task: Option<String>,
    /// The last lines that the container wrote there; what looks like a secret is hidden.
    pub log_tail: Vec<String>,
}

impl CauseCode {
    /// Its name in receipts and on screen: `image-pull`.
    pub fn name(self) -> String {
        let name = serde_json::to_value(self).ok();
        let name = name.as_ref().and_then(|name| name.as_str());
        name.unwrap_or_default().to_owned()
    }

    /// Whether ECS mends it by trying again, so that it says nothing about the version.
    pub fn waits(self) -> bool {
        matches!(self, Self::Capacity | Self::SpotInterruption)
    }
}

impl Cause {
    /// Whether trying again mends it, by its kind or by ECS's words: a registry that is busy, a network that answers late. It says nothing about the version.
    pub fn waits(&self) -> bool {
        let of_start = matches!(
            self.code,
            CauseCode::ImagePull | CauseCode::Secret | CauseCode::CannotStart
        );
        let words = self.message.to_ascii_lowercase();
        self.code.waits() || of_start && PASSING.iter().any(|passing| words.contains(passing))
    }

    /// A cause without a container.
    pub fn new(code: CauseCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            container: None,
            exit_code: None,
            task: None,
            log_tail: Vec::new(),
        }
    }
}

/// What ECS, Docker and the registries say of faults that pass, in lower case (Amazon ECS documentation, "Stopped tasks error messages", "CannotPullContainer task errors").
const PASSING: [&str; 16] = [
    "throttl",
    "rate exceeded",
    "too many requests",
    "toomanyrequests",
    "i/o timeout",
    "handshake timeout",
    "deadline exceeded",
    "request canceled",
    "connection reset",
    "unexpected eof",
    "dockertimeouterror",
    "internal server error",
    "service unavailable",
    "bad gateway",
    "gateway timeout",
    "no space left on device",
];

/// Names why a stopped task failed. `None` when its end was wanted: scaled in, replaced, stopped by a person.
pub fn classify(task: &TaskView) -> Option<Cause> {
    classify_for(task, None)
}

/// As [`classify`], where it is known which container is deployed: of several that ended, that is the likelier one to have ended first.
pub fn classify_for(task: &TaskView, deployed: Option<&str>) -> Option<Cause> {
    if task.last_status != "STOPPED" {
        return None;
    }
    let reason = task.stopped_reason.as_deref().unwrap_or_default();
    // ECS names the failing container's reason on the container and often on the task too.
    let texts = || {
        let containers = task
            .containers
            .iter()
            .filter_map(|c| c.reason.as_deref().map(|r| (Some(c), r)));
        containers.chain(std::iter::once((None, reason)))
    };
    let find = |needles: &[&str]| {
        texts().find(|(_, text)| needles.iter().any(|needle| text.contains(needle)))
    };
    if task.stop_code.as_deref() == Some("SpotInterruption") {
        return Some(Cause::new(CauseCode::SpotInterruption, reason));
    }
    let table: [(CauseCode, &[&str]); 7] = [
        (
            CauseCode::ImagePull,
            &[
                "CannotPullContainer",
                "CannotPullECRContainer",
                "CannotPullImageManifest",
            ],
        ),
        (CauseCode::Secret, &["ResourceInitializationError"]),
        (
            CauseCode::Capacity,
            &[
                "Capacity is unavailable",
                "capacity is unavailable",
                "unable to place",
                "network interface",
                "Network Interface",
                "InsufficientFreeAddresses",
                "RESOURCE:",
            ],
        ),
        (CauseCode::OutOfMemory, &["OutOfMemory"]),
        (
            CauseCode::CannotStart,
            &[
                "CannotStartContainer",
                "CannotCreateContainer",
                "ContainerRuntimeError",
                "DockerTimeoutError",
            ],
        ),
        (CauseCode::TargetHealth, &["failed ELB health checks"]),
        (CauseCode::HealthCheck, &["failed container health checks"]),
    ];
    for (code, needles) in table {
        if let Some((container, text)) = find(needles) {
            let container = container.or_else(|| match code {
                CauseCode::OutOfMemory => task.containers.iter().find(|c| c.exit_code == Some(137)),
                CauseCode::HealthCheck => task
                    .containers
                    .iter()
                    .find(|c| c.health.as_deref() == Some("UNHEALTHY")),
                _ => None,
            });
            return Some(Cause {
                container: container.map(|c| c.name.clone()),
                exit_code: container.and_then(|c| c.exit_code),
                ..Cause::new(code, text)
            });
        }
    }
    match task.stop_code.as_deref() {
        Some("EssentialContainerExited") => {
            let container = first_to_end(task, deployed);
            let exit_code = container.and_then(|c| c.exit_code);
            let message = match (container, exit_code) {
                (Some(container), Some(code)) => {
                    format!(
                        "essential container `{}` exited with code {code}",
                        container.name
                    )
                }
                _ => reason.to_owned(),
            };
            Some(Cause {
                container: container.map(|c| c.name.clone()),
                exit_code,
                ..Cause::new(CauseCode::Exit, message)
            })
        }
        Some("TaskFailedToStart") => Some(Cause::new(CauseCode::CannotStart, reason)),
        _ => None,
    }
}

/// The container whose end took the task down. ECS does not say which; the others were told to stop then: 143, or 137 for those that did not listen.
fn first_to_end<'a>(task: &'a TaskView, deployed: Option<&str>) -> Option<&'a ContainerView> {
    let ended = || task.containers.iter().filter(|c| c.exit_code.is_some());
    let own = |code: &i32| ![0, 137, 143].contains(code);
    ended()
        .find(|c| c.exit_code.as_ref().is_some_and(own))
        .or_else(|| ended().find(|c| Some(c.name.as_str()) == deployed))
        .or_else(|| ended().find(|c| c.exit_code != Some(0)))
        .or_else(|| ended().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(code: &str, reason: &str, container: Option<(i32, &str)>) -> TaskView {
        let container = container.map(|(exit_code, reason)| ContainerView {
            name: "app".into(),
            exit_code: (exit_code >= 0).then_some(exit_code),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            ..ContainerView::default()
        });
        TaskView {
            last_status: "STOPPED".into(),
            stop_code: Some(code.into()),
            stopped_reason: Some(reason.into()),
            containers: container.into_iter().collect(),
            ..TaskView::default()
        }
    }

    #[test]
    fn each_kind_of_stopped_task_has_its_name() {
        use CauseCode as C;
        let table = [
            (
                stopped(
                    "TaskFailedToStart",
                    "CannotPullContainerError: not found",
                    None,
                ),
                Some(C::ImagePull),
            ),
            (
                stopped(
                    "TaskFailedToStart",
                    "Task failed to start",
                    Some((-1, "CannotPullContainerError: x")),
                ),
                Some(C::ImagePull),
            ),
            (
                stopped(
                    "TaskFailedToStart",
                    "ResourceInitializationError: unable to pull secrets",
                    None,
                ),
                Some(C::Secret),
            ),
            (
                stopped("TaskFailedToStart", "CannotStartContainerError: exec", None),
                Some(C::CannotStart),
            ),
            (
                stopped(
                    "EssentialContainerExited",
                    "Essential container in task exited",
                    Some((3, "")),
                ),
                Some(C::Exit),
            ),
            (
                stopped(
                    "EssentialContainerExited",
                    "Essential container in task exited",
                    Some((137, "OutOfMemoryError: killed")),
                ),
                Some(C::OutOfMemory),
            ),
            (
                stopped(
                    "ServiceSchedulerInitiated",
                    "Task failed ELB health checks in (target-group x)",
                    None,
                ),
                Some(C::TargetHealth),
            ),
            (
                stopped(
                    "ServiceSchedulerInitiated",
                    "Task failed container health checks",
                    None,
                ),
                Some(C::HealthCheck),
            ),
            (
                stopped(
                    "ServiceSchedulerInitiated",
                    "Scaling activity initiated by (deployment ecs-svc/1)",
                    Some((0, "")),
                ),
                None,
            ),
            (stopped("UserInitiated", "Task stopped by user", None), None),
            (
                stopped(
                    "SpotInterruption",
                    "Your Spot Task was interrupted.",
                    Some((143, "")),
                ),
                Some(C::SpotInterruption),
            ),
            (
                stopped(
                    "TaskFailedToStart",
                    "Capacity is unavailable at this time. Please try again later or in a different availability zone",
                    None,
                ),
                Some(C::Capacity),
            ),
        ];
        for (task, expected) in table {
            assert_eq!(
                classify(&task).map(|cause| cause.code),
                expected,
                "{task:?}"
            );
        }
    }

    #[test]
    fn an_exit_names_container_and_code() {
        let cause = classify(&stopped("EssentialContainerExited", "…", Some((3, "")))).unwrap();
        assert_eq!(
            cause.message,
            "essential container `app` exited with code 3"
        );
        assert_eq!(
            (cause.container.as_deref(), cause.exit_code),
            (Some("app"), Some(3))
        );
    }

    #[test]
    fn the_container_that_ended_first_is_named() {
        let task = |ends: &[(&str, i32)]| TaskView {
            containers: ends
                .iter()
                .map(|(name, code)| ContainerView {
                    name: (*name).to_owned(),
                    exit_code: Some(*code),
                    ..ContainerView::default()
                })
                .collect(),
            ..stopped("EssentialContainerExited", "…", None)
        };
        for (ends, expected) in [
            // The other one was told to stop then.
            (&[("sidecar", 143), ("app", 0)][..], "app"),
            (&[("sidecar", 137), ("app", 0)], "app"),
            (&[("sidecar", 0), ("app", 137)], "app"),
            (&[("app", 143), ("sidecar", 1)], "sidecar"),
            (&[("proxy", 0), ("sidecar", 143)], "sidecar"),
        ] {
            let cause = classify_for(&task(ends), Some("app")).unwrap();
            assert_eq!(cause.container.as_deref(), Some(expected), "{ends:?}");
        }
    }

    #[test]
    fn what_passes_says_nothing_about_the_version() {
        let waits = |code, reason| classify(&stopped(code, reason, None)).unwrap().waits();
        for reason in [
            "CannotPullContainerError: pull image manifest has been retried 7 time(s): failed to resolve ref r: failed to do request: dial tcp 10.0.0.1:443: i/o timeout",
            "CannotPullContainerError: toomanyrequests: Rate exceeded",
            "ResourceInitializationError: unable to pull secrets or registry auth: ThrottlingException: Rate exceeded",
            "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s",
            "Timeout waiting for network interface provisioning to complete.",
            "Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-1': InsufficientFreeAddressesInSubnet",
        ] {
            assert!(waits("TaskFailedToStart", reason), "{reason}");
        }
        for reason in [
            "CannotPullContainerError: r@sha256:00: not found",
            "ResourceInitializationError: unable to pull secrets: AccessDeniedException",
            "CannotStartContainerError: exec: \"/app\": no such file or directory",
        ] {
            assert!(!waits("TaskFailedToStart", reason), "{reason}");
        }
        // A program may say what it wants.
        let exit = stopped("EssentialContainerExited", "i/o timeout", Some((1, "")));
        assert!(!classify(&exit).unwrap().waits());
    }
}
