//! The client: where the registry is, one request with its authorization, and what its failure means.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use image::Digest;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::address::{Registry, is_loopback};
use crate::auth::Tokens;
use crate::error::{Answer, Error};
use crate::retry::{Failure, Retries};

/// A client of one registry. It keeps connections and tokens between calls.
pub struct Client {
    pub(crate) registry: Registry,
    pub(crate) http: reqwest::Client,
    pub(crate) tokens: Tokens,
    pub(crate) retries: Retries,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

/// What a request carries.
pub(crate) enum Payload<'a> {
    Nothing,
    /// Sent as it is.
    Document(&'a str, Bytes),
    /// Made anew for each try, with its length.
    Stream(u64, &'a (dyn Fn() -> reqwest::Body + Send + Sync)),
}

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) repository: &'a str,
    /// For messages: follows "refused to".
    pub(crate) action: String,
    /// Media types, comma-separated, or nothing.
    pub(crate) accept: &'a str,
    pub(crate) payload: Payload<'a>,
}

impl Client {
    /// A client.
    ///
    /// # Errors
    ///
    /// When the address is not https (http is for loopback only) or TLS cannot be set up.
    pub fn new(registry: Registry) -> Result<Self, Error> {
        let base = &registry.base;
        let bad = |reason| {
            let mut address = base.clone();
            let _ = address.set_username("");
            let _ = address.set_password(None);
            Error::Address {
                address: address.to_string(),
                reason,
            }
        };
        let loopback = is_loopback(base);
        match base.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => return Err(bad("plain http is for loopback addresses only; use https")),
            _ => return Err(bad("use https")),
        }
        if base.cannot_be_a_base() || !base.username().is_empty() || base.password().is_some() {
            return Err(bad("the address must hold neither user nor password"));
        }
        if base.path() != "/" || base.query().is_some() || base.fragment().is_some() {
            return Err(bad("the address must end after the host"));
        }

        install_tls_provider();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("longshore/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .https_only(base.scheme() == "https");
        if loopback {
            builder = builder.no_proxy();
        }
        if base.scheme() == "http" {
            // No certificate is looked at, and reading those that this machine trusts takes longer than a whole push to loopback.
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            .build()
            .map_err(|error| Error::Tls(reason_of(error)))?;
        Ok(Self {
            registry,
            http,
            tokens: Tokens::default(),
            retries: Retries::default(),
        })
    }

    /// The same client with other waits between tries.
    #[must_use]
    pub fn with_retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// The registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// `/v2/<repository>/<rest>`.
    pub(crate) fn url(&self, repository: &str, rest: &str) -> Url {
        let mut url = self.registry.base.clone();
        url.set_path(&format!("/v2/{repository}/{rest}"));
        url
    }

    /// Sends a request, and once more when the registry asks for a token first. Any status is an answer.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Response, Failure> {
        let response = self.send_once(call).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_own(&call.url) {
            return Ok(response);
        }
        let headers = response.headers().clone();
        if self.answer_challenge(call.repository, &headers).await? {
            self.send_once(call).await
        } else {
            Ok(response)
        }
    }

    async fn send_once(&self, call: &Call<'_>) -> Result<Response, Failure> {
        let mut request = self.http.request(call.method.clone(), call.url.clone());
        // An upload may go to another host, which gets the session in the URL but not our credentials.
        if self.is_own(&call.url) {
            request = self.authorize(request, call.repository);
        }
        if !call.accept.is_empty() {
            request = request.header(ACCEPT, call.accept);
        }
        let length;
        (request, length) = match &call.payload {
            // POST and PUT without a length are refused by some registries.
            Payload::Nothing if call.method == Method::POST => {
                (request.header(CONTENT_LENGTH, 0), 0)
            }
            Payload::Nothing => (request, 0),
            Payload::Document(media_type, data) => (
                request.header(CONTENT_TYPE, *media_type).body(data.clone()),
                data.len() as u64,
            ),
            Payload::Stream(length, body) => {
                let request = request
                    .header(CONTENT_TYPE, "application/octet-stream")
                    .header(CONTENT_LENGTH, *length)
                    .body(body());
                (request, *length)
            }
        };
        request
            .timeout(time_for(length))
            .send()
            .await
            .map_err(|error| self.lost(call, error))
    }

