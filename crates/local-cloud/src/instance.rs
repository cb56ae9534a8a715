//! Who an instance is: its address and credentials, in `instance.json` of its home folder.
//!
//! The file stays when the instance stops, so that credentials a person exported are good again after the next start.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::daemon::Error;
use crate::files;
use crate::place::Place;
use crate::random::{self, CAPITALS, LETTERS};

/// The port of an instance that was not given another one.
pub const DEFAULT_PORT: u16 = 7411;
const REGION: &str = "us-east-1";
const ACCOUNT: &str = "000000000000";

/// An instance: what a client needs to speak with it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Process that serves, or served last.
    pub pid: u32,
    /// Port on 127.0.0.1.
    pub port: u16,
    /// What `AWS_ENDPOINT_URL` is set to.
    pub endpoint: String,
    /// Region name.
    pub region: String,
    /// Account id: twelve digits.
    pub account: String,
    /// Public part of the only access key.
    pub access_key_id: String,
    /// Secret part of the only access key.
    pub secret_access_key: String,
    /// What the admin API asks for.
    pub(crate) admin_token: String,
    /// The home folder; known from where the file was read.
    #[serde(skip)]
    pub(crate) home: PathBuf,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("pid", &self.pid)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("account", &self.account)
            .field("access_key_id", &self.access_key_id)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

impl Instance {
    /// A new instance with credentials that no other one has.
    pub(crate) fn create(home: &Path) -> io::Result<Self> {
        Ok(Self {
            pid: 0,
            port: 0,
            endpoint: String::new(),
            region: REGION.to_owned(),
            account: ACCOUNT.to_owned(),
            access_key_id: format!("LONGSHORE{}", random::text(CAPITALS, 11)?),
            secret_access_key: random::text(LETTERS, 40)?,
            admin_token: random::text(LETTERS, 40)?,
            home: home.to_owned(),
        })
    }

    /// The instance of a home folder, if there ever was one.
    pub(crate) fn read(home: &Path) -> Result<Option<Self>, Error> {
        let path = home.join("instance.json");
        match std::fs::read(&path) {
            Ok(bytes) => {
                let mut instance: Self =
                    serde_json::from_slice(&bytes).map_err(|error| Error::State {
                        path,
                        why: error.to_string(),
                    })?;
                home.clone_into(&mut instance.home);
                Ok(Some(instance))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Home { path, source }),
        }
    }

    /// Sets what this run of the instance has, and writes the file.
    pub(crate) fn serve_at(&mut self, pid: u32, port: u16) -> Result<(), Error> {
        self.pid = pid;
        self.port = port;
        self.endpoint = self.place().endpoint();
        let path = self.home.join("instance.json");
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::from);
        text.and_then(|text| files::write(&path, &text))
            .map_err(|source| Error::Home { path, source })
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            region: self.region.clone(),
            account: self.account.clone(),
            port: self.port,
        }
    }

    /// The environment in which AWS's tools and SDKs speak with this instance.
    pub fn exports(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", &self.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &self.secret_access_key),
            ("AWS_REGION", &self.region),
            ("AWS_DEFAULT_REGION", &self.region),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }
}

/// The lock that an instance holds on its home as long as its process lives. The kernel lets go of it, so none is ever stale.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Kept open: closing it is unlocking it.
    _file: File,
}

impl Lock {
    /// How long to try. A client that only looks holds the lock for a moment.
    const PATIENCE: Duration = Duration::from_millis(500);

    pub(crate) fn take(home: &Path) -> Result<Self, Error> {
        let path = home.join("lock");
        let unusable = |source| Error::Home {
            path: path.clone(),
            source,
        };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            // Whoever can open a file can lock it.
            .mode(0o600)
            .open(&path)
            .map_err(unusable)?;
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(source)) => return Err(unusable(source)),
                Err(TryLockError::WouldBlock) if since.elapsed() < Self::PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::AlreadyRunning {
                        pid: Instance::read(home)?.map_or(0, |instance| instance.pid),
                        home: home.to_owned(),
                    });
                }
            }
        }
    }

    /// Whether a process holds the lock.
    pub(crate) fn is_taken(home: &Path) -> Result<bool, Error> {
        let path = home.join("lock");
        let unusable = |source| Error::Home {
            path: path.clone(),
            source,
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(unusable(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_and_stay_hidden() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Instance::read(home.path()).unwrap(), None);
        let mut made = Instance::create(home.path()).unwrap();
        made.serve_at(42, 7411).unwrap();
        assert_eq!(made.access_key_id.len(), 20);
        let read = Instance::read(home.path()).unwrap().unwrap();
        assert_eq!(read, made);
        assert_eq!(read.exports()[0].1, "http://127.0.0.1:7411");
        let shown = format!("{read:?}");
        assert!(!shown.contains(&read.secret_access_key) && !shown.contains(&read.admin_token));
    }

    #[test]
    fn a_home_has_one_instance() {
        let home = tempfile::tempdir().unwrap();
        assert!(!Lock::is_taken(home.path()).unwrap());
        Instance::create(home.path())
            .unwrap()
            .serve_at(42, 1)
            .unwrap();
        let lock = Lock::take(home.path()).unwrap();
        assert!(Lock::is_taken(home.path()).unwrap());
        let second = Lock::take(home.path()).unwrap_err();
        assert!(
            matches!(second, Error::AlreadyRunning { pid: 42, .. }),
            "{second}"
        );
        drop(lock);
        assert!(!Lock::is_taken(home.path()).unwrap());
        Lock::take(home.path()).unwrap();
    }
}
