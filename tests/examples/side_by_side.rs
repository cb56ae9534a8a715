//! Longshore beside two other ways to deploy, on the same AWS, with the times that ECS takes: how soon each gives an answer, whether the answer is right, what it
//! asked of AWS, and what users of the service noticed.
//!
//! Each cell of the table has an AWS of its own, so the cells run side by side. The image is the same everywhere; a release is one variable more. Both other tools wait
//! as their documents say, with their own time limits.
#![expect(clippy::unwrap_used, reason = "a panic ends the run, and says where")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use longshore_tests::{Load, Project, have};
use serde_json::{Value, json};

const USAGE: &str =
    "usage: cargo run --package longshore-tests --example side_by_side [quick|aws] [TOOL]
needs go, aws (PyPI: awscli) and ecs (PyPI: ecs-deploy) on PATH";

/// Cells that run at once: most of their time is spent waiting.
const AT_ONCE: usize = 24;
/// One worker that asks this often notices an outage of a tenth of a second.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Longshore,
    AwsCli,
    EcsDeploy,
}

impl Tool {
    const ALL: [Self; 3] = [Self::Longshore, Self::AwsCli, Self::EcsDeploy];

    fn name(self) -> &'static str {
        match self {
            Self::Longshore => "longshore deploy",
            Self::AwsCli => "aws update-service, wait",
            Self::EcsDeploy => "ecs-deploy",
        }
    }
}

/// A release: the variable that makes it, and whether it can serve.
struct Release {
    name: &'static str,
    variable: (&'static str, &'static str),
    good: bool,
}

const RELEASES: [Release; 4] = [
    Release {
        name: "good",
        variable: ("LOG_LEVEL", "warn"),
        good: true,
    },
    Release {
        name: "exits at start",
        variable: ("API_FAULT", "exit"),
        good: false,
    },
    Release {
        name: "never healthy",
        variable: ("API_FAULT", "unhealthy"),
        good: false,
    },
    Release {
        name: "hangs",
        variable: ("API_FAULT", "hang"),
        good: false,
    },
];

struct Cell {
    tool: Tool,
    release: &'static Release,
    breaker: bool,
}

struct Measured {
    answer: &'static str,
    right: bool,
    seconds: f64,
    state: &'static str,
    calls: usize,
    requests: usize,
    failed: usize,
}

fn main() {
    let mut pace = "aws".to_owned();
    let mut only = None;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "quick" | "aws" => pace = argument,
            _ => match Tool::ALL.iter().find(|tool| tool.name() == argument) {
                Some(tool) => only = Some(*tool),
                None => return eprintln!("{USAGE}"),
            },
        }
    }
    for (program, argument) in [
        ("go", "version"),
        ("aws", "--version"),
        ("ecs", "--version"),
    ] {
        if !have(program, argument) {
            return eprintln!("no `{program}` on PATH\n{USAGE}");
        }
    }
    longshore_tests::longshore();
    let cells: Vec<Cell> = [true, false]
        .into_iter()
        .flat_map(|breaker| {
            RELEASES.iter().flat_map(move |release| {
                Tool::ALL.into_iter().map(move |tool| Cell {
                    tool,
                    release,
                    breaker,
                })
            })
        })
        .filter(|cell| only.is_none_or(|tool| tool == cell.tool))
        .collect();
    let rows = run(&cells, &pace);
    println!(
        "| circuit breaker | release | tool | says | after | the service then | AWS calls | requests | failed |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (cell, row) in cells.iter().zip(rows) {
        let Measured {
            answer,
            right,
            seconds,
            state,
            calls,
            requests,
            failed,
        } = row;
        println!(
            "| {} | {} | {} | {answer}, {} | {seconds:.0} s | {state} | {calls} | {requests} | {failed} |",
            if cell.breaker { "on" } else { "off" },
            cell.release.name,
            cell.tool.name(),
            if right { "rightly" } else { "WRONGLY" },
        );
    }
}

