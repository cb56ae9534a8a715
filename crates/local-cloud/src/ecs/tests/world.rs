//! A scripted runner and a virtual clock around the model.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::ecs::{Ecs, Pace, Settings, TargetGroup};
use crate::error::ApiError;
use crate::task::{ContainerSpec, Effect, Millis, Report, StartFailure, TaskSpec};

pub const CALLER: &str = "arn:aws:iam::123456789012:user/longshore";

/// What becomes of a task, by its image.
#[derive(Clone, Debug)]
pub struct Script {
    pub start_failure: Option<StartFailure>,
    pub start_ms: Millis,
    /// The container ends by itself so long after its start.
    pub exits_after: Option<(Millis, i32)>,
    pub check_passes: bool,
    /// Status of the health check path.
    pub status: u16,
    pub stop_ms: Millis,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            start_failure: None,
            start_ms: 200,
            exits_after: None,
            check_passes: true,
            status: 200,
            stop_ms: 100,
        }
    }
}

/// The model, the time, and what the runner is about to report.
pub struct World {
    pub ecs: Ecs,
    pub now: Millis,
    pub scripts: BTreeMap<String, Script>,
    /// Images of the tasks that were started.
    pub tasks: BTreeMap<String, TaskSpec>,
    /// Tasks that get requests.
    pub serving: BTreeSet<String>,
    /// Everything that the model asked for, with its time.
    pub log: Vec<(Millis, Effect)>,
    reports: BTreeMap<(Millis, u64), Report>,
    sent: u64,
}

impl World {
    pub fn new() -> Self {
        Self::with(Settings {
            region: "eu-central-1".to_owned(),
            account: "123456789012".to_owned(),
            pace: Pace::quick(),
            seed: 7,
        })
    }

    pub fn with(settings: Settings) -> Self {
        let mut world = Self {
            ecs: Ecs::new(settings),
            now: 1_780_000_000_000,
            scripts: BTreeMap::new(),
            tasks: BTreeMap::new(),
            serving: BTreeSet::new(),
            log: Vec::new(),
            reports: BTreeMap::new(),
            sent: 0,
        };
        world.call("CreateCluster", &json!({"clusterName": "main"}));
        world
    }

    pub fn script(&mut self, image: &str, script: Script) {
        self.scripts.insert(image.to_owned(), script);
    }

    pub fn try_call(&mut self, operation: &str, request: &Value) -> Result<Value, ApiError> {
        let answer = self.ecs.apply(operation, request, CALLER, self.now);
        self.carry_out();
        answer.map(Value::from)
    }

    pub fn call(&mut self, operation: &str, request: &Value) -> Value {
        self.try_call(operation, request)
            .unwrap_or_else(|error| panic!("{operation} {request}: {error}"))
    }

    /// Registers a one-container task definition with this image; its ARN.
    pub fn register(&mut self, image: &str) -> String {
        self.register_with(image, &json!({}))
    }

    /// As [`Self::register`], with more members of the container.
    pub fn register_with(&mut self, image: &str, more: &Value) -> String {
        let mut container = json!({
            "name": "app",
            "image": image,
            "portMappings": [{"containerPort": 8080}],
        });
        for (name, value) in more.as_object().unwrap() {
            container[name] = value.clone();
        }
        let answer = self.call(
            "RegisterTaskDefinition",
            &json!({"family": "api", "memory": "512", "containerDefinitions": [container]}),
        );
        text(&answer["taskDefinition"]["taskDefinitionArn"])
    }

    /// A target group with a short deregistration delay.
    pub fn target_group(&mut self) -> String {
        let group = TargetGroup {
            health_check_path: "/healthz".to_owned(),
            interval_seconds: 10,
            deregistration_delay_seconds: 3,
            ..TargetGroup::new("api")
        };
        let now = self.now;
        self.ecs.put_target_group(group, now)
    }

    /// Creates the service `api` and lets it settle.
    pub fn service(&mut self, definition: &str, desired: u64, more: &Value) {
        let mut request = json!({
            "cluster": "main",
            "serviceName": "api",
            "taskDefinition": definition,
            "desiredCount": desired,
        });
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        self.call("CreateService", &request);
        self.run_until("the service is steady", |world| {
            world.primary()["rolloutState"] == "COMPLETED"
        });
    }

