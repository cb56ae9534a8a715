//! The load balancer in front of real sockets.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use local_cloud::balancer::Balancer;
use local_cloud::runner::Dial;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const GROUP: &str = "arn:group";

/// Tasks and where they listen.
type Addresses = Arc<Mutex<HashMap<String, SocketAddr>>>;

struct Bench {
    balancer: Arc<Balancer>,
    addresses: Addresses,
    front: SocketAddr,
}

impl Bench {
    fn new() -> Self {
        let addresses = Addresses::default();
        let known = Arc::clone(&addresses);
        let balancer = Balancer::new(Arc::new(move |task, _port| {
            known.lock().unwrap().get(task).copied().map(Dial::Tcp)
        }));
        let front = balancer.listen(GROUP, 0).unwrap();
        assert_eq!(balancer.listen(GROUP, 0).unwrap(), front);
        Self {
            balancer: Arc::new(balancer),
            addresses,
            front,
        }
    }

    fn add(&self, task: &str, address: SocketAddr) {
        self.addresses
            .lock()
            .unwrap()
            .insert(task.to_owned(), address);
        self.balancer.route(GROUP, task, 8080, true);
    }

    fn drain(&self, task: &str) {
        self.balancer.route(GROUP, task, 8080, false);
    }

    async fn client(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.front).await.unwrap();
        let (client, job) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(job);
        client
    }
}

async fn get(client: &mut SendRequest<Full<Bytes>>, path: &str) -> (u16, String) {
    let request = Request::get(path)
        .header("host", "service.local")
        .body(Full::default())
        .unwrap();
    client.ready().await.unwrap();
    let answer = client.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// A target that says its name, `/headers` what it was sent, and takes its time for `/slow`.
struct Backend {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _jobs: JoinSet<()>,
}

impl Backend {
    async fn new(name: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let open = Arc::clone(&connections);
        let mut jobs = JoinSet::new();
        jobs.spawn(async move {
            let mut served = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let open = Arc::clone(&open);
                open.fetch_add(1, Ordering::SeqCst);
                served.spawn(async move {
                    let service = service_fn(move |request| answer(name, request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            connections,
            _jobs: jobs,
        }
    }
}

async fn answer(
    name: &'static str,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let text = match path.as_str() {
        "/headers" => {
            let mut fields: Vec<String> = request
                .headers()
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            fields.sort();
            fields.join("\n")
        }
        "/echo" => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            return Ok(Response::new(Full::new(body)));
        }
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(100)).await;
            name.to_owned()
        }
        _ => name.to_owned(),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response
        .headers_mut()
        .insert("connection", "keep-alive, x-hop".parse().unwrap());
    response.headers_mut().insert("x-hop", "1".parse().unwrap());
    Ok(response)
}

#[tokio::test]
async fn round_robin_and_no_target() {
    let bench = Bench::new();
    let mut client = bench.client().await;
    let (status, body) = get(&mut client, "/").await;
    assert_eq!(status, 503);
    assert!(body.contains("503 Service Unavailable"), "{body}");
    let (a, b) = (Backend::new("a").await, Backend::new("b").await);
    bench.add("a", a.address);
    bench.add("b", b.address);
    let mut names = Vec::new();
    for _ in 0..4 {
        names.push(get(&mut client, "/").await.1);
    }
    names.sort();
    assert_eq!(names, ["a", "a", "b", "b"]);
    // One pooled connection each.
    assert_eq!(a.connections.load(Ordering::SeqCst), 1);
    bench.drain("b");
    for _ in 0..4 {
        assert_eq!(get(&mut client, "/").await, (200, "a".to_owned()));
    }
}

#[tokio::test]
async fn headers_and_bodies() {
    let bench = Bench::new();
    let backend = Backend::new("a").await;
    bench.add("a", backend.address);
    let mut client = bench.client().await;
    let request = Request::get("http://service.local/headers")
        .header("host", "service.local")
        .header("connection", "x-private")
        .header("x-private", "1")
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-mine", "1")
        .body(Full::default())
        .unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert!(!answer.headers().contains_key("x-hop"));
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(
        String::from_utf8(body.to_vec()).unwrap(),
        format!(
            "host: service.local\nx-forwarded-for: 10.0.0.1, 127.0.0.1\nx-forwarded-port: {}\nx-forwarded-proto: http\nx-mine: 1",
            bench.front.port()
        )
    );
    let large = Bytes::from(vec![b'x'; 3_000_000]);
    let request = Request::post("/echo")
        .header("host", "service.local")
        .body(Full::new(large.clone()))
        .unwrap();
    client.ready().await.unwrap();
    let answer = client.send_request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(body == large);
}

#[tokio::test]
async fn failed_target() {
    let bench = Bench::new();
    let gone = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    bench.add("a", gone);
    let mut client = bench.client().await;
    assert_eq!(get(&mut client, "/").await.0, 502);
    bench.addresses.lock().unwrap().clear();
    assert_eq!(get(&mut client, "/").await.0, 502);
    assert_eq!(bench.balancer.in_flight("a"), 0);
}

/// Requests go on without one failure while targets come and go, as in a rolling deployment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_change_under_load() {
    let bench = Arc::new(Bench::new());
    let mut old = Backend::new("0").await;
    bench.add("0", old.address);
    let done = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for number in 0..8 {
        let (bench, done) = (Arc::clone(&bench), Arc::clone(&done));
        clients.spawn(async move {
            let mut client = bench.client().await;
            let mut count = 0_usize;
            while !done.load(Ordering::SeqCst) {
                let path = if (count + number).is_multiple_of(10) {
                    "/slow"
                } else {
                    "/"
                };
                let (status, body) = get(&mut client, path).await;
                assert_eq!(status, 200, "{body}");
                count += 1;
            }
            count
        });
    }
    for name in ["1", "2", "3", "4", "5"] {
        let new = Backend::new(name).await;
        bench.add(name, new.address);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let last = (name.parse::<usize>().unwrap() - 1).to_string();
        bench.drain(&last);
        while bench.balancer.in_flight(&last) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Every connection to the drained target is closed at once, so it can go.
        for _ in 0..1000 {
            if old.connections.load(Ordering::SeqCst) == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(old.connections.load(Ordering::SeqCst), 0);
        old = new;
    }
    done.store(true, Ordering::SeqCst);
    let counts = clients.join_all().await;
    assert!(counts.iter().all(|&count| count > 5), "{counts:?}");
}

#[tokio::test]
async fn a_request_under_way_outlives_the_drain() {
    let bench = Arc::new(Bench::new());
    let backend = Backend::new("a").await;
    bench.add("a", backend.address);
    let mut client = bench.client().await;
    let slow = tokio::spawn(async move { get(&mut client, "/slow").await });
    while bench.balancer.in_flight("a") == 0 {
        tokio::task::yield_now().await;
    }
    bench.drain("a");
    assert_eq!(bench.balancer.in_flight("a"), 1);
    let mut second = bench.client().await;
    assert_eq!(get(&mut second, "/").await.0, 503);
    assert_eq!(slow.await.unwrap(), (200, "a".to_owned()));
    assert_eq!(bench.balancer.in_flight("a"), 0);
}

/// A target that answers one request on each connection and then closes it without a word, at a time the balancer cannot see.
async fn forgetful(answers: &'static [&'static [u8]]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                stream.write_all(answer).await.unwrap();
            }
        }
    });
    address
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_closed_between_requests() {
    let bench = Bench::new();
    bench.add("a", forgetful(&[OK]).await);
    let mut client = bench.client().await;
    for _ in 0..20 {
        assert_eq!(get(&mut client, "/").await, (200, "ok".to_owned()));
    }
}

