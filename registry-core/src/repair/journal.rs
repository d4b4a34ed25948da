//! The journal (schema `registry-fsck/journal/1`, JSON Lines): every change, written and made safe before it is made, so that
//! it can be taken back. Each line carries a hash over itself and all lines before it: whoever edits one is found out.

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

/// The name of this shape.
pub const SCHEMA: &str = "registry-fsck/journal/1";

/// Most bytes of a line that is read: the largest file that is written over, as base64, with room to spare.
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

/// Where lines go.
pub trait Log {
    /// The file that they go to, which must not lie in the tree; `None` when they go to no file.
    fn path(&self) -> Option<&Path>;

    /// Appends bytes; they are safe on disk when this returns.
    ///
    /// # Errors
    /// When they are not; then nothing more is changed.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A journal in a file of its own.
#[derive(Debug)]
pub struct FileLog {
    file: File,
    path: PathBuf,
}

impl FileLog {
    /// Makes the file; one that is there is never written over.
    ///
    /// # Errors
    /// When it cannot be made.
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

impl Log for FileLog {
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

/// Writes entries.
#[derive(Debug)]
pub struct RepairJournal<L> {
    log: L,
    chain: Digest,
    /// Lines that wait to be made safe with the next change.
    waiting: Vec<u8>,
    number: u64,
}

/// The hash before the first line.
fn seed() -> Digest {
    Digest::of(Algorithm::Sha256, SCHEMA.as_bytes())
}

fn link(chain: &Digest, text: &str) -> Digest {
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

/// A path as a journal tells it.
fn text(path: &Path) -> io::Result<String> {
    let text = path.to_str().ok_or_else(|| io::Error::other("the path of the registry is no text (UTF-8)"));
    text.map(str::to_owned)
}

impl<L: Log> RepairJournal<L> {
    /// Begins a journal.
    ///
    /// # Errors
    /// When its first line cannot be made safe.
    pub fn begin(log: L, tree: &Path, aside: &Path, at: Timestamp) -> io::Result<Self> {
        let mut journal = Self { log, chain: seed(), waiting: Vec::new(), number: 0 };
        let begin = RepairEntry::Begin { schema: SCHEMA.into(), tree: text(tree)?, aside: text(aside)?, at };
        journal.push(&begin)?;
        journal.flush()?;
        Ok(journal)
    }

    /// Begins the journal of what a writer is about to do. Refused before anything is made: where a process is in the way by
    /// now, where something is to be moved and there is no place for it, where the journal would lie in the tree.
    pub(crate) fn of_writer(
        writer: &mut TreeWriter,
        moves: MovesAside,
        log: impl FnOnce() -> io::Result<L>,
    ) -> Result<Self, WriteRefusal> {
        writer.look_again()?;
        let aside = match (writer.quarantine(), moves) {
            (Ok(place), _) => &place.base,
            (Err(error), MovesAside::Some) => return Err(error.clone().into()),
            // Its place does not matter.
            (Err(_), MovesAside::None) => writer.tree(),
        };
        text(writer.tree()).and_then(|_| text(aside)).map_err(WriteRefusal::Journal)?;
        let log = log().map_err(WriteRefusal::Journal)?;
        if let Some(path) = log.path() {
            check_journal(writer.tree(), path)?;
        }
        Self::begin(log, writer.tree(), aside, writer.now()).map_err(WriteRefusal::Journal)
    }

    fn push(&mut self, entry: &RepairEntry) -> io::Result<()> {
        let text = serde_json::value::to_raw_value(entry)?;
        self.chain = link(&self.chain, text.get());
        serde_json::to_writer(&mut self.waiting, &JournalLine { entry: &text, chain: self.chain.hex() })?;
        self.waiting.push(b'\n');
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.log.append(&waiting)
    }

    /// Writes changes that are about to be made, in one go; gives them their numbers.
    ///
    /// # Errors
    /// When they cannot be made safe; then they must not be made.
    pub fn announce<'c>(&mut self, changes: impl IntoIterator<Item = &'c Change>) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for change in changes {
            self.number += 1;
            numbers.push(self.number);
            self.push(&RepairEntry::Change { number: self.number, change: change.clone() })?;
        }
        self.flush()?;
        Ok(numbers)
    }

