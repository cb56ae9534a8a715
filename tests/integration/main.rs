//! Longshore end to end, in one binary: building and linking once is quicker than many times.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bad_releases;
mod builds;
mod clients;
mod configuration;
mod images;
mod interrupts;
mod local;
mod looking;
mod messages;
mod outside;
mod pipeline;
mod pipeline_files;
mod plans;
mod release;
mod rollouts;
mod strategies;
mod testing;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use longshore_tests::Run;

static MACHINE: RwLock<()> = RwLock::new(());

/// Deployments under load are told apart from a loaded machine by running one at a time.
fn one_at_a_time() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// For a test that mostly waits: others of its kind run meanwhile.
fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// The first address in a receipt.
fn url(receipt: &serde_json::Value) -> String {
    receipt["url"]
        .as_str()
        .expect("the receipt has an address")
        .to_owned()
}

/// `commit` of the service that answers.
fn commit(url: &str) -> String {
    let (status, body) =
        longshore_tests::get(&format!("{url}/version")).expect("the service answers");
    assert_eq!(status, 200, "{body}");
    let version: serde_json::Value = serde_json::from_str(&body).expect("the version is JSON");
    version["commit"]
        .as_str()
        .expect("it names the commit")
        .to_owned()
}

/// The time from the change of the service to the verdict, which a person reads as the receipt has it.
fn seconds_to_verdict(run: &Run) -> f64 {
    let seconds = run.json()["secondsToVerdict"]
        .as_f64()
        .expect("the receipt has a time");
    let mut lines = run.stderr.lines();
    let when = lines.find(|line| line.contains("service changed at"));
    let when = when.expect("the time of the change is told");
    assert!(when.contains(&format!(" after {seconds:.1} s")), "{when}");
    seconds
}

/// A document satisfies its committed schema.
fn valid(document: &serde_json::Value, schema: &str) {
    let schema = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> = validator
        .iter_errors(document)
        .map(|error| error.to_string())
        .collect();
    assert!(problems.is_empty(), "{problems:?}\n{document:#}");
}
