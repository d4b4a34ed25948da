//! A list of versions read around those that the server cannot describe.
//!
//! Forgejo describes each version of a page with its files and their blobs, and where the row of one blob is lost the whole
//! page answers 500 (`models/packages/descriptor.go @ v15.0.3`). Pages are narrowed down until every version is either shown
//! or alone on a page that answers 500; whose these are is found out by searches ([`super::attribution`]). All of that
//! counts only when a second pass shows the same.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use reqwest::StatusCode;

use super::attribution::{Search, VersionSlot, contains, owners};
use super::client::Forgejo;
use super::page::{Interrupted, MOST, PAGE, Shown, list_name, page, read};
use super::rest::rest;
use crate::registry::{Error, HttpRequest, HttpResponse};
use crate::retention::server::{Incomplete, ListedRow, Listing};

/// Most requests beyond those that show a full page.
const MOST_REQUESTS: u64 = 4_000;

/// A list under way.
pub(super) struct Narrowing<'a> {
    forgejo: &'a Forgejo,
    search: Option<&'a str>,
    /// What the first page that could not be read answered.
    failure: Error,
    /// Versions on a full page; a server may show fewer than were asked for.
    size: usize,
    /// Requests left.
    left: u64,
}

impl<'a> Narrowing<'a> {
    pub(super) const fn new(forgejo: &'a Forgejo, search: Option<&'a str>, failure: Error) -> Self {
        Self { forgejo, search, failure, size: PAGE, left: MOST_REQUESTS }
    }

    /// Reads the list, and whose versions it does not show.
    pub(super) async fn once(&mut self) -> Result<Listing, Interrupted> {
        let slots = self.pass(self.search).await?;
        let found = self.attribute(&slots).await?;
        if self.pass(self.search).await? != slots {
            return Err(Interrupted::Moved("a second pass shows something else".into()));
        }
        let unread = slots.iter().filter(|slot| slot.is_none()).count();
        let unowned = unread - found.owned;
        if unowned > 0 {
            let why = format!(
                "{unread} of {} versions cannot be listed, each answers 500 alone, and {unowned} of them could not be \
                 attributed to a package: nothing is decided about this owner. Forgejo does that where its database has lost \
                 the row of a blob; DELETE /api/v1/packages/{}/container/PACKAGE/VERSION of that version heals it",
                slots.len(),
                self.forgejo.owner()
            );
            return Err(Error::Malformed { what: list_name(self.forgejo), why }.into());
        }
        let rows: Vec<ListedRow> = slots.into_iter().flatten().collect();
        let mut incomplete = Vec::new();
        for (package, unread) in found.packages {
            let tags = self.unlisted_tags(&package, &rows).await;
            incomplete.push(Incomplete { why: self.why(&package, unread, &tags), package });
        }
        Ok(Listing { rows, incomplete })
    }

