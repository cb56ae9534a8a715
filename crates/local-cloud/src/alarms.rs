//! CloudWatch's alarms. Nothing is measured here: an alarm has the state that it was set to.
//!
//! Documented in the Amazon CloudWatch API reference: *PutMetricAlarm*, *DescribeAlarms*, *SetAlarmState*, *DeleteAlarms*.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::ecs::AlarmState;
use crate::error::ApiError;
use crate::place::{Place, page, seconds};
use crate::tags;
use crate::task::Millis;

/// The members of an alarm that are kept as they are given, and what they hold.
const MEMBERS: [(&str, Holds); 19] = [
    ("AlarmDescription", Holds::Text),
    ("ActionsEnabled", Holds::Flag),
    ("OKActions", Holds::Other),
    ("AlarmActions", Holds::Other),
    ("InsufficientDataActions", Holds::Other),
    ("MetricName", Holds::Text),
    ("Namespace", Holds::Text),
    ("Statistic", Holds::Text),
    ("ExtendedStatistic", Holds::Text),
    ("Dimensions", Holds::Other),
    ("Period", Holds::Whole),
    ("Unit", Holds::Text),
    ("EvaluationPeriods", Holds::Whole),
    ("DatapointsToAlarm", Holds::Whole),
    ("Threshold", Holds::Number),
    ("ComparisonOperator", Holds::Text),
    ("TreatMissingData", Holds::Text),
    ("EvaluateLowSampleCountPercentile", Holds::Text),
    ("ThresholdMetricId", Holds::Text),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Text,
    Flag,
    Whole,
    Number,
    Other,
}

/// All alarms of the account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alarms {
    by_name: BTreeMap<String, Alarm>,
    #[serde(skip)]
    generation: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alarm {
    members: Map<String, Value>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    configured_at: Millis,
    state: AlarmState,
    reason: String,
    reason_data: Option<String>,
    /// When the state was last set, and when it last became another one.
    updated_at: Millis,
    changed_at: Millis,
}

impl Alarm {
    fn new(members: Map<String, Value>, now: Millis) -> Self {
        Self {
            members,
            tags: BTreeMap::new(),
            configured_at: now,
            state: AlarmState::InsufficientData,
            reason: "Unchecked: Initial alarm creation".to_owned(),
            reason_data: None,
            updated_at: now,
            changed_at: now,
        }
    }

    fn set(&mut self, state: AlarmState, reason: &str, data: Option<&str>, now: Millis) {
        if self.state != state {
            self.changed_at = now;
        }
        self.state = state;
        reason.clone_into(&mut self.reason);
        self.reason_data = data.map(str::to_owned);
        self.updated_at = now;
    }

    fn view(&self, name: &str, place: &Place) -> Value {
        let mut view = Map::new();
        let mut put = |member: &str, value: Value| view.insert(member.to_owned(), value);
        put("AlarmName", name.into());
        put(
            "AlarmArn",
            place.arn("cloudwatch", &format!("alarm:{name}")).into(),
        );
        put("ActionsEnabled", true.into());
        for actions in [
            "OKActions",
            "AlarmActions",
            "InsufficientDataActions",
            "Dimensions",
        ] {
            put(actions, json!([]));
        }
        for (member, value) in &self.members {
            put(member, value.clone());
        }
        put(
            "AlarmConfigurationUpdatedTimestamp",
            seconds(self.configured_at),
        );
        put("StateValue", state_name(self.state).into());
        put("StateReason", self.reason.as_str().into());
        if let Some(data) = &self.reason_data {
            put("StateReasonData", data.as_str().into());
        }
        put("StateUpdatedTimestamp", seconds(self.updated_at));
        put("StateTransitionedTimestamp", seconds(self.changed_at));
        Value::Object(view)
    }
}

fn state_name(state: AlarmState) -> &'static str {
    match state {
        AlarmState::Ok => "OK",
        AlarmState::Alarm => "ALARM",
        AlarmState::InsufficientData => "INSUFFICIENT_DATA",
    }
}

fn state(request: &Value) -> Result<Option<AlarmState>, ApiError> {
    let Some(text) = request["StateValue"].as_str() else {
        return Ok(None);
    };
    [
        AlarmState::Ok,
        AlarmState::Alarm,
        AlarmState::InsufficientData,
    ]
    .into_iter()
    .find(|state| state_name(*state) == text)
    .map(Some)
    .ok_or_else(|| {
        invalid(format!(
            "1 validation error detected: Value '{text}' at 'stateValue' failed to satisfy constraint: Member must satisfy enum value set: [INSUFFICIENT_DATA, ALARM, OK]"
        ))
    })
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationError", message)
}

fn required<'a>(request: &'a Value, member: &str) -> Result<&'a str, ApiError> {
    let text = request[member].as_str().filter(|text| !text.is_empty());
    text.ok_or_else(|| invalid(format!("The parameter {member} must be given.")))
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

/// A number, which the query protocol writes as text.
fn number(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .or_else(|| value.as_str()?.parse().ok())
        .filter(|number| number.is_finite())
}

