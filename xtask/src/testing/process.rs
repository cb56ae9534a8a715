//! A program and everything that it starts, as one process group: its lines as they come, and nothing of it left when it has ended or is not wanted any more.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::release::Interrupt;

/// How long a program has to end after it was asked to.
const GRACE: Duration = Duration::from_secs(5);
/// How long its output may still come after it has ended: what is in the pipes, not what a stray child writes.
const DRAIN: Duration = Duration::from_secs(2);
/// Bytes that are kept of each stream.
const KEPT: usize = 1 << 20;

/// How a program ended.
#[derive(Debug)]
pub enum End {
    /// By itself: exit code, or none after a signal.
    Exited(Option<i32>),
    /// It is not on PATH.
    NotFound(String),
    /// It cannot be run.
    CannotRun(String),
    /// Somebody wanted this run to stop.
    Interrupted,
    /// It said nothing for so long.
    Silent(Duration),
}

/// A program that has ended, with what it said.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Whether it ended with 0.
    pub fn ok(&self) -> bool {
        matches!(self.end, End::Exited(Some(0)))
    }

    /// Both streams, one behind the other.
    pub fn both(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

enum Heard {
    Out(String),
    Err(String),
}

/// All processes of a group; they are killed when this is dropped.
struct Group(Pid);

impl Group {
    fn signal(&self, signal: Signal) {
        // No such group: all of it is gone, which is what is wanted.
        let _ = killpg(self.0, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Runs a program to its end. `line` gets each line of standard output. `silence` is how long it may say nothing.
pub async fn run(
    mut command: Command,
    silence: Option<Duration>,
    interrupt: &Interrupt,
    line: &mut dyn FnMut(&str),
) -> Finished {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut finished = Finished {
        end: End::Interrupted,
        stdout: String::new(),
        stderr: String::new(),
    };
    if interrupt.wanted() {
        return finished;
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = match tokio::process::Command::from(command).spawn() {
        Ok(child) => child,
        Err(error) => {
            finished.end = match error.kind() {
                io::ErrorKind::NotFound => End::NotFound(program),
                _ => End::CannotRun(format!("{program} cannot be run: {error}")),
            };
            return finished;
        }
    };
    let group = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .map(|id| Group(Pid::from_raw(id)));
    let (sender, mut heard) = unbounded_channel();
    if let Some(out) = child.stdout.take() {
        tokio::spawn(read(out, sender.clone(), Heard::Out));
    }
    if let Some(err) = child.stderr.take() {
        tokio::spawn(read(err, sender, Heard::Err));
    }
    let mut hear = |heard: Heard, finished: &mut Finished| match heard {
        Heard::Out(text) => {
            line(&text);
            keep(&mut finished.stdout, &text);
        }
        Heard::Err(text) => keep(&mut finished.stderr, &text),
    };
    // A silence of a year is none.
    let silence = silence.unwrap_or(Duration::from_hours(24 * 365));
    let mut asked = false;
    finished.end = loop {
        tokio::select! {
            Some(text) = heard.recv() => hear(text, &mut finished),
            status = child.wait() => break match status {
                _ if asked => End::Interrupted,
                Ok(status) => End::Exited(status.code()),
                Err(error) => End::CannotRun(format!("{program} cannot be waited for: {error}")),
            },
            () = interrupt.came(), if !asked => {
                asked = true;
                if let Some(group) = &group {
                    group.signal(Signal::SIGINT);
                }
            }
            () = tokio::time::sleep(if asked { GRACE } else { silence }) => {
                break if asked { End::Interrupted } else { End::Silent(silence) };
            }
        }
    };
    // What it started and did not end holds its pipes open.
    drop(group);
    let _ = child.wait().await;
    let drained = async {
        while let Some(text) = heard.recv().await {
            hear(text, &mut finished);
        }
    };
    // A process that left the group can hold a pipe open for ever; its words are not waited for.
    let _ = tokio::time::timeout(DRAIN, drained).await;
    finished
}

async fn read<R: AsyncRead + Unpin>(
    stream: R,
    sender: UnboundedSender<Heard>,
    what: impl Fn(String) -> Heard,
) {
    let mut reader = BufReader::new(stream);
    let mut bytes = Vec::new();
    while reader
        .read_until(b'\n', &mut bytes)
        .await
        .is_ok_and(|length| length > 0)
    {
        let text = String::from_utf8_lossy(&bytes);
        let text = text.strip_suffix('\n').unwrap_or(&text).to_owned();
        if sender.send(what(text)).is_err() {
            return;
        }
        bytes.clear();
    }
}

fn keep(whole: &mut String, line: &str) {
    if whole.len() + line.len() < KEPT {
        whole.push_str(line);
        whole.push('\n');
    }
}