    /// One slot for each version of a list, in its order; empty where the version could not be shown.
    async fn pass(&mut self, search: Option<&str>) -> Result<Vec<VersionSlot>, Interrupted> {
        'sizes: loop {
            let total = self.count(search).await?;
            let (mut slots, mut shown, mut ahead) = (Vec::new(), Shown::default(), Vec::new());
            while slots.len() < total {
                let (from, limit) = ahead.pop().unwrap_or((slots.len(), self.size));
                if from >= total {
                    continue;
                }
                let answer = self.ask(search, limit, from / limit + 1).await?;
                if answer.status == StatusCode::INTERNAL_SERVER_ERROR {
                    self.spend(1)?;
                    let part = limit / smallest_factor(limit);
                    if limit == 1 {
                        slots.push(None);
                    } else {
                        ahead.extend((0..limit / part).rev().map(|number| (from + number * part, part)));
                    }
                    continue;
                }
                if limit < self.size {
                    self.spend(1)?;
                }
                let (told, items) = read(&answer)?;
                if told != total {
                    return Err(Interrupted::Moved(format!("{total} versions became {told}")));
                }
                let expected = limit.min(total - from);
                if (1..expected).contains(&items.len()) {
                    // The server shows fewer on a page than were asked for, so the offsets were not those of its pages.
                    self.spend(1)?;
                    self.size = items.len();
                    continue 'sizes;
                }
                if items.len() != expected {
                    return Err(Interrupted::Moved(format!(
                        "{expected} versions were due, and {} shown",
                        items.len()
                    )));
                }
                for item in items {
                    let row = shown.row(item, &answer.what)?;
                    slots.push(Some(
                        row.ok_or_else(|| Interrupted::Moved("a version was listed twice".into()))?,
                    ));
                }
            }
            return Ok(slots);
        }
    }

    /// How many versions a list has: a page far behind its end shows none, and tells.
    async fn count(&mut self, search: Option<&str>) -> Result<usize, Interrupted> {
        self.spend(1)?;
        count(self.forgejo, search).await?.ok_or_else(|| Interrupted::Damaged(self.failure.clone()))
    }

    fn spend(&mut self, requests: u64) -> Result<(), Error> {
        let left = self.left.checked_sub(requests);
        self.left = left.ok_or_else(|| Error::Malformed {
            what: list_name(self.forgejo),
            why: format!(
                "pages answer 500, and {MOST_REQUESTS} more requests did not find out for which versions"
            ),
        })?;
        Ok(())
    }

    async fn ask(&self, search: Option<&str>, limit: usize, number: usize) -> Result<HttpResponse, Error> {
        ask(self.forgejo, page(self.forgejo, search, limit, number)?).await
    }

    /// Whose versions a pass did not show.
    async fn attribute(&mut self, slots: &[VersionSlot]) -> Result<SearchResult, Interrupted> {
        let mut known: BTreeSet<String> = slots.iter().flatten().map(|row| row.package.clone()).collect();
        // A package of which nothing is shown may stand in the catalog, where there is one.
        let prefix = self.forgejo.repository("");
        let catalog = self.forgejo.client().catalog().await.unwrap_or_default();
        let catalog = catalog.iter().filter_map(|name| name.strip_prefix(&prefix));
        let is_asked = |name: &&str| self.search.is_none_or(|search| contains(name, search));
        known.extend(catalog.filter(is_asked).map(str::to_owned));
        self.spend(known.len() as u64)?;
        let forgejo = self.forgejo;
        let counts = futures::stream::iter(known.iter().cloned()).map(|name| async move {
            let count = count(forgejo, Some(&name)).await;
            (name, count)
        });
        let counts: Vec<_> = counts.buffered(forgejo.http().in_flight().max(1)).collect().await;
        let mut searches = Vec::new();
        for (name, counted) in counts {
            let counted = counted?.ok_or_else(|| Interrupted::Damaged(self.failure.clone()))?;
            let shown = slots.iter().flatten().filter(|row| contains(&row.package, &name)).count();
            if counted < shown {
                return Err(Interrupted::Moved(format!("{shown} versions became {counted}")));
            }
            if counted > shown {
                let slots = self.pass(Some(&name)).await?;
                searches.push(Search { name, slots });
            }
        }
        let owners = owners(slots, &searches, &known)
            .ok_or_else(|| Interrupted::Moved("a search shows something else than the list".into()))?;
        let mut packages: BTreeMap<String, usize> = BTreeMap::new();
        let owned = owners.iter().filter(|candidates| !candidates.is_empty()).count();
        for name in owners.into_iter().flatten() {
            *packages.entry(name.to_owned()).or_default() += 1;
        }
        Ok(SearchResult { owned, packages })
    }

    /// Tags of a package that its list did not show. Empty when these are not known either.
    async fn unlisted_tags(&self, package: &str, rows: &[ListedRow]) -> Vec<String> {
        let listed: BTreeSet<&str> =
            rows.iter().filter(|row| row.package == package).map(|row| row.version.as_str()).collect();
        let tags = self.forgejo.client().tags(&self.forgejo.repository(package)).await;
        let tags = tags.ok().flatten().unwrap_or_default();
        tags.into_iter().filter(|tag| !listed.contains(tag.as_str())).collect()
    }

    /// What a person should know about a package that could not be listed whole, and do.
    fn why(&self, package: &str, unread: usize, tags: &[String]) -> String {
        let path = format!(
            "/api/v1/packages/{}/container/{}",
            self.forgejo.owner(),
            crate::registry::quote(&package.replace('/', "%2F"))
        );
        let count =
            if unread == 1 { "a version of it".to_owned() } else { format!("{unread} versions of it") };
        let tags: Vec<String> = tags.iter().map(|tag| crate::registry::quote(tag)).collect();
        let cure = match &tags[..] {
            [] => format!(
                "it is no tag: GET {path}/DIGEST answers 500 for the digest that must be deleted (DELETE {path}/DIGEST)"
            ),
            [tag] => format!("delete it to heal the list: DELETE {path}/{tag}"),
            [first, ..] => format!("delete them to heal the list: DELETE {path}/{first}, and so on"),
        };
        let named = if tags.is_empty() { String::new() } else { format!(" ({})", tags.join(", ")) };
        format!(
            "the server cannot list {count}{named}: it answers 500, as where its database has lost the row of a blob; {cure}"
        )
    }
}

/// What searches found out.
struct SearchResult {
    /// How many versions that are not shown belong to packages that are known.
    owned: usize,
    /// Packages that may have versions which are not shown, and how many.
    packages: BTreeMap<String, usize>,
}

/// Asks for a page; status 500 is an answer here, and not asked for again.
async fn ask(forgejo: &Forgejo, mut ask: HttpRequest) -> Result<HttpResponse, Error> {
    let again = ask.clone();
    ask.repeat = false;
    match forgejo.ask(ask).await {
        Ok(answer) if matches!(answer.status.as_u16(), 200 | 500) => Ok(answer),
        _ => forgejo.ask(again).await,
    }
}

/// How many versions a list has; `None` where even a page without versions answers 500.
async fn count(forgejo: &Forgejo, search: Option<&str>) -> Result<Option<usize>, Error> {
    let answer = forgejo.ask(page(forgejo, search, 1, MOST + 1)?).await?;
    if answer.status == StatusCode::INTERNAL_SERVER_ERROR {
        return Ok(None);
    }
    let (total, items) = read(&answer)?;
    if items.is_empty() { Ok(Some(total)) } else { Err(rest(&answer)) }
}

/// The smallest number above 1 that divides one, or the number itself.
fn smallest_factor(number: usize) -> usize {
    (2..number).find(|factor| number.is_multiple_of(*factor)).unwrap_or(number.max(1))
}
