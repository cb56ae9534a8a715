//! SIGINT and SIGTERM: noted, and acted on where it is safe. During a rollout that means rolling back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::ui;

/// Whether somebody wants this run to stop.
#[derive(Clone)]
pub struct Interrupt {
    wanted: Arc<AtomicBool>,
    insisted: Arc<AtomicBool>,
    notify: Arc<Notify>,
}

impl Interrupt {
    /// Starts to listen. From here on the signals end nothing by themselves.
    pub fn listen() -> anyhow::Result<Self> {
        Self::listen_and_say(true)
    }

    /// The same for a command that changes nothing: it just ends, and nothing has to be said about that.
    pub fn listen_quietly() -> anyhow::Result<Self> {
        Self::listen_and_say(false)
    }

    fn listen_and_say(says: bool) -> anyhow::Result<Self> {
        let interrupt = Self {
            wanted: Arc::new(AtomicBool::new(false)),
            insisted: Arc::new(AtomicBool::new(false)),
            notify: Arc::new(Notify::new()),
        };
        let mut sigint =
            signal(SignalKind::interrupt()).context("signals cannot be listened to")?;
        let mut sigterm =
            signal(SignalKind::terminate()).context("signals cannot be listened to")?;
        let own = interrupt.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = sigint.recv() => {}
                    _ = sigterm.recv() => {}
                }
                if !says {
                    own.wanted.store(true, Ordering::Relaxed);
                } else if own.wanted.swap(true, Ordering::Relaxed) {
                    own.insisted.store(true, Ordering::Relaxed);
                    ui::say("interrupted again: ending at once; what is left behind is said below");
                } else {
                    ui::say(
                        "interrupted: what is under way is being ended in order; a second interrupt ends it at once",
                    );
                }
                own.notify.notify_waiters();
            }
        });
        Ok(interrupt)
    }

    /// Whether it has come.
    pub fn wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Waits until it has come twice.
    pub async fn insisted(&self) {
        loop {
            let notified = self.notify.notified();
            tokio::pin!(notified);
            // From here on a notification is not missed.
            notified.as_mut().enable();
            if self.insisted.load(Ordering::Relaxed) {
                return;
            }
            notified.await;
        }
    }

    /// Between stages before anything live is touched: ends the run.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.wanted(),
            "interrupted before anything live was touched"
        );
        Ok(())
    }

    /// Waits until it has come.
    pub async fn came(&self) {
        let notified = self.notify.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.wanted() {
            notified.await;
        }
    }

    /// Sleeps; shorter when the interrupt comes meanwhile.
    pub async fn sleep(&self, duration: std::time::Duration) {
        let notified = self.notify.notified();
        tokio::pin!(notified);
        // From here on a notification is not missed.
        notified.as_mut().enable();
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            () = notified, if !self.wanted() => {}
        }
    }
}
