//! The generated workflows run for real: in clean clones, against the AWS on this machine, through the web-identity path.

use std::fmt::Write as _;
use std::process::Command;

use longshore_tests::{Project, Ran, Runner, skip_without};
use serde_json::Value;

use crate::{one_at_a_time, valid};

const ROLE: &str = "longshore-api-production";

/// The example, whose environment `production` is the service on this machine, and its workflows.
fn project() -> Project {
    let project = Project::example();
    let file = "api/pipeline.toml";
    for (from, to) in [
        ("account = \"123456789012\"", "account = \"000000000000\""),
        ("region = \"eu-central-1\"", "region = \"us-east-1\""),
        ("cluster = \"production\"", "cluster = \"local\""),
        ("iam::123456789012", "iam::000000000000"),
        (
            "secrets = { DATABASE_URL = \"arn:aws:secretsmanager:eu-central-1:123456789012:secret:production/api/database-url-Ab12Cd\" }",
            "secrets = { DATABASE_URL = \"/local/api/database-url\" }\nvariables = { LOG_LEVEL = \"info\" }",
        ),
    ] {
        project.edit(file, from, to);
    }
    // The log group that is there.
    project.edit(
        "api/task-definition.json",
        "/${env}/${service}",
        "/local/${service}",
    );
    // The service is there before the pipeline is: infrastructure code made it.
    let first = project.deploy(&[]).expect(0).json();
    let url = first["url"].as_str().unwrap();
    project.edit(
        file,
        "branch = \"release\"",
        &format!("branch = \"release\"\nurl = \"{url}\""),
    );
    project.run(&["workflows"]).expect(0);
    project.run(&["workflows", "--check"]).expect(0);
    project.branch("release");
    project.commit("the pipeline; touch pwned; $(touch pwned) `touch pwned`");
    project
}

/// What differs from run to run.
fn filters() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    for (pattern, to) in [
        (r"sha256:[0-9a-f]{64}", "sha256:DIGEST"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"\b[0-9a-f]{40}\b", "COMMIT"),
        (r"ecs-svc/\d+", "ecs-svc/ID"),
        (r"\b[0-9a-f]{32}\b", "TASK"),
        (r"(?m)^(    \w+) [\d.]+ s : \d+, \d+$", "$1 SECONDS"),
        (r"(?m)^    [+-]\d+\.\d s : ", "    TIME : "),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "MOMENT"),
    ] {
        settings.add_filter(pattern, to);
    }
    settings
}

fn snapshot(name: &str, ran: &Ran) {
    let mut text = format!("steps: {}\n", ran.steps.join(", "));
    let _ = writeln!(text, "\noutputs:\n{}", ran.outputs);
    for kind in ["error", "notice", "warning"] {
        for line in ran.commands(kind) {
            let _ = writeln!(text, "{line}");
        }
    }
    text.push_str("\nsummary:\n");
    let mut failed = 0;
    for line in ran.summary.lines() {
        // How often it was looked at, and how many tasks ECS tried, differs from run to run.
        let moment = line.starts_with("    ") && line.contains(" s : ");
        failed += usize::from(moment && line.contains(" failed "));
        let again = failed > 1 && line.contains(" failed ");
        if !(moment && (line.contains(" tasks run") || again)) {
            let _ = writeln!(text, "{line}");
        }
    }
    filters().bind(|| insta::assert_snapshot!(name, text));
}

fn harmless(ran: &Ran) {
    assert!(!ran.workspace.join("pwned").exists(), "{ran:?}");
    assert!(!ran.log.contains("panicked at"), "{}", ran.log);
}

fn output<'a>(ran: &'a Ran, name: &str) -> &'a str {
    let start = format!("{name}=");
    let line = ran.outputs.lines().find(|line| line.starts_with(&start));
    &line.unwrap_or_else(|| panic!("{ran:?}"))[start.len()..]
}

