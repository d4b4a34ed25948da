//! The audit of a live registry: the same question as [`crate::audit`], asked over HTTP.
//!
//! What a registry answers ([`Seen`]) is gathered by a walk and judged by a pure function ([`judge`]). Online a missing
//! link and missing bytes look alike, so the codes are coarser (docs/findings.md has the table). What is worth asking in
//! this run is chosen beforehand ([`choose`]), from what earlier runs left in a [`State`].

mod coverage;
mod judge;
mod platforms;
mod seen;
mod state;
mod visits;
#[cfg(feature = "remote")]
mod walk;
mod words;

pub use coverage::{Choice, Choosing, Listed, choose};
pub use judge::{JudgeOptions, Judgement, judge};
pub use seen::{BlobAnswer, ManifestAnswer, Seen, SeenManifest, SeenRepository, TagAnswer, Trouble};
pub use state::{
    RememberedBlob, RememberedManifest, RememberedRepository, RememberedRole, Run, SCHEMA as STATE_SCHEMA,
    State, StateError,
};
#[cfg(feature = "remote")]
pub use walk::{Depth, Walk, WalkOptions};
