//! The AWS CLI, from PyPI.

use std::path::Path;
use std::process::Command;

use longshore_tests::Project;
use serde_json::{Value, json};

use super::{environment, isolated, run};
use crate::one_at_a_time;

fn aws(project: &Project, args: &[&str]) -> Value {
    let args = [args, &["--output", "json"]].concat();
    let output = run(project, "aws", &args);
    serde_json::from_str(&output).unwrap_or(Value::Null)
}

#[test]
#[ignore = "needs the AWS CLI"]
fn the_aws_cli_sees_what_longshore_did() {
    let _guard = one_at_a_time();
    let project = Project::example();
    let receipt = project.deploy(&[]).expect(0).json();

    let described = aws(
        &project,
        &[
            "ecs",
            "describe-services",
            "--cluster",
            "local",
            "--services",
            "api",
        ],
    );
    let service = &described["services"][0];
    assert_eq!(service["taskDefinition"], receipt["taskDefinition"]);
    assert_eq!(service["runningCount"], 2);
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");

    aws(
        &project,
        &[
            "ecs",
            "wait",
            "services-stable",
            "--cluster",
            "local",
            "--services",
            "api",
        ],
    );

    let images = aws(
        &project,
        &[
            "ecr",
            "describe-images",
            "--repository-name",
            "longshore/api",
        ],
    );
    let digest = receipt["image"]
        .as_str()
        .unwrap()
        .split_once('@')
        .unwrap()
        .1;
    let image = images["imageDetails"]
        .as_array()
        .unwrap()
        .iter()
        .find(|image| image["imageDigest"] == digest);
    let tags = image.expect("the image is listed")["imageTags"].to_string();
    assert!(
        tags.contains(receipt["commit"].as_str().unwrap()) && tags.contains("latest"),
        "{tags}"
    );

    let missing = aws(
        &project,
        &[
            "ecs",
            "describe-services",
            "--cluster",
            "local",
            "--services",
            "nobody",
        ],
    );
    assert_eq!(missing["failures"][0]["reason"], "MISSING");

    let parameter = aws(
        &project,
        &[
            "ssm",
            "get-parameter",
            "--name",
            "/local/api/database-url",
            "--with-decryption",
        ],
    );
    assert!(
        parameter["Parameter"]["Value"]
            .as_str()
            .unwrap()
            .contains("://")
    );
}

#[test]
#[ignore = "needs the AWS CLI"]
fn foreign_credentials_are_refused() {
    let _guard = one_at_a_time();
    let project = Project::example();
    project.run(&["local", "up"]).expect(0);
    for (name, id, secret) in [
        ("foreign", Some("AKIAIOSFODNN7EXAMPLE"), "x"),
        ("wrong secret", None, "x"),
    ] {
        let mut command = Command::new("aws");
        command
            .args(["ecs", "list-clusters"])
            .envs(environment(&project))
            .env("AWS_SECRET_ACCESS_KEY", secret);
        if let Some(id) = id {
            command.env("AWS_ACCESS_KEY_ID", id);
        }
        let output = command.output().unwrap();
        assert!(!output.status.success(), "{name}: {output:?}");
    }
}

