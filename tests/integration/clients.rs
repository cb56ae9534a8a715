//! Clients that we did not write, against the AWS on this machine.

use std::process::Command;

use longshore_tests::Project;
use serde_json::Value;

use crate::one_at_a_time;

fn aws(project: &Project, args: &[&str]) -> Value {
    let output = Command::new("aws")
        .args(args)
        .args(["--output", "json"])
        .envs(project.aws_env())
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "aws {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
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
            .envs(project.aws_env())
            .env("AWS_SECRET_ACCESS_KEY", secret);
        if let Some(id) = id {
            command.env("AWS_ACCESS_KEY_ID", id);
        }
        let output = command.output().unwrap();
        assert!(!output.status.success(), "{name}: {output:?}");
    }
}