    /// As [`Self::service`], behind a load balancer.
    pub fn balanced_service(&mut self, definition: &str, desired: u64, configuration: &Value) {
        let group = self.target_group();
        let more = json!({
            "deploymentConfiguration": configuration,
            "loadBalancers": [{"targetGroupArn": group, "containerName": "app", "containerPort": 8080}],
        });
        self.service(definition, desired, &more);
    }

    pub fn update(&mut self, more: &Value) -> Value {
        let mut request = json!({"cluster": "main", "service": "api"});
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        self.call("UpdateService", &request)["service"].clone()
    }

    pub fn describe(&mut self) -> Value {
        let request = json!({"cluster": "main", "services": ["api"]});
        self.call("DescribeServices", &request)["services"][0].clone()
    }

    pub fn primary(&mut self) -> Value {
        self.describe()["deployments"][0].clone()
    }

    /// The newest service deployment, in full.
    pub fn service_deployment(&mut self) -> Value {
        let list = self.call(
            "ListServiceDeployments",
            &json!({"cluster": "main", "service": "api"}),
        );
        let arn = &list["serviceDeployments"][0]["serviceDeploymentArn"];
        let request = json!({"serviceDeploymentArns": [arn]});
        self.call("DescribeServiceDeployments", &request)["serviceDeployments"][0].clone()
    }

