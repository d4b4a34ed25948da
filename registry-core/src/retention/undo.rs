//! Puts back the rows that a journal says were deleted, as far as the server still has the blobs that they need.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::journal::{DeletionEntry, DeletionHistory, RowOutcome};
use super::record::RecordedManifest;
use super::server::{NoAnswer, Writer};
use crate::Stop;
use crate::graph::walk;
use crate::oci::Digest;

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
    /// It was never deleted: the row is the one that was to be deleted.
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
    /// The rows that an undo of this journal will try to put back, oldest first.
    pub fn rows_to_undo(history: &DeletionHistory) -> Vec<Self> {
        let mut rows: BTreeMap<(&str, &str), (Self, usize)> = BTreeMap::new();
        for (at, entry) in history.entries.iter().enumerate() {
            match entry {
                DeletionEntry::Begin { .. } | DeletionEntry::Manifest { .. } => {}
                // A row without an outcome may be deleted. If it was not, putting it back changes nothing.
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
        // Rows that are equal otherwise come in the reverse order of their deletion: indexes were deleted before their children.
        order.sort_by(|(a, at), (b, bt)| {
            (a.created_at, &a.package, a.id, Reverse(at)).cmp(&(b.created_at, &b.package, b.id, Reverse(bt)))
        });
        order.into_iter().map(|(row, _)| row).collect()
    }
}

/// Manifests by package and digest, with their place in the journal.
type Contents<'t> = BTreeMap<(&'t str, Digest), (usize, &'t RecordedManifest)>;

/// Puts back every deleted row, oldest first. When the undo is asked to stop ([`Writer::stop`]), the row under way is the last.
pub async fn undo(writer: &impl Writer, history: &DeletionHistory) -> Vec<UndoneRow> {
    let mut contents = Contents::new();
    for (at, entry) in history.entries.iter().enumerate() {
        if let DeletionEntry::Manifest { package, digest, content } = entry {
            contents.insert((package, *digest), (at, content));
        }
    }
    let (mut rows, mut present) = (UndoneRow::rows_to_undo(history), HashSet::new());
    for row in &mut rows {
        if writer.stop().is_some_and(Stop::is_stopped) {
            row.state = RowUndoState::NotTried;
            continue;
        }
        put_back(writer, &contents, &mut present, row).await;
    }
    rows
}

/// Puts back one row, and sets its state. `present` are manifests that were seen to answer with all that they name, so that the
/// server is asked for them only once.
async fn put_back(
    writer: &impl Writer,
    contents: &Contents<'_>,
    present: &mut HashSet<(String, Digest)>,
    row: &mut UndoneRow,
) {
    let (package, version, digest) = (row.package.clone(), row.version.clone(), row.digest);
    row.state = match read_state(writer, row).await {
        Ok(Some(state)) => state,
        Err(unanswered) => RowUndoState::Lost(unanswered.to_string()),
        Ok(None) => match put_children(writer, contents, present, &package, digest).await {
            Err(unanswered) => RowUndoState::Lost(unanswered.to_string()),
            Ok(reached) => {
                let answer = put_manifest(writer, contents, &package, &version, digest).await;
                if answer.is_ok() {
                    present.extend(reached.into_iter().map(|manifest| (package.clone(), manifest)));
                }
                state_after_put(writer, row, answer).await
            }
        },
    };
}

/// The state of a row whose name the server lists; `None` when the server does not list the name.
async fn read_state(writer: &impl Writer, row: &mut UndoneRow) -> Result<Option<RowUndoState>, NoAnswer> {
    let Some(now) = writer.row(&row.package, &row.version).await? else { return Ok(None) };
    row.now = now.id;
    Ok(Some(match writer.manifest_digest(&row.package, &row.version).await? {
        Some(digest) if digest == row.digest && row.id.is_some() && row.id == now.id => RowUndoState::There,
        Some(digest) if digest == row.digest => RowUndoState::Back,
        _ => RowUndoState::Taken,
    }))
}

/// The state of a row after it was put. If the put was answered, the row gets its new number; otherwise the row is read to find
/// out whether the put succeeded.
async fn state_after_put(
    writer: &impl Writer,
    row: &mut UndoneRow,
    answer: Result<(), NoAnswer>,
) -> RowUndoState {
    let Err(unanswered) = answer else {
        // A source without numbers has no new number either.
        if row.id.is_some()
            && let Ok(now) = writer.row(&row.package, &row.version).await
        {
            row.now = now.and_then(|now| now.id);
        }
        return RowUndoState::Restored;
    };
    match read_state(writer, row).await {
        Ok(Some(RowUndoState::Back | RowUndoState::There)) => RowUndoState::Restored,
        Ok(_) => RowUndoState::Lost(unanswered.to_string()),
        Err(again) => RowUndoState::Unknown(format!("{unanswered}; then {again}")),
    }
}

/// Puts the manifests below a manifest that the package lacks, children first. Returns everything that the manifest reaches.
async fn put_children(
    writer: &impl Writer,
    contents: &Contents<'_>,
    present: &HashSet<(String, Digest)>,
    package: &str,
    digest: Digest,
) -> Result<BTreeSet<Digest>, NoAnswer> {
    let may_be_missing = |manifest: &Digest| !present.contains(&(package.to_owned(), *manifest));
    let children = |manifest| {
        let content = contents.get(&(package, manifest)).into_iter();
        content.flat_map(|(_, content)| content.children()).filter(may_be_missing)
    };
    let root = Some(digest).filter(may_be_missing);
    let (mut reached, mut missing) = (BTreeSet::new(), Vec::new());
    for manifest in walk::reach(&mut reached, root, children) {
        let Some((at, RecordedManifest::Present { .. })) = contents.get(&(package, manifest)) else {
            continue;
        };
        if manifest != digest && writer.manifest_digest(package, &manifest.to_string()).await?.is_none() {
            missing.push((at, manifest));
        }
    }
    // A journal has children before the indexes that name them.
    missing.sort_unstable();
    for (_, child) in missing {
        put_manifest(writer, contents, package, &child.to_string(), child).await?;
    }
    Ok(reached)
}

/// Puts a manifest of the journal under a tag or its digest.
async fn put_manifest(
    writer: &impl Writer,
    contents: &Contents<'_>,
    package: &str,
    reference: &str,
    digest: Digest,
) -> Result<(), NoAnswer> {
    let content = contents.get(&(package, digest));
    let Some((_, RecordedManifest::Present { media_type, data, .. })) = content else {
        return Err(NoAnswer::new(format!("the journal does not hold {digest}")));
    };
    writer.put(package, reference, media_type, data).await
}
