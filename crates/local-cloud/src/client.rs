//! What other programs do with an instance: find it, start it in the background, ask it for things, stop it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::calls;
pub use crate::calls::Call;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::daemon::prepare;
pub use crate::daemon::{
    Added, Error, LogLine, Options, Pace, Provision, Provisioned, ServiceEvent, Status, serve,
};
pub use crate::ecs::AlarmState;
pub use crate::faults::{Fault, FaultKind, Requests};
pub use crate::instance::Instance;
use crate::instance::Lock;
pub use crate::issuer::TokenRequest;

/// How long a daemon may take to answer after it was started: databases may have to recover.
const STARTING: Duration = Duration::from_secs(90);
/// How long a daemon may take to answer when it runs.
const ANSWERING: Duration = Duration::from_secs(5);
/// A first database is initialised while the client waits.
const PROVISIONING: Duration = Duration::from_mins(3);
/// How long a daemon may take to stop its tasks and databases.
const STOPPING: Duration = Duration::from_mins(1);
/// How often something is looked at again.
const AGAIN: Duration = Duration::from_millis(25);
/// A log longer than this is put aside before a start.
const LOG: u64 = 4 << 20;

/// Whether [`start`] had to start anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// It ran already.
    AlreadyRunning,
    /// It runs now.
    Started,
}

/// The instance of a home folder, if it runs. Blocks for a few seconds when it runs but does not answer, which is an error.
pub fn find(home: &Path) -> Result<Option<Instance>, Error> {
    if !Lock::is_taken(home)? {
        return Ok(None);
    }
    let since = Instant::now();
    loop {
        let instance = Instance::read(home)?;
        if let Some(instance) = &instance {
            match instance.status_now() {
                Ok(_) => return Ok(Some(instance.clone())),
                // Waiting does not change its version.
                Err(error @ Error::OtherVersion { .. }) => return Err(error),
                Err(_) => {}
            }
        }
        if !Lock::is_taken(home)? {
            return Ok(None);
        }
        if since.elapsed() > ANSWERING {
            return Err(Error::NotAnswering {
                pid: instance.as_ref().map_or(0, |instance| instance.pid),
                endpoint: instance.map_or_else(String::new, |instance| instance.endpoint),
                log: log_path(home),
            });
        }
        std::thread::sleep(AGAIN);
    }
}

/// Starts an instance in the background unless one runs, and waits until it answers. Blocks.
///
/// It is a process of its own that outlives this one and its terminal; what it says goes to `daemon.log` in its home.
pub fn start(options: &Options) -> Result<(Instance, Started), Error> {
    let home = std::path::absolute(&options.home).map_err(|source| Error::Home {
        path: options.home.clone(),
        source,
    })?;
    let options = Options {
        home: home.clone(),
        ..options.clone()
    };
    prepare(&home)?;
    if let Some(instance) = find(&home)? {
        return Ok((instance, Started::AlreadyRunning));
    }

    let (log, begin) = open_log(&home)?;
    let unusable = |source| Error::Home {
        path: log_path(&home),
        source,
    };
    let stderr = log.try_clone().map_err(unusable)?;
    let mut child = Command::new(&options.program)
        .args(options.serve_arguments())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(stderr)
        // The terminal's Ctrl-C goes to the group in front; SIGHUP is ignored by the daemon.
        .process_group(0)
        .spawn()
        .map_err(|source| Error::Launch {
            program: options.program.clone(),
            source,
        })?;

    let since = Instant::now();
    loop {
        if let Some(instance) = Instance::read(&home)?
            && instance.pid == child.id()
            && instance.status_now().is_ok()
        {
            return Ok((instance, Started::Started));
        }
        if let Ok(Some(status)) = child.try_wait() {
            // Another start may have been first.
            if let Ok(Some(instance)) = find(&home) {
                return Ok((instance, Started::AlreadyRunning));
            }
            let said = last_lines(&log_path(&home), begin);
            return Err(Error::Died {
                status: status.to_string(),
                // It is said as an error once more.
                said: said.strip_prefix("error: ").unwrap_or(&said).to_owned(),
                log: log_path(&home),
            });
        }
        if since.elapsed() > STARTING {
            return Err(Error::NotAnswering {
                pid: child.id(),
                endpoint: options
                    .port
                    .map_or_else(String::new, |port| format!("http://127.0.0.1:{port}")),
                log: log_path(&home),
            });
        }
        std::thread::sleep(AGAIN);
    }
}

