//! The whole way of a deployment: push, service, requests through the load balancer, a bad version, a restart.

use std::process::Command;
use std::time::{Duration, Instant};

use local_cloud::client::{Instance, Provision};
use local_cloud::daemon::ProvisionTargetGroup;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Test;
use super::registry::{MANIFEST, digest, login, put_blob};
use super::support::{Cloud, call, get_url, send};

pub const TESTS: &[Test] = &[(
    "deployment::a_service_is_deployed_rolled_back_and_comes_again",
    a_service_is_deployed_rolled_back_and_comes_again,
)];

/// A server that says its version, ends at once, is ready after a while, or never is.
const PROGRAM: &str = r#"package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	if os.Getenv("VERSION") == "bad" {
		fmt.Println("cannot start")
		os.Exit(3)
	}
	fmt.Println("serving", os.Getenv("VERSION"))
	began := time.Now()
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		version := os.Getenv("VERSION")
		if version == "never" || version == "slow" && time.Since(began) < 2*time.Second {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, os.Getenv("VERSION"), " ", os.Getenv("PASSWORD"))
	})
	http.ListenAndServe(":8080", nil)
}
"#;

pub fn ecs(instance: &Instance, operation: &str, request: &Value) -> Value {
    let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
    let (status, answer) = call(instance, &target, request);
    assert_eq!(status, 200, "{operation}: {answer}");
    answer
}

pub fn build() -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("main.go"), PROGRAM).unwrap();
    let built = Command::new("go")
        .args(["build", "-ldflags=-s -w", "-o", "program", "main.go"])
        .envs([("CGO_ENABLED", "0"), ("GOFLAGS", ""), ("GOOS", "linux")])
        .current_dir(folder.path())
        .status()
        .ok()?;
    assert!(built.success(), "go build failed");
    Some(std::fs::read(folder.path().join("program")).unwrap())
}

/// Pushes an image with the program; its reference.
pub fn push(instance: &Instance, program: &[u8]) -> String {
    let repository = json!({"repositoryName": "team/api"});
    let target = "AmazonEC2ContainerRegistry_V20150921.CreateRepository";
    assert_eq!(call(instance, target, &repository).0, 200);
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    layer.append_data(&mut header, "program", program).unwrap();
    let layer = layer.into_inner().unwrap();
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Entrypoint": ["/program"], "User": "65532"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex::encode(Sha256::digest(&layer)))]},
    })
    .to_string();
    let mut headers = login(instance);
    for blob in [config.as_bytes(), &layer] {
        assert_eq!(put_blob(instance, &headers, blob).status, 201);
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config.as_bytes()), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(&layer), "size": layer.len()}],
    })
    .to_string();
    headers.push(("content-type".to_owned(), MANIFEST.to_owned()));
    let path = "/v2/team/api/manifests/v1";
    let answer = send(instance, "PUT", path, &headers, manifest.as_bytes());
    assert_eq!(answer.status, 201);
    let digest = answer.header("docker-content-digest").unwrap();
    format!("127.0.0.1:{}/team/api@{digest}", instance.port)
}

/// The parts of a container that reads a secret and whose output is kept.
fn furnished() -> Value {
    json!({
        "secrets": [{"name": "PASSWORD", "valueFrom": "/api/password"}],
        "logConfiguration": {"logDriver": "awslogs", "options": {
            "awslogs-group": "/ecs/api",
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "api",
        }},
    })
}

/// Registers a version of a service with one container, which has `more` members than it needs.
pub fn register(instance: &Instance, image: &str, version: &str, more: &Value) -> String {
    let mut container = json!({
        "name": "app",
        "image": image,
        "portMappings": [{"containerPort": 8080}],
        "environment": [{"name": "VERSION", "value": version}],
    });
    let members = container.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    let answer = ecs(
        instance,
        "RegisterTaskDefinition",
        &json!({
            "family": "api",
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
            "executionRoleArn": "arn:aws:iam::000000000000:role/execution",
            "containerDefinitions": [container],
        }),
    );
    let arn = &answer["taskDefinition"]["taskDefinitionArn"];
    arn.as_str().unwrap().to_owned()
}

