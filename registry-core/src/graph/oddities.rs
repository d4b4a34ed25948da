//! What a collector stumbles over and no audit needs: files in odd places, entries of `tags/` that are no tags. The source fills it.
//! Paths are below `docker/registry/v2`.

use crate::oci::Digest;
use crate::serve::Link;

/// A file called `link` in an odd place below `_manifests/revisions` or `_layers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddLink {
    /// The repository.
    pub repository: String,
    /// Whether it lies below `_layers`.
    pub in_layers: bool,
    /// The path of the file.
    pub path: String,
    /// What the file names.
    pub link: Link<Digest>,
}

/// An entry of `tags/` whose name is no legal tag. A collector takes it for a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddTag {
    /// The repository.
    pub repository: String,
    /// Its name.
    pub name: String,
    /// What its `current/link` names.
    pub link: Link<Digest>,
    /// Digests of its history.
    pub history: Vec<Digest>,
}

/// All oddities of a tree.
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
    /// Folders directly below `repositories/` with the name of a folder that marks a repository.
    pub nameless: Vec<String>,
    /// Files in the place of a folder of a tag's history: repository and path.
    pub histories: Vec<(String, String)>,
    /// Revision folders without a link, which the link of another revision names: repository and digest.
    pub bare: Vec<(String, Digest)>,
    /// What could not be read: path and reason. If there is any, a forecast cannot be relied on.
    pub unread: Vec<(String, String)>,
}
