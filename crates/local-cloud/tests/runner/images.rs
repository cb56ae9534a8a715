//! Images that are missing, broken or malicious, and how layers combine.

#![expect(
    clippy::unnecessary_wraps,
    reason = "all tests have one signature; some cannot be skipped"
)]

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use tar::EntryType;

use crate::Test;
use crate::layers::{LayerBuilder, digest, gzip};
use crate::support::{Bench, Skip, container};

pub const TESTS: &[Test] = &[
    ("image_missing", image_missing),
    ("image_programs", image_programs),
    ("image_layers", image_layers),
    ("image_hostile", image_hostile),
    ("image_corrupt", image_corrupt),
    ("image_platforms", image_platforms),
    ("resources_missing", resources_missing),
];

fn image_missing() -> Result<(), Skip> {
    let bench = Bench::without_image();
    bench.start(vec![container(&["serve"])]);
    let (name, reason) = bench.start_failed();
    assert_eq!(name, "CannotPullContainerError");
    assert_eq!(reason, "host/app:1: not found");
    Ok(())
}

/// Why programs do not start, in a container runtime's words.
fn image_programs() -> Result<(), Skip> {
    let bench = Bench::new()?;
    for (entry_point, user, expected) in [
        (
            "/nope",
            "",
            "exec: \"/nope\": stat /nope: no such file or directory",
        ),
        (
            "nope",
            "",
            "exec: \"nope\": executable file not found in $PATH",
        ),
        ("/data", "", "exec: \"/data\": permission denied"),
        ("/etc", "", "exec: \"/etc\": is a directory"),
        ("/text", "", "exec /text: exec format error"),
        ("/foreign", "", "exec /foreign: exec format error"),
        ("/script", "", "exec /script: no such file or directory"),
        (
            "/program",
            "who",
            "unable to find user who: no matching entries in passwd file",
        ),
    ] {
        let mut spec = container(&[]);
        spec.entry_point = Some(vec![entry_point.to_owned()]);
        spec.user = (!user.is_empty()).then(|| user.to_owned());
        bench.start(vec![spec]);
        let failed = bench.start_failed();
        assert_eq!(
            failed,
            ("CannotStartContainerError".to_owned(), expected.to_owned())
        );
    }
    Ok(())
}

