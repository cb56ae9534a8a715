//! The state on disk: one file for each service, written when it changed, and a journal for the logs.
//!
//! An answer to a request that changes something is given when the change is on disk, so a killed daemon loses nothing that it told anybody. What tasks write is on disk
//! at most 200 ms later.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Error;
use super::cloud::Cloud;
use crate::ecs::{self, Ecs};
use crate::files;
use crate::logs::{Logs, Record};

/// Changes within this time are written together.
const TOGETHER: Duration = Duration::from_millis(100);
/// When saving failed, it is tried again after this time.
const LATER: Duration = Duration::from_secs(5);
/// A journal longer than this is written anew from what the logs still hold.
const JOURNAL: u64 = 64 << 20;

/// The folder, and what of the state it holds already.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    /// The generation of each file that is on disk.
    saved: BTreeMap<&'static str, u64>,
    /// Records are missing from the journal: it must be written anew.
    journal_broken: bool,
}

/// What is to be written, taken under the locks.
#[derive(Default)]
struct Batch {
    whole: Vec<(&'static str, Vec<u8>)>,
    journal: Vec<Record>,
}

impl Files {
    /// Opens the folder, makes it if needed.
    pub(super) fn open(folder: PathBuf) -> Result<Self, Error> {
        files::private_folder(&folder).map_err(|source| Error::Home {
            path: folder.clone(),
            source,
        })?;
        Ok(Self {
            folder,
            saved: BTreeMap::new(),
            journal_broken: false,
        })
    }

    /// One saved value; `None` when it was never saved.
    pub(super) fn load<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.folder.join(name);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| Error::State {
                    path,
                    why: error.to_string(),
                }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Home { path, source }),
        }
    }

    /// The saved ECS, which goes on at this pace.
    pub(super) fn load_ecs(&self, pace: &ecs::Pace) -> Result<Option<Ecs>, Error> {
        let name = "ecs.json";
        let Some(mut saved) = self.load::<Value>(name)? else {
            return Ok(None);
        };
        let read = || {
            // The pace is chosen at each start, and so it is not the saved one's business.
            saved["settings"]["pace"] = serde_json::to_value(pace)?;
            serde_json::from_value(saved)
        };
        read()
            .map(Some)
            .map_err(|error: serde_json::Error| Error::State {
                path: self.folder.join(name),
                why: error.to_string(),
            })
    }

    /// Saves one value now.
    pub(super) fn store(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let path = self.folder.join(name);
        let text = serde_json::to_vec(value).map_err(io::Error::from);
        text.and_then(|text| files::write(&path, &text))
            .map_err(|source| Error::Home { path, source })
    }

    /// The logs that the journal tells of. A line that a crash cut off is passed over.
    pub(super) fn load_logs(&self) -> Result<Logs, Error> {
        let path = self.journal();
        let mut logs = Logs::default();
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(logs),
            Err(source) => return Err(Error::Home { path, source }),
        };
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(|source| Error::Home {
                path: path.clone(),
                source,
            })?;
            if let Ok(record) = serde_json::from_slice(&line) {
                logs.replay(record);
            }
        }
        // A cut-off last line must not run into the next one.
        write_journal(&path, &logs.records()).map_err(|source| Error::Home { path, source })?;
        Ok(logs)
    }

    fn journal(&self) -> PathBuf {
        self.folder.join("logs.jsonl")
    }

    /// Takes what changed since the last batch.
    fn batch(&mut self, cloud: &Cloud) -> Batch {
        let mut batch = Batch::default();
        let models = cloud.models();
        let saved = &mut self.saved;
        take(
            &mut batch,
            saved,
            "ecs.json",
            models.ecs.generation(),
            &models.ecs,
        );
        take(
            &mut batch,
            saved,
            "ecr.json",
            models.ecr.generation(),
            &models.ecr,
        );
        take(
            &mut batch,
            saved,
            "ssm.json",
            models.ssm.generation(),
            &models.ssm,
        );
        let secrets = &models.secrets;
        take(
            &mut batch,
            saved,
            "secrets.json",
            secrets.generation(),
            secrets,
        );
        let alarms = &models.alarms;
        let generation = alarms.generation();
        take(&mut batch, saved, "alarms.json", generation, alarms);
        take(
            &mut batch,
            saved,
            "iam.json",
            models.iam.generation(),
            &models.iam,
        );
        drop(models);
        batch.journal = cloud.logs().take_pending();
        batch
    }

    /// Writes everything that changed. Blocks.
    pub(super) fn save(&mut self, cloud: &Cloud) -> Result<(), Error> {
        let batch = self.batch(cloud);
        let mut failed = None;
        for (name, text) in batch.whole {
            let path = self.folder.join(name);
            if let Err(source) = files::write(&path, &text) {
                // Written again with the next change.
                self.saved.insert(name, u64::MAX);
                failed = Some(Error::Home { path, source });
            }
        }
        let path = self.journal();
        if let Err(source) = self.write_logs(cloud, &path, &batch.journal) {
            self.journal_broken = true;
            failed = Some(Error::Home { path, source });
        }
        failed.map_or(Ok(()), Err)
    }

    /// Appends to the journal, or writes it anew when it is too long or not whole.
    fn write_logs(&mut self, cloud: &Cloud, path: &Path, records: &[Record]) -> io::Result<()> {
        if !self.journal_broken && append(path, records)? <= JOURNAL {
            return Ok(());
        }
        let records = {
            let mut logs = cloud.logs();
            // What is pending is part of the state that is written now.
            logs.take_pending();
            logs.records()
        };
        write_journal(path, &records)?;
        self.journal_broken = false;
        Ok(())
    }
}

