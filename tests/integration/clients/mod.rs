//! Clients that we did not write, against the AWS on this machine.

mod ansible;
mod aws_cli;
mod boto3;
mod ecs_deploy;
mod go_sdk;
mod skopeo;
mod terraform;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use longshore_tests::Project;

/// Where the clients find this project's AWS, and no other.
fn environment(project: &Project) -> Vec<(String, String)> {
    project.aws_env()
}

/// Keeps what this machine's user has configured away from a client.
fn isolated(command: &mut Command) {
    command
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_SESSION_TOKEN");
}

/// Runs a client in the project's folder, however it ends.
fn attempt(project: &Project, program: &str, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(project.path("."))
        .envs(environment(project))
        .env("LONGSHORE_LOCAL_PORT", project.port().to_string())
        .env("ANSIBLE_HOME", project.path(".ansible"))
        .env("ANSIBLE_REMOTE_TEMP", project.path(".ansible/tmp"))
        .env("ANSIBLE_LOCALHOST_WARNING", "False")
        .env("ANSIBLE_INVENTORY_UNPARSED_WARNING", "False");
    isolated(&mut command);
    command
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Runs a client that must succeed; what it printed.
fn run(project: &Project, program: &str, args: &[&str]) -> String {
    let output = attempt(project, program, args);
    assert!(
        output.status.success(),
        "{program} {args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A script of ours that uses somebody else's client.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(name)
}
