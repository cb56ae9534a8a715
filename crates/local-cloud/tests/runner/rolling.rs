//! Runner and load balancer together: tasks replace each other under load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use local_cloud::balancer::Balancer;
use local_cloud::task::{Effect, Report};
use tokio::task::JoinSet;

use crate::Test;
use crate::support::{Bench, Skip, container};

pub const TESTS: &[Test] = &[("rolling_under_load", rolling_under_load)];

const GROUP: &str = "arn:group";

/// Not one request fails while four tasks come and three go.
fn rolling_under_load() -> Result<(), Skip> {
    let bench = Bench::new()?;
    let runner = Arc::clone(bench.runner());
    let inside = bench.runtime.enter();
    let balancer = Balancer::new(Arc::new(move |task, port| runner.dial(task, port)));
    let front = balancer.listen(GROUP, 0).unwrap();
    drop(inside);
    let start = |task: &str| {
        bench.start_as(task, vec![container(&["serve"])]);
        let up = async {
            let timeout = Duration::from_secs(1);
            while balancer.probe(task, 8080, "/", timeout).await != Ok(200) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        bench.runtime.block_on(up);
        balancer.route(GROUP, task, 8080, true);
    };
    start("task-0");
    let done = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn_on(ask(front, Arc::clone(&done)), bench.runtime.handle());
    }
    for number in 1..4 {
        start(&format!("task-{number}"));
        std::thread::sleep(Duration::from_millis(50));
        let old = format!("task-{}", number - 1);
        balancer.route(GROUP, &old, 8080, false);
        while balancer.in_flight(&old) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        bench.runner().perform(Effect::Stop { task: old });
        assert_eq!(bench.exited("app"), (0, false));
        bench.take(|report| matches!(report, Report::Gone { .. }).then_some(()));
    }
    done.store(true, Ordering::SeqCst);
    let counts = bench.runtime.block_on(clients.join_all());
    assert!(counts.iter().all(|&count| count > 20), "{counts:?}");
    bench.runtime.block_on(bench.runner().shutdown());
    bench.gone();
    Ok(())
}

/// Asks one request after the other over one connection; all must be answered well.
async fn ask(front: SocketAddr, done: Arc<AtomicBool>) -> usize {
    let stream = tokio::net::TcpStream::connect(front).await.unwrap();
    let (mut client, job) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(job);
    let mut count = 0;
    while !done.load(Ordering::SeqCst) {
        let request = Request::get("/")
            .header("host", "service.local")
            .body(Empty::<Bytes>::new())
            .unwrap();
        client.ready().await.unwrap();
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "hello");
        count += 1;
    }
    count
}
