//! Why a change was not undone: as data, and in words. JSON holds the words.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::oci::Digest;

/// Most digests that a message names.
const NAMED_MAX: usize = 2;

/// A quarantine's marker that names another registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtherRegistry {
    /// The marker.
    pub marker: String,
    /// The registry that it names.
    pub tree: String,
}

impl fmt::Display for OtherRegistry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} names another registry, {}", self.marker, self.tree)
    }
}

/// Why a change is not undone: something else was done there since.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyKept {
    /// Something was put into the folder that the repair made.
    FolderUsed,
    /// Something is in the place of what was moved aside.
    ThereAgain {
        /// Where what was moved aside stays.
        to: String,
    },
    /// The state of a cache's scheduler was written again.
    StateRewritten {
        /// Where what was moved aside stays.
        to: String,
    },
    /// It was written again.
    Rewritten,
    /// It was removed.
    Removed,
    /// Other bytes are there.
    OtherBytes,
    /// A manifest was pushed into the repository, and may rely on a link.
    ReliedOnHere,
    /// A manifest was pushed into some repository, and may rely on bytes.
    ReliedOn,
    /// Something is in the quarantine.
    QuarantineUsed,
    /// The quarantine is another registry's.
    OtherRegistry(OtherRegistry),
}

impl fmt::Display for WhyKept {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::FolderUsed => "something was put into it since",
            Self::ThereAgain { to } => {
                return write!(out, "something is there again; what was moved aside stays at {to}");
            }
            Self::StateRewritten { to } => {
                return write!(out, "it was written again since; what was moved aside stays at {to}");
            }
            Self::Rewritten => "it was written again since",
            Self::Removed => "it was removed since",
            Self::OtherBytes => "other bytes are there now",
            Self::ReliedOnHere => {
                "a manifest was pushed or linked here since, and may rely on it: undo later repairs first, or remove it by hand"
            }
            Self::ReliedOn => {
                "a manifest was pushed or linked since, and may rely on it: undo later repairs first, or remove it by hand"
            }
            Self::QuarantineUsed => "something is still in the quarantine",
            Self::OtherRegistry(other) => return other.fmt(out),
        })
    }
}

/// Why a change cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyLost {
    /// The journal is of a folder that is no registry.
    NoRegistry,
    /// The journal names a place that no repair touches.
    NotOurs,
    /// Something could not be read or written; what the system answered.
    Disk(String),
    /// The marker of the quarantine is gone.
    NoMarker {
        /// Where it was.
        marker: String,
    },
    /// The file in the marker's place is no marker.
    BadMarker {
        /// Where it is.
        marker: String,
    },
    /// The quarantine is another registry's.
    OtherRegistry(OtherRegistry),
    /// The folder that the quarantine lies in is gone.
    NoFolder {
        /// The folder.
        folder: String,
    },
    /// What was moved aside is neither in the tree nor in the quarantine.
    Gone,
    /// The quarantine holds what cannot be put back.
    QuarantineUsed,
    /// A collector deleted these bytes.
    Collected(Vec<Digest>),
    /// These have no link in the repository any more.
    Unlinked(Vec<Digest>),
    /// It is not known whether the bytes are still there.
    Unknown {
        /// The digest of the bytes.
        digest: Digest,
        /// What kept them from being read.
        why: String,
    },
}

/// Some digests, and how many more there are.
fn digest_list(digests: &[Digest]) -> String {
    let named: Vec<_> = digests.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let more = digests.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

impl fmt::Display for WhyLost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRegistry => out.write_str("the journal is of a folder that is no registry"),
            Self::NotOurs => out.write_str("the journal names a place that no repair touches"),
            Self::Disk(error) => out.write_str(error),
            Self::NoMarker { marker } => write!(
                out,
                "the quarantine's marker is gone ({marker}): nothing else tells that this was moved out of this registry"
            ),
            Self::BadMarker { marker } => write!(out, "{marker} marks no quarantine"),
            Self::OtherRegistry(other) => other.fmt(out),
            Self::NoFolder { folder } => {
                write!(out, "the folder that the quarantine lies in is gone: {folder}")
            }
            Self::Gone => out.write_str(
                "it is neither here nor in the quarantine: it was purged, or this is another tree",
            ),
            Self::QuarantineUsed => out.write_str("what cannot be put back is still in the quarantine"),
            Self::Collected(digests) => {
                write!(out, "its bytes were collected since: {}", digest_list(digests))
            }
            Self::Unlinked(digests) => {
                write!(out, "what it needs has no link here any more: {}", digest_list(digests))
            }
            Self::Unknown { digest, why } => {
                write!(out, "it cannot be told whether the bytes of {digest} are still there: {why}")
            }
        }
    }
}

impl Serialize for WhyKept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for WhyLost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
