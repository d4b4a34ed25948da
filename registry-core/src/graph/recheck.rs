//! What a question wants looked at once more before it calls it damage.

use super::digests::NodeId;

/// One thing to be read again. Repositories by their index in the sealed graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recheck {
    /// The link of a tag: its index among the repository's tags.
    Tag(u32, u32),
    /// A revision link.
    Revision(u32, NodeId),
    /// A layer link.
    Layer(u32, NodeId),
    /// The folder `_layers` of a repository.
    LayersFolder(u32),
    /// Whether a blob is there, and if it was read as a manifest or should be, its bytes.
    Manifest(NodeId),
    /// Whether a blob is there, and its size.
    Blob(NodeId),
    /// Whether the bytes of a blob are the right ones.
    Content(NodeId),
    /// The platform that an image's configuration names.
    Platform(NodeId),
}
