//! The models behind their locks, and the host that tasks see.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};

use crate::alarms::Alarms;
use crate::calls::CallFile;
use crate::ecr::Ecr;
use crate::ecr::blobs::Blobs;
use crate::ecs::Ecs;
use crate::faults::{Faults, History};
use crate::iam::Iam;
use crate::instance::Instance;
use crate::issuer::Issuer;
use crate::logs::Logs;
use crate::place::Place;
use crate::runner::Host;
use crate::secrets::Secrets;
use crate::ssm::Ssm;
use crate::task::{LogTarget, Millis, Report};
use crate::value_from;

/// So long does an answer wait for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// The state of all services but the logs.
pub(crate) struct Models {
    pub(crate) ecs: Ecs,
    pub(crate) ecr: Ecr,
    pub(crate) ssm: Ssm,
    pub(crate) secrets: Secrets,
    pub(crate) iam: Iam,
    pub(crate) alarms: Alarms,
}

/// What requests, tasks and the loop share.
pub(crate) struct Cloud {
    pub(crate) instance: Instance,
    pub(crate) place: Place,
    pub(crate) blobs: Blobs,
    pub(crate) calls: CallFile,
    pub(crate) issuer: Issuer,
    models: Mutex<Models>,
    logs: Mutex<Logs>,
    faults: Mutex<Faults>,
    history: Mutex<History>,
    /// Port of each target group's listener, by ARN.
    pub(crate) ports: Mutex<BTreeMap<String, u16>>,
    /// Wakes the loop.
    pub(super) wake: Notify,
    /// Wakes whoever saves.
    pub(super) dirty: Notify,
    /// Addresses that tasks may reach.
    pub(super) forwards: Mutex<Vec<SocketAddr>>,
    /// Counts changes, and says up to which one all are on disk.
    changes: AtomicU64,
    pub(super) saved: watch::Sender<u64>,
    /// Somebody waits until the state is on disk.
    pub(super) urgent: Notify,
    /// Why the state is not on disk.
    problem: Mutex<Option<String>>,
    /// Set when tasks are about to be stopped: what becomes of them is not the model's business any more.
    pub(super) closing: AtomicBool,
}

/// The one place where the time is read.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Cloud {
    pub(super) fn new(
        instance: Instance,
        blobs: Blobs,
        issuer: Issuer,
        models: Models,
        logs: Logs,
    ) -> Self {
        Self {
            place: instance.place(),
            calls: CallFile::new(&instance.home),
            instance,
            blobs,
            issuer,
            models: Mutex::new(models),
            logs: Mutex::new(logs),
            faults: Mutex::default(),
            history: Mutex::default(),
            ports: Mutex::default(),
            wake: Notify::new(),
            dirty: Notify::new(),
            forwards: Mutex::default(),
            changes: AtomicU64::new(0),
            saved: watch::Sender::new(0),
            urgent: Notify::new(),
            problem: Mutex::default(),
            closing: AtomicBool::new(false),
        }
    }

    /// The models. Held only for as long as a request takes: nothing waits while it has this guard.
    pub(crate) fn models(&self) -> MutexGuard<'_, Models> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The logs.
    pub(crate) fn logs(&self) -> MutexGuard<'_, Logs> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to go wrong.
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time that signatures are checked against: `now`, unless it is made wrong.
    pub(crate) fn skewed(&self, now: Millis) -> Millis {
        now.saturating_add_signed(self.faults().skew())
    }

    /// While reads lag: keeps the state of ECS as it is now.
    pub(crate) fn remember(&self) {
        let lag = self.faults().lag();
        let mut history = self.history();
        match lag {
            Some(lag) => history.remember(&self.models().ecs, now(), lag),
            None => history.forget(),
        }
    }

    /// While reads lag: the time that they see, and the state of ECS at that time.
    pub(crate) fn past(&self, now: Millis) -> Option<(Millis, Ecs)> {
        let then = now.saturating_sub(self.faults().lag()?);
        let state = self.history().at(then)?;
        match serde_json::from_slice(&state) {
            Ok(ecs) => Some((then, ecs)),
            Err(error) => {
                tracing::error!(%error, "a kept state cannot be read");
                None
            }
        }
    }

    /// To be called after every change of a model: what it asks for is done, and it is saved.
    pub(crate) fn changed(&self) {
        self.remember();
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.wake.notify_one();
        self.dirty.notify_one();
    }

    /// How many changes there were.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Waits until all changes until now are on disk, so that an answer that says "done" outlives a crash of this process. Where they cannot be saved the status tells, and
    /// the answer does not wait for long.
    pub(crate) async fn durable(&self) {
        let mark = self.changes();
        let mut saved = self.saved.subscribe();
        self.urgent.notify_one();
        let on_disk = saved.wait_for(|saved| *saved >= mark);
        if tokio::time::timeout(PATIENCE, on_disk).await.is_err() {
            tracing::warn!("an answer was given before the state was saved");
        }
    }

    /// Why the state is not on disk, when it is not.
    pub(super) fn problem(&self) -> Option<String> {
        let problem = self.problem.lock();
        problem.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_problem(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// Splits `127.0.0.1:port/name:tag` or `…/name@digest` into name and reference.
    ///
    /// Any loopback address counts as this registry: a task definition that was registered before the instance moved to another port stays good.
    fn image<'a>(&self, image: &'a str) -> Result<(&'a str, &'a str), String> {
        let elsewhere = || {
            format!(
                "pull image manifest has been retried 1 time(s): failed to resolve ref {image}: the local cloud pulls from its own registry {} only",
                self.place.registry()
            )
        };
        let (host, rest) = image.split_once('/').ok_or_else(elsewhere)?;
        let host = host.split(':').next().unwrap_or_default();
        if host != "127.0.0.1" && host != "localhost" {
            return Err(elsewhere());
        }
        Ok(match (rest.split_once('@'), rest.rsplit_once(':')) {
            // A tag before a digest says nothing.
            (Some((name, digest)), _) => (name.split(':').next().unwrap_or(name), digest),
            (None, Some((name, tag))) => (name, tag),
            (None, None) => (rest, "latest"),
        })
    }
}

