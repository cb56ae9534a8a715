//! Signed requests to services of which one or two read-only operations are needed: SSM, Secrets Manager, IAM, Elastic Load Balancing, CloudWatch.
//!
//! An SDK crate for each of them would double the time that this repository takes to compile, for seven operations. What the SDK's crates share, the signature and the search
//! for credentials, is used here too; only the two oldest forms of the wire are written down: JSON 1.1, and the query protocol with XML answers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use crate::connect::{Aws, Patience, is_plain};
use crate::error::{Error, ErrorKind};
use crate::partition;

/// Longest wait for one answer, where nobody says that it should be less.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Credentials that end within this time are asked for anew.
const MARGIN: Duration = Duration::from_mins(5);
/// Bytes of a public answer that are looked at.
const MOST_BODY: usize = 1024 * 1024;

/// What signed requests need.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    http: reqwest::Client,
    region: String,
    pub(crate) endpoint: Option<String>,
    provider: Option<SharedCredentialsProvider>,
    patience: Patience,
    credentials: Arc<Mutex<Option<Credentials>>>,
}

/// A service by the name that stands in front of the colon in IAM, and how it is spoken to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Api {
    /// In signatures.
    signing: &'static str,
    /// In host names.
    host: &'static str,
    /// In front of the operation in `X-Amz-Target`, or the API's version.
    name: &'static str,
}

pub(crate) const SSM: Api = Api {
    signing: "ssm",
    host: "ssm",
    name: "AmazonSSM",
};
pub(crate) const SECRETS: Api = Api {
    signing: "secretsmanager",
    host: "secretsmanager",
    name: "secretsmanager",
};
pub(crate) const IAM: Api = Api {
    signing: "iam",
    host: "iam",
    name: "2010-05-08",
};
pub(crate) const BALANCERS: Api = Api {
    signing: "elasticloadbalancing",
    host: "elasticloadbalancing",
    name: "2015-12-01",
};
pub(crate) const CLOUDWATCH: Api = Api {
    signing: "monitoring",
    host: "monitoring",
    name: "2010-08-01",
};

impl Signed {
    pub(crate) fn new(config: &SdkConfig, patience: Patience) -> Self {
        // An error means that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("longshore/", env!("CARGO_PKG_VERSION")))
            // AWS has no redirects, and one of the service's own address is its answer: what it leads to, a page to sign in for example, proves nothing.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(patience.attempt.min(TIMEOUT));
        if config.endpoint_url().is_some_and(is_plain) {
            // As in `connect`: reading this machine's certificates would take longer than all requests.
            http = http.tls_certs_only([]);
        }
        let http = http.build().unwrap_or_default();
        Self {
            http,
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            endpoint: config.endpoint_url().map(str::to_owned),
            provider: config.credentials_provider(),
            patience,
            credentials: Arc::default(),
        }
    }

