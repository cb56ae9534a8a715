//! The test stage: each thing that can be wrong is told in the first screen, ends with 1, and leaves nothing running.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use longshore_tests::{Project, Run, skip_without};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::valid;

const SCHEMA: &str = include_str!("../../schemas/test-report.schema.json");

/// A test file of the small service, with these imports and this body of its one test.
fn test_file(imports: &str, body: &str) -> String {
    format!(
        "package main\n\nimport (\n\t\"testing\"\n{imports}\n)\n\nfunc TestIt(t *testing.T) {{\n{body}\n}}\n"
    )
}

fn small(test: &str, imports: &str, body: &str) -> Project {
    Project::small(test, &[("small/main_test.go", &test_file(imports, body))])
}

/// What failed stands above everything else that is about the failure: in the first screen after the stages.
fn first_screen(run: &Run) -> String {
    let from = run.stderr.find("\nFAILED").expect(&run.stderr);
    run.stderr[from..]
        .lines()
        .take(12)
        .fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
}

#[track_caller]
fn explained(run: &Run, words: &[&str]) {
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let screen = first_screen(run);
    for word in words {
        assert!(screen.contains(word), "{word:?} is not in:\n{screen}");
    }
    assert!(!run.stderr.contains("panicked at"), "{}", run.stderr);
}