#[tokio::test]
async fn a_connection_closed_with_a_request() {
    let bench = Bench::new();
    // The second request on a connection is read, and nothing comes.
    bench.add("a", forgetful(&[OK, b""]).await);
    let mut client = bench.client().await;
    for _ in 0..4 {
        assert_eq!(get(&mut client, "/").await, (200, "ok".to_owned()));
    }
    // What may not be repeated is not.
    let request = Request::post("/")
        .header("host", "service.local")
        .body(Full::from("x"))
        .unwrap();
    client.ready().await.unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 502);
}

#[tokio::test]
async fn probes() {
    let bench = Bench::new();
    let probe = async |task: &str, path: &str| {
        let timeout = Duration::from_millis(50);
        bench.balancer.probe(task, 8080, path, timeout).await
    };
    let backend = Backend::new("a").await;
    bench.add("a", backend.address);
    bench.add("closes", forgetful(&[b""]).await);
    bench.add("strange", forgetful(&[b"220 mail\r\n\r\n"]).await);
    bench.add(
        "empty",
        forgetful(&[b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"]).await,
    );
    let gone = Backend::new("gone").await.address;
    bench.add("gone", gone);
    let words = |text: &str| Err(text.to_owned());
    assert_eq!(probe("a", "/").await, Ok(200));
    assert_eq!(probe("empty", "/").await, Ok(204));
    assert_eq!(probe("a", "/slow").await, words("request timed out"));
    assert_eq!(
        probe("closes", "/").await,
        words("connection closed before an answer")
    );
    assert_eq!(probe("strange", "/").await, words("the answer is not HTTP"));
    assert_eq!(probe("gone", "/").await, words("connection refused"));
    assert_eq!(probe("unknown", "/").await, words("connection refused"));
}
