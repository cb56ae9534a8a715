//! Process 1 of a task: starts its containers, stops them, runs health checks, reaps, and tells the daemon.
//!
//! One loop owns all state. Who ended is learnt from `waitpid` in that loop alone, so no process can be reaped before it is known.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::{set_child_subreaper, set_pdeathsig};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, sethostname};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::lines::Lines;
use super::protocol::{Container, Event, Job, Mode, Order, Plan, Process};
use super::{again, enter, failed, memory, mounts, network, stage};

/// How long output may take to arrive after its process ended. Only without namespaces can somebody still hold the other end.
const LAST_OUTPUT: Duration = Duration::from_secs(2);
/// Events on their way to the daemon. When it falls behind, containers wait in their writes, as with Docker's blocking log drivers.
const WAITING_EVENTS: usize = 256;

/// Runs until all containers have ended or the daemon has gone away.
pub(super) fn init(mode: Mode) -> Result<ExitCode, String> {
    if mode.isolated() {
        // When `enter` is killed, the task goes too.
        set_pdeathsig(Signal::SIGKILL).map_err(failed("prctl"))?;
        mounts::proc_for_init()?;
        network::loopback_up()?;
    } else {
        enter::close_inherited()?;
        set_child_subreaper(true).map_err(failed("prctl"))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed("runtime"))?;
    let result = runtime.block_on(serve(mode));
    kill_descendants();
    result.map(|()| ExitCode::SUCCESS)
}

/// A container's process.
struct Running {
    pid: Pid,
    output: [JoinHandle<()>; 2],
    out_of_memory: bool,
}

/// A health check's process.
struct Checking {
    /// Process IDs come again; this does not.
    number: u64,
    container: String,
    timed_out: bool,
}

/// What the loop learns from its own timers and tasks.
enum Note {
    /// A container's stop timeout is over.
    Kill { container: String },
    /// A health check's timeout is over.
    KillCheck { number: u64 },
    /// The output of a container that ended has all been told.
    Drained { exited: Event },
}

struct Init {
    mode: Mode,
    plan: Plan,
    running: BTreeMap<String, Running>,
    checking: HashMap<Pid, Checking>,
    /// Starts of containers so far.
    starts: usize,
    /// Health checks so far.
    checks: u64,
    /// Containers that ended but whose output is still on its way.
    draining: usize,
    events: mpsc::Sender<Event>,
    notes: mpsc::UnboundedSender<Note>,
}

