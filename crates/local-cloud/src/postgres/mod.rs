//! A PostgreSQL server from the machine's own binaries, for services that need a database.
//!
//! It listens on one loopback port and nowhere else, asks for a password that only its record file holds, and keeps port, password and data over restarts. A server
//! that a killed daemon left running is found by its data folder and taken over.
//!
//! All functions here block: an initialisation takes a few seconds.

mod account;
mod binaries;

use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::account::Account;
use self::binaries::Binaries;
use crate::{files, random};

/// The only role of the server.
const ROLE: &str = "longshore";

/// Why there is no server.
#[derive(Debug, Error)]
pub enum PostgresError {
    /// No binaries.
    #[error(
        "this machine has no PostgreSQL server (looked for initdb, pg_ctl and postgres on PATH and in the usual places)"
    )]
    Absent,
    /// Running as root, and there is nobody to run the server as.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither a user 'postgres' nor 'nobody' to run it as"
    )]
    NoAccount,
    /// A file or folder of it.
    #[error("PostgreSQL's folder {path} cannot be used: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record cannot be read.
    #[error(
        "{path} does not describe a PostgreSQL server ({why}): remove it to begin with an empty database"
    )]
    Record {
        /// The record file.
        path: PathBuf,
        /// What is wrong.
        why: serde_json::Error,
    },
    /// One of its programs.
    #[error("{program} failed: {said}")]
    Program {
        /// `initdb`, `pg_ctl` or `createdb`.
        program: &'static str,
        /// The end of what it said, or why it could not be run.
        said: String,
    },
    /// A name that would have to be quoted in the URL.
    #[error("'{0}' cannot name a database: use letters, digits, '_' and '-'")]
    Name(String),
}

/// A running server.
pub struct Server {
    binaries: Binaries,
    account: Option<Account>,
    record: Record,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("place", &self.record.place)
            .field("port", &self.record.port)
            .finish_non_exhaustive()
    }
}

/// What must stay the same over restarts.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// Folder with `data/` and the server's log.
    place: PathBuf,
    port: u16,
    password: String,
}

/// Starts the server that is described in `folder`, or a new one. The same folder always gives the same data, and the same port unless another program took it.
pub fn start(folder: &Path) -> Result<Server, PostgresError> {
    let binaries = Binaries::find().ok_or(PostgresError::Absent)?;
    let account = Account::choose().map_err(|()| PostgresError::NoAccount)?;
    files::passable_folder(folder).map_err(at(folder))?;
    let path = folder.join("server.json");
    let known =
        match fs::read(&path) {
            Ok(bytes) => Some(serde_json::from_slice::<Record>(&bytes).map_err(|why| {
                PostgresError::Record {
                    path: path.clone(),
                    why,
                }
            })?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(at(&path)(error)),
        };
    // A temporary folder may have been cleaned away; then there is nothing left to keep.
    let known = known.filter(|record| record.place.is_dir());
    let mut server = Server {
        record: match known {
            Some(record) => record,
            None => Record {
                place: make_place(folder, account.as_ref())?,
                port: free_port(0).map_err(at(folder))?,
                password: random::text(random::LETTERS, 32).map_err(at(folder))?,
            },
        },
        binaries,
        account,
    };
    // Written before anything runs: whatever happens next, the next start finds this server.
    server.write_record(&path)?;

    if !server.data().join("PG_VERSION").exists() {
        server.initialise()?;
    }
    if server.runs()? {
        if server.listening_port() == Some(server.record.port) {
            return Ok(server);
        }
        server.stop()?;
    }
    let port = free_port(server.record.port)
        .or_else(|_| free_port(0))
        .map_err(at(folder))?;
    if port != server.record.port {
        server.record.port = port;
        server.write_record(&path)?;
    }
    server.launch()?;
    Ok(server)
}

/// Stops the server that is described in `folder`, if there is one and it runs, and removes its data: for one that is thrown away, also when its start failed.
pub fn discard(folder: &Path) -> Result<(), PostgresError> {
    let path = folder.join("server.json");
    let record = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice::<Record>(&bytes)
            .map_err(|why| PostgresError::Record { path, why })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(&path)(error)),
    };
    if !record.place.is_dir() {
        return Ok(());
    }
    let server = Server {
        binaries: Binaries::find().ok_or(PostgresError::Absent)?,
        account: Account::choose().map_err(|()| PostgresError::NoAccount)?,
        record,
    };
    if server.data().join("postmaster.pid").exists() && server.runs()? {
        server.stop()?;
    }
    fs::remove_dir_all(&server.record.place).map_err(at(&server.record.place))
}

