//! The instance as a running program: one process, one loopback port, one home folder.
//!
//! Everything is decided by the models; the daemon gives them requests, reports and the time, does what they ask for, and saves them. Order of a start: lock,
//! address, state, database and listeners, then the loop, so that no task starts before what it needs is there. A stop goes the other way round.

pub(crate) mod cloud;
mod error;
mod events;
mod faults;
mod options;
mod provision;
mod save;
mod status;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use error::Error;
pub use events::{LogLine, ServiceEvent};
pub use faults::Added;
pub use options::{Options, Pace};
pub use provision::{Provision, ProvisionPostgres, ProvisionTargetGroup, Provisioned};
pub use status::{Sizes, Status, StatusService, StatusTarget, StatusTargetGroup};

use crate::balancer::Balancer;
use crate::ecr::blobs::Blobs;
use crate::ecs::{Ecs, Settings};
use crate::files;
use crate::http;
use crate::instance::{DEFAULT_PORT, Instance, Lock};
use crate::issuer::{Issuer, TokenRequest};
use crate::runner::Runner;
use crate::task::{Effect, Report};
use cloud::{Cloud, Models, now};
use provision::Provisioner;
use save::Files;

/// A running instance.
pub(crate) struct Daemon {
    pub(crate) cloud: Arc<Cloud>,
    runner: Arc<Runner>,
    balancer: Arc<Balancer>,
    provisioner: tokio::sync::Mutex<Provisioner>,
    files: Arc<tokio::sync::Mutex<Files>>,
    since: Instant,
    stop: watch::Sender<bool>,
}

/// Serves until it is told to stop: by SIGTERM, SIGINT or the admin API. Tasks and databases have ended when this returns.
pub async fn serve(options: Options) -> Result<(), Error> {
    // Before anybody can know of this process, so that no signal finds it unprepared.
    let signals = Signals::install();
    let running = Running::start(options).await?;
    let stop = running.daemon.stop.clone();
    let waiting = tokio::spawn(async move {
        signals.terminated().await;
        stop.send_replace(true);
    });
    let lock = running.end().await;
    waiting.abort();
    // Who waits for the lock waits for the end of this process, not only of this function.
    std::mem::forget(lock);
    Ok(())
}

/// The signals that are handled: terminate, interrupt, hangup. `None` when they cannot be; then they end the process, as they do by default.
struct Signals(Option<[Signal; 3]>);

impl Signals {
    fn install() -> Self {
        let kinds = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
        ];
        let [Ok(terminate), Ok(interrupt), Ok(hangup)] = kinds.map(signal) else {
            return Self(None);
        };
        Self(Some([terminate, interrupt, hangup]))
    }

    /// Returns when the process is told to end. A hangup does not tell it to: the terminal that it was started from may close.
    async fn terminated(self) {
        let Some([mut terminate, mut interrupt, mut hangup]) = self.0 else {
            return std::future::pending().await;
        };
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => {}
            }
        }
    }
}

/// An instance that serves in this process.
pub struct Running {
    daemon: Arc<Daemon>,
    server: JoinHandle<()>,
    jobs: Vec<JoinHandle<()>>,
    lock: Lock,
}

impl Running {
    /// Starts one. When this returns, it answers.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let home = &options.home;
        prepare(home)?;
        let lock = Lock::take(home)?;
        let mut instance = match Instance::read(home)? {
            Some(instance) => instance,
            None => Instance::create(home).map_err(|source| Error::Home {
                path: home.clone(),
                source,
            })?,
        };
        let listener = bind(options.port, instance.port).await?;
        let port = listener.local_addr().map_or(0, |address| address.port());

        let state = Files::open(home.join("state"))?;
        let registry = home.join("registry");
        let blobs = Blobs::open(registry.clone()).map_err(|source| Error::Home {
            path: registry,
            source,
        })?;
        let models = load(&state, &options, &instance)?;
        collect_blobs(&blobs, &models);
        let logs = state.load_logs()?;
        let provisioner = Provisioner::load(home, &state)?;
        let key = home.join("state/issuer.pk8");
        let issuer = Issuer::open(&key).map_err(|source| Error::Home { path: key, source })?;
        instance.serve_at(std::process::id(), port)?;

        let cloud = Arc::new(Cloud::new(instance, blobs, issuer, models, logs));
        let host: Arc<dyn crate::runner::Host> = Arc::clone(&cloud) as _;
        let runner = Arc::new(Runner::new(host, home.join("tasks"), options.helper())?);
        let dialer = Arc::clone(&runner);
        let balancer = Balancer::new(Arc::new(move |task, port| dialer.dial(task, port)));
        let daemon = Arc::new(Daemon {
            cloud: Arc::clone(&cloud),
            runner,
            balancer: Arc::new(balancer),
            provisioner: tokio::sync::Mutex::new(provisioner),
            files: Arc::new(tokio::sync::Mutex::new(state)),
            since: Instant::now(),
            stop: watch::Sender::new(false),
        });

