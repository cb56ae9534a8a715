//! A run of the binary that goes on while the test does other things.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::project::{Project, Run};

/// How long a line may take to come.
const PATIENCE: Duration = Duration::from_mins(1);

/// What one stream has brought so far; it is read on, so that the pipe never fills.
#[derive(Clone, Default)]
struct Stream(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Stream {
    fn read(&self, from: impl Read + Send + 'static) -> JoinHandle<()> {
        let own = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                own.0.0.lock().unwrap().push(line);
                own.0.1.notify_all();
            }
        })
    }

    /// Waits for a line that holds a text, and gives it.
    fn line(&self, text: &str) -> String {
        let since = Instant::now();
        let mut lines = self.0.0.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = PATIENCE.checked_sub(since.elapsed());
            let left = left.unwrap_or_else(|| panic!("{text:?} did not come: {lines:#?}"));
            lines = self.0.1.wait_timeout(lines, left).unwrap().0;
        }
    }

    fn text(&self) -> String {
        let mut text = self.0.0.lock().unwrap().join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }
}

/// A run that goes on; it is killed when the test is over.
pub struct Background {
    child: Option<Child>,
    stdout: Stream,
    stderr: Stream,
    readers: Vec<JoinHandle<()>>,
}

impl Project {
    /// Starts the binary with arguments.
    pub fn start(&self, args: &[&str]) -> Background {
        let mut command = self.command(args);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr) = (Stream::default(), Stream::default());
        let readers = vec![
            stdout.read(child.stdout.take().unwrap()),
            stderr.read(child.stderr.take().unwrap()),
        ];
        Background {
            child: Some(child),
            stdout,
            stderr,
            readers,
        }
    }

    /// Starts a deployment with a receipt on standard output.
    pub fn start_deploy(&self, more: &[&str]) -> Background {
        self.start(&[&["deploy", "--format", "json"], more].concat())
    }
}

impl Background {
    /// Waits for a line on standard error that holds a text.
    pub fn until(&self, text: &str) {
        self.stderr.line(text);
    }

    /// The same of standard output; gives the line.
    pub fn printed(&self, text: &str) -> String {
        self.stdout.line(text)
    }

    /// Waits until the rollout is on its way.
    pub fn until_rollout(&self) {
        self.until("deployment ecs-svc/");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it goes on");
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    pub fn end(mut self) -> Run {
        let mut child = self.child.take().expect("it goes on");
        let status = child.wait().unwrap();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        Run {
            code: status.code(),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
