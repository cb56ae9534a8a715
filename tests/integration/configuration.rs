//! What is committed is up to date, and what is reviewed is in a snapshot.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use longshore_tests::{Project, Run, skip_without};

use crate::one_at_a_time;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[test]
fn the_schemas_are_up_to_date() {
    let project = Project::example();
    let schemas = format!("{ROOT}/schemas");
    project
        .run(&["schema", "--check", "--output", &schemas])
        .expect(0);
}

#[test]
fn the_task_definitions_of_this_repository_are_as_reviewed() {
    review::assert_reviewed(Path::new(ROOT));
}

#[test]
fn the_examples_files_satisfy_their_schemas() {
    let project = Project::example();
    let run = project.run(&["check", "--format", "json"]).expect(0);
    assert_eq!(run.stdout, "[]\n");
    let schema = include_str!("../../schemas/task-definition.schema.json");
    let document = std::fs::read_to_string(project.path("api/task-definition.json")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    crate::valid(&document, schema);
}

/// A changed overlay is shown as a diff, with the way to accept it; what is accepted is as reviewed.
#[test]
fn a_change_since_the_review_is_shown_and_can_be_accepted() {
    let project = Project::example();
    let check = ["render", "--check"];
    let run = project.run(&check).expect(0);
    assert!(
        run.stderr.contains("2 task definitions as reviewed"),
        "{run:?}"
    );
    project.edit("api/pipeline.toml", "cpu = \"512\"", "cpu = \"1024\"");
    project.edit(
        "api/pipeline.toml",
        "memory = \"1024\"",
        "memory = \"2048\"",
    );
    std::fs::write(project.path("api/snapshots/gone.snap"), "").unwrap();
    let run = project.run(&check).expect(2);
    for text in [
        "api in production",
        "-  \"cpu\": \"512\",\n-  \"memory\": \"1024\",\n+  \"cpu\": \"1024\",\n+  \"memory\": \"2048\",",
        "api/snapshots/gone.snap is left over",
        "2 snapshots not as reviewed",
        "cargo xtask render --accept",
    ] {
        assert!(run.stderr.contains(text), "{text}: {}", run.stderr);
    }
    assert_eq!(run.stdout, "");
    project.run(&["render", "--accept"]).expect(0);
    project.run(&check).expect(0);
    assert!(!project.path("api/snapshots/gone.snap").exists());
    let rendered = project
        .run(&["render", "--env", "production"])
        .expect(0)
        .stdout;
    let snapshot = std::fs::read_to_string(project.path("api/snapshots/production.snap")).unwrap();
    assert!(
        snapshot.ends_with(&format!("\n---\n{rendered}")),
        "{snapshot}"
    );
}

/// The files with ten mistakes each, as a terminal, an editor, a pull request and a script see them.
#[test]
fn twenty_mistakes_are_twenty_places_in_every_format_and_exit_code_two() {
    let project = Project::example();
    let fixtures = format!("{ROOT}/service-config/tests/service_config/fixtures/mistakes");
    for (from, to) in [
        ("broken-pipeline.toml", "pipeline.toml"),
        ("broken-task-definition.json", "task-definition.json"),
    ] {
        let target = project.path("api").join(to);
        std::fs::copy(Path::new(&fixtures).join(from), target).unwrap();
    }
    let check = |format: &str| -> Run { project.run(&["check", "--format", format]).expect(2) };
    let places = |text: &str, what: &str| text.matches(what).count();
    let concise = check("concise").stdout;
    assert_eq!(places(&concise, "api/pipeline.toml:"), 11, "{concise}");
    assert_eq!(
        places(&concise, "api/task-definition.json:"),
        11,
        "{concise}"
    );
    assert_eq!(places(&check("github").stdout, "::error title="), 22);
    assert_eq!(check("json").json().as_array().unwrap().len(), 22);
    let full = check("full");
    assert_eq!(
        places(&full.stderr, "\nerror["),
        21,
        "and the first: {}",
        full.stderr
    );
    assert!(
        full.stderr.contains("1 service checked: 22 errors"),
        "{}",
        full.stderr
    );
    assert_eq!(full.stdout, "");
}

#[test]
fn what_is_accepted_in_another_form_can_be_written_clean() {
    let project = Project::example();
    let file = "api/task-definition.json";
    project.edit(
        file,
        "  \"family\": \"api\",\n",
        "  // Counted by ECS.\n  \"family\": \"api\",\n  \"revision\": 7,\n  \"taskRoleArn\": null,\n",
    );
    project.edit(file, "\"memory\": \"512\"", "\"memory\": \"0.5 GB\"");
    let run = project.run(&["check"]).expect(0);
    assert!(
        run.stderr.contains("1 service checked: 3 notes"),
        "{}",
        run.stderr
    );
    let run = project.run(&["check", "--fix"]).expect(0);
    assert!(
        run.stderr.contains("wrote api/task-definition.json"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("1 service checked: no problems"),
        "{}",
        run.stderr
    );
    let committed = std::fs::read_to_string(format!("{ROOT}/examples/api/task-definition.json"));
    let expected = committed
        .unwrap()
        .replace("  \"family\"", "  // Counted by ECS.\n  \"family\"");
    assert_eq!(
        std::fs::read_to_string(project.path(file)).unwrap(),
        expected
    );
    let run = project.run(&["check", "--fix"]).expect(0);
    assert!(!run.stderr.contains("wrote"), "{}", run.stderr);
    project.run(&["render", "--check"]).expect(0);
}

/// A link may lead anywhere: also a folder on the way is none.
#[test]
fn links_out_of_the_services_folder_are_not_followed() {
    let project = Project::example();
    let link = |from: &str, to: &str| {
        std::os::unix::fs::symlink(from, project.path(to)).unwrap();
    };
    std::fs::rename(
        project.path("api/task-definition.json"),
        project.path("t.json"),
    )
    .unwrap();
    link("../t.json", "api/task-definition.json");
    let run = project.run(&["check", "--format", "concise"]).expect(2);
    assert!(run.stdout.contains("symbolic link"), "{}", run.stdout);
    link("..", "api/up");
    project.edit(
        "api/pipeline.toml",
        "name = \"api\"",
        "name = \"api\"\ntask-definition = \"up/t.json\"",
    );
    let run = project.run(&["check", "--format", "concise"]).expect(2);
    let place = "api/pipeline.toml:6:19: error[unreadable-file]";
    assert!(
        run.stdout.contains(place) && run.stdout.contains("symbolic link"),
        "{}",
        run.stdout
    );
}

/// What reviewers saw is what ECS gets: the body of the request is the snapshot, with image and commit filled in, and nothing else is different.
#[test]
fn the_bytes_that_ecs_gets_are_those_of_the_snapshot() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = one_at_a_time();
    let project = Project::example();
    let first = project.deploy(&[]).expect(0).json();
    let account = first["taskDefinition"]
        .as_str()
        .unwrap()
        .split(':')
        .nth(4)
        .unwrap();
    let aws = project.aws_env();
    let of = |name: &str| {
        let entry = aws.iter().find(|(key, _)| key == name);
        entry.unwrap_or_else(|| panic!("{name}: {aws:?}")).1.clone()
    };
    // A cloud like any other, as far as longshore can tell: the address goes by way of a recorder.
    let environment = format!(
        "\n[environments.staging]\naccount = \"{account}\"\nregion = \"{}\"\ncluster = \"local\"\ntest = false\noverride = {{ containerDefinitions = [{{ name = \"api\", logConfiguration = {{ options = {{ awslogs-group = \"/local/${{service}}\" }} }} }}] }}\nvariables = {{ RELEASE = \"${{commit}} of ${{level}}\" }}\nsecrets = {{ DATABASE_URL = \"/local/api/database-url\" }}\n[environments.staging.values]\nlevel = \"staging\"\n",
        of("AWS_REGION")
    );
    let pipeline = project.path("api/pipeline.toml");
    let text = std::fs::read_to_string(&pipeline).unwrap() + &environment;
    std::fs::write(&pipeline, text).unwrap();
    project.run(&["render", "--accept"]).expect(0);
    let commit = project.commit("an environment more");
    let recorder = Recorder::start(project.port());
    let output = project
        .command(&["deploy", "--env", "staging", "--format", "json"])
        .envs(aws.clone())
        .env(
            "AWS_ENDPOINT_URL",
            format!("http://127.0.0.1:{}", recorder.port),
        )
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let receipt: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let sent = recorder.bodies_of("RegisterTaskDefinition");
    assert_eq!(sent.len(), 1, "{stderr}");
    let snapshot = std::fs::read_to_string(project.path("api/snapshots/staging.snap")).unwrap();
    let (_, reviewed) = snapshot.split_once("\n---\n").unwrap();
    let image = receipt["image"].as_str().unwrap();
    assert!(image.contains("@sha256:"), "{image}");
    let expected = reviewed
        .replace("${image}", image)
        .replace("${commit}", &commit);
    assert!(!expected.contains("${"), "{expected}");
    assert_eq!(sent[0], expected);
}

/// What one connection's client sent.
type Kept = Arc<Mutex<Vec<u8>>>;

/// Passes connections on to an AWS on this machine, and keeps what clients send.
struct Recorder {
    port: u16,
    sent: Arc<Mutex<Vec<Kept>>>,
}

impl Recorder {
    fn start(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&sent);
        // It ends with the test's process; connections end with their clients.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", target)));
                let Ok(server) = server else { continue };
                let kept = Arc::new(Mutex::new(Vec::new()));
                all.lock().unwrap().push(Arc::clone(&kept));
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pass(from, to, Some(&kept)));
                std::thread::spawn(move || pass(server, client, None));
            }
        });
        Self { port, sent }
    }

    /// Bodies of the requests for an action, in the order of their connections.
    fn bodies_of(&self, action: &str) -> Vec<String> {
        let connections = self.sent.lock().unwrap();
        let mut bodies = Vec::new();
        for connection in connections.iter() {
            let text = String::from_utf8_lossy(&connection.lock().unwrap()).into_owned();
            let mut rest = text.as_str();
            while let Some((head, behind)) = rest.split_once("\r\n\r\n") {
                let header = |name: &str| {
                    head.lines().find_map(|line| {
                        let (key, value) = line.split_once(": ")?;
                        key.eq_ignore_ascii_case(name).then(|| value.to_owned())
                    })
                };
                let length = header("content-length").map_or(0, |length| length.parse().unwrap());
                let (body, next) = behind.split_at(length);
                if header("x-amz-target").is_some_and(|target| target.ends_with(action)) {
                    bodies.push(body.to_owned());
                }
                rest = next;
            }
        }
        bodies
    }
}

/// Copies until one of the two ends.
fn pass(mut from: TcpStream, mut to: TcpStream, kept: Option<&Mutex<Vec<u8>>>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        if let Some(kept) = kept {
            kept.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