async fn serve(mode: Mode) -> Result<(), String> {
    let input = duplicate(std::io::stdin())?;
    let input = pipe::Receiver::from_owned_fd(input).map_err(failed("stdin"))?;
    let mut input = BufReader::new(input).lines();
    let output = duplicate(std::io::stdout())?;
    let output = pipe::Sender::from_owned_fd(output).map_err(failed("stdout"))?;
    let mut ended = signal(SignalKind::child()).map_err(failed("signal"))?;

    let Ok(Some(line)) = input.next_line().await else {
        return Ok(());
    };
    let plan: Plan = serde_json::from_str(&line).map_err(failed("plan"))?;
    if mode.isolated() {
        sethostname(&plan.hostname).map_err(failed("sethostname"))?;
        chdir(&plan.folder).map_err(failed("chdir"))?;
        // A relative path: the address of a Unix socket holds no more than 107 bytes.
        let door = UnixListener::bind(network::DOOR).map_err(failed(network::DOOR))?;
        door.set_nonblocking(true).map_err(failed(network::DOOR))?;
        let door = tokio::net::UnixListener::from_std(door).map_err(failed(network::DOOR))?;
        tokio::spawn(network::serve_door(door));
    }

    let (events, waiting) = mpsc::channel(WAITING_EVENTS);
    let mut writer = tokio::spawn(write_events(output, waiting));
    let (notes, mut inbox) = mpsc::unbounded_channel();
    let mut look = tokio::time::interval(memory::INTERVAL);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let limited = plan
        .containers
        .iter()
        .any(|container| container.memory_bytes.is_some());
    let mut init = Init {
        mode,
        plan,
        running: BTreeMap::new(),
        checking: HashMap::new(),
        starts: 0,
        checks: 0,
        draining: 0,
        events,
        notes,
    };
    init.tell(Event::Ready).await;
    let mut started = false;
    // With containers still to be started it takes an order to end.
    let startable = init
        .plan
        .containers
        .iter()
        .any(|one| one.held || one.restarts);
    let mut stopping = false;
    while !started || !init.running.is_empty() || init.draining > 0 || (startable && !stopping) {
        tokio::select! {
            line = input.next_line() => match line {
                Ok(Some(line)) => match serde_json::from_str(&line).map_err(failed("order"))? {
                    Order::Start => {
                        started = true;
                        if !init.start_all().await {
                            break;
                        }
                    }
                    Order::StartContainer { container } => {
                        if !stopping && !init.start_named(&container).await {
                            break;
                        }
                    }
                    Order::Check { container, argv, timeout_ms } => {
                        init.check(container, argv, Duration::from_millis(timeout_ms)).await;
                    }
                    Order::Stop if started => {
                        stopping = true;
                        init.stop();
                    }
                    Order::Kill if started => {
                        stopping = true;
                        init.kill_all();
                    }
                    Order::Stop | Order::Kill => break,
                },
                // The daemon has gone away.
                Ok(None) | Err(_) => break,
            },
            _ = ended.recv() => init.reap().await,
            Some(note) = inbox.recv() => init.note(note).await,
            _ = look.tick(), if limited => init.look_at_memory(),
            _ = &mut writer => break,
        }
    }
    drop(init);
    // The readers of output that are left hold the channel too; they end with the processes.
    kill_descendants();
    let _ = tokio::time::timeout(LAST_OUTPUT, writer).await;
    Ok(())
}

fn duplicate(stream: impl std::os::fd::AsFd) -> Result<OwnedFd, String> {
    stream
        .as_fd()
        .try_clone_to_owned()
        .map_err(failed("duplicate a stream"))
}

async fn write_events(mut output: pipe::Sender, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        let Ok(mut line) = serde_json::to_vec(&event) else {
            return;
        };
        line.push(b'\n');
        if output.write_all(&line).await.is_err() {
            return;
        }
    }
}

impl Init {
    async fn tell(&self, event: Event) {
        // Without a reader the loop ends by the writer's end.
        let _ = self.events.send(event).await;
    }

    /// Starts the containers in their order. False when one could not be started, which has been told.
    async fn start_all(&mut self) -> bool {
        for index in 0..self.plan.containers.len() {
            if !self.plan.containers[index].held && !self.start_one(index).await {
                return false;
            }
        }
        true
    }

    /// As [`Self::start_all`], for one that does not run.
    async fn start_named(&mut self, name: &str) -> bool {
        let mut all = self.plan.containers.iter();
        match all.position(|one| one.name == name) {
            Some(index) if !self.running.contains_key(name) => self.start_one(index).await,
            _ => true,
        }
    }

    async fn start_one(&mut self, index: usize) -> bool {
        let container = self.plan.containers[index].clone();
        let name = container.name.clone();
        // A container that is started again gets a root of its own: a fresh one.
        self.starts += 1;
        let (event, good) = match self.start(container, self.starts) {
            Ok(running) => {
                self.running.insert(name.clone(), running);
                (Event::Started { container: name }, true)
            }
            Err(reason) => {
                let failed = Event::StartFailed {
                    container: name,
                    reason,
                };
                (failed, false)
            }
        };
        self.tell(event).await;
        good
    }