/// A member's value as its type is, whatever protocol it came by.
fn typed(member: &str, holds: Holds, value: &Value) -> Result<Value, ApiError> {
    let typed = match holds {
        Holds::Text => value.as_str().map(Value::from),
        Holds::Flag => value
            .as_bool()
            .or_else(|| value.as_str()?.parse().ok())
            .map(Value::from),
        Holds::Whole => value
            .as_u64()
            .or_else(|| value.as_str()?.parse().ok())
            .map(Value::from),
        Holds::Number => number(value).map(Value::from),
        Holds::Other => Some(value.clone()),
    };
    typed.ok_or_else(|| {
        ApiError::new(
            "InvalidParameterValue",
            format!("The value of {member} is not of its type: {value}."),
        )
    })
}

impl Alarms {
    /// Counts changes since the state was loaded.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Answers one operation. With it comes the alarm whose state changed, which ECS must learn.
    pub(crate) fn apply(
        &mut self,
        operation: &str,
        request: &Value,
        place: &Place,
        now: Millis,
    ) -> Result<(Value, Vec<(String, AlarmState)>), ApiError> {
        match operation {
            "PutMetricAlarm" => {
                let (name, state) = self.put(request, now)?;
                Ok((Value::Null, vec![(name, state)]))
            }
            "DescribeAlarms" => Ok((self.describe(request, place)?, Vec::new())),
            "SetAlarmState" => {
                let name = required(request, "AlarmName")?;
                let reason = required(request, "StateReason")?;
                let state = state(request)?
                    .ok_or_else(|| invalid("The parameter StateValue must be given."))?;
                let data = request["StateReasonData"].as_str();
                let alarm = self.by_name.get_mut(name).ok_or_else(|| ApiError {
                    status: 404,
                    code: "ResourceNotFound",
                    message: format!("Alarm {name} does not exist"),
                })?;
                alarm.set(state, reason, data, now);
                self.generation += 1;
                Ok((Value::Null, vec![(name.to_owned(), state)]))
            }
            "DeleteAlarms" => {
                let names = texts(&request["AlarmNames"]);
                let gone = names
                    .into_iter()
                    .filter(|name| self.by_name.remove(*name).is_some())
                    // ECS takes an alarm that is not there for a good one.
                    .map(|name| (name.to_owned(), AlarmState::Ok))
                    .collect();
                self.generation += 1;
                Ok((Value::Null, gone))
            }
            "ListTagsForResource" | "TagResource" | "UntagResource" => {
                let answer = self.resource_tags(operation, request, place)?;
                Ok((answer, Vec::new()))
            }
            _ => Err(ApiError::new(
                "InvalidAction",
                format!("Could not find operation {operation} for version 2010-08-01."),
            )),
        }
    }

    /// Sets the state of an alarm, which is made if it is not there.
    pub(crate) fn force(&mut self, name: &str, state: AlarmState, now: Millis) {
        self.generation += 1;
        self.by_name
            .entry(name.to_owned())
            .or_insert_with(|| Alarm::new(Map::new(), now))
            .set(state, "set by hand", None, now);
    }

    /// Makes an alarm or changes it; it keeps the state that it has.
    fn put(&mut self, request: &Value, now: Millis) -> Result<(String, AlarmState), ApiError> {
        let name = required(request, "AlarmName")?;
        for needed in ["ComparisonOperator", "EvaluationPeriods"] {
            if request[needed].is_null() {
                return Err(invalid(format!("The parameter {needed} must be given.")));
            }
        }
        let mut members = Map::new();
        for (member, holds) in MEMBERS {
            if !request[member].is_null() {
                members.insert(member.to_owned(), typed(member, holds, &request[member])?);
            }
        }
        self.generation += 1;
        let alarm = self
            .by_name
            .entry(name.to_owned())
            .or_insert_with(|| Alarm {
                // Tags are for an alarm that is made; TagResource changes those of one that is there.
                tags: tags::read(&request["Tags"]).collect(),
                ..Alarm::new(Map::new(), now)
            });
        alarm.members = members;
        alarm.configured_at = now;
        Ok((name.to_owned(), alarm.state))
    }

    fn resource_tags(
        &mut self,
        operation: &str,
        request: &Value,
        place: &Place,
    ) -> Result<Value, ApiError> {
        let arn = required(request, "ResourceARN")?;
        let alarm = arn
            .strip_prefix(&place.arn("cloudwatch", "alarm:"))
            .and_then(|name| self.by_name.get_mut(name))
            .ok_or_else(|| ApiError {
                status: 404,
                code: "ResourceNotFoundException",
                message: format!("There is no alarm {arn}"),
            })?;
        if operation == "ListTagsForResource" {
            return Ok(json!({"Tags": tags::listed(&alarm.tags)}));
        }
        alarm.tags.extend(tags::read(&request["Tags"]));
        let gone = texts(&request["TagKeys"]);
        alarm.tags.retain(|key, _| !gone.contains(&key.as_str()));
        self.generation += 1;
        // These operations have an output without members.
        Ok(json!({}))
    }

