//! The same without namespaces.

use std::process::Command;

use local_cloud::runner::{Dial, Isolation, SANDBOX_VARIABLE};

use crate::Test;
use crate::support::{Bench, ID, PROGRAM, Skip, container, program};

pub const TESTS: &[Test] = &[
    ("plain_process", plain_process),
    ("everything_plain", everything_plain),
];

/// Runs in the process that [`everything_plain`] starts.
fn plain_process() -> Result<(), Skip> {
    let bench = Bench::new()?;
    let Isolation::Plain { why } = bench.runner().isolation() else {
        return Err(Skip("part of everything_plain".to_owned()));
    };
    assert!(!why.is_empty());
    bench.start(vec![container(&["serve"])]);
    bench.line("listening");
    let Some(Dial::Tcp(address)) = bench.runner().dial(ID, 8080) else {
        panic!("a plain process is reached at a port of the machine");
    };
    assert_ne!(address.port(), 8080);
    bench
        .runtime
        .block_on(Dial::Tcp(address).connect())
        .unwrap();
    bench.stop();
    assert_eq!(bench.exited("app"), (0, false));
    bench.gone();
    Ok(())
}

/// The other tests again, without namespaces.
fn everything_plain() -> Result<(), Skip> {
    if std::env::var_os(SANDBOX_VARIABLE).is_some() {
        return Err(Skip(format!("{SANDBOX_VARIABLE} is set for all tests")));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("program"), program()?).unwrap();
    std::fs::create_dir(path("tmp")).unwrap();
    let status = Command::new("/proc/self/exe")
        .env(PROGRAM, path("program"))
        .env("TMPDIR", path("tmp"))
        .env(SANDBOX_VARIABLE, "plain")
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(std::fs::read_dir(path("tmp")).unwrap().count(), 0);
    Ok(())
}
