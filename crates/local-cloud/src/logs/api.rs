//! The operations of the API.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::limits::{self, Sent};
use super::pattern::Pattern;
use super::{Event, Group, Logs, Record, Stream};
use crate::error::ApiError;
use crate::place::{Place, page, parse};
use crate::task::Millis;

pub(super) const INVALID: &str = "InvalidParameterException";
/// An answer holds this many bytes of events at most.
const ANSWER: usize = 1 << 20;
/// And this many events.
pub(super) const EVENTS: usize = 10_000;

/// How every operation names its group.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupName {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
}

impl GroupName {
    /// The identifier may be an ARN.
    fn name(&self) -> Result<&str, ApiError> {
        let identifier = self.log_group_identifier.as_deref().map(|identifier| {
            let name = identifier
                .split_once(":log-group:")
                .map_or(identifier, |(_, name)| name);
            name.strip_suffix(":*").unwrap_or(name)
        });
        self.log_group_name
            .as_deref()
            .or(identifier)
            .ok_or_else(|| invalid("Either logGroupName or logGroupIdentifier must be given."))
    }
}

/// A span of time: from `start_time`, before `end_time`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    start_time: Option<i64>,
    end_time: Option<i64>,
}

impl Span {
    fn holds(&self, at: Millis) -> bool {
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        self.start_time.is_none_or(|start| start <= at) && self.end_time.is_none_or(|end| at < end)
    }
}

impl Logs {
    /// Answers one operation.
    pub fn apply(
        &mut self,
        operation: &str,
        request: &Value,
        place: &Place,
        now: Millis,
    ) -> Result<Value, ApiError> {
        match operation {
            "CreateLogGroup" => self.create_log_group(request, now),
            "CreateLogStream" => self.create_log_stream(request, now),
            "DeleteLogGroup" | "DeleteLogStream" => self.delete(operation, request),
            "PutRetentionPolicy" | "DeleteRetentionPolicy" => {
                self.put_retention(operation, request)
            }
            "TagResource" | "UntagResource" | "ListTagsForResource" => {
                self.resource_tags(operation, request, place)
            }
            "DescribeLogGroups" => self.describe_groups(request, place),
            "DescribeLogStreams" => self.describe_streams(request, place),
            "PutLogEvents" => self.put_events(request, now),
            "GetLogEvents" => self.get_events(request),
            "FilterLogEvents" => self.filter_events(request),
            _ => Err(ApiError::unknown_operation("CloudWatch Logs", operation)),
        }
    }