    /// Notes what became of a change. It is made safe with the next change, or at the end.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which does not happen.
    pub fn note(&mut self, number: u64, outcome: &StepOutcome) -> io::Result<()> {
        self.push(&RepairEntry::Done { number, outcome: outcome.clone() })
    }

    /// Makes safe what was noted last.
    ///
    /// # Errors
    /// When the disk refuses. All changes are in the journal even so.
    pub fn end(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() { Ok(()) } else { self.flush() }
    }
}

/// What a journal tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairHistory {
    /// The registry's `docker/registry/v2`.
    pub tree: String,
    /// The folder that the quarantine lies in.
    pub aside: String,
    /// When it began.
    pub at: Timestamp,
    /// Changes that may have been made, in their order.
    pub changes: Vec<Change>,
    /// Whether the last line is cut off: its writer was stopped in the middle, and what it announces was not done.
    pub is_torn: bool,
}

/// A text that is no journal, or not one that can be relied on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairJournalError {
    /// A line that is no entry.
    #[error("line {0} is no entry of a journal ({1})")]
    Line(usize, String),
    /// A line that was changed, or follows one that is gone.
    #[error(
        "line {0} is not what was written there, or a line before it is gone: an edited journal is not undone"
    )]
    Edited(usize),
    /// It does not begin as a journal does.
    #[error("it does not begin as a journal of schema {SCHEMA:?}")]
    Begin,
}

impl RepairHistory {
    /// Reads a journal. A torn last line is passed over: what it was about to tell was not done.
    ///
    /// # Errors
    /// When it is none, or was edited.
    pub fn read(text: &str) -> Result<Self, RepairJournalError> {
        let (mut told, mut chain, mut is_torn): (Option<Self>, Digest, bool) = (None, seed(), false);
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let number = at + 1;
            if line.len() > LINE_MAX {
                return Err(RepairJournalError::Line(number, "it is too long".into()));
            }
            let line: JournalLine<'_> = match serde_json::from_str(line) {
                Ok(line) => line,
                // Whole only with its end: what is cut off right before that was not made safe either.
                Err(_) if number == lines.len() && !text.ends_with('\n') => {
                    is_torn = true;
                    break;
                }
                Err(error) if told.is_some() => {
                    return Err(RepairJournalError::Line(number, error.to_string()));
                }
                Err(_) => return Err(RepairJournalError::Begin),
            };
            chain = link(&chain, line.entry.get());
            let entry: RepairEntry = match serde_json::from_str(line.entry.get()) {
                Ok(entry) => entry,
                Err(error) if told.is_some() => {
                    return Err(RepairJournalError::Line(number, error.to_string()));
                }
                Err(_) => return Err(RepairJournalError::Begin),
            };
            match (entry, &mut told) {
                (RepairEntry::Begin { schema, tree, aside, at }, None) if schema == SCHEMA => {
                    told = Some(Self { tree, aside, at, changes: Vec::new(), is_torn: false });
                }
                (_, None) => return Err(RepairJournalError::Begin),
                (RepairEntry::Begin { .. }, Some(_)) => {
                    return Err(RepairJournalError::Line(number, "a second beginning".into()));
                }
                (RepairEntry::Change { change, .. }, Some(told)) => told.changes.push(change),
                (RepairEntry::Done { .. }, Some(_)) => {}
            }
            if chain.hex() != line.chain {
                return Err(RepairJournalError::Edited(number));
            }
        }
        let mut told = told.ok_or(RepairJournalError::Begin)?;
        told.is_torn = is_torn;
        Ok(told)
    }
}
