//! No file makes the parsers panic, and no problem stands outside its file. A short run is part of the tests; a long one:
//!
//! `cargo run --release -p service-config --example fuzz -- 10000000`
//!
//! A second number is the first seed. A seed that fails is named; with it alone the case can be run again.

mod cases;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse());
    let (count, first): (u64, u64) = match (arguments.next(), arguments.next()) {
        (Some(Ok(count)), None) => (count, 0),
        (Some(Ok(count)), Some(Ok(first))) => (count, first),
        _ => {
            eprintln!("usage: fuzz CASES [FIRST-SEED]");
            return ExitCode::from(2);
        }
    };
    let since = Instant::now();
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let done = next.fetch_add(1, Ordering::Relaxed);
                    if done >= count {
                        break;
                    }
                    let seed = first + done;
                    if std::panic::catch_unwind(|| cases::run(seed)).is_err() {
                        eprintln!("seed {seed} fails");
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    if done > 0 && done.is_multiple_of(1_000_000) {
                        eprintln!("{done} cases, {:.0} s", since.elapsed().as_secs_f64());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!(
        "{count} cases, {failed} failed, {:.0} s",
        since.elapsed().as_secs_f64()
    );
    ExitCode::from(u8::from(failed > 0))
}
