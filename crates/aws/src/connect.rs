//! One configuration, every client. The embedded AWS differs from the real one by what stands in [`Connection`], and by nothing else.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use crate::error::{Error, ErrorKind};
use crate::signed::Signed;

/// Where AWS is and who asks. What is none comes from the environment: variables, profiles, web identity (OIDC), instance roles.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// Region.
    pub region: Option<String>,
    /// Endpoint of all services.
    pub endpoint: Option<String>,
    /// Credentials.
    pub access: Option<Access>,
    /// How long one call may take.
    pub patience: Patience,
}

/// How long one call to AWS may take. The SDK itself waits for an answer without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the answer to one request.
    pub attempt: Duration,
    /// For all attempts together.
    pub operation: Duration,
    /// Attempts at most, while what goes wrong may pass.
    pub attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(20),
            operation: Duration::from_mins(1),
            attempts: 3,
        }
    }
}

/// An access key.
#[derive(Clone)]
pub struct Access {
    /// Its ID.
    pub key_id: String,
    /// Its secret.
    pub secret: String,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// Who the credentials belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Account, 12 digits.
    pub account: String,
    /// ARN of the user or role.
    pub arn: String,
}

/// Every client that is needed.
#[derive(Clone, Debug)]
pub struct Aws {
    pub(crate) ecs: aws_sdk_ecs::Client,
    pub(crate) ecr: aws_sdk_ecr::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
    pub(crate) signed: Signed,
    /// What the clients were made from, to make one for another region.
    pub(crate) config: SdkConfig,
    sts: aws_sdk_sts::Client,
    region: Option<String>,
    /// Whether AWS has answered a signed request: these credentials are good ones.
    proven: Arc<AtomicBool>,
}

impl Aws {
    /// Makes the clients; asks AWS nothing yet.
    pub async fn connect(connection: &Connection) -> Self {
        let mut http =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
        if connection.endpoint.as_deref().is_some_and(is_plain) {
            // No certificate is looked at; reading those that this machine trusts, hundreds of files, takes longer than all requests.
            http = http.tls_context(no_certificates());
        }
        let http = http.build_https();
        let patience = connection.patience;
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(patience.attempt)
            .operation_timeout(patience.operation)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(patience.attempts));
        if let Some(region) = &connection.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &connection.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(access) = &connection.access {
            let credentials =
                Credentials::new(&access.key_id, &access.secret, None, None, "longshore");
            loader = loader.credentials_provider(credentials);
        }
        Self::new(&loader.load().await, patience)
    }

    fn new(config: &SdkConfig, patience: Patience) -> Self {
        Self {
            ecs: aws_sdk_ecs::Client::new(config),
            ecr: aws_sdk_ecr::Client::new(config),
            logs: aws_sdk_cloudwatchlogs::Client::new(config),
            signed: Signed::new(config, patience),
            config: config.clone(),
            sts: aws_sdk_sts::Client::new(config),
            region: config.region().map(ToString::to_string),
            proven: Arc::default(),
        }
    }

    /// Notes that AWS has answered, or takes what came instead for what it is: credentials that were good cannot be had for a while, when STS, SSO or the
    /// instance's metadata service does not answer.
    pub(crate) fn weigh<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        match answer {
            Ok(answer) => {
                self.proven.store(true, Ordering::Relaxed);
                Ok(answer)
            }
            Err(mut error) => {
                let nobody_answered = error.code.is_none();
                if error.kind == ErrorKind::Credentials
                    && nobody_answered
                    && self.proven.load(Ordering::Relaxed)
                {
                    error.kind = ErrorKind::Transient;
                }
                Err(error)
            }
        }
    }

    /// The region that requests go to; none when nothing names one.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// STS GetCallerIdentity: who asks. Needs no permission.
    pub async fn identity(&self) -> Result<Identity, Error> {
        let answer = self.sts.get_caller_identity().send().await;
        let answer = answer.map_err(|error| Error::new("sts:GetCallerIdentity", &error));
        let answer = self.weigh(answer)?;
        match (answer.account, answer.arn) {
            (Some(account), Some(arn)) => Ok(Identity { account, arn }),
            _ => Err(Error::incomplete("sts:GetCallerIdentity", "account")),
        }
    }
}

/// Whether requests to this endpoint are without TLS.
pub(crate) fn is_plain(endpoint: &str) -> bool {
    endpoint.starts_with("http://")
}

fn no_certificates() -> TlsContext {
    // The builder has no other way to fail than certificates that cannot be read.
    TlsContext::builder()
        .with_trust_store(TrustStore::empty())
        .build()
        .expect("an empty trust store is valid")
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::atomic::AtomicUsize;
    use std::time::SystemTime;

    use aws_credential_types::provider::error::CredentialsError;
    use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
    use rollout::execute::Call;

    use super::*;

    /// Gives credentials so many times, and then fails for a while, as STS does when it has a bad minute.
    #[derive(Debug)]
    struct Hiccup {
        good: usize,
        asked: AtomicUsize,
    }

    impl ProvideCredentials for Hiccup {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(
                if self.asked.fetch_add(1, Ordering::Relaxed) < self.good {
                    // They have ended by the next request.
                    let end = Some(SystemTime::now() + Duration::from_secs(1));
                    Ok(Credentials::new("AKIDEXAMPLE", "x", None, end, "test"))
                } else {
                    Err(CredentialsError::provider_error("no answer from STS"))
                },
            )
        }
    }

    /// Answers as ECS does when there is no service.
    fn listen() -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port is free");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let body = r#"{"services": [], "failures": [{"reason": "MISSING"}]}"#;
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length";
                // The request is small and comes in one piece; the client may have gone.
                let _ = stream.read(&mut [0; 16 * 1024]);
                let _ =
                    stream.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes());
            }
        });
        endpoint
    }

    async fn connect(good: usize) -> Aws {
        let provider = Hiccup {
            good,
            asked: AtomicUsize::new(0),
        };
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(Region::new("eu-central-1"))
            .endpoint_url(listen())
            .credentials_provider(SharedCredentialsProvider::new(provider))
            .retry_config(RetryConfig::disabled())
            .load()
            .await;
        Aws::new(&config, Patience::default())
    }

    #[tokio::test]
    async fn credentials_that_were_good_and_cannot_be_renewed_pass() {
        let aws = connect(1).await;
        aws.call("c", "s", Call::DescribeService)
            .await
            .expect("the first one is answered");
        let alarms = Call::Alarms {
            names: vec!["errors".into()],
        };
        for call in [Call::DescribeService, alarms] {
            let error = aws.call("c", "s", call).await.expect_err("no credentials");
            assert!(error.transient && !error.declined, "{error:?}");
            assert!(error.message.contains("no answer from STS"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn without_credentials_from_the_beginning_nothing_is_waited_for() {
        let aws = connect(0).await;
        let error = aws.call("c", "s", Call::DescribeService).await;
        assert!(error.is_err_and(|error| !error.transient));
        assert_eq!(
            aws.identity().await.expect_err("no credentials").kind,
            ErrorKind::Credentials
        );
    }
}
