//! Which failures are tried again, how often, and after how long.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};

use crate::error::Error;
use crate::progress::{Progress, Report};

/// A server that asks for more than this is not waited for any longer.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(2);

/// How failures that may pass are retried: lost connections, 429 and 5xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// How often in all.
    pub tries: usize,
    /// The wait after the first failure. It doubles each time, with jitter.
    pub first_wait: Duration,
    /// The longest wait, unless the server asks for more with `Retry-After`.
    pub longest_wait: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            tries: 5,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(10),
        }
    }
}

/// A failure, and whether another try may help.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) transient: bool,
    /// What the server asked for.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn transient(error: Error) -> Self {
        Self {
            error,
            transient: true,
            retry_after: None,
        }
    }
}

impl From<Error> for Failure {
    /// A failure that another try would meet again.
    fn from(error: Error) -> Self {
        Self {
            error,
            transient: false,
            retry_after: None,
        }
    }
}

impl Retries {
    /// Runs `operation` until it succeeds, fails for good, or the tries are used up. Each run starts from nothing.
    pub(crate) async fn run<T, F, Fut>(
        self,
        report: Option<&Report>,
        operation: F,
    ) -> Result<T, Error>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let waits = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.tries.saturating_sub(1));
        operation
            .retry(waits)
            .when(|failure: &Failure| failure.transient)
            .adjust(|failure, wait| match failure.retry_after {
                Some(asked) => wait.map(|wait| wait.max(asked.min(LONGEST_RETRY_AFTER))),
                None => wait,
            })
            .notify(|failure, wait| {
                tracing::debug!(error = %failure.error, ?wait, "will try again");
                if let Some(report) = report {
                    report(Progress::Retrying {
                        reason: failure.error.to_string(),
                        wait,
                    });
                }
            })
            .await
            .map_err(|failure| {
                if failure.transient {
                    Error::GaveUp {
                        tries: self.tries,
                        source: Box::new(failure.error),
                    }
                } else {
                    failure.error
                }
            })
    }
}
