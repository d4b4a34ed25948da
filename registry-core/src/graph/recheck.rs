//! What a question wants to be read a second time before it reports damage.

use super::digests::NodeId;

/// One thing to be read again. Repositories are named by their index in the sealed graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recheck {
    /// The link of a tag: repository, index among its tags.
    Tag(u32, u32),
    /// A revision link.
    Revision(u32, NodeId),
    /// A layer link.
    Layer(u32, NodeId),
    /// The folder `_layers` of a repository.
    LayersFolder(u32),
    /// Whether a blob exists, and its bytes if it was, or should be, read as a manifest.
    Manifest(NodeId),
    /// Whether a blob exists, and its size.
    Blob(NodeId),
    /// Whether the bytes of a blob hash to its digest.
    Content(NodeId),
    /// The platform that an image's config names.
    Platform(NodeId),
}
