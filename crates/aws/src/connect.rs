//! One configuration, every client. The embedded AWS differs from the real one by what stands in [`Connection`], and by nothing else.

use std::fmt;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use crate::error::Error;
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
    sts: aws_sdk_sts::Client,
    region: Option<String>,
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
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
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
        let config: SdkConfig = loader.load().await;
        Self {
            ecs: aws_sdk_ecs::Client::new(&config),
            ecr: aws_sdk_ecr::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            signed: Signed::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            region: config.region().map(ToString::to_string),
        }
    }

    /// The region that requests go to; none when nothing names one.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// STS GetCallerIdentity: who asks. Needs no permission.
    pub async fn identity(&self) -> Result<Identity, Error> {
        let answer = self.sts.get_caller_identity().send().await;
        let answer = answer.map_err(|error| Error::new("sts:GetCallerIdentity", &error))?;
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
