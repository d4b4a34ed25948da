//! Reads the list of versions page by page. Pages shift when something is pushed or deleted meanwhile
//! (`models/packages/package_version.go @ v15.0.3`: LIMIT and OFFSET for each request). So a list counts only if every page
//! gives the same total and exactly that many versions were seen. [`super::narrow`] reads a list with versions that the
//! server cannot show.

use reqwest::StatusCode;

use super::client::Forgejo;
use super::narrow::Narrowing;
use super::page::{PAGE_SIZE, PassError, SeenVersions, list_name, page_request, read_page};
use super::rest::rest_error;
use crate::registry::Error;
use crate::retention::server::{ListedRow, Listing};

/// How often a list that keeps changing is read.
const ATTEMPTS: u32 = 5;

/// Lists all container versions of the owner, or of one package.
pub(super) async fn list_versions(forgejo: &Forgejo, package: Option<&str>) -> Result<Listing, Error> {
    let (mut attempt, mut narrowing) = (0, None::<Narrowing<'_>>);
    let mut listing = loop {
        let read = match &mut narrowing {
            None => read_list(forgejo, package).await.map(Listing::from),
            Some(narrowing) => narrowing.read_list().await,
        };
        match read {
            Ok(listing) => break listing,
            Err(PassError::Damaged(error)) if narrowing.is_none() => {
                narrowing = Some(Narrowing::new(forgejo, package, error));
            }
            Err(PassError::Damaged(error) | PassError::Failed(error)) => return Err(error),
            Err(PassError::Changed(_)) if attempt + 1 < ATTEMPTS => {
                forgejo.http().pause(attempt).await;
                attempt += 1;
            }
            Err(PassError::Changed(why)) => {
                let why = format!("the list changed while it was read, {ATTEMPTS} times: {why}");
                return Err(Error::Malformed { what: list_name(forgejo), why });
            }
        }
    };
    // The search (`q`) also finds longer names, and takes `_` for any character.
    listing.rows.retain(|row| package.is_none_or(|package| row.package == package));
    listing.incomplete.retain(|one| package.is_none_or(|package| one.package == package));
    Ok(listing)
}

/// Reads the list once.
async fn read_list(forgejo: &Forgejo, package: Option<&str>) -> Result<Vec<ListedRow>, PassError> {
    let (mut rows, mut seen) = (Vec::new(), SeenVersions::default());
    let mut total = None;
    for number in 1.. {
        let answer = forgejo.send(page_request(forgejo, package, PAGE_SIZE, number)?).await?;
        if answer.status == StatusCode::INTERNAL_SERVER_ERROR {
            return Err(PassError::Damaged(rest_error(&answer)));
        }
        let (new_total, items) = read_page(&answer)?;
        let total = *total.get_or_insert(new_total);
        if total != new_total {
            return Err(PassError::Changed(format!("{total} versions became {new_total}")));
        }
        let is_empty = items.is_empty();
        for item in items {
            let row = seen.add(item, &answer.what)?;
            rows.push(row.ok_or_else(|| PassError::Changed("a version was listed twice".into()))?);
        }
        if rows.len() == total {
            break;
        }
        if is_empty || rows.len() > total {
            return Err(PassError::Changed(format!(
                "{total} versions were told of, and {} listed",
                rows.len()
            )));
        }
    }
    Ok(rows)
}
