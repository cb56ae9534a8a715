//! What people read when something is not as it should be, and the exit code that scripts see.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

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
    let text = std::fs::read_to_string(project.path("api/pipeline.toml")).unwrap();
    let line = 1 + text
        .lines()
        .position(|line| line.ends_with("= 15"))
        .unwrap();
    for place in [
        "pipeline.toml:8:1",
        &format!("pipeline.toml:{line}:11"),
        "pakage",
        "did you mean",
    ] {
        assert!(run.stderr.contains(place), "{place}: {}", run.stderr);
    }
}

#[test]
fn two_services_of_one_name_are_refused_by_every_command_that_takes_one() {
    let project = Project::example();
    std::fs::create_dir(project.path("copy")).unwrap();
    for file in ["pipeline.toml", "task-definition.json"] {
        std::fs::copy(
            project.path(&format!("api/{file}")),
            project.path(&format!("copy/{file}")),
        )
        .unwrap();
    }
    for command in [
        &["check"][..],
        &["deploy", "--service", "api"],
        &["rollback", "--service", "api"],
        &["status", "--service", "api"],
        &["render", "--service", "api"],
    ] {
        let run = project.run(command).expect(2);
        for place in ["api/pipeline.toml:5:8", "copy/pipeline.toml:5:8"] {
            assert!(run.stderr.contains(place), "{command:?}: {}", run.stderr);
        }
    }
}

#[test]
fn a_port_that_is_none_is_bad_input() {
    let project = Project::example();
    let output = project
        .command(&["local", "status"])
        .env("LONGSHORE_LOCAL_PORT", "abc")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
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

/// A disk of two megabytes, where a folder of longshore's is; then a build. None where this machine does not let its users mount.
fn build_on_a_small_disk(project: &Project, folder: &str) -> Option<(Option<i32>, String)> {
    let mounting = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .output();
    if !mounting.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this machine does not allow mounts in a namespace");
        return None;
    }
    let build = project.command(&["build"]);
    std::fs::create_dir_all(project.path(folder)).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
        .arg("mount -t tmpfs -o size=2m tmpfs \"$1\" && exec \"$0\" build")
        .arg(build.get_program())
        .arg(project.path(folder))
        .current_dir(project.path(""));
    for (name, value) in build.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Some((output.status.code(), stderr))
}

#[test]
fn a_full_disk_is_said_with_what_may_go() {
    if skip_without("go", "version") {
        return;
    }
    for (folder, words) in [
        // The program does not fit.
        (
            ".longshore",
            "no space left on a disk while Go was building",
        ),
        // The program fits, its layer does not.
        (
            ".longshore/cache",
            "everything in this cache can be deleted",
        ),
    ] {
        let project = Project::example();
        let Some((code, stderr)) = build_on_a_small_disk(&project, folder) else {
            return;
        };
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
        assert!(stderr.contains(".longshore"), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

/// ECR answers, its registry does not: a proxy, a firewall, an endpoint that is missing in the network.
#[test]
fn a_registry_that_is_down_is_named_and_nothing_live_was_touched() {
    if skip_without("go", "version") {
        return;
    }
    let project = Project::example();
    // No tests before this deployment: they are not what this is about.
    project.edit(
        "api/pipeline.toml",
        "[environments.production]",
        "[environments.production]\ntest = false",
    );
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let registry = closed.local_addr().unwrap().to_string();
    drop(closed);
    let aws = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", aws.local_addr().unwrap());
    let uri = format!("{registry}/longshore/api");
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&seen);
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in aws.incoming() {
            let operation = answer_aws(stream.unwrap(), &uri);
            log.lock().unwrap().push(operation);
        }
    });
    let output = project
        .command(&["deploy", "--env", "production", "--format", "json"])
        .env("AWS_ENDPOINT_URL", &endpoint)
        .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "not-a-secret-that-may-be-shown")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&registry), "{stderr}");
    assert!(stderr.contains("trying again in"), "{stderr}");
    assert!(!stderr.contains("not-a-secret"), "{stderr}");
    assert!(!stderr.contains("aHVudGVy"), "{stderr}");
    let receipt: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(receipt["outcome"], "failed");
    assert_eq!(receipt["cause"]["code"], "stage");
    let seen = seen.lock().unwrap();
    let changes = |name: &String| {
        ["Register", "Update", "Create"]
            .iter()
            .any(|verb| name.contains(verb))
    };
    assert!(!seen.iter().any(changes), "{seen:?}");
}

