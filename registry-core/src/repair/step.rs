//! One step of a repair: what would be done, where and why. Whether it may still be done is checked when it is done.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::causes::{WhyFailed, WhyRefused, WhySkipped, WhyStopped};
use crate::audit::{Code, SharedTags};
use crate::oci::Digest;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum StepAction {
    /// Makes the folder `_layers` that a repository lacks; the links that belong into it are steps of their own.
    Rebuild,
    /// Moves bytes aside that were hashed and found wrong, so that a push or a fetch can heal them.
    Quarantine,
    /// Brings missing bytes from another registry; they are hashed before they are filed.
    Fetch,
    /// Writes a revision or layer link that is missing, after hashing the bytes that it names.
    Relink,
    /// Writes such a link anew that says something else.
    Rewrite,
    /// Sets a tag to the one entry of its history that resolves; its push time is then not known.
    Restore,
    /// Moves a layer link, or an entry of a tag's history, aside that nothing needs.
    Unlink,
    /// Moves an upload or a temporary file aside that nobody finishes any more.
    Clear,
    /// Moves an entry aside that has no place in the layout.
    MoveAside,
    /// Moves a tag or a link aside that retention dooms.
    Retire,
    /// Moves a tag aside whose manifest was probably deleted through the API.
    Drop,
    /// Moves `scheduler-state.json` aside with which no cache starts; in the place of a file an empty one is left.
    Reset,
}

impl StepAction {
    /// The act as it is written in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rebuild => "rebuild",
            Self::Quarantine => "quarantine",
            Self::Fetch => "fetch",
            Self::Relink => "relink",
            Self::Rewrite => "rewrite",
            Self::Restore => "restore",
            Self::Unlink => "unlink",
            Self::Clear => "clear",
            Self::MoveAside => "move-aside",
            Self::Retire => "retire",
            Self::Drop => "drop",
            Self::Reset => "reset",
        }
    }

    /// Whether it moves something aside that a running server may be using.
    pub const fn moves_aside(self) -> bool {
        matches!(
            self,
            Self::Quarantine
                | Self::Unlink
                | Self::Clear
                | Self::MoveAside
                | Self::Retire
                | Self::Drop
                | Self::Reset
        )
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RepairStep {
    /// What it does.
    pub action: StepAction,
    /// What is written, or moved: below the registry's `docker/registry/v2`, or the `scheduler-state.json` above it.
    pub path: String,
    /// The repository it lies in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Arc<str>>,
    /// The tag that is restored, retired or dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Box<str>>,
    /// What a link is to say, or says; whose bytes are moved or fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Bytes that are moved or fetched; 0 for links.
    pub bytes: u64,
    /// The finding that asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Tags that it concerns.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub tags: SharedTags,
    /// Why, as a lower-case fragment.
    pub message: String,
    /// Of a tag that is retired: the time that its link had when that was decided.
    #[serde(skip)]
    pub modified: Option<Timestamp>,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "why")]
pub enum StepOutcome {
    /// Nothing yet: a dry run.
    Planned,
    /// It was done, and is safe on disk.
    Done,
    /// It was so already.
    There,
    /// It is not what it was when it was planned, and stays.
    Spared(#[cfg_attr(feature = "schema", schemars(with = "String"))] WhySkipped),
    /// It is not done while a server runs on this tree.
    Refused(#[cfg_attr(feature = "schema", schemars(with = "String"))] WhyRefused),
    /// It could not be done; nothing was changed by it, or what was is in the journal.
    Failed(#[cfg_attr(feature = "schema", schemars(with = "String"))] WhyFailed),
    /// The run stopped before it.
    Stopped(#[cfg_attr(feature = "schema", schemars(with = "String"))] WhyStopped),
}