    /// Is this URL the registry's own?
    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.registry.base.origin()
    }

    /// No answer came.
    pub(crate) fn lost(&self, call: &Call<'_>, error: reqwest::Error) -> Failure {
        let (registry, action) = (self.registry.host(), call.action.clone());
        let transient = !error.is_builder() && !error.is_redirect() && !is_tls_refusal(&error);
        let sending =
            !error.is_connect() && !error.is_timeout() && !matches!(call.payload, Payload::Nothing);
        let reason = reason_of(error);
        let error = if sending {
            Error::Disconnected {
                registry,
                action,
                reason,
            }
        } else {
            Error::Unreachable {
                registry,
                action,
                reason,
            }
        };
        Failure {
            error,
            transient,
            retry_after: None,
        }
    }

    /// Gives an unwelcome answer its meaning.
    pub(crate) async fn refused(&self, call: &Call<'_>, response: Response) -> (Answer, Failure) {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let body = read_body(response, 64 * 1024).await.unwrap_or_default();
        let answer = Answer::read(&body);
        let (registry, action) = (self.registry.host(), call.action.clone());
        // The answer to a HEAD has no body.
        let silent = answer.message.is_empty();
        let message = if silent {
            "no reason given".to_owned()
        } else {
            answer.message.clone()
        };
        let error = match status {
            StatusCode::UNAUTHORIZED => Error::Unauthorized { registry, message },
            StatusCode::FORBIDDEN => Error::Denied {
                registry,
                action,
                message,
            },
            _ if answer.has("NAME_UNKNOWN") || message.contains("RepositoryNotFoundException") => {
                Error::RepositoryNotFound {
                    registry,
                    repository: call.repository.to_owned(),
                    message,
                }
            }
            StatusCode::NOT_FOUND if silent => Error::NotFound { registry, action },
            _ => Error::Refused {
                registry,
                action,
                status: status.as_u16(),
                message,
            },
        };
        let transient = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
            // The session was lost: a new one may work.
            || answer.has("BLOB_UPLOAD_UNKNOWN");
        (
            answer,
            Failure {
                error,
                transient,
                retry_after,
            },
        )
    }

    /// The digest that an answer names, checked against what it should be.
    pub(crate) fn confirm(
        &self,
        call: &Call<'_>,
        response: &Response,
        expected: &Digest,
    ) -> Result<(), Error> {
        match digest_header(response) {
            Some(found) if found != expected.as_str() => Err(Error::Mismatch {
                registry: self.registry.host(),
                action: call.action.clone(),
                expected: expected.clone(),
                found: found.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

pub(crate) fn digest_header(response: &Response) -> Option<&str> {
    response
        .headers()
        .get("docker-content-digest")?
        .to_str()
        .ok()
}

/// The body, if it is no longer than `limit` bytes.
pub(crate) async fn read_body(
    mut response: Response,
    limit: usize,
) -> Result<Vec<u8>, Option<reqwest::Error>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Some)? {
        if body.len() + chunk.len() > limit {
            return Err(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Half a minute, and the time that the bytes take on a slow line (128 KiB a second).
pub(crate) fn time_for(bytes: u64) -> Duration {
    Duration::from_secs(30 + bytes / (128 * 1024))
}

/// `ring`, for every TLS client of this process that names no provider of its own: reqwest and oci-client.
pub(crate) fn install_tls_provider() {
    // An error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The chain of causes in one line, without the URL: its query may hold an upload session.
pub(crate) fn reason_of(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// A certificate that is not trusted stays so.
fn is_tls_refusal(error: &reqwest::Error) -> bool {
    // An I/O error's `source` is that of the error within it, which has to be asked for on its own.
    fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
        let within = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        error.is::<rustls::Error>() || within.is_some_and(|error| is_tls(error))
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if is_tls(cause) {
            return true;
        }
        source = cause.source();
    }
    false
}