        let mut stopped = daemon.stop.subscribe();
        let server = tokio::spawn(http::serve(listener, Arc::clone(&daemon), async move {
            // Fails only when the sender is gone, which is an end too.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }));
        tracing::info!(endpoint = %cloud.place.endpoint(), "serving");
        daemon.provision_again().await;
        let jobs = vec![
            tokio::spawn(drive(Arc::clone(&daemon))),
            tokio::spawn(save::keep_saving(cloud, Arc::clone(&daemon.files))),
        ];
        Ok(Self {
            daemon,
            server,
            jobs,
            lock,
        })
    }

    /// Who it is.
    pub fn instance(&self) -> Instance {
        self.daemon.cloud.instance.clone()
    }

    /// Tells it to stop; [`Self::wait`] waits for that.
    pub fn stop(&self) {
        self.daemon.stop();
    }

    /// Waits until it was told to stop and has: tasks first, then databases, and the state is saved.
    pub async fn wait(self) {
        drop(self.end().await);
    }

    async fn end(mut self) -> Lock {
        // A panic in the server's task is an end as well.
        let _ = (&mut self.server).await;
        self.close().await;
        tracing::info!("stopped");
        self.lock
    }

    async fn close(&mut self) {
        let daemon = &self.daemon;
        daemon.cloud.closing.store(true, Ordering::Release);
        for job in self.jobs.drain(..) {
            job.abort();
            let _ = job.await;
        }
        daemon.runner.shutdown().await;
        daemon.provisioner.lock().await.close().await;
        if let Err(problem) = save::save_now(&daemon.cloud, &daemon.files).await {
            tracing::error!(problem, "the state could not be saved");
        }
    }
}

impl Daemon {
    /// Tells the instance to stop.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// A token of the local issuer.
    pub(crate) fn issue(&self, wanted: &TokenRequest) -> io::Result<String> {
        let cloud = &self.cloud;
        cloud.issuer.issue(wanted, &cloud.place.endpoint(), now())
    }

    pub(crate) fn admin_token(&self) -> &str {
        &self.cloud.instance.admin_token
    }

    fn perform(&self, effect: Effect) {
        tracing::debug!(?effect, "effect");
        match effect {
            Effect::Route {
                target_group,
                task,
                port,
                serving,
            } => self.balancer.route(&target_group, &task, port, serving),
            Effect::ProbeTarget {
                target_group,
                task,
                port,
                path,
                timeout_ms,
            } => {
                let (balancer, cloud) = (Arc::clone(&self.balancer), Arc::clone(&self.cloud));
                tokio::spawn(async move {
                    let timeout = Duration::from_millis(timeout_ms);
                    let outcome = balancer.probe(&task, port, &path, timeout).await;
                    crate::runner::Host::report(
                        &*cloud,
                        Report::TargetProbed {
                            target_group,
                            task,
                            outcome,
                        },
                    );
                });
            }
            effect => self.runner.perform(effect),
        }
    }
}

/// The loop: time passes, what is asked for is done, and then there is nothing to do until something changes or is due.
async fn drive(daemon: Arc<Daemon>) {
    let cloud = &daemon.cloud;
    loop {
        let (effects, due) = {
            let mut models = cloud.models();
            models.ecs.tick(now());
            (models.ecs.take_effects(), models.ecs.next_due())
        };
        cloud.remember();
        cloud.dirty.notify_one();
        for effect in effects {
            daemon.perform(effect);
        }
        match due {
            None => cloud.wake.notified().await,
            Some(due) => {
                let rest = Duration::from_millis(due.saturating_sub(now()));
                tokio::select! {
                    () = cloud.wake.notified() => {}
                    () = tokio::time::sleep(rest) => {}
                }
            }
        }
    }
}

/// Makes the home folder. Others may pass through it, because a database that is started by root runs as another user; they cannot list it, and what they could
/// read in it is for its owner only.
pub(crate) fn prepare(home: &Path) -> Result<(), Error> {
    let made = || {
        files::passable_folder(home)?;
        files::private_folder(&home.join("tasks"))
    };
    made().map_err(|source| Error::Home {
        path: home.to_owned(),
        source,
    })
}

fn load(files: &Files, options: &Options, instance: &Instance) -> Result<Models, Error> {
    let pace = options.pace.durations();
    let ecs = match files.load_ecs(&pace)? {
        Some(mut ecs) => {
            ecs.restarted(now());
            // Faults are not kept, and this was one.
            ecs.set_capacity(None, now());
            ecs
        }
        None => Ecs::new(Settings {
            region: instance.region.clone(),
            account: instance.account.clone(),
            pace,
            seed: fastrand::u64(..),
        }),
    };
    Ok(Models {
        ecs,
        ecr: files.load("ecr.json")?.unwrap_or_default(),
        ssm: files.load("ssm.json")?.unwrap_or_default(),
        secrets: files.load("secrets.json")?.unwrap_or_default(),
        iam: files.load("iam.json")?.unwrap_or_default(),
        alarms: files.load("alarms.json")?.unwrap_or_default(),
    })
}

/// Blobs of deleted images, and those whose repository was not saved before a crash.
fn collect_blobs(blobs: &Blobs, models: &Models) {
    match blobs.collect(&models.ecr.blobs_in_use()) {
        Ok(removed) => tracing::debug!(removed, "unused blobs"),
        Err(error) => tracing::warn!(%error, "unused blobs could not be removed"),
    }
}

/// Binds the port that was asked for, else the one of the last run, else the usual one.
async fn bind(asked: Option<u16>, last: u16) -> Result<TcpListener, Error> {
    let port = match (asked, last) {
        (Some(port), _) => port,
        (None, 0) => DEFAULT_PORT,
        (None, last) => last,
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            Error::PortTaken { port }
        } else {
            Error::Bind { port, source }
        }
    })
}