    /// An operation of a service that speaks JSON 1.1; in another region than the own one where one is named.
    pub(crate) async fn json(
        &self,
        api: Api,
        region: Option<&str>,
        operation: &str,
        body: &Value,
    ) -> Result<Value, Error> {
        let target = format!("{}.{operation}", api.name);
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target.as_str()),
        ];
        let name = format!("{}:{operation}", api.signing);
        let (status, text) = self
            .send(api, region, &name, &headers, body.to_string())
            .await?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        if status < 300 {
            return Ok(answer);
        }
        let code = answer["__type"].as_str().unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default();
        let message = answer["message"].as_str().or(answer["Message"].as_str());
        Err(error(&name, status, code, message.unwrap_or_default()))
    }

    /// An operation of a service that speaks the query protocol; gives the XML document.
    pub(crate) async fn query(
        &self,
        api: Api,
        operation: &str,
        parameters: &[(String, String)],
    ) -> Result<String, Error> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", operation);
        form.append_pair("Version", api.name);
        for (name, value) in parameters {
            form.append_pair(name, value);
        }
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let name = format!("{}:{operation}", api.signing);
        let (status, text) = self.send(api, None, &name, &headers, form.finish()).await?;
        if status < 300 {
            return Ok(text);
        }
        let document = roxmltree::Document::parse(&text).ok();
        let find = |tag: &str| {
            let nodes = document.as_ref()?.descendants();
            let mut nodes =
                nodes.filter(|node| node.has_tag_name(tag) || node.tag_name().name() == tag);
            nodes.next()?.text().map(str::to_owned)
        };
        let code = find("Code").unwrap_or_default();
        Err(error(
            &name,
            status,
            &code,
            &find("Message").unwrap_or_default(),
        ))
    }

    async fn send(
        &self,
        api: Api,
        region: Option<&str>,
        operation: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<(u16, String), Error> {
        let (address, region) = self.address(api, region);
        let url = Url::parse(&address).map_err(|_| Error::incomplete(operation, "address"))?;
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let mut signed: Vec<(&str, &str)> = headers.to_vec();
        signed.push(("host", &host));
        let credentials = self.credentials(operation).await?;
        let token = signature(api, &region, &address, &signed, &body, credentials);
        let token = token.map_err(|why| Error {
            kind: ErrorKind::Credentials,
            code: None,
            message: format!("{operation}: the request cannot be signed: {why}"),
        })?;
        let mut request = self.http.post(url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in token {
            request = request.header(name, value);
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| unreachable(operation, error))?;
        let status = answer.status().as_u16();
        let text = answer.text().await;
        Ok((status, text.map_err(|error| unreachable(operation, error))?))
    }

    /// Where a service is, and the region that its requests are signed for.
    ///
    /// IAM is one for all regions of a partition (AWS General Reference, "IAM endpoints and quotas").
    fn address(&self, api: Api, region: Option<&str>) -> (String, String) {
        if let Some(endpoint) = &self.endpoint {
            return (endpoint.clone(), self.region.clone());
        }
        let region = region.unwrap_or(&self.region);
        let partition = partition::of(region);
        let (host, region) = if api.signing == "iam" {
            (partition.iam.to_owned(), partition.iam_region)
        } else {
            (format!("{}.{region}", api.host), region)
        };
        (
            format!("https://{host}.{}", partition.domain),
            region.to_owned(),
        )
    }

    async fn credentials(&self, operation: &str) -> Result<Credentials, Error> {
        let mut kept = self.credentials.lock().await;
        let lasts = |credentials: &Credentials| {
            credentials
                .expiry()
                .is_none_or(|end| end > SystemTime::now() + MARGIN)
        };
        if let Some(credentials) = kept.as_ref().filter(|credentials| lasts(credentials)) {
            return Ok(credentials.clone());
        }
        let none = |why: String| Error {
            kind: ErrorKind::Credentials,
            code: None,
            message: format!("{operation}: {why}"),
        };
        let provider = self
            .provider
            .as_ref()
            .ok_or_else(|| none("there are no credentials".to_owned()))?;
        let found = tokio::time::timeout(self.patience.attempt, provider.provide_credentials());
        let credentials = found
            .await
            .map_err(|_| none("whoever has the credentials does not answer".to_owned()))?
            .map_err(|error| none(crate::error::chain(&error)))?;
        *kept = Some(credentials.clone());
        Ok(credentials)
    }
}

/// The headers that sign a request.
fn signature(
    api: Api,
    region: &str,
    address: &str,
    headers: &[(&str, &str)],
    body: &str,
    credentials: Credentials,
) -> Result<Vec<(String, String)>, String> {
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(api.signing)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let request = SignableRequest::new(
        "POST",
        address,
        headers.iter().copied(),
        SignableBody::Bytes(body.as_bytes()),
    )
    .map_err(|error| error.to_string())?;
    let (instructions, _) = sign(request, &parameters)
        .map_err(|error| error.to_string())?
        .into_parts();
    Ok(instructions
        .headers()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

impl Aws {
    /// A GET request to the service's own address, without credentials: status and the beginning of the body.
    pub(crate) async fn get(&self, url: &str) -> Result<(u16, String), Error> {
        let answer = self.signed.http.get(url).send().await;
        let mut answer = answer.map_err(|error| unreachable("GET", error))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| unreachable("GET", error))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_BODY {
                break;
            }
        }
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

fn error(operation: &str, status: u16, code: &str, message: &str) -> Error {
    Error::answered(
        operation,
        status,
        (!code.is_empty()).then(|| code.to_owned()),
        message,
    )
}

fn unreachable(operation: &str, error: reqwest::Error) -> Error {
    // The address is the caller's to name, and a query may hold what is not for logs.
    let error = error.without_url();
    Error {
        kind: ErrorKind::Transient,
        code: None,
        message: format!("{operation}: {}", crate::error::chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_its_own_addresses() {
        let address = |api: Api, region: &'static str, other: Option<&str>| {
            let config = SdkConfig::builder()
                .region(aws_config::Region::new(region))
                .build();
            Signed::new(&config, Patience::default()).address(api, other)
        };
        for (region, alarms, iam, iam_region) in [
            (
                "eu-central-1",
                "monitoring.eu-central-1.amazonaws.com",
                "iam.amazonaws.com",
                "us-east-1",
            ),
            (
                "cn-northwest-1",
                "monitoring.cn-northwest-1.amazonaws.com.cn",
                "iam.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
            ),
            (
                "us-gov-east-1",
                "monitoring.us-gov-east-1.amazonaws.com",
                "iam.us-gov.amazonaws.com",
                "us-gov-west-1",
            ),
            (
                "eusc-de-east-1",
                "monitoring.eusc-de-east-1.amazonaws.eu",
                "iam.eusc-de-east-1.amazonaws.eu",
                "eusc-de-east-1",
            ),
            (
                "us-iso-west-1",
                "monitoring.us-iso-west-1.c2s.ic.gov",
                "iam.us-iso-east-1.c2s.ic.gov",
                "us-iso-east-1",
            ),
            (
                "us-isob-west-1",
                "monitoring.us-isob-west-1.sc2s.sgov.gov",
                "iam.us-isob-east-1.sc2s.sgov.gov",
                "us-isob-east-1",
            ),
        ] {
            assert_eq!(
                address(CLOUDWATCH, region, None),
                (format!("https://{alarms}"), region.to_owned())
            );
            assert_eq!(
                address(IAM, region, None),
                (format!("https://{iam}"), iam_region.to_owned())
            );
        }
        assert_eq!(
            address(SSM, "eu-central-1", Some("us-east-1")),
            (
                "https://ssm.us-east-1.amazonaws.com".to_owned(),
                "us-east-1".to_owned()
            )
        );
    }
}
