//! Elastic Load Balancing's view of the instance's target groups: one balancer and one listener for each of them.
//!
//! Documented in the Elastic Load Balancing API reference, version 2015-12-01.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::ecs::{Ecs, TargetGroup, TargetHealth};
use crate::error::ApiError;
use crate::place::Place;

mod attributes;

/// The address of the balancers.
const HOST: &str = "127.0.0.1";

/// What is asked about.
pub(crate) struct Balancers<'a> {
    pub(crate) ecs: &'a Ecs,
    pub(crate) place: &'a Place,
    /// Port of each target group's listener, by ARN.
    pub(crate) ports: &'a BTreeMap<String, u16>,
}

impl Balancers<'_> {
    /// Answers one operation.
    pub(crate) fn apply(&self, operation: &str, request: &Value) -> Result<Value, ApiError> {
        match operation {
            "DescribeTargetGroups" => self.target_groups(request),
            "DescribeTargetHealth" => self.target_health(request),
            "DescribeLoadBalancers" => self.load_balancers(request),
            "DescribeListeners" => self.listeners(request),
            "DescribeTargetGroupAttributes" => self.target_group_attributes(request),
            "DescribeLoadBalancerAttributes" => self.load_balancer_attributes(request),
            "DescribeListenerAttributes" => self.listener_attributes(request),
            "DescribeRules" => self.rules(request),
            "DescribeTags" => self.tags(request),
            _ => Err(ApiError::new(
                "InvalidAction",
                format!("Could not find operation {operation} for version 2015-12-01."),
            )),
        }
    }

    fn target_groups(&self, request: &Value) -> Result<Value, ApiError> {
        let wanted = Wanted::of(request, "TargetGroupArns");
        let balancer = request["LoadBalancerArn"].as_str();
        let groups: Vec<Value> = self
            .ecs
            .target_groups()
            .filter(|(arn, group)| wanted.takes(arn, &group.name))
            .filter(|(arn, group)| {
                balancer.is_none_or(|balancer| balancer == balancer_arn(arn, group))
            })
            .map(|(arn, group)| self.target_group(arn, group))
            .collect();
        wanted.all_found(
            groups.len(),
            "TargetGroupNotFound",
            "One or more target groups not found",
        )?;
        Ok(json!({"TargetGroups": groups}))
    }

    fn target_group(&self, arn: &str, group: &TargetGroup) -> Value {
        json!({
            "TargetGroupArn": arn,
            "TargetGroupName": group.name,
            "Protocol": "HTTP",
            "Port": self.port(arn),
            "VpcId": "vpc-00000000",
            "HealthCheckProtocol": "HTTP",
            "HealthCheckPort": "traffic-port",
            "HealthCheckEnabled": true,
            "HealthCheckIntervalSeconds": group.interval_seconds,
            "HealthCheckTimeoutSeconds": group.timeout_seconds,
            "HealthyThresholdCount": group.healthy_threshold,
            "UnhealthyThresholdCount": group.unhealthy_threshold,
            "HealthCheckPath": group.health_check_path,
            "Matcher": {"HttpCode": "200"},
            "LoadBalancerArns": [balancer_arn(arn, group)],
            "TargetType": "ip",
            "ProtocolVersion": "HTTP1",
            "IpAddressType": "ipv4",
        })
    }

    fn target_health(&self, request: &Value) -> Result<Value, ApiError> {
        let arn = request["TargetGroupArn"].as_str().unwrap_or_default();
        if !self.ecs.target_groups().any(|(known, _)| known == arn) {
            return Err(ApiError::new(
                "TargetGroupNotFound",
                "One or more target groups not found",
            ));
        }
        let health = self.ecs.target_health(arn);
        let targets: Vec<Value> = health.iter().map(target).collect();
        Ok(json!({"TargetHealthDescriptions": targets}))
    }

    fn load_balancers(&self, request: &Value) -> Result<Value, ApiError> {
        let wanted = Wanted::of(request, "LoadBalancerArns");
        let balancers: Vec<Value> = self
            .ecs
            .target_groups()
            .map(|(arn, group)| (balancer_arn(arn, group), group))
            .filter(|(arn, group)| wanted.takes(arn, &group.name))
            .map(|(arn, group)| {
                json!({
                    "LoadBalancerArn": arn,
                    "DNSName": HOST,
                    "CanonicalHostedZoneId": "Z00000000000",
                    "LoadBalancerName": group.name,
                    "Scheme": "internal",
                    "VpcId": "vpc-00000000",
                    "State": {"Code": "active"},
                    "Type": "application",
                    "AvailabilityZones": [{"ZoneName": format!("{}a", self.place.region)}],
                    "IpAddressType": "ipv4",
                })
            })
            .collect();
        wanted.all_found(
            balancers.len(),
            "LoadBalancerNotFound",
            "One or more load balancers not found",
        )?;
        Ok(json!({"LoadBalancers": balancers}))
    }

    fn listeners(&self, request: &Value) -> Result<Value, ApiError> {
        let balancer = request["LoadBalancerArn"].as_str();
        let wanted = texts(&request["ListenerArns"]);
        let listeners: Vec<Value> = self
            .ecs
            .target_groups()
            .map(|(arn, group)| (arn, balancer_arn(arn, group), listener_arn(arn, group)))
            .filter(|(_, known, listener)| {
                balancer.is_none_or(|balancer| balancer == known)
                    && (wanted.is_empty() || wanted.contains(&listener.as_str()))
            })
            .map(|(arn, balancer, listener)| {
                json!({
                    "ListenerArn": listener,
                    "LoadBalancerArn": balancer,
                    "Port": self.port(arn),
                    "Protocol": "HTTP",
                    "DefaultActions": [{"Type": "forward", "TargetGroupArn": arn}],
                })
            })
            .collect();
        if listeners.is_empty() && balancer.is_some() {
            return Err(ApiError::new(
                "LoadBalancerNotFound",
                "One or more load balancers not found",
            ));
        }
        if listeners.len() < wanted.len() {
            return Err(ApiError::new(
                "ListenerNotFound",
                "One or more listeners not found",
            ));
        }
        Ok(json!({"Listeners": listeners}))
    }

    fn port(&self, arn: &str) -> u16 {
        self.ports.get(arn).copied().unwrap_or(80)
    }
}

