//! Starting, ending, output, health checks, and what is left afterwards.

use std::io::BufRead as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use local_cloud::task::{Effect, Report};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::Test;
use crate::support::{Bench, ID, Skip, container, processes_of};

pub const TESTS: &[Test] = &[
    ("exit_code", exit_code),
    ("output", output),
    ("environment", environment),
    ("serves_and_stops", serves_and_stops),
    ("stop_timeout", stop_timeout),
    ("stop_before_start", stop_before_start),
    ("health_checks", health_checks),
    ("memory_limit", memory_limit),
    ("two_containers", two_containers),
    ("held_and_again", held_and_again),
    ("many_tasks", many_tasks),
    ("shutdown", shutdown),
    ("runner_dropped", runner_dropped),
    ("daemon_killed", daemon_killed),
    ("daemon_for_daemon_killed", daemon_for_daemon_killed),
];

fn exit_code() -> Result<(), Skip> {
    let bench = Bench::new()?;
    bench.start(vec![container(&["exit", "7"])]);
    let digests = bench.take(|report| match report {
        Report::Pulled { digests, .. } => Some(digests.clone()),
        _ => None,
    });
    assert!(digests["app"].starts_with("sha256:"));
    bench.started();
    assert_eq!(bench.exited("app"), (7, false));
    bench.gone();
    Ok(())
}

fn output() -> Result<(), Skip> {
    let bench = Bench::new()?;
    let mut lines = bench.output(container(&["print"]));
    // Two streams have no order between them.
    lines.sort();
    let mut expected = vec![
        "no newline".to_owned(),
        "not \u{fffd} text".to_owned(),
        "to stderr".to_owned(),
        "to stdout".to_owned(),
        "x".repeat(20_000 - 16 * 1024),
        "x".repeat(16 * 1024),
    ];
    expected.sort();
    assert_eq!(lines, expected);
    Ok(())
}

