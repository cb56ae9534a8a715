//! A daemon in this process, an HTTP client that can be told to do wrong, and a signer written apart from the one that checks.

use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use hmac::{Hmac, KeyInit as _, Mac as _};
use local_cloud::client::{Instance, Options};
use local_cloud::daemon::Running;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A runtime as the command line has one.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A daemon on a free port that is stopped and removed at the end of the test.
pub struct Cloud {
    pub instance: Instance,
    pub runtime: Runtime,
    running: Option<Running>,
    home: TempDir,
}

impl Cloud {
    pub fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        // A database that root starts runs as another user, who must get there: its data shall go with the folder.
        std::fs::set_permissions(home.path(), Permissions::from_mode(0o711)).unwrap();
        let runtime = runtime();
        let running = runtime.block_on(Running::start(options(&home))).unwrap();
        Self {
            instance: running.instance(),
            runtime,
            running: Some(running),
            home,
        }
    }

    /// Stops it and starts it again on the same home.
    pub fn restart(&mut self) {
        self.stop();
        let options = options(&self.home);
        let running = self.runtime.block_on(Running::start(options)).unwrap();
        self.instance = running.instance();
        self.running = Some(running);
    }

    /// Its home folder.
    pub fn home(&self) -> PathBuf {
        options(&self.home).home
    }

    /// Calls an API of the JSON protocol.
    pub fn call(&self, target: &str, request: &Value) -> (u16, Value) {
        call(&self.instance, target, request)
    }

    fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
            self.runtime.block_on(running.wait());
        }
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn options(home: &TempDir) -> Options {
    let mut options = Options::new(home.path().join("home")).unwrap();
    options.port = Some(0);
    options
}

pub fn call(instance: &Instance, target: &str, request: &Value) -> (u16, Value) {
    let headers = signed(instance, target, request.to_string().as_bytes());
    let answer = send(
        instance,
        "POST",
        "/",
        &headers,
        request.to_string().as_bytes(),
    );
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

/// The same; `None` when the connection breaks.
pub fn try_call(instance: &Instance, target: &str, request: &Value) -> Option<(u16, Value)> {
    let body = request.to_string();
    let headers = signed(instance, target, body.as_bytes());
    let answer = try_send(instance, "POST", "/", &headers, body.as_bytes()).ok()?;
    Some((answer.status, serde_json::from_slice(&answer.body).ok()?))
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The code of the registry's first error.
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        body["errors"][0]["code"].as_str().unwrap().to_owned()
    }
}

pub type Headers = Vec<(String, String)>;

/// One request over a connection of its own.
pub fn send(
    instance: &Instance,
    method: &str,
    path: &str,
    headers: &Headers,
    body: &[u8],
) -> Answer {
    try_send(instance, method, path, headers, body).unwrap()
}

fn try_send(
    instance: &Instance,
    method: &str,
    path: &str,
    headers: &Headers,
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", instance.port))?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\ncontent-length: {}\r\n",
        instance.port,
        body.len()
    );
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    // A server that refuses may close before it has read everything.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    Ok(Answer {
        status: head[9..12].parse().unwrap(),
        head,
        body: answer[end + 4..].to_vec(),
    })
}

/// Asks a load balancer for `/`: status and body.
pub fn get_url(url: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// An access key.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

/// The headers of a request to `/`, signed with the instance's own key.
pub fn signed(instance: &Instance, target: &str, body: &[u8]) -> Headers {
    let key = Key {
        id: instance.access_key_id.clone(),
        secret: instance.secret_access_key.clone(),
        token: None,
    };
    signed_with(&key, instance, target, body)
}

/// The headers of a signed request to `/`.
pub fn signed_with(key: &Key, instance: &Instance, target: &str, body: &[u8]) -> Headers {
    let scope = Scope {
        region: &instance.region,
        service: None,
        late_by: 0,
    };
    signed_for(key, &scope, instance, target, body)
}

/// What a signature is for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    pub region: &'a str,
    /// The target's own without one.
    pub service: Option<&'a str>,
    /// Seconds that its date is behind the clock.
    pub late_by: i64,
}

/// The headers of a request to `/` with a signature of this scope.
pub fn signed_for(
    key: &Key,
    scope: &Scope<'_>,
    instance: &Instance,
    target: &str,
    body: &[u8],
) -> Headers {
    let service = match target.split('.').next().unwrap() {
        "AmazonEC2ContainerServiceV20141113" => "ecs",
        "AmazonEC2ContainerRegistry_V20150921" => "ecr",
        "AmazonSSM" => "ssm",
        "Logs_20140328" => "logs",
        "GraniteServiceVersion20100801" => "monitoring",
        other => other,
    };
    let service = scope.service.unwrap_or(service);
    let date = (jiff::Timestamp::now() - jiff::SignedDuration::from_secs(scope.late_by))
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string();
    let scope = format!("{}/{}/{service}/aws4_request", &date[..8], scope.region);
    let (token_name, token_line) = match &key.token {
        Some(token) => (
            "x-amz-security-token;",
            format!("x-amz-security-token:{token}\n"),
        ),
        None => ("", String::new()),
    };
    let names = format!("content-type;host;x-amz-date;{token_name}x-amz-target");
    let canonical = format!(
        "POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:127.0.0.1:{}\nx-amz-date:{date}\n{token_line}x-amz-target:{target}\n\n{names}\n{}",
        instance.port,
        hex::encode(Sha256::digest(body))
    );
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex::encode(Sha256::digest(canonical))
    );
    let mut signing = format!("AWS4{}", key.secret).into_bytes();
    for part in scope.split('/').chain([text.as_str()]) {
        let mut mac = Hmac::<Sha256>::new_from_slice(&signing).unwrap();
        mac.update(part.as_bytes());
        signing = mac.finalize().into_bytes().to_vec();
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        key.id,
        hex::encode(signing)
    );
    let mut headers: Headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-date", &date),
        ("x-amz-target", target),
        ("authorization", &authorization),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    if let Some(token) = &key.token {
        headers.push(("x-amz-security-token".to_owned(), token.clone()));
    }
    headers
}