/// No folder of a database is left.
#[track_caller]
fn nothing_left(project: &Project) {
    let left: Vec<_> = std::fs::read_dir(project.home().join("tests"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_failing_test_is_shown_first_and_annotated() {
    if skip_without("go", "version") {
        return;
    }
    let project = small("", "", "\tt.Log(\"on the way\")\n\tt.Errorf(\"got %d\", 1)");
    let run = project.run(&["test", "--junit", "out/junit.xml", "--format", "json"]);
    explained(
        &run,
        &[
            "test failed  TestIt",
            "got 1",
            "at  small/main_test.go:10",
            "on the way",
        ],
    );
    let report = run.json();
    valid(&report, SCHEMA);
    assert_eq!(report["outcome"], "failed");
    let junit = std::fs::read_to_string(project.path("out/junit.xml")).unwrap();
    assert!(
        junit.contains("name=\"TestIt\"")
            && junit.contains("file=\"small/main_test.go\" line=\"10\""),
        "{junit}"
    );

    let summary = project.path("summary.md");
    let output = project
        .command(&["test"])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .unwrap();
    let run = Run::of(&output);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(
        run.stderr
            .contains("::error file=small/main_test.go,line=10,title=test failed%3A TestIt::got 1"),
        "{}",
        run.stderr
    );
    let summary = std::fs::read_to_string(summary).unwrap();
    assert!(summary.contains("## Tests of small: failed"), "{summary}");
}

/// The output of a test is text, whatever it says: no command to the runner, no markup of the summary.
#[test]
fn a_tests_output_commands_nothing() {
    if skip_without("go", "version") {
        return;
    }
    let project = small(
        "race = false",
        "\t\"fmt\"",
        "\tfmt.Println(\"::set-env name=PATH::/tmp\")\n\tt.Error(\"::add-mask::x\\n```\\n<img src=x>\")",
    );
    let summary = project.path("summary.md");
    let output = project
        .command(&["test"])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .unwrap();
    let run = Run::of(&output);
    let mut stopped = None;
    for line in run.stderr.lines() {
        if let Some(token) = line.strip_prefix("::stop-commands::") {
            stopped = Some(format!("::{token}::"));
        } else if stopped.as_deref() == Some(line) {
            stopped = None;
        } else if stopped.is_none() {
            let from_us = [
                "::error ",
                "::group::",
                "::endgroup::",
                "::add-mask::postgres",
            ];
            let command = line.trim_start().starts_with("::");
            assert!(
                !command || from_us.iter().any(|start| line.starts_with(start)),
                "{line}"
            );
        }
    }
    let summary = std::fs::read_to_string(summary).unwrap();
    assert!(!summary.contains("\n<img"), "{summary}");
    assert!(summary.contains("````text\n"), "{summary}");
}

#[test]
fn an_untidy_module_is_told_with_the_way_out() {
    if skip_without("go", "version") {
        return;
    }
    let project = Project::small(
        "race = false",
        &[
            (
                "small/go.mod",
                "module example.com/small\n\ngo 1.26\n\nrequire example.com/unused v1.0.0\n\nreplace example.com/unused => ../unused\n",
            ),
            ("unused/go.mod", "module example.com/unused\n\ngo 1.26\n"),
            ("unused/unused.go", "package unused\n"),
        ],
    );
    let run = project.run(&["test"]);
    explained(
        &run,
        &[
            "not tidy",
            "small/go.mod",
            "run `go mod tidy` in small",
            "-require example.com/unused v1.0.0",
        ],
    );
}

#[test]
fn a_data_race_is_told_with_both_lines() {
    if skip_without("go", "version") {
        return;
    }
    let project = small(
        "",
        "",
        "\tx, done := 0, make(chan bool)\n\tgo func() { x++; done <- true }()\n\tx++\n\t<-done\n\tt.Log(x)",
    );
    let run = project.run(&["test"]);
    explained(
        &run,
        &[
            "data race  TestIt",
            "write at small/main_test.go:1",
            "mutex",
        ],
    );
}

#[test]
fn a_hanging_test_is_ended_and_named() {
    if skip_without("go", "version") {
        return;
    }
    let project = small(
        "race = false\ntimeout = \"2s\"",
        "\t\"os\"\n\t\"os/exec\"\n\t\"strconv\"\n\t\"time\"",
        "\tsleep := exec.Command(\"sleep\", \"600\")\n\tsleep.Stdout = os.Stdout\n\tif err := sleep.Start(); err != nil {\n\t\tt.Fatal(err)\n\t}\n\t_ = os.WriteFile(\"pid\", []byte(strconv.Itoa(sleep.Process.Pid)), 0o600)\n\ttime.Sleep(time.Hour)",
    );
    let run = project.run(&["test"]);
    explained(
        &run,
        &[
            "hangs  TestIt",
            "no end after 2s: TestIt (2s)",
            "small/main_test.go:18",
            "timeout",
        ],
    );
    gone(&project.path("small/pid"));
}

/// The process whose number a file holds has ended.
#[track_caller]
fn gone(file: &Path) {
    let pid: i32 = std::fs::read_to_string(file).unwrap().parse().unwrap();
    let since = Instant::now();
    // It was killed; init reaps it in its own time. A zombie runs no more.
    while kill(Pid::from_raw(pid), None).is_ok() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(5), "{pid} still runs");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Programs for a PATH of its own: links to those that are there, scripts for the others.
fn programs(project: &Project, links: &[&str], scripts: &[(&str, &str)]) -> std::path::PathBuf {
    let bin = project.path("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for name in links {
        let found = std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|path| path.exists())
            .unwrap();
        std::os::unix::fs::symlink(found.canonicalize().unwrap(), bin.join(name)).unwrap();
    }
    for (name, text) in scripts {
        let file = bin.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    bin
}

#[test]
fn without_a_c_compiler_the_race_detector_is_the_reason() {
    if skip_without("go", "version") {
        return;
    }
    let project = small("", "", "");
    let bin = programs(&project, &["go", "git"], &[]);
    let output = project
        .command(&["test"])
        .env("PATH", bin)
        .output()
        .unwrap();
    explained(
        &Run::of(&output),
        &[
            "cannot run",
            "the race detector needs a C compiler",
            "race = false",
        ],
    );
}

#[test]
fn a_postgresql_that_does_not_start_is_told_with_its_own_words() {
    if skip_without("go", "version") {
        return;
    }
    let project = small("race = false\n[test.postgres]", "", "");
    let fails = "echo 'FATAL:  could not create shared memory segment: No space left on device' >&2; exit 1";
    let bin = programs(
        &project,
        &["go", "git", "mkdir", "touch"],
        &[
            (
                "initdb",
                "while [ $# -gt 0 ]; do [ \"$1\" = -D ] && mkdir -p \"$2\" && touch \"$2/PG_VERSION\"; shift; done",
            ),
            ("pg_ctl", fails),
            ("postgres", fails),
            ("createdb", fails),
        ],
    );
    let output = project
        .command(&["test"])
        .env("PATH", bin)
        .env_remove("DATABASE_URL")
        .output()
        .unwrap();
    let run = Run::of(&output);
    explained(
        &run,
        &[
            "no PostgreSQL",
            "No space left on device",
            "DATABASE_URL",
            "[test.postgres]",
        ],
    );
    nothing_left(&project);
}

#[test]
fn a_throwaway_postgresql_lives_as_long_as_the_tests() {
    if skip_without("go", "version") || !have_postgres() {
        return;
    }
    let project = small(
        "race = false\n[test.postgres]\ndatabase = \"words\"\nvariable = \"TEST_URL\"",
        "\t\"net\"\n\t\"net/url\"\n\t\"os\"",
        "\tu, err := url.Parse(os.Getenv(\"TEST_URL\"))\n\tif err != nil || u.Path != \"/words\" {\n\t\tt.Fatal(u, err)\n\t}\n\tconn, err := net.Dial(\"tcp\", u.Host)\n\tif err != nil {\n\t\tt.Fatal(err)\n\t}\n\tconn.Close()\n\t_ = os.WriteFile(\"port\", []byte(u.Port()), 0o600)",
    );
    let run = project.run(&["test", "--format", "json"]).expect(0);
    valid(&run.json(), SCHEMA);
    let port: u16 = std::fs::read_to_string(project.path("small/port"))
        .unwrap()
        .parse()
        .unwrap();
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    nothing_left(&project);
    // The password is in the child's environment and nowhere else.
    assert!(!format!("{run:?}").contains("postgres://"), "{run:?}");

    // One that is provided is used.
    let output = project
        .command(&["test"])
        .env(
            "TEST_URL",
            format!("postgres://u:secret@127.0.0.1:{}/words", project.port()),
        )
        .output()
        .unwrap();
    let run = Run::of(&output);
    explained(&run, &["connection refused"]);
    assert!(
        run.stderr.contains("TEST_URL is set already"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("secret"), "{}", run.stderr);
}

fn have_postgres() -> bool {
    let there = Path::new("/usr/lib/postgresql").exists() || !skip_without("initdb", "--version");
    if !there {
        eprintln!("skipped: no PostgreSQL");
    }
    there
}

/// Ctrl-C, and death without warning: the first leaves nothing, the second nothing that the next run does not remove.
#[test]
fn an_interrupted_run_leaves_nothing_running() {
    if skip_without("go", "version") || !have_postgres() {
        return;
    }
    let project = small(
        "race = false\n[test.postgres]",
        "\t\"net/url\"\n\t\"os\"\n\t\"strconv\"\n\t\"time\"",
        "\tu, _ := url.Parse(os.Getenv(\"DATABASE_URL\"))\n\t_ = os.WriteFile(\"pid\", []byte(strconv.Itoa(os.Getpid())), 0o600)\n\t_ = os.WriteFile(\"port\", []byte(u.Port()), 0o600)\n\tif os.Getenv(\"QUICK\") == \"\" {\n\t\ttime.Sleep(time.Hour)\n\t}",
    );
    let start = || {
        let child = project
            .command(&["test"])
            .env_remove("DATABASE_URL")
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let since = Instant::now();
        while !project.path("small/port").exists() {
            assert!(since.elapsed() < Duration::from_mins(2), "no test began");
            std::thread::sleep(Duration::from_millis(50));
        }
        child
    };
    let port = || -> u16 {
        let text = std::fs::read_to_string(project.path("small/port")).unwrap();
        text.parse().unwrap()
    };
    let child = start();
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    let run = Run::of(&child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("interrupted"), "{}", run.stderr);
    gone(&project.path("small/pid"));
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port())).is_err());
    nothing_left(&project);

    std::fs::remove_file(project.path("small/port")).unwrap();
    let mut child = start();
    child.kill().unwrap();
    child.wait().unwrap();
    let left = port();
    let pid: i32 = std::fs::read_to_string(project.path("small/pid"))
        .unwrap()
        .parse()
        .unwrap();
    let output = project
        .command(&["test"])
        .env("QUICK", "yes")
        .env_remove("DATABASE_URL")
        .output()
        .unwrap();
    Run::of(&output).expect(0);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, left)).is_err());
    nothing_left(&project);
    // The tests of the killed run are not ours to find; the test ends its own.
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

