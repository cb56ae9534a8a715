//! A runner for the generated workflows: it reads the YAML and runs the `run:` steps of a job in order, in a clean clone, with GitHub's variables and files.
//!
//! What it does in place of GitHub: actions that set up toolchains and caches do nothing, since the machine has them; taking on the role is left to the AWS SDK, which reads a
//! token from a file; `cargo xtask` is the binary under test; and there are no service containers, so the tests start their own PostgreSQL.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::longshore;
use crate::project::Project;

/// The runner.
pub struct Runner<'a> {
    project: &'a Project,
    folder: TempDir,
    branch: String,
    inputs: BTreeMap<String, String>,
}

/// A job that ran.
#[derive(Debug)]
pub struct Ran {
    /// Names of the steps that ran; the last one failed unless `ok`.
    pub steps: Vec<String>,
    /// Whether all went well.
    pub ok: bool,
    /// Everything that the steps wrote.
    pub log: String,
    /// The outputs of the steps: the whole file.
    pub outputs: String,
    /// The summaries of the steps.
    pub summary: String,
    /// The clone that it ran in.
    pub workspace: PathBuf,
    /// What an upload would have kept.
    pub artifacts: Vec<PathBuf>,
}

impl Ran {
    /// The lines that are workflow commands of this kind.
    pub fn commands(&self, kind: &str) -> Vec<&str> {
        let start = format!("::{kind} ");
        let lines = self.log.lines();
        lines.filter(|line| line.starts_with(&start)).collect()
    }
}

