//! What the ECS model and a runner say to each other.
//!
//! The model decides and never acts; a runner acts and never decides. The model emits [`Effect`]s, the runner answers with [`Report`]s. Both are plain data, so
//! that a simulation can stand in for the runner and a recorded run can be read.

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since the Unix epoch.
pub type Millis = u64;

/// What the model asks of the world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "camelCase")]
pub enum Effect {
    /// Pull the images, resolve the secrets, start the containers that are not held back, in the order of the list.
    Start {
        /// The task to run.
        task: Box<TaskSpec>,
    },
    /// Start one more container of a task: one that was held back, or one that has ended and that `restarts`.
    StartContainer {
        /// ID of the task.
        task: String,
        /// Name of the container.
        container: String,
    },
    /// SIGTERM to every container that runs, SIGKILL to those still there after their stop timeout.
    Stop {
        /// ID of the task (the last part of its ARN).
        task: String,
    },
    /// Run the container's health check command inside the container, once.
    CheckHealth {
        /// ID of the task.
        task: String,
        /// Name of the container.
        container: String,
        /// `["CMD", program, argument…]` or `["CMD-SHELL", line]`, as in the task definition.
        command: Vec<String>,
        /// After this long the check counts as failed and is killed.
        timeout_ms: u64,
    },
    /// Ask a target for its health check path, once.
    ProbeTarget {
        /// ARN of the target group.
        target_group: String,
        /// ID of the task.
        task: String,
        /// Container port.
        port: u16,
        /// HTTP path.
        path: String,
        /// After this long the probe counts as failed.
        timeout_ms: u64,
    },
    /// From now on the load balancer sends new requests to this target (`serving`), or sends it none (draining, gone). Requests already under way go on.
    Route {
        /// ARN of the target group.
        target_group: String,
        /// ID of the task.
        task: String,
        /// Container port.
        port: u16,
        /// Whether new requests go there.
        serving: bool,
    },
}

/// What a runner answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "camelCase")]
pub enum Report {
    /// All images of the task are here.
    Pulled {
        /// ID of the task.
        task: String,
        /// Container name to the digest of its image (`sha256:…`).
        digests: std::collections::BTreeMap<String, String>,
    },
    /// The container's process runs.
    Started {
        /// ID of the task.
        task: String,
        /// Name of the container.
        container: String,
    },
    /// The task could not be started: nothing of it runs any more.
    StartFailed {
        /// ID of the task.
        task: String,
        /// The container at fault, when one is.
        container: Option<String>,
        /// What went wrong.
        failure: StartFailure,
        /// In words, without the failure's name in front.
        reason: String,
    },
    /// The container's process has ended.
    Exited {
        /// ID of the task.
        task: String,
        /// Name of the container.
        container: String,
        /// Exit code; 128 + signal when a signal ended it, as container runtimes report it.
        exit_code: i32,
        /// Whether the kernel ended it for want of memory.
        out_of_memory: bool,
    },
    /// Answer to [`Effect::CheckHealth`].
    HealthChecked {
        /// ID of the task.
        task: String,
        /// Name of the container.
        container: String,
        /// Whether the command ended with 0 in time.
        healthy: bool,
    },
    /// Answer to [`Effect::ProbeTarget`].
    TargetProbed {
        /// ARN of the target group.
        target_group: String,
        /// ID of the task.
        task: String,
        /// The HTTP status, or why there was none (refused, timed out), in words.
        outcome: Result<u16, String>,
    },
    /// All containers of the task have ended and nothing of it is left (answer to [`Effect::Stop`], and after the last [`Report::Exited`]).
    Gone {
        /// ID of the task.
        task: String,
    },
}

/// Why a task could not start; the names are those that ECS puts in front of `stoppedReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartFailure {
    /// The image, or its repository, is not there or cannot be read.
    CannotPullContainerError,
    /// The process could not be executed: no such program, wrong architecture, not executable.
    CannotStartContainerError,
    /// A secret or a log destination could not be prepared.
    ResourceInitializationError,
}

impl StartFailure {
    /// The name as ECS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CannotPullContainerError => "CannotPullContainerError",
            Self::CannotStartContainerError => "CannotStartContainerError",
            Self::ResourceInitializationError => "ResourceInitializationError",
        }
    }
}

/// Everything a runner needs to run one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskSpec {
    /// ID of the task: 32 hexadecimal digits.
    pub id: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Task definition family, for names and log lines.
    pub family: String,
    /// The containers, in an order in which `dependsOn` holds.
    pub containers: Vec<ContainerSpec>,
}

/// One container of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerSpec {
    /// Its name.
    pub name: String,
    /// Image reference as in the task definition: `host/repository@sha256:…` or `host/repository:tag`.
    pub image: String,
    /// Replaces the image's entry point when present.
    pub entry_point: Option<Vec<String>>,
    /// Replaces the image's command when present.
    pub command: Option<Vec<String>>,
    /// Replaces the image's working directory when present.
    pub working_directory: Option<String>,
    /// Replaces the image's user when present (`uid`, `uid:gid` or a name of the image's own passwd).
    pub user: Option<String>,
    /// Environment, over that of the image.
    pub environment: Vec<(String, String)>,
    /// Environment by reference: name, and `valueFrom` of SSM or Secrets Manager.
    pub secrets: Vec<(String, String)>,
    /// Container ports that something may connect to.
    pub ports: Vec<u16>,
    /// Whether the root file system is read-only.
    pub readonly_root: bool,
    /// Hard memory limit in MiB.
    pub memory_mib: Option<u64>,
    /// How long after SIGTERM comes SIGKILL.
    pub stop_timeout_ms: u64,
    /// CloudWatch Logs group and stream that stdout and stderr go to; `None` when the container has no `awslogs` configuration.
    pub log: Option<LogTarget>,
    /// Whether it starts with [`Effect::StartContainer`] only.
    #[serde(default)]
    pub held: bool,
    /// Whether it may be started again after its end, so that the task goes on when nothing of it runs.
    #[serde(default)]
    pub restarts: bool,
}

/// Where a container's output goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogTarget {
    /// Log group.
    pub group: String,
    /// Log stream: `prefix/container/task-id`.
    pub stream: String,
    /// Whether a missing group is made (`awslogs-create-group`).
    pub create_group: bool,
}
