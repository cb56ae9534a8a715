//! What people's task definition files hold, each thing as real repositories have it.

use std::fmt::Write as _;
use std::path::Path;

use diagnostic::{Format, Severity, render};

use crate::{PIPELINE, TASK_DEFINITION, files, load_from, problems};

const FAMILY: &str = r#""family": "api""#;
const APP: &str = r#""name": "app","#;

fn with(from: &str, to: &str) -> String {
    assert!(TASK_DEFINITION.contains(from), "{from}");
    TASK_DEFINITION.replacen(from, to, 1)
}

fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mark = std::iter::once(0xFEFF);
    mark.chain(text.encode_utf16()).flat_map(order).collect()
}

/// The task definition is read as the plain one is, with notes; its clean file has nothing to note and means the same.
fn accepted(bytes: Vec<u8>) -> (String, String) {
    let mut people = files(PIPELINE, "");
    people.insert("app/task-definition.json".into(), bytes);
    let loaded = load_from(&people);
    let told = render(&loaded.problems, Format::Concise, false);
    let service = loaded.service.unwrap_or_else(|| panic!("{told}"));
    for problem in &loaded.problems {
        assert_eq!(problem.severity, Severity::Note, "{told}");
    }
    assert_eq!(loaded.clean.len(), 1, "{told}");
    assert_eq!(loaded.clean[0].path, Path::new("app/task-definition.json"));
    let clean = &loaded.clean[0].text;
    let again = load_from(&files(PIPELINE, clean));
    assert_eq!((again.problems, again.clean), (Vec::new(), Vec::new()));
    assert_eq!(
        again.service.unwrap().task_definition,
        service.task_definition
    );
    (told, clean.clone())
}

#[test]
fn a_described_wrapped_utf16_file_is_read_and_written_clean() {
    let described = format!(
        "// As the console saved it.\n{{\"taskDefinition\": {}, \"tags\": []}}",
        with(
            FAMILY,
            "\"family\": \"api\", \"revision\": 3, // the last\n  \"status\": \"ACTIVE\",\n  \"requiresAttributes\": [{\"name\": \"x\", \"value\": null,}],\n  \"cpu\": 256, \"memory\": \".5 GB\", \"taskRoleArn\": null"
        )
    );
    let (told, clean) = accepted(utf16(&described, u16::to_le_bytes));
    insta::assert_snapshot!("accepted", told);
    insta::assert_snapshot!("clean", clean);
}

#[test]
fn each_accepted_form_has_its_note() {
    let plain = TASK_DEFINITION;
    for (code, bytes) in [
        ("encoding", utf16(plain, u16::to_le_bytes)),
        ("encoding", utf16(plain, u16::to_be_bytes)),
        ("encoding", [b"\xEF\xBB\xBF", plain.as_bytes()].concat()),
        (
            "wrapped-document",
            format!("{{\"taskDefinition\":{plain}}}").into_bytes(),
        ),
        (
            "trailing-comma",
            with(FAMILY, "\"family\": \"api\",").into_bytes(),
        ),
        (
            "null-member",
            with(APP, "\"name\": \"app\", \"cpu\": null, \"ulimits\": null,").into_bytes(),
        ),
        (
            "size-spelling",
            with(FAMILY, "\"family\": \"api\", \"cpu\": 256, \"memory\": 512").into_bytes(),
        ),
        (
            "size-spelling",
            with(
                FAMILY,
                "\"family\": \"api\", \"cpu\": \"1 vcpu\", \"memory\": \"2 gb\"",
            )
            .into_bytes(),
        ),
        (
            "size-spelling",
            with(
                FAMILY,
                "\"family\": \"api\", \"cpu\": \".25 vCPU\", \"memory\": \"0.5GB\"",
            )
            .into_bytes(),
        ),
        (
            "size-spelling",
            with(
                FAMILY,
                "\"family\": \"api\", \"cpu\": \"1 vCPU\", \"memory\": \"30 GiB\"",
            )
            .into_bytes(),
        ),
    ] {
        let (told, _) = accepted(bytes);
        assert!(told.contains(&format!("note[{code}]")), "{told}");
    }
    for member in [
        "taskDefinitionArn",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
        "deregisteredAt",
        "deleteRequestedAt",
    ] {
        let task = with(
            FAMILY,
            &format!("\"family\": \"api\",\n  \"{member}\": [{{\"a\": 1}}]"),
        );
        let (told, clean) = accepted(task.into_bytes());
        assert!(told.contains("note[read-only-member]"), "{told}");
        assert_eq!(clean, TASK_DEFINITION, "all else is as it was");
    }
}

#[test]
fn what_needs_no_note_has_none() {
    for task in [
        TASK_DEFINITION.replace('\n', "\r\n"),
        with(APP, "/* a\n comment */ \"name\": \"app\", // another\n"),
        with(
            APP,
            "\"name\": \"app\", \"mountPoints\": [], \"portMappings\": [], \"dnsServers\": [],",
        ),
        // The deployed container's image is filled in, whatever stands there.
        with("\"image\": \"${image}\"", "\"image\": \"app\""),
        with("\"image\": \"${image}\"", "\"image\": \"\""),
        with("\"image\": \"${image}\", ", ""),
    ] {
        let loaded = load_from(&files(PIPELINE, &task));
        assert_eq!(
            (loaded.problems, loaded.clean),
            (Vec::new(), Vec::new()),
            "{task}"
        );
    }
}

