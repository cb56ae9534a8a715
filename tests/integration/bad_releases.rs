//! Releases that must go away by themselves, each for its own reason, while the old version answers every request.

use std::time::{Duration, Instant};

use longshore_tests::{Load, Project, skip_without};

use crate::{commit, one_at_a_time, seconds_to_verdict, url};

#[test]
fn a_bad_release_goes_away_by_itself() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = one_at_a_time();
    let project = Project::example();
    let good_commit = project.commit_of_head();
    let good = project.deploy(&[]).expect(0).json();
    let url = url(&good);

    let sidecar = r#""containerDefinitions": [{"name": "sidecar", "image": "127.0.0.1:1/nowhere@sha256:0000000000000000000000000000000000000000000000000000000000000000", "essential": false},"#;
    let task = "api/task-definition.json";
    let list = r#""containerDefinitions": ["#;
    let entry = r#""essential": true,"#;
    let no_program = r#""essential": true, "entryPoint": ["/no-such-program"],"#;
    let fault = |fault| Change::Variable(fault);
    let edit = Change::Edit;
    // A secret that is not there is found before anything is changed; see `rollouts.rs`.
    let table = [
        ("exit", fault("API_FAULT=exit"), "exit", Some(3)),
        (
            "unhealthy",
            fault("API_FAULT=unhealthy"),
            "health-check",
            None,
        ),
        ("hang", fault("API_FAULT=hang"), "health-check", None),
        (
            "no such program",
            edit(task, entry, no_program),
            "cannot-start",
            None,
        ),
        (
            "no such image",
            edit(task, list, sidecar),
            "image-pull",
            None,
        ),
    ];
    for (name, change, code, exit_code) in table {
        let load = Load::start(&format!("{url}/version"));
        let started = Instant::now();
        let run = match change {
            Change::Variable(variable) => project.deploy(&["--variable", variable]),
            Change::Edit(file, from, to) => {
                project.edit(file, from, to);
                let run = project.deploy(&[]);
                project.edit(file, to, from);
                run
            }
        };
        let took = started.elapsed();
        let tally = load.end();
        let run = run.expect(4);
        let receipt = run.json();
        let verdict = seconds_to_verdict(&run);
        eprintln!(
            "{name}: verdict after {verdict} s, {took:.1?} in all, {} requests; {}",
            tally.ok, receipt["cause"]["message"]
        );
        assert!(verdict < took.as_secs_f64(), "{name}: {verdict}");
        assert_eq!(receipt["outcome"], "rolled-back", "{name}");
        assert_eq!(receipt["cause"]["code"], code, "{name}: {}", run.stderr);
        assert_eq!(
            receipt["liveTaskDefinition"], good["taskDefinition"],
            "{name}"
        );
        if let Some(exit_code) = exit_code {
            assert_eq!(receipt["cause"]["exitCode"], exit_code, "{name}");
            let ended = &receipt["failedTasks"][0]["containers"][0];
            assert_eq!(ended["exitCode"], exit_code, "{name}: {receipt:#}");
            let tail = receipt["cause"]["logTail"].to_string();
            assert!(tail.contains("API_FAULT=exit"), "{name}: {tail}");
        }
        assert_eq!(tally.failures(), 0, "{name}: {tally:?}");
        assert_eq!(
            tally.bodies.len(),
            1,
            "{name}: the bad version answered: {tally:?}"
        );
        assert_eq!(commit(&url), good_commit, "{name}");
        assert!(took < Duration::from_mins(2), "{name}: {took:?}");
    }

    // Twice the memory that the task definition gives: each task is healthy for a moment, and ECS may call the deployment complete in it.
    let run = project.deploy(&["--variable", "API_FAULT=memory:1024"]);
    let run = run.expect(4);
    let receipt = run.json();
    assert_eq!(receipt["outcome"], "rolled-back");
    assert_eq!(receipt["cause"]["code"], "out-of-memory", "{}", run.stderr);
    assert_eq!(receipt["cause"]["exitCode"], 137);
    assert_eq!(receipt["liveTaskDefinition"], good["taskDefinition"]);
    let task = &receipt["failedTasks"][0];
    assert_eq!(task["stopCode"], "EssentialContainerExited", "{task:#}");
    assert_eq!(task["containers"][0]["exitCode"], 137, "{task:#}");
    assert_eq!(
        task["containers"][0]["reason"], "OutOfMemoryError: Container killed due to memory usage",
        "{task:#}"
    );
    eprintln!(
        "out of memory: verdict after {} s",
        seconds_to_verdict(&run)
    );
}

enum Change {
    Variable(&'static str),
    Edit(&'static str, &'static str, &'static str),
}

/// A first release has nothing to go back to, and a good one mends it.
#[test]
fn a_bad_first_release_is_told_and_mended_by_the_next() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = one_at_a_time();
    let project = Project::example();
    let run = project.deploy(&["--variable", "API_FAULT=exit"]).expect(5);
    assert!(run.stderr.contains("no earlier revision"), "{}", run.stderr);
    assert_eq!(run.json()["outcome"], "failed");
    let good = project.deploy(&["--supersede"]).expect(0).json();
    assert_eq!(good["outcome"], "succeeded");
}
