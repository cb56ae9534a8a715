//! The daemon as a process of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use local_cloud::client::{self, Error, Instance, Provision, Started};
use local_cloud::daemon::ProvisionTargetGroup;
use serde_json::json;
use tempfile::TempDir;

use super::Test;
use super::support::{call, options, runtime, try_call};

pub const TESTS: &[Test] = &[
    (
        "background::it_survives_being_killed",
        it_survives_being_killed,
    ),
    (
        "background::what_was_answered_outlives_a_kill_under_load",
        what_was_answered_outlives_a_kill_under_load,
    ),
    (
        "background::it_listens_on_the_loopback_only",
        it_listens_on_the_loopback_only,
    ),
    ("background::a_taken_port_is_named", a_taken_port_is_named),
];

/// Stops what a failed test left running.
pub struct Stopped<'a>(pub &'a Path);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        if let Ok(Some(instance)) = client::find(self.0) {
            let _ = runtime().block_on(instance.shutdown());
        }
    }
}

fn ssm(instance: &Instance, operation: &str, request: &serde_json::Value) -> serde_json::Value {
    let (status, answer) = call(instance, &format!("AmazonSSM.{operation}"), request);
    assert_eq!(status, 200, "{answer}");
    answer
}

fn it_survives_being_killed() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let mut options = options(&folder);
    let home = options.home.clone();
    let _stopped = Stopped(&home);
    assert!(client::find(&home).unwrap().is_none());
    let (first, started) = client::start(&options).unwrap();
    assert_eq!(started, Started::Started);
    assert_ne!(first.pid, std::process::id());
    let (again, started) = client::start(&options).unwrap();
    assert_eq!((again.pid, started), (first.pid, Started::AlreadyRunning));

    ssm(
        &first,
        "PutParameter",
        &json!({"Name": "/a", "Value": "kept", "Type": "SecureString"}),
    );
    let put = json!({"logGroupName": "/g"});
    assert_eq!(call(&first, "Logs_20140328.CreateLogGroup", &put).0, 200);
    // It is on disk within 200 ms; then the process may die at any time.
    let state = home.join("state");
    while !state.join("ssm.json").exists() || !state.join("logs.jsonl").exists() {
        std::thread::yield_now();
    }
    let kill = |signal: &str| {
        let pid = first.pid.to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.unwrap().success());
    };
    // As when the terminal that it was started from closes.
    kill("-HUP");
    let status = runtime().block_on(first.status()).unwrap();
    assert_eq!(status.pid, first.pid);
    kill("-KILL");
    while client::find(&home).unwrap().is_some() {
        std::thread::yield_now();
    }

    // The port of the last run, without being asked for.
    options.port = None;
    let (second, started) = client::start(&options).unwrap();
    assert_eq!(started, Started::Started);
    assert_eq!(
        (second.port, &second.access_key_id),
        (first.port, &first.access_key_id)
    );
    let got = ssm(
        &second,
        "GetParameter",
        &json!({"Name": "/a", "WithDecryption": true}),
    );
    assert_eq!(got["Parameter"]["Value"], "kept");
    let (_, groups) = call(&second, "Logs_20140328.DescribeLogGroups", &json!({}));
    assert_eq!(groups["logGroups"][0]["logGroupName"], "/g");

    runtime().block_on(second.shutdown()).unwrap();
    assert!(client::find(&home).unwrap().is_none());
    assert!(!Path::new(&format!("/proc/{}/exe", second.pid)).exists());
}

