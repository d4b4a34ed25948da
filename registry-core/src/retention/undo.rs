//! Putting back what a journal says was deleted, as far as the server still has what it needs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::journal::{Entry, Outcome, Told};
use super::record::RecordedManifest;
use super::server::{Unanswered, Writer};
use crate::oci::manifest::Role;
use crate::oci::{Digest, Manifest};

/// What an undo did to one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Undone {
    /// The package.
    pub package: String,
    /// The tag, or the digest.
    pub version: String,
    /// What it names.
    pub digest: Digest,
    /// When it was pushed at first; the server counts what is put back as pushed now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub created_at: Option<Timestamp>,
    /// Whether it is back.
    pub state: UndoState,
}

/// Whether something is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

/// Manifests by package and digest, with their place in the journal.
type Contents<'t> = BTreeMap<(&'t str, Digest), (usize, &'t RecordedManifest)>;

/// A row that went: what it named, when it was pushed, its number, its place in the journal.
type Gone = (Digest, Option<Timestamp>, Option<u64>, usize);

/// Puts back every row that went, oldest first.
pub async fn undo(writer: &impl Writer, told: &Told) -> Vec<Undone> {
    let mut contents = Contents::new();
    let mut rows: BTreeMap<(&str, &str), Gone> = BTreeMap::new();
    for (at, entry) in told.entries.iter().enumerate() {
        match entry {
            Entry::Begin { .. } => {}
            Entry::Manifest { package, digest, content } => {
                contents.insert((package, *digest), (at, content));
            }
            // Without an outcome nobody knows; putting back what never went changes nothing.
            Entry::Deleting { package, version, digest, id, created_at } => {
                rows.insert((package, version), (*digest, *created_at, *id, at));
            }
            Entry::Done { package, version, outcome } => {
                if !matches!(outcome, Outcome::Deleted | Outcome::Failed) {
                    rows.remove(&(package.as_str(), version.as_str()));
                }
            }
        }
    }
    let mut order: Vec<_> = rows.into_iter().collect();
    // Where nothing tells them apart, what went last comes first: indexes went before what they name.
    order.sort_by_key(|((package, _), (_, created_at, id, at))| (*created_at, *package, *id, Reverse(*at)));
    let (mut done, mut there) = (Vec::with_capacity(order.len()), HashSet::new());
    for ((package, version), (digest, created_at, ..)) in order {
        let state = match put_back(writer, &contents, &mut there, package, version, digest).await {
            Ok(state) => state,
            Err(unanswered) => UndoState::Lost(unanswered.why),
        };
        let (package, version) = (package.to_owned(), version.to_owned());
        done.push(Undone { package, version, digest, created_at, state });
    }
    done
}

/// Puts back one row; `there` are children that answer with all that they name, so that they are asked for once.
async fn put_back<'t>(
    writer: &impl Writer,
    contents: &Contents<'t>,
    there: &mut HashSet<(&'t str, Digest)>,
    package: &'t str,
    version: &str,
    digest: Digest,
) -> Result<UndoState, Unanswered> {
    if writer.row(package, version).await?.is_some() {
        return Ok(match writer.head(package, version).await? {
            Some(now) if now == digest => UndoState::There,
            _ => UndoState::Taken,
        });
    }
    let (mut stack, mut seen, mut missing) = (vec![digest], BTreeSet::new(), Vec::new());
    while let Some(one) = stack.pop() {
        if there.contains(&(package, one)) || !seen.insert(one) {
            continue;
        }
        let Some((at, content)) = contents.get(&(package, one)) else { continue };
        let Some(bytes) = content.bytes() else { continue };
        if one != digest && writer.head(package, &one.to_string()).await?.is_none() {
            missing.push((at, one));
        }
        let references = Manifest::parse(bytes).references.into_iter();
        let children = references.filter(|reference| reference.role == Role::Child);
        stack.extend(children.filter_map(|reference| reference.descriptor.digest));
    }
    // A journal tells children before the indexes that name them.
    missing.sort_unstable();
    for (_, child) in missing {
        put(writer, contents, package, &child.to_string(), child).await?;
    }
    put(writer, contents, package, version, digest).await?;
    there.extend(seen.into_iter().map(|one| (package, one)));
    Ok(UndoState::Restored)
}

async fn put(
    writer: &impl Writer,
    contents: &Contents<'_>,
    package: &str,
    reference: &str,
    digest: Digest,
) -> Result<(), Unanswered> {
    let content = contents.get(&(package, digest));
    let Some((_, RecordedManifest::Present { media_type, data, .. })) = content else {
        return Err(Unanswered::new(format!("the journal does not hold {digest}")));
    };
    writer.put(package, reference, media_type, data).await
}
