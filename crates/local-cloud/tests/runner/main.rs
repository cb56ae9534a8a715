//! The runner with real processes: what a container can do, what it cannot, and that nothing is left of it.
//!
//! This binary has its own `main`, because it is also the helper program of the runners it makes. It takes libtest's `--list` and `--exact`, and words to filter by.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod images;
mod isolation;
mod layers;
mod lifecycle;
mod plain;
mod rolling;
mod support;

use std::panic::catch_unwind;
use std::process::ExitCode;

use support::Skip;

/// A test: fails by a panic.
type Test = (&'static str, fn() -> Result<(), Skip>);

const TESTS: &[&[Test]] = &[
    images::TESTS,
    isolation::TESTS,
    lifecycle::TESTS,
    plain::TESTS,
    rolling::TESTS,
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let [word, stage] = &arguments[..]
        && word == support::HELPER
    {
        return local_cloud::runner::sandbox_main(stage);
    }
    let words: Vec<String> = arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .filter(|argument| !argument.starts_with("--"))
        .map(str::to_owned)
        .collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let chosen = |name: &str| {
        words.is_empty()
            || words.iter().any(|word| {
                if has("--exact") {
                    name == word
                } else {
                    name.contains(word.as_str())
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
        let result = match catch_unwind(test) {
            Ok(Ok(())) => format!("ok ({} ms)", began.elapsed().as_millis()),
            Ok(Err(Skip(why))) => format!("skipped: {why}"),
            Err(_) => {
                failed.push(name);
                "FAILED".to_owned()
            }
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