/// Why tasks stopped.
fn stopped(instance: &Instance) -> Value {
    let list = json!({"cluster": "dev", "desiredStatus": "STOPPED"});
    let tasks = ecs(instance, "ListTasks", &list)["taskArns"].clone();
    let answer = ecs(
        instance,
        "DescribeTasks",
        &json!({"cluster": "dev", "tasks": tasks}),
    );
    let tasks = answer["tasks"].as_array().unwrap().iter();
    tasks
        .map(|task| json!([task["stoppedReason"], task["containers"][0]["reason"]]))
        .collect()
}

/// Waits until the service is at rest: the revision it runs.
pub fn settled(instance: &Instance) -> String {
    let since = Instant::now();
    loop {
        let request = json!({"cluster": "dev", "services": ["api"]});
        let answer = ecs(instance, "DescribeServices", &request);
        let service = &answer["services"][0];
        let deployments = service["deployments"].as_array().unwrap();
        if deployments.len() == 1
            && deployments[0]["rolloutState"] == "COMPLETED"
            && service["runningCount"] == 1
        {
            let arn = service["taskDefinition"].as_str().unwrap();
            return arn.rsplit('/').next().unwrap().to_owned();
        }
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "{service:#}\n{:#}",
            stopped(instance)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn a_service_is_deployed_rolled_back_and_comes_again() {
    let Some(program) = build() else {
        println!("skipped: go is not on PATH");
        return;
    };
    let mut cloud = Cloud::start();
    let wanted = Provision {
        cluster: "dev".to_owned(),
        target_group: Some(ProvisionTargetGroup {
            name: "api".to_owned(),
            listen_port: 0,
            health_check_path: "/".to_owned(),
        }),
        postgres: None,
        log_groups: vec!["/ecs/api".to_owned()],
    };
    let found = cloud.runtime.block_on(cloud.instance.provision(&wanted));
    let found = found.unwrap();
    let url = found.url.unwrap();
    let put = json!({"Name": "/api/password", "Value": "sesame", "Type": "SecureString"});
    assert_eq!(cloud.call("AmazonSSM.PutParameter", &put).0, 200);
    let image = push(&cloud.instance, &program);

    let first = register(&cloud.instance, &image, "one", &furnished());
    ecs(
        &cloud.instance,
        "CreateService",
        &json!({
            "cluster": "dev",
            "serviceName": "api",
            "taskDefinition": first,
            "desiredCount": 1,
            "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            "loadBalancers": [{"targetGroupArn": found.target_group_arn, "containerName": "app", "containerPort": 8080}],
            "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}},
        }),
    );
    assert_eq!(settled(&cloud.instance), "api:1");
    assert_eq!(get_url(&url), (200, "one sesame".to_owned()));

    for (version, expected, said) in [
        ("two", "api:2", "two sesame"),
        ("bad", "api:2", "two sesame"),
    ] {
        let revision = register(&cloud.instance, &image, version, &furnished());
        let update = json!({"cluster": "dev", "service": "api", "taskDefinition": revision});
        ecs(&cloud.instance, "UpdateService", &update);
        assert_eq!(settled(&cloud.instance), expected);
        assert_eq!(get_url(&url), (200, said.to_owned()));
    }
    let request = json!({"logGroupName": "/ecs/api", "filterPattern": "cannot"});
    let (_, found) = cloud.call("Logs_20140328.FilterLogEvents", &request);
    assert_eq!(found["events"][0]["message"], "cannot start");

    cloud.restart();
    let status = |cloud: &Cloud| cloud.runtime.block_on(cloud.instance.status()).unwrap();
    let since = Instant::now();
    while get_url(&url) != (200, "two sesame".to_owned()) {
        assert!(
            since.elapsed() < Duration::from_mins(1),
            "{:#?}",
            status(&cloud)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(settled(&cloud.instance), "api:2");
    let status = status(&cloud);
    let service = &status.services[0];
    assert_eq!((service.running, service.desired), (1, 1));
    assert_eq!(service.url.as_ref(), Some(&url));
    assert_eq!(status.target_groups[0].targets[0].health, "healthy");
}
