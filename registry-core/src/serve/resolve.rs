//! Which link of a repository answers for a digest, and whose bytes are sent then (`registry/storage/linkedblobstore.go`,
//! `registry/handlers/blob.go @ v2.8.3`). Asked by whoever has read a repository: the audit and a collector from a graph,
//! a repair from the disk.

use std::fmt;

use super::{Link, LinkFault};

/// Whether a blob's `data` file is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// Not looked for yet.
    #[default]
    Unseen,
    /// A regular file.
    Present,
    /// Looked for and not there.
    Absent,
    /// Could not be looked at: unknown.
    Unread,
}

/// Whether the bytes hash to the digest they are filed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Content {
    /// Not hashed.
    #[default]
    Unhashed,
    /// They do.
    Right,
    /// They do not.
    Wrong,
    /// They could not be read: unknown.
    Unread,
}

/// What could not be read on the way to an answer, so that the answer is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnreadPart {
    /// The revision link of a manifest.
    RevisionLink,
    /// A layer link.
    LayerLink,
    /// What the revision link of a manifest names.
    RevisionTarget,
    /// The bytes themselves.
    Bytes,
}

impl fmt::Display for UnreadPart {
    /// As a fragment that follows the digest that was asked for.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self {
            Self::RevisionLink => "its revision link",
            Self::LayerLink => "its layer link",
            Self::RevisionTarget => "what its revision link names",
            Self::Bytes => "its bytes",
        };
        write!(out, "{part} could not be read")
    }
}

/// The link that answers for a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ManifestLink<K> {
    /// What it says.
    pub(crate) link: Link<K>,
    /// Whether it is a layer link: there is no revision link.
    pub(crate) through_layers: bool,
}

/// What a repository's links come to for a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked<K> {
    /// A link names it; only a layer link when `through_layers`.
    Itself { through_layers: bool },
    /// Its revision link names another digest, whose bytes are sent.
    Another(K),
    /// Its revision link names nothing.
    Invalid(LinkFault),
    /// No link names it.
    Absent,
    /// The link that answers for it could not be read.
    Unread(UnreadPart),
}

impl<K: Copy + Eq> ManifestLink<K> {
    /// What it comes to for the manifest that was asked for. A layer link is a leftover of a bug in 2.1.0, and one that does
    /// not name the manifest is the link of something else.
    pub(crate) fn answer(self, asked: K) -> Linked<K> {
        let through_layers = self.through_layers;
        match self.link {
            Link::Names(named) if named == asked => Linked::Itself { through_layers },
            Link::Unread if through_layers => Linked::Unread(UnreadPart::LayerLink),
            Link::Unread => Linked::Unread(UnreadPart::RevisionLink),
            Link::Names(named) if !through_layers => Linked::Another(named),
            Link::Invalid(fault) if !through_layers => Linked::Invalid(fault),
            Link::Names(_) | Link::Invalid(_) | Link::Absent => Linked::Absent,
        }
    }
}

/// What answers a GET of a config or layer, before its size is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayerAnswer<K> {
    /// 200, with the bytes filed under this digest.
    Served(K),
    /// 404: the repository has no `_layers`.
    NoFolder,
    /// 404: this digest has no layer link; it is the alias' target when the alias itself is linked.
    Unlinked(K),
    /// 500: this link is invalid.
    Invalid(K, LinkFault),
    /// The link of the first names the second; the bytes served instead, if any are.
    Mismatch(K, K, Option<K>),
    /// 404: the bytes are gone.
    NoBytes(K),
    /// An alias whose bytes do not hash to it.
    WrongAlias(K, K),
    /// A link on the way, or the bytes, could not be read.
    Unread(UnreadPart),
}

/// One repository and the blobs behind it, as far as they were read. `Key` names a digest: the digest itself, or its number.
pub(crate) trait Shelf {
    type Key: Copy + Eq;

