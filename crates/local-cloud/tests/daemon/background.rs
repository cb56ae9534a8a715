//! The daemon as a process of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use local_cloud::client::{self, Error, Instance, Started};
use serde_json::json;
use tempfile::TempDir;

use super::Test;
use super::support::{call, options, runtime};

pub const TESTS: &[Test] = &[
    (
        "background::it_survives_being_killed",
        it_survives_being_killed,
    ),
    ("background::a_taken_port_is_named", a_taken_port_is_named),
];

/// Stops what a failed test left running.
struct Stopped<'a>(&'a Path);

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
