//! What a survey finds: garbage as a sum and piece by piece, findings, and what is to be looked at once more.

use crate::audit::code::Code;
use crate::audit::counts::Garbage;
use crate::audit::draft::Draft;
use crate::graph::Recheck;
use crate::oci::Digest;
use crate::path::Place;

/// One piece of garbage, for the list that a user may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GarbagePiece {
    /// `blob-unreferenced`; `manifest-untagged` for revision links and for the blobs that only they reach; others.
    pub code: Code,
    /// The repository it lies in; a blob lies in none.
    pub repository: Option<Box<str>>,
    /// Its digest; an upload or a temporary file has none.
    pub digest: Option<Digest>,
    /// Where it lies, below the registry's `docker/registry/v2`.
    pub path: String,
    /// Its bytes; 0 for a link.
    pub bytes: u64,
}

impl GarbagePiece {
    pub(super) fn blob(code: Code, digest: Digest, bytes: u64) -> Self {
        Self {
            code,
            repository: None,
            digest: Some(digest),
            path: Place::BlobData(digest).to_string(),
            bytes,
        }
    }
}

/// What the survey of one registry found.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// `None` when it cannot be known.
    pub(crate) garbage: Option<Garbage>,
    /// Findings of a repository: its index, and the draft.
    pub(crate) of_repository: Vec<(usize, Draft)>,
    /// Findings of the whole registry.
    pub(crate) of_root: Vec<Draft>,
    pub(crate) pieces: Vec<GarbagePiece>,
    /// Links whose time decides and was not asked for.
    pub(crate) doubts: Vec<Recheck>,
}
