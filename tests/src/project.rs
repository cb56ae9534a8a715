//! A project of its own for each test: a copy of the example in a new git repository, with an AWS of its own on a free port.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::binary::longshore;
use crate::load::get;

/// The project; its AWS is stopped and its folder removed at the end.
pub struct Project {
    folder: TempDir,
    port: u16,
}

/// What a run of the binary left behind.
#[derive(Debug)]
pub struct Run {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// Of a program that was run by the test itself.
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same, if it ended with this code.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "the check is what many callers want"
    )]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

impl Project {
    /// A copy of `examples/api`, committed.
    pub fn example() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("longshore-")
            .tempdir()
            .unwrap();
        let project = Self {
            folder,
            port: free_port(),
        };
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/api");
        copy(&example, &project.path("api"));
        // A free port for the load balancer, too.
        project.edit("api/pipeline.toml", "port = 8080\n", "");
        project.git(&["init", "--quiet", "--initial-branch", "main"]);
        project.commit("the example");
        project
    }

    /// A service of these files, path and text, committed. The pipeline file and the task definition are added; `test` is the section `[test]`.
    pub fn small(test: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("longshore-")
            .tempdir()
            .unwrap();
        let project = Self {
            folder,
            port: free_port(),
        };
        let pipeline = format!(
            "[service]\nname = \"small\"\n[build]\npackage = \".\"\n[test]\n{test}\n[registry]\nrepository = \"small\"\ncreate = true\n[deploy]\ncontainer = \"small\"\n[environments.local]\ntest = true\n[environments.local.embedded]\ndesired-count = 1\n"
        );
        project.write("small/pipeline.toml", &pipeline);
        project.write(
            "small/task-definition.json",
            r#"{"family": "small", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [{"name": "small", "image": "${image}", "essential": true}]}"#,
        );
        project.write("small/go.mod", "module example.com/small\n\ngo 1.26\n");
        project.write("small/main.go", "package main\n\nfunc main() {}\n");
        for (path, text) in files {
            project.write(path, text);
        }
        project.git(&["init", "--quiet", "--initial-branch", "main"]);
        project.commit("a small service");
        project
    }

    /// Writes a file and the folders above it.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Path of a file of the project.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Folder for what longshore makes.
    pub fn home(&self) -> PathBuf {
        self.path(".longshore")
    }

    /// Port of this project's AWS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Replaces a text that must be there.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} does not hold {from:?}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
    }

    /// Commits everything; gives the hash.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Makes a branch and checks it out.
    pub fn branch(&self, name: &str) {
        self.git(&["checkout", "--quiet", "-b", name]);
    }

    /// Hash of the commit that is checked out.
    pub fn commit_of_head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git in the project; gives what it printed.
    pub fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=Test",
                "-c",
                "user.email=test@example.com",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(args)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The binary with arguments, in the project's folder, as a CI job runs it.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(longshore());
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("LONGSHORE_LOCAL_PORT", self.port.to_string())
            .env("NO_COLOR", "1")
            .env_remove("LONGSHORE_HOME")
            .env_remove("GITHUB_ACTIONS")
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub fn run(&self, args: &[&str]) -> Run {
        Run::of(&self.command(args).output().unwrap())
    }

    /// Deploys with a receipt on standard output.
    pub fn deploy(&self, more: &[&str]) -> Run {
        self.run(&[&["deploy", "--format", "json"], more].concat())
    }

    /// The process of this project's AWS.
    fn local_pid(&self) -> Pid {
        let status = self
            .run(&["local", "status", "--format", "json"])
            .expect(0)
            .json();
        Pid::from_raw(i32::try_from(status["pid"].as_i64().unwrap()).unwrap())
    }

    /// Kills this project's AWS without warning, and waits until it is gone.
    pub fn kill_local(&self) {
        let pid = self.local_pid();
        kill(pid, Signal::SIGKILL).unwrap();
        self.until("it is gone", || kill(pid, None).is_err());
    }

    /// Waits until an address answers 200.
    pub fn wait_for(&self, url: &str) {
        self.until("the address answers", || {
            get(url).is_ok_and(|(status, _)| status == 200)
        });
    }

    /// Waits until something is so that other processes make so.
    pub fn until(&self, what: &str, mut so: impl FnMut() -> bool) {
        let since = Instant::now();
        while !so() {
            let waited = since.elapsed();
            assert!(
                waited < Duration::from_mins(1),
                "it did not come to it that {what}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Names and values that point an AWS client at this project's AWS.
    pub fn aws_env(&self) -> Vec<(String, String)> {
        let run = self.run(&["local", "env"]).expect(0);
        run.stdout
            .lines()
            .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
            .collect()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if self.home().exists() {
            let down = self.command(&["local", "down"]).output();
            if !std::thread::panicking() {
                let down = down.unwrap();
                assert!(down.status.success(), "{down:?}");
            }
        }
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