    /// All tasks with this desired status, in full.
    pub fn described(&mut self, status: &str) -> Vec<Value> {
        let list = self.call(
            "ListTasks",
            &json!({"cluster": "main", "desiredStatus": status}),
        );
        if list["taskArns"] == json!([]) {
            return Vec::new();
        }
        let request = json!({"cluster": "main", "tasks": list["taskArns"]});
        self.call("DescribeTasks", &request)["tasks"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// Event messages, the oldest first, with ids replaced.
    pub fn events(&mut self) -> Vec<String> {
        let service = self.describe();
        let events = service["events"].as_array().unwrap();
        events
            .iter()
            .rev()
            .map(|event| text(&event["message"]))
            .collect()
    }

    pub fn has_event(&mut self, part: &str) -> bool {
        self.events().iter().any(|event| event.contains(part))
    }

    /// Goes to the next thing that happens; `false` when nothing ever will.
    pub fn step(&mut self) -> bool {
        let report = self.reports.first_key_value().map(|((at, _), _)| *at);
        let next = match (report, self.ecs.next_due()) {
            (Some(report), Some(due)) => report.min(due),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return false,
        };
        self.now = self.now.max(next);
        let now = self.now;
        self.ecs.tick(now);
        self.carry_out();
        while let Some(first) = self
            .reports
            .first_entry()
            .filter(|first| first.key().0 <= now)
        {
            let report = first.remove();
            self.ecs.report(report, now);
            self.carry_out();
        }
        true
    }

    /// Steps until `done`, for ten minutes of virtual time at most.
    pub fn run_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + 600_000;
        while !done(self) {
            let more = self.step();
            assert!(
                more && self.now < end,
                "never came: {what}; the service is {:#}",
                self.describe()
            );
        }
    }

    pub fn run_for(&mut self, duration: Millis) {
        let end = self.now + duration;
        while self.next().is_some_and(|next| next <= end) {
            self.step();
        }
        self.now = end;
        self.ecs.tick(end);
        self.carry_out();
    }

    pub fn next(&self) -> Option<Millis> {
        let report = self.reports.first_key_value().map(|((at, _), _)| *at);
        report.into_iter().chain(self.ecs.next_due()).min()
    }

    pub fn report_in(&mut self, delay: Millis, report: Report) {
        self.sent += 1;
        self.reports.insert((self.now + delay, self.sent), report);
    }

    fn script_of(&self, task: &str) -> Script {
        let spec = self.tasks.get(task);
        let image = spec
            .map(|spec| spec.containers[0].image.as_str())
            .unwrap_or_default();
        self.script_for(image)
    }

    fn script_for(&self, image: &str) -> Script {
        // An image that was pinned to its digest is the same image.
        let script = self.scripts.iter().find(|(known, _)| {
            image == known.as_str() || image.ends_with(&format!("@{}", digest(known)))
        });
        script.map(|(_, script)| script.clone()).unwrap_or_default()
    }

    /// Does what the model asks for, or plans to.
    pub fn carry_out(&mut self) {
        for effect in self.ecs.take_effects() {
            self.log.push((self.now, effect.clone()));
            match effect {
                Effect::Start { task } => self.start(*task),
                Effect::StartContainer { task, container } => {
                    let spec = &self.tasks[&task].containers;
                    let spec = spec.iter().find(|one| one.name == container).cloned();
                    self.start_container(&task, &spec.unwrap(), 10);
                }
                Effect::Stop { task } => {
                    let script = self.script_of(&task);
                    for container in self.tasks[&task].containers.clone() {
                        self.report_in(
                            script.stop_ms,
                            Report::Exited {
                                task: task.clone(),
                                container: container.name,
                                exit_code: 143,
                                out_of_memory: false,
                            },
                        );
                    }
                    self.report_in(script.stop_ms, Report::Gone { task });
                }
                Effect::CheckHealth {
                    task, container, ..
                } => {
                    let healthy = self.script_of(&task).check_passes;
                    self.report_in(
                        20,
                        Report::HealthChecked {
                            task,
                            container,
                            healthy,
                        },
                    );
                }
                Effect::ProbeTarget {
                    target_group, task, ..
                } => {
                    let status = self.script_of(&task).status;
                    self.report_in(
                        20,
                        Report::TargetProbed {
                            target_group,
                            task,
                            outcome: Ok(status),
                        },
                    );
                }
                Effect::Route { task, serving, .. } => {
                    if serving {
                        assert!(self.serving.insert(task), "a target that serves was added");
                    } else {
                        assert!(
                            self.serving.remove(&task),
                            "a target that does not serve was removed"
                        );
                    }
                }
            }
        }
    }

    fn start(&mut self, spec: TaskSpec) {
        let id = spec.id.clone();
        let containers = spec.containers.clone();
        self.tasks.insert(id.clone(), spec);
        let script = self.script_of(&id);
        if let Some(failure) = script.start_failure {
            self.report_in(
                script.start_ms,
                Report::StartFailed {
                    task: id,
                    container: Some(containers[0].name.clone()),
                    failure,
                    reason: "it is not there".to_owned(),
                },
            );
            return;
        }
        let digests = containers
            .iter()
            .map(|one| (one.name.clone(), digest(&one.image)))
            .collect();
        let pulled = Report::Pulled {
            task: id.clone(),
            digests,
        };
        self.report_in(script.start_ms / 2, pulled);
        for (container, index) in containers.iter().zip(0_u64..) {
            if !container.held {
                self.start_container(&id, container, script.start_ms + index);
            }
        }
    }

    /// The container starts after `delay`, and ends when the script of its image says so.
    fn start_container(&mut self, task: &str, container: &ContainerSpec, delay: Millis) {
        let (task, name) = (task.to_owned(), container.name.clone());
        if let Some((after, exit_code)) = self.script_for(&container.image).exits_after {
            let exited = Report::Exited {
                task: task.clone(),
                container: name.clone(),
                exit_code,
                out_of_memory: false,
            };
            self.report_in(delay + after, exited);
        }
        let started = Report::Started {
            task,
            container: name,
        };
        self.report_in(delay, started);
    }
}

/// The digest that an image has.
pub fn digest(image: &str) -> String {
    if let Some((_, digest)) = image.split_once('@') {
        return digest.to_owned();
    }
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in image.bytes() {
        sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("sha256:{}", format!("{sum:016x}").repeat(4))
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A deployment configuration with the circuit breaker.
pub fn breaker(rollback: bool) -> Value {
    json!({"deploymentCircuitBreaker": {"enable": true, "rollback": rollback}})
}
