//! `go build` as people's modules need it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{BuildError, Cache, GoBuild, ImageSpec, Platform, assemble};

/// Says that a test is skipped where Go is missing.
pub fn has_go() -> bool {
    let found = Command::new("go").arg("version").output().is_ok();
    if !found {
        // Not `eprintln!`, which the test harness hides when a test passes.
        let _ = writeln!(std::io::stderr(), "skipped: no Go on PATH");
    }
    found
}

pub fn write_module(folder: &Path) {
    let files = [
        ("go.mod", "module example.com/shop\n\ngo 1.21\n"),
        (
            "cmd/api/main.go",
            "package main\n\nvar commit = \"none\"\n\nfunc main() { println(commit) }\n",
        ),
        ("cmd/worker/main.go", "package main\n\nfunc main() {}\n"),
        ("store/store.go", "package store\n\nfunc Open() {}\n"),
        (
            "cmd/broken/main.go",
            "package main\n\nfunc main() { undefined() }\n",
        ),
    ];
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

pub fn go_build(folder: &Path, package: &str) -> GoBuild {
    GoBuild {
        module_dir: folder.join("module"),
        package: package.to_owned(),
        platform: Platform::LINUX_AMD64,
        commit_variable: Some("main.commit".to_owned()),
        commit: "0123abc".to_owned(),
        ldflags: Vec::new(),
        tags: Vec::new(),
        env: Vec::new(),
        output_dir: folder.join("out"),
    }
}

#[test]
fn a_go_program_becomes_the_same_image_in_two_folders() {
    if !has_go() {
        return;
    }
    let make = || {
        let folder = tempfile::tempdir().unwrap();
        write_module(&folder.path().join("module"));
        let build = go_build(folder.path(), "./cmd/api");
        let binary = image::go::build(&build).unwrap();
        assert_eq!(
            binary,
            folder
                .path()
                .canonicalize()
                .unwrap()
                .join("out/linux-amd64/api")
        );
        let holds_commit = fs::read(&binary)
            .unwrap()
            .windows(7)
            .any(|window| window == b"0123abc");
        assert!(holds_commit);
        let spec = ImageSpec::new(build.platform, binary, "api", "0123abc");
        assemble(&spec, &Cache::new(folder.path().join("cache")))
            .unwrap()
            .manifest_digest
    };
    assert_eq!(make(), make());
}

#[test]
fn a_go_program_is_built_for_arm64_too() {
    if !has_go() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_module(&folder.path().join("module"));
    let build = GoBuild {
        platform: Platform::LINUX_ARM64,
        ..go_build(folder.path(), "./cmd/worker")
    };
    let binary = image::go::build(&build).unwrap();
    let spec = ImageSpec::new(Platform::LINUX_ARM64, binary, "worker", "0123abc");
    assemble(&spec, &Cache::new(folder.path().join("cache"))).unwrap();
}

#[test]
fn each_way_a_go_build_fails_has_its_own_words() {
    if !has_go() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_module(&folder.path().join("module"));
    let module = |package: &str| go_build(folder.path(), package);
    let mains = "the main packages are: ./cmd/api, ./cmd/broken, ./cmd/worker";

    let error = image::go::build(&module("./cmd/apo")).unwrap_err();
    assert!(
        matches!(error, BuildError::PackageNotFound { .. }),
        "{error}"
    );
    assert!(error.to_string().contains(mains), "{error}");

    let error = image::go::build(&module("./store")).unwrap_err();
    assert!(matches!(error, BuildError::NotMain { .. }), "{error}");
    assert!(error.to_string().contains(mains), "{error}");

    let error = image::go::build(&module("./cmd/broken")).unwrap_err();
    assert!(matches!(error, BuildError::Failed { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("cmd/broken/main.go:3:15: undefined: undefined"),
        "{error}"
    );

    for package in ["./...", "-o", "", "a b"] {
        let error = image::go::build(&module(package)).unwrap_err();
        assert!(matches!(error, BuildError::BadPackage(_)), "{error}");
    }
    let nowhere = GoBuild {
        module_dir: folder.path().join("nowhere"),
        ..module(".")
    };
    assert!(matches!(
        image::go::build(&nowhere),
        Err(BuildError::NoFolder(_))
    ));
    let no_module = GoBuild {
        module_dir: folder.path().to_owned(),
        ..module(".")
    };
    assert!(matches!(
        image::go::build(&no_module),
        Err(BuildError::NoModule(_))
    ));
}

#[test]
fn a_missing_go_is_said_with_where_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    write_module(&folder.path().join("module"));
    let empty: PathBuf = folder.path().join("empty");
    let build = GoBuild {
        env: vec![("PATH".to_owned(), empty.display().to_string())],
        ..go_build(folder.path(), "./cmd/api")
    };
    let error = image::go::build(&build).unwrap_err();
    insta::assert_snapshot!(error, @"`go` is not on PATH: install Go from https://go.dev/dl");
}
