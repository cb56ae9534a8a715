//! The process is killed in the middle of a deployment, when tasks of the old and of the new version run.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use local_cloud::client::{self, Instance, Provision};
use local_cloud::daemon::ProvisionTargetGroup;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Test;
use super::background::Stopped;
use super::deployment::{self, build, ecs, push, settled};
use super::support::{call, get_url, options, runtime};

pub const TESTS: &[Test] = &[(
    "killed::a_deployment_goes_on_after_a_kill",
    a_deployment_goes_on_after_a_kill,
)];

/// Waits for what `look` finds.
fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < Duration::from_mins(1), "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Registers a version. Its program gets `mark` as an argument, so that its process can be told from all others of this machine.
fn register(instance: &Instance, image: &str, version: &str, mark: &str) -> String {
    deployment::register(instance, image, version, &json!({"command": [mark]}))
}

/// Ids of the processes that have this argument.
fn processes(mark: &str) -> BTreeSet<u32> {
    let all = std::fs::read_dir("/proc").unwrap();
    let ids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|word| word == mark.as_bytes())
    })
    .collect()
}

fn service(instance: &Instance) -> Value {
    let request = json!({"cluster": "dev", "services": ["api"]});
    ecs(instance, "DescribeServices", &request)["services"][0].clone()
}

fn messages(instance: &Instance) -> Vec<String> {
    let service = service(instance);
    let events = service["events"].as_array().unwrap().iter();
    events
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect()
}

/// The service's tasks, those that have stopped included.
fn tasks(instance: &Instance) -> Vec<Value> {
    let mut arns = Vec::new();
    for status in ["RUNNING", "STOPPED"] {
        let list = json!({"cluster": "dev", "serviceName": "api", "desiredStatus": status});
        let listed = ecs(instance, "ListTasks", &list);
        arns.extend(listed["taskArns"].as_array().unwrap().clone());
    }
    let request = json!({"cluster": "dev", "tasks": arns});
    let described = ecs(instance, "DescribeTasks", &request);
    described["tasks"].as_array().unwrap().clone()
}

/// What no restart may change: all revisions of the task definition and of the service, and the images.
fn kept(instance: &Instance) -> Value {
    let listed = ecs(instance, "ListTaskDefinitions", &json!({}));
    let definitions: Value = listed["taskDefinitionArns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arn| {
            ecs(
                instance,
                "DescribeTaskDefinition",
                &json!({"taskDefinition": arn}),
            )
        })
        .collect();
    let request = json!({"cluster": "dev", "service": "api"});
    let deployments = ecs(instance, "ListServiceDeployments", &request);
    let revisions: Vec<&Value> = deployments["serviceDeployments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["targetServiceRevisionArn"])
        .collect();
    let request = json!({"serviceRevisionArns": revisions});
    let revisions = ecs(instance, "DescribeServiceRevisions", &request);
    let target = "AmazonEC2ContainerRegistry_V20150921.DescribeImages";
    let mut images = call(instance, target, &json!({"repositoryName": "team/api"})).1;
    // A task that starts anew may pull anew.
    let image = images["imageDetails"][0].as_object_mut().unwrap();
    image.shift_remove("lastRecordedPullTime");
    json!([definitions, revisions, images])
}

/// The service deployment's status.
fn status(instance: &Instance, arn: &Value) -> Value {
    let request = json!({"serviceDeploymentArns": [arn]});
    let answer = ecs(instance, "DescribeServiceDeployments", &request);
    answer["serviceDeployments"][0]["status"].clone()
}

