//! The journal (schema `registry-fsck/journal/1`, JSON Lines): every change, written and synced before it is made, so that it can
//! be undone. Each line carries a hash over itself and all lines before it, so that an edit is noticed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::change::Change;
use super::step::StepOutcome;
use crate::oci::{Algorithm, Digest, Hasher};
use crate::retention::{DeletionEntry, DeletionJournal};
use crate::storage::folder_of;
use crate::tree_writer::{TreeWriter, WriteRefusal, check_journal};

/// The schema of the journal.
pub const SCHEMA: &str = "registry-fsck/journal/1";

/// Most bytes of a line that is read: enough for the largest file that is written over, as base64.
const LINE_MAX: usize = 1 << 20;

/// What a line tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "entry")]
pub enum RepairEntry {
    /// The first line: what this is, and of what.
    Begin {
        /// [`SCHEMA`].
        schema: String,
        /// The registry's `docker/registry/v2`, without symbolic links.
        tree: String,
        /// The folder that the quarantine lies in.
        aside: String,
        /// When it began.
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
        at: Timestamp,
    },
    /// A change is about to be made.
    Change {
        /// Counted from 1.
        number: u64,
        /// What.
        #[serde(flatten)]
        change: Change,
    },
    /// What became of a change; for people, an undo looks at the disk.
    Done {
        /// Which.
        number: u64,
        /// What.
        #[serde(flatten)]
        outcome: StepOutcome,
    },
}

/// One line of the file: an entry, and what proves that it stands where it was written.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JournalLine<'l> {
    /// The entry, byte for byte as it goes into the hash.
    #[serde(borrow)]
    #[cfg_attr(feature = "schema", schemars(with = "RepairEntry"))]
    entry: &'l RawValue,
    /// The sha256 of the hash before it and the bytes of the entry, in hex; before the first line, of the schema's name.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[0-9a-f]{64}$")))]
    chain: String,
}

/// Where the journal is written.
pub trait JournalOutput {
    /// The file that it is written to, which must not lie in the tree; `None` when it is no file.
    fn path(&self) -> Option<&Path>;

    /// Appends bytes and syncs them.
    ///
    /// # Errors
    /// When they may not be safe on disk; then nothing more is changed.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A journal in a file of its own.
#[derive(Debug)]
pub struct FileLog {
    file: File,
    path: PathBuf,
}

impl FileLog {
    /// Makes the file. An existing file is never written over.
    ///
    /// # Errors
    /// When the file exists or cannot be made.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        File::open(folder_of(path))?.sync_all()?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl JournalOutput for FileLog {
    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }
}

/// One line of JSON an entry.
impl DeletionJournal for FileLog {
    fn write(&mut self, entry: &DeletionEntry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.append(&line)
    }
}

/// Writes the journal of a run.
#[derive(Debug)]
pub struct RepairJournal<L> {
    log: L,
    chain: Digest,
    /// Lines that are appended with the next change.
    buffered: Vec<u8>,
    number: u64,
}

/// The hash before the first line.
fn initial_chain() -> Digest {
    Digest::hash(Algorithm::Sha256, SCHEMA.as_bytes())
}

/// The hash after an entry whose JSON is `text`.
fn extend_chain(chain: &Digest, text: &str) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(chain.as_bytes());
    hasher.update(text.as_bytes());
    hasher.finish()
}

/// Whether a run moves anything aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MovesAside {
    None,
    Some,
}

/// A path as the journal writes it.
fn path_text(path: &Path) -> io::Result<String> {
    let text = path.to_str().ok_or_else(|| io::Error::other("the path of the registry is no text (UTF-8)"));
    text.map(str::to_owned)
}

impl<L: JournalOutput> RepairJournal<L> {
    /// Begins a journal.
    ///
    /// # Errors
    /// When its first line cannot be written and synced.
    pub fn begin(log: L, tree: &Path, aside: &Path, at: Timestamp) -> io::Result<Self> {
        let mut journal = Self { log, chain: initial_chain(), buffered: Vec::new(), number: 0 };
        let begin = RepairEntry::Begin {
            schema: SCHEMA.into(),
            tree: path_text(tree)?,
            aside: path_text(aside)?,
            at,
        };
        journal.buffer(&begin)?;
        journal.flush()?;
        Ok(journal)
    }

    /// Begins the journal of a writer's run. This is refused, before any file is made, when a process is in the way by now, when
    /// entries are to be moved and there is no quarantine, and when the journal would lie in the tree.
    pub(crate) fn begin_for_writer(
        writer: &mut TreeWriter,
        moves: MovesAside,
        log: impl FnOnce() -> io::Result<L>,
    ) -> Result<Self, WriteRefusal> {
        writer.recheck_processes()?;
        let aside = match (writer.quarantine(), moves) {
            (Ok(place), _) => &place.base,
            (Err(error), MovesAside::Some) => return Err(error.clone().into()),
            // Nothing is moved, so the place of the quarantine does not matter.
            (Err(_), MovesAside::None) => writer.tree(),
        };
        path_text(writer.tree()).and_then(|_| path_text(aside)).map_err(WriteRefusal::Journal)?;
        let log = log().map_err(WriteRefusal::Journal)?;
        if let Some(path) = log.path() {
            check_journal(writer.tree(), path)?;
        }
        Self::begin(log, writer.tree(), aside, writer.now()).map_err(WriteRefusal::Journal)
    }

