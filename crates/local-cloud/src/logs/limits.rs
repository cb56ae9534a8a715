//! What CloudWatch Logs takes: how many events at once, from which time, and for how long they may be kept.
//!
//! Documented in the Amazon CloudWatch Logs API reference: *PutLogEvents*, *PutRetentionPolicy*.

use std::ops::Range;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{EVENTS, invalid};
use crate::error::ApiError;
use crate::task::Millis;

const HOUR: Millis = 60 * 60 * 1000;
const DAY: Millis = 24 * HOUR;
/// Bytes of one request's events, 26 for each of them besides its message.
const BYTES: usize = 1_048_576;
/// The days that a retention may be.
const RETENTIONS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

/// An event as it is sent.
#[derive(Debug, Deserialize)]
pub(super) struct Sent {
    pub(super) timestamp: Millis,
    pub(super) message: String,
}

/// Refuses a number of days that is none of those that are offered.
pub(super) fn retention(days: Option<u32>) -> Result<u32, ApiError> {
    days.filter(|days| RETENTIONS.contains(days)).ok_or_else(|| {
        let days = days.map_or_else(|| "null".to_owned(), |days| format!("'{days}'"));
        let offered = RETENTIONS.map(|days| days.to_string()).join(", ");
        invalid(format!(
            "1 validation error detected: Value {days} at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [{offered}]"
        ))
    })
}

/// Refuses a batch that is refused as a whole.
pub(super) fn check_batch(events: &[Sent]) -> Result<(), ApiError> {
    if events.is_empty() || events.len() > EVENTS {
        return Err(invalid("Member 'logEvents' must have 1 to 10000 items."));
    }
    if events.iter().any(|event| event.message.is_empty()) {
        return Err(invalid("Log event message must not be empty."));
    }
    let bytes: usize = events.iter().map(|event| event.message.len() + 26).sum();
    if bytes > BYTES {
        return Err(invalid(format!(
            "Upload too large: {bytes} bytes exceeds limit of {BYTES}"
        )));
    }
    if !events.is_sorted_by_key(|event| event.timestamp) {
        return Err(invalid(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    if let [first, .., last] = events
        && last.timestamp - first.timestamp > DAY
    {
        return Err(invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    Ok(())
}

/// Which events of a batch in the order of time are taken, and what is said of the others.
pub(super) fn in_time(
    events: &[Sent],
    retention_days: Option<u32>,
    now: Millis,
) -> (Range<usize>, Option<Value>) {
    let before = |at: Millis| events.partition_point(|event| event.timestamp < at);
    let too_old = before(now.saturating_sub(14 * DAY));
    let kept = retention_days.map(|days| now.saturating_sub(Millis::from(days) * DAY));
    let expired = kept.map_or(0, before);
    let too_new = events.partition_point(|event| event.timestamp <= now + 2 * HOUR);
    let mut rejected = json!({});
    if too_old > 0 {
        rejected["tooOldLogEventEndIndex"] = too_old.into();
    }
    if expired > too_old {
        rejected["expiredLogEventEndIndex"] = expired.into();
    }
    if too_new < events.len() {
        rejected["tooNewLogEventStartIndex"] = too_new.into();
    }
    let taken = too_old.max(expired)..too_new;
    let all = taken.len() == events.len();
    (taken, (!all).then_some(rejected))
}
