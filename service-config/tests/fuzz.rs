//! A short run of the fuzzer; `examples/fuzz` is the long one.

#[path = "../examples/fuzz/cases.rs"]
mod cases;

#[test]
fn no_file_makes_a_panic() {
    for seed in 0..3000 {
        cases::run(seed);
    }
}

/// What long runs found, and was mended.
#[test]
fn what_was_found_once_is_not_found_again() {
    for seed in [48_243, 3_206_918, 7_210_567] {
        cases::run(seed);
    }
}