    fn buffer(&mut self, entry: &RepairEntry) -> io::Result<()> {
        let text = serde_json::value::to_raw_value(entry)?;
        self.chain = extend_chain(&self.chain, text.get());
        serde_json::to_writer(&mut self.buffered, &JournalLine { entry: &text, chain: self.chain.hex() })?;
        self.buffered.push(b'\n');
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let lines = std::mem::take(&mut self.buffered);
        self.log.append(&lines)
    }

    /// Writes and syncs changes that are about to be made. Returns their numbers.
    ///
    /// # Errors
    /// When the lines may not be safe on disk; then the changes must not be made.
    pub fn announce<'c>(&mut self, changes: impl IntoIterator<Item = &'c Change>) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for change in changes {
            self.number += 1;
            numbers.push(self.number);
            self.buffer(&RepairEntry::Change { number: self.number, change: change.clone() })?;
        }
        self.flush()?;
        Ok(numbers)
    }

    /// Notes the outcome of a change. It is written and synced with the next change, or at the end.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which does not happen.
    pub fn note_outcome(&mut self, number: u64, outcome: &StepOutcome) -> io::Result<()> {
        self.buffer(&RepairEntry::Done { number, outcome: outcome.clone() })
    }

    /// Writes and syncs the last outcomes.
    ///
    /// # Errors
    /// When the disk refuses. The journal has all changes even so.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.buffered.is_empty() { Ok(()) } else { self.flush() }
    }
}

/// The content of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairHistory {
    /// The registry's `docker/registry/v2`.
    pub tree: String,
    /// The folder that the quarantine lies in.
    pub aside: String,
    /// When the run began.
    pub at: Timestamp,
    /// Changes that may have been made, in their order.
    pub changes: Vec<Change>,
    /// Whether the last line is cut off. The run was stopped while writing it, and the change in it was not made.
    pub is_torn: bool,
}

/// Why a text is no journal, or cannot be relied on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairJournalError {
    /// A line is no entry.
    #[error("line {0} is no entry of a journal ({1})")]
    Line(usize, String),
    /// A line was edited, or a line before it is gone.
    #[error(
        "line {0} is not what was written there, or a line before it is gone: an edited journal is not undone"
    )]
    Edited(usize),
    /// The first line is not that of a journal.
    #[error("it does not begin as a journal of schema {SCHEMA:?}")]
    Begin,
}

impl RepairHistory {
    /// Reads a journal. A last line that is cut off is skipped: the change in it was not made.
    ///
    /// # Errors
    /// When the text is no journal, or was edited.
    pub fn read(text: &str) -> Result<Self, RepairJournalError> {
        let (mut history, mut chain, mut is_torn): (Option<Self>, Digest, bool) =
            (None, initial_chain(), false);
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let number = at + 1;
            let no_entry = |has_begun: bool, error: serde_json::Error| {
                if has_begun {
                    RepairJournalError::Line(number, error.to_string())
                } else {
                    RepairJournalError::Begin
                }
            };
            if line.len() > LINE_MAX {
                return Err(RepairJournalError::Line(number, "it is too long".into()));
            }
            let line: JournalLine<'_> = match serde_json::from_str(line) {
                Ok(line) => line,
                // A line without its newline was not synced, so its change was not made.
                Err(_) if number == lines.len() && !text.ends_with('\n') => {
                    is_torn = true;
                    break;
                }
                Err(error) => return Err(no_entry(history.is_some(), error)),
            };
            chain = extend_chain(&chain, line.entry.get());
            let entry: RepairEntry =
                serde_json::from_str(line.entry.get()).map_err(|error| no_entry(history.is_some(), error))?;
            match (entry, &mut history) {
                (RepairEntry::Begin { schema, tree, aside, at }, None) if schema == SCHEMA => {
                    history = Some(Self { tree, aside, at, changes: Vec::new(), is_torn: false });
                }
                (_, None) => return Err(RepairJournalError::Begin),
                (RepairEntry::Begin { .. }, Some(_)) => {
                    return Err(RepairJournalError::Line(number, "a second beginning".into()));
                }
                (RepairEntry::Change { change, .. }, Some(history)) => history.changes.push(change),
                (RepairEntry::Done { .. }, Some(_)) => {}
            }
            if chain.hex() != line.chain {
                return Err(RepairJournalError::Edited(number));
            }
        }
        let mut history = history.ok_or(RepairJournalError::Begin)?;
        history.is_torn = is_torn;
        Ok(history)
    }
}
