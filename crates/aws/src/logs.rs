//! CloudWatch Logs: the end of a stream.

use aws_sdk_cloudwatchlogs::operation::get_log_events::GetLogEventsError;

use crate::connect::Aws;
use crate::error::Error;

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
