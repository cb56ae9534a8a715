//! One target: its idle connections and how many requests are under way.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;

use super::{DialTask, lock};

/// How long a target may take to accept a connection: that of an Application Load Balancer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A body on its way through the balancer.
pub(super) type Relay = BoxBody<Bytes, hyper::Error>;

/// A container port of a task.
pub(super) struct Target {
    dial: DialTask,
    task: String,
    port: u16,
    in_flight: AtomicUsize,
    pool: Mutex<Pool>,
}

struct Pool {
    serving: bool,
    idle: Vec<SendRequest<Relay>>,
}

impl Target {
    pub(super) fn new(dial: DialTask, task: &str, port: u16) -> Self {
        Self {
            dial,
            task: task.to_owned(),
            port,
            in_flight: AtomicUsize::new(0),
            pool: Mutex::new(Pool {
                serving: true,
                idle: Vec::new(),
            }),
        }
    }

    pub(super) fn is(&self, task: &str, port: u16) -> bool {
        self.task == task && self.port == port
    }

    pub(super) fn task(&self) -> &str {
        &self.task
    }

    pub(super) fn serves(&self) -> bool {
        lock(&self.pool).serving
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// No new requests; idle connections are closed now, busy ones when their request is done.
    pub(super) fn drain(&self) {
        let idle = {
            let mut pool = lock(&self.pool);
            pool.serving = false;
            std::mem::take(&mut pool.idle)
        };
        drop(idle);
    }

    /// The most recently used idle connection that is still open.
    fn idle(&self) -> Option<SendRequest<Relay>> {
        let mut pool = lock(&self.pool);
        while let Some(connection) = pool.idle.pop() {
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    async fn connect(&self) -> io::Result<SendRequest<Relay>> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let dial = (self.dial)(&self.task, self.port).ok_or_else(refused)?;
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, dial.connect()).await??;
        let (connection, job) = handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(async move {
            // Its requests are told of the error too.
            let _ = job.await;
        });
        Ok(connection)
    }
}

/// A request under way to a target: counted from the choice of the target until the last byte of the answer.
pub(super) struct Use {
    target: Arc<Target>,
}

impl Use {
    pub(super) fn new(target: &Arc<Target>) -> Self {
        target.in_flight.fetch_add(1, Ordering::AcqRel);
        Self {
            target: Arc::clone(target),
        }
    }

    /// A connection to send the request on, and whether it has been used before.
    pub(super) async fn connection(&self, fresh: bool) -> io::Result<(SendRequest<Relay>, bool)> {
        if !fresh && let Some(connection) = self.target.idle() {
            return Ok((connection, true));
        }
        Ok((self.target.connect().await?, false))
    }

    /// The answer's body. When it ends, the connection can take the next request.
    pub(super) fn answer(self, body: Incoming, connection: SendRequest<Relay>) -> Answer {
        let mut answer = Answer {
            body,
            rest: Some((self, connection)),
        };
        if answer.body.is_end_stream() {
            answer.finish();
        }
        answer
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.target.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The body of an answer. Dropped before its end, it closes the connection.
pub(super) struct Answer {
    body: Incoming,
    rest: Option<(Use, SendRequest<Relay>)>,
}

impl Answer {
    fn finish(&mut self) {
        let Some((used, mut connection)) = self.rest.take() else {
            return;
        };
        let target = Arc::clone(&used.target);
        drop(used);
        tokio::spawn(async move {
            // The request may still be on its way: a target may answer before it has read all.
            if connection.ready().await.is_ok() {
                let mut pool = lock(&target.pool);
                if pool.serving {
                    pool.idle.push(connection);
                }
            }
        });
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &frame {
            // A body of known length is at its end with its last frame; nobody may ask for one more.
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.finish(),
            Poll::Ready(None) => self.finish(),
            Poll::Ready(Some(Err(_))) => self.rest = None,
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
