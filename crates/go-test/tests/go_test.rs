//! The report, from recorded streams of Go's own programs.

use std::fmt::Write as _;
use std::path::PathBuf;

use go_test::{
    Collected, Collector, Kind, Outcome, Problem, Report, Sources, Step, junit, untidy, verify,
    vet, vulnerabilities,
};
use proptest::prelude::*;

/// One package that fails in many ways, one that does not compile, one that hangs, one without tests.
const MIXED: &str = include_str!("fixtures/mixed.jsonl");

fn sources() -> Sources {
    let mut sources = Sources {
        root: PathBuf::from("/src"),
        folder: PathBuf::from("/src"),
        ..Sources::default()
    };
    sources.list("x/a\t/src/a\nx/b\t/src/b\nx/c\t/src/c\nx/d\t/src/d\n");
    sources
}

fn collect(stream: &str) -> Collected {
    let mut collector = Collector::default();
    for line in stream.lines() {
        collector.line(line);
    }
    collector.finish(&sources())
}

fn summary(problems: &[Problem]) -> String {
    problems.iter().fold(String::new(), |mut text, problem| {
        let place = problem.place.as_ref().map_or_else(String::new, |place| {
            format!(
                "{}:{}:{}",
                place.file,
                place.line,
                place.column.unwrap_or(0)
            )
        });
        let _ = writeln!(
            text,
            "{} | {} | {} | {place} | {}",
            problem.kind.name(),
            problem.package.as_deref().unwrap_or("-"),
            problem.test.as_deref().unwrap_or("-"),
            problem.message
        );
        text
    })
}

#[test]
fn every_failure_is_told_as_what_it_is() {
    insta::assert_snapshot!(summary(&collect(MIXED).problems), @r"
    does not compile | x/b | - | b/b_test.go:3:31 | declared and not used: s
    does not compile | x/b | - | b/b_test.go:3:42 | cannot use 1 (untyped int constant) as string value in variable declaration
    data race | x/a | TestRace | a/a_test.go:6:0 | read at a/a_test.go:6, previous write at a/a_test.go:6
    hangs | x/c | TestHang | c/c_test.go:3:0 | no end after 3s: TestHang (3s)
    panic | x/a | TestZ | a/a_test.go:7:0 | assignment to entry in nil map
    test failed | x/a | TestFail | a/a_test.go:3:0 | bad 1
    test failed | x/a | TestFail/sub_x | a/a_test.go:3:0 | sub bad
    ");
}

#[test]
fn packages_and_tests_are_counted() {
    let collected = collect(MIXED);
    let outcomes: Vec<_> = collected
        .packages
        .iter()
        .map(|package| (package.name.as_str(), package.outcome, package.tests.len()))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("x/a", Outcome::Failed, 6),
            ("x/b", Outcome::Failed, 0),
            ("x/c", Outcome::Failed, 1),
            ("x/d", Outcome::Skipped, 0),
        ]
    );
    assert_eq!(collected.other, "");
}

#[test]
fn the_junit_file_holds_all_of_it() {
    let mut collected = collect(MIXED);
    // Go's dumps are long and name its own lines; the beginning is what a person reviews.
    for package in &mut collected.packages {
        for test in &mut package.tests {
            test.seconds = 0.0;
            test.output = test.output.lines().take(2).collect::<Vec<_>>().join("\n");
        }
        package.seconds = 0.0;
    }
    let report = Report {
        outcome: Outcome::Failed,
        service: "api".to_owned(),
        commit: "c0ffee".to_owned(),
        seconds: 3.5,
        steps: vec![
            Step {
                name: "vet".to_owned(),
                command: "go vet ./...".to_owned(),
                outcome: Outcome::Passed,
                seconds: 0.5,
                problems: Vec::new(),
                packages: Vec::new(),
            },
            Step {
                name: "test".to_owned(),
                command: "go test ./...".to_owned(),
                outcome: Outcome::Failed,
                seconds: 3.0,
                problems: collected.problems,
                packages: collected.packages,
            },
        ],
    };
    insta::assert_snapshot!(junit(&report));
}

/// A stream that is cut in the middle, as by a kill: what ran counts as failed.
#[test]
fn a_stream_that_ends_in_the_middle_is_a_failure() {
    let cut: Vec<&str> = MIXED
        .lines()
        .filter(|line| line.contains("\"x/c\""))
        .take(3)
        .collect();
    let collected = collect(&cut.join("\n"));
    assert_eq!(collected.packages[0].outcome, Outcome::Failed);
    assert_eq!(
        summary(&collected.problems),
        "package failed | x/c | TestHang |  | it ended in the middle, without a word\n"
    );
}

