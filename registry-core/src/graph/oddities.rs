//! What a collector trips over and no audit needs to know: files in odd places, entries of `tags/` that are no tags. Filled by
//! whoever reads the tree; paths are below `docker/registry/v2`.

use crate::oci::Digest;
use crate::serve::Link;

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
    pub link: Link<Digest>,
}

/// An entry of `tags/` whose name is no tag; a collector takes it for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddTag {
    /// The repository.
    pub repository: String,
    /// Its name.
    pub name: String,
    /// What its `current/link` says.
    pub link: Link<Digest>,
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
    /// Files among repositories where only folders belong: those whose name starts with `_`, and those in the place of
    /// `revisions` and `tags`.
    pub files: Vec<String>,
    /// Folders right below `repositories/` that are called like those which make a folder a repository.
    pub nameless: Vec<String>,
    /// Files in the place of a folder of a tag's history, with their repository.
    pub histories: Vec<(String, String)>,
    /// Folders of revisions without a link in them which the link of another revision names: repository and digest.
    pub bare: Vec<(String, Digest)>,
    /// What could not be looked at: path and reason. Then the forecast is not to be relied on.
    pub unread: Vec<(String, String)>,
}