fn run(cells: &[Cell], pace: &str) -> Vec<Measured> {
    let next = Mutex::new(0);
    let results: Mutex<Vec<Option<Measured>>> = Mutex::new(cells.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(cells.len()) {
            scope.spawn(|| {
                loop {
                    let index = {
                        let mut next = next.lock().unwrap();
                        let index = *next;
                        *next += 1;
                        index
                    };
                    let Some(cell) = cells.get(index) else { return };
                    let measured = measure(cell, pace);
                    eprintln!(
                        "{}, {}, breaker {}: {} after {:.0} s",
                        cell.tool.name(),
                        cell.release.name,
                        cell.breaker,
                        measured.answer,
                        measured.seconds
                    );
                    results.lock().unwrap()[index] = Some(measured);
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    results.into_iter().map(Option::unwrap).collect()
}

fn measure(cell: &Cell, pace: &str) -> Measured {
    let (project, url, before) = prepared(cell, pace);
    let calls_before = calls(&project);

    let load = Load::gentle(&format!("{url}/version"), PAUSE);
    let since = Instant::now();
    let ok = match cell.tool {
        Tool::Longshore => {
            let (name, value) = cell.release.variable;
            let run = project.deploy(&["--variable", &format!("{name}={value}")]);
            run.code == Some(0)
        }
        Tool::AwsCli => aws_cli(&project, cell.release, &before),
        Tool::EcsDeploy => ecs_deploy(&project, cell.release),
    };
    let seconds = since.elapsed().as_secs_f64();
    let tally = load.end();
    let calls = calls(&project) - calls_before;
    let (live, settled) = live(&project);
    let is_new = live != before;
    let state = match (settled, is_new) {
        (false, _) => "is still rolling out",
        (true, true) => "runs the new version",
        (true, false) => "runs the old version",
    };
    let right = ok == cell.release.good;
    Measured {
        answer: if ok { "success" } else { "failure" },
        right,
        seconds,
        state,
        calls,
        requests: tally.ok + tally.failures(),
        failed: tally.failures(),
    }
}

/// An AWS on which the release before serves, its address, and the ARN of that release.
fn prepared(cell: &Cell, pace: &str) -> (Project, String, String) {
    // One after another: builds would only be in each other's way, and so would the ports that they take for free.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap();
    let project = Project::example();
    let file = "api/pipeline.toml";
    // A database would only add processes.
    let text = std::fs::read_to_string(project.path(file)).unwrap();
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| {
            !line.starts_with("postgres = ")
                && !line.starts_with("secrets = { DATABASE_URL = \"/local")
        })
        .collect();
    std::fs::write(project.path(file), kept.join("\n")).unwrap();
    if !cell.breaker {
        project.edit(file, "circuit-breaker = true", "circuit-breaker = false");
    }
    project.commit("no database");
    // The release before is rolled out quickly; then the AWS is as slow as the real one.
    let receipt = project.deploy(&[]).expect(0).json();
    project.run(&["local", "down"]).expect(0);
    project.run(&["local", "up", "--pace", pace]).expect(0);
    let url = receipt["url"].as_str().unwrap().to_owned();
    project.wait_for(&format!("{url}/version"));
    let before = receipt["taskDefinition"].as_str().unwrap().to_owned();
    (project, url, before)
}

fn calls(project: &Project) -> usize {
    let run = project
        .run(&["local", "calls", "--format", "json"])
        .expect(0);
    run.stdout.lines().count()
}

/// The service's task definition, and whether it has come to rest.
fn live(project: &Project) -> (String, bool) {
    let described = aws(
        project,
        &[
            "ecs",
            "describe-services",
            "--cluster",
            "local",
            "--services",
            "api",
        ],
    )
    .unwrap();
    let service = &described["services"][0];
    let deployments = service["deployments"].as_array().unwrap();
    let settled = deployments.len() == 1 && deployments[0]["rolloutState"] == "COMPLETED";
    (
        service["taskDefinition"].as_str().unwrap().to_owned(),
        settled,
    )
}

fn client(project: &Project, program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .envs(project.aws_env())
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .stdin(Stdio::null());
    command
}

fn aws(project: &Project, args: &[&str]) -> Option<Value> {
    let output = client(project, "aws")
        .args(args)
        .args(["--output", "json"])
        .output()
        .unwrap();
    output
        .status
        .success()
        .then(|| serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
}

/// What the documents of AWS show: register, update, `wait services-stable`.
fn aws_cli(project: &Project, release: &Release, before: &str) -> bool {
    let described = aws(
        project,
        &[
            "ecs",
            "describe-task-definition",
            "--task-definition",
            before,
        ],
    )
    .unwrap();
    let mut document = described["taskDefinition"].clone();
    let members = document.as_object_mut().unwrap();
    for read_only in [
        "taskDefinitionArn",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
    ] {
        members.remove(read_only);
    }
    let (name, value) = release.variable;
    let variables = document["containerDefinitions"][0]["environment"]
        .as_array_mut()
        .unwrap();
    variables.retain(|variable| variable["name"] != name);
    variables.push(json!({"name": name, "value": value}));
    let file = project.path("registered.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let registered = aws(
        project,
        &[
            "ecs",
            "register-task-definition",
            "--cli-input-json",
            &input(&file),
        ],
    )
    .unwrap();
    let arn = registered["taskDefinition"]["taskDefinitionArn"]
        .as_str()
        .unwrap();
    let update = [
        "ecs",
        "update-service",
        "--cluster",
        "local",
        "--service",
        "api",
        "--task-definition",
        arn,
    ];
    aws(project, &update).unwrap();
    aws(
        project,
        &[
            "ecs",
            "wait",
            "services-stable",
            "--cluster",
            "local",
            "--services",
            "api",
        ],
    )
    .is_some()
}

fn input(file: &Path) -> String {
    format!("file://{}", file.display())
}

/// `ecs deploy` with a variable; 15 minutes instead of its usual 5, so that it does not give up before ECS has decided.
fn ecs_deploy(project: &Project, release: &Release) -> bool {
    let (name, value) = release.variable;
    let output = client(project, "ecs")
        .args(["deploy", "local", "api", "--env", "api", name, value])
        .args(["--timeout", "900", "--rollback", "--no-deregister"])
        .output()
        .unwrap();
    output.status.success()
}
