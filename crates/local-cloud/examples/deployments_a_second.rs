//! How many rolling deployments of two tasks behind a load balancer the ECS model does in a second, on one core, at ECS's own pace:
//!
//! ```console
//! cargo run --release -p local-cloud --example deployments_a_second
//! ```
//!
//! One in five cannot start its tasks and is rolled back. The first figure is of the model alone: the update, all that happens, and the service deployment's status at the end.
//! The second is with a client that asks for the service every 15 seconds of virtual time, as the waiters of AWS's SDKs do; most of that time goes into the answers, each of
//! which has up to a hundred events in it. Seconds are those that this process had on a processor.
//!
//! With two numbers as arguments it does so many deployments of the one kind and of the other, however long they take: for a tool that counts instructions.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use local_cloud::View;
use local_cloud::ecs::{Ecs, Pace, Settings, TargetGroup};
use local_cloud::task::{Effect, Millis, Report, StartFailure, TaskSpec};
use serde_json::{Value, json};

const MEASURED_S: f64 = 5.0;
/// A service lives for so many deployments.
const DEPLOYMENTS: u32 = 20;

fn main() {
    let numbers = std::env::args().skip(1);
    let mut numbers = numbers.map(|text| text.parse().expect("a number of deployments"));
    let (alone, watched) = (numbers.next(), numbers.next());
    measure("the model alone", 600_000, World::status, alone);
    measure(
        "with a client that looks",
        15_000,
        World::rollout_state,
        watched,
    );
}

/// Looks at a deployment: whether it is over, and then whether it was rolled back.
type Look = fn(&mut World) -> Option<bool>;

/// Deploys for a while, or `number` times, and looks every `poll` milliseconds of virtual time.
fn measure(what: &str, poll: Millis, look: Look, number: Option<u32>) {
    let began = on_processor();
    let (mut deployments, mut rolled_back, mut polls) = (0_u32, 0_u32, 0_u32);
    let mut seed = 0;
    let enough = |deployments: u32| match number {
        Some(number) => deployments >= number,
        None => on_processor() - began >= MEASURED_S,
    };
    while !enough(deployments) {
        seed += 1;
        let mut world = World::new(seed);
        for number in 0..DEPLOYMENTS {
            let broken = number % 5 == 4;
            world.deploy(broken);
            let (back, looks) = world.watch(poll, look);
            polls += looks;
            deployments += 1;
            rolled_back += u32::from(back);
        }
    }
    let seconds = on_processor() - began;
    if deployments == 0 {
        return;
    }
    println!(
        "{what}: {:.0} deployments a second ({deployments} in {seconds:.1} s, {rolled_back} of them rolled back; {:.1} looks at each)",
        f64::from(deployments) / seconds,
        f64::from(polls) / f64::from(deployments),
    );
}

/// Seconds that this process had on a processor.
fn on_processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split_whitespace().next();
    nanoseconds
        .and_then(|one| one.parse::<f64>().ok())
        .unwrap_or_default()
        / 1e9
}

