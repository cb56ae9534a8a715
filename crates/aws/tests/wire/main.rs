//! What goes over the wire and what is made of the answers, against a listener that answers as the test says.

mod answers;
mod elsewhere;
mod exact_body;
mod failures;

use std::sync::{Arc, Mutex, PoisonError};

use aws::{Access, Aws, Connection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came in.
#[derive(Clone, Debug)]
struct Request {
    head: String,
    body: String,
}

impl Request {
    /// The operation of a request that names it in `X-Amz-Target`.
    fn operation(&self) -> &str {
        let mut lines = self.head.lines();
        let target = lines.find_map(|line| line.strip_prefix("x-amz-target: "));
        target
            .and_then(|target| target.rsplit('.').next())
            .unwrap_or_default()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// What becomes of a request.
enum Reply {
    /// Status and body.
    Answer(u16, String),
    /// Status and a further header.
    Moved(u16, &'static str),
    /// The connection is closed in the middle.
    Close,
    /// It is accepted and never answered.
    Never,
}

impl Reply {
    fn json(value: &serde_json::Value) -> Self {
        Self::Answer(200, value.to_string())
    }

    /// An error as ECS answers it.
    fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({"__type": code, "message": message});
        Self::Answer(status, body.to_string())
    }
}

/// A listener, and what it was asked.
struct Stub {
    endpoint: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Stub {
    /// Listens until the test's runtime ends; a connection carries one request.
    async fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a loopback port is free");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let reply = Arc::new(reply);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept), Arc::clone(&reply)));
            }
        });
        Self { endpoint, seen }
    }

    fn connection(&self) -> Connection {
        Connection {
            region: Some("eu-central-1".into()),
            endpoint: Some(self.endpoint.clone()),
            access: Some(Access {
                key_id: "AKIDEXAMPLE".into(),
                secret: "a secret".into(),
            }),
            ..Connection::default()
        }
    }

    async fn connect(&self) -> Aws {
        Aws::connect(&self.connection()).await
    }

    fn seen(&self) -> Vec<Request> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    fn count(&self, operation: &str) -> usize {
        let seen = self.seen();
        seen.iter()
            .filter(|request| request.operation() == operation)
            .count()
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<Request>>>,
    reply: Arc<impl Fn(&Request) -> Reply>,
) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(request.clone());
    let (status, more, body) = match reply(&request) {
        Reply::Answer(status, body) => (status, "", body),
        Reply::Moved(status, more) => (status, more, String::new()),
        Reply::Close => return,
        Reply::Never => return std::future::pending().await,
    };
    let head = format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\n{more}content-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    // The client may have gone.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

/// One request; none when the connection ends before it is whole.
async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok().filter(|one| *one > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")
                    .map(str::to_owned)
            })
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        if body.len() >= length {
            return Some(Request {
                head: head.to_owned(),
                body: body.to_owned(),
            });
        }
    }
}
