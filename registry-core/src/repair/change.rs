//! One change to a tree, as it is written to the journal before it is made: enough to make it and to undo it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::bytes_text;
use crate::oci::Digest;
use crate::path::SCHEDULER_STATE;
use crate::storage::edit::Attributes;

/// Most bytes of a file that is written over: the journal keeps them.
pub(crate) const REWRITE_MAX: usize = 64 << 10;
/// The suffix of a file that is still being written. It is always the same, so that a run replaces what an interrupted run
/// left.
pub(super) const TEMP_SUFFIX: &str = ".registry-fsck.tmp";

/// A file as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileBefore {
    /// Its bytes; in the journal as base64.
    #[serde(with = "bytes_text")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::base64"))]
    pub bytes: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// User.
    pub user: u32,
    /// Group.
    pub group: u32,
    /// Last change.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub modified: Timestamp,
}

impl FileBefore {
    /// Owner and permissions.
    pub const fn attributes(&self) -> Attributes {
        Attributes { mode: self.mode, user: self.user, group: self.group }
    }
}

/// One change. Paths of the tree are relative to `docker/registry/v2`, others to the folder that the quarantine lies in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// The quarantine is made.
    Aside {
        /// TouchedFolders that are made for it, outermost first.
        made: Vec<String>,
        /// The file that marks it.
        marker: String,
    },
    /// A folder is made.
    Folder {
        /// It, and those on the way to it, outermost first.
        made: Vec<String>,
    },
    /// A link is written.
    Link {
        /// Where.
        path: String,
        /// What it says.
        digest: Digest,
        /// The time that it gets.
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
        modified: Timestamp,
        /// TouchedFolders that are made on the way, outermost first.
        made: Vec<String>,
        /// What stood there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<FileBefore>,
    },
    /// Bytes from another registry are filed.
    Data {
        /// Where.
        path: String,
        /// What they hash to.
        digest: Digest,
        /// The time that the file gets.
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
        modified: Timestamp,
        /// TouchedFolders that are made on the way, outermost first.
        made: Vec<String>,
    },
    /// A file or folder is moved into the quarantine.
    Move {
        /// From where.
        path: String,
        /// To where.
        to: String,
        /// TouchedFolders that are made in the quarantine, outermost first.
        made: Vec<String>,
        /// Of a tag or link that retention moves: what it leads to that was not there already. What else is not there when
        /// it is to come back was collected since.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lacked: Vec<Digest>,
    },
    /// `scheduler-state.json` in the rootdirectory is moved into the quarantine.
    SchedulerState {
        /// To where.
        to: String,
        /// TouchedFolders that are made in the quarantine, outermost first.
        made: Vec<String>,
        /// The time of the empty state that takes the place of a file; a folder leaves nothing behind.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
        written: Option<Timestamp>,
    },
}

impl Change {
    /// The path that messages name.
    pub fn path(&self) -> &str {
        match self {
            Self::Aside { marker, .. } => marker,
            Self::Folder { made } => made.last().map_or("", String::as_str),
            Self::Link { path, .. } | Self::Data { path, .. } | Self::Move { path, .. } => path,
            Self::SchedulerState { .. } => SCHEDULER_STATE,
        }
    }
}
