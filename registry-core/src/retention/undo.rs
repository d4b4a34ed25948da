//! Putting back what a journal says was deleted, as far as the server still has what it needs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::journal::{DeletionEntry, DeletionHistory, RowOutcome};
use super::record::RecordedManifest;
use super::server::{Unanswered, Writer};
use crate::Stop;
use crate::graph::walk;
use crate::oci::manifest::ReferenceRole;
use crate::oci::{Digest, Manifest};

/// What an undo did to one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UndoneRow {
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
    /// The server's number for the row that went.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<u64>,
    /// The server's number for the row that has its name now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub now: Option<u64>,
    /// Whether it is back.
    pub state: RowUndoState,
}

/// Whether something is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RowUndoState {
    /// It was put back now.
    Restored,
    /// It was never gone: the row is the one that was to go.
    There,
    /// Another row names what it named: an earlier undo put it back, or somebody pushed it again.
    Back,
    /// Something else has its name now, and is left alone.
    Taken,
    /// It cannot be put back, and why.
    Lost(String),
    /// It was put, and whether the server took it is not known, and why.
    Unknown(String),
    /// The undo was asked to stop before it.
    NotTried,
}

impl UndoneRow {
    /// The rows that an undo of this journal tries to put back, oldest first, before anything of them is known.
    pub fn expected(told: &DeletionHistory) -> Vec<Self> {
        let mut rows: BTreeMap<(&str, &str), (Self, usize)> = BTreeMap::new();
        for (at, entry) in told.entries.iter().enumerate() {
            match entry {
                DeletionEntry::Begin { .. } | DeletionEntry::Manifest { .. } => {}
                // Without an outcome nobody knows; putting back what never went changes nothing.
                DeletionEntry::Deleting { package, version, digest, id, created_at } => {
                    let row = Self {
                        package: package.clone(),
                        version: version.clone(),
                        digest: *digest,
                        created_at: *created_at,
                        id: *id,
                        now: None,
                        state: RowUndoState::Unknown("it was not tried yet".into()),
                    };
                    rows.insert((package, version), (row, at));
                }
                DeletionEntry::Done { package, version, outcome } => match outcome {
                    RowOutcome::Deleted | RowOutcome::Failed => {}
                    RowOutcome::AlreadyGone | RowOutcome::Spared | RowOutcome::Stopped => {
                        rows.remove(&(package.as_str(), version.as_str()));
                    }
                },
            }
        }
        let mut order: Vec<_> = rows.into_values().collect();
        // Where nothing tells them apart, what went last comes first: indexes went before what they name.
        order.sort_by(|(a, at), (b, bt)| {
            (a.created_at, &a.package, a.id, Reverse(at)).cmp(&(b.created_at, &b.package, b.id, Reverse(bt)))
        });
        order.into_iter().map(|(row, _)| row).collect()
    }
}

/// Manifests by package and digest, with their place in the journal.
type Contents<'t> = BTreeMap<(&'t str, Digest), (usize, &'t RecordedManifest)>;

/// Puts back every row that went, oldest first. Asked to stop ([`Writer::stop`]), it ends with the row under way.
pub async fn undo(writer: &impl Writer, told: &DeletionHistory) -> Vec<UndoneRow> {
    let mut contents = Contents::new();
    for (at, entry) in told.entries.iter().enumerate() {
        if let DeletionEntry::Manifest { package, digest, content } = entry {
            contents.insert((package, *digest), (at, content));
        }
    }
    let (mut rows, mut there) = (UndoneRow::expected(told), HashSet::new());
    for row in &mut rows {
        if writer.stop().is_some_and(Stop::is_stopped) {
            row.state = RowUndoState::NotTried;
            continue;
        }
        put_back(writer, &contents, &mut there, row).await;
    }
    rows
}

/// Puts back one row, and notes what became of it; `there` are children that answer with all that they name, so that they
/// are asked for once.
async fn put_back(
    writer: &impl Writer,
    contents: &Contents<'_>,
    there: &mut HashSet<(String, Digest)>,
    row: &mut UndoneRow,
) {
    let (package, version, digest) = (row.package.clone(), row.version.clone(), row.digest);
    row.state = match is_there(writer, row).await {
        Ok(Some(state)) => state,
        Err(unanswered) => RowUndoState::Lost(unanswered.to_string()),
        Ok(None) => match put_children(writer, contents, there, &package, digest).await {
            Err(unanswered) => RowUndoState::Lost(unanswered.to_string()),
            Ok(seen) => {
                let done = put(writer, contents, &package, &version, digest).await;
                if done.is_ok() {
                    there.extend(seen.into_iter().map(|one| (package.clone(), one)));
                }
                put_outcome(writer, row, done).await
            }
        },
    };
}

/// What has the name of a row, if anything has.
async fn is_there(writer: &impl Writer, row: &mut UndoneRow) -> Result<Option<RowUndoState>, Unanswered> {
    let Some(now) = writer.row(&row.package, &row.version).await? else { return Ok(None) };
    row.now = now.id;
    Ok(Some(match writer.head(&row.package, &row.version).await? {
        Some(digest) if digest == row.digest && row.id.is_some() && row.id == now.id => RowUndoState::There,
        Some(digest) if digest == row.digest => RowUndoState::Back,
        _ => RowUndoState::Taken,
    }))
}

/// What came of putting a row: the number that it has now, or whether an answer that did not come was a yes.
async fn put_outcome(
    writer: &impl Writer,
    row: &mut UndoneRow,
    done: Result<(), Unanswered>,
) -> RowUndoState {
    let Err(unanswered) = done else {
        // Sources without numbers have none now either.
        if row.id.is_some()
            && let Ok(now) = writer.row(&row.package, &row.version).await
        {
            row.now = now.and_then(|now| now.id);
        }
        return RowUndoState::Restored;
    };
    match is_there(writer, row).await {
        Ok(Some(RowUndoState::Back | RowUndoState::There)) => RowUndoState::Restored,
        Ok(_) => RowUndoState::Lost(unanswered.to_string()),
        Err(again) => RowUndoState::Unknown(format!("{unanswered}; then {again}")),
    }
}

/// Puts what a manifest names and the package has not, children first; gives all that it reaches.
async fn put_children(
    writer: &impl Writer,
    contents: &Contents<'_>,
    there: &HashSet<(String, Digest)>,
    package: &str,
    digest: Digest,
) -> Result<BTreeSet<Digest>, Unanswered> {
    let is_lacking = |one: &Digest| !there.contains(&(package.to_owned(), *one));
    let bytes = |one| contents.get(&(package, one)).and_then(|(_, content)| content.bytes());
    let children = |one| {
        let references = bytes(one).map(|bytes| Manifest::parse(bytes).references);
        let children =
            references.into_iter().flatten().filter(|reference| reference.role == ReferenceRole::Child);
        children.filter_map(|reference| reference.descriptor.digest).filter(is_lacking)
    };
    let root = Some(digest).filter(is_lacking);
    let (mut reached, mut missing) = (BTreeSet::new(), Vec::new());
    for one in walk::reach(&mut reached, root, children) {
        let Some((at, _)) = contents.get(&(package, one)).filter(|_| bytes(one).is_some()) else { continue };
        if one != digest && writer.head(package, &one.to_string()).await?.is_none() {
            missing.push((at, one));
        }
    }
    // A journal tells children before the indexes that name them.
    missing.sort_unstable();
    for (_, child) in missing {
        put(writer, contents, package, &child.to_string(), child).await?;
    }
    Ok(reached)
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
