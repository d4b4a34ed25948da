//! The original push times of rows that an undo put back (schema `registry-retention/push-times/1`). A server takes the time of
//! the undo as the push time of such a row, which would change its rank and that of every other image.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::package::Restored;
use super::record::{Record, RecordedVersion};
use super::undo::{RowUndoState, UndoneRow};
use crate::oci::Digest;

/// The schema of a file of push times.
pub const SCHEMA: &str = "registry-retention/push-times/1";

/// The longest time that an undo is assumed to take. An undo that was ended in the middle did not write down the numbers of its
/// rows; a row that is younger than the beginning of that undo by at most this time may be one that it put back.
const LONGEST_UNDO: SignedDuration = SignedDuration::from_hours(24);
/// How far the clocks of the server and of the undo may differ.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

/// Push times that the server does not know any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PushTimes {
    /// [`SCHEMA`].
    pub schema: String,
    /// One for each row.
    pub times: Vec<PushTime>,
}

/// When one row was pushed at first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PushTime {
    /// The user or organisation that owns the package; of any when it is left out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<String>,
    /// The package.
    pub package: String,
    /// The tag, or the digest.
    pub version: String,
    /// The digest that it named. A row with another digest was pushed since.
    pub digest: Digest,
    /// When it was pushed at first. Left out where the source tells no push times.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub created_at: Option<Timestamp>,
    /// The server's number for the row at first, which tells rows of one second apart.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_id: Option<u64>,
    /// The server's number for the row that was put back; a row of another number was pushed since. Left out where there
    /// are no numbers, and while an undo is under way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<u64>,
    /// When the undo began that put it back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub restored_at: Option<Timestamp>,
}

/// Why a text holds no push times.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushTimesError {
    /// It does not have the fields of the schema.
    #[error("it holds no push times")]
    Shape(#[from] serde_json::Error),
    /// It is another kind of file, or one of another version.
    #[error("its schema is {0:?}, and {SCHEMA:?} is needed")]
    Schema(String),
}

impl Default for PushTimes {
    /// No push times.
    fn default() -> Self {
        Self { schema: SCHEMA.into(), times: Vec::new() }
    }
}

/// What tells rows of all packages apart: owner, package, version.
type RowKey = (Option<String>, String, String);

impl PushTimes {
    /// Reads push times.
    ///
    /// # Errors
    /// When the text holds no push times.
    pub fn read(text: &str) -> Result<Self, PushTimesError> {
        let times: Self = serde_json::from_str(text)?;
        if times.schema != SCHEMA {
            return Err(PushTimesError::Schema(crate::text::escape(&times.schema)));
        }
        Ok(times)
    }

    /// These times, with those of the rows that an undo puts back or may have put back. The undo is one of an owner's packages,
    /// and began `at`.
    ///
    /// Before the undo changes anything, this must be called with all rows that it will try ([`UndoneRow::rows_to_undo`]) and the
    /// result be written down, so that the times are known even if the undo is ended at once.
    #[must_use]
    pub fn with_undone_rows(&self, owner: Option<&str>, undone: &[UndoneRow], at: Timestamp) -> Self {
        let owner = owner.map(str::to_lowercase);
        let key = |owner: Option<String>, package: &str, version: &str| -> RowKey {
            (owner, package.to_owned(), version.to_owned())
        };
        let mut all: BTreeMap<RowKey, PushTime> = BTreeMap::new();
        for time in &self.times {
            let owner = time.owner.as_deref().map(str::to_lowercase);
            all.insert(key(owner, &time.package, &time.version), time.clone());
        }
        for row in undone {
            let with_owner = key(owner.clone(), &row.package, &row.version);
            let without_owner = key(None, &row.package, &row.version);
            let known = all.get(&with_owner).or_else(|| all.get(&without_owner));
            let Some(time) = new_push_time(known, owner.as_deref(), row, at) else { continue };
            all.remove(&without_owner);
            all.insert(with_owner, time);
        }
        Self { schema: SCHEMA.into(), times: all.into_values().collect() }
    }

