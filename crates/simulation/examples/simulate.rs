//! What `cargo xtask simulate --format json` does, without the rest of longshore: for a million stories with optimisation.
//!
//! `cargo run --release -p simulation --example simulate -- COUNT SEED`. A single story is told on standard error.

use std::num::NonZeroUsize;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Some(Ok(count)), Some(Ok(seed))) = (numbers.next(), numbers.next()) else {
        eprintln!("usage: simulate COUNT SEED");
        return ExitCode::from(2);
    };
    if count == 1 {
        for line in simulation::tell(seed, true).timeline {
            eprintln!("{line}");
        }
    }
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let report = simulation::simulate(seed, count, threads);
    println!(
        "{}",
        serde_json::to_string_pretty(&report).unwrap_or_default()
    );
    ExitCode::from(u8::from(report.violated > 0))
}
