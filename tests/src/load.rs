//! Constant HTTP load, and a count of what came back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Connections that send at once.
const WORKERS: usize = 8;
/// Pause of a worker between two requests: together some hundreds of requests a second.
const PAUSE: Duration = Duration::from_millis(15);

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests answered with 200.
    pub ok: usize,
    /// Requests that failed, by what happened.
    pub failed: BTreeMap<String, usize>,
    /// Bodies seen, and how often.
    pub bodies: BTreeMap<String, usize>,
}

impl Tally {
    /// How many failed.
    pub fn failures(&self) -> usize {
        self.failed.values().sum()
    }
}

/// A load that goes on until it is ended.
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Tally>>,
}

impl Load {
    /// Begins to send GET requests, some hundreds a second.
    pub fn start(url: &str) -> Self {
        Self::of(url, WORKERS, PAUSE)
    }

    /// Begins to send GET requests one after another, with a pause between two.
    pub fn gentle(url: &str, pause: Duration) -> Self {
        Self::of(url, 1, pause)
    }

    fn of(url: &str, workers: usize, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (uri, seen): (Uri, _) = (url.parse().unwrap(), Arc::clone(&stop));
        let thread =
            std::thread::spawn(move || runtime().block_on(send(uri, seen, workers, pause)));
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Ends the load and gives what came back.
    pub fn end(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

async fn send(uri: Uri, stop: Arc<AtomicBool>, workers: usize, pause: Duration) -> Tally {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let workers: Vec<_> = (0..workers)
        .map(|_| {
            let (client, uri, stop) = (client.clone(), uri.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut tally = Tally::default();
                while !stop.load(Ordering::Relaxed) {
                    match request(&client, &uri).await {
                        Ok((200, body)) => {
                            tally.ok += 1;
                            *tally.bodies.entry(body).or_default() += 1;
                        }
                        Ok((status, _)) => {
                            *tally.failed.entry(format!("status {status}")).or_default() += 1;
                        }
                        Err(error) => *tally.failed.entry(error).or_default() += 1,
                    }
                    tokio::time::sleep(pause).await;
                }
                tally
            })
        })
        .collect();
    let mut all = Tally::default();
    for worker in workers {
        let tally = worker.await.unwrap();
        all.ok += tally.ok;
        for (what, count) in tally.failed {
            *all.failed.entry(what).or_default() += count;
        }
        for (body, count) in tally.bodies {
            *all.bodies.entry(body).or_default() += count;
        }
    }
    all
}

type HttpClient = Client<hyper_util::client::legacy::connect::HttpConnector, Empty<Bytes>>;

async fn request(client: &HttpClient, uri: &Uri) -> Result<(u16, String), String> {
    let attempt = async {
        let response = client
            .get(uri.clone())
            .await
            .map_err(|error| format!("{error:?}"))?;
        let status = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::time::timeout(Duration::from_secs(10), attempt)
        .await
        .map_err(|_| "no answer within 10 s".to_owned())?
}

/// One GET request: status and body.
pub fn get(url: &str) -> Result<(u16, String), String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
    runtime().block_on(async {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        request(&client, &uri).await
    })
}
