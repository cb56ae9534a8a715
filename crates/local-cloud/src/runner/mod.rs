//! Turns the model's effects into processes made from the images that were pushed.
//!
//! A task is a small tree of helper processes (see [`sandbox`]) and one asynchronous job in the daemon (see [`life`]) that speaks with it. On Linux machines that allow it a task has
//! namespaces of its own, made by root or by anybody; elsewhere it runs as plain processes, and [`Runner::isolation`] says so.
//!
//! What a task cannot do: reach any network but its own loopback interface, the [`Host::forwards`] and, through the daemon, its load balancer.

mod account;
mod dial;
mod image;
mod life;
mod prepare;
mod rooted;
mod sandbox;
mod unpack;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

pub use dial::Dial;
use sandbox::protocol::{Event, Mode, Order};
pub use sandbox::sandbox_main;

use crate::task::{Effect, LogTarget, Millis, Report, StartFailure, TaskSpec};

/// Set to `plain` in the daemon's environment, tasks run without namespaces.
pub const SANDBOX_VARIABLE: &str = "LONGSHORE_SANDBOX";
/// Ubuntu since 24.04 takes the rights inside a user namespace away from programs without a profile.
const APPARMOR: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
/// Folders whose unpacking was not finished.
const PARTIAL: &str = ".partial-";
/// How long tasks may take to end when the runner is shut down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// What the runner needs of the rest of the instance. All of it is called from several threads; `report` and `log` must not block for long.
pub trait Host: Send + Sync + 'static {
    /// The value behind a `valueFrom`: SSM parameter name or ARN, Secrets Manager ARN with optional `:json-key:stage:version`.
    ///
    /// # Errors
    /// Says in AWS's words what is missing.
    fn secret(&self, value_from: &str) -> Result<String, String>;
    /// The manifest of an image, by reference as in the task definition or by `host/repository@digest`: digest and bytes.
    ///
    /// # Errors
    /// In the words of `CannotPullContainerError`, without that name.
    fn manifest(&self, image: &str) -> Result<(String, Vec<u8>), String>;
    /// Path of a blob of the image's repository. The runner verifies its digest.
    ///
    /// # Errors
    /// In the words of `CannotPullContainerError`, without that name.
    fn blob(&self, image: &str, digest: &str) -> Result<PathBuf, String>;
    /// Makes a log group.
    fn create_log_group(&self, group: &str);
    /// Whether a log group is there.
    fn log_group_exists(&self, group: &str) -> bool;
    /// One line of a container's output, at most 16 KiB long.
    fn log(&self, target: &LogTarget, at: Millis, line: &str);
    /// What happened to a task.
    fn report(&self, report: Report);
    /// Addresses of this machine that tasks may reach at the same port of their own 127.0.0.1. Asked once a task, when it starts.
    fn forwards(&self) -> Vec<SocketAddr>;
}

/// How to start this program again as a helper process: [`sandbox_main`] gets the argument that the runner puts behind `args`.
#[derive(Clone, Debug)]
pub struct Helper {
    /// The program, such as `/proc/self/exe`.
    pub program: PathBuf,
    /// The arguments that lead to [`sandbox_main`], such as `local sandbox`.
    pub args: Vec<OsString>,
}

/// How far tasks are kept apart from this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// A task has its own root file system, processes, network, host name and user.
    Namespaces,
    /// A task is a plain process that sees this machine's files and network.
    Plain {
        /// Why, in one sentence.
        why: String,
    },
}

