//! What `cargo xtask simulate --format json` does, without the rest of longshore: for a million stories with optimisation.
//!
//! `cargo run --release -p simulation --example simulate -- COUNT SEED [alone|race]`. The stories of a single seed are told on standard error.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use simulation::Kind;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words.get(at).and_then(|text| text.parse::<u64>().ok());
    let kinds: &[Kind] = match words.get(2).map(String::as_str) {
        None => &[Kind::Alone, Kind::Race],
        Some("alone") => &[Kind::Alone],
        Some("race") => &[Kind::Race],
        Some(_) => &[],
    };
    let (Some(count), Some(seed), false) = (number(0), number(1), kinds.is_empty()) else {
        eprintln!("usage: simulate COUNT SEED [alone|race]");
        return ExitCode::from(2);
    };
    if count == 1 {
        for kind in kinds {
            for line in simulation::tell(*kind, seed, true).timeline {
                eprintln!("{line}");
            }
        }
    }
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let report = simulation::simulate(kinds, seed, count, threads);
    println!(
        "{}",
        serde_json::to_string_pretty(&report).unwrap_or_default()
    );
    ExitCode::from(u8::from(report.violated > 0))
}
