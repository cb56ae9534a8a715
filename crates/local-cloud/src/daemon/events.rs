//! What services said, of all services together.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Daemon;
use super::cloud::now;
use crate::error::ApiError;
use crate::task::Millis;

/// An event of a service, as `DescribeServices` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceEvent {
    /// Its ID.
    pub id: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: Millis,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the service.
    pub service: String,
    /// In ECS's words.
    pub message: String,
}

/// A line of a log group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogLine {
    /// Its ID.
    pub id: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: Millis,
    /// Name of the stream.
    pub stream: String,
    /// The line.
    pub message: String,
}

impl Daemon {
    /// The events that ECS still has, the oldest first.
    pub(crate) fn events(&self) -> Vec<ServiceEvent> {
        let mut events = Vec::new();
        self.each_service(|service| {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let cluster = text(&service["clusterArn"]);
            let cluster = cluster.rsplit('/').next().unwrap_or_default();
            // The newest comes first, and events of one moment stay in their order.
            for event in service["events"].as_array().into_iter().flatten().rev() {
                events.push(ServiceEvent {
                    id: text(&event["id"]),
                    at: millis(&event["createdAt"]),
                    cluster: cluster.to_owned(),
                    service: text(&service["serviceName"]),
                    message: text(&event["message"]),
                });
            }
        });
        events.sort_by_key(|event| event.at);
        events
    }

    /// The lines of a log group from a time on, the oldest first.
    pub(crate) fn log_lines(&self, group: &str, from: Millis) -> Result<Vec<LogLine>, ApiError> {
        let mut lines = Vec::new();
        let mut request = json!({"logGroupName": group, "startTime": from});
        loop {
            let place = &self.cloud.place;
            let mut logs = self.cloud.logs();
            let page = logs.apply("FilterLogEvents", &request, place, now())?;
            drop(logs);
            for event in page["events"].as_array().into_iter().flatten() {
                let text = |member: &str| event[member].as_str().unwrap_or_default().to_owned();
                lines.push(LogLine {
                    id: text("eventId"),
                    at: event["timestamp"].as_u64().unwrap_or_default(),
                    stream: text("logStreamName"),
                    message: text("message"),
                });
            }
            match page.get("nextToken") {
                Some(token) if token.is_string() => request["nextToken"] = token.clone(),
                _ => break,
            }
        }
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }
}

fn millis(seconds: &serde_json::Value) -> Millis {
    let since = Duration::try_from_secs_f64(seconds.as_f64().unwrap_or_default());
    // A time of milliseconds is seldom one of binary fractions.
    let since = since.unwrap_or_default() + Duration::from_micros(500);
    Millis::try_from(since.as_millis()).unwrap_or_default()
}