#[test]
fn a_wrong_setting_is_bad_input() {
    let project = Project::small("race = \"yes\"", &[]);
    let run = project.run(&["test"]).expect(2);
    assert!(run.stderr.contains("pipeline.toml:6:"), "{}", run.stderr);
}

/// Where an environment asks for it, nothing is deployed that fails its tests; and the tests do not see the deployment's credentials.
#[test]
fn a_deployment_is_stopped_by_its_tests() {
    if skip_without("go", "version") {
        return;
    }
    let project = small(
        "race = false",
        "\t\"os\"",
        "\tif os.Getenv(\"AWS_SECRET_ACCESS_KEY\") != \"\" {\n\t\tt.Fatal(\"credentials\")\n\t}\n\tt.Fatal(\"not good\")",
    );
    let output = project
        .command(&["deploy", "--format", "json"])
        .env("AWS_SECRET_ACCESS_KEY", "x")
        .output()
        .unwrap();
    let run = Run::of(&output);
    explained(&run, &["test failed  TestIt", "not good"]);
    assert!(!run.stderr.contains("go build"), "{}", run.stderr);
    let receipt = run.json();
    assert_eq!(receipt["outcome"], "failed");
    valid(&receipt, include_str!("../../schemas/receipt.schema.json"));
}

/// The examples of the documentation: a program that is not there is named with where to get it.
#[test]
fn a_missing_vulnerability_scanner_is_named() {
    if skip_without("go", "version") {
        return;
    }
    let project = small("race = false\nvulnerabilities = true", "", "");
    let bin = programs(&project, &["go", "git"], &[]);
    let output = project
        .command(&["test"])
        .env("PATH", &bin)
        .output()
        .unwrap();
    explained(
        &Run::of(&output),
        &["govulncheck", "go install golang.org/x/vuln"],
    );
    // A stand-in that finds something.
    let bin = programs(
        &project,
        &[],
        &[(
            "govulncheck",
            "echo 'Vulnerability #1: GO-2024-2687'; echo '    flood in net/http'; echo '    Fixed in: golang.org/x/net@v0.23.0'; exit 3",
        )],
    );
    let output = project
        .command(&["test"])
        .env("PATH", &bin)
        .output()
        .unwrap();
    explained(
        &Run::of(&output),
        &["vulnerability", "GO-2024-2687", "v0.23.0"],
    );
}
