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
    /// The client for a region; the own one when none is named. At an endpoint that somebody named, all regions are one.
    fn logs_in(&self, region: Option<&str>) -> aws_sdk_cloudwatchlogs::Client {
        match region {
            Some(region) if self.region() != Some(region) && self.signed.endpoint.is_none() => {
                let config = aws_sdk_cloudwatchlogs::config::Builder::from(&self.config);
                let region = aws_sdk_cloudwatchlogs::config::Region::new(region.to_owned());
                aws_sdk_cloudwatchlogs::Client::from_conf(config.region(region).build())
            }
            _ => self.logs.clone(),
        }
    }

    /// The last lines of a log stream, oldest first. A stream that is not there has no lines.
    pub(crate) async fn log_tail(
        &self,
        region: Option<&str>,
        group: &str,
        stream: &str,
        lines: usize,
    ) -> Result<Vec<String>, Error> {
        let answer = self
            .logs_in(region)
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
        region: Option<&str>,
        group: &str,
        stream: &str,
        token: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), Error> {
        let answer = self
            .logs_in(region)
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

    /// Lines of a log group since a time, oldest first. The own region when none is named; `streams` narrows it down; empty means all.
    ///
    /// Each stream is asked for alone: FilterLogEvents refuses a request as a whole when one of its streams is not there, and a container that has not written has none.
    pub async fn log_since(
        &self,
        region: Option<&str>,
        group: &str,
        streams: &[String],
        since: u64,
    ) -> Result<Vec<LogLine>, Error> {
        let mut lines = Vec::new();
        if streams.is_empty() {
            lines = self.log_pages(region, group, None, since).await?;
        }
        for stream in streams {
            lines.extend(self.log_pages(region, group, Some(stream), since).await?);
        }
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }

    async fn log_pages(
        &self,
        region: Option<&str>,
        group: &str,
        stream: Option<&String>,
        since: u64,
    ) -> Result<Vec<LogLine>, Error> {
        let mut pages = self
            .logs_in(region)
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
    pub(crate) async fn has_log_group(
        &self,
        region: Option<&str>,
        name: &str,
    ) -> Result<bool, Error> {
        let answer = self
            .logs_in(region)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Connection;

    #[tokio::test]
    async fn a_log_is_read_in_its_own_region() {
        let aws = Aws::connect(&Connection {
            region: Some("eu-central-1".into()),
            ..Connection::default()
        })
        .await;
        for (asked, region) in [
            (None, "eu-central-1"),
            (Some("eu-central-1"), "eu-central-1"),
            (Some("us-east-1"), "us-east-1"),
        ] {
            let client = aws.logs_in(asked);
            let found = client.config().region().map(AsRef::as_ref);
            assert_eq!(found, Some(region));
        }
    }
}