/// The runner could not be made.
#[derive(Debug, Error)]
pub enum RunnerError {
    /// The home folder cannot be used.
    #[error("the folder {path} cannot be used for tasks: {source}")]
    Home {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Why a task could not start, before it has a report.
#[derive(Debug)]
struct Failure {
    kind: StartFailure,
    container: Option<String>,
    reason: String,
}

impl Failure {
    fn task(kind: StartFailure, reason: String) -> Self {
        Self {
            kind,
            container: None,
            reason,
        }
    }
}

/// Runs tasks. When it is dropped, all tasks are killed.
pub struct Runner {
    host: Arc<dyn Host>,
    home: PathBuf,
    helper: Helper,
    mode: Mode,
    isolation: Isolation,
    runtime: Handle,
    /// Held while an image is unpacked: tasks of one service start together and share it.
    unpacking: Arc<Mutex<()>>,
    tasks: Arc<Mutex<Tasks>>,
}

/// The tasks that are not gone yet.
struct Tasks {
    by_id: HashMap<String, Task>,
    /// No task starts any more.
    closed: bool,
    /// Changes whenever a task has gone: their number.
    left: watch::Sender<usize>,
}

struct Task {
    orders: mpsc::UnboundedSender<Order>,
    ports: BTreeMap<u16, u16>,
}

impl Runner {
    /// A runner that keeps its files in `home`, which no other runner uses. Must be called inside a Tokio runtime; tries out what this machine allows, which takes some
    /// milliseconds.
    ///
    /// # Errors
    /// When `home` cannot be written to.
    pub fn new(host: Arc<dyn Host>, home: PathBuf, helper: Helper) -> Result<Self, RunnerError> {
        prepare_home(&home).map_err(|source| RunnerError::Home {
            path: home.clone(),
            source,
        })?;
        let (mode, isolation) = choose_mode(&helper);
        Ok(Self {
            host,
            home,
            helper,
            mode,
            isolation,
            runtime: Handle::current(),
            unpacking: Arc::default(),
            tasks: Arc::new(Mutex::new(Tasks {
                by_id: HashMap::new(),
                closed: false,
                left: watch::Sender::new(0),
            })),
        })
    }

    /// How far tasks are kept apart from this machine.
    pub fn isolation(&self) -> Isolation {
        self.isolation.clone()
    }

    /// Does what the model asks; the answer comes by [`Host::report`]. Returns at once.
    ///
    /// The load balancer's effects ([`Effect::ProbeTarget`], [`Effect::Route`]) are not the runner's and do nothing here.
    pub fn perform(&self, effect: Effect) {
        match effect {
            Effect::Start { task } => self.start(*task),
            Effect::Stop { task } => {
                if !self.order(&task, Order::Stop) {
                    self.host.report(Report::Gone { task });
                }
            }
            // A task that has gone meanwhile has been told of.
            Effect::StartContainer { task, container } => {
                self.order(&task, Order::StartContainer { container });
            }
            Effect::CheckHealth {
                task,
                container,
                command,
                timeout_ms,
            } => {
                let asked = check_command(&command).is_some_and(|argv| {
                    let container = container.clone();
                    let order = Order::Check {
                        container,
                        argv,
                        timeout_ms,
                    };
                    self.order(&task, order)
                });
                if !asked {
                    self.host.report(Report::HealthChecked {
                        task,
                        container,
                        healthy: false,
                    });
                }
            }
            Effect::ProbeTarget { .. } | Effect::Route { .. } => {}
        }
    }

    /// Kills the containers of a task without warning; whether there is such a task.
    pub fn kill(&self, task: &str) -> bool {
        self.order(task, Order::Kill)
    }

    /// How to reach a container port of a task; `None` when the task is not there or has no such port.
    pub fn dial(&self, task: &str, port: u16) -> Option<Dial> {
        let tasks = self.tasks();
        let &here = tasks.by_id.get(task)?.ports.get(&port)?;
        Some(if self.mode.isolated() {
            Dial::task(&task_folder(&self.home, task)?, here)
        } else {
            Dial::Tcp((Ipv4Addr::LOCALHOST, here).into())
        })
    }

    /// Stops all tasks, gives them five seconds, then kills them. All of them are reported as gone when this returns; none starts afterwards.
    pub async fn shutdown(&self) {
        let mut left = {
            let mut tasks = self.tasks();
            tasks.closed = true;
            for task in tasks.by_id.values() {
                // A task that ends by itself needs no order.
                let _ = task.orders.send(Order::Stop);
            }
            tasks.left.subscribe()
        };
        let in_time = tokio::time::timeout(SHUTDOWN_GRACE, left.wait_for(|&left| left == 0))
            .await
            .is_ok();
        if !in_time {
            for task in self.tasks().by_id.values() {
                let _ = task.orders.send(Order::Kill);
            }
            // Fails only without a sender, and `self` holds it.
            let _ = left.wait_for(|&left| left == 0).await;
        }
    }

    fn start(&self, spec: TaskSpec) {
        let id = spec.id.clone();
        let refuse = |reason: &str| {
            self.host.report(Report::StartFailed {
                task: id.clone(),
                container: None,
                failure: StartFailure::ResourceInitializationError,
                reason: reason.to_owned(),
            });
        };
        let Some(folder) = task_folder(&self.home, &id) else {
            return refuse("the task's ID cannot name a folder");
        };
        let ports = prepare::ports(self.mode, &spec);
        let (orders, waiting) = mpsc::unbounded_channel();
        let task = Task {
            orders,
            ports: ports.clone(),
        };
        let refused = {
            let mut tasks = self.tasks();
            if tasks.closed {
                Some("the environment is shutting down")
            } else if tasks.by_id.contains_key(&id) {
                Some("the task runs already")
            } else {
                tasks.by_id.insert(id.clone(), task);
                tasks.left.send_replace(tasks.by_id.len());
                None
            }
        };
        if let Some(reason) = refused {
            return refuse(reason);
        }
        let around = life::Surroundings {
            host: Arc::clone(&self.host),
            home: self.home.clone(),
            helper: self.helper.clone(),
            mode: self.mode,
            unpacking: Arc::clone(&self.unpacking),
            folder,
            ports,
        };
        let tasks = Arc::clone(&self.tasks);
        self.runtime.spawn(async move {
            let host = Arc::clone(&around.host);
            let last = life::run(around, spec, waiting).await;
            {
                let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
                tasks.by_id.remove(&id);
            }
            host.report(last);
            let tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.left.send_replace(tasks.by_id.len());
        });
    }

    /// Whether there is such a task to take the order.
    fn order(&self, task: &str, order: Order) -> bool {
        self.tasks()
            .by_id
            .get(task)
            .is_some_and(|task| task.orders.send(order).is_ok())
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Runner {
    /// Without an order channel a task kills its containers.
    fn drop(&mut self) {
        self.tasks().by_id.clear();
    }
}

/// The folder of a task; `None` when its ID is not one plain name.
fn task_folder(home: &Path, id: &str) -> Option<PathBuf> {
    let plain = !id.is_empty()
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    plain.then(|| home.join("tasks").join(id))
}

/// Program and arguments of a health check command; `None` for `["NONE"]` and what is not one.
fn check_command(command: &[String]) -> Option<Vec<String>> {
    let (kind, rest) = command.split_first()?;
    match kind.as_str() {
        "CMD" if !rest.is_empty() => Some(rest.to_vec()),
        "CMD-SHELL" if !rest.is_empty() => {
            Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), rest.join(" ")])
        }
        _ => None,
    }
}

/// Makes the home folder, for its owner alone: unpacked images hold programs that change their user when started.
fn prepare_home(home: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let (rootfs, tasks) = (home.join("rootfs"), home.join("tasks"));
    std::fs::create_dir_all(&rootfs)?;
    std::fs::set_permissions(&rootfs, std::fs::Permissions::from_mode(0o700))?;
    // Left by a daemon that was killed.
    unpack::remove(&tasks)?;
    std::fs::create_dir_all(&tasks)?;
    std::fs::set_permissions(&tasks, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(&rootfs)? {
        let entry = entry?;
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PARTIAL.as_bytes())
        {
            unpack::remove(&entry.path())?;
        }
    }
    Ok(())
}

fn choose_mode(helper: &Helper) -> (Mode, Isolation) {
    let plain = |why: String| (Mode::Plain, Isolation::Plain { why });
    if std::env::var_os(SANDBOX_VARIABLE).is_some_and(|value| value == "plain") {
        return plain(format!("{SANDBOX_VARIABLE}=plain is set"));
    }
    let mut reason = String::new();
    let modes: &[Mode] = if nix::unistd::geteuid().is_root() {
        &[Mode::Root, Mode::User]
    } else {
        &[Mode::User]
    };
    for &mode in modes {
        match probe(helper, mode) {
            Ok(()) => return (mode, Isolation::Namespaces),
            Err(error) => reason = error,
        }
    }
    let hint = std::fs::read_to_string(APPARMOR)
        .ok()
        .filter(|value| value.trim() == "1")
        .map_or(
            "",
            |_| "; kernel.apparmor_restrict_unprivileged_userns is 1",
        );
    plain(format!(
        "this machine does not let this user make namespaces ({reason}{hint})"
    ))
}

/// Tries to make a sandbox.
fn probe(helper: &Helper, mode: Mode) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    let mut child = Command::new(&helper.program)
        .args(&helper.args)
        .arg(sandbox::stage("probe", mode))
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(words)?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line).map_err(words)?;
    }
    let status = child.wait().map_err(words)?;
    match serde_json::from_str(&line) {
        Ok(Event::Ready) if status.success() => Ok(()),
        Ok(Event::Broken { reason }) => Err(reason),
        _ => Err(format!("the helper process ended with {status}")),
    }
}