impl Server {
    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.record.port
    }

    /// Makes a database unless it is there; its URL, which holds the password.
    pub fn database(&self, name: &str) -> Result<String, PostgresError> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || name.starts_with('-') || !name.bytes().all(good) {
            return Err(PostgresError::Name(name.to_owned()));
        }
        let port = self.record.port.to_string();
        let output = self
            .command("createdb")
            .args(["-h", "127.0.0.1", "-p", &port, "-U", ROLE, "--", name])
            .env("PGPASSWORD", &self.record.password)
            .output();
        match finished("createdb", output) {
            Err(PostgresError::Program { said, .. }) if said.contains("already exists") => {}
            outcome => drop(outcome?),
        }
        Ok(format!(
            "postgres://{ROLE}:{}@127.0.0.1:{port}/{name}?sslmode=disable",
            self.record.password
        ))
    }

    /// Stops it; connections that are open are closed.
    pub fn stop(&self) -> Result<(), PostgresError> {
        let output = self
            .control("stop")
            .args(["-m", "fast", "-w", "-t", "30"])
            .output();
        finished("pg_ctl", output).map(drop)
    }

    fn data(&self) -> PathBuf {
        self.record.place.join("data")
    }

    fn write_record(&self, path: &Path) -> Result<(), PostgresError> {
        let text = serde_json::to_vec_pretty(&self.record).map_err(io::Error::from);
        text.and_then(|text| files::write(path, &text))
            .map_err(at(path))
    }

    /// Makes the data folder beside its place and renames it: an interrupted initialisation begins anew.
    fn initialise(&self) -> Result<(), PostgresError> {
        let beside = self.record.place.join("data.new");
        if beside.exists() {
            fs::remove_dir_all(&beside).map_err(at(&beside))?;
        }
        let password = self.record.place.join("password");
        let written = || {
            use io::Write as _;
            let _ = fs::remove_file(&password);
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&password)?;
            file.write_all(self.record.password.as_bytes())?;
            self.hand_over(&password)
        };
        written().map_err(at(&password))?;
        let output = self
            .command("initdb")
            .args(["-U", ROLE, "-A", "scram-sha-256", "-E", "UTF8"])
            .args(["--locale=C", "--no-sync", "--no-instructions", "-D"])
            .arg(&beside)
            .arg("--pwfile")
            .arg(&password)
            .output();
        let _ = fs::remove_file(&password);
        finished("initdb", output)?;
        fs::rename(&beside, self.data()).map_err(at(&beside))
    }

    fn runs(&self) -> Result<bool, PostgresError> {
        let output = self.control("status").output();
        let output = output.map_err(|error| PostgresError::Program {
            program: "pg_ctl",
            said: error.to_string(),
        })?;
        Ok(output.status.success())
    }

    /// The fourth line of `postmaster.pid`.
    fn listening_port(&self) -> Option<u16> {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        text.lines().nth(3)?.trim().parse().ok()
    }

    fn launch(&self) -> Result<(), PostgresError> {
        let log = self.record.place.join("log");
        // One run's words are enough.
        let _ = fs::remove_file(&log);
        // Commits may be lost with the machine, but never the database: it is for development.
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories='' -c synchronous_commit=off",
            self.record.port
        );
        let output = self
            .control("start")
            .args(["-w", "-t", "60", "-l"])
            .arg(&log)
            .args(["-o", &options])
            .output();
        finished("pg_ctl", output).map(drop).map_err(|error| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            match error {
                PostgresError::Program { program, .. } if !log.is_empty() => {
                    PostgresError::Program {
                        program,
                        said: end_of(&log),
                    }
                }
                error => error,
            }
        })
    }

    fn control(&self, what: &str) -> Command {
        let mut command = self.command("pg_ctl");
        command.arg(what).arg("-D").arg(self.data());
        command
    }

    /// One of its programs, as its account, with nothing in the environment that means another server.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.program(program));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .current_dir(&self.record.place);
        if let Some(account) = &self.account {
            account.apply(&mut command);
        }
        command
    }

    fn hand_over(&self, path: &Path) -> io::Result<()> {
        match &self.account {
            Some(account) => chown(path, Some(account.uid), Some(account.gid)),
            None => Ok(()),
        }
    }
}

