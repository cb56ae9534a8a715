//! A task's place in the network, as clients see it: with `awsvpc`, an elastic network interface and an address of its own.
//!
//! The addresses are of the loopback network, one for each task, and the same wherever a task's address is shown. Nothing listens there: requests come to a task through the
//! balancer of its target group.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::Ecs;
use super::task_definition::TaskDefinition;
use super::task_state::{Status, Task};

/// The first subnet of a `networkConfiguration`.
pub(super) fn subnet(configuration: Option<&Value>) -> Option<String> {
    let subnets = &configuration?["awsvpcConfiguration"]["subnets"];
    subnets[0].as_str().map(str::to_owned)
}

impl Ecs {
    /// The address that a task is shown with: in `awsvpc` its own, otherwise that of this machine.
    pub(super) fn address(&self, task: &Task) -> Ipv4Addr {
        if self.has_interface(task) {
            of_task(&task.id)
        } else {
            Ipv4Addr::LOCALHOST
        }
    }

    fn has_interface(&self, task: &Task) -> bool {
        let definition = self.definition(&task.definition);
        definition.is_some_and(TaskDefinition::is_awsvpc)
    }

    /// `attachments` of a task: its network interface.
    pub(super) fn attachments(&self, task: &Task) -> Value {
        if !self.has_interface(task) {
            return json!([]);
        }
        let detail = |name: &str, value: &str| json!({"name": name, "value": value});
        let mut details: Vec<Value> = task
            .subnet
            .iter()
            .map(|subnet| detail("subnetId", subnet))
            .collect();
        let status = match task.status {
            Status::Provisioning => "PRECREATED",
            Status::Stopped => "DELETED",
            _ => "ATTACHED",
        };
        if task.status != Status::Provisioning {
            let id = task.id.get(..17).unwrap_or(&task.id);
            details.push(detail("networkInterfaceId", &format!("eni-{id}")));
            let address = of_task(&task.id).to_string();
            details.push(detail("privateIPv4Address", &address));
        }
        json!([{
            "id": attachment(&task.id),
            "type": "ElasticNetworkInterface",
            "status": status,
            "details": details,
        }])
    }

    /// `networkInterfaces` of each container of a task.
    pub(super) fn interfaces(&self, task: &Task) -> Value {
        if task.status == Status::Provisioning || !self.has_interface(task) {
            return json!([]);
        }
        let address = of_task(&task.id).to_string();
        json!([{"attachmentId": attachment(&task.id), "privateIpv4Address": address}])
    }
}

/// A task's own address, made from its random id. None is in 127.0.0.0/16, where programs of this machine listen.
fn of_task(id: &str) -> Ipv4Addr {
    let digits = |from: usize| id.get(from..from + 2);
    let byte = |from| digits(from).and_then(|two| u8::from_str_radix(two, 16).ok());
    let [second, third, fourth] = [0, 2, 4].map(|from| byte(from).unwrap_or_default());
    Ipv4Addr::new(127, second.clamp(1, 254), third, fourth.clamp(1, 254))
}

/// The id of a task's attachment, a UUID.
fn attachment(id: &str) -> String {
    let part = |range| id.get(range).unwrap_or_default();
    let (first, second) = (part(0..8), part(8..12));
    format!(
        "{first}-{second}-4{}-a{}-{}",
        part(13..16),
        part(17..20),
        part(20..32)
    )
}