    fn start(&self, container: Container, index: usize) -> Result<Running, String> {
        let (out, out_end) = std::io::pipe().map_err(failed("pipe"))?;
        let (err, err_end) = std::io::pipe().map_err(failed("pipe"))?;
        let name = container.name.clone();
        let job = Job::Run {
            container: Box::new(container),
            index,
            hostname: self.plan.hostname.clone(),
        };
        let pid = self.spawn(&job, out_end.into(), err_end.into(), None)?;
        let read = |end: std::io::PipeReader| -> Result<JoinHandle<()>, String> {
            let end = pipe::Receiver::from_owned_fd(end.into()).map_err(failed("pipe"))?;
            Ok(tokio::spawn(read_lines(
                end,
                name.clone(),
                self.events.clone(),
            )))
        };
        Ok(Running {
            pid,
            output: [read(out)?, read(err)?],
            out_of_memory: false,
        })
    }

    /// Starts a helper that does `job` and waits until it has become the job's program, or has said why not.
    ///
    /// With namespaces the process is the first of a new pid namespace, or a further one of `join`.
    fn spawn(
        &self,
        job: &Job,
        stdout: Stdio,
        stderr: Stdio,
        join: Option<Pid>,
    ) -> Result<Pid, String> {
        let (mut channel, theirs) = UnixStream::pair().map_err(failed("socketpair"))?;
        let job = serde_json::to_vec(job).map_err(failed("job"))?;
        let mut command = again(&stage("run", self.mode));
        command
            .stdin(OwnedFd::from(theirs))
            .stdout(stdout)
            .stderr(stderr);
        let child = if self.mode.isolated() {
            // The namespace for children is an attribute of the thread, so a thread that ends is the way to change it for one child.
            std::thread::spawn(move || {
                match join {
                    None => unshare(CloneFlags::CLONE_NEWPID).map_err(failed("unshare pid"))?,
                    Some(pid) => {
                        let path = format!("/proc/{pid}/ns/pid");
                        let namespace = File::open(&path).map_err(failed(&path))?;
                        setns(namespace, CloneFlags::CLONE_NEWPID)
                            .map_err(failed("enter the pid namespace"))?;
                    }
                }
                start(command)
            })
            .join()
            .map_err(|_| "start a process: the thread ended".to_owned())??
        } else {
            start(command)?
        };
        let pid = Pid::from_raw(child.id().cast_signed());
        let mut reason = String::new();
        let told = channel
            .write_all(&job)
            .and_then(|()| channel.shutdown(Shutdown::Write))
            .and_then(|()| channel.read_to_string(&mut reason));
        match told {
            Ok(_) if reason.is_empty() => Ok(pid),
            Ok(_) => Err(reason),
            Err(error) => Err(format!("start a process: {error}")),
        }
    }

    /// SIGTERM, or what the image asks for, to all; a timer for each.
    fn stop(&self) {
        for (name, running) in &self.running {
            let container = self
                .plan
                .containers
                .iter()
                .find(|container| container.name == *name);
            let (stop_signal, timeout) = container.map_or(("", 0), |container| {
                (container.stop_signal.as_str(), container.stop_timeout_ms)
            });
            let stop_signal = stop_signal.parse().unwrap_or(Signal::SIGTERM);
            let _ = kill(running.pid, stop_signal);
            let note = Note::Kill {
                container: name.clone(),
            };
            self.note_later(note, Duration::from_millis(timeout));
        }
    }

    fn kill_all(&self) {
        for running in self.running.values() {
            kill_container(running.pid);
        }
    }

