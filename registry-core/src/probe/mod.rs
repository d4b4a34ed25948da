//! The audit of a live registry: the same question as [`crate::audit`], asked over HTTP.
//!
//! A walk collects the answers of a registry ([`Responses`]), and a pure function judges them ([`judge`]). Online a missing
//! link and missing bytes look alike, so the codes are coarser (docs/findings.md has the table). [`select_tags`] selects the
//! tags of a run beforehand, by what earlier runs left in a [`ProbeState`].

mod coverage;
mod judge;
mod messages;
mod platforms;
mod responses;
#[cfg(feature = "remote")]
mod run;
mod state;
mod visits;
#[cfg(feature = "remote")]
mod walk;

pub use coverage::{ListedTag, TagSelection, TagSelectionOptions, select_tags};
pub use judge::{JudgeOptions, ProbeJudgement, judge};
pub use responses::{
    AnsweredManifest, BlobAnswer, ManifestAnswer, RepositoryResponses, Responses, TagAnswer, WhyUnknown,
};
#[cfg(feature = "remote")]
pub use run::{ListedTags, ProbeOptions, TagLists, ask_for_tags, list_repositories, list_tags, probe};
pub use state::{
    ListedRepositories, ProbeRun, ProbeState, RememberedBlob, RememberedManifest, RememberedRepository,
    RememberedRole, SCHEMA as STATE_SCHEMA, StateError,
};
#[cfg(feature = "remote")]
pub use walk::{Depth, ProbeWalk, WalkOptions};