/// A folder that the server's account can use: below `folder`, or among the temporary files when that account cannot get there.
fn make_place(folder: &Path, account: Option<&Account>) -> Result<PathBuf, PostgresError> {
    let place = match account {
        Some(account) if !account.reaches(folder) => {
            let name = random::text(random::LETTERS, 16).map_err(at(folder))?;
            std::env::temp_dir().join(format!("longshore-postgres-{name}"))
        }
        _ => folder.join("server"),
    };
    match fs::DirBuilder::new().mode(0o700).create(&place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(at(&place)(error));
        }
        _ => {}
    }
    if let Some(account) = account {
        chown(&place, Some(account.uid), Some(account.gid)).map_err(at(&place))?;
    }
    Ok(place)
}

/// This port if it is free, any free one for 0.
fn free_port(port: u16) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    Ok(listener.local_addr()?.port())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PostgresError {
    let path = path.to_owned();
    move |source| PostgresError::Folder { path, source }
}

fn finished(program: &'static str, output: io::Result<Output>) -> Result<Output, PostgresError> {
    let said = match output {
        Ok(output) if output.status.success() => return Ok(output),
        Ok(output) => {
            let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
            said.push_str(&String::from_utf8_lossy(&output.stderr));
            end_of(&said)
        }
        Err(error) => error.to_string(),
    };
    Err(PostgresError::Program { program, said })
}

/// The last lines of what a program said.
fn end_of(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(5)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Removes the server whatever becomes of the test.
    struct Discarded<'a>(&'a Path);

    impl Drop for Discarded<'_> {
        fn drop(&mut self) {
            let _ = discard(self.0);
        }
    }

    #[test]
    fn a_server_keeps_its_port_and_is_taken_over() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("postgres/main");
        let first = match start(&folder) {
            Err(PostgresError::Absent | PostgresError::NoAccount) => return,
            other => other.unwrap(),
        };
        let _guard = Discarded(&folder);
        let url = first.database("api").unwrap();
        assert_eq!(first.database("api").unwrap(), url);
        assert!(matches!(first.database("a b"), Err(PostgresError::Name(_))));
        assert!(!format!("{first:?}").contains(&first.record.password));

        // As after the death of the process that started it.
        let second = start(&folder).unwrap();
        assert_eq!(second.database("api").unwrap(), url);
        second.stop().unwrap();
        assert!(!first.runs().unwrap());
        let third = start(&folder).unwrap();
        assert_eq!(third.port(), first.port());
        assert!(third.runs().unwrap());
    }

    #[test]
    fn a_discarded_server_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("postgres");
        discard(&folder).unwrap();
        let server = match start(&folder) {
            Err(PostgresError::Absent | PostgresError::NoAccount) => return,
            other => other.unwrap(),
        };
        discard(&folder).unwrap();
        assert!(!server.record.place.exists());
        assert!(
            std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).is_err(),
            "it still listens"
        );
        discard(&folder).unwrap();
    }

    #[test]
    fn a_broken_record_is_named() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("server.json"), "{").unwrap();
        match start(home.path()) {
            Err(PostgresError::Absent | PostgresError::NoAccount) => {}
            other => assert!(
                matches!(other, Err(PostgresError::Record { .. })),
                "{other:?}"
            ),
        }
    }
}
