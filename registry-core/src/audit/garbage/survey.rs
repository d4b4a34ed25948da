//! What a survey of garbage returns: garbage as sums and piece by piece, findings, and doubts.

use crate::audit::code::Code;
use crate::audit::counts::Garbage;
use crate::audit::draft::Draft;
use crate::graph::{Recheck, Repository};
use crate::oci::Digest;
use crate::path::Place;

/// One file or folder of garbage, for `--list-garbage`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GarbagePiece {
    /// `blob-unreferenced`; `manifest-untagged` for revision links and for the blobs that only they reach; others.
    pub code: Code,
    /// The repository it lies in; a blob lies in none.
    pub repository: Option<Box<str>>,
    /// Its digest; `None` for uploads and temporary files.
    pub digest: Option<Digest>,
    /// Where it lies, below the registry's `docker/registry/v2`.
    pub path: String,
    /// Its bytes; 0 for a link.
    pub bytes: u64,
}

impl GarbagePiece {
    pub(super) fn blob(code: Code, digest: Digest, bytes: u64) -> Self {
        let path = Place::BlobData(digest).to_string();
        Self { code, repository: None, digest: Some(digest), path, bytes }
    }

    pub(super) fn link(code: Code, repository: &Repository, digest: Digest, place: Place<'_>) -> Self {
        let (repository, path) = (Some(repository.name.clone()), place.to_string());
        Self { code, repository, digest: Some(digest), path, bytes: 0 }
    }
}

/// What the survey of one registry, or of one repository, found.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// `None` when it is not known.
    pub(crate) garbage: Option<Garbage>,
    /// Findings in repositories, each with the index of its repository.
    pub(crate) repository_drafts: Vec<(usize, Draft)>,
    /// Findings in no repository.
    pub(crate) registry_drafts: Vec<Draft>,
    pub(crate) pieces: Vec<GarbagePiece>,
    /// Links whose modification time decides and was not read yet.
    pub(crate) doubts: Vec<Recheck>,
}