/// Several clients write all the time; the process is killed; whatever was answered with "done" is there after the next start.
fn what_was_answered_outlives_a_kill_under_load() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let options = options(&folder);
    let home = options.home.clone();
    let _stopped = Stopped(&home);
    let (first, _) = client::start(&options).unwrap();
    let ecs = |operation: &str| format!("AmazonEC2ContainerServiceV20141113.{operation}");
    let answered = AtomicUsize::new(0);
    let (done, over) = (&answered, AtomicBool::new(false));
    let written: Vec<Vec<String>> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (first, over) = (&first, &over);
                scope.spawn(move || {
                    let mut mine = Vec::new();
                    for number in 0.. {
                        let name = format!("w{writer}-{number}");
                        let request = match writer {
                            0 | 1 => (
                                ecs("RegisterTaskDefinition"),
                                json!({"family": name, "containerDefinitions": [{"name": "a", "image": "a", "memory": 64}]}),
                            ),
                            2 => (
                                "AmazonSSM.PutParameter".to_owned(),
                                json!({"Name": name, "Value": "v", "Type": "String"}),
                            ),
                            _ => (
                                "AmazonEC2ContainerRegistry_V20150921.CreateRepository".to_owned(),
                                json!({"repositoryName": name}),
                            ),
                        };
                        match try_call(first, &request.0, &request.1) {
                            Some((200, _)) => mine.push(name),
                            Some(other) => panic!("{other:?}"),
                            None => break,
                        }
                        done.fetch_add(1, Ordering::AcqRel);
                        if over.load(Ordering::Acquire) {
                            break;
                        }
                    }
                    mine
                })
            })
            .collect();
        while answered.load(Ordering::Acquire) < 200 {
            std::thread::yield_now();
        }
        let pid = first.pid.to_string();
        let killed = Command::new("kill").args(["-KILL", &pid]).status();
        assert!(killed.unwrap().success());
        over.store(true, Ordering::Release);
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect()
    });
    while client::find(&home).unwrap().is_some() {
        std::thread::yield_now();
    }

    let (second, _) = client::start(&options).unwrap();
    for (writer, names) in written.iter().enumerate() {
        assert!(!names.is_empty());
        for name in names {
            let (target, request) = match writer {
                0 | 1 => (
                    ecs("DescribeTaskDefinition"),
                    json!({"taskDefinition": name}),
                ),
                2 => ("AmazonSSM.GetParameter".to_owned(), json!({"Name": name})),
                _ => (
                    "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories".to_owned(),
                    json!({"repositoryNames": [name]}),
                ),
            };
            let (status, answer) = call(&second, &target, &request);
            assert_eq!(status, 200, "{name}: {answer}");
        }
    }
    runtime().block_on(second.shutdown()).unwrap();
}

/// The sockets of the daemon and of all that it started, as the kernel lists them.
fn it_listens_on_the_loopback_only() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let options = options(&folder);
    let _stopped = Stopped(&options.home);
    let (instance, _) = client::start(&options).unwrap();
    let group = ProvisionTargetGroup {
        name: "api".to_owned(),
        listen_port: 0,
        health_check_path: "/".to_owned(),
    };
    let wanted = Provision {
        cluster: "local".to_owned(),
        target_group: Some(group),
        postgres: None,
        log_groups: Vec::new(),
    };
    let provisioned = runtime().block_on(instance.provision(&wanted)).unwrap();
    let balancer = provisioned.url.unwrap();
    let balancer: u16 = balancer.rsplit(':').next().unwrap().parse().unwrap();

    let folder = format!("/proc/{}/fd", instance.pid);
    let sockets: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let name = link.to_str()?.strip_prefix("socket:[")?;
            Some(name.strip_suffix(']')?.to_owned())
        })
        .collect();
    let mut ports = Vec::new();
    for table in ["tcp", "tcp6"] {
        let table = std::fs::read_to_string(format!("/proc/{}/net/{table}", instance.pid));
        for line in table.unwrap_or_default().lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            // 0A is LISTEN; the tenth column names the socket.
            if columns[3] != "0A" || !sockets.contains(&columns[9].to_owned()) {
                continue;
            }
            let (address, port) = columns[1].split_once(':').unwrap();
            assert_eq!(address, "0100007F", "{line}");
            ports.push(u16::from_str_radix(port, 16).unwrap());
        }
    }
    ports.sort_unstable();
    let mut expected = [instance.port, balancer];
    expected.sort_unstable();
    assert_eq!(ports, expected);
    runtime().block_on(instance.shutdown()).unwrap();
}

fn a_taken_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut options = options(&folder);
    options.port = Some(port);
    match client::start(&options) {
        Err(Error::Died { said, .. }) => {
            assert!(
                said.contains(&format!("port {port} ")) && said.contains("--port"),
                "{said}"
            );
        }
        other => panic!("{other:?}"),
    }
}