    /// What `revisions/<digest>/link` says.
    fn revision(&self, digest: Self::Key) -> Link<Self::Key>;
    /// What `_layers/<digest>/link` says.
    fn layer_link(&self, digest: Self::Key) -> Link<Self::Key>;
    /// Whether the repository is known to have no `_layers`.
    fn lacks_layers_folder(&self) -> bool;
    /// Whether bytes are filed under a digest.
    fn presence(&self, digest: Self::Key) -> Presence;
    /// Whether these bytes hash to the digest.
    fn content(&self, digest: Self::Key) -> Content;
    /// Whether a digest is sha256: bytes are filed under such digests only, and links of others lead to them.
    fn is_sha256(&self, digest: Self::Key) -> bool;

    /// The link that answers for a manifest: the revision link, or where there is none, as 2.8 does, the layer link.
    fn manifest_link(&self, digest: Self::Key) -> ManifestLink<Self::Key> {
        match self.revision(digest) {
            Link::Absent => ManifestLink { link: self.layer_link(digest), through_layers: true },
            link => ManifestLink { link, through_layers: false },
        }
    }

    /// GET of a config or layer by digest.
    fn layer(&self, digest: Self::Key) -> LayerAnswer<Self::Key> {
        if self.lacks_layers_folder() {
            return LayerAnswer::NoFolder;
        }
        match self.layer_link(digest) {
            Link::Absent => LayerAnswer::Unlinked(digest),
            Link::Unread => LayerAnswer::Unread(UnreadPart::LayerLink),
            Link::Invalid(fault) => LayerAnswer::Invalid(digest, fault),
            Link::Names(target) if target == digest => self.bytes(digest),
            Link::Names(target) if !self.is_sha256(digest) && self.is_sha256(target) => {
                self.alias(digest, target)
            }
            Link::Names(target) => match self.layer_link(target) {
                // What is sent when that one is linked here and has bytes.
                Link::Names(end) => self.sent_for(digest, target, target, end),
                Link::Unread => LayerAnswer::Unread(UnreadPart::LayerLink),
                Link::Invalid(_) | Link::Absent => LayerAnswer::Mismatch(digest, target, None),
            },
        }
    }

    /// A digest that is not sha256: the server resolves the target through its own link again before it sends the bytes.
    fn alias(&self, digest: Self::Key, target: Self::Key) -> LayerAnswer<Self::Key> {
        match self.layer_link(target) {
            Link::Absent => LayerAnswer::Unlinked(target),
            Link::Unread => LayerAnswer::Unread(UnreadPart::LayerLink),
            Link::Invalid(fault) => LayerAnswer::Invalid(target, fault),
            Link::Names(end) if end == target => match self.bytes(target) {
                // What hashing by the alias' own algorithm gave.
                LayerAnswer::Served(end) => match self.content(digest) {
                    Content::Wrong => LayerAnswer::WrongAlias(digest, end),
                    Content::Unread => LayerAnswer::Unread(UnreadPart::Bytes),
                    Content::Right | Content::Unhashed => LayerAnswer::Served(end),
                },
                other => other,
            },
            // That was the second link, and no third is asked.
            Link::Names(end) => self.sent_for(target, end, target, end),
        }
    }

    /// The link of `digest` names `target`: what is sent when the server looks for the bytes of `stat` and sends those of `end`.
    fn sent_for(
        &self,
        digest: Self::Key,
        target: Self::Key,
        stat: Self::Key,
        end: Self::Key,
    ) -> LayerAnswer<Self::Key> {
        match (self.presence(stat), self.presence(end)) {
            (Presence::Absent, _) | (_, Presence::Absent) => LayerAnswer::Mismatch(digest, target, None),
            (Presence::Present, Presence::Present) if self.content(end) != Content::Unread => {
                LayerAnswer::Mismatch(digest, target, Some(end))
            }
            _ => LayerAnswer::Unread(UnreadPart::Bytes),
        }
    }

    /// The bytes of a config or layer, of which the link has been looked at.
    fn bytes(&self, digest: Self::Key) -> LayerAnswer<Self::Key> {
        match self.presence(digest) {
            Presence::Present if self.content(digest) == Content::Unread => {
                LayerAnswer::Unread(UnreadPart::Bytes)
            }
            Presence::Present => LayerAnswer::Served(digest),
            Presence::Absent => LayerAnswer::NoBytes(digest),
            Presence::Unread | Presence::Unseen => LayerAnswer::Unread(UnreadPart::Bytes),
        }
    }
}