    fn create_log_group(&mut self, request: &Value, now: Millis) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        struct Tags {
            #[serde(default)]
            tags: BTreeMap<String, String>,
        }
        let tags: Tags = parse(request, INVALID)?;
        let request: GroupName = parse(request, INVALID)?;
        let name = request.name()?;
        let good = |b: u8| b.is_ascii_alphanumeric() || b"_-/.#".contains(&b);
        if name.is_empty() || name.len() > 512 || !name.bytes().all(good) {
            return Err(invalid(
                "Value at 'logGroupName' must be 1 to 512 of a-z, A-Z, 0-9, '_', '-', '/', '.' and '#'.",
            ));
        }
        if self.has_group(name) {
            return Err(exists("group"));
        }
        self.change(Record::Group {
            group: name.to_owned(),
            at: now,
            days: None,
            tags: tags.tags,
        });
        Ok(json!({}))
    }

    fn create_log_stream(&mut self, request: &Value, now: Millis) -> Result<Value, ApiError> {
        let (group, stream) = self.stream_names(request)?;
        if self.group(&group)?.streams.contains_key(&stream) {
            return Err(exists("stream"));
        }
        if stream.is_empty() || stream.len() > 512 || stream.contains([':', '*']) {
            return Err(invalid(
                "Value at 'logStreamName' must be 1 to 512 characters without ':' and '*'.",
            ));
        }
        self.change(Record::Stream {
            group,
            stream,
            at: now,
        });
        Ok(json!({}))
    }

    fn delete(&mut self, operation: &str, request: &Value) -> Result<Value, ApiError> {
        let record = if operation == "DeleteLogStream" {
            let (group, stream) = self.stream_names(request)?;
            self.stream(&group, &stream)?;
            Record::Gone {
                group,
                stream: Some(stream),
            }
        } else {
            let request: GroupName = parse(request, INVALID)?;
            let name = request.name()?;
            self.group(name)?;
            Record::Gone {
                group: name.to_owned(),
                stream: None,
            }
        };
        self.change(record);
        Ok(json!({}))
    }

    fn put_retention(&mut self, operation: &str, request: &Value) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            log_group_name: String,
            retention_in_days: Option<u32>,
        }
        let request: Request = parse(request, INVALID)?;
        let group = self.group(&request.log_group_name)?;
        let (at, tags) = (group.created_at, group.tags.clone());
        let days = match operation {
            "DeleteRetentionPolicy" => None,
            _ => Some(limits::retention(request.retention_in_days)?),
        };
        self.change(Record::Group {
            group: request.log_group_name,
            at,
            days,
            tags,
        });
        Ok(json!({}))
    }

    fn describe_groups(&self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            log_group_name_prefix: Option<String>,
            log_group_name_pattern: Option<String>,
            limit: Option<usize>,
            next_token: Option<String>,
        }
        let request: Request = parse(request, INVALID)?;
        let prefix = request.log_group_name_prefix.unwrap_or_default();
        let pattern = request.log_group_name_pattern.unwrap_or_default();
        let all = self
            .groups
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix) && name.contains(&pattern))
            .map(|(name, group)| describe_group(name, group, place))
            .collect();
        let size = request.limit.unwrap_or(50);
        let (part, token) = page(all, request.next_token.as_deref(), size, INVALID)?;
        Ok(with_token(json!({"logGroups": part}), token))
    }

    fn describe_streams(&self, request: &Value, place: &Place) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            log_stream_name_prefix: Option<String>,
            order_by: Option<String>,
            #[serde(default)]
            descending: bool,
            limit: Option<usize>,
            next_token: Option<String>,
        }
        let name: GroupName = parse(request, INVALID)?;
        let request: Request = parse(request, INVALID)?;
        let group_name = name.name()?;
        let group = self.group(group_name)?;
        let prefix = request.log_stream_name_prefix.unwrap_or_default();
        let mut all: Vec<(&String, &Stream)> = group
            .streams
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .collect();
        if request.order_by.as_deref() == Some("LastEventTime") {
            all.sort_by_key(|(_, stream)| stream.events.back().map(|event| event.at));
        }
        if request.descending {
            all.reverse();
        }
        let all = all
            .into_iter()
            .map(|(name, stream)| describe_stream(group_name, name, stream, place))
            .collect();
        let size = request.limit.unwrap_or(50);
        let (part, token) = page(all, request.next_token.as_deref(), size, INVALID)?;
        Ok(with_token(json!({"logStreams": part}), token))
    }

    fn put_events(&mut self, request: &Value, now: Millis) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            log_events: Vec<Sent>,
        }
        let (group, stream) = self.stream_names(request)?;
        let request: Request = parse(request, INVALID)?;
        self.stream(&group, &stream)?;
        limits::check_batch(&request.log_events)?;
        let days = self.group(&group)?.retention_days;
        let (taken, rejected) = limits::in_time(&request.log_events, days, now);
        for event in &request.log_events[taken] {
            self.add(&group, &stream, event.timestamp, &event.message, now);
        }
        let mut answer = json!({"nextSequenceToken": format!("{:056}", self.next)});
        if let Some(rejected) = rejected {
            answer["rejectedLogEventsInfo"] = rejected;
        }
        Ok(answer)
    }

    /// Tokens are places between events: `f/N` reads on from event N, `b/N` reads back from before event N. A read that finds nothing gives back the token it
    /// was asked with, which is how clients know the end.
    fn get_events(&self, request: &Value) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            limit: Option<usize>,
            #[serde(default)]
            start_from_head: bool,
            next_token: Option<String>,
        }
        let (group, stream) = self.stream_names(request)?;
        let span: Span = parse(request, INVALID)?;
        let request: Request = parse(request, INVALID)?;
        let events = &self.stream(&group, &stream)?.events;
        let limit = request.limit.unwrap_or(EVENTS).clamp(1, EVENTS);

        let (forward, from) = match request.next_token.as_deref().map(place_of) {
            Some(None) => return Err(invalid("The specified nextToken is invalid.")),
            Some(Some(place)) => place,
            None if request.start_from_head => (true, 0),
            None => (false, u64::MAX),
        };
        let fits = |event: &&Event| span.holds(event.at);
        let mut found: Vec<&Event>;
        if forward {
            let ahead = events.iter().filter(|event| event.number >= from);
            found = bounded(ahead.filter(fits), limit, |event| event);
        } else {
            let behind = events.iter().rev().filter(|event| event.number < from);
            found = bounded(behind.filter(fits), limit, |event| event);
            found.reverse();
        }
        let (first, last) = match (found.first(), found.last()) {
            (Some(first), Some(last)) => (first.number, last.number + 1),
            // Nothing here: both ways lead on from the same place.
            _ if from == u64::MAX => (self.next, self.next),
            _ => (from, from),
        };
        let found: Vec<Value> = found
            .into_iter()
            .map(|event| {
                json!({
                    "timestamp": event.at,
                    "message": event.message,
                    "ingestionTime": event.ingested_at,
                })
            })
            .collect();
        Ok(json!({
            "events": found,
            "nextForwardToken": format!("f/{last:056}/s"),
            "nextBackwardToken": format!("b/{first:056}/s"),
        }))
    }

    /// Pages go by time and then by number; the token is the place after the last event of the page before.
    fn filter_events(&self, request: &Value) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            #[serde(default)]
            log_stream_names: Vec<String>,
            log_stream_name_prefix: Option<String>,
            filter_pattern: Option<String>,
            limit: Option<usize>,
            next_token: Option<String>,
        }
        let name: GroupName = parse(request, INVALID)?;
        let span: Span = parse(request, INVALID)?;
        let request: Request = parse(request, INVALID)?;
        let group = self.group(name.name()?)?;
        let pattern = request.filter_pattern.unwrap_or_default();
        let pattern = Pattern::parse(&pattern)
            .map_err(|why| invalid(format!("Invalid filter pattern: {why}")))?;
        if !request.log_stream_names.is_empty() && request.log_stream_name_prefix.is_some() {
            return Err(invalid(
                "LogStreamNamePrefix and LogStreamNames are mutually exclusive parameters.",
            ));
        }
        let there = |name: &String| group.streams.contains_key(name);
        if !request.log_stream_names.iter().all(there) {
            return Err(missing("stream"));
        }
        let after = match &request.next_token {
            None => None,
            Some(token) => Some(
                token
                    .split_once('-')
                    .and_then(|(at, number)| Some((at.parse().ok()?, number.parse().ok()?)))
                    .ok_or_else(|| invalid("The specified nextToken is invalid."))?,
            ),
        };
        let limit = request.limit.unwrap_or(EVENTS).clamp(1, EVENTS);
        let prefix = request.log_stream_name_prefix.unwrap_or_default();
        let mut found: Vec<(&String, &Event)> = group
            .streams
            .iter()
            .filter(|(name, _)| {
                name.starts_with(&prefix)
                    && (request.log_stream_names.is_empty()
                        || request.log_stream_names.contains(name))
            })
            .flat_map(|(name, stream)| stream.events.iter().map(move |event| (name, event)))
            .filter(|(_, event)| span.holds(event.at) && pattern.matches(&event.message))
            .filter(|(_, event)| {
                after.is_none_or(|after: (Millis, u64)| (event.at, event.number) > after)
            })
            .collect();
        found.sort_by_key(|(_, event)| (event.at, event.number));
        let all = found.len();
        let part = bounded(found.into_iter(), limit, |(_, event)| event);
        let token = part
            .last()
            .filter(|_| part.len() < all)
            .map(|(_, event)| format!("{}-{}", event.at, event.number));
        let events: Vec<Value> = part
            .iter()
            .map(|(stream, event)| {
                json!({
                    "logStreamName": stream,
                    "timestamp": event.at,
                    "message": event.message,
                    "ingestionTime": event.ingested_at,
                    "eventId": format!("{:056}", event.number),
                })
            })
            .collect();
        Ok(with_token(
            json!({"events": events, "searchedLogStreams": []}),
            token,
        ))
    }

    fn stream_names(&self, request: &Value) -> Result<(String, String), ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            log_stream_name: String,
        }
        let group: GroupName = parse(request, INVALID)?;
        let request: Request = parse(request, INVALID)?;
        let group = group.name()?;
        self.group(group)?;
        Ok((group.to_owned(), request.log_stream_name))
    }

    pub(super) fn group(&self, name: &str) -> Result<&Group, ApiError> {
        self.groups.get(name).ok_or_else(|| missing("group"))
    }

    fn stream(&self, group: &str, stream: &str) -> Result<&Stream, ApiError> {
        let group = self.group(group)?;
        group.streams.get(stream).ok_or_else(|| missing("stream"))
    }
}

