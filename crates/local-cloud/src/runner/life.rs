//! The life of one task, seen from the daemon: start, listen, clean up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::sandbox::protocol::{Event, Mode, Order};
use super::{Failure, Helper, Host, dial, prepare, sandbox, unpack};
use crate::task::{LogTarget, Millis, Report, StartFailure, TaskSpec};

/// What a task needs of its runner.
pub(super) struct Surroundings {
    pub(super) host: Arc<dyn Host>,
    pub(super) home: PathBuf,
    pub(super) helper: Helper,
    pub(super) mode: Mode,
    /// Held while an image is unpacked.
    pub(super) unpacking: Arc<Mutex<()>>,
    /// Folder of the task; it is there while the task runs.
    pub(super) folder: PathBuf,
    /// Container ports and where they are: at the same port of the task's own network or, without namespaces, at a port of this machine.
    pub(super) ports: BTreeMap<u16, u16>,
}

/// Runs the task to its end, and gives the last report on it. Orders that came while it was being prepared count.
pub(super) async fn run(
    around: Surroundings,
    spec: TaskSpec,
    mut orders: mpsc::UnboundedReceiver<Order>,
) -> Report {
    let task = spec.id.clone();
    let around = Arc::new(around);
    let end = live(&around, spec, &mut orders).await;
    let folder = around.folder.clone();
    let removed = tokio::task::spawn_blocking(move || unpack::remove(&folder)).await;
    if let Ok(Err(error)) = removed {
        tracing::warn!(folder = %around.folder.display(), %error, "the task's folder could not be removed");
    }
    match end {
        Ok(()) => Report::Gone { task },
        Err(failure) => Report::StartFailed {
            task,
            container: failure.container,
            failure: failure.kind,
            reason: failure.reason,
        },
    }
}

async fn live(
    around: &Arc<Surroundings>,
    spec: TaskSpec,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> Result<(), Failure> {
    let task = spec.id.clone();
    let preparing = Arc::clone(around);
    let targets: HashMap<String, LogTarget> = spec
        .containers
        .iter()
        .filter_map(|container| Some((container.name.clone(), container.log.clone()?)))
        .collect();
    let prepared = tokio::task::spawn_blocking(move || prepare::prepare(&preparing, &spec)).await;
    let plan = match prepared {
        Ok(prepared) => prepared?,
        Err(error) => {
            return Err(Failure::task(
                StartFailure::ResourceInitializationError,
                format!("the task could not be prepared: {error}"),
            ));
        }
    };
    if stop_came(around.host.as_ref(), &task, orders) {
        return Ok(());
    }
    let broken = |reason| Failure::task(StartFailure::CannotStartContainerError, reason);
    let mut sandbox = Sandbox::spawn(around).map_err(broken)?;
    sandbox.send(&plan).await;
    let waiting = plan
        .containers
        .into_iter()
        .map(|container| container.name)
        .collect();
    let result = Events {
        around,
        task: &task,
        targets: &targets,
        waiting,
        running: BTreeSet::new(),
        checking: BTreeMap::new(),
        forwards: JoinSet::new(),
    }
    .follow(&mut sandbox, orders)
    .await;
    sandbox.end().await;
    result
}

/// Whether a stop is among the orders that wait already. A container that has not started is not healthy.
fn stop_came(host: &dyn Host, task: &str, orders: &mut mpsc::UnboundedReceiver<Order>) -> bool {
    let mut stop = false;
    while let Ok(order) = orders.try_recv() {
        match order {
            Order::Stop | Order::Kill => stop = true,
            Order::Check { container, .. } => host.report(Report::HealthChecked {
                task: task.to_owned(),
                container,
                healthy: false,
            }),
            Order::Start | Order::StartContainer { .. } => {}
        }
    }
    stop || orders.is_closed()
}

/// The helper processes of a task.
struct Sandbox {
    child: Child,
    input: Option<ChildStdin>,
    events: tokio::io::Lines<BufReader<ChildStdout>>,
}

impl Sandbox {
    fn spawn(around: &Surroundings) -> Result<Self, String> {
        let failed =
            |error: &dyn std::fmt::Display| format!("{}: {error}", around.helper.program.display());
        let mut child = Command::new(&around.helper.program)
            .args(&around.helper.args)
            .arg(sandbox::stage("enter", around.mode))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C in the terminal is for the daemon, which then stops its tasks in order.
            .process_group(0)
            .spawn()
            .map_err(|error| failed(&error))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(&"no pipes"));
        };
        Ok(Self {
            child,
            input: Some(input),
            events: BufReader::new(output).lines(),
        })
    }

    /// A sandbox that is gone is noticed by the end of its output.
    async fn send(&mut self, message: &impl serde::Serialize) {
        let Ok(mut line) = serde_json::to_vec(message) else {
            return;
        };
        line.push(b'\n');
        if let Some(input) = &mut self.input {
            let _ = input.write_all(&line).await;
        }
    }

    async fn next(&mut self) -> Option<Event> {
        let line = self.events.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }

    /// Takes its input away, at which it kills all that is left, and waits for its end.
    async fn end(mut self) {
        self.input = None;
        let _ = self.child.wait().await;
    }
}

