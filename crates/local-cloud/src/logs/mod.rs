//! CloudWatch Logs: groups, streams and events, as much of them as fits.
//!
//! Every stream is bounded: its oldest events go when it is full, and a group's oldest streams go when there are too many. Every change is also a [`Record`];
//! whoever keeps the logs appends the records to a journal and replays them, so that a line costs a line and not the whole state.
//!
//! Documented in the Amazon CloudWatch Logs API reference.

mod api;
mod json_pattern;
mod limits;
mod pattern;
mod resource_tags;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::task::Millis;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Events of a stream.
    pub events: usize,
    /// Bytes of a stream's messages.
    pub bytes: usize,
    /// Streams of a group.
    pub streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: 10_000,
            bytes: 2 << 20,
            streams: 100,
        }
    }
}

/// All log groups of the account.
#[derive(Debug, Default)]
pub struct Logs {
    limits: Limits,
    groups: BTreeMap<String, Group>,
    /// Number of the next event; every event of every stream has its own.
    next: u64,
    /// Changes that nobody has taken yet.
    pending: Vec<Record>,
}

#[derive(Debug)]
struct Group {
    created_at: Millis,
    retention_days: Option<u32>,
    tags: BTreeMap<String, String>,
    streams: BTreeMap<String, Stream>,
}

#[derive(Debug)]
struct Stream {
    created_at: Millis,
    ingested_at: Millis,
    bytes: usize,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Event {
    number: u64,
    at: Millis,
    ingested_at: Millis,
    message: String,
}

/// One change, as the journal holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "r", deny_unknown_fields)]
pub enum Record {
    /// A group was made, or changed.
    #[serde(rename = "group")]
    Group {
        /// Name.
        group: String,
        /// When.
        at: Millis,
        /// Retention, which is shown but not acted on.
        days: Option<u32>,
        /// Tags.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        tags: BTreeMap<String, String>,
    },
    /// A stream was made.
    #[serde(rename = "stream")]
    Stream {
        /// Its group.
        group: String,
        /// Name.
        stream: String,
        /// When.
        at: Millis,
    },
    /// An event came.
    #[serde(rename = "event")]
    Event {
        /// Its group.
        group: String,
        /// Its stream.
        stream: String,
        /// When it happened.
        at: Millis,
        /// When it came.
        seen: Millis,
        /// The message.
        text: String,
    },
    /// A group, or one stream of it, was deleted.
    #[serde(rename = "gone")]
    Gone {
        /// The group.
        group: String,
        /// The stream, when not the whole group is gone.
        stream: Option<String>,
    },
}

impl Logs {
    /// No logs, with other limits than the usual ones.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Whether a group is there.
    pub fn has_group(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// How many groups and events there are.
    pub fn totals(&self) -> (usize, usize) {
        let streams = self.groups.values().flat_map(|g| g.streams.values());
        (self.groups.len(), streams.map(|s| s.events.len()).sum())
    }

    /// Makes a group unless it is there.
    pub fn create_group(&mut self, group: &str, now: Millis) {
        if !self.has_group(group) {
            self.change(Record::Group {
                group: group.to_owned(),
                at: now,
                days: None,
                tags: BTreeMap::new(),
            });
        }
    }

    /// Adds one event; group and stream are made if they are missing.
    pub fn add(&mut self, group: &str, stream: &str, at: Millis, text: &str, now: Millis) {
        self.create_group(group, now);
        if !self.groups[group].streams.contains_key(stream) {
            self.change(Record::Stream {
                group: group.to_owned(),
                stream: stream.to_owned(),
                at: now,
            });
        }
        self.change(Record::Event {
            group: group.to_owned(),
            stream: stream.to_owned(),
            at,
            seen: now,
            text: text.to_owned(),
        });
    }

    /// The changes since the last call, for the journal.
    pub fn take_pending(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.pending)
    }

    /// What a journal that leads to this state holds; shorter than the one that led to it.
    pub fn records(&self) -> Vec<Record> {
        let mut events: Vec<(u64, Record)> = Vec::new();
        let mut out = Vec::new();
        for (name, group) in &self.groups {
            out.push(Record::Group {
                group: name.clone(),
                at: group.created_at,
                days: group.retention_days,
                tags: group.tags.clone(),
            });
            for (stream_name, stream) in &group.streams {
                out.push(Record::Stream {
                    group: name.clone(),
                    stream: stream_name.clone(),
                    at: stream.created_at,
                });
                events.extend(stream.events.iter().map(|event| {
                    let record = Record::Event {
                        group: name.clone(),
                        stream: stream_name.clone(),
                        at: event.at,
                        seen: event.ingested_at,
                        text: event.message.clone(),
                    };
                    (event.number, record)
                }));
            }
        }
        events.sort_by_key(|(number, _)| *number);
        out.extend(events.into_iter().map(|(_, record)| record));
        out
    }

    /// Takes over one record of a journal. A record that does not fit (its group is gone) is left out.
    pub fn replay(&mut self, record: Record) {
        match record {
            Record::Group {
                group,
                at,
                days,
                tags,
            } => {
                let group = self.groups.entry(group).or_insert_with(|| Group {
                    created_at: at,
                    retention_days: None,
                    tags: BTreeMap::new(),
                    streams: BTreeMap::new(),
                });
                group.retention_days = days;
                group.tags = tags;
            }
            Record::Stream { group, stream, at } => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.streams.entry(stream).or_insert_with(|| Stream {
                        created_at: at,
                        ingested_at: at,
                        bytes: 0,
                        events: VecDeque::new(),
                    });
                    group.drop_streams(self.limits.streams);
                }
            }
            Record::Event {
                group,
                stream,
                at,
                seen,
                text,
            } => {
                let number = self.next;
                self.next += 1;
                let stream = self
                    .groups
                    .get_mut(&group)
                    .and_then(|group| group.streams.get_mut(&stream));
                if let Some(stream) = stream {
                    stream.push(
                        Event {
                            number,
                            at,
                            ingested_at: seen,
                            message: text,
                        },
                        self.limits,
                    );
                }
            }
            Record::Gone {
                group,
                stream: None,
            } => {
                self.groups.remove(&group);
            }
            Record::Gone {
                group,
                stream: Some(stream),
            } => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.streams.remove(&stream);
                }
            }
        }
    }

    fn change(&mut self, record: Record) {
        self.pending.push(record.clone());
        self.replay(record);
    }
}

impl Group {
    fn drop_streams(&mut self, limit: usize) {
        while self.streams.len() > limit {
            let oldest = self
                .streams
                .iter()
                .min_by_key(|(_, stream)| (stream.ingested_at, stream.created_at))
                .map(|(name, _)| name.clone());
            match oldest {
                Some(name) => self.streams.remove(&name),
                None => break,
            };
        }
    }
}

impl Stream {
    fn push(&mut self, event: Event, limits: Limits) {
        self.bytes += event.message.len();
        self.ingested_at = self.ingested_at.max(event.ingested_at);
        self.events.push_back(event);
        while self.events.len() > limits.events || self.bytes > limits.bytes {
            match self.events.pop_front() {
                Some(event) => self.bytes -= event.message.len(),
                None => break,
            }
        }
    }
}

#[cfg(test)]
mod tests;
