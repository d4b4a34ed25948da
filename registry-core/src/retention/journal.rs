//! The journal of an apply (schema `registry-retention/journal/1`, JSON Lines): each deletion, written before it is made, and its
//! outcome. It holds all that an undo needs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::RecordedManifest;
use super::source::Source;
use crate::oci::Digest;

/// The schema of a journal.
pub const SCHEMA: &str = "registry-retention/journal/1";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DeletionEntry {
    /// The first line: the kind of file, and the plan that is acted on.
    Begin {
        /// [`SCHEMA`].
        schema: String,
        /// Where the rows are.
        source: Source,
        /// The plan that is acted on.
        plan_digest: String,
        /// When it began.
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
        at: Timestamp,
    },
    /// A manifest that something about to go reaches, once for each package, children before the indexes that name them.
    Manifest {
        /// The package.
        package: String,
        /// Its digest.
        digest: Digest,
        /// Its bytes.
        content: RecordedManifest,
    },
    /// A row is about to be deleted.
    Deleting {
        /// The package.
        package: String,
        /// The tag, or the digest.
        version: String,
        /// What it names.
        digest: Digest,
        /// The server's number for the row, which tells rows of one second apart.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<u64>,
        /// When it was pushed.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
        created_at: Option<Timestamp>,
    },
    /// What became of it.
    Done {
        /// The package.
        package: String,
        /// The tag, or the digest.
        version: String,
        /// The outcome.
        outcome: RowOutcome,
    },
}

/// What became of a row that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RowOutcome {
    /// It is gone: the server confirmed it.
    Deleted,
    /// It was gone before, and is no deletion of this run.
    #[serde(rename = "already-gone")]
    AlreadyGone,
    /// It changed or is needed after all, and stays.
    Spared,
    /// It could not be deleted, or nobody knows whether it was.
    Failed,
    /// The run stopped before it.
    Stopped,
}

/// Where entries are written. Nothing is deleted before its entry is on safe storage.
pub trait DeletionJournal {
    /// Writes one entry, and returns when it is on safe storage.
    ///
    /// # Errors
    /// When that fails; then nothing more is deleted.
    fn write(&mut self, entry: &DeletionEntry) -> std::io::Result<()>;
}

/// The entries of a journal that was read.
#[derive(Debug, Default)]
pub struct DeletionHistory {
    /// All complete entries.
    pub entries: Vec<DeletionEntry>,
    /// Whether the last line is cut off: its writer was stopped in the middle.
    pub is_torn: bool,
}

/// Why a text is no journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeletionJournalError {
    /// A line before the last is no entry.
    #[error("line {0} is no entry of a journal")]
    Line(usize, #[source] serde_json::Error),
    /// The first entry is not that of a journal of this schema.
    #[error("it does not begin as a journal of schema {SCHEMA:?}")]
    Begin,
}

impl DeletionHistory {
    /// Reads a journal. A torn last line is ignored: the deletion that it announces was not made.
    ///
    /// # Errors
    /// When the text is no journal.
    pub fn read(text: &str) -> Result<Self, DeletionJournalError> {
        let mut history = Self::default();
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            match serde_json::from_str(line) {
                Ok(entry) => history.entries.push(entry),
                Err(_) if number + 1 == lines.len() && !text.ends_with('\n') => history.is_torn = true,
                Err(error) => return Err(DeletionJournalError::Line(number + 1, error)),
            }
        }
        match history.entries.first() {
            Some(DeletionEntry::Begin { schema, .. }) if schema == SCHEMA => Ok(history),
            _ => Err(DeletionJournalError::Begin),
        }
    }
}