    /// Gives the rows of a record their original times, and marks them as restored.
    pub fn restore_push_times(&self, record: &mut Record) {
        let owner = record.source.owner.as_deref();
        let mut by_name: HashMap<(&str, &str), Vec<&PushTime>> = HashMap::new();
        for time in self.times.iter().filter(|time| time.is_of_owner(owner)) {
            by_name.entry((&time.package, &time.version)).or_default().push(time);
        }
        for package in &mut record.packages {
            for row in &mut package.versions {
                let times = by_name.get(&(package.name.as_str(), row.version.as_str()));
                let Some(time) = times.into_iter().flatten().find(|time| time.is_of_row(row)) else {
                    continue;
                };
                let Some(at) = time.restored_at.or(row.created_at) else { continue };
                package.restored.insert(row.version.clone(), Restored { at, first_id: time.first_id });
                row.created_at = match (row.created_at, time.created_at) {
                    // A time later than the server's is not believed.
                    (Some(now), Some(first)) => Some(now.min(first)),
                    // The original time is unknown, and the server's time is that of the undo.
                    _ => None,
                };
            }
        }
    }
}

impl PushTime {
    /// Whether this may be the time of a row of an owner's package.
    fn is_of_owner(&self, owner: Option<&str>) -> bool {
        match (&self.owner, owner) {
            (Some(own), Some(other)) => own.eq_ignore_ascii_case(other),
            (own, _) => own.is_none(),
        }
    }

    /// Whether a row is the one that was put back, and not one that was pushed since.
    fn is_of_row(&self, row: &RecordedVersion) -> bool {
        if row.digest != Some(self.digest) {
            return false;
        }
        if self.id.is_some() {
            return row.id == self.id;
        }
        match (row.created_at, self.restored_at) {
            (Some(now), Some(began)) => {
                let after = now.duration_since(began);
                -CLOCKS_DIFFER <= after && after <= LONGEST_UNDO
            }
            // Files of earlier versions hold no numbers.
            (Some(now), None) => self.created_at.is_some_and(|first| now > first),
            (None, _) => true,
        }
    }
}

/// The push time to write down for a row; `None` when the known one stays as it is.
fn new_push_time(
    known: Option<&PushTime>,
    owner: Option<&str>,
    row: &UndoneRow,
    at: Timestamp,
) -> Option<PushTime> {
    // If an earlier undo had put the row back, its original time is in `known`. The journal may have the time of that undo
    // instead: a run without the file of push times saw only that.
    let earlier = known.filter(|known| known.id.is_some() && known.id == row.id);
    let (created_at, first_id) =
        earlier.map_or((row.created_at, row.id), |earlier| (earlier.created_at, earlier.first_id));
    let time = |id: Option<u64>| PushTime {
        owner: owner.map(str::to_owned),
        package: row.package.clone(),
        version: row.version.clone(),
        digest: row.digest,
        created_at,
        first_id,
        id,
        restored_at: Some(at),
    };
    match &row.state {
        RowUndoState::Restored => Some(time(row.now)),
        RowUndoState::Unknown(_) => {
            // An entry with a number says more than the new one would: the row is back already.
            let is_back = known.is_some_and(|known| {
                earlier.is_none()
                    && known.id.is_some()
                    && (known.digest, known.created_at, known.first_id) == (row.digest, created_at, first_id)
            });
            (!is_back).then(|| time(None))
        }
        RowUndoState::Back => {
            // An undo that was ended in the middle may have put it back; then the entry lacks the number of the row.
            let pending = known.filter(|known| {
                known.id.is_none() && known.restored_at.is_some() && known.digest == row.digest
            })?;
            Some(PushTime { id: row.now, ..pending.clone() })
        }
        RowUndoState::There | RowUndoState::Taken | RowUndoState::Lost(_) | RowUndoState::NotTried => None,
    }
}
