//! What is asked about balancers, listeners and target groups besides what they are: attributes, rules, tags.

use serde_json::{Value, json};

use super::{Balancers, balancer_arn, listener_arn, texts};
use crate::ecs::TargetGroup;
use crate::error::ApiError;
use crate::tags;

/// Attributes of a target group that nobody changes here, with the defaults of Elastic Load Balancing.
const TARGET_GROUP: [(&str, &str); 10] = [
    ("load_balancing.algorithm.type", "round_robin"),
    ("load_balancing.algorithm.anomaly_mitigation", "off"),
    (
        "load_balancing.cross_zone.enabled",
        "use_load_balancer_configuration",
    ),
    ("slow_start.duration_seconds", "0"),
    ("stickiness.enabled", "false"),
    ("stickiness.type", "lb_cookie"),
    ("stickiness.lb_cookie.duration_seconds", "86400"),
    ("stickiness.app_cookie.duration_seconds", "86400"),
    (
        "target_group_health.dns_failover.minimum_healthy_targets.count",
        "1",
    ),
    (
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        "1",
    ),
];
const LOAD_BALANCER: [(&str, &str); 9] = [
    ("access_logs.s3.enabled", "false"),
    ("deletion_protection.enabled", "false"),
    ("idle_timeout.timeout_seconds", "60"),
    ("load_balancing.cross_zone.enabled", "true"),
    ("routing.http.desync_mitigation_mode", "defensive"),
    ("routing.http.drop_invalid_header_fields.enabled", "false"),
    ("routing.http.preserve_host_header.enabled", "false"),
    ("routing.http.xff_header_processing.mode", "append"),
    ("routing.http2.enabled", "true"),
];
const LISTENER: [(&str, &str); 1] = [("routing.http.response.server.enabled", "true")];

fn attributes<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    json!({"Attributes": tags::listed(pairs)})
}

fn missing(what: &str) -> ApiError {
    let (code, message) = match what {
        "target group" => ("TargetGroupNotFound", "One or more target groups not found"),
        "listener" => ("ListenerNotFound", "One or more listeners not found"),
        "rule" => ("RuleNotFound", "One or more rules not found"),
        _ => (
            "LoadBalancerNotFound",
            "One or more load balancers not found",
        ),
    };
    ApiError::new(code, message)
}

/// `…:listener-rule/app/name/id/listener/default`.
fn rule_arn(listener: &str) -> String {
    let rule = listener.replacen(":listener/", ":listener-rule/", 1);
    format!("{rule}/default")
}

impl Balancers<'_> {
    /// The target group for which `arn` makes this ARN.
    fn by(
        &self,
        wanted: &str,
        arn: fn(&str, &TargetGroup) -> String,
    ) -> Option<(&str, &TargetGroup)> {
        self.ecs
            .target_groups()
            .find(|(group_arn, group)| arn(group_arn, group) == wanted)
    }

    pub(super) fn target_group_attributes(&self, request: &Value) -> Result<Value, ApiError> {
        let wanted = request["TargetGroupArn"].as_str().unwrap_or_default();
        let (_, group) = self
            .by(wanted, |arn, _| arn.to_owned())
            .ok_or_else(|| missing("target group"))?;
        let delay = group.deregistration_delay_seconds.to_string();
        let own = [("deregistration_delay.timeout_seconds", delay.as_str())];
        Ok(attributes(own.into_iter().chain(TARGET_GROUP)))
    }

    pub(super) fn load_balancer_attributes(&self, request: &Value) -> Result<Value, ApiError> {
        let wanted = request["LoadBalancerArn"].as_str().unwrap_or_default();
        self.by(wanted, balancer_arn)
            .ok_or_else(|| missing("load balancer"))?;
        Ok(attributes(LOAD_BALANCER))
    }

    pub(super) fn listener_attributes(&self, request: &Value) -> Result<Value, ApiError> {
        let wanted = request["ListenerArn"].as_str().unwrap_or_default();
        self.by(wanted, listener_arn)
            .ok_or_else(|| missing("listener"))?;
        Ok(attributes(LISTENER))
    }

    /// A listener has its default rule and no other.
    pub(super) fn rules(&self, request: &Value) -> Result<Value, ApiError> {
        let wanted = texts(&request["RuleArns"]);
        let listener = request["ListenerArn"].as_str();
        if wanted.is_empty() == listener.is_none() {
            return Err(ApiError::new(
                "ValidationError",
                "You must specify either listener ARN or rule ARNs",
            ));
        }
        let rules: Vec<Value> = self
            .ecs
            .target_groups()
            .map(|(arn, group)| (arn, listener_arn(arn, group)))
            .filter(|(_, known)| {
                listener == Some(known) || wanted.contains(&rule_arn(known).as_str())
            })
            .map(|(arn, listener)| {
                json!({
                    "RuleArn": rule_arn(&listener),
                    "Priority": "default",
                    "Conditions": [],
                    "Actions": [{"Type": "forward", "TargetGroupArn": arn}],
                    "IsDefault": true,
                })
            })
            .collect();
        if rules.len() < wanted.len() {
            return Err(missing("rule"));
        }
        if rules.is_empty() {
            return Err(missing("listener"));
        }
        Ok(json!({"Rules": rules}))
    }

    /// Nothing here has tags.
    pub(super) fn tags(&self, request: &Value) -> Result<Value, ApiError> {
        let arns = texts(&request["ResourceArns"]);
        for arn in &arns {
            let (what, known) = if arn.contains(":targetgroup/") {
                ("target group", self.by(arn, |arn, _| arn.to_owned()))
            } else if arn.contains(":listener-rule/") {
                (
                    "rule",
                    self.by(arn, |arn, group| rule_arn(&listener_arn(arn, group))),
                )
            } else if arn.contains(":listener/") {
                ("listener", self.by(arn, listener_arn))
            } else {
                ("load balancer", self.by(arn, balancer_arn))
            };
            if known.is_none() {
                return Err(missing(what));
            }
        }
        let list: Value = arns
            .into_iter()
            .map(|arn| json!({"ResourceArn": arn, "Tags": []}))
            .collect();
        Ok(json!({"TagDescriptions": list}))
    }
}