    fn note_later(&self, note: Note, after: Duration) {
        let notes = self.notes.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let _ = notes.send(note);
        });
    }

    async fn check(&mut self, container: String, argv: Vec<String>, timeout: Duration) {
        match self.spawn_check(&container, argv) {
            Some(pid) => {
                self.checks += 1;
                let number = self.checks;
                self.checking.insert(
                    pid,
                    Checking {
                        number,
                        container,
                        timed_out: false,
                    },
                );
                self.note_later(Note::KillCheck { number }, timeout);
            }
            None => {
                self.tell(Event::Checked {
                    container,
                    healthy: false,
                })
                .await;
            }
        }
    }

    /// `None` when the container does not run or the program cannot be executed in it.
    fn spawn_check(&self, name: &str, argv: Vec<String>) -> Option<Pid> {
        let running = self.running.get(name)?;
        let container = self
            .plan
            .containers
            .iter()
            .find(|container| container.name == name)?;
        let job = Job::Join {
            pid: running.pid.as_raw(),
            root: container.root.clone(),
            process: Box::new(Process {
                argv,
                ..container.process.clone()
            }),
        };
        self.spawn(&job, Stdio::null(), Stdio::null(), Some(running.pid))
            .ok()
    }

    /// Takes note of all processes that have ended.
    async fn reap(&mut self) {
        loop {
            let (pid, code) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => continue,
            };
            if let Some(check) = self.checking.remove(&pid) {
                self.tell(Event::Checked {
                    container: check.container,
                    healthy: code == 0 && !check.timed_out,
                })
                .await;
                continue;
            }
            let Some(name) = self
                .running
                .iter()
                .find(|(_, running)| running.pid == pid)
                .map(|(name, _)| name.clone())
            else {
                continue;
            };
            let Some(running) = self.running.remove(&name) else {
                continue;
            };
            // Children that stayed behind; with namespaces the kernel has done so already.
            let _ = killpg(pid, Signal::SIGKILL);
            self.draining += 1;
            let exited = Event::Exited {
                container: name,
                code,
                out_of_memory: running.out_of_memory,
            };
            let notes = self.notes.clone();
            tokio::spawn(async move {
                for reader in running.output {
                    let stop = reader.abort_handle();
                    if tokio::time::timeout(LAST_OUTPUT, reader).await.is_err() {
                        stop.abort();
                    }
                }
                let _ = notes.send(Note::Drained { exited });
            });
        }
    }

    async fn note(&mut self, note: Note) {
        match note {
            Note::Kill { container } => {
                if let Some(running) = self.running.get(&container) {
                    kill_container(running.pid);
                }
            }
            Note::KillCheck { number } => {
                for (&pid, check) in &mut self.checking {
                    if check.number == number {
                        check.timed_out = true;
                        kill_container(pid);
                    }
                }
            }
            Note::Drained { exited } => {
                self.draining -= 1;
                self.tell(exited).await;
            }
        }
    }

    fn look_at_memory(&mut self) {
        for container in &self.plan.containers {
            let (Some(limit), Some(running)) = (
                container.memory_bytes,
                self.running.get_mut(&container.name),
            ) else {
                continue;
            };
            if memory::used(running.pid.as_raw()) > limit {
                running.out_of_memory = true;
                kill_container(running.pid);
            }
        }
    }
}

/// Takes the command, and so drops this process's copies of the child's streams: the end of those could not be seen otherwise.
fn start(mut command: Command) -> Result<Child, String> {
    command.spawn().map_err(failed("start a process"))
}

/// Every process of a container or a health check starts in a session of its own.
fn kill_container(pid: Pid) {
    let _ = killpg(pid, Signal::SIGKILL);
    let _ = kill(pid, Signal::SIGKILL);
}

async fn read_lines(mut from: pipe::Receiver, container: String, events: mpsc::Sender<Event>) {
    let mut lines = Lines::default();
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length) = from.read(&mut buffer).await {
        if length == 0 {
            break;
        }
        for text in lines.push(&buffer[..length]) {
            let container = container.clone();
            if events.send(Event::Line { container, text }).await.is_err() {
                return;
            }
        }
    }
    if let Some(text) = lines.finish() {
        let _ = events.send(Event::Line { container, text }).await;
    }
}

/// Kills and reaps until this process has no children; those of children come to it as orphans.
fn kill_descendants() {
    loop {
        for pid in memory::children(std::process::id().cast_signed()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if waitpid(None, None).is_err() {
            return;
        }
    }
}