/// The requests that AWS clients made of the instance of a home folder, the oldest first, whether it runs or not.
pub fn calls(home: &Path) -> Result<Vec<Call>, Error> {
    calls::read(home).map_err(|source| Error::Home {
        path: home.join("calls.jsonl"),
        source,
    })
}

impl Instance {
    /// Makes what a service expects to find; what is there stays.
    pub async fn provision(&self, wanted: &Provision) -> Result<Provisioned, Error> {
        let wanted = wanted.clone();
        self.ask(move |instance| {
            instance.call("POST", "/_local/provision", Some(&wanted), PROVISIONING)
        })
        .await
    }

    /// Makes something go wrong.
    pub async fn add_fault(&self, fault: &FaultKind) -> Result<Added, Error> {
        let fault = fault.clone();
        self.ask(move |instance| instance.call("POST", "/_local/faults", Some(&fault), ANSWERING))
            .await
    }

    /// The faults that are active.
    pub async fn faults(&self) -> Result<Vec<Fault>, Error> {
        self.ask(|instance| instance.call("GET", "/_local/faults", None::<&()>, ANSWERING))
            .await
    }

    /// Ends one fault, or all of them; those that ended.
    pub async fn clear_faults(&self, id: Option<u64>) -> Result<Vec<Fault>, Error> {
        self.ask(move |instance| {
            let wanted = serde_json::json!({"id": id});
            instance.call("POST", "/_local/faults/clear", Some(&wanted), ANSWERING)
        })
        .await
    }

    /// The events that the services still have, the oldest first.
    pub async fn events(&self) -> Result<Vec<ServiceEvent>, Error> {
        self.ask(|instance| instance.call("GET", "/_local/events", None::<&()>, ANSWERING))
            .await
    }

    /// The lines of a log group from a time on, in milliseconds since the Unix epoch; the oldest first.
    pub async fn log_lines(&self, group: &str, from: u64) -> Result<Vec<LogLine>, Error> {
        let wanted = serde_json::json!({"group": group, "from": from});
        self.ask(move |instance| instance.call("POST", "/_local/logs", Some(&wanted), ANSWERING))
            .await
    }

