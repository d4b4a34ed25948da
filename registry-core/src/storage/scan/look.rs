//! One look at a blob's `data` file, and its effect on the blob in the graph.

use super::super::folder::{self, EntryKind, FolderError, Stat};
use super::shared::Notes;
use crate::graph::{Blob, Content, Presence};
use crate::oci::Digest;
use crate::path::Place;

/// The result of a look at a `data` file.
#[derive(Clone, Copy)]
pub(super) enum LookResult {
    Present(Stat),
    Absent,
    Unread,
}

impl LookResult {
    pub(super) fn store(self, blob: &mut Blob) {
        match self {
            Self::Present(stat) => {
                if blob.presence == Presence::Present
                    && (blob.size, blob.modified) != (stat.size, stat.modified)
                {
                    blob.content = Content::Unhashed;
                }
                (blob.presence, blob.size, blob.modified) = (Presence::Present, stat.size, stat.modified);
            }
            Self::Absent => blob.presence = Presence::Absent,
            Self::Unread => blob.presence = Presence::Unread,
        }
    }

    /// Reads the file system's answer for a `data` file.
    pub(super) fn from_stat(answer: folder::Result<Stat>, digest: Digest, notes: &mut Notes) -> Self {
        match answer {
            Ok(stat) if stat.kind == EntryKind::File => Self::Present(stat),
            Ok(stat) if stat.kind == EntryKind::Folder => {
                notes.stray(Place::BlobData(digest), None, "a folder in the place of a file");
                Self::Absent
            }
            Ok(stat) => {
                notes.unread(
                    Place::BlobData(digest),
                    None,
                    format!("{} in the place of a file", stat.kind.describe()),
                );
                Self::Unread
            }
            Err(FolderError::NotFound | FolderError::NotAFolder) => Self::Absent,
            Err(error) => {
                notes.unread(Place::BlobData(digest), None, &error);
                Self::Unread
            }
        }
    }
}
