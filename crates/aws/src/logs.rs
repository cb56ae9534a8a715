//! CloudWatch Logs: the end of a stream, a stream from its beginning, what a group got since a time.

use aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsError;
use aws_sdk_cloudwatchlogs::operation::get_log_events::GetLogEventsError;

use crate::connect::Aws;
use crate::error::Error;

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// CloudWatch's ID of it; no two lines have the same.
    pub id: String,
    /// When it was written: milliseconds since the Unix epoch.
    pub at: u64,
    /// The stream it is in: `prefix/container/task`.
    pub stream: String,
    /// What was written.
    pub message: String,
}

impl Aws {
    /// The last lines of a log stream, oldest first. A stream that is not there has no lines.
    pub(crate) async fn log_tail(
        &self,
        group: &str,
        stream: &str,
        lines: usize,
    ) -> Result<Vec<String>, Error> {
        let answer = self
            .logs
            .get_log_events()
            .log_group_name(group)
            .log_stream_name(stream)
            .limit(i32::try_from(lines).unwrap_or(100))
            .start_from_head(false)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(answer
                .events()
                .iter()
                .filter_map(|event| event.message())
                .map(|message| message.trim_end().to_owned())
                .collect()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetLogEventsError::is_resource_not_found_exception) =>
            {
                Ok(Vec::new())
            }
            Err(error) => Err(Error::new("logs:GetLogEvents", &error)),
        }
    }

    /// A page of a log stream, from its beginning or from where the page before ended: lines, and where it ends. A stream that is not there yet has none.
    pub(crate) async fn log_page(
        &self,
        group: &str,
        stream: &str,
        token: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), Error> {
        let answer = self
            .logs
            .get_log_events()
            .log_group_name(group)
            .log_stream_name(stream)
            .start_from_head(true)
            .set_next_token(token.clone())
            .send()
            .await;
        match answer {
            Ok(answer) => {
                let events = answer.events().iter();
                let lines = events
                    .filter_map(|event| event.message())
                    .map(|message| message.trim_end().to_owned())
                    .collect();
                Ok((lines, answer.next_forward_token().map(str::to_owned)))
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetLogEventsError::is_resource_not_found_exception) =>
            {
                Ok((Vec::new(), token))
            }
            Err(error) => Err(Error::new("logs:GetLogEvents", &error)),
        }
    }

    /// Lines of a log group since a time, oldest first. `streams` narrows it down; empty means all.
    ///
    /// Each stream is asked for alone: FilterLogEvents refuses a request as a whole when one of its streams is not there, and a container that has not written has none.
    pub async fn log_since(
        &self,
        group: &str,
        streams: &[String],
        since: u64,
    ) -> Result<Vec<LogLine>, Error> {
        let mut lines = Vec::new();
        if streams.is_empty() {
            lines = self.log_pages(group, None, since).await?;
        }
        for stream in streams {
            lines.extend(self.log_pages(group, Some(stream), since).await?);
        }
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }

    async fn log_pages(
        &self,
        group: &str,
        stream: Option<&String>,
        since: u64,
    ) -> Result<Vec<LogLine>, Error> {
        let mut pages = self
            .logs
            .filter_log_events()
            .log_group_name(group)
            .set_log_stream_names(stream.map(|stream| vec![stream.clone()]))
            .start_time(i64::try_from(since).unwrap_or(i64::MAX))
            .into_paginator()
            .send();
        let mut lines = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(FilterLogEventsError::is_resource_not_found_exception) =>
                {
                    // No task has written yet.
                    break;
                }
                Err(error) => return Err(Error::new("logs:FilterLogEvents", &error)),
            };
            for event in page.events() {
                lines.push(LogLine {
                    id: event.event_id().unwrap_or_default().to_owned(),
                    at: event
                        .timestamp()
                        .and_then(|at| u64::try_from(at).ok())
                        .unwrap_or_default(),
                    stream: event.log_stream_name().unwrap_or_default().to_owned(),
                    message: event.message().unwrap_or_default().trim_end().to_owned(),
                });
            }
        }
        Ok(lines)
    }

    /// Whether a log group is there.
    pub(crate) async fn has_log_group(&self, name: &str) -> Result<bool, Error> {
        let answer = self
            .logs
            .describe_log_groups()
            .log_group_name_prefix(name)
            .send()
            .await;
        let answer = answer.map_err(|error| Error::new("logs:DescribeLogGroups", &error))?;
        Ok(answer
            .log_groups()
            .iter()
            .any(|group| group.log_group_name() == Some(name)))
    }

    /// Names of all log groups.
    pub async fn log_groups(&self) -> Result<Vec<String>, Error> {
        let mut pages = self
            .logs
            .describe_log_groups()
            .into_paginator()
            .items()
            .send();
        let mut names = Vec::new();
        while let Some(group) = pages.next().await {
            let group = group.map_err(|error| Error::new("logs:DescribeLogGroups", &error))?;
            names.extend(group.log_group_name().map(str::to_owned));
        }
        Ok(names)
    }
}