/// Takes one file's content when it is not the one on disk. Nothing was saved of what never changed.
fn take(
    batch: &mut Batch,
    saved: &mut BTreeMap<&'static str, u64>,
    name: &'static str,
    generation: u64,
    model: &impl Serialize,
) {
    if saved.get(name).copied().unwrap_or_default() == generation {
        return;
    }
    match serde_json::to_vec(model) {
        Ok(text) => {
            saved.insert(name, generation);
            batch.whole.push((name, text));
        }
        Err(error) => tracing::error!(%error, name, "the state cannot be written as JSON"),
    }
}

/// Saves whenever there is something to save, until the daemon ends.
pub(super) async fn keep_saving(cloud: Arc<Cloud>, files: Arc<tokio::sync::Mutex<Files>>) {
    loop {
        cloud.dirty.notified().await;
        tokio::select! {
            () = tokio::time::sleep(TOGETHER) => {}
            () = cloud.urgent.notified() => {}
        }
        let changes = cloud.changes();
        while let Err(problem) = save_now(&cloud, &files).await {
            tracing::error!(problem, "the state could not be saved");
            cloud.set_problem(Some(problem));
            tokio::time::sleep(LATER).await;
        }
        cloud.set_problem(None);
        cloud.saved.send_replace(changes);
    }
}

/// Saves once; says what is wrong when that fails.
pub(super) async fn save_now(
    cloud: &Arc<Cloud>,
    files: &Arc<tokio::sync::Mutex<Files>>,
) -> Result<(), String> {
    let mut files = Arc::clone(files).lock_owned().await;
    let cloud = Arc::clone(cloud);
    match tokio::task::spawn_blocking(move || files.save(&cloud)).await {
        Ok(saved) => saved.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Appends records; the length of the file afterwards.
fn append(path: &Path, records: &[Record]) -> io::Result<u64> {
    if records.is_empty() {
        return Ok(0);
    }
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&lines(records)?)?;
    Ok(file.metadata()?.len())
}

fn write_journal(path: &Path, records: &[Record]) -> io::Result<()> {
    files::write(path, &lines(records)?)
}

fn lines(records: &[Record]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    for record in records {
        serde_json::to_writer(&mut out, record)?;
        out.push(b'\n');
    }
    Ok(out)
}
