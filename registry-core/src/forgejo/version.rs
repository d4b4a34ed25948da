//! Which server answers, and whether it is one whose behaviour is known.

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use url::Url;

use super::source::rest;
use crate::registry::{Answer, Ask, Credentials, Error, Http};

/// Oldest major version whose answers were seen.
const OLDEST: u32 = 11;
/// Newest major version whose answers were seen.
const NEWEST: u32 = 15;
/// Most bytes of an answer about a version.
const SMALL: usize = 64 << 10;

/// The version of a Forgejo server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// As told, up to the `+`.
    pub text: String,
    /// The number before the first dot; a distributor may tell something else.
    pub major: Option<u32>,
}

#[derive(Deserialize)]
struct Told {
    version: String,
}

impl Version {
    fn of(told: &str) -> Self {
        let text = told.split('+').next().unwrap_or_default().to_owned();
        let major = text.split('.').next().and_then(|number| number.parse().ok());
        Self { text, major }
    }

    /// What a person should know about a server of this version.
    pub fn warning(&self) -> Option<String> {
        match self.major {
            Some(major) if major <= NEWEST => None,
            Some(_) => Some(format!("Forgejo {} is newer than any that was tried ({NEWEST})", self.text)),
            None => Some(format!("{:?} is no version of Forgejo that is known", self.text)),
        }
    }
}

/// Asks the server at `base` what it is.
pub(super) async fn detect(http: &Http, base: &Url, credentials: &Credentials) -> Result<Version, Error> {
    let answer = get(http, base, "api/forgejo/v1/version", credentials).await?;
    if answer.status == StatusCode::OK {
        let version = Version::of(&answer.json::<Told>()?.version);
        return match version.major {
            Some(major) if major < OLDEST => Err(Error::Malformed {
                what: answer.what,
                why: format!("Forgejo {} is older than any that was tried ({OLDEST}); refused", version.text),
            }),
            _ => Ok(version),
        };
    }
    if answer.status != StatusCode::NOT_FOUND {
        return Err(rest(&answer));
    }
    let bad = |why: String| Error::Malformed { what: answer.what.clone(), why };
    // Gitea has no version of this kind, but answers the same API otherwise.
    let gitea = get(http, base, "api/v1/version", credentials).await?;
    if gitea.status == StatusCode::OK
        && let Ok(told) = gitea.json::<Told>()
    {
        return Err(bad(format!(
            "this is Gitea {}, whose package API looks the same; what it deletes was never tried, so it is refused",
            crate::text::escape(&told.version)
        )));
    }
    let registry = get(http, base, "/v2/", &Credentials::Anonymous).await?;
    if registry.header("docker-distribution-api-version").is_some() {
        return Err(bad("this is an OCI registry and no Forgejo; name it with --registry".into()));
    }
    Err(bad("this is neither Forgejo nor Gitea".into()))
}

async fn get(http: &Http, base: &Url, path: &str, credentials: &Credentials) -> Result<Answer, Error> {
    let bad = |error: url::ParseError| Error::Address { address: path.into(), why: error.to_string() };
    let mut ask = Ask::new(Method::GET, base.join(path).map_err(bad)?, SMALL);
    super::source::authorize(&mut ask, credentials);
    http.send(&ask).await
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_are_read_up_to_the_plus() {
        let version = Version::of("15.0.3+gitea-1.22.0");
        assert_eq!((version.text.as_str(), version.major), ("15.0.3", Some(15)));
        assert_eq!(version.warning(), None);
        insta::assert_snapshot!(Version::of("16.0.0-dev-1-a+gitea-1.22.0").warning().unwrap(), @"Forgejo 16.0.0-dev-1-a is newer than any that was tried (15)");
        insta::assert_snapshot!(Version::of("ours").warning().unwrap(), @r#""ours" is no version of Forgejo that is known"#);
    }
}
