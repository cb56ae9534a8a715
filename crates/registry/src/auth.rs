//! Who we are to a registry.
//!
//! ECR takes HTTP Basic with every request. Other registries answer 401 and name a token service, which gives a
//! bearer token for one repository (Docker's "Token Authentication Specification", which the registries share).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, StatusCode};
use url::Url;

use crate::address::{Basic, is_loopback};
use crate::client::{Client, reason_of};
use crate::error::{Answer, Error};
use crate::retry::Failure;

/// Bearer tokens by repository.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<String, String>>);

impl Tokens {
    pub(crate) fn get(&self, repository: &str) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(repository)
            .cloned()
    }

    fn set(&self, repository: &str, token: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(repository.to_owned(), token);
    }
}

impl Client {
    /// Adds the authorization we have: a token for the repository, else the credentials.
    pub(crate) fn authorize(&self, request: RequestBuilder, repository: &str) -> RequestBuilder {
        match (self.tokens.get(repository), &self.registry.credentials) {
            (Some(token), _) => request.bearer_auth(token),
            (None, Some(basic)) => basic.apply(request),
            (None, None) => request,
        }
    }

    /// Fetches the token that a 401 asks for. False when it asks for none, so that nothing more can be done.
    pub(crate) async fn answer_challenge(
        &self,
        repository: &str,
        headers: &HeaderMap,
    ) -> Result<bool, Failure> {
        let challenges = headers.get_all(WWW_AUTHENTICATE);
        let Some(challenge) = challenges
            .iter()
            .find_map(|value| Challenge::parse(value.to_str().ok()?))
        else {
            return Ok(false);
        };
        let registry = &self.registry;
        let action = || "get a token".to_owned();
        let protocol = |reason: String| Error::Protocol {
            registry: registry.host(),
            action: action(),
            reason,
        };
        let realm = Url::parse(&challenge.realm)
            .map_err(|_| protocol("its token service has no valid address".to_owned()))?;
        // Credentials and tokens go over TLS, or stay on this machine as the registry itself does.
        if realm.scheme() != "https" && !(is_loopback(&realm) && is_loopback(&registry.base)) {
            return Err(protocol("its token service does not use https".to_owned()).into());
        }

        let scope = challenge
            .scope
            .unwrap_or_else(|| format!("repository:{repository}:pull,push"));
        let mut url = realm;
        url.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = &challenge.service {
            url.query_pairs_mut().append_pair("service", service);
        }
        let request = self.http.get(url);
        let request = match &registry.credentials {
            Some(basic) => basic.apply(request),
            None => request,
        };
        let response = request.send().await.map_err(|error| {
            Failure::transient(Error::Unreachable {
                registry: registry.host(),
                action: action(),
                reason: reason_of(error),
            })
        })?;
        let status = response.status();
        let body = response
            .bytes()
            .await
            .map_err(|error| Failure::transient(protocol(reason_of(error))))?;
        match status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                let message = Answer::read(&body).message;
                return Err(Error::Unauthorized {
                    registry: registry.host(),
                    message,
                }
                .into());
            }
            status => {
                return Err(Failure {
                    error: protocol(format!("its token service answered {status}")),
                    transient: status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS,
                    retry_after: None,
                });
            }
        }

        let token = serde_json::from_slice::<TokenAnswer>(&body)
            .ok()
            .and_then(|body| body.token.or(body.access_token));
        let token = token.ok_or_else(|| protocol("its token service gave no token".to_owned()))?;
        self.tokens.set(repository, token);
        Ok(true)
    }
}

impl Basic {
    pub(crate) fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        let (user, password) = self.parts();
        request.basic_auth(user, Some(password))
    }
}

/// What a token service gives; the name of the member depends on its age.
#[derive(serde::Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

/// The parameters of `WWW-Authenticate: Bearer …` (RFC 7235, section 2.1).
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    /// `None` for another scheme than Bearer, or without a realm.
    fn parse(header: &str) -> Option<Self> {
        let (scheme, mut rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut values = HashMap::new();
        while let Some((name, tail)) = rest.split_once('=') {
            let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
            let value;
            (value, rest) = match tail.strip_prefix('"') {
                // Commas are part of a quoted value: `scope="repository:a:pull,push"`.
                Some(quoted) => quoted.split_once('"')?,
                None => tail.split_once(',').unwrap_or((tail, "")),
            };
            values.insert(name, value.trim().to_owned());
        }
        Some(Self {
            realm: values.remove("realm")?,
            service: values.remove("service"),
            scope: values.remove("scope"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_with_commas_in_quotes() {
        let header = r#"Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull,push""#;
        assert_eq!(
            Challenge::parse(header),
            Some(Challenge {
                realm: "https://auth.example.com/token".to_owned(),
                service: Some("registry".to_owned()),
                scope: Some("repository:a/b:pull,push".to_owned()),
            })
        );
        let bare =
            Challenge::parse("bearer realm=https://a/t, service=x").map(|c| (c.realm, c.service));
        assert_eq!(bare, Some(("https://a/t".to_owned(), Some("x".to_owned()))));
        for header in [
            "",
            "Basic realm=\"x\"",
            "Bearer",
            "Bearer service=\"x\"",
            "Bearer realm=\"x",
        ] {
            assert_eq!(Challenge::parse(header), None, "{header}");
        }
    }
}
