//! Reads a list that has versions which the server cannot show.
//!
//! Forgejo describes each version of a page with its files and their blobs. If the row of one blob is lost, the whole page
//! answers 500 (`models/packages/descriptor.go @ v15.0.3`). Pages are narrowed down until every version is either shown or
//! alone on a page that answers 500. Searches find the packages of those ([`super::attribution`]). The result counts only if
//! a second pass shows the same.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use reqwest::StatusCode;

use super::attribution::{Search, VersionSlot, possible_owners, search_finds};
use super::client::Forgejo;
use super::page::{MAX_VERSIONS, PAGE_SIZE, PassError, SeenVersions, list_name, page_request, read_page};
use super::rest::rest_error;
use crate::registry::{Error, HttpRequest, HttpResponse};
use crate::retention::server::{IncompletePackage, ListedRow, Listing};

/// How many requests may be sent besides those that show a full page.
const MAX_REQUESTS: u64 = 4_000;

/// The reading of one list.
pub(super) struct Narrowing<'a> {
    forgejo: &'a Forgejo,
    search: Option<&'a str>,
    /// The error of the first page that could not be read.
    failure: Error,
    /// Number of versions on a full page; a server may show fewer than were asked for.
    size: usize,
    /// How many of [`MAX_REQUESTS`] are left.
    requests_left: u64,
}

impl<'a> Narrowing<'a> {
    pub(super) const fn new(forgejo: &'a Forgejo, search: Option<&'a str>, failure: Error) -> Self {
        Self { forgejo, search, failure, size: PAGE_SIZE, requests_left: MAX_REQUESTS }
    }

    /// Reads the list, and finds the packages of the versions that it does not show.
    pub(super) async fn read_list(&mut self) -> Result<Listing, PassError> {
        let slots = self.read_slots(self.search).await?;
        let found = self.attribute_missing(&slots).await?;
        if self.read_slots(self.search).await? != slots {
            return Err(PassError::Changed("a second pass shows something else".into()));
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
            incomplete
                .push(IncompletePackage { why: self.describe_incomplete(&package, unread, &tags), package });
        }
        Ok(Listing { rows, incomplete })
    }