impl Host for Cloud {
    fn secret(&self, value_from: &str) -> Result<String, String> {
        let models = self.models();
        value_from::resolve(value_from, &models.ssm, &models.secrets)
    }

    fn manifest(&self, image: &str) -> Result<(String, Vec<u8>), String> {
        let (name, reference) = self.image(image)?;
        if self.faults().pull_fails(image) {
            return Err(format!(
                "pull image manifest has been retried 5 time(s): failed to resolve ref {image}: dial tcp: i/o timeout"
            ));
        }
        let mut models = self.models();
        let found = models
            .ecr
            .manifest(name, reference, &self.place)
            .map(|found| (found.digest.to_owned(), found.bytes.to_vec()))
            .map_err(|refusal| {
                format!("pull image manifest has been retried 1 time(s): failed to resolve ref {image}: {}: not found", refusal.message)
            })?;
        models.ecr.pulled(name, &found.0, now());
        drop(models);
        self.dirty.notify_one();
        Ok(found)
    }

    fn blob(&self, image: &str, digest: &str) -> Result<PathBuf, String> {
        let (name, _) = self.image(image)?;
        self.models()
            .ecr
            .blob(name, digest, &self.place)
            .map_err(|refusal| refusal.message)?;
        self.blobs
            .path(digest)
            .ok_or_else(|| format!("'{digest}' is not a digest"))
    }

    fn create_log_group(&self, group: &str) {
        self.logs().create_group(group, now());
        self.dirty.notify_one();
    }

    fn log_group_exists(&self, group: &str) -> bool {
        self.logs().has_group(group)
    }

    fn log(&self, target: &LogTarget, at: Millis, line: &str) {
        // CloudWatch Logs takes no empty messages; an empty line of a program is kept as a space.
        let line = if line.is_empty() { " " } else { line };
        self.logs()
            .add(&target.group, &target.stream, at, line, now());
        self.dirty.notify_one();
    }

    fn report(&self, report: Report) {
        if self.closing.load(Ordering::Acquire) {
            return;
        }
        tracing::debug!(?report, "report");
        self.models().ecs.report(report, now());
        self.changed();
    }

    fn forwards(&self) -> Vec<SocketAddr> {
        self.forwards
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
