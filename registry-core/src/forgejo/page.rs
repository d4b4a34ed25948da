//! One page of the list of versions: its request, its answer, and the versions that earlier pages of a pass showed.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, StatusCode};

use super::client::Forgejo;
use super::rest::{VersionItem, rest_error};
use crate::registry::{Error, HttpRequest, HttpResponse};
use crate::retention::server::ListedRow;

/// Number of versions on a page: the most that a server answers by default (`modules/setting/api.go`).
pub(super) const PAGE_SIZE: usize = 50;
/// How many bytes a page may have. 50 versions are 64 KB.
const PAGE_MAX: usize = 8 << 20;
/// How many versions an owner may have.
pub(super) const MAX_VERSIONS: usize = 10_000_000;

/// Why a pass over a list ended before its end.
pub(super) enum PassError {
    /// The list changed meanwhile; tells how.
    Changed(String),
    /// A page answers 500 on every attempt.
    Damaged(Error),
    /// The list cannot be read at all.
    Failed(Error),
}

impl From<Error> for PassError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The name of the list, for messages.
pub(super) fn list_name(forgejo: &Forgejo) -> String {
    format!("GET /api/v1/packages/{}", forgejo.owner())
}

/// The request for a page of the owner's versions, or of those whose package's name contains `search`.
pub(super) fn page_request(
    forgejo: &Forgejo,
    search: Option<&str>,
    limit: usize,
    number: usize,
) -> Result<HttpRequest, Error> {
    let mut url = forgejo.rest_url(&[])?;
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("type", "container").append_pair("limit", &limit.to_string());
        query.append_pair("page", &number.to_string());
        if let Some(search) = search {
            query.append_pair("q", search);
        }
    }
    Ok(HttpRequest::new(Method::GET, url, PAGE_MAX))
}

/// The number of versions on all pages, and the versions of this page.
pub(super) fn read_page(answer: &HttpResponse) -> Result<(usize, Vec<VersionItem>), Error> {
    if answer.status != StatusCode::OK {
        return Err(rest_error(answer));
    }
    let items: Vec<VersionItem> = answer.json()?;
    let bad = |why: &str| Error::Malformed { what: answer.what.clone(), why: why.into() };
    let total = answer.header("x-total-count").and_then(|text| text.parse::<usize>().ok());
    let total = total.ok_or_else(|| bad("it does not tell how many versions there are (X-Total-Count)"))?;
    if total > MAX_VERSIONS {
        return Err(bad("it tells of more versions than can be"));
    }
    if items.iter().any(|item| item.kind != "container") {
        return Err(bad("it lists what is no container, though only these were asked for"));
    }
    Ok((total, items))
}

/// The versions that a pass over a list showed so far.
#[derive(Default)]
pub(super) struct SeenVersions {
    ids: BTreeSet<u64>,
    names: BTreeSet<(String, String)>,
    /// The spelling of each package, by its name in lower case.
    spellings: BTreeMap<String, String>,
}

impl SeenVersions {
    /// Adds a version, and returns its row; `None` if it was shown before.
    pub(super) fn add(&mut self, item: VersionItem, what: &str) -> Result<Option<ListedRow>, Error> {
        let (id, row) = (item.id, item.into_row());
        let package = self.spellings.entry(row.package.to_lowercase()).or_insert_with(|| row.package.clone());
        if *package != row.package {
            let (first, other) = (crate::registry::quote(package), crate::registry::quote(&row.package));
            let why = format!(
                "packages {first:?} and {other:?} differ only in case, and this API takes both for the same; nothing can be \
                 deleted safely"
            );
            return Err(Error::Malformed { what: what.to_owned(), why });
        }
        // A tag that is pushed again meanwhile has another id, keeps the total, and may move a third version off both pages.
        // So names are compared, too.
        let is_new = self.names.insert((row.package.to_lowercase(), row.version.to_lowercase()));
        Ok((self.ids.insert(id) && is_new).then_some(row))
    }
}