    /// Reads one slot for each version of a list, in its order; `None` for a version that could not be shown.
    async fn read_slots(&mut self, search: Option<&str>) -> Result<Vec<VersionSlot>, PassError> {
        'sizes: loop {
            let total = self.count_versions(search).await?;
            let (mut slots, mut seen, mut pending) = (Vec::new(), SeenVersions::default(), Vec::new());
            while slots.len() < total {
                let (from, limit) = pending.pop().unwrap_or((slots.len(), self.size));
                if from >= total {
                    continue;
                }
                let request = page_request(self.forgejo, search, limit, from / limit + 1)?;
                let answer = send_page_request(self.forgejo, request).await?;
                if answer.status == StatusCode::INTERNAL_SERVER_ERROR {
                    self.spend_requests(1)?;
                    let part = limit / smallest_factor(limit);
                    if limit == 1 {
                        slots.push(None);
                    } else {
                        pending.extend((0..limit / part).rev().map(|number| (from + number * part, part)));
                    }
                    continue;
                }
                if limit < self.size {
                    self.spend_requests(1)?;
                }
                let (new_total, items) = read_page(&answer)?;
                if new_total != total {
                    return Err(PassError::Changed(format!("{total} versions became {new_total}")));
                }
                let expected = limit.min(total - from);
                if (1..expected).contains(&items.len()) {
                    // The server's pages are smaller than was asked for, so the offsets were wrong: start again.
                    self.spend_requests(1)?;
                    self.size = items.len();
                    continue 'sizes;
                }
                if items.len() != expected {
                    return Err(PassError::Changed(format!(
                        "{expected} versions were due, and {} shown",
                        items.len()
                    )));
                }
                for item in items {
                    let row = seen.add(item, &answer.what)?;
                    slots.push(Some(
                        row.ok_or_else(|| PassError::Changed("a version was listed twice".into()))?,
                    ));
                }
            }
            return Ok(slots);
        }
    }

    /// The number of versions of a list. It is read from a page far behind the end, which shows none.
    async fn count_versions(&mut self, search: Option<&str>) -> Result<usize, PassError> {
        self.spend_requests(1)?;
        count_versions(self.forgejo, search).await?.ok_or_else(|| PassError::Damaged(self.failure.clone()))
    }

    /// Counts requests against [`MAX_REQUESTS`].
    fn spend_requests(&mut self, requests: u64) -> Result<(), Error> {
        let left = self.requests_left.checked_sub(requests);
        self.requests_left = left.ok_or_else(|| Error::Malformed {
            what: list_name(self.forgejo),
            why: format!(
                "pages answer 500, and {MAX_REQUESTS} more requests did not find out for which versions"
            ),
        })?;
        Ok(())
    }

    /// Finds the packages of the versions that a pass did not show.
    async fn attribute_missing(&mut self, slots: &[VersionSlot]) -> Result<SearchResult, PassError> {
        let mut known: BTreeSet<String> = slots.iter().flatten().map(|row| row.package.clone()).collect();
        // A package without any shown version may stand in the catalog, if there is one.
        let prefix = self.forgejo.repository("");
        let catalog = self.forgejo.oci_client().catalog().await.unwrap_or_default();
        let catalog = catalog.iter().filter_map(|name| name.strip_prefix(&prefix));
        let is_searched = |name: &&str| self.search.is_none_or(|search| search_finds(name, search));
        known.extend(catalog.filter(is_searched).map(str::to_owned));
        self.spend_requests(known.len() as u64)?;
        let forgejo = self.forgejo;
        let counts = futures::stream::iter(known.iter().cloned()).map(|name| async move {
            let count = count_versions(forgejo, Some(&name)).await;
            (name, count)
        });
        let counts: Vec<_> = counts.buffered(forgejo.http().in_flight().max(1)).collect().await;
        let mut searches = Vec::new();
        for (name, counted) in counts {
            let counted = counted?.ok_or_else(|| PassError::Damaged(self.failure.clone()))?;
            let shown = slots.iter().flatten().filter(|row| search_finds(&row.package, &name)).count();
            if counted < shown {
                return Err(PassError::Changed(format!("{shown} versions became {counted}")));
            }
            if counted > shown {
                let slots = self.read_slots(Some(&name)).await?;
                searches.push(Search { name, slots });
            }
        }
        let owners = possible_owners(slots, &searches, &known)
            .ok_or_else(|| PassError::Changed("a search shows something else than the list".into()))?;
        let mut packages: BTreeMap<String, usize> = BTreeMap::new();
        let owned = owners.iter().filter(|candidates| !candidates.is_empty()).count();
        for name in owners.into_iter().flatten() {
            *packages.entry(name.to_owned()).or_default() += 1;
        }
        Ok(SearchResult { owned, packages })
    }

    /// Tags of a package that the list did not show. Empty if the tags cannot be read either.
    async fn unlisted_tags(&self, package: &str, rows: &[ListedRow]) -> Vec<String> {
        let listed: BTreeSet<&str> =
            rows.iter().filter(|row| row.package == package).map(|row| row.version.as_str()).collect();
        let tags = self.forgejo.oci_client().tags(&self.forgejo.repository(package)).await;
        let tags = tags.ok().flatten().unwrap_or_default();
        tags.into_iter().filter(|tag| !listed.contains(tag.as_str())).collect()
    }

    /// Tells the user why a package could not be listed completely, and how to repair that.
    fn describe_incomplete(&self, package: &str, unread: usize, tags: &[String]) -> String {
        let path = format!(
            "/api/v1/packages/{}/container/{}",
            self.forgejo.owner(),
            crate::registry::quote(&package.replace('/', "%2F"))
        );
        let count =
            if unread == 1 { "a version of it".to_owned() } else { format!("{unread} versions of it") };
        let tags: Vec<String> = tags.iter().map(|tag| crate::registry::quote(tag)).collect();
        let remedy = match &tags[..] {
            [] => format!(
                "it is no tag: GET {path}/DIGEST answers 500 for the digest that must be deleted (DELETE {path}/DIGEST)"
            ),
            [tag] => format!("delete it to heal the list: DELETE {path}/{tag}"),
            [first, ..] => format!("delete them to heal the list: DELETE {path}/{first}, and so on"),
        };
        let named = if tags.is_empty() { String::new() } else { format!(" ({})", tags.join(", ")) };
        format!(
            "the server cannot list {count}{named}: it answers 500, as where its database has lost the row of a blob; {remedy}"
        )
    }
}

/// The packages of missing versions.
struct SearchResult {
    /// How many missing versions belong to known packages.
    owned: usize,
    /// How many missing versions each package may have.
    packages: BTreeMap<String, usize>,
}

/// Sends the request for a page. Status 500 counts as an answer, and is not repeated.
async fn send_page_request(forgejo: &Forgejo, mut request: HttpRequest) -> Result<HttpResponse, Error> {
    let repeated = request.clone();
    request.may_repeat = false;
    match forgejo.send(request).await {
        Ok(answer) if matches!(answer.status.as_u16(), 200 | 500) => Ok(answer),
        _ => forgejo.send(repeated).await,
    }
}

/// The number of versions of a list; `None` if even a page without versions answers 500.
async fn count_versions(forgejo: &Forgejo, search: Option<&str>) -> Result<Option<usize>, Error> {
    let answer = forgejo.send(page_request(forgejo, search, 1, MAX_VERSIONS + 1)?).await?;
    if answer.status == StatusCode::INTERNAL_SERVER_ERROR {
        return Ok(None);
    }
    let (total, items) = read_page(&answer)?;
    if items.is_empty() { Ok(Some(total)) } else { Err(rest_error(&answer)) }
}

/// The smallest factor above 1 of a number; 1 for 0 and 1.
fn smallest_factor(number: usize) -> usize {
    (2..number).find(|factor| number.is_multiple_of(*factor)).unwrap_or(number.max(1))
}