impl<'a> Runner<'a> {
    /// A runner on which a branch of the project's repository is checked out. Names that strangers choose are hostile.
    pub fn new(project: &'a Project, branch: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("runner-")
            .tempdir()
            .unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let cargo = format!(
            "#!/bin/sh\ncase \"$1 $*\" in\n  'xtask '*) shift; exec '{}' \"$@\" ;;\n  'build build --locked --package longshore') ;;\n  *) echo \"no such step is expected: cargo $*\" >&2; exit 99 ;;\nesac\n",
            longshore().display()
        );
        fs::write(bin.join("cargo"), cargo).unwrap();
        fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            project,
            folder,
            branch: branch.to_owned(),
            inputs: BTreeMap::new(),
        }
    }

    /// The same with what a person typed into the form.
    #[must_use]
    pub fn input(mut self, name: &str, value: &str) -> Self {
        self.inputs.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Runs one job of a workflow of the project.
    pub fn run(&self, file: &str, job: &str) -> Ran {
        let path = self.project.path(".github/workflows").join(file);
        let workflow: Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let job = &workflow["jobs"][job];
        assert!(job.is_object(), "{file} has no such job");
        let here = tempfile::Builder::new()
            .prefix("job-")
            .tempdir_in(self.folder.path())
            .unwrap()
            .keep();
        let mut ran = Ran {
            steps: Vec::new(),
            ok: true,
            log: String::new(),
            outputs: String::new(),
            summary: String::new(),
            workspace: here.join("workspace"),
            artifacts: Vec::new(),
        };
        let mut env = self.variables(&here, &ran.workspace);
        let privileged = job["permissions"]["id-token"] == "write";
        for (number, step) in job["steps"].as_array().unwrap().iter().enumerate() {
            let always = step["if"] == "${{ !cancelled() }}";
            if !ran.ok && !always {
                continue;
            }
            let name = step["name"].as_str().unwrap();
            if let Some(action) = step["uses"].as_str() {
                assert!(ran.ok || action.starts_with("actions/upload-artifact@"));
                self.action(action, step, &here, privileged, &mut env, &mut ran);
                continue;
            }
            ran.steps.push(name.to_owned());
            let ok = self.script(number, step, job, &here, &env, &mut ran);
            ran.ok &= ok;
        }
        ran
    }

    fn variables(&self, here: &Path, workspace: &Path) -> BTreeMap<String, String> {
        let path = format!(
            "{}:{}",
            self.folder.path().join("bin").display(),
            std::env::var("PATH").unwrap()
        );
        let temp = here.join("temp");
        fs::create_dir(&temp).unwrap();
        let hostile = "x';touch pwned;'$(touch pwned)`touch pwned`\"; touch pwned #";
        [
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "acme/api"),
            ("GITHUB_RUN_ID", "1"),
            ("GITHUB_REF", &format!("refs/heads/{}", self.branch)),
            ("GITHUB_REF_NAME", &self.branch),
            ("GITHUB_HEAD_REF", hostile),
            ("GITHUB_ACTOR", hostile),
            ("GITHUB_WORKSPACE", workspace.to_str().unwrap()),
            ("RUNNER_TEMP", temp.to_str().unwrap()),
            ("PATH", &path),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
    }

    fn action(
        &self,
        action: &str,
        step: &Value,
        here: &Path,
        privileged: bool,
        env: &mut BTreeMap<String, String>,
        ran: &mut Ran,
    ) {
        let with = &step["with"];
        match action.split('@').next().unwrap() {
            "actions/checkout" => {
                let output = Command::new("git")
                    .args(["clone", "--quiet", "--no-local", "--branch", &self.branch])
                    .arg(self.project.path("."))
                    .arg(&ran.workspace)
                    .output()
                    .unwrap();
                assert!(output.status.success(), "{output:?}");
            }
            "actions/setup-go" => {
                let file = self.text(&with["go-version-file"]);
                assert!(ran.workspace.join(&file).exists(), "{file}");
            }
            "Swatinem/rust-cache" => {}
            "aws-actions/configure-aws-credentials" => {
                assert!(privileged, "a job without id-token takes on a role");
                let token = self.token(&with["role-to-assume"]);
                let file = here.join("token");
                fs::write(&file, token).unwrap();
                env.extend([
                    (
                        "AWS_ROLE_ARN".to_owned(),
                        self.text(&with["role-to-assume"]),
                    ),
                    ("AWS_REGION".to_owned(), self.text(&with["aws-region"])),
                    (
                        "AWS_ROLE_SESSION_NAME".to_owned(),
                        self.text(&with["role-session-name"]),
                    ),
                    (
                        "AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(),
                        file.display().to_string(),
                    ),
                    (
                        "AWS_ENDPOINT_URL".to_owned(),
                        format!("http://127.0.0.1:{}", self.project.port()),
                    ),
                ]);
            }
            "actions/upload-artifact" => {
                let path = PathBuf::from(
                    self.text(&with["path"])
                        .replace("RUNNER_TEMP", &env["RUNNER_TEMP"]),
                );
                if path.exists() {
                    ran.artifacts.push(path);
                }
            }
            other => panic!("no such action is expected: {other}"),
        }
    }

    /// A token as GitHub gives one to a job of this environment on this branch.
    fn token(&self, role: &Value) -> String {
        assert!(
            self.text(role)
                .starts_with("arn:aws:iam::000000000000:role/")
        );
        let claim = format!("ref=refs/heads/{}", self.branch);
        let run = self.project.run(&[
            "local",
            "token",
            "--issuer",
            "https://token.actions.githubusercontent.com",
            "--subject",
            "repo:acme/api:environment:production",
            "--claim",
            &claim,
        ]);
        run.expect(0).stdout.trim().to_owned()
    }

    fn script(
        &self,
        number: usize,
        step: &Value,
        job: &Value,
        here: &Path,
        env: &BTreeMap<String, String>,
        ran: &mut Ran,
    ) -> bool {
        let script = here.join(format!("step-{number}.sh"));
        fs::write(&script, step["run"].as_str().unwrap()).unwrap();
        let (output, summary) = (
            here.join(format!("output-{number}")),
            here.join(format!("summary-{number}")),
        );
        let mut command = Command::new("bash");
        command
            .arg("-e")
            .arg(&script)
            .current_dir(&ran.workspace)
            .env_clear()
            .envs(env)
            .env("HOME", std::env::var_os("HOME").unwrap_or_default())
            .env("GITHUB_OUTPUT", &output)
            .env("GITHUB_STEP_SUMMARY", &summary)
            .stdin(Stdio::null());
        for level in [job, step] {
            for (name, value) in level["env"].as_object().into_iter().flatten() {
                // The service container's address: there are no containers here.
                if name != "DATABASE_URL" {
                    command.env(name, self.text(value));
                }
            }
        }
        let done = command.output().unwrap();
        ran.log.push_str(&String::from_utf8_lossy(&done.stdout));
        ran.log.push_str(&String::from_utf8_lossy(&done.stderr));
        ran.outputs
            .push_str(&fs::read_to_string(output).unwrap_or_default());
        ran.summary
            .push_str(&fs::read_to_string(summary).unwrap_or_default());
        done.status.success()
    }

    /// A value with its expressions evaluated.
    fn text(&self, value: &Value) -> String {
        let mut text = value.as_str().unwrap_or_default().to_owned();
        for (name, input) in &self.inputs {
            text = text.replace(&format!("${{{{ inputs.{name} }}}}"), input);
        }
        let text = text
            .replace("${{ inputs.revision }}", "")
            .replace("${{ github.run_id }}", "1")
            .replace("${{ runner.temp }}", "RUNNER_TEMP");
        assert!(
            !text.contains("${{")
                || self
                    .inputs
                    .values()
                    .any(|input| text.contains(input.as_str())),
            "{text}"
        );
        text
    }
}
