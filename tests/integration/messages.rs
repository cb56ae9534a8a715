//! What people read when something is not as it should be, and the exit code that scripts see.

use std::net::TcpListener;

use longshore_tests::{Project, skip_without};

use crate::one_at_a_time;

#[test]
fn without_go_the_message_says_where_to_get_it() {
    let project = Project::example();
    let only_git = project.path("bin");
    std::fs::create_dir(&only_git).unwrap();
    let git = which("git");
    std::os::unix::fs::symlink(git, only_git.join("git")).unwrap();
    let output = project
        .command(&["build"])
        .env("PATH", &only_git)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("go.dev"), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

fn which(program: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.exists())
        .unwrap()
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    let _guard = one_at_a_time();
    let project = Project::example();
    let _taken = TcpListener::bind(("127.0.0.1", project.port())).unwrap();
    let run = project.run(&["local", "up"]);
    assert_ne!(run.code, Some(0));
    assert!(
        run.stderr.contains(&project.port().to_string()),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("LONGSHORE_LOCAL_PORT"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
}

#[test]
fn a_wrong_package_is_answered_with_the_packages_there_are() {
    if skip_without("go", "version") {
        return;
    }
    let project = Project::example();
    project.edit("api/pipeline.toml", "./cmd/server", "./cmd/srever");
    let run = project.run(&["build"]).expect(1);
    assert!(run.stderr.contains("./cmd/server"), "{}", run.stderr);
}

#[test]
fn a_program_that_does_not_compile_shows_the_compilers_words() {
    if skip_without("go", "version") {
        return;
    }
    let project = Project::example();
    project.edit(
        "api/cmd/server/main.go",
        "package main",
        "package main\n\nvar broken int = \"text\"\n",
    );
    let run = project.run(&["build"]).expect(1);
    assert!(run.stderr.contains("main.go:"), "{}", run.stderr);
}

#[test]
fn three_mistakes_are_three_places_and_exit_code_two() {
    let project = Project::example();
    project.edit("api/pipeline.toml", "[build]\npackage", "[build]\npakage");
    project.edit("api/pipeline.toml", "timeout = \"15m\"", "timeout = 15");
    project.edit(
        "api/pipeline.toml",
        "container = \"api\"",
        "container = \"app\"",
    );
    let run = project.run(&["deploy"]).expect(2);
    for place in [
        "pipeline.toml:8:1",
        "pipeline.toml:17:",
        "pakage",
        "did you mean",
    ] {
        assert!(run.stderr.contains(place), "{place}: {}", run.stderr);
    }
}

#[test]
fn an_unknown_environment_is_answered_with_the_known_ones() {
    let project = Project::example();
    let run = project.run(&["deploy", "--env", "prod"]).expect(2);
    assert!(run.stderr.contains("local, production"), "{}", run.stderr);
}

#[test]
fn variables_need_the_environments_leave() {
    let project = Project::example();
    let run = project
        .run(&["deploy", "--env", "production", "--variable", "A=b"])
        .expect(2);
    assert!(run.stderr.contains("allow-variables"), "{}", run.stderr);
}

/// A registry that cannot be reached: the endpoint is a closed port.
#[test]
fn an_aws_that_does_not_answer_is_no_mystery() {
    if skip_without("go", "version") {
        return;
    }
    let project = Project::example();
    let output = project
        .command(&["deploy", "--env", "production"])
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "not-a-secret-that-may-be-shown")
        .env("AWS_MAX_ATTEMPTS", "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(
        stderr.contains("127.0.0.1:1") || stderr.contains("refused"),
        "{stderr}"
    );
    assert!(!stderr.contains("not-a-secret"), "{stderr}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    if skip_without("go", "version") {
        return;
    }
    let project = Project::example();
    // A file where a folder must be: also root cannot write there.
    std::fs::write(project.path("blocked"), "").unwrap();
    let output = project
        .command(&["build"])
        .env("LONGSHORE_HOME", "blocked/home")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("blocked/home") && stderr.contains("LONGSHORE_HOME"),
        "{stderr}"
    );
}
