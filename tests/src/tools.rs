//! Programs that a test needs and a machine may lack.

use std::process::{Command, Stdio};

/// Whether a program can be run.
pub fn have(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether a test must be skipped for want of Go; says so.
pub fn skip_without(program: &str, argument: &str) -> bool {
    let skip = !have(program, argument);
    if skip {
        // Not captured by the test harness, so that a green run tells what it did not see.
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("skipped: no `{program}` on PATH\n").as_bytes(),
        );
    }
    skip
}
