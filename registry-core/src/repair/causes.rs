//! Why a step was not done: as data, and in words. JSON and the journal hold the words.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cause::text_conversions;
use crate::storage::EntryKind;

text_conversions!(WhySkipped, WhyRefused, WhyFailed, WhyStopped);

/// Why a step is not done: something changed since it was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
#[non_exhaustive]
pub enum WhySkipped {
    /// Something else is in its place.
    Occupied(EntryKind),
    /// A symbolic link is in its place.
    Symlink,
    /// It is gone.
    Gone,
    /// Its repository is gone.
    RepositoryGone,
    /// Its tag is gone.
    TagGone,
    /// The link that is to be moved is gone from its folder.
    LinkGone,
    /// The folder that retention removes has no link.
    NoLink,
    /// The link names another digest.
    LinkNamesOther,
    /// The link names no digest.
    LinkNamesNothing,
    /// The tag or link that retention removes names another digest.
    NamesOther,
    /// The tag whose history entry is to be moved names no digest itself.
    TagNamesNothing,
    /// The tag names this entry of its history again.
    NamedAgain,
    /// The entry of the tag's history resolves.
    Resolves,
    /// The history of the tag does not name the manifest.
    NotInHistory,
    /// The manifest that the history of the tag names does not resolve.
    HistoryUnresolved,
    /// The bytes of another entry of the tag's history are here.
    OtherEntry,
    /// The bytes that the link would name are wrong or gone.
    BytesWrong,
    /// The bytes that are to be moved are right.
    BytesRight,
    /// Other bytes are in the place of those that are to be fetched.
    OtherBytes,
    /// The link was written just now.
    LinkYoung,
    /// The entry was changed just now.
    Young,
    /// The tag was pushed.
    TagPushed,
    /// The tag or link that retention removes was pushed again.
    PushedAgain,
    /// A manifest was pushed into the repository.
    ManifestPushed,
    /// The manifest of the tag that is to be dropped has a revision link.
    RevisionLinked,
    /// The bytes at this path changed while they were hashed.
    ChangedInHashing(String),
    /// It changed while it was read.
    ChangedInReading,
    /// It changed while it was repaired.
    ChangedInRepair,
    /// It is too large to be judged.
    TooLarge,
    /// A cause read from a report or journal.
    Said(String),
}

impl fmt::Display for WhySkipped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Occupied(kind) => return write!(out, "{} stands there now", kind.describe()),
            Self::Symlink => "a symbolic link stands there now",
            Self::Gone => "it is gone",
            Self::RepositoryGone => "its repository is gone",
            Self::TagGone => "the tag is gone",
            Self::LinkGone => "the link is gone",
            Self::NoLink => "its link is gone",
            Self::LinkNamesOther => "the link names something else now",
            Self::LinkNamesNothing => "the link names nothing now",
            Self::NamesOther => "it names something else now",
            Self::TagNamesNothing => "the tag's own link names nothing now",
            Self::NamedAgain => "the tag names it again",
            Self::Resolves => "it resolves now",
            Self::NotInHistory => "its history does not name this manifest any more",
            Self::HistoryUnresolved => "the manifest that its history names does not resolve any more",
            Self::OtherEntry => "the bytes of another entry of its history are here now",
            Self::BytesWrong => "the bytes it would name do not hash to its digest, or are gone",
            Self::BytesRight => "the bytes hash right now",
            Self::OtherBytes => "other bytes are there now",
            Self::LinkYoung => "the link was written just now: a push is under way",
            Self::Young => "it was changed just now: somebody may be writing it",
            Self::TagPushed => "the tag was pushed since it was planned",
            Self::PushedAgain => "it was pushed again since it was planned",
            Self::ManifestPushed => "a manifest was pushed into this repository since it was planned",
            Self::RevisionLinked => {
                "its manifest has a revision link again: it was pushed since it was planned"
            }
            Self::ChangedInHashing(path) => return write!(out, "{path} changed while it was hashed"),
            Self::ChangedInReading => "it changed while it was read",
            Self::ChangedInRepair => "it changed while it was repaired",
            Self::TooLarge => "it is too large to be judged now",
            Self::Said(words) => words,
        })
    }
}

/// Why a step may not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
#[non_exhaustive]
pub enum WhyRefused {
    /// A server that writes is at work on the tree.
    Server {
        /// Its name, and what it is doing.
        program: String,
        /// Its process.
        pid: u32,
    },
    /// A cause read from a report or journal.
    Said(String),
}

impl fmt::Display for WhyRefused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { program, pid } => {
                write!(out, "{program} (process {pid}) is at work on this tree: stop it")
            }
            Self::Said(words) => out.write_str(words),
        }
    }
}

/// Why a step could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
#[non_exhaustive]
pub enum WhyFailed {
    /// Something could not be read or written.
    Disk {
        /// Its path.
        path: String,
        /// What the system answered.
        error: String,
    },
    /// The change was made, and may not outlast a crash.
    NotSafe {
        /// The folder.
        path: String,
        /// What the system answered.
        error: String,
    },
    /// The quarantine cannot be made.
    Quarantine {
        /// The quarantine.
        path: String,
        /// What the system answered.
        error: String,
    },
    /// It lies on another file system than the quarantine.
    OtherDevice {
        /// Its path.
        path: String,
    },
    /// A folder of the path is something else.
    NotAFolder {
        /// The folder.
        path: String,
        /// What is there.
        kind: EntryKind,
    },
    /// A file that would be written over is too large to be kept in the journal.
    TooLargeToKeep {
        /// Most bytes of such a file.
        most: usize,
    },
    /// There is nothing to fetch missing bytes from.
    NoSupply,
    /// The step names no digest.
    NoDigest,
    /// The step names no tag.
    NoTag,
    /// The step names no link that may be moved.
    NoLink,
    /// The step names nothing that retention may remove.
    NotRetired,
    /// A cause read from a report or journal.
    Said(String),
}

impl fmt::Display for WhyFailed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Disk { path, error } => return write!(out, "{path}: {error}"),
            Self::NotSafe { path, error } => {
                return write!(out, "{path}: it may not outlast a crash: {error}");
            }
            Self::Quarantine { path, error } => {
                return write!(out, "the quarantine {path} cannot be made: {error}; name another folder");
            }
            Self::OtherDevice { path } => {
                return write!(out, "{path}: it lies on another file system; name a folder on its own");
            }
            Self::NotAFolder { path, kind } => {
                return write!(out, "{path}: {} in the place of a folder", kind.describe());
            }
            Self::TooLargeToKeep { most } => {
                return write!(
                    out,
                    "the file in its place is larger than {most} bytes, too large to be kept in the journal: move it away by hand"
                );
            }
            Self::NoSupply => "there is nothing to fetch from",
            Self::NoDigest => "the step names no digest",
            Self::NoTag => "the step names no tag",
            Self::NoLink => "the step names no link that may be moved",
            Self::NotRetired => "the step names nothing that may be retired",
            Self::Said(words) => words,
        })
    }
}

/// Why a run stopped before a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
#[non_exhaustive]
pub enum WhyStopped {
    /// The caller asked it to stop.
    Interrupted,
    /// The journal cannot be written; what the system answered.
    Journal(String),
    /// The disk refuses every write.
    Failed(WhyFailed),
    /// A cause read from a report or journal.
    Said(String),
}

impl fmt::Display for WhyStopped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => out.write_str("it was interrupted"),
            Self::Journal(error) => write!(out, "the journal cannot be written: {error}"),
            Self::Failed(why) => why.fmt(out),
            Self::Said(words) => out.write_str(words),
        }
    }
}
