//! Finds out which server answers, and whether it is a version of Forgejo whose behaviour is known.

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use url::Url;

use super::rest::{authorize, rest_error};
use crate::registry::{Credentials, Error, Http, HttpRequest, HttpResponse};

/// The oldest major version that was tested.
const OLDEST: u32 = 11;
/// The newest major version that was tested.
const NEWEST: u32 = 16;
/// Where Forgejo gives its version; Gitea does not have this path.
const VERSION_PATH: &str = "api/forgejo/v1/version";
/// How many bytes an answer may have.
const SMALL: usize = 64 << 10;

/// The version of a Forgejo server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgejoVersion {
    /// The version that the server gives, up to the `+`.
    pub text: String,
    /// The number before the first dot; `None` if a distributor gives another kind of version.
    pub major: Option<u32>,
}

/// The answer of a version API.
#[derive(Deserialize)]
struct VersionAnswer {
    version: String,
}

impl ForgejoVersion {
    fn parse(text: &str) -> Self {
        let text = text.split('+').next().unwrap_or_default().to_owned();
        let major = text.split('.').next().and_then(|number| number.parse().ok());
        Self { text, major }
    }

    /// A warning for the user, if this version was not tested.
    pub fn warning(&self) -> Option<String> {
        match self.major {
            Some(major) if major <= NEWEST => None,
            Some(_) => Some(format!("Forgejo {} is newer than any that was tried ({NEWEST})", self.text)),
            None => Some(format!("{:?} is no version of Forgejo that is known", self.text)),
        }
    }
}

/// The version of the Forgejo at `base`, and how many seconds its clock is ahead of ours.
pub(super) async fn detect_version(
    http: &Http,
    base: &Url,
    credentials: &Credentials,
) -> Result<(ForgejoVersion, Option<i64>), Error> {
    let answer = get(http, base, VERSION_PATH, credentials).await?;
    let bad = |why: String| Error::Malformed { what: answer.what.clone(), why };
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => {
            return Err(bad(describe_other_server(http, base, credentials, &answer).await?));
        }
        status if status.is_redirection() => {
            let to = answer.header("location").map(crate::registry::quote).unwrap_or_default();
            return Err(bad(format!("it leads to {to:?}; if that is the server, name its address")));
        }
        _ => return Err(rest_error(&answer)),
    }
    let version = ForgejoVersion::parse(&answer.json::<VersionAnswer>()?.version);
    match version.major {
        Some(major) if major < OLDEST => {
            Err(bad(format!("Forgejo {} is older than any that was tried ({OLDEST}); refused", version.text)))
        }
        _ => Ok((version, clock_ahead(&answer))),
    }
}

/// How many seconds the `Date` of an answer (RFC 9110) is ahead of our clock.
fn clock_ahead(answer: &HttpResponse) -> Option<i64> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(answer.header("date")?).ok()?;
    Some(at.as_second() - jiff::Timestamp::now().as_second())
}

/// Describes a server that does not give a version of Forgejo.
async fn describe_other_server(
    http: &Http,
    base: &Url,
    credentials: &Credentials,
    first: &HttpResponse,
) -> Result<String, Error> {
    // Gitea has another path for its version.
    let gitea = get(http, base, "api/v1/version", credentials).await?;
    if gitea.status == StatusCode::OK
        && let Ok(answer) = gitea.json::<VersionAnswer>()
    {
        return Ok(format!(
            "this is Gitea {}, whose package API looks the same; what it deletes was never tried, so it is refused",
            crate::text::escape(&answer.version)
        ));
    }
    let mut root = base.clone();
    root.set_path("/");
    if root != *base {
        let above = get(http, &root, VERSION_PATH, credentials).await?;
        if above.status == StatusCode::OK && above.json::<VersionAnswer>().is_ok() {
            return Ok(format!("Forgejo is at {root} and not below {}; name that address", base.path()));
        }
    }
    let registry = get(http, base, "/v2/", &Credentials::Anonymous).await?;
    if registry.header("docker-distribution-api-version").is_some()
        || registry.status == StatusCode::OK && registry.is_of_registry()
    {
        // The service for which Forgejo, Gitea and GitLab ask for a token (`routers/api/packages/container/container.go`).
        let is_package_registry = registry
            .header("www-authenticate")
            .is_some_and(|given| given.contains("service=\"container_registry\""));
        return if is_package_registry {
            Ok("its /v2 is that of a Forgejo, Gitea or GitLab, and the API of Forgejo is not there; does a proxy hide it?"
                .into())
        } else {
            Err(Error::NoForgejo { what: first.what.clone() })
        };
    }
    let what = if first.is_page() { "a web page with status 404 came: " } else { "" };
    let server = first.header("server").map(crate::registry::quote).filter(|name| !name.is_empty());
    let named = server.map_or_else(String::new, |name| format!("; what answers calls itself {name:?}"));
    Ok(format!("{what}this is neither Forgejo nor Gitea nor a registry{named}"))
}

async fn get(http: &Http, base: &Url, path: &str, credentials: &Credentials) -> Result<HttpResponse, Error> {
    let bad = |error: url::ParseError| Error::Address { address: path.into(), why: error.to_string() };
    let mut request = HttpRequest::new(Method::GET, base.join(path).map_err(bad)?, SMALL);
    authorize(&mut request, credentials);
    http.send(&request).await
}

#[cfg(test)]
mod tests {
    use super::ForgejoVersion;

    #[test]
    fn version_ends_before_the_plus() {
        let version = ForgejoVersion::parse("15.0.3+gitea-1.22.0");
        assert_eq!((version.text.as_str(), version.major), ("15.0.3", Some(15)));
        assert_eq!(version.warning(), None);
        assert_eq!(ForgejoVersion::parse("16.0.0-dev-1-a+gitea-1.22.0").warning(), None);
        insta::assert_snapshot!(ForgejoVersion::parse("17.0.0-dev-1-a+gitea-1.22.0").warning().unwrap(), @"Forgejo 17.0.0-dev-1-a is newer than any that was tried (16)");
        insta::assert_snapshot!(ForgejoVersion::parse("ours").warning().unwrap(), @r#""ours" is no version of Forgejo that is known"#);
    }
}
