//! Credentials: for which part of a host they are, and to which token services they may go.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::address::{is_loopback, origin};
use super::error::{Error, quote};

/// The credentials of a request.
#[derive(Clone, Default)]
pub enum Credentials {
    /// None.
    #[default]
    Anonymous,
    /// A user and a password or token.
    User {
        /// The user.
        name: String,
        /// Password or token.
        secret: SecretString,
    },
    /// An identity token, which only a token service takes (`docs/spec/auth/oauth.md @ v2.8.3` of distribution).
    Identity {
        /// The token.
        token: SecretString,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Anonymous => "Credentials::Anonymous",
            Self::User { .. } => "Credentials::User",
            Self::Identity { .. } => "Credentials::Identity",
        })
    }
}

impl Credentials {
    /// Whether these are not [`Credentials::Anonymous`].
    pub const fn are_given(&self) -> bool {
        !matches!(self, Self::Anonymous)
    }

    /// The value of the header `Authorization` for HTTP Basic.
    pub(crate) fn basic(&self) -> Option<HeaderValue> {
        let Self::User { name, secret } = self else { return None };
        let pair = format!("{name}:{}", secret.expose_secret());
        secret_header(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
    }
}

/// A header value that logs do not show.
pub(crate) fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The credentials of one host: some for all of it, others for the repositories below a path. The longest path wins, as in
/// podman's files of credentials (`docs/containers-auth.json.5.md @ v5.34.0` of containers/image).
#[derive(Debug, Clone, Default)]
pub struct HostCredentials {
    general: Credentials,
    below: Vec<(String, Credentials)>,
}

impl From<Credentials> for HostCredentials {
    fn from(general: Credentials) -> Self {
        Self { general, below: Vec::new() }
    }
}

impl HostCredentials {
    /// Adds credentials for a repository, or for all repositories below a path.
    #[must_use]
    pub fn with_repository(mut self, path: &str, credentials: Credentials) -> Self {
        self.below.push((path.trim_end_matches('/').to_owned(), credentials));
        self
    }

    /// Whether any credentials were given.
    pub fn are_given(&self) -> bool {
        self.general.are_given() || !self.below.is_empty()
    }

    /// Whether all credentials are for repositories, and none for the whole host.
    pub(super) fn are_of_repositories_only(&self) -> bool {
        !self.general.are_given() && !self.below.is_empty()
    }

    /// The credentials for a repository; those of the whole host for `None`, or if no path fits.
    pub fn for_repository(&self, repository: Option<&str>) -> &Credentials {
        let holds = |path: &str| {
            let rest = repository.and_then(|name| name.strip_prefix(path));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let below = self.below.iter().filter(|(path, _)| holds(path));
        below.max_by_key(|(path, _)| path.len()).map_or(&self.general, |(_, credentials)| credentials)
    }
}

/// A token service that may get credentials although it is on another host than the registry, as those of GitLab and Docker
/// Hub are. Only scheme, host and port count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenService(url::Origin);

impl FromStr for TokenService {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let url = origin(text)?;
        if url.scheme() != "https" && !is_loopback(&url) {
            let why = "credentials go to a token service over https only, except on this machine".into();
            return Err(Error::Address { address: quote(text), why });
        }
        Ok(Self(url.origin()))
    }
}

impl TokenService {
    /// Whether an address belongs to this service.
    pub(super) fn is_at(&self, address: &Url) -> bool {
        self.0 == address.origin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Credentials {
        Credentials::User { name: name.to_owned(), secret: "secret".to_owned().into() }
    }

    #[test]
    fn longest_path_of_whole_segments_wins() {
        let all = HostCredentials::from(user("all"))
            .with_repository("team", user("team"))
            .with_repository("team/app", user("app"))
            .with_repository("other/", user("other"));
        let user_for = |repository| match all.for_repository(repository) {
            Credentials::User { name, .. } => name.as_str(),
            _ => "nobody",
        };
        assert_eq!(user_for(None), "all");
        assert_eq!(user_for(Some("team")), "team");
        assert_eq!(user_for(Some("team/web")), "team");
        assert_eq!(user_for(Some("team/app")), "app");
        assert_eq!(user_for(Some("team/app/x")), "app");
        assert_eq!(user_for(Some("team/apps")), "team");
        assert_eq!(user_for(Some("teams/app")), "all");
        assert_eq!(user_for(Some("other/app")), "other");
    }

    #[test]
    fn token_service_is_its_scheme_host_and_port() {
        let service: TokenService = "https://gitlab.example/jwt/auth".parse().unwrap();
        let is_at = |text: &str| service.is_at(&Url::parse(text).unwrap());
        assert!(is_at("https://gitlab.example:443/other"));
        for other in [
            "http://gitlab.example/jwt/auth",
            "https://gitlab.example:8443/jwt/auth",
            "https://gitlab.example.evil.example/jwt/auth",
            "https://evil.example/gitlab.example",
            "https://gitlab.example@evil.example/jwt/auth",
        ] {
            assert!(!is_at(other), "{other}");
        }
    }

    #[test]
    fn token_service_without_encryption_is_refused() {
        let refused = |text: &str| text.parse::<TokenService>().unwrap_err().to_string();
        insta::assert_snapshot!(refused("http://gitlab.example"), @r#""http://gitlab.example" is no address of a server: credentials go to a token service over https only, except on this machine"#);
        insta::assert_snapshot!(refused("gitlab.example"), @r#""gitlab.example" is no address of a server: write it as https://host or http://host:port"#);
        insta::assert_snapshot!(refused("https://me:secret@gitlab.example"), @r#""gitlab.example" is no address of a server: it holds credentials; give them apart from the address"#);
        for local in ["http://127.0.0.1:5001", "http://localhost:5001/auth", "http://[::1]:5001"] {
            assert!(local.parse::<TokenService>().is_ok(), "{local}");
        }
    }
}