    fn describe(&self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        let names = texts(&request["AlarmNames"]);
        let prefix = request["AlarmNamePrefix"].as_str().unwrap_or_default();
        let types = texts(&request["AlarmTypes"]);
        let state = state(request)?;
        let metric = types.is_empty() || types.contains(&"MetricAlarm");
        let found: Vec<Value> = self
            .by_name
            .iter()
            .filter(|(name, alarm)| {
                metric
                    && (names.is_empty() || names.contains(&name.as_str()))
                    && name.starts_with(prefix)
                    && state.is_none_or(|state| state == alarm.state)
            })
            .map(|(name, alarm)| alarm.view(name, place))
            .collect();
        let size = number(&request["MaxRecords"]).unwrap_or(50.0);
        if !(1.0..=100.0).contains(&size) {
            return Err(invalid("MaxRecords must be between 1 and 100."));
        }
        let token = request["NextToken"].as_str();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 1 and 100"
        )]
        let (alarms, next) = page(found, token, size as usize, "InvalidNextToken")?;
        let mut answer = json!({"MetricAlarms": alarms, "CompositeAlarms": []});
        if let Some(next) = next {
            answer["NextToken"] = next.into();
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            port: 1,
        }
    }

    #[test]
    fn an_alarm_has_the_state_that_it_was_set_to() {
        let mut alarms = Alarms::default();
        let mut ask = |operation: &str, request: Value, now| {
            let answer = alarms.apply(operation, &request, &place(), now);
            answer.map_err(|error| error.code)
        };
        // As the query protocol brings it.
        let put = json!({"AlarmName": "errors", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": "1", "Threshold": "5", "ActionsEnabled": "false"});
        let (_, changed) = ask("PutMetricAlarm", put, 1000).unwrap();
        assert_eq!(
            changed,
            [("errors".to_owned(), AlarmState::InsufficientData)]
        );
        let set = json!({"AlarmName": "errors", "StateValue": "ALARM", "StateReason": "a test"});
        let (_, changed) = ask("SetAlarmState", set, 2000).unwrap();
        assert_eq!(changed, [("errors".to_owned(), AlarmState::Alarm)]);
        let (described, _) = ask(
            "DescribeAlarms",
            json!({"AlarmNames": ["errors", "none"]}),
            0,
        )
        .unwrap();
        let alarm = &described["MetricAlarms"][0];
        assert_eq!(described["MetricAlarms"].as_array().unwrap().len(), 1);
        assert_eq!(alarm["StateValue"], "ALARM");
        assert_eq!(alarm["Threshold"], 5.0);
        assert_eq!(alarm["EvaluationPeriods"], 1);
        assert_eq!(alarm["ActionsEnabled"], false);
        assert_eq!(alarm["StateUpdatedTimestamp"], 2.0);
        let (none, _) = ask("DescribeAlarms", json!({"StateValue": "OK"}), 0).unwrap();
        assert_eq!(none["MetricAlarms"], json!([]));
        let unknown = json!({"AlarmName": "none", "StateValue": "OK", "StateReason": "x"});
        assert_eq!(ask("SetAlarmState", unknown, 0), Err("ResourceNotFound"));
        let wrong = json!({"AlarmName": "errors", "StateValue": "BAD", "StateReason": "x"});
        assert_eq!(ask("SetAlarmState", wrong, 0), Err("ValidationError"));
        let (_, gone) = ask("DeleteAlarms", json!({"AlarmNames": ["errors"]}), 0).unwrap();
        assert_eq!(gone, [("errors".to_owned(), AlarmState::Ok)]);
    }

    #[test]
    fn an_alarm_keeps_the_tags_that_it_was_made_with() {
        let mut alarms = Alarms::default();
        let mut ask = |operation: &str, request: Value| {
            let answer = alarms.apply(operation, &request, &place(), 0);
            answer.map(|(answer, _)| answer).map_err(|error| error.code)
        };
        let put = |value: &str| json!({"AlarmName": "errors", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "Tags": [{"Key": "a", "Value": value}]});
        let arn = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:errors";
        ask("PutMetricAlarm", put("b")).unwrap();
        ask("PutMetricAlarm", put("c")).unwrap();
        let tag = json!({"ResourceARN": arn, "Tags": [{"Key": "d", "Value": "e"}]});
        ask("TagResource", tag).unwrap();
        let listed = ask("ListTagsForResource", json!({"ResourceARN": arn}));
        let both = json!([{"Key": "a", "Value": "b"}, {"Key": "d", "Value": "e"}]);
        assert_eq!(listed.unwrap()["Tags"], both);
        ask(
            "UntagResource",
            json!({"ResourceARN": arn, "TagKeys": ["a"]}),
        )
        .unwrap();
        let listed = ask("ListTagsForResource", json!({"ResourceARN": arn}));
        assert_eq!(listed.unwrap()["Tags"], json!([both[1]]));
        let none = ask("ListTagsForResource", json!({"ResourceARN": "other"}));
        assert_eq!(none, Err("ResourceNotFoundException"));
    }
}
