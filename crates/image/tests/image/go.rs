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

fn go_build(folder: &Path, package: &str) -> GoBuild {
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
        commit_variable: None,
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

/// Modules as people have them. Each is built without a network; the program prints what it was stamped with, and what
/// else shows that the right sources went in.
#[test]
fn modules_of_all_shapes_are_built() {
    const MAIN: &str = "package main\n\nvar commit string\n\nfunc main() { println(commit) }\n";
    const LIBRARY: &str = "package lib\n\nfunc Name() string { return \"lib\" }\n";
    const USES_LIBRARY: &str = "package main\n\nimport \"example.com/lib\"\n\nvar commit string\n\nfunc main() { println(commit, lib.Name()) }\n";
    if !has_go() {
        return;
    }
    let shapes: [Shape; 10] = [
        Shape {
            what: "main at the module's root",
            files: &[
                ("go.mod", "module example.com/shop/v2\n\ngo 1.21\n"),
                ("main.go", MAIN),
            ],
            package: ".",
            name: "shop",
            ..Shape::DEFAULT
        },
        Shape {
            what: "an import path",
            files: &[
                ("go.mod", "module example.com/shop\n"),
                ("cmd/api/main.go", MAIN),
            ],
            package: "example.com/shop/cmd/api",
            ..Shape::DEFAULT
        },
        Shape {
            what: "the service in a folder below the module's",
            files: &[
                ("go.mod", "module example.com/mono\n"),
                ("services/api/cmd/api/main.go", MAIN),
            ],
            folder: "services/api",
            ..Shape::DEFAULT
        },
        Shape {
            what: "the module in a folder below the service's",
            files: &[
                ("backend/go.mod", "module example.com/shop\n"),
                ("backend/cmd/api/main.go", MAIN),
            ],
            package: "./backend/cmd/api",
            ..Shape::DEFAULT
        },
        Shape {
            what: "a module within a module",
            files: &[
                ("go.mod", "module example.com/shop\n"),
                ("root.go", "package shop\n"),
                ("api/go.mod", "module example.com/shop/api\n"),
                ("api/main.go", MAIN),
            ],
            package: "./api",
            ..Shape::DEFAULT
        },
        Shape {
            what: "a workspace",
            files: &[
                ("go.work", "go 1.21\n\nuse (\n\t./api\n\t./lib\n)\n"),
                ("lib/go.mod", "module example.com/lib\n\ngo 1.21\n"),
                ("lib/lib.go", LIBRARY),
                ("api/go.mod", "module example.com/shop\n\ngo 1.21\n"),
                ("api/main.go", USES_LIBRARY),
            ],
            folder: "api",
            package: ".",
            name: "shop",
            says: "0123abc lib",
            ..Shape::DEFAULT
        },
        Shape {
            what: "a library beside it, by `replace`",
            files: &[
                ("lib/go.mod", "module example.com/lib\n\ngo 1.21\n"),
                ("lib/lib.go", LIBRARY),
                (
                    "api/go.mod",
                    "module example.com/shop\n\ngo 1.21\n\nrequire example.com/lib v0.0.0\n\nreplace example.com/lib => ../lib\n",
                ),
                ("api/main.go", USES_LIBRARY),
            ],
            folder: "api",
            package: ".",
            name: "shop",
            says: "0123abc lib",
            ..Shape::DEFAULT
        },
        Shape {
            what: "vendored modules",
            files: &[
                (
                    "go.mod",
                    "module example.com/shop\n\ngo 1.21\n\nrequire example.com/lib v1.0.0\n",
                ),
                (
                    "vendor/modules.txt",
                    "# example.com/lib v1.0.0\n## explicit; go 1.21\nexample.com/lib\n",
                ),
                ("vendor/example.com/lib/lib.go", LIBRARY),
                ("cmd/api/main.go", USES_LIBRARY),
            ],
            says: "0123abc lib",
            ..Shape::DEFAULT
        },
        Shape {
            what: "embedded files",
            files: &[
                ("go.mod", "module example.com/shop\n\ngo 1.21\n"),
                ("cmd/api/hello.txt", "hello"),
                (
                    "cmd/api/main.go",
                    "package main\n\nimport _ \"embed\"\n\n//go:embed hello.txt\nvar hello string\n\nvar commit string\n\nfunc main() { println(commit, hello) }\n",
                ),
            ],
            says: "0123abc hello",
            ..Shape::DEFAULT
        },
        Shape {
            what: "the commit in a package of its own",
            files: &[
                ("go.mod", "module example.com/shop\n\ngo 1.21\n"),
                (
                    "internal/build/build.go",
                    "package build\n\nvar Commit = \"dev\"\n",
                ),
                (
                    "cmd/api/main.go",
                    "package main\n\nimport \"example.com/shop/internal/build\"\n\nfunc main() { println(build.Commit) }\n",
                ),
            ],
            variable: "example.com/shop/internal/build.Commit",
            ..Shape::DEFAULT
        },
    ];
    for shape in shapes {
        let folder = tempfile::tempdir().unwrap();
        write_files(folder.path(), shape.files);
        let build = GoBuild {
            module_dir: folder.path().join(shape.folder),
            platform: crate::probe::host(),
            commit_variable: Some(shape.variable.to_owned()),
            env: offline(),
            ..go_build(folder.path(), shape.package)
        };
        let binary =
            image::go::build(&build).unwrap_or_else(|error| panic!("{}: {error}", shape.what));
        assert_eq!(binary.file_name().unwrap(), shape.name, "{}", shape.what);
        let output = Command::new(binary).output().unwrap();
        // `println` writes to standard error.
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.trim(), shape.says, "{}", shape.what);
    }
}