/// The model, a runner that starts and stops in a few virtual seconds, and the time.
struct World {
    ecs: Ecs,
    now: Millis,
    reports: BTreeSet<(Millis, u64)>,
    bodies: BTreeMap<u64, Report>,
    sent: u64,
    tasks: BTreeMap<String, TaskSpec>,
    /// The task definition that was deployed last.
    wanted: Value,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            ecs: Ecs::new(Settings {
                region: "eu-central-1".to_owned(),
                account: "123456789012".to_owned(),
                pace: Pace::aws(),
                seed,
            }),
            now: 1_780_000_000_000,
            reports: BTreeSet::new(),
            bodies: BTreeMap::new(),
            sent: 0,
            tasks: BTreeMap::new(),
            wanted: Value::Null,
        };
        world.call("CreateCluster", &json!({"clusterName": "main"}));
        let group = TargetGroup {
            interval_seconds: 10,
            deregistration_delay_seconds: 30,
            ..TargetGroup::new("api")
        };
        let group = world.ecs.put_target_group(group, world.now);
        let definition = world.register(false);
        world.call(
            "CreateService",
            &json!({
                "cluster": "main", "serviceName": "api", "taskDefinition": definition, "desiredCount": 2,
                "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}},
                "loadBalancers": [{"targetGroupArn": group, "containerName": "app", "containerPort": 8080}],
            }),
        );
        world.watch(600_000, Self::status);
        world
    }

    fn call(&mut self, operation: &str, request: &Value) -> View {
        let caller = "arn:aws:iam::123456789012:user/bench";
        let answer = self.ecs.apply(operation, request, caller, self.now);
        self.carry_out();
        answer.unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    fn register(&mut self, broken: bool) -> Value {
        let image = if broken { "app:broken" } else { "app:good" };
        let answer = self.call(
            "RegisterTaskDefinition",
            &json!({
                "family": "api", "memory": "512",
                "containerDefinitions": [{"name": "app", "image": image, "portMappings": [{"containerPort": 8080}]}],
            }),
        );
        let arn = answer.pointer("/taskDefinition/taskDefinitionArn");
        arn.cloned().unwrap_or_default()
    }

    fn deploy(&mut self, broken: bool) {
        let definition = self.register(broken);
        self.wanted.clone_from(&definition);
        self.call(
            "UpdateService",
            &json!({"cluster": "main", "service": "api", "taskDefinition": definition}),
        );
    }

    fn rollout_state(&mut self) -> Option<bool> {
        let request = json!({"cluster": "main", "services": ["api"]});
        let answer = self.call("DescribeServices", &request);
        let rollout = answer.pointer("/services/0/deployments/0/rolloutState");
        let over = rollout? == "COMPLETED";
        over.then(|| answer.pointer("/services/0/taskDefinition") != Some(&self.wanted))
    }

    fn status(&mut self) -> Option<bool> {
        let request = json!({"cluster": "main", "service": "api", "maxResults": 1});
        let answer = self.call("ListServiceDeployments", &request);
        match answer.pointer("/serviceDeployments/0/status")?.as_str() {
            Some("SUCCESSFUL") => Some(false),
            Some("ROLLBACK_SUCCESSFUL") => Some(true),
            _ => None,
        }
    }

    /// Looks until the deployment has ended; whether it was rolled back, and how many looks it took.
    fn watch(&mut self, poll: Millis, look: Look) -> (bool, u32) {
        let mut looks = 0;
        loop {
            self.advance(self.now + poll);
            looks += 1;
            if let Some(back) = look(self) {
                return (back, looks);
            }
        }
    }

    fn advance(&mut self, until: Millis) {
        loop {
            let report = self.reports.first().map(|(at, _)| *at);
            let next = report.into_iter().chain(self.ecs.next_due()).min();
            let Some(next) = next.filter(|next| *next <= until) else {
                break;
            };
            self.now = self.now.max(next);
            self.ecs.tick(self.now);
            self.carry_out();
            while let Some(&(at, number)) = self.reports.first().filter(|(at, _)| *at <= self.now) {
                self.reports.remove(&(at, number));
                if let Some(report) = self.bodies.remove(&number) {
                    self.ecs.report(report, self.now);
                    self.carry_out();
                }
            }
        }
        self.now = until;
    }

    fn report_in(&mut self, delay: Millis, report: Report) {
        self.sent += 1;
        self.reports.insert((self.now + delay, self.sent));
        self.bodies.insert(self.sent, report);
    }

    fn carry_out(&mut self) {
        for effect in self.ecs.take_effects() {
            match effect {
                Effect::Start { task } => {
                    let id = task.id.clone();
                    let container = task.containers[0].name.clone();
                    if task.containers[0].image == "app:broken" {
                        let failed = Report::StartFailed {
                            task: id,
                            container: Some(container),
                            failure: StartFailure::CannotPullContainerError,
                            reason: "not found".to_owned(),
                        };
                        self.report_in(5_000, failed);
                    } else {
                        self.tasks.insert(id.clone(), *task);
                        let started = Report::Started {
                            task: id,
                            container,
                        };
                        self.report_in(10_000, started);
                    }
                }
                Effect::Stop { task } => {
                    self.tasks.remove(&task);
                    self.report_in(2_000, Report::Gone { task });
                }
                Effect::ProbeTarget {
                    target_group, task, ..
                } => {
                    let probed = Report::TargetProbed {
                        target_group,
                        task,
                        outcome: Ok(200),
                    };
                    self.report_in(5, probed);
                }
                Effect::CheckHealth { .. }
                | Effect::StartContainer { .. }
                | Effect::Route { .. } => {}
            }
        }
    }
}