/// As many as an answer holds, and one at least.
fn bounded<T>(
    events: impl Iterator<Item = T>,
    limit: usize,
    event: impl Fn(&T) -> &Event,
) -> Vec<T> {
    let mut room = ANSWER;
    let mut out = Vec::new();
    for one in events.take(limit) {
        // CloudWatch Logs counts 26 bytes for each event.
        let bytes = event(&one).message.len() + 26;
        if bytes > room && !out.is_empty() {
            break;
        }
        room = room.saturating_sub(bytes);
        out.push(one);
    }
    out
}

fn place_of(token: &str) -> Option<(bool, u64)> {
    let (way, rest) = token.split_once('/')?;
    let number = rest.split('/').next()?.parse().ok()?;
    match way {
        "f" => Some((true, number)),
        "b" => Some((false, number)),
        _ => None,
    }
}

fn describe_group(name: &str, group: &Group, place: &Place) -> Value {
    let arn = place.arn("logs", &format!("log-group:{name}"));
    let mut out = json!({
        "logGroupName": name,
        "creationTime": group.created_at,
        "metricFilterCount": 0,
        "arn": format!("{arn}:*"),
        "logGroupArn": arn,
        "logGroupClass": "STANDARD",
        "storedBytes": group.streams.values().map(|stream| stream.bytes).sum::<usize>(),
    });
    if let Some(days) = group.retention_days {
        out["retentionInDays"] = days.into();
    }
    out
}

fn describe_stream(group: &str, name: &str, stream: &Stream, place: &Place) -> Value {
    let mut out = json!({
        "logStreamName": name,
        "creationTime": stream.created_at,
        "arn": place.arn("logs", &format!("log-group:{group}:log-stream:{name}")),
        "storedBytes": 0,
    });
    if let (Some(first), Some(last)) = (stream.events.front(), stream.events.back()) {
        out["firstEventTimestamp"] = first.at.into();
        out["lastEventTimestamp"] = last.at.into();
        out["lastIngestionTime"] = stream.ingested_at.into();
    }
    out
}

fn with_token(mut answer: Value, token: Option<String>) -> Value {
    if let Some(token) = token {
        answer["nextToken"] = token.into();
    }
    answer
}

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(INVALID, message)
}

fn missing(what: &str) -> ApiError {
    ApiError::new(
        "ResourceNotFoundException",
        format!("The specified log {what} does not exist."),
    )
}

fn exists(what: &str) -> ApiError {
    ApiError::new(
        "ResourceAlreadyExistsException",
        format!("The specified log {what} already exists"),
    )
}
