//! What a container sees of the machine, as root and as anybody.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use local_cloud::runner::{Isolation, SANDBOX_VARIABLE};
use nix::unistd::{Gid, Uid, chown, geteuid};

use crate::Test;
use crate::support::{Bench, PROGRAM, Skip, container, program};

pub const TESTS: &[Test] = &[
    ("isolation_of_the_process", isolation_of_the_process),
    ("isolation_of_files", isolation_of_files),
    ("isolation_of_root", isolation_of_root),
    ("isolation_readonly_root", isolation_readonly_root),
    ("isolation_of_the_network", isolation_of_the_network),
    ("everything_without_root", everything_without_root),
];

fn isolated() -> Result<Bench, Skip> {
    let bench = Bench::new()?;
    match bench.runner().isolation() {
        Isolation::Namespaces => Ok(bench),
        Isolation::Plain { why } => Err(Skip(why)),
    }
}

fn isolation_of_the_process() -> Result<(), Skip> {
    let bench = isolated()?;
    let lines = bench.output(container(&["look"]));
    assert_eq!(
        lines,
        [
            "uid 65532 gid 65532 pid 1",
            "CapPrm: 0000000000000000",
            "CapEff: 0000000000000000",
            "CapBnd: 0000000000000000",
            "NoNewPrivs: 1",
            "cwd /home/nonroot host 0123456789ab",
            "processes 1",
            "files 0 1 2",
        ]
    );
    Ok(())
}

fn isolation_of_files() -> Result<(), Skip> {
    let bench = isolated()?;
    let home = bench.home();
    let own = std::env::current_exe().unwrap();
    let lines = bench.output(container(&[
        "look",
        home.to_str().unwrap(),
        own.to_str().unwrap(),
        "/usr",
        "/root",
        "/sys",
        "/dev/null",
        "/dev/shm",
        "/etc/hosts",
    ]));
    let files: Vec<&str> = lines.iter().skip(8).map(String::as_str).collect();
    let missing = |path: &str| format!("{path}: stat {path}: no such file or directory");
    assert_eq!(
        files,
        [
            missing(home.to_str().unwrap()).as_str(),
            &missing(own.to_str().unwrap()),
            &missing("/usr"),
            &missing("/root"),
            &missing("/sys"),
            "/dev/null: ok",
            "/dev/shm: ok",
            "/etc/hosts: ok",
        ]
    );
    Ok(())
}

/// Root of a container is not root of the machine.
fn isolation_of_root() -> Result<(), Skip> {
    let bench = isolated()?;
    let mut spec = container(&[
        "write",
        "/new",
        "/tmp/new",
        "/dev/shm/new",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/core_pattern",
        "/etc/hosts",
    ]);
    spec.user = Some("0".to_owned());
    let lines = bench.output(spec);
    let read_only = |path: &str| format!("{path}: open {path}: read-only file system");
    assert_eq!(
        lines,
        [
            "/new: ok".to_owned(),
            "/tmp/new: ok".to_owned(),
            "/dev/shm/new: ok".to_owned(),
            read_only("/proc/sys/kernel/hostname"),
            read_only("/proc/sys/kernel/core_pattern"),
            "/etc/hosts: ok".to_owned(),
        ]
    );
    // What it wrote is gone with it: the next container starts from the image.
    let again = bench.output(container(&["look", "/new"]));
    assert!(again.last().unwrap().contains("no such file"), "{again:?}");
    Ok(())
}

fn isolation_readonly_root() -> Result<(), Skip> {
    let bench = isolated()?;
    let mut spec = container(&[
        "write",
        "/tmp/new",
        "/home/nonroot/new",
        "/dev/shm/new",
        "/dev/stdout",
    ]);
    spec.readonly_root = true;
    let lines = bench.output(spec);
    let read_only = |path: &str| format!("{path}: open {path}: read-only file system");
    assert_eq!(
        lines,
        [
            read_only("/tmp/new"),
            read_only("/home/nonroot/new"),
            "/dev/shm/new: ok".to_owned(),
            // The byte it wrote, then the line that says so.
            "x/dev/stdout: ok".to_owned(),
        ]
    );
    Ok(())
}

fn isolation_of_the_network() -> Result<(), Skip> {
    let bench = isolated()?;
    let serve = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                // The other side may be gone already.
                let _ = connection.and_then(|mut stream| stream.write_all(b"from the machine\n"));
            }
        });
        address.to_string()
    };
    let (open, closed) = (serve(), serve());
    bench
        .host
        .forwards
        .lock()
        .unwrap()
        .push(open.parse().unwrap());
    let lines = bench.output(container(&["dial", &open, &closed, "192.0.2.1:80"]));
    assert_eq!(lines[0], format!("{open}: connected from the machine"));
    assert!(lines[1].contains("connection refused"), "{lines:?}");
    assert!(lines[2].contains("network is unreachable"), "{lines:?}");
    Ok(())
}

/// All tests again, by a user who may do nothing special.
fn everything_without_root() -> Result<(), Skip> {
    if !geteuid().is_root() {
        return Err(Skip(
            "this is not root, so all tests are without root".to_owned(),
        ));
    }
    if std::env::var_os(SANDBOX_VARIABLE).is_some() {
        return Err(Skip(format!("{SANDBOX_VARIABLE} is set")));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("program"), program()?).unwrap();
    std::fs::copy("/proc/self/exe", path("tests")).unwrap();
    std::fs::create_dir(path("tmp")).unwrap();
    std::fs::set_permissions(path("tests"), PermissionsExt::from_mode(0o755)).unwrap();
    for name in ["", "program", "tests", "tmp"] {
        chown(
            &path(name),
            Some(Uid::from_raw(65534)),
            Some(Gid::from_raw(65534)),
        )
        .unwrap();
    }
    let status = Command::new(path("tests"))
        .env(PROGRAM, path("program"))
        .env("TMPDIR", path("tmp"))
        .current_dir(folder.path())
        .uid(65534)
        .gid(65534)
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(std::fs::read_dir(path("tmp")).unwrap().count(), 0);
    Ok(())
}