#[test]
fn a_package_that_fails_outside_its_tests_is_told() {
    let stream = r#"{"Action":"start","Package":"x/a"}
{"Action":"output","Package":"x/a","Output":"main_test.go: no database\n"}
{"Action":"output","Package":"x/a","Output":"exit status 3\n"}
{"Action":"output","Package":"x/a","Output":"FAIL\tx/a\t0.01s\n"}
{"Action":"fail","Package":"x/a","Elapsed":0.01}
"#;
    assert_eq!(
        summary(&collect(stream).problems),
        "package failed | x/a | - |  | main_test.go: no database\n"
    );
}

#[test]
fn vet_names_its_places() {
    let output = "# x/a\n# [x/a]\na/a.go:7:2: fmt.Printf format %d has arg \"x\" of wrong type string\n./main.go:3: unreachable code\nvet: b/b_test.go:3:42: cannot use 1\n";
    insta::assert_snapshot!(summary(&vet(output, &sources())), @r#"
    vet | x/a | - | a/a.go:7:2 | fmt.Printf format %d has arg "x" of wrong type string
    vet | x/a | - | main.go:3:0 | unreachable code
    vet | x/a | - | b/b_test.go:3:42 | cannot use 1
    "#);
}

#[test]
fn an_untidy_module_says_how_to_mend_it() {
    let diff = "diff current/go.mod tidy/go.mod\n--- current/go.mod\n+++ tidy/go.mod\n@@ -1,3 +1,4 @@\n module x\n-require a v1\n+require a v2\n+require b v1\ndiff current/go.sum tidy/go.sum\n--- current/go.sum\n+++ tidy/go.sum\n+a v2 h1:x\n";
    let problem = untidy(diff, "services/api");
    assert_eq!(
        problem.message,
        "go.mod and go.sum differ from what `go mod tidy` writes: 3 lines to add, 1 to remove"
    );
    assert_eq!(problem.place.unwrap().file, "services/api/go.mod");
    assert!(problem.help.unwrap().contains("services/api"));
}

#[test]
fn a_changed_module_is_told() {
    let problem = verify("github.com/x/y v1.2.3: dir has been modified (/home/u/go/pkg/mod/…)\n");
    assert_eq!(problem.kind, Kind::Module);
    assert!(problem.message.starts_with("github.com/x/y v1.2.3"));
}

#[test]
fn vulnerabilities_name_the_version_to_take() {
    let output = "=== Symbol Results ===\n\nVulnerability #1: GO-2024-2687\n    HTTP/2 CONTINUATION flood in net/http\n  More info: https://pkg.go.dev/vuln/GO-2024-2687\n  Module: golang.org/x/net\n    Found in: golang.org/x/net@v0.20.0\n    Fixed in: golang.org/x/net@v0.23.0\n\nVulnerability #2: GO-2025-0001\n    Something else\n    Fixed in: N/A\n\nYour code is affected by 2 vulnerabilities.\n";
    let problems = vulnerabilities(output);
    assert_eq!(problems.len(), 2);
    assert_eq!(
        problems[0].message,
        "GO-2024-2687: HTTP/2 CONTINUATION flood in net/http"
    );
    assert!(problems[0].help.as_ref().unwrap().contains("v0.23.0"));
    assert!(problems[1].help.as_ref().unwrap().contains("no version"));
}

proptest! {
    /// Whatever the stream holds, and wherever it is cut: a report, never a panic.
    #[test]
    fn any_stream_gives_a_report(
        lines in proptest::collection::vec(0..MIXED.lines().count(), 0..60),
        noise in "\\PC{0,40}",
        cut in 0_usize..400,
    ) {
        let all: Vec<&str> = MIXED.lines().collect();
        let mut collector = Collector::default();
        for index in &lines {
            collector.line(all[*index]);
        }
        collector.line(&noise);
        let line = all[lines.first().copied().unwrap_or(0)];
        if let Some(part) = line.get(..cut.min(line.len())) {
            collector.line(part);
        }
        let collected = collector.finish(&sources());
        for package in collected.packages {
            let told = collected.problems.iter().any(|p| p.package.as_deref() == Some(&package.name));
            // A package that failed is never without a word; one that does not compile has it from the compiler's events.
            let compiles = package.name != "x/b";
            prop_assert!(package.outcome != Outcome::Failed || told || !compiles, "{package:?}");
        }
    }
}
