//! The log's file, `calls.jsonl` in the home folder: one JSON document a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::Call;

/// The file that is written.
const NAME: &str = "calls.jsonl";
/// The one before it.
const OLD: &str = "calls.jsonl.old";
/// A file that is longer is put aside, so the log never takes more than twice as much.
const LIMIT: u64 = 16 << 20;

/// The open file.
#[derive(Debug)]
pub(crate) struct CallFile {
    home: PathBuf,
    open: Mutex<Option<(File, u64)>>,
}

impl CallFile {
    pub(crate) fn new(home: &Path) -> Self {
        Self {
            home: home.to_owned(),
            open: Mutex::default(),
        }
    }

    /// Appends to the file. A log that cannot be written is no reason to refuse a request: it is said once for each call in the daemon's own log.
    pub(crate) fn append(&self, calls: &[Call]) {
        if let Err(error) = self.try_append(calls) {
            tracing::error!(%error, "the call log could not be written");
        }
    }

    fn try_append(&self, calls: &[Call]) -> io::Result<()> {
        let mut lines = Vec::new();
        for call in calls {
            serde_json::to_writer(&mut lines, call)?;
            lines.push(b'\n');
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut file, size) = match open.take() {
            Some((file, size)) if size <= LIMIT => (file, size),
            Some(_) => {
                std::fs::rename(self.home.join(NAME), self.home.join(OLD))?;
                begin(&self.home)?
            }
            None => begin(&self.home)?,
        };
        // One write, so that a reader sees whole lines.
        file.write_all(&lines)?;
        *open = Some((file, size + lines.len() as u64));
        Ok(())
    }
}

/// Opens the file. A line that a crash cut off must not run into the next one.
fn begin(home: &Path) -> io::Result<(File, u64)> {
    let path = home.join(NAME);
    let whole = std::fs::read(&path).map_or(true, |text| text.last().is_none_or(|b| *b == b'\n'));
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    if !whole {
        file.write_all(b"\n")?;
    }
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// The calls that the log of a home folder still holds, the oldest first. Lines that were cut off by a crash are passed over.
///
/// # Errors
/// When a file is there and cannot be read.
pub fn read(home: &Path) -> io::Result<Vec<Call>> {
    let mut calls = Vec::new();
    for name in [OLD, NAME] {
        match std::fs::read(home.join(name)) {
            Ok(text) => calls.extend(
                text.split(|byte| *byte == b'\n')
                    .filter_map(|line| serde_json::from_slice::<Call>(line).ok()),
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn call(action: &str) -> Call {
        Call {
            time: "2026-01-01T00:00:00.000Z".to_owned(),
            request_id: "id".to_owned(),
            action: action.to_owned(),
            resources: vec!["*".to_owned()],
            caller: "anonymous".to_owned(),
            outcome: "ok".to_owned(),
            status: 200,
            implied_by: None,
            fault: None,
        }
    }

    #[test]
    fn what_is_appended_is_read_over_restarts_and_crashes() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(read(home.path()).unwrap(), []);
        CallFile::new(home.path()).append(&[call("ecs:A"), call("ecs:B")]);
        let path = home.path().join(NAME);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"time\":\"cut").unwrap();
        CallFile::new(home.path()).append(&[call("ecs:C")]);
        let actions = |calls: Vec<Call>| calls.into_iter().map(|c| c.action).collect::<Vec<_>>();
        let expected = ["ecs:A", "ecs:B", "ecs:C"];
        assert_eq!(actions(read(home.path()).unwrap()), expected);
        std::fs::rename(&path, home.path().join(OLD)).unwrap();
        CallFile::new(home.path()).append(&[call("ecs:D")]);
        assert_eq!(read(home.path()).unwrap().len(), 4);
    }
}
