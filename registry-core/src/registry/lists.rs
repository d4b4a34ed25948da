//! Lists of tags, repositories and referrers, read page by page. A link to the next page must keep server and path. A list
//! also ends at an empty page: Forgejo links one from its last page (go-gitea/gitea's tag list does the same).

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use url::Url;

use super::client::{Client, check_reference};
use super::content::pull_scope;
use super::error::Error;
use super::exchange::{HttpRequest, HttpResponse};
use crate::oci::{Descriptor, Digest};

/// Most bytes of one page.
const PAGE_MAX: usize = 64 << 20;
/// How many entries a list may have.
const MAX_ENTRIES: usize = 4_000_000;
/// How many pages in a row may repeat the one before.
const MAX_SAME_PAGES: usize = 3;
/// How many pages a list may have.
const MAX_PAGES: usize = 200_000;

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
    /// The tags of a repository, in the server's order; `None` if the repository does not exist.
    ///
    /// # Errors
    /// When the list could not be read to its end.
    pub async fn tags(&self, repository: &str) -> Result<Option<Vec<String>>, Error> {
        check_reference(repository, "latest")?;
        self.read_pages(&format!("/v2/{repository}/tags/list"), &pull_scope(repository), |answer| {
            Ok(answer.json::<TagList>()?.tags.unwrap_or_default())
        })
        .await
    }

    /// All repositories in the catalog.
    ///
    /// # Errors
    /// When there is no catalog, or it could not be read to its end.
    pub async fn catalog(&self) -> Result<Vec<String>, Error> {
        let read = |answer: &HttpResponse| Ok(answer.json::<Catalog>()?.repositories.unwrap_or_default());
        let found = self.read_pages("/v2/_catalog", "registry:catalog:*", read).await?;
        found.ok_or_else(|| Error::Malformed {
            what: "GET /v2/_catalog".into(),
            why: "there is no catalog".into(),
        })
    }

    /// The manifests that refer to a digest; `None` if the server has no such lists (tags named after the digest replace them).
    ///
    /// # Errors
    /// When the list could not be read to its end.
    pub async fn referrers(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Error> {
        check_reference(repository, &digest.to_string())?;
        let scope = pull_scope(repository);
        let path = format!("/v2/{repository}/referrers/{digest}");
        let first = self.send(Method::GET, &path, PAGE_MAX, &scope).await?;
        if first.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let read = |answer: &HttpResponse| {
            let listed = answer.json::<Referrers>()?.manifests;
            // Parsed as an index, to be read as leniently as one.
            let index = serde_json::json!({"schemaVersion": 2, "manifests": listed});
            let bytes = serde_json::to_vec(&index).unwrap_or_default();
            let references = crate::oci::Manifest::parse(&bytes).references;
            Ok(references.into_iter().map(|reference| reference.descriptor).collect())
        };
        self.read_pages_from(first, &path, &scope, read).await
    }

    async fn read_pages<T>(
        &self,
        path: &str,
        scope: &str,
        read: impl Fn(&HttpResponse) -> Result<Vec<T>, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let first = self.send(Method::GET, path, PAGE_MAX, scope).await?;
        self.read_pages_from(first, path, scope, read).await
    }

    async fn read_pages_from<T>(
        &self,
        mut answer: HttpResponse,
        path: &str,
        scope: &str,
        read: impl Fn(&HttpResponse) -> Result<Vec<T>, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let mut url = self.url(path)?;
        let mut seen = BTreeSet::from([url.to_string()]);
        let (mut all, mut previous, mut repetitions) = (Vec::new(), Vec::new(), 0);
        loop {
            if answer.is_absent() && seen.len() == 1 {
                return Ok(None);
            }
            if answer.status != StatusCode::OK {
                return Err(answer.registry_error());
            }
            let page = read(&answer)?;
            let is_empty = page.is_empty();
            // A server that ignores where a page begins sends the first one for ever.
            repetitions = if previous == answer.body { repetitions + 1 } else { 0 };
            previous = std::mem::take(&mut answer.body);
            all.extend(page);
            let Some(next) = answer.header("link").and_then(next_link) else { return Ok(Some(all)) };
            if is_empty {
                return Ok(Some(all));
            }
            let bad = |why: &str| Error::Malformed { what: answer.what.clone(), why: why.into() };
            let next =
                next_page_url(&url, next).ok_or_else(|| bad("its link to the next page leads elsewhere"))?;
            if !seen.insert(next.to_string()) {
                return Err(bad("its pages lead in a circle"));
            }
            if repetitions >= MAX_SAME_PAGES {
                return Err(bad("its pages are all the same"));
            }
            if all.len() > MAX_ENTRIES || seen.len() > MAX_PAGES {
                return Err(bad("the list does not end"));
            }
            url = next;
            let request = HttpRequest::new(Method::GET, url.clone(), PAGE_MAX);
            answer = self.session.send(request, scope).await?;
        }
    }
}

/// The address of the next page, if it has the same path.
fn next_page_url(url: &Url, next: &str) -> Option<Url> {
    let mut next = url.join(next).ok()?;
    let is_same_list = next.path() == url.path() && next.host().is_some();
    // A server behind a proxy may link its inner address, so only path and query are taken from the link.
    next.set_scheme(url.scheme()).ok()?;
    next.set_host(url.host_str()).ok()?;
    next.set_port(url.port()).ok()?;
    is_same_list.then_some(next)
}

/// The target of `rel="next"` in a header `Link` (RFC 8288).
fn next_link(header: &str) -> Option<&str> {
    header.split('<').skip(1).find_map(|part| {
        let (target, parameters) = part.split_once('>')?;
        let is_next = |parameter: &str| {
            parameter.trim().split_once('=').is_some_and(|(name, value)| {
                let value = value.trim().trim_end_matches(',').trim().trim_matches('"');
                name.trim().eq_ignore_ascii_case("rel")
                    && value.split(' ').any(|relation| relation.eq_ignore_ascii_case("next"))
            })
        };
        parameters.split(';').any(is_next).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::next_link;

    #[test]
    fn link_to_next_page_is_found_in_headers_of_real_servers() {
        assert_eq!(
            next_link(r#"</v2/a/tags/list?last=b&n=2>; rel="next""#),
            Some("/v2/a/tags/list?last=b&n=2")
        );
        let forgejo = r#"<http://h/api?page=2>; rel="next",<http://h/api?page=9>; rel="last""#;
        assert_eq!(next_link(forgejo), Some("http://h/api?page=2"));
        let last = r#"<http://h/api?page=1>; rel="first",<http://h/api?page=8>; rel="prev""#;
        assert_eq!(next_link(last), None);
        assert_eq!(next_link("<x>; rel=next"), Some("x"));
        assert_eq!(next_link("nothing"), None);
    }
}