/// The members by which things are asked for: ARNs, or names; all when there are none.
struct Wanted<'a> {
    arns: Vec<&'a str>,
    names: Vec<&'a str>,
}

impl<'a> Wanted<'a> {
    fn of(request: &'a Value, arns: &str) -> Self {
        Self {
            arns: texts(&request[arns]),
            names: texts(&request["Names"]),
        }
    }

    fn takes(&self, arn: &str, name: &str) -> bool {
        (self.arns.is_empty() && self.names.is_empty())
            || self.arns.contains(&arn)
            || self.names.contains(&name)
    }

    fn all_found(&self, found: usize, code: &'static str, message: &str) -> Result<(), ApiError> {
        if found < self.arns.len() + self.names.len() {
            return Err(ApiError::new(code, message));
        }
        Ok(())
    }
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

/// `…:targetgroup/name/id` → `…:loadbalancer/app/name/id`.
fn balancer_arn(target_group: &str, group: &TargetGroup) -> String {
    let id = target_group.rsplit('/').next().unwrap_or_default();
    let before = target_group
        .split(":targetgroup/")
        .next()
        .unwrap_or_default();
    format!("{before}:loadbalancer/app/{}/{id}", group.name)
}

/// `…:listener/app/name/id/listener`.
fn listener_arn(target_group: &str, group: &TargetGroup) -> String {
    let balancer = balancer_arn(target_group, group);
    format!(
        "{}/listener",
        balancer.replacen(":loadbalancer/", ":listener/", 1)
    )
}

fn target(target: &TargetHealth) -> Value {
    let (reason, description) = match target.state.as_str() {
        "initial" => (
            Some("Elb.InitialHealthChecking"),
            "Initial health checks in progress",
        ),
        "draining" => (
            Some("Target.DeregistrationInProgress"),
            "Target deregistration is in progress",
        ),
        "unhealthy" if target.reason.contains("codes") => {
            (Some("Target.ResponseCodeMismatch"), target.reason.as_str())
        }
        "unhealthy" => (Some("Target.FailedHealthChecks"), target.reason.as_str()),
        _ => (None, ""),
    };
    let mut health = json!({"State": target.state});
    if let Some(reason) = reason {
        health["Reason"] = reason.into();
        health["Description"] = description.into();
    }
    json!({
        "Target": {"Id": target.address, "Port": target.port},
        "HealthCheckPort": target.port.to_string(),
        "TargetHealth": health,
    })
}

#[cfg(test)]
mod tests;