fn environment() -> Result<(), Skip> {
    let bench = Bench::new()?;
    let mut spec = container(&["environment"]);
    // With one, `PORT` is there too when there are no namespaces.
    spec.ports = vec![];
    let own = |value: &str| value.to_owned();
    spec.environment = vec![(own("BOTH"), own("task")), (own("PASSWORD"), own("open"))];
    spec.secrets = vec![(own("PASSWORD"), own("/app/password"))];
    let mut lines = bench.output(spec);
    lines.sort();
    assert_eq!(
        lines,
        [
            "BOTH=task",
            "FROM_IMAGE=1",
            "HOME=/home/nonroot",
            "HOSTNAME=0123456789ab",
            "PASSWORD=hunter2",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
    );
    Ok(())
}

fn serves_and_stops() -> Result<(), Skip> {
    let bench = Bench::new()?;
    bench.start(vec![container(&["serve"])]);
    bench.line("listening");
    let dial = bench.runner().dial(ID, 8080).unwrap();
    assert_eq!(bench.runner().dial(ID, 1), None);
    assert_eq!(bench.runner().dial("other", 8080), None);
    bench.runtime.block_on(async {
        for _ in 0..100 {
            let mut stream = dial.connect().await.unwrap();
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                .await
                .unwrap();
            let mut answer = vec![0; 15];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, b"HTTP/1.1 200 OK");
        }
    });
    bench.stop();
    assert_eq!(bench.exited("app"), (0, false));
    bench.gone();
    assert!(bench.lines().contains(&"bye".to_owned()));
    assert_eq!(bench.runner().dial(ID, 8080), None);
    let refused = bench.runtime.block_on(dial.connect()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    Ok(())
}

fn stop_timeout() -> Result<(), Skip> {
    let bench = Bench::new()?;
    let mut spec = container(&["stubborn"]);
    spec.stop_timeout_ms = 700;
    bench.start(vec![spec]);
    bench.line("ready");
    let asked = Instant::now();
    bench.stop();
    assert_eq!(bench.exited("app"), (137, false));
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(700), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    bench.gone();
    Ok(())
}

fn stop_before_start() -> Result<(), Skip> {
    let bench = Bench::new()?;
    bench.stop();
    bench.gone();
    bench.start(vec![container(&["serve"])]);
    bench.stop();
    bench.gone();
    Ok(())
}

fn health_checks() -> Result<(), Skip> {
    let bench = Bench::new()?;
    assert!(!bench.check(&["CMD", "/program", "exit", "0"], 1000));
    bench.start(vec![container(&["sleep"])]);
    bench.line("ready");
    assert!(bench.check(&["CMD", "/program", "exit", "0"], 5000));
    assert!(!bench.check(&["CMD", "/program", "exit", "3"], 5000));
    assert!(!bench.check(&["CMD", "/nope"], 5000));
    assert!(
        !bench.check(&["CMD-SHELL", "exit 0"], 5000),
        "the image has no shell"
    );
    // It runs inside the container, where the image's files are.
    if !bench.is_plain() {
        let command = ["CMD", "../../program", "file", "/etc/private"];
        assert!(bench.check(&command, 5000));
        let marker = bench.folder.path().to_str().unwrap();
        assert!(!bench.check(&["CMD", "/program", "file", marker], 5000));
    }
    let asked = Instant::now();
    assert!(!bench.check(&["CMD", "/program", "stubborn"], 300));
    assert!(asked.elapsed() < Duration::from_secs(5));
    bench.stop();
    bench.exited("app");
    bench.gone();
    Ok(())
}

fn memory_limit() -> Result<(), Skip> {
    let bench = Bench::new()?;
    let mut spec = container(&["eat", "200"]);
    spec.memory_mib = Some(64);
    bench.start(vec![spec]);
    assert_eq!(bench.exited("app"), (137, true));
    bench.gone();
    Ok(())
}

fn two_containers() -> Result<(), Skip> {
    let bench = Bench::new()?;
    if !bench.is_plain() {
        // One network for both, and names that are known without a name server.
        let mut second = container(&["dial", "127.0.0.1:8080", "localhost:8080"]);
        second.name = String::from("second");
        second.ports = vec![];
        bench.start(vec![container(&["serve"]), second]);
        assert_eq!(bench.exited("second"), (0, false));
        bench.stop();
        assert_eq!(bench.exited("app"), (0, false));
        bench.gone();
        bench.line("127.0.0.1:8080: connected");
        bench.line("localhost:8080: connected");
    }
    let mut failing = container(&[]);
    failing.name = String::from("second");
    failing.entry_point = Some(vec!["/nope".to_owned()]);
    bench.start(vec![container(&["stubborn"]), failing]);
    let (name, reason) = bench.start_failed();
    assert_eq!(name, "CannotStartContainerError");
    assert!(reason.contains("no such file or directory"), "{reason}");
    assert_eq!(processes_of(bench.folder.path()), [""; 0]);
    Ok(())
}

/// Tasks of one image, all at once: they share its root and nothing else.
/// The second container starts on an order of its own, after the first has ended; and the first can be started again.
fn held_and_again() -> Result<(), Skip> {
    let bench = Bench::new()?;
    let mut first = container(&["exit", "0"]);
    first.restarts = true;
    let mut second = container(&["exit", "3"]);
    "second".clone_into(&mut second.name);
    second.held = true;
    bench.start(vec![first, second]);
    let start = |name: &str| {
        bench.runner().perform(Effect::StartContainer {
            task: ID.to_owned(),
            container: name.to_owned(),
        });
    };
    bench.started();
    assert_eq!(bench.exited("app"), (0, false));
    start("app");
    bench.started();
    assert_eq!(bench.exited("app"), (0, false));
    start("second");
    let name = bench.take(|report| match report {
        Report::Started { container, .. } => Some(container.clone()),
        _ => None,
    });
    assert_eq!(name, "second");
    assert_eq!(bench.exited("second"), (3, false));
    // Nothing of it runs, but it ends when it is told to.
    bench.stop();
    bench.gone();
    bench.nothing_left();
    Ok(())
}

fn many_tasks() -> Result<(), Skip> {
    let bench = Bench::new()?;
    let ids: Vec<String> = (0..12).map(|number| format!("{number:032x}")).collect();
    for id in &ids {
        let mut spec = container(&["serve"]);
        if let Some(log) = &mut spec.log {
            log.stream.clone_from(id);
        }
        bench.start_as(id, vec![spec]);
    }
    for id in &ids {
        bench.line_of(id, "listening");
        let dial = bench.runner().dial(id, 8080).unwrap();
        bench.runtime.block_on(dial.connect()).unwrap();
    }
    assert_eq!(
        std::fs::read_dir(bench.home().join("rootfs"))
            .unwrap()
            .count(),
        1
    );
    for id in &ids {
        bench.runner().perform(Effect::Stop { task: id.clone() });
    }
    for _ in &ids {
        assert_eq!(bench.exited("app"), (0, false));
    }
    for _ in &ids {
        bench.take(|report| matches!(report, Report::Gone { .. }).then_some(()));
    }
    bench.nothing_left();
    assert_eq!(processes_of(bench.folder.path()), [""; 0]);
    Ok(())
}

fn shutdown() -> Result<(), Skip> {
    let bench = Bench::new()?;
    bench.start(vec![container(&["serve"])]);
    bench.line("listening");
    bench.runtime.block_on(bench.runner().shutdown());
    bench.gone();
    assert_eq!(processes_of(bench.folder.path()), [""; 0]);
    bench.start(vec![container(&["serve"])]);
    let (_, reason) = bench.start_failed();
    assert_eq!(reason, "the environment is shutting down");
    Ok(())
}

fn runner_dropped() -> Result<(), Skip> {
    let mut bench = Bench::new()?;
    bench.start(vec![container(&["orphan"])]);
    bench.line("ready");
    bench.runner = None;
    assert_eq!(bench.exited("app"), (137, false));
    bench.gone();
    assert_eq!(processes_of(bench.folder.path()), [""; 0]);
    Ok(())
}

/// A daemon that is killed leaves no process.
fn daemon_killed() -> Result<(), Skip> {
    // Whether it can run here at all, and so that both use one build.
    let program = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(program.path(), crate::support::program()?).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    for plain in [false, true] {
        let mut daemon = Command::new("/proc/self/exe");
        daemon
            .args(["daemon_for_daemon_killed", "--exact"])
            .env(DAEMON, "1")
            .env(crate::support::PROGRAM, program.path())
            .env("TMPDIR", scratch.path())
            .process_group(0)
            .stdout(Stdio::piped());
        if plain {
            daemon.env("LONGSHORE_SANDBOX", "plain");
        }
        let mut daemon = daemon.spawn().unwrap();
        let output = std::io::BufReader::new(daemon.stdout.take().unwrap());
        let ready = output.lines().any(|line| line.unwrap() == "running");
        assert!(ready);
        assert_ne!(processes_of(scratch.path()), [""; 0]);
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while !processes_of(scratch.path()).is_empty() {
            assert!(Instant::now() < until, "{:?}", processes_of(scratch.path()));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

const DAEMON: &str = "RUNNER_TEST_DAEMON";

/// The daemon that [`daemon_killed`] kills; otherwise it does nothing.
fn daemon_for_daemon_killed() -> Result<(), Skip> {
    if std::env::var_os(DAEMON).is_none() {
        return Err(Skip("part of daemon_killed".to_owned()));
    }
    let bench = Bench::new()?;
    bench.start(vec![container(&["orphan"])]);
    bench.line("ready");
    println!("running");
    std::thread::sleep(Duration::from_mins(1));
    // Not reached when the test passes.
    bench.runner().perform(Effect::Stop {
        task: ID.to_owned(),
    });
    Ok(())
}
