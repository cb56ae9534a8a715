//! The daemon as its clients see it: over HTTP, in the background, over restarts.
//!
//! This binary has its own `main`, because it is also the daemon that it starts and the helper program of its runner. `… local serve --home DIR --pace quick
//! --port 7411` serves in the foreground, for trying things by hand. It takes libtest's `--list` and `--exact`, and words to filter by.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod apis;
mod background;
mod calls;
mod deployment;
mod killed;
mod provisioning;
mod refusals;
mod registry;
mod support;
mod web_identity;

use std::ffi::OsString;
use std::panic::catch_unwind;
use std::process::ExitCode;

use local_cloud::client::{Options, serve};

/// A test: fails by a panic.
type Test = (&'static str, fn());

const TESTS: &[&[Test]] = &[
    apis::TESTS,
    background::TESTS,
    calls::TESTS,
    deployment::TESTS,
    killed::TESTS,
    provisioning::TESTS,
    refusals::TESTS,
    registry::TESTS,
    web_identity::TESTS,
];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "local") {
        return local(&arguments[1..]);
    }
    let words: Vec<&str> = arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .collect();
    let has = |option: &str| words.contains(&option);
    let filters: Vec<&&str> = words
        .iter()
        .filter(|word| !word.starts_with("--"))
        .collect();
    let chosen = |name: &str| {
        filters.is_empty()
            || filters.iter().any(|word| {
                if has("--exact") {
                    name == **word
                } else {
                    name.contains(**word)
                }
            })
    };
    let tests = TESTS
        .iter()
        .copied()
        .flatten()
        .filter(|(name, _)| chosen(name));
    if has("--list") {
        // There are none that are ignored.
        for (name, _) in tests.filter(|_| !has("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let mut failed = Vec::new();
    for (name, test) in tests {
        let began = std::time::Instant::now();
        let result = if catch_unwind(test).is_ok() {
            format!("ok ({} ms)", began.elapsed().as_millis())
        } else {
            failed.push(name);
            "FAILED".to_owned()
        };
        println!("test {name} ... {result}");
    }
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        println!("failed: {failed:?}");
        ExitCode::FAILURE
    }
}

/// What the project's command line does with `local serve` and `local sandbox`.
fn local(arguments: &[OsString]) -> ExitCode {
    if let [word, stage] = arguments
        && word == "sandbox"
    {
        return local_cloud::runner::sandbox_main(stage);
    }
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.to_str()
    };
    let mut options = Options::new(after("--home").unwrap().into()).unwrap();
    options.port = after("--port").map(|port| port.parse().unwrap());
    options.pace = after("--pace").map_or_else(Default::default, |pace| pace.parse().unwrap());
    match support::runtime().block_on(serve(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
