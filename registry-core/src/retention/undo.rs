//! Putting back what a journal says was deleted, as far as the server still has what it needs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::journal::{Entry, Outcome, Told};
use super::record::RecordedManifest;
use super::server::{Unanswered, Writer};
use crate::oci::manifest::Role;
use crate::oci::{Digest, Manifest};

/// What an undo did to one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The package.
    pub package: String,
    /// The tag, or the digest.
    pub version: String,
    /// What it names.
    pub digest: Digest,
    /// When it was pushed at first; the server counts what is put back as pushed now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_at: Option<Timestamp>,
    /// Whether it is back.
    pub state: UndoState,
}

/// Whether something is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UndoState {
    /// It was put back now.
    Restored,
    /// It is there, and names what it named.
    There,
    /// Something else has its name now, and is left alone.
    Taken,
    /// It cannot be put back, and why.
    Lost(String),
}

/// Puts back every row that went, oldest first.
pub async fn undo(writer: &impl Writer, told: &Told) -> Vec<Undone> {
    let mut contents: BTreeMap<(&str, Digest), &RecordedManifest> = BTreeMap::new();
    let mut rows: BTreeMap<(&str, &str), (Digest, Option<Timestamp>)> = BTreeMap::new();
    for entry in &told.entries {
        match entry {
            Entry::Begin { .. } => {}
            Entry::Manifest { package, digest, content } => {
                contents.insert((package, *digest), content);
            }
            // Without an outcome nobody knows; putting back what never went changes nothing.
            Entry::Deleting { package, version, digest, created_at } => {
                rows.insert((package, version), (*digest, *created_at));
            }
            Entry::Done { package, version, outcome } => {
                if !matches!(outcome, Outcome::Deleted | Outcome::Failed) {
                    rows.remove(&(package.as_str(), version.as_str()));
                }
            }
        }
    }
    let mut order: Vec<_> = rows.into_iter().collect();
    order.sort_by_key(|((package, version), (_, at))| (*at, *package, *version));
    let mut done = Vec::with_capacity(order.len());
    for ((package, version), (digest, created_at)) in order {
        let state = match put_back(writer, &contents, package, version, digest).await {
            Ok(state) => state,
            Err(unanswered) => UndoState::Lost(unanswered.why),
        };
        let (package, version) = (package.to_owned(), version.to_owned());
        done.push(Undone { package, version, digest, created_at, state });
    }
    done
}

async fn put_back(
    writer: &impl Writer,
    contents: &BTreeMap<(&str, Digest), &RecordedManifest>,
    package: &str,
    version: &str,
    digest: Digest,
) -> Result<UndoState, Unanswered> {
    if writer.row(package, version).await?.is_some() {
        return Ok(match writer.head(package, version).await? {
            Some(now) if now == digest => UndoState::There,
            _ => UndoState::Taken,
        });
    }
    // Children before the indexes that name them.
    let (mut stack, mut seen, mut missing) = (vec![digest], BTreeSet::new(), Vec::new());
    while let Some(one) = stack.pop() {
        if !seen.insert(one) {
            continue;
        }
        let Some(bytes) = contents.get(&(package, one)).and_then(|content| content.bytes()) else { continue };
        if one != digest && writer.head(package, &one.to_string()).await?.is_none() {
            missing.push(one);
        }
        let references = Manifest::parse(bytes).references.into_iter();
        let children = references.filter(|reference| reference.role == Role::Child);
        stack.extend(children.filter_map(|reference| reference.descriptor.digest));
    }
    for child in missing.into_iter().rev() {
        put(writer, contents, package, &child.to_string(), child).await?;
    }
    put(writer, contents, package, version, digest).await?;
    Ok(UndoState::Restored)
}

async fn put(
    writer: &impl Writer,
    contents: &BTreeMap<(&str, Digest), &RecordedManifest>,
    package: &str,
    reference: &str,
    digest: Digest,
) -> Result<(), Unanswered> {
    let content = contents.get(&(package, digest));
    let Some(RecordedManifest::Present { media_type, data, .. }) = content else {
        return Err(Unanswered::new(format!("the journal does not hold {digest}")));
    };
    writer.put(package, reference, media_type, data).await
}
