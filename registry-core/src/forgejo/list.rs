//! The list of versions, page by page. Its pages shift when something is pushed or deleted meanwhile
//! (`models/packages/package_version.go @ v15.0.3`: LIMIT and OFFSET anew for each request), so a list counts only when
//! every page told the same total and exactly that many versions were seen. A list with a version that the server cannot
//! describe is read in [`super::narrow`].

use reqwest::StatusCode;

use super::client::Forgejo;
use super::narrow::Narrowing;
use super::page::{Interrupted, PAGE, Shown, list_name, page, read};
use super::rest::rest;
use crate::registry::Error;
use crate::retention::server::{ListedRow, Listing};

/// How often a list that keeps changing is read.
const ATTEMPTS: u32 = 5;

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
            Err(Interrupted::Damaged(error)) if narrowing.is_none() => {
                narrowing = Some(Narrowing::new(forgejo, package, error));
            }
            Err(Interrupted::Damaged(error) | Interrupted::Failed(error)) => return Err(error),
            Err(Interrupted::Moved(_)) if attempt + 1 < ATTEMPTS => {
                forgejo.http().pause(attempt).await;
                attempt += 1;
            }
            Err(Interrupted::Moved(why)) => {
                let why = format!("the list changed while it was read, {ATTEMPTS} times: {why}");
                return Err(Error::Malformed { what: list_name(forgejo), why });
            }
        }
    };
    // `q` finds parts of names, and `_` in it any character.
    listing.rows.retain(|row| package.is_none_or(|package| row.package == package));
    listing.incomplete.retain(|one| package.is_none_or(|package| one.package == package));
    Ok(listing)
}

/// Reads the list once.
async fn once(forgejo: &Forgejo, package: Option<&str>) -> Result<Vec<ListedRow>, Interrupted> {
    let (mut rows, mut shown) = (Vec::new(), Shown::default());
    let mut total = None;
    for number in 1.. {
        let answer = forgejo.ask(page(forgejo, package, PAGE, number)?).await?;
        if answer.status == StatusCode::INTERNAL_SERVER_ERROR {
            return Err(Interrupted::Damaged(rest(&answer)));
        }
        let (told, items) = read(&answer)?;
        if *total.get_or_insert(told) != told {
            return Err(Interrupted::Moved(format!("{} versions became {told}", total.unwrap_or(told))));
        }
        let is_empty = items.is_empty();
        for item in items {
            let row = shown.row(item, &answer.what)?;
            rows.push(row.ok_or_else(|| Interrupted::Moved("a version was listed twice".into()))?);
        }
        if rows.len() == told {
            break;
        }
        if is_empty || rows.len() > told {
            return Err(Interrupted::Moved(format!(
                "{told} versions were told of, and {} listed",
                rows.len()
            )));
        }
    }
    Ok(rows)
}
