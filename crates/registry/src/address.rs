//! Registries by their address, the credentials for them, and the grammar of names: everything that is checked
//! before it becomes part of a URL.

use std::fmt;

use url::{Host, Url};

use crate::error::Error;

/// A registry and who we are to it.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Its address; everything lies below `/v2/` of it.
    pub base: Url,
    /// User and password, or nobody.
    pub credentials: Option<Basic>,
}

/// A user and a password for HTTP Basic. With ECR the user is `AWS` and the password the token of
/// `GetAuthorizationToken`. Its `Debug` hides the password.
#[derive(Clone)]
pub struct Basic {
    user: String,
    password: String,
}

impl Basic {
    /// These credentials.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
        }
    }

    pub(crate) fn parts(&self) -> (&str, &str) {
        (&self.user, &self.password)
    }
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Basic")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// The registry at `host` (`host:port` too): over https, or http for a loopback address.
    ///
    /// # Errors
    ///
    /// When `host` is not a host name.
    pub fn new(host: &str, credentials: Option<Basic>) -> Result<Self, Error> {
        let bad = || Error::Address {
            address: host.to_owned(),
            reason: "expected a host name, optionally with a port",
        };
        if host.is_empty() || host.contains(['/', '@', '?', '#', '\\']) {
            return Err(bad());
        }
        let mut base = Url::parse(&format!("https://{host}")).map_err(|_| bad())?;
        if is_loopback(&base) {
            base = Url::parse(&format!("http://{host}")).map_err(|_| bad())?;
        }
        Ok(Self { base, credentials })
    }

    /// The host, with its port where it has one of its own: the first part of an image's name.
    pub fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        self.base
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

/// Checks names by the grammar of the OCI distribution specification ("Pulling manifests") before they become part of a URL.
/// By hand: compiling the specification's regular expression takes longer than a whole push in which nothing is new.
pub(crate) fn check_names(repository: &str, tags: &[String]) -> Result<(), Error> {
    let error = |what, name: &str, reason: &str| {
        Err(Error::Name {
            what,
            name: name.to_owned(),
            reason: reason.to_owned(),
        })
    };
    if repository.len() > 255 || !repository.split('/').all(is_name_part) {
        return error(
            "repository",
            repository,
            "use lower-case letters and digits, joined by single `.`, `_` or `/`, by `__`, or by `-`; at most 255 in all",
        );
    }
    for tag in tags {
        let mut rest = tag.bytes();
        let first = rest
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        let rest = rest.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if !first || !rest || tag.len() > 128 {
            return error(
                "tag",
                tag,
                "use letters, digits, `_`, `.` and `-`, the last two not in front; at most 128",
            );
        }
    }
    Ok(())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_name_part(part: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = [part.bytes().next(), part.bytes().next_back()];
    if !ends.into_iter().all(|end| end.is_some_and(word)) {
        return false;
    }
    part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|between| {
            matches!(between, "" | "." | "_" | "__") || between.bytes().all(|b| b == b'-')
        })
}

/// Does this URL stay on this machine?
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;

    fn registry(base: &str) -> Registry {
        Registry {
            base: Url::parse(base).unwrap(),
            credentials: None,
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for good in [
            "https://example.com",
            "http://127.0.0.1:5000",
            "http://localhost:5000",
            "http://[::1]:5000",
        ] {
            assert!(Client::new(registry(good)).is_ok(), "{good}");
        }
        for bad in [
            "http://example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "ftp://example.com",
            "https://u:secret@example.com",
            "https://example.com/v2/",
            "data:x",
        ] {
            let error = Client::new(registry(bad)).unwrap_err();
            assert!(matches!(error, Error::Address { .. }), "{bad}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_host_decides_about_the_scheme() {
        let base = |host| {
            Registry::new(host, None).map(|registry| (registry.base.to_string(), registry.host()))
        };
        assert_eq!(
            base("example.com").unwrap(),
            ("https://example.com/".to_owned(), "example.com".to_owned())
        );
        assert_eq!(
            base("localhost:5000").unwrap(),
            (
                "http://localhost:5000/".to_owned(),
                "localhost:5000".to_owned()
            )
        );
        for bad in ["", "a/b", "u@h", "https://x", "a b"] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let registry = Registry::new("example.com", Some(Basic::new("AWS", "secret"))).unwrap();
        let client = Client::new(registry).unwrap();
        assert!(!format!("{client:?}").contains("secret"));
    }

    #[test]
    fn names_that_would_change_the_url_are_refused() {
        let tags = |tag: &str| [tag.to_owned()];
        check_names("shop/api", &tags("v1.0")).unwrap();
        for repository in [
            "a",
            "0",
            "a.b",
            "a_b",
            "a__b",
            "a---b",
            "team/a-1/b",
            &"a".repeat(255),
        ] {
            check_names(repository, &[]).unwrap();
        }
        for repository in [
            "a..b",
            "a___b",
            "a-",
            "-a",
            "a.-b",
            "a/",
            "ä",
            &"a".repeat(256),
        ] {
            assert!(check_names(repository, &[]).is_err(), "{repository}");
        }
        for tag in ["a", "_", "V1.2-x", &"a".repeat(128)] {
            check_names("shop/api", &tags(tag)).unwrap();
        }
        for tag in ["-a", "ä", &"a".repeat(129)] {
            assert!(check_names("shop/api", &tags(tag)).is_err(), "{tag}");
        }
        for repository in ["", "Shop", "../x", "a//b", "a:b", "a@b", "a?b", "a b", "/a"] {
            assert!(check_names(repository, &[]).is_err(), "{repository}");
        }
        for tag in ["", "a/b", "a?b", "a@sha256:0", ".x", "a b"] {
            assert!(check_names("shop/api", &tags(tag)).is_err(), "{tag}");
        }
    }
}
