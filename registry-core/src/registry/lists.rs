//! Tags, repositories and referrers, page by page. Pages are followed as the server links them, at its own address only,
//! and end at an empty page too: Forgejo links one from its last (go-gitea/gitea's tag list does the same).

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use url::Url;

use super::client::{Client, checked};
use super::content::pull;
use super::error::Error;
use super::exchange::{HttpRequest, HttpResponse};
use crate::oci::{Descriptor, Digest};

/// Most bytes of one page.
const PAGE_MAX: usize = 64 << 20;
/// Most entries of a list.
const MOST: usize = 4_000_000;
/// Most pages of a list that repeat the one before.
const MOST_SAME: usize = 3;
/// Most pages of a list.
const MOST_PAGES: usize = 200_000;

#[derive(Deserialize)]
struct TagList {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Catalog {
    #[serde(default)]
    repositories: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Referrers {
    manifests: Vec<serde_json::Value>,
}

impl Client {
    /// The tags of a repository, in the server's order; `None` when it is not there.
    ///
    /// # Errors
    /// When the list could not be read to its end.
    pub async fn tags(&self, repository: &str) -> Result<Option<Vec<String>>, Error> {
        checked(repository, "latest")?;
        self.pages(&format!("/v2/{repository}/tags/list"), &pull(repository), |answer| {
            Ok(answer.json::<TagList>()?.tags.unwrap_or_default())
        })
        .await
    }

    /// All repositories that the catalog tells of.
    ///
    /// # Errors
    /// When it is closed, or could not be read to its end.
    pub async fn catalog(&self) -> Result<Vec<String>, Error> {
        let read = |answer: &HttpResponse| Ok(answer.json::<Catalog>()?.repositories.unwrap_or_default());
        let found = self.pages("/v2/_catalog", "registry:catalog:*", read).await?;
        found.ok_or_else(|| Error::Malformed {
            what: "GET /v2/_catalog".into(),
            why: "there is no catalog".into(),
        })
    }

    /// Manifests that refer to a digest; `None` where a server has no such list (then tags named after it tell).
    ///
    /// # Errors
    /// When the list could not be read to its end.
    pub async fn referrers(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Error> {
        checked(repository, &digest.to_string())?;
        let scope = pull(repository);
        let path = format!("/v2/{repository}/referrers/{digest}");
        let first = self.send(Method::GET, &path, PAGE_MAX, &scope).await?;
        if first.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let read = |answer: &HttpResponse| {
            let listed = answer.json::<Referrers>()?.manifests;
            // Parsed as an index: the same lenient reading as everywhere.
            let index = serde_json::json!({"schemaVersion": 2, "manifests": listed});
            let bytes = serde_json::to_vec(&index).unwrap_or_default();
            let references = crate::oci::Manifest::parse(&bytes).references;
            Ok(references.into_iter().map(|reference| reference.descriptor).collect())
        };
        self.pages_from(first, &path, &scope, read).await
    }

    async fn pages<T>(
        &self,
        path: &str,
        scope: &str,
        read: impl Fn(&HttpResponse) -> Result<Vec<T>, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let first = self.send(Method::GET, path, PAGE_MAX, scope).await?;
        self.pages_from(first, path, scope, read).await
    }

    async fn pages_from<T>(
        &self,
        mut answer: HttpResponse,
        path: &str,
        scope: &str,
        read: impl Fn(&HttpResponse) -> Result<Vec<T>, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let mut url = self.url(path)?;
        let mut seen = BTreeSet::from([url.to_string()]);
        let (mut all, mut before, mut same) = (Vec::new(), Vec::new(), 0);
        loop {
            if answer.is_absent() && seen.len() == 1 {
                return Ok(None);
            }
            if answer.status != StatusCode::OK {
                return Err(answer.coded());
            }
            let page = read(&answer)?;
            let is_empty = page.is_empty();
            // A server that takes no notice of where a page should begin sends the first one for ever.
            same = if before == answer.body { same + 1 } else { 0 };
            before = std::mem::take(&mut answer.body);
            all.extend(page);
            let Some(next) = answer.header("link").and_then(next_of) else { return Ok(Some(all)) };
            if is_empty {
                return Ok(Some(all));
            }
            let bad = |why: &str| Error::Malformed { what: answer.what.clone(), why: why.into() };
            let next = joined(&url, next).ok_or_else(|| bad("its link to the next page leads elsewhere"))?;
            if !seen.insert(next.to_string()) {
                return Err(bad("its pages lead in a circle"));
            }
            if same >= MOST_SAME {
                return Err(bad("its pages are all the same"));
            }
            if all.len() > MOST || seen.len() > MOST_PAGES {
                return Err(bad("the list does not end"));
            }
            url = next;
            let ask = HttpRequest::new(Method::GET, url.clone(), PAGE_MAX);
            answer = self.session.send(ask, scope).await?;
        }
    }
}

/// The next page, if it is at the same server and the same path.
fn joined(url: &Url, next: &str) -> Option<Url> {
    let mut next = url.join(next).ok()?;
    let is_there = next.path() == url.path() && next.host().is_some();
    // A server behind a proxy may link its inner address: its path and query are what counts.
    next.set_scheme(url.scheme()).ok()?;
    next.set_host(url.host_str()).ok()?;
    next.set_port(url.port()).ok()?;
    is_there.then_some(next)
}

/// The target of `rel="next"` (RFC 8288).
fn next_of(header: &str) -> Option<&str> {
    header.split('<').skip(1).find_map(|part| {
        let (target, parameters) = part.split_once('>')?;
        let is_next = |parameter: &str| {
            parameter.trim().split_once('=').is_some_and(|(name, value)| {
                let value = value.trim().trim_end_matches(',').trim().trim_matches('"');
                name.trim().eq_ignore_ascii_case("rel")
                    && value.split(' ').any(|one| one.eq_ignore_ascii_case("next"))
            })
        };
        parameters.split(';').any(is_next).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::next_of;

    #[test]
    fn the_next_page_is_found_as_servers_write_it() {
        assert_eq!(
            next_of(r#"</v2/a/tags/list?last=b&n=2>; rel="next""#),
            Some("/v2/a/tags/list?last=b&n=2")
        );
        let forgejo = r#"<http://h/api?page=2>; rel="next",<http://h/api?page=9>; rel="last""#;
        assert_eq!(next_of(forgejo), Some("http://h/api?page=2"));
        let last = r#"<http://h/api?page=1>; rel="first",<http://h/api?page=8>; rel="prev""#;
        assert_eq!(next_of(last), None);
        assert_eq!(next_of("<x>; rel=next"), Some("x"));
        assert_eq!(next_of("nothing"), None);
    }
}