/// Tests, a good release, a bad one that goes away by itself, one that only people find bad, and the button.
fn walk(project: &Project) {
    let runner = Runner::new(project, "release");
    let check = runner.run("test.yml", "check");
    assert!(check.ok, "{}", check.log);
    harmless(&check);
    snapshot("pipeline_check", &check);

    let tests = runner.run("deploy-production.yml", "test");
    assert!(tests.ok, "{}", tests.log);
    harmless(&tests);
    assert_eq!(tests.artifacts.len(), 1, "the JUnit file is kept");
    assert!(
        tests.summary.contains("## Tests of api: passed"),
        "{}",
        tests.summary
    );

    let good = runner.run("deploy-production.yml", "deploy");
    assert!(good.ok, "{}", good.log);
    harmless(&good);
    snapshot("pipeline_deploy", &good);
    let receipt: Value =
        serde_json::from_str(&std::fs::read_to_string(&good.artifacts[0]).unwrap()).unwrap();
    valid(&receipt, include_str!("../../schemas/receipt.schema.json"));
    assert_eq!(receipt["outcome"], "succeeded");
    assert_eq!(receipt["taskDefinition"], output(&good, "task-definition"));
    let live = project
        .run(&["status", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(live["image"], output(&good, "image"));
    assert!(!good.log.contains("AWS_SECRET"), "{}", good.log);

    let file = "api/pipeline.toml";
    let healthy = "variables = { LOG_LEVEL = \"info\" }";
    project.edit(file, healthy, "variables = { API_FAULT = \"exit\" }");
    project.commit("a bad release");
    let bad = runner.run("deploy-production.yml", "deploy");
    assert!(!bad.ok, "{}", bad.log);
    assert_eq!(output(&bad, "outcome"), "rolled-back");
    assert_eq!(
        output(&bad, "live-task-definition"),
        output(&good, "task-definition")
    );
    let errors = bad.commands("error").join("\n");
    assert!(errors.contains("exited with code 3"), "{errors}");
    snapshot("pipeline_bad_deploy", &bad);

    project.edit(
        file,
        "variables = { API_FAULT = \"exit\" }",
        "variables = { LOG_LEVEL = \"error\" }",
    );
    project.commit("healthy, and not what people want");
    let unwanted = runner.run("deploy-production.yml", "deploy");
    assert!(unwanted.ok, "{}", unwanted.log);

    let back = Runner::new(project, "release")
        .input("environment", "production")
        .run("rollback.yml", "rollback-production");
    assert!(back.ok, "{}", back.log);
    harmless(&back);
    assert_eq!(
        output(&back, "live-task-definition"),
        output(&good, "task-definition")
    );
    snapshot("pipeline_rollback", &back);

    // What a person types into the form is a revision, or nothing.
    let hostile = Runner::new(project, "release")
        .input("environment", "production")
        .input(
            "revision",
            "api:1\"; touch pwned; $(touch pwned) `touch pwned` #",
        )
        .run("rollback.yml", "rollback-production");
    assert!(!hostile.ok, "{}", hostile.log);
    harmless(&hostile);
}

#[test]
fn from_push_to_live_and_back_by_the_button() {
    if skip_without("go", "version") || skip_without("bash", "--version") {
        return;
    }
    let _guard = one_at_a_time();
    walk(&project());
}

/// The same with the role that `iam` describes, made and enforced: nothing is denied to it, and nothing is allowed that is not used.
#[test]
#[ignore = "needs the AWS CLI"]
fn the_policy_allows_what_is_used_and_no_more() {
    let _guard = one_at_a_time();
    let project = project();
    let iam = project
        .run(&["iam", "--env", "production", "--repository", "acme/api"])
        .expect(0)
        .json();
    make_role(&project, &iam["deploy"]);
    let walked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| walk(&project)));

    let calls = project
        .run(&["local", "calls", "--format", "json"])
        .expect(0)
        .json();
    let session = format!("arn:aws:sts::000000000000:assumed-role/{ROLE}/");
    let own: Vec<&Value> = calls
        .as_array()
        .unwrap()
        .iter()
        .filter(|call| call["caller"].as_str().unwrap().starts_with(&session))
        .collect();
    let denied: Vec<&&Value> = own
        .iter()
        .filter(|call| {
            call["outcome"]
                .as_str()
                .unwrap()
                .starts_with("AccessDenied")
        })
        .collect();
    // What was denied says more than what then went wrong.
    assert!(denied.is_empty(), "{denied:#?}");
    if let Err(panic) = walked {
        std::panic::resume_unwind(panic);
    }
    assert!(own.len() > 50, "{}", own.len());

    // Everything that was called is allowed, by reading the policy as well as by its enforcement.
    let statements = iam["deploy"]["policy"]["Statement"].as_array().unwrap();
    for call in &own {
        let action = call["action"].as_str().unwrap();
        if FREE.contains(&action) {
            continue;
        }
        let resources: Vec<&str> = strings(&call["resources"]);
        let allowed = |resource: &str| {
            statements.iter().any(|statement| {
                strings(&statement["Action"]).contains(&action)
                    && strings(&statement["Resource"])
                        .iter()
                        .any(|pattern| like(pattern, resource))
            })
        };
        for resource in resources {
            assert!(allowed(resource), "{action} on {resource}");
        }
    }
    // Everything that is allowed was called, the exceptions aside.
    let unused: Vec<String> = statements
        .iter()
        .flat_map(|statement| strings(&statement["Action"]))
        .filter(|action| !own.iter().any(|call| call["action"] == *action))
        .filter(|action| !EXCEPTIONS.iter().any(|(exception, _)| exception == action))
        .map(str::to_owned)
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
    for (exception, reason) in EXCEPTIONS {
        let used = own.iter().any(|call| call["action"] == *exception);
        assert!(
            !used,
            "{exception} is used after all; it is no exception ({reason})"
        );
    }

    // Who is not the job of that environment and branch does not become the role.
    for (subject, branch) in [
        ("repo:acme/api:environment:staging", "release"),
        ("repo:acme/other:environment:production", "release"),
        ("repo:acme/api:environment:production", "feature"),
    ] {
        let claim = format!("ref=refs/heads/{branch}");
        let issuer = "https://token.actions.githubusercontent.com";
        let token = project
            .run(&[
                "local",
                "token",
                "--issuer",
                issuer,
                "--subject",
                subject,
                "--claim",
                &claim,
            ])
            .expect(0);
        let assumed = Command::new("aws")
            .args([
                "sts",
                "assume-role-with-web-identity",
                "--role-session-name",
                "x",
            ])
            .args([
                "--role-arn",
                &format!("arn:aws:iam::000000000000:role/{ROLE}"),
            ])
            .args(["--web-identity-token", token.stdout.trim()])
            .envs(project.aws_env())
            .output()
            .unwrap();
        assert!(!assumed.status.success(), "{subject} {branch}");
    }
}