struct Shape {
    what: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// Where pipeline.toml would be.
    folder: &'static str,
    package: &'static str,
    variable: &'static str,
    name: &'static str,
    says: &'static str,
}

impl Shape {
    const DEFAULT: Self = Self {
        what: "",
        files: &[],
        folder: "",
        package: "./cmd/api",
        variable: "main.commit",
        name: "api",
        says: "0123abc",
    };
}

fn offline() -> Vec<(String, String)> {
    [("GOPROXY", "off"), ("GOFLAGS", "")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

fn write_files(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn a_go_that_is_too_old_is_said_with_what_to_do() {
    if !has_go() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_files(
        folder.path(),
        &[
            ("module/go.mod", "module example.com/shop\n\ngo 1.99.1\n"),
            ("module/cmd/api/main.go", "package main\n\nfunc main() {}\n"),
        ],
    );
    for (toolchain, reason) in [("local", "GOTOOLCHAIN=local"), ("auto", "not available")] {
        let mut build = go_build(folder.path(), "./cmd/api");
        build.env = offline();
        build
            .env
            .push(("GOTOOLCHAIN".to_owned(), toolchain.to_owned()));
        let error = image::go::build(&build).unwrap_err();
        assert!(
            matches!(&error, BuildError::Toolchain { wanted, reason: found } if wanted == "1.99.1" && found.contains(reason)),
            "{error}"
        );
        assert!(error.to_string().contains("https://go.dev/dl"), "{error}");
    }
}

#[test]
fn a_commit_that_does_not_arrive_is_said() {
    if !has_go() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_module(&folder.path().join("module"));
    for variable in ["main.comit", "example.com/shop/cmd/api.commit"] {
        let build = GoBuild {
            commit_variable: Some(variable.to_owned()),
            ..go_build(folder.path(), "./cmd/api")
        };
        let error = image::go::build(&build).unwrap_err();
        assert!(
            matches!(&error, BuildError::NoCommitVariable(name) if name == variable),
            "{error}"
        );
    }
}

#[test]
fn a_package_in_a_module_below_is_missed_by_its_name() {
    if !has_go() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_module(&folder.path().join("module/backend"));
    let error = image::go::build(&go_build(folder.path(), "./backend/cmd/apo")).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("no package `./backend/cmd/apo`") && text.contains("./backend/cmd/api,"),
        "{text}"
    );
    let error = image::go::build(&go_build(folder.path(), "./nowhere")).unwrap_err();
    assert!(matches!(error, BuildError::NoModule(_)), "{error}");
}
