//! A short run of the fuzzer; `examples/fuzz` is the long one.

#[path = "../examples/fuzz/cases.rs"]
mod cases;

#[test]
fn no_file_makes_a_panic() {
    for seed in 0..3000 {
        cases::run(seed);
    }
}
