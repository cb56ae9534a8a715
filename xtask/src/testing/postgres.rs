//! The database of the tests: the one that is there already (a service container of CI), or one from this machine's own binaries that is thrown away afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use go_test::{Kind, Problem};
use local_cloud::postgres::{self, PostgresError};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use service_config::TestPostgres;

use crate::project::Project;
use crate::ui::Ui;

/// Between choosing a free port and listening on it another program may take it.
const TRIES: u32 = 3;

/// A database for the tests.
pub struct Database {
    variable: String,
    url: String,
    server: Option<Running>,
}

/// A server of our own; stopped and removed when this is dropped.
struct Running {
    folder: PathBuf,
    port: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = remove(&self.folder);
    }
}

impl Database {
    /// The one that the environment names already.
    pub fn existing(wanted: &TestPostgres, own: Option<&BTreeMap<String, String>>) -> Option<Self> {
        let name = variable(wanted);
        super::variable(name, own).map(|url| Self {
            variable: name.to_owned(),
            url,
            server: None,
        })
    }

    /// A new one. Blocks for the seconds that an initialisation takes. The inner error is what a person must know.
    pub fn start(
        wanted: &TestPostgres,
        project: &Project,
    ) -> anyhow::Result<Result<Self, Problem>> {
        let home = project.home()?.join("tests");
        sweep(&home);
        let folder = home.join(std::process::id().to_string());
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let mut last = None;
        for _ in 0..TRIES {
            match start(wanted, &folder) {
                Ok(database) => return Ok(Ok(database)),
                Err(error) => {
                    let _ = remove(&folder);
                    let taken = error.to_string().contains("Address already in use");
                    last = Some(error);
                    if !taken {
                        break;
                    }
                }
            }
        }
        Ok(Err(last.map_or_else(
            || Problem::new(Kind::Postgres, "it did not start"),
            |error| problem(&error, variable(wanted)),
        )))
    }

    /// Environment variable that the tests read its URL from.
    pub fn variable(&self) -> &str {
        &self.variable
    }

    /// The URL, with a password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Port of a server of our own.
    pub fn port(&self) -> u16 {
        self.server.as_ref().map_or(0, |server| server.port)
    }

    /// What a person reads about it; never the password.
    pub fn said(&self) -> String {
        match &self.server {
            Some(server) => format!(
                "{} is set to a PostgreSQL on port {}",
                self.variable, server.port
            ),
            None => format!("{} is set already; its database is used", self.variable),
        }
    }

    /// Stops a server of our own and removes its data.
    pub fn stop(self, ui: &mut Ui) {
        if let Some(server) = self.server {
            let folder = server.folder.clone();
            // The drop would do the same, without a word.
            if let Err(error) = remove(&folder) {
                ui.line(&format!("the PostgreSQL of the tests: {error}"));
            }
        }
    }
}

fn variable(wanted: &TestPostgres) -> &str {
    wanted.variable.as_deref().unwrap_or("DATABASE_URL")
}

fn start(wanted: &TestPostgres, folder: &Path) -> Result<Database, PostgresError> {
    let server = postgres::start(folder)?;
    let running = Running {
        folder: folder.to_path_buf(),
        port: server.port(),
    };
    let url = server.database(wanted.database.as_deref().unwrap_or("test"))?;
    crate::ci::mask(&url);
    Ok(Database {
        variable: variable(wanted).to_owned(),
        url,
        server: Some(running),
    })
}

fn remove(folder: &Path) -> Result<(), PostgresError> {
    postgres::discard(folder)?;
    let _ = std::fs::remove_dir_all(folder);
    Ok(())
}

/// Servers of runs that were killed without warning: each folder is named by the process that made it.
fn sweep(home: &Path) {
    let Ok(entries) = std::fs::read_dir(home) else {
        return;
    };
    for entry in entries.flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(pid) = pid
            && kill(Pid::from_raw(pid), None).is_err()
        {
            let _ = remove(&entry.path());
        }
    }
}

fn problem(error: &PostgresError, variable: &str) -> Problem {
    let elsewhere = format!(
        "or set {variable} to the URL of a PostgreSQL that runs already, or take [test.postgres] out of pipeline.toml"
    );
    let help = match error {
        PostgresError::Absent => format!("`apt-get install postgresql` installs it; {elsewhere}"),
        PostgresError::NoAccount => format!("run the tests as another user than root; {elsewhere}"),
        PostgresError::Name(_) => {
            "choose another `database` under [test.postgres] in pipeline.toml".to_owned()
        }
        _ => format!("look at what it says; {elsewhere}"),
    };
    Problem::new(Kind::Postgres, error.to_string()).help(help)
}