/// Reads one request and answers it as STS, ECR and an ECS without services would; gives the operation.
fn answer_aws(mut stream: std::net::TcpStream, uri: &str) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    let operation = loop {
        let length = stream.read(&mut buffer).unwrap_or(0);
        request.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
        let wanted = text
            .split_once("content-length: ")
            .and_then(|(_, rest)| rest.lines().next()?.parse::<usize>().ok())
            .unwrap_or(0);
        if length == 0 || body.is_some_and(|body| body.len() >= wanted) {
            let text = String::from_utf8_lossy(&request).into_owned();
            break text
                .lines()
                .find_map(|line| {
                    line.to_lowercase()
                        .starts_with("x-amz-target:")
                        .then(|| line.rsplit('.').next())
                })
                .flatten()
                .unwrap_or("GetCallerIdentity")
                .trim()
                .to_owned();
        }
    };
    let (kind, body) = match operation.as_str() {
        "GetCallerIdentity" => (
            "text/xml",
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>arn:aws:iam::123456789012:user/x</Arn><UserId>x</UserId><Account>123456789012</Account>\
             </GetCallerIdentityResult></GetCallerIdentityResponse>"
                .to_owned(),
        ),
        // The service is looked at before anything is built for it.
        "DescribeServices" => (
            "application/x-amz-json-1.1",
            serde_json::json!({"services": [{"serviceName": "api", "status": "ACTIVE"}], "failures": []}).to_string(),
        ),
        "DescribeRepositories" => (
            "application/x-amz-json-1.1",
            serde_json::json!({"repositories": [{"repositoryName": "longshore/api", "repositoryUri": uri}]}).to_string(),
        ),
        "GetAuthorizationToken" => (
            "application/x-amz-json-1.1",
            // "AWS:hunter2"
            serde_json::json!({"authorizationData": [{"authorizationToken": "QVdTOmh1bnRlcjI="}]}).to_string(),
        ),
        _ => ("application/x-amz-json-1.1", "{}".to_owned()),
    };
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    operation
}

/// The display moves on a terminal, and only there. `script` makes a terminal.
#[test]
fn lines_move_on_a_terminal_only() {
    if skip_without("go", "version") || skip_without("script", "--version") {
        return;
    }
    let project = Project::example();
    let run = |variables: &[(&str, &str)]| {
        let plain = project.command(&["build"]);
        let program = plain.get_program().to_str().unwrap().to_owned();
        let mut command = Command::new("script");
        command
            .args([
                "--quiet",
                "--return",
                "--command",
                &format!("'{program}' build"),
                "/dev/null",
            ])
            .current_dir(project.path(""))
            .env("TERM", "xterm")
            .env_remove("CI")
            .env_remove("NO_COLOR")
            .env_remove("LONGSHORE_HOME")
            .envs(variables.iter().copied())
            .stdin(std::process::Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let moving = run(&[("COLUMNS", "40")]);
    assert!(moving.contains('\u{1b}'), "{moving:?}");
    assert!(moving.contains("s in all"), "{moving:?}");
    // A frame that is wider than its terminal wraps, and stays.
    for frame in moving.split(['\r', '\n']) {
        let frame = frame.trim_start_matches("\u{1b}[2K");
        assert!(
            !frame.contains("in all") || frame.chars().count() <= 40,
            "{frame:?}"
        );
    }
    for variable in [
        ("COLUMNS", "20"),
        ("CI", "true"),
        ("NO_COLOR", "1"),
        ("TERM", "dumb"),
    ] {
        let plain = run(&[variable]);
        assert!(!plain.contains('\u{1b}'), "{variable:?}: {plain:?}");
        assert!(plain.contains("go build ./cmd/server"), "{plain:?}");
    }
}

/// What only looks finds nothing to look at: the same refusal whether the service or its whole cluster is not there yet.
#[test]
fn before_the_first_deployment_the_way_to_one_is_told() {
    let _guard = one_at_a_time();
    let project = Project::example();
    let refused = |words: &[&str], text: &str| {
        let run = project.run(words).expect(3);
        assert!(run.stderr.contains(text), "{words:?}: {}", run.stderr);
        assert_eq!(run.stdout, "", "{words:?}");
    };
    refused(&["status"], "is not running");
    project.run(&["local", "up"]).expect(0);
    for words in [
        &["status"][..],
        &["status", "--format", "json"],
        &["logs"],
        &["logs", "--follow"],
        &["history"],
    ] {
        refused(words, "there is no service `api` in cluster `local`");
        refused(words, "hint: `cargo xtask deploy` deploys it");
    }
    refused(
        &["rollback"],
        "there is no service `api` in cluster `local`",
    );
}