/// Turns events into reports until the sandbox has ended.
struct Events<'a> {
    around: &'a Arc<Surroundings>,
    task: &'a str,
    targets: &'a HashMap<String, LogTarget>,
    /// Containers that have not started yet, in order.
    waiting: std::collections::VecDeque<String>,
    running: BTreeSet<String>,
    /// Health checks without an answer, by container.
    checking: BTreeMap<String, usize>,
    forwards: JoinSet<()>,
}

impl Events<'_> {
    async fn follow(
        mut self,
        sandbox: &mut Sandbox,
        orders: &mut mpsc::UnboundedReceiver<Order>,
    ) -> Result<(), Failure> {
        let mut stopping = false;
        let mut listening = true;
        let mut broken = None;
        loop {
            tokio::select! {
                event = sandbox.next() => match event {
                    Some(Event::Ready) => {
                        self.forward().await;
                        sandbox.send(&Order::Start).await;
                    }
                    Some(Event::Broken { reason }) => broken = Some(reason),
                    Some(event) => {
                        if let Some(failure) = self.take(event) {
                            return Err(failure);
                        }
                    }
                    None => break,
                },
                order = orders.recv(), if listening => {
                    // Without an order the runner itself was dropped.
                    listening = order.is_some();
                    let order = order.unwrap_or(Order::Kill);
                    match &order {
                        Order::Check { container, .. } => {
                            *self.checking.entry(container.clone()).or_default() += 1;
                        }
                        Order::Stop | Order::Kill => stopping = true,
                        Order::Start | Order::StartContainer { .. } => {}
                    }
                    sandbox.send(&order).await;
                }
            }
        }
        self.finish(stopping, broken)
    }

    /// Tells what the event means; `Some` when the task could not be started.
    fn take(&mut self, event: Event) -> Option<Failure> {
        let host = &self.around.host;
        let task = self.task.to_owned();
        match event {
            Event::Ready | Event::Broken { .. } => {}
            Event::Started { container } => {
                self.waiting.retain(|waiting| *waiting != container);
                self.running.insert(container.clone());
                host.report(Report::Started { task, container });
            }
            Event::StartFailed { container, reason } => {
                return Some(Failure {
                    kind: StartFailure::CannotStartContainerError,
                    container: Some(container),
                    reason,
                });
            }
            Event::Line { container, text } => {
                if let Some(target) = self.targets.get(&container) {
                    host.log(target, now(), &text);
                }
            }
            Event::Exited {
                container,
                code,
                out_of_memory,
            } => {
                self.running.remove(&container);
                host.report(Report::Exited {
                    task,
                    container,
                    exit_code: code,
                    out_of_memory,
                });
            }
            Event::Checked { container, healthy } => {
                if let Some(open) = self.checking.get_mut(&container) {
                    *open = open.saturating_sub(1);
                }
                host.report(Report::HealthChecked {
                    task,
                    container,
                    healthy,
                });
            }
        }
        None
    }

    /// Every question gets its answer, also when the sandbox ended before it could give one.
    fn finish(self, stopping: bool, reason: Option<String>) -> Result<(), Failure> {
        let host = &self.around.host;
        let task = self.task;
        for (container, open) in self.checking {
            for _ in 0..open {
                host.report(Report::HealthChecked {
                    task: task.to_owned(),
                    container: container.clone(),
                    healthy: false,
                });
            }
        }
        for container in self.running {
            host.report(Report::Exited {
                task: task.to_owned(),
                container,
                exit_code: 137,
                out_of_memory: false,
            });
        }
        match self.waiting.into_iter().next() {
            Some(container) if !stopping => Err(Failure {
                kind: StartFailure::CannotStartContainerError,
                container: Some(container),
                reason: reason
                    .unwrap_or_else(|| "the sandbox ended before the container started".to_owned()),
            }),
            _ => Ok(()),
        }
    }

    /// Opens the machine's addresses that tasks may reach at the same port of their own loopback interface. A port that a container has itself is left to it.
    async fn forward(&mut self) {
        if !self.around.mode.isolated() {
            return;
        }
        for address in self.around.host.forwards() {
            if self.around.ports.contains_key(&address.port()) {
                continue;
            }
            match dial::listen_inside(&self.around.folder, address.port()).await {
                Ok(listener) => {
                    self.forwards.spawn(relay(listener, address));
                }
                Err(error) => {
                    tracing::warn!(task = self.task, %address, %error, "a forward could not be opened in the task");
                }
            }
        }
    }
}

/// Copies between connections of the task and new ones to `address`, until it is dropped with all connections.
async fn relay(listener: TcpListener, address: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((mut inside, _)) = listener.accept().await else {
            return;
        };
        connections.spawn(async move {
            if let Ok(mut outside) = TcpStream::connect(address).await {
                let _ = inside.set_nodelay(true);
                let _ = outside.set_nodelay(true);
                // Either side may end it in any way.
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

fn now() -> Millis {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            since.as_millis().try_into().unwrap_or(Millis::MAX)
        })
}