fn a_deployment_goes_on_after_a_kill() {
    let Some(program) = build() else {
        println!("skipped: go is not on PATH");
        return;
    };
    let folder: TempDir = tempfile::tempdir().unwrap();
    let mut options = options(&folder);
    let home = options.home.clone();
    let _stopped = Stopped(&home);
    let (mut instance, _) = client::start(&options).unwrap();
    // The port of the last run from now on.
    options.port = None;
    let wanted = Provision {
        cluster: "dev".to_owned(),
        target_group: Some(ProvisionTargetGroup {
            name: "api".to_owned(),
            listen_port: 0,
            health_check_path: "/".to_owned(),
        }),
        postgres: None,
        log_groups: Vec::new(),
    };
    let found = runtime().block_on(instance.provision(&wanted)).unwrap();
    let url = found.url.unwrap();
    let image = push(&instance, &program);
    let mark = format!("--mark={}", home.display());
    let first = register(&instance, &image, "one", &mark);
    ecs(
        &instance,
        "CreateService",
        &json!({
            "cluster": "dev",
            "serviceName": "api",
            "taskDefinition": first,
            "desiredCount": 1,
            "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            "loadBalancers": [{"targetGroupArn": found.target_group_arn, "containerName": "app", "containerPort": 8080}],
            // A tenth of it at this pace: long enough for a version that is not ready at once.
            "healthCheckGracePeriodSeconds": 100,
            // The first failure is one too many, so none of the tasks that the kill ended may count as one.
            "deploymentConfiguration": {"deploymentCircuitBreaker": {
                "enable": true, "rollback": true, "thresholdConfiguration": {"type": "COUNT", "value": 1},
            }},
        }),
    );
    assert_eq!(settled(&instance), "api:1");

    // What the deployment comes to when nobody kills anything: it would succeed, it would be rolled back.
    for (version, end, definition, said) in [
        ("slow", "SUCCESSFUL", "api:2", "slow "),
        ("never", "ROLLBACK_SUCCESSFUL", "api:2", "slow "),
    ] {
        let revision = register(&instance, &image, version, &mark);
        let update = json!({"cluster": "dev", "service": "api", "taskDefinition": revision});
        ecs(&instance, "UpdateService", &update);
        wait("second task", || {
            let service = service(&instance);
            let running = |index: usize| service["deployments"][index]["runningCount"] == 1;
            (running(0) && running(1)).then_some(())
        });
        let before = kept(&instance);
        let deployment = service(&instance)["currentServiceDeployment"].clone();
        let alive: Vec<Value> = tasks(&instance)
            .iter()
            .filter(|task| task["lastStatus"] == "RUNNING")
            .map(|task| task["taskArn"].clone())
            .collect();
        assert_eq!(alive.len(), 2);
        assert_eq!(processes(&mark).len(), 2);
        let spoken = messages(&instance);

        let pid = instance.pid.to_string();
        let killed = Command::new("kill").args(["-KILL", &pid]).status();
        assert!(killed.unwrap().success());
        wait("end", || {
            client::find(&home).unwrap().is_none().then_some(())
        });
        wait("end of its tasks", || {
            processes(&mark).is_empty().then_some(())
        });

        (instance, _) = client::start(&options).unwrap();
        let after = kept(&instance);
        for (index, what) in ["definitions", "revisions", "images"].iter().enumerate() {
            assert_eq!(after[index], before[index], "{what}, {version}");
        }
        for task in tasks(&instance) {
            if alive.contains(&task["taskArn"]) {
                assert_eq!(task["lastStatus"], "STOPPED", "{task:#}");
                assert_eq!(task["stoppedReason"], "The local cloud was restarted.");
            }
        }
        let told = messages(&instance);
        let lost = "(service api) has lost 2 tasks: the local cloud was restarted.";
        assert!(told.iter().any(|message| message == lost), "{told:#?}");
        assert!(spoken.iter().all(|known| told.contains(known)), "{told:#?}");

        wait(end, || {
            (status(&instance, &deployment) == end).then_some(())
        });
        assert_eq!(settled(&instance), definition, "{version}");
        assert_eq!(get_url(&url), (200, said.to_owned()));
        assert_eq!(processes(&mark).len(), 1);
    }
    runtime().block_on(instance.shutdown()).unwrap();
    wait("end of its tasks", || {
        processes(&mark).is_empty().then_some(())
    });
}
