//! Faults: those that last are kept for whoever they meet, those that happen once happen here.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Daemon;
use super::cloud::now;
use crate::faults::{Fault, FaultKind};
use crate::identity::owner_arn;

/// What came of adding a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Added {
    /// What it is cleared by; `None` for one that happens once.
    pub id: Option<u64>,
    /// What happened, in words.
    pub said: String,
}

impl Daemon {
    /// Makes something go wrong. The error says why it cannot.
    pub(crate) fn add_fault(&self, fault: FaultKind) -> Result<Added, String> {
        match fault {
            FaultKind::KillTask { target } => self.kill(&target),
            FaultKind::SetAlarm { name, state } => {
                let mut models = self.cloud.models();
                models.alarms.force(&name, state, now());
                models.ecs.set_alarm(&name, state, now());
                drop(models);
                self.cloud.changed();
                Ok(Added {
                    id: None,
                    said: format!("the state of alarm {name} is set"),
                })
            }
            lasting => {
                let added = self.cloud.faults().add(lasting)?;
                self.renew();
                Ok(Added {
                    id: Some(added.id),
                    said: format!("{} is active", added.fault.name()),
                })
            }
        }
    }

    /// The faults that are active.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        self.cloud.faults().list().to_vec()
    }

    /// Ends one fault, or all; those that ended.
    pub(crate) fn clear_faults(&self, id: Option<u64>) -> Vec<Fault> {
        let cleared = self.cloud.faults().clear(id);
        self.renew();
        cleared
    }

    /// Tells the models what the faults say of the world.
    fn renew(&self) {
        let room = self.cloud.faults().room();
        self.cloud.models().ecs.set_capacity(room, now());
        self.cloud.changed();
    }

    fn kill(&self, target: &str) -> Result<Added, String> {
        let id = match self.oldest_task(target) {
            Some(id) => id,
            None => target.to_owned(),
        };
        if self.runner.kill(&id) {
            return Ok(Added {
                id: None,
                said: format!("task {id} is killed"),
            });
        }
        Err(format!(
            "there is no task {target} that runs, and no service of that name with one"
        ))
    }

    /// The running task of a service that runs longest.
    fn oldest_task(&self, service: &str) -> Option<String> {
        let caller = owner_arn(&self.cloud.place);
        let now = now();
        let mut models = self.cloud.models();
        let mut ask = |operation: &str, request| {
            let answer = models.ecs.apply(operation, &request, &caller, now);
            answer.ok().map(serde_json::Value::from)
        };
        let clusters = ask("ListClusters", json!({}))?;
        for cluster in clusters["clusterArns"].as_array()? {
            let listed = ask(
                "ListTasks",
                json!({"cluster": cluster, "serviceName": service}),
            );
            let Some(listed) = listed.filter(|listed| listed["taskArns"][0].is_string()) else {
                continue;
            };
            let request = json!({"cluster": cluster, "tasks": listed["taskArns"]});
            let described = ask("DescribeTasks", request)?;
            let oldest = described["tasks"]
                .as_array()?
                .iter()
                .filter(|task| task["lastStatus"] == "RUNNING")
                .min_by(|a, b| {
                    let began =
                        |task: &serde_json::Value| task["startedAt"].as_f64().unwrap_or(f64::MAX);
                    began(a).total_cmp(&began(b))
                })?;
            return oldest["taskArn"]
                .as_str()?
                .rsplit('/')
                .next()
                .map(str::to_owned);
        }
        None
    }
}
