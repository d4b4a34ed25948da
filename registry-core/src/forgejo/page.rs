//! One page of the list of versions: how it is asked for, what it answers, and what the pages of one pass showed so far.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, StatusCode};

use super::client::Forgejo;
use super::rest::{Item, rest};
use crate::registry::{Error, HttpRequest, HttpResponse};
use crate::retention::server::ListedRow;

/// Versions asked for at once: the most that a server answers by default (`modules/setting/api.go`).
pub(super) const PAGE: usize = 50;
/// Most bytes of a page. 50 versions are 64 KB.
const PAGE_MAX: usize = 8 << 20;
/// Most versions of an owner.
pub(super) const MOST: usize = 10_000_000;

/// Why a pass over a list ended before its end.
pub(super) enum Interrupted {
    /// The list changed meanwhile, and how.
    Moved(String),
    /// A page answers 500 whenever it is asked for.
    Damaged(Error),
    /// Nothing can be listed.
    Failed(Error),
}

impl From<Error> for Interrupted {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The list, for messages.
pub(super) fn list_name(forgejo: &Forgejo) -> String {
    format!("GET /api/v1/packages/{}", forgejo.owner())
}

/// A request for a page, which shows a part of the owner's versions, or of those in whose package's name a text is found.
pub(super) fn page(
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

/// The versions of a page that was answered, and how many there are on all pages.
pub(super) fn read(answer: &HttpResponse) -> Result<(usize, Vec<Item>), Error> {
    if answer.status != StatusCode::OK {
        return Err(rest(answer));
    }
    let items: Vec<Item> = answer.json()?;
    let bad = |why: &str| Error::Malformed { what: answer.what.clone(), why: why.into() };
    let told = answer.header("x-total-count").and_then(|text| text.parse::<usize>().ok());
    let told = told.ok_or_else(|| bad("it does not tell how many versions there are (X-Total-Count)"))?;
    if told > MOST {
        return Err(bad("it tells of more versions than can be"));
    }
    if items.iter().any(|item| item.kind != "container") {
        return Err(bad("it lists what is no container, though only these were asked for"));
    }
    Ok((told, items))
}

/// What a pass over a list showed so far.
#[derive(Default)]
pub(super) struct Shown {
    ids: BTreeSet<u64>,
    names: BTreeSet<(String, String)>,
    spelled: BTreeMap<String, String>,
}

impl Shown {
    /// The row of a version; `None` when it was shown before.
    pub(super) fn row(&mut self, item: Item, what: &str) -> Result<Option<ListedRow>, Error> {
        let (id, row) = (item.id, item.listed());
        let package = self.spelled.entry(row.package.to_lowercase()).or_insert_with(|| row.package.clone());
        if *package != row.package {
            let (one, other) = (crate::registry::quote(package), crate::registry::quote(&row.package));
            let why = format!(
                "packages {one:?} and {other:?} differ only in case, and this API takes both for the same; nothing can be \
                 deleted safely"
            );
            return Err(Error::Malformed { what: what.to_owned(), why });
        }
        // A tag that is pushed again meanwhile keeps the total, has another number, and may push a third row off both
        // pages.
        let is_new = self.names.insert((row.package.to_lowercase(), row.version.to_lowercase()));
        Ok((self.ids.insert(id) && is_new).then_some(row))
    }
}