    /// A token of the local issuer, for `AssumeRoleWithWebIdentity`.
    pub async fn token(&self, wanted: &TokenRequest) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Issued {
            token: String,
        }
        let wanted = wanted.clone();
        self.ask(move |instance| {
            let issued: Issued =
                instance.call("POST", "/_local/token", Some(&wanted), ANSWERING)?;
            Ok(issued.token)
        })
        .await
    }

    /// What the instance tells of itself.
    pub async fn status(&self) -> Result<Status, Error> {
        self.ask(Self::status_now).await
    }

    /// Stops the instance and waits until its process, its tasks and its databases are gone.
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.ask(|instance| {
            let _: Value = instance.call("POST", "/_local/shutdown", None::<&()>, ANSWERING)?;
            let since = Instant::now();
            while Lock::is_taken(&instance.home)? {
                if since.elapsed() > STOPPING {
                    return Err(instance.silent());
                }
                std::thread::sleep(AGAIN);
            }
            Ok(())
        })
        .await
    }

    /// The calls below block; nothing else may wait for them.
    async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let instance = self.clone();
        match tokio::task::spawn_blocking(move || call(&instance)).await {
            Ok(outcome) => outcome,
            Err(error) => Err(Error::Answer(error.to_string())),
        }
    }

    fn status_now(&self) -> Result<Status, Error> {
        self.call("GET", "/_local/status", None::<&()>, ANSWERING)
    }

    fn silent(&self) -> Error {
        Error::NotAnswering {
            pid: self.pid,
            endpoint: self.endpoint.clone(),
            log: log_path(&self.home),
        }
    }

    /// One request of the admin API. The daemon is on this machine and speaks HTTP/1.1 with lengths, so a few lines are a whole client.
    fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&impl Serialize>,
        patience: Duration,
    ) -> Result<T, Error> {
        let body = match body {
            Some(body) => serde_json::to_vec(body).map_err(|e| Error::Answer(e.to_string()))?,
            None => Vec::new(),
        };
        let exchange = || -> io::Result<Vec<u8>> {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
            let mut stream = TcpStream::connect_timeout(&address, ANSWERING)?;
            stream.set_read_timeout(Some(patience))?;
            stream.set_write_timeout(Some(ANSWERING))?;
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                self.port,
                self.admin_token,
                body.len()
            );
            stream.write_all(head.as_bytes())?;
            stream.write_all(&body)?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().map_err(|_| self.silent())?;
        let (status, body) =
            split(&answer).ok_or_else(|| Error::Answer("it is not an HTTP answer".to_owned()))?;
        if (200..300).contains(&status) {
            return serde_json::from_slice(body).map_err(|error| {
                tracing::debug!("the answer to {method} {path} has another form: {error}");
                Error::OtherVersion { pid: self.pid }
            });
        }
        let message = serde_json::from_slice::<Value>(body)
            .ok()
            .and_then(|body| body["message"].as_str().map(str::to_owned))
            .unwrap_or_else(|| format!("HTTP status {status}"));
        Err(Error::Refused(message))
    }
}

/// Status and body of an answer.
fn split(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, &answer[end + 4..]))
}

fn log_path(home: &Path) -> PathBuf {
    home.join("daemon.log")
}

/// Opens the log to append to, and says where in it the next run begins.
fn open_log(home: &Path) -> Result<(File, u64), Error> {
    let path = log_path(home);
    let opened = || {
        if path.metadata().is_ok_and(|data| data.len() > LOG) {
            std::fs::rename(&path, home.join("daemon.log.old"))?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    };
    opened().map_err(|source| Error::Home {
        path: path.clone(),
        source,
    })
}

/// The last lines of a log behind `begin`.
fn last_lines(path: &Path, begin: u64) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let begin = usize::try_from(begin).unwrap_or(usize::MAX);
    let text = String::from_utf8_lossy(text.get(begin..).unwrap_or_default());
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_split() {
        let cases: [(&[u8], _); 3] = [
            (
                b"HTTP/1.1 200 OK\r\na: b\r\n\r\n{}",
                Some((200, &b"{}"[..])),
            ),
            (b"HTTP/1.1 404 Not Found\r\n\r\n", Some((404, &b""[..]))),
            (b"SSH-2.0\r\n", None),
        ];
        for (answer, expected) in cases {
            assert_eq!(split(answer), expected);
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_runs() {
        let home = tempfile::tempdir().unwrap();
        assert!(find(home.path()).unwrap().is_none());
        assert!(find(&home.path().join("none")).unwrap().is_none());
        let mut left = Instance::create(home.path()).unwrap();
        left.serve_at(1, 1).unwrap();
        assert!(find(home.path()).unwrap().is_none());
    }

    #[test]
    fn a_process_of_another_version_is_told_as_that() {
        let home = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut instance = Instance::create(home.path()).unwrap();
        let port = listener.local_addr().unwrap().port();
        instance.serve_at(7, port).unwrap();
        let _lock = Lock::take(home.path()).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"tomorrow\": 1}";
            stream.write_all(answer).unwrap();
        });
        let error = find(home.path()).unwrap_err();
        assert!(matches!(error, Error::OtherVersion { pid: 7 }), "{error}");
    }

    #[test]
    fn a_log_tells_only_of_the_last_run() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(log_path(home.path()), "of an earlier run\n").unwrap();
        let (mut log, begin) = open_log(home.path()).unwrap();
        log.write_all(b"one\ntwo\n").unwrap();
        assert_eq!(last_lines(&log_path(home.path()), begin), "one\ntwo");
    }
}