fn image_layers() -> Result<(), Skip> {
    let bench = Bench::new()?;
    let program = crate::support::program()?;
    let first = LayerBuilder::default()
        .file("program", 0o755, &program)
        .file("etc/passwd", 0o644, b"nonroot:x:65532:65532::/:/\n")
        .folder("closed", 0o555)
        .file("closed/kept", 0o644, b"")
        .file("closed/removed", 0o644, b"")
        .file("opaque/old", 0o644, b"")
        .link(EntryType::Symlink, "lib", "usr/lib")
        .link(EntryType::Symlink, "absolute", "/usr")
        .file("usr/lib/first", 0o644, b"")
        .file("was-folder/inside", 0o644, b"")
        .bytes();
    let second = LayerBuilder::default()
        .file("closed/.wh.removed", 0o644, b"")
        .file("opaque/new", 0o644, b"")
        .file("opaque/.wh..wh..opq", 0o644, b"")
        // Through the link that the first layer made, not in its place.
        .file("lib/second", 0o644, b"")
        .file("absolute/third", 0o644, b"")
        .file("was-folder", 0o644, b"")
        .link(EntryType::Link, "hard", "usr/lib/first")
        .bytes();
    let third = LayerBuilder::default()
        .file("usr/lib/third", 0o644, b"")
        .bytes();
    bench.push(
        "host/app:1",
        &[first, second, third],
        std::env::consts::ARCH,
    );
    let mut spec = container(&["look"]);
    spec.working_directory = Some("/made/on/the/way".to_owned());
    let lines = bench.output(spec);
    assert!(
        lines.iter().any(|line| line.contains("/made/on/the/way ")),
        "{lines:?}"
    );
    let root = std::fs::read_dir(bench.home().join("rootfs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .next()
        .unwrap();
    for (path, there) in [
        ("closed/kept", true),
        ("closed/removed", false),
        ("opaque/old", false),
        ("opaque/new", true),
        ("usr/lib/first", true),
        ("usr/lib/second", true),
        ("usr/third", true),
        ("usr/lib/third", true),
        ("lib", true),
        ("was-folder/inside", false),
        ("was-folder", true),
        ("hard", true),
    ] {
        assert_eq!(root.join(path).symlink_metadata().is_ok(), there, "{path}");
    }
    let closed = root.join("closed").metadata().unwrap();
    let expected = if nix::unistd::geteuid().is_root() {
        0o555
    } else {
        0o755
    };
    assert_eq!(closed.permissions().mode() & 0o777, expected);
    Ok(())
}

fn image_hostile() -> Result<(), Skip> {
    let bench = Bench::without_image();
    let outside = bench.folder.path().join("outside");
    let up = "../../../outside";
    for (layer, expected) in [
        (
            LayerBuilder::default().file(up, 0o644, b"x"),
            "the path leads out of the image",
        ),
        (
            LayerBuilder::default().file("a/../../x", 0o644, b"x"),
            "the path leads out of the image",
        ),
        (
            LayerBuilder::default().link(EntryType::Symlink, "a/link", "../../x"),
            "leads out of the image",
        ),
        (
            LayerBuilder::default().link(EntryType::Link, "link", "../x"),
            "leads out of the image",
        ),
        (
            LayerBuilder::default().file("a/.wh...", 0o644, b""),
            "the whiteout names no file",
        ),
    ] {
        bench.push("host/app:1", &[layer.bytes()], std::env::consts::ARCH);
        bench.start(vec![container(&["serve"])]);
        let (name, reason) = bench.start_failed();
        assert_eq!(name, "CannotPullContainerError");
        assert!(reason.contains(expected), "{reason}");
    }
    // A link to an absolute path is common; what is written through it stays inside.
    let layer = LayerBuilder::default()
        .link(
            EntryType::Symlink,
            "escape",
            bench.folder.path().to_str().unwrap(),
        )
        .file("escape/outside", 0o644, b"x")
        .bytes();
    bench.push("host/app:1", &[layer], std::env::consts::ARCH);
    bench.start(vec![container(&["serve"])]);
    assert_eq!(bench.start_failed().0, "CannotStartContainerError");
    assert!(!outside.exists());
    Ok(())
}

fn image_corrupt() -> Result<(), Skip> {
    let bench = Bench::without_image();
    let layer = LayerBuilder::default().file("a", 0o644, b"x").bytes();
    bench.push(
        "host/app:1",
        std::slice::from_ref(&layer),
        std::env::consts::ARCH,
    );
    let blob = bench
        .folder
        .path()
        .join("blobs")
        .join(digest(&gzip(&layer)));
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[12] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    bench.start(vec![container(&["serve"])]);
    let (name, reason) = bench.start_failed();
    assert_eq!(name, "CannotPullContainerError");
    assert!(
        reason.starts_with("unexpected content in layer: want sha256:"),
        "{reason}"
    );
    Ok(())
}

fn image_platforms() -> Result<(), Skip> {
    let bench = Bench::new()?;
    let (other, own) = match std::env::consts::ARCH {
        "aarch64" => ("amd64", "arm64"),
        _ => ("arm64", "amd64"),
    };
    let layer = LayerBuilder::default().file("program", 0o755, b"x").bytes();
    bench.push("host/other:1", &[layer], other);
    let mut spec = container(&["serve"]);
    spec.image = String::from("host/other:1");
    bench.start(vec![spec.clone()]);
    let (name, reason) = bench.start_failed();
    assert_eq!(name, "CannotStartContainerError");
    assert!(
        reason.starts_with("exec /program: exec format error (the image is for"),
        "{reason}"
    );

    let index = |architectures: &[(&str, &str)]| {
        let manifests: Vec<_> = architectures
            .iter()
            .map(|(reference, architecture)| {
                let digest = bench.digest_of(reference);
                json!({"digest": digest, "platform": {"os": "linux", "architecture": architecture}})
            })
            .collect();
        serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": manifests})).unwrap()
    };
    bench.manifest("host/other:2", index(&[("host/other:1", other)]));
    spec.image = String::from("host/other:2");
    bench.start(vec![spec]);
    let (name, reason) = bench.start_failed();
    assert_eq!(name, "CannotPullContainerError");
    assert_eq!(
        reason,
        format!("image Manifest does not contain descriptor matching platform 'linux/{own}'")
    );

    bench.manifest(
        "host/app:2",
        index(&[("host/other:1", other), ("host/app:1", own)]),
    );
    let mut spec = container(&["exit", "0"]);
    spec.image = String::from("host/app:2");
    bench.output(spec);
    Ok(())
}

fn resources_missing() -> Result<(), Skip> {
    let bench = Bench::new()?;
    let mut spec = container(&["serve"]);
    spec.secrets = vec![("A".to_owned(), "/app/nope".to_owned())];
    bench.start(vec![spec]);
    let (name, reason) = bench.start_failed();
    assert_eq!(name, "ResourceInitializationError");
    assert!(
        reason.ends_with("invalid parameters: /app/nope"),
        "{reason}"
    );

    let mut spec = container(&["exit", "0"]);
    spec.log.as_mut().unwrap().group = String::from("/not-there");
    bench.start(vec![spec.clone()]);
    let (name, reason) = bench.start_failed();
    assert_eq!(name, "ResourceInitializationError");
    assert!(
        reason.contains("The specified log group does not exist"),
        "{reason}"
    );
    spec.log.as_mut().unwrap().create_group = true;
    bench.output(spec);
    Ok(())
}
