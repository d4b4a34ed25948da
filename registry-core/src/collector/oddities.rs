//! What a collector trips over and no audit needs to know: files in odd places, entries of `tags/` that are no tags. Filled by
//! whoever reads the tree; paths are below `docker/registry/v2`.

use crate::oci::Digest;

/// What a link in an odd place says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// There is no such file.
    Nothing,
    /// This digest.
    Digest(Digest),
    /// Something that is no digest, or that cannot be opened as a file.
    Invalid,
}

/// A file called `link` in an odd place below `_manifests/revisions` or `_layers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddLink {
    /// The repository.
    pub repository: String,
    /// Whether it lies below `_layers`.
    pub in_layers: bool,
    /// Where.
    pub path: String,
    /// What it says.
    pub says: Says,
}

/// An entry of `tags/` whose name is no tag; a collector takes it for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddTag {
    /// The repository.
    pub repository: String,
    /// Its name.
    pub name: String,
    /// What its `current/link` says.
    pub says: Says,
    /// Digests of its history.
    pub history: Vec<Digest>,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Links in odd places.
    pub links: Vec<OddLink>,
    /// Entries of `tags/` that are no tags.
    pub tags: Vec<OddTag>,
    /// Files called `data` in odd places below `blobs/`.
    pub data: Vec<String>,
    /// What could not be looked at: path and reason. Then the forecast is not to be relied on.
    pub unread: Vec<(String, String)>,
}
