//! The list of versions, page by page. Its pages shift when something is pushed or deleted meanwhile
//! (`models/packages/package_version.go @ v15.0.3`: LIMIT and OFFSET anew for each request), so a list counts only when
//! every page told the same total and exactly that many versions were seen.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::source::{Forgejo, rest};
use crate::registry::{Ask, Error};
use crate::retention::server::Listed;

/// Versions asked for at once: the most that a server answers by default (`modules/setting/api.go`).
const PAGE: usize = 50;
/// Most bytes of a page. 50 versions are 64 KB.
const PAGE_MAX: usize = 8 << 20;
/// How often a list that keeps changing is read.
const ATTEMPTS: u32 = 5;
/// Most versions of an owner.
const MOST: u64 = 10_000_000;

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

/// Lists every container version of the owner, or of one package.
pub(super) async fn list(forgejo: &Forgejo, package: Option<&str>) -> Result<Vec<Listed>, Error> {
    let mut why = String::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            forgejo.http().pause(attempt - 1).await;
        }
        match once(forgejo, package).await? {
            Ok(rows) => return Ok(rows),
            Err(moved) => why = moved,
        }
    }
    let what = format!("GET /api/v1/packages/{}", forgejo.owner());
    Err(Error::Malformed {
        what,
        why: format!("the list changed while it was read, {ATTEMPTS} times: {why}"),
    })
}

/// Reads the list once; the inner error says how it moved.
async fn once(forgejo: &Forgejo, package: Option<&str>) -> Result<Result<Vec<Listed>, String>, Error> {
    let mut found: BTreeMap<u64, Listed> = BTreeMap::new();
    let (mut total, mut seen) = (None, 0_u64);
    let mut names: BTreeSet<(String, String)> = BTreeSet::new();
    let mut spelled: BTreeMap<String, String> = BTreeMap::new();
    for page in 1.. {
        let mut url = forgejo.rest_url(&[])?;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("type", "container").append_pair("limit", &PAGE.to_string());
            query.append_pair("page", &page.to_string());
            if let Some(package) = package {
                query.append_pair("q", package);
            }
        }
        let answer = forgejo.ask(Ask::new(Method::GET, url, PAGE_MAX)).await?;
        if answer.status != StatusCode::OK {
            return Err(rest(&answer));
        }
        let items: Vec<Item> = answer.json()?;
        let bad = |why: &str| Error::Malformed { what: answer.what.clone(), why: why.into() };
        let told = answer.header("x-total-count").and_then(|text| text.parse::<u64>().ok());
        let told = told.ok_or_else(|| bad("it does not tell how many versions there are (X-Total-Count)"))?;
        if told > MOST {
            return Err(bad("it tells of more versions than can be"));
        }
        if *total.get_or_insert(told) != told {
            return Ok(Err(format!("{} versions became {told}", total.unwrap_or(told))));
        }
        let count = items.len() as u64;
        let mut new = 0_u64;
        for item in items {
            if item.kind != "container" {
                return Err(bad("it lists what is no container, though only these were asked for"));
            }
            let (id, row) = (item.id, item.listed());
            let package = spelled.entry(row.package.to_lowercase()).or_insert_with(|| row.package.clone());
            if *package != row.package {
                let (one, other) = (crate::registry::quote(package), crate::registry::quote(&row.package));
                return Err(bad(&format!(
                    "packages {one:?} and {other:?} differ only in case, and this API takes both for the same; nothing \
                     can be deleted safely"
                )));
            }
            // A tag that is pushed again meanwhile keeps the total, has another number, and may push a third row off both
            // pages.
            let is_new = names.insert((row.package.to_lowercase(), row.version.to_lowercase()));
            new += u64::from(found.insert(id, row).is_none() && is_new);
        }
        if new < count {
            return Ok(Err("a version was listed twice".into()));
        }
        seen += new;
        if seen == told {
            break;
        }
        if count == 0 || seen > told {
            return Ok(Err(format!("{told} versions were told of, and {seen} listed")));
        }
    }
    // `q` finds parts of names, and `_` in it any character.
    let rows = found.into_values().filter(|row| package.is_none_or(|package| row.package == package));
    Ok(Ok(rows.collect()))
}
