//! The list of versions, page by page. Its pages shift when something is pushed or deleted meanwhile
//! (`models/packages/package_version.go @ v15.0.3`: LIMIT and OFFSET anew for each request), so a list counts only when
//! every page told the same total and exactly that many versions were seen. A list with a version that the server cannot
//! describe is read in [`super::narrow`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::narrow::Narrowing;
use super::source::{Forgejo, rest};
use crate::registry::{Answer, Ask, Error};
use crate::retention::server::{Listed, Listing};

/// Versions asked for at once: the most that a server answers by default (`modules/setting/api.go`).
pub(super) const PAGE: usize = 50;
/// Most bytes of a page. 50 versions are 64 KB.
const PAGE_MAX: usize = 8 << 20;
/// How often a list that keeps changing is read.
const ATTEMPTS: u32 = 5;
/// Most versions of an owner.
pub(super) const MOST: usize = 10_000_000;

/// A version as REST tells it, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) id: u64,
    #[serde(rename = "type")]
    kind: String,
    pub(super) name: String,
    pub(super) version: String,
    created_at: Timestamp,
}

impl Item {
    pub(super) fn listed(self) -> Listed {
        let (package, version) = (self.name, self.version);
        Listed { package, version, id: Some(self.id), created_at: Some(self.created_at) }
    }
}

/// Why a pass over a list ended before its end.
pub(super) enum Stop {
    /// The list changed meanwhile, and how.
    Moved(String),
    /// A page answers 500 whenever it is asked for.
    Damaged(Error),
    /// Nothing can be listed.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Lists every container version of the owner, or of one package.
pub(super) async fn list(forgejo: &Forgejo, package: Option<&str>) -> Result<Listing, Error> {
    let (mut attempt, mut narrowing) = (0, None);
    let mut listing = loop {
        let read = match &mut narrowing {
            None => once(forgejo, package).await.map(Listing::from),
            Some(narrowing) => Narrowing::once(narrowing).await,
        };
        match read {
            Ok(listing) => break listing,
            Err(Stop::Damaged(error)) if narrowing.is_none() => {
                narrowing = Some(Narrowing::new(forgejo, package, error));
            }
            Err(Stop::Damaged(error) | Stop::Failed(error)) => return Err(error),
            Err(Stop::Moved(_)) if attempt + 1 < ATTEMPTS => {
                forgejo.http().pause(attempt).await;
                attempt += 1;
            }
            Err(Stop::Moved(why)) => {
                let why = format!("the list changed while it was read, {ATTEMPTS} times: {why}");
                return Err(Error::Malformed { what: what(forgejo), why });
            }
        }
    };
    // `q` finds parts of names, and `_` in it any character.
    listing.rows.retain(|row| package.is_none_or(|package| row.package == package));
    listing.incomplete.retain(|one| package.is_none_or(|package| one.package == package));
    Ok(listing)
}

/// The list, for messages.
pub(super) fn what(forgejo: &Forgejo) -> String {
    format!("GET /api/v1/packages/{}", forgejo.owner())
}

/// A request for a page, which shows a part of the owner's versions, or of those in whose package's name a text is found.
pub(super) fn page(
    forgejo: &Forgejo,
    search: Option<&str>,
    limit: usize,
    number: usize,
) -> Result<Ask, Error> {
    let mut url = forgejo.rest_url(&[])?;
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("type", "container").append_pair("limit", &limit.to_string());
        query.append_pair("page", &number.to_string());
        if let Some(search) = search {
            query.append_pair("q", search);
        }
    }
    Ok(Ask::new(Method::GET, url, PAGE_MAX))
}

/// The versions of a page that was answered, and how many there are on all pages.
pub(super) fn read(answer: &Answer) -> Result<(usize, Vec<Item>), Error> {
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
    pub(super) fn row(&mut self, item: Item, what: &str) -> Result<Option<Listed>, Error> {
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

/// Reads the list once.
async fn once(forgejo: &Forgejo, package: Option<&str>) -> Result<Vec<Listed>, Stop> {
    let (mut rows, mut shown) = (Vec::new(), Shown::default());
    let mut total = None;
    for number in 1.. {
        let answer = forgejo.ask(page(forgejo, package, PAGE, number)?).await?;
        if answer.status == StatusCode::INTERNAL_SERVER_ERROR {
            return Err(Stop::Damaged(rest(&answer)));
        }
        let (told, items) = read(&answer)?;
        if *total.get_or_insert(told) != told {
            return Err(Stop::Moved(format!("{} versions became {told}", total.unwrap_or(told))));
        }
        let is_empty = items.is_empty();
        for item in items {
            let row = shown.row(item, &answer.what)?;
            rows.push(row.ok_or_else(|| Stop::Moved("a version was listed twice".into()))?);
        }
        if rows.len() == told {
            break;
        }
        if is_empty || rows.len() > told {
            return Err(Stop::Moved(format!("{told} versions were told of, and {} listed", rows.len())));
        }
    }
    Ok(rows)
}