/// What has no one meaning is refused, and each time it is said what to write.
#[test]
fn each_refused_form_says_what_to_write() {
    let app = |members: &str| with(APP, &format!("\"name\": \"app\", {members},"));
    let task = |members: &str| with(FAMILY, &format!("\"family\": \"api\", {members}"));
    let app_health = r#"["CMD", "/app", "health"]"#;
    let table = [
        with(",\n  \"family\": \"api\"", ""),
        format!("[{}]", r#"{"name": "app", "image": "x", "cpu": "8"}"#),
        task(r#""containerOverrides": []"#),
        task(r#""networkMode": """#),
        task(r#""networkMode": "default""#),
        task(r#""networkMode": "${MODE}""#),
        task(r#""cpu": "1 core""#),
        task(r#""volumes": {"name": "data"}"#),
        task(r#""requiresCompatibilities": "FARGATE""#),
        task(r#""portMappings": []"#),
        task(r#""taskRoleArn": "arn:aws:iam::aws:policy/AmazonS3FullAccess""#),
        app(r#""networkMode": "awsvpc""#),
        app(r#""executionRoleArn": "arn:aws:iam::123456789012:role/x""#),
        app(r#""awslogs-group": "x""#),
        app(r#""memory": "512""#),
        app(r#""cpu": ${CPU}"#),
        app(r#""workingDirectory": {{ folder }}"#),
        app(r#""essential": "true""#),
        app(r#""portMappings": [{"containerPort": "${PORT}"}]"#),
        app(r#""portMappings": [{"containerPort": <PORT>}]"#),
        app(r#""command": ["--level", "${LOG_LEVEL}", "{{ .Values.zone }}"]"#),
        with(r#""value": "info""#, r#""value": 8080"#),
        with(r#""value": "info""#, r#""valueFrom": "/a/b""#),
        with(r#""value": "info""#, r#""vlaue": "info""#),
        with(app_health, r#"["/healthcheck"]"#),
        with(
            app_health,
            r#"["CMD", "/app"], "interval": 5, "timeout": 10"#,
        ),
        with(r#""image": "${image}""#, r#""image": "<IMAGE1_NAME>""#),
        with(r#""image": "${image}""#, r#""image": "{{ image }}""#),
        with(r#""image": "${image}""#, r#""image": "${IMAGE_TAG}""#),
        with(r#""image": "otel@sha256:aa""#, r#""image": "<SIDECAR>""#),
        with(r#""image": "otel@sha256:aa", "#, ""),
    ];
    let mut told = String::new();
    for task in table {
        let found = load_from(&files(PIPELINE, &task)).problems;
        let errors: Vec<_> = found
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .collect();
        assert!(!errors.is_empty(), "{task}");
        for problem in errors {
            let start = problem.start();
            let (code, message) = (problem.code, &problem.message);
            let help = problem.help.as_deref().unwrap_or("-");
            let _ = writeln!(
                told,
                "{}:{} {code}: {message}\n    {help}",
                start.line, start.column
            );
        }
    }
    insta::assert_snapshot!("refused", told);
}

#[test]
fn a_task_definition_is_looked_for_in_the_services_folder_only() {
    for path in ["../task-definition.json", "/etc/passwd", "a/../../b.json"] {
        let pipeline = PIPELINE.replace(
            "name = \"api\"",
            &format!("name = \"api\"\ntask-definition = \"{path}\""),
        );
        let told = problems(&pipeline, TASK_DEFINITION);
        assert!(
            told.contains("pipeline.toml:4:19: error[unreadable-file]"),
            "{told}"
        );
    }
}

/// A member of the future is an error until it is allowed by name; then it is sent as it stands, also from an override.
#[test]
fn newer_members_pass_through_when_they_are_allowed() {
    let task = with(
        APP,
        r#""futureLimits": [{"b": 1.5, "a": null, "c": "${env}"}], "name": "app","#,
    )
    .replace(
        FAMILY,
        r#""family": "api", "futureMode": {"z": true, "y": []}"#,
    );
    let told = problems(PIPELINE, &task);
    assert!(
        told.contains("unknown key `futureLimits`") && told.contains("unknown key `futureMode`")
    );
    let pipeline = PIPELINE.replace(
        "name = \"api\"",
        "name = \"api\"\nnewer-members = [\"futureLimits\", \"futureMode\", \"futureSize\"]",
    ) + "\noverride = { futureSize = 7 }\n";
    let loaded = load_from(&files(&pipeline, &task));
    let told = render(&loaded.problems, Format::Concise, false);
    // A null is no value that ECS takes, in whatever member.
    assert!(
        told.lines().all(|line| line.contains("note[null-member]")),
        "{told}"
    );
    let service = loaded.service.unwrap();
    let inputs = service_config::Inputs::for_review("production");
    insta::assert_snapshot!("newer_members", service.render(&inputs).unwrap());
    // The allowance is for the task definition; the pipeline file has no members of the future.
    let pipeline = PIPELINE.replace(
        "name = \"api\"",
        "name = \"api\"\nnewer-members = [\"x\"]\nx = 1",
    );
    assert!(problems(&pipeline, TASK_DEFINITION).contains("unknown key `x`"));
}