/// Actions that need no permission.
const FREE: [&str; 2] = ["sts:GetCallerIdentity", "sts:AssumeRoleWithWebIdentity"];

/// Allowed, and not called in such a run.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "ecr:CreateRepository",
        "the repository was there; it is made once",
    ),
    (
        "ecr:UploadLayerPart",
        "layers of this size go up in one request, which ECR's API counts as CompleteLayerUpload",
    ),
    (
        "ecs:StopServiceDeployment",
        "the circuit breaker of the service was quicker; an interrupt or a failed check stops a deployment so",
    ),
    (
        "ecs:DescribeServiceDeployments",
        "read where a deployment is stopped",
    ),
];

fn make_role(project: &Project, role: &Value) {
    let aws = |args: &[&str]| {
        let output = Command::new("aws")
            .arg("iam")
            .args(args)
            .envs(project.aws_env())
            .output()
            .unwrap();
        assert!(output.status.success(), "aws iam {args:?}: {output:?}");
    };
    let name = role["name"].as_str().unwrap();
    assert_eq!(name, ROLE);
    let (trust, policy) = (role["trustPolicy"].to_string(), role["policy"].to_string());
    aws(&[
        "create-role",
        "--role-name",
        name,
        "--assume-role-policy-document",
        &trust,
    ]);
    let policy_name = role["policyName"].as_str().unwrap();
    aws(&[
        "put-role-policy",
        "--role-name",
        name,
        "--policy-name",
        policy_name,
        "--policy-document",
        &policy,
    ]);
}

fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// A pattern of a policy: `*` stands for anything.
fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, "")) => text.starts_with(start),
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).any(|cut| text.is_char_boundary(cut) && like(rest, &text[cut..]))
        }),
    }
}