#[test]
#[ignore = "needs the AWS CLI"]
fn the_aws_cli_takes_a_service_through_its_life() {
    let _guard = one_at_a_time();
    let project = Project::example();
    project.deploy(&[]).expect(0);
    let ecs = |words: &[&str], more: &[&str]| aws(&project, &[&["ecs"], words, more].concat());
    let service = ["--cluster", "local", "--service", "api"];
    let services = ["--cluster", "local", "--services", "api"];

    let updated = ecs(
        &[
            "update-service",
            "--force-new-deployment",
            "--desired-count",
            "1",
        ],
        &service,
    );
    let deployments = updated["service"]["deployments"].as_array().unwrap();
    assert_eq!(deployments.len(), 2);
    ecs(&["wait", "services-stable"], &services);
    let described = ecs(&["describe-services"], &services);
    assert_eq!(
        described["services"][0]["deployments"][0]["id"],
        deployments[0]["id"]
    );
    assert_eq!(described["services"][0]["runningCount"], 1);

    let revision = described["services"][0]["taskDefinition"].as_str().unwrap();
    let overrides = json!({"containerOverrides": [{"name": "api", "command": ["version"]}]});
    let run = ecs(
        &["run-task", "--cluster", "local", "--launch-type", "FARGATE"],
        &[
            "--task-definition",
            revision,
            "--network-configuration",
            "awsvpcConfiguration={subnets=[subnet-1]}",
            "--overrides",
            &overrides.to_string(),
        ],
    );
    let task = run["tasks"][0]["taskArn"].as_str().unwrap();
    let tasks = ["--cluster", "local", "--tasks", task];
    ecs(&["wait", "tasks-stopped"], &tasks);
    let ended = ecs(&["describe-tasks"], &tasks);
    assert!(
        ended["tasks"][0]["containers"][0]["exitCode"].is_number(),
        "{ended:#}"
    );

    // What `logs tail` of the CLI's second version asks for.
    let logs = aws(
        &project,
        &[
            "logs",
            "filter-log-events",
            "--log-group-name",
            "/local/api",
            "--interleaved",
            "--start-time",
            "1",
            "--filter-pattern",
            "level",
        ],
    );
    assert!(!logs["events"].as_array().unwrap().is_empty());

    let put = [
        "ssm",
        "put-parameter",
        "--name",
        "/a",
        "--value",
        "b",
        "--type",
        "SecureString",
    ];
    assert_eq!(aws(&project, &put)["Version"], 1);
    let got = aws(
        &project,
        &["ssm", "get-parameter", "--name", "/a", "--with-decryption"],
    );
    assert_eq!(got["Parameter"]["Value"], "b");

    ecs(&["delete-service", "--force"], &service);
    ecs(&["wait", "services-inactive"], &services);
    let gone = ecs(&["describe-services"], &services);
    assert_eq!(gone["services"][0]["status"], "INACTIVE");
}

#[test]
#[ignore = "needs the AWS CLI"]
fn the_aws_cli_assumes_a_role_with_a_token() {
    let _guard = one_at_a_time();
    let project = Project::example();
    project.run(&["local", "up"]).expect(0);
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": {"Federated": "arn:aws:iam::000000000000:oidc-provider/token.actions.githubusercontent.com"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"},
            "StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/api:*"},
        },
    }]});
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*"},
    ]});
    let role = ["--role-name", "deployer"];
    aws(
        &project,
        &[
            &["iam", "create-role", "--assume-role-policy-document"],
            &[trust.to_string().as_str()][..],
            &role,
        ]
        .concat(),
    );
    aws(
        &project,
        &[
            &[
                "iam",
                "put-role-policy",
                "--policy-name",
                "p",
                "--policy-document",
            ],
            &[policy.to_string().as_str()][..],
            &role,
        ]
        .concat(),
    );
    let as_job = |subject: &str, args: &[&str]| {
        let token = project
            .run(&[
                "local",
                "token",
                "--issuer",
                "https://token.actions.githubusercontent.com",
                "--subject",
                subject,
            ])
            .expect(0)
            .stdout;
        let file = project.path("token");
        std::fs::write(&file, token.trim()).unwrap();
        let output = job(&project, &file, args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let ours = "repo:acme/api:ref:refs/heads/main";
    let (ok, said, _) = as_job(ours, &["sts", "get-caller-identity"]);
    assert!(ok && said.contains(":assumed-role/deployer/ci\""), "{said}");
    let (ok, ..) = as_job(ours, &["ecs", "list-clusters"]);
    assert!(ok);
    let (ok, _, refused) = as_job(ours, &["ecs", "list-services", "--cluster", "local"]);
    assert!(
        !ok && refused.contains("AccessDeniedException"),
        "{refused}"
    );
    let (ok, _, refused) = as_job("repo:evil/api:x", &["ecs", "list-clusters"]);
    assert!(!ok && refused.contains("AccessDenied"), "{refused}");

    let calls = project.run(&["local", "calls", "ecs:*", "--format", "json"]);
    let calls = calls.expect(0).json();
    let seen: Vec<(&str, &str)> = calls
        .as_array()
        .unwrap()
        .iter()
        .map(|call| {
            (
                call["caller"].as_str().unwrap(),
                call["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    let arn = "arn:aws:sts::000000000000:assumed-role/deployer/ci";
    assert_eq!(seen, [(arn, "ok"), (arn, "AccessDeniedException")]);
}

/// The CLI as a job that has no keys.
fn job(project: &Project, token: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("aws");
    command
        .args(args)
        .args(["--output", "json"])
        .envs(environment(project))
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/deployer")
        .env("AWS_ROLE_SESSION_NAME", "ci")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", token);
    isolated(&mut command);
    command
}
