//! Which link of a repository answers for a digest, and which bytes are sent (`registry/storage/linkedblobstore.go`,
//! `registry/handlers/blob.go @ v2.8.3`). The audit and the collector apply these rules to a graph, a repair to the disk.

use std::fmt;

use super::{Link, LinkFault};

/// Whether a blob's `data` file exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// Not looked at yet.
    #[default]
    Unseen,
    /// A regular file.
    Present,
    /// There is no such file.
    Absent,
    /// It could not be looked at, so this is unknown.
    Unread,
}

/// Whether a blob's bytes hash to the digest of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Content {
    /// Not hashed.
    #[default]
    Unhashed,
    /// They do.
    Right,
    /// They do not.
    Wrong,
    /// They could not be read, so this is unknown.
    Unread,
}

/// What could not be read, so that the answer of the server is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnreadPart {
    /// The revision link of a manifest.
    RevisionLink,
    /// A layer link.
    LayerLink,
    /// The blob that the revision link of a manifest names.
    RevisionTarget,
    /// The bytes themselves.
    Bytes,
}

impl fmt::Display for UnreadPart {
    /// A fragment that follows the requested digest.
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
    /// Its content.
    pub(crate) link: Link<K>,
    /// Whether it is the layer link, as there is no revision link.
    pub(crate) through_layers: bool,
}

/// What a repository's links mean for a requested manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ManifestAnswer<K> {
    /// A link names it: the layer link if `through_layers`, else the revision link.
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
    /// What this link means for the requested manifest. A layer link of a manifest is a leftover of a bug in 2.1.0; one that does
    /// not name the manifest belongs to another blob.
    pub(crate) fn answer(self, asked: K) -> ManifestAnswer<K> {
        let through_layers = self.through_layers;
        match self.link {
            Link::Names(named) if named == asked => ManifestAnswer::Itself { through_layers },
            Link::Unread if through_layers => ManifestAnswer::Unread(UnreadPart::LayerLink),
            Link::Unread => ManifestAnswer::Unread(UnreadPart::RevisionLink),
            Link::Names(named) if !through_layers => ManifestAnswer::Another(named),
            Link::Invalid(fault) if !through_layers => ManifestAnswer::Invalid(fault),
            Link::Names(_) | Link::Invalid(_) | Link::Absent => ManifestAnswer::Absent,
        }
    }
}

/// The server's answer to a GET of a config or layer; its size is not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayerAnswer<K> {
    /// 200, with the blob of this digest.
    Served(K),
    /// 404: the repository has no `_layers`.
    NoFolder,
    /// 404: this digest has no layer link. If an alias that has a link was requested, this is the alias' target.
    Unlinked(K),
    /// 500: this link is invalid.
    Invalid(K, LinkFault),
    /// The link of the first digest names the second. The third is the digest whose bytes are sent, if any are.
    Mismatch(K, K, Option<K>),
    /// 404: the blob of this digest is missing.
    NoBytes(K),
    /// The bytes (second) sent for an alias (first) do not hash to the alias.
    WrongAlias(K, K),
    /// A link on the way, or the bytes, could not be read.
    Unread(UnreadPart),
}

/// One repository and its blobs, as far as they were read. `Key` is a digest, or its number in a graph.
pub(crate) trait RepositoryLinks {
    type Key: Copy + Eq;

    /// The content of `revisions/<digest>/link`.
    fn revision(&self, digest: Self::Key) -> Link<Self::Key>;
    /// The content of `_layers/<digest>/link`.
    fn layer_link(&self, digest: Self::Key) -> Link<Self::Key>;
    /// Whether the repository is known to have no `_layers`.
    fn lacks_layers_folder(&self) -> bool;
    /// Whether there is a blob of a digest.
    fn presence(&self, digest: Self::Key) -> Presence;
    /// Whether the blob's bytes hash to the digest.
    fn content(&self, digest: Self::Key) -> Content;
    /// Whether a digest is sha256. Only such digests have blobs; links of other digests lead to them.
    fn is_sha256(&self, digest: Self::Key) -> bool;

    /// The link that answers for a manifest: the revision link or, where there is none, the layer link, as in 2.8.
    fn manifest_link(&self, digest: Self::Key) -> ManifestLink<Self::Key> {
        match self.revision(digest) {
            Link::Absent => ManifestLink { link: self.layer_link(digest), through_layers: true },
            link => ManifestLink { link, through_layers: false },
        }
    }

    /// The answer to a GET of a config or layer by digest.
    fn layer(&self, digest: Self::Key) -> LayerAnswer<Self::Key> {
        if self.lacks_layers_folder() {
            return LayerAnswer::NoFolder;
        }
        match self.layer_link(digest) {
            Link::Absent => LayerAnswer::Unlinked(digest),
            Link::Unread => LayerAnswer::Unread(UnreadPart::LayerLink),
            Link::Invalid(fault) => LayerAnswer::Invalid(digest, fault),
            Link::Names(target) if target == digest => self.answer_of_blob(digest),
            Link::Names(target) if !self.is_sha256(digest) && self.is_sha256(target) => {
                self.answer_of_alias(digest, target)
            }
            Link::Names(target) => match self.layer_link(target) {
                // The server sends the target's bytes if the target has a link here and a blob.
                Link::Names(end) => self.mismatch(digest, target, target, end),
                Link::Unread => LayerAnswer::Unread(UnreadPart::LayerLink),
                Link::Invalid(_) | Link::Absent => LayerAnswer::Mismatch(digest, target, None),
            },
        }
    }

    /// The answer for a digest other than sha256, an alias of `target`: the server resolves the target through the target's own
    /// link before it sends bytes.
    fn answer_of_alias(&self, digest: Self::Key, target: Self::Key) -> LayerAnswer<Self::Key> {
        match self.layer_link(target) {
            Link::Absent => LayerAnswer::Unlinked(target),
            Link::Unread => LayerAnswer::Unread(UnreadPart::LayerLink),
            Link::Invalid(fault) => LayerAnswer::Invalid(target, fault),
            Link::Names(end) if end == target => match self.answer_of_blob(target) {
                // The content of an alias is the result of hashing with the alias' own algorithm.
                LayerAnswer::Served(end) => match self.content(digest) {
                    Content::Wrong => LayerAnswer::WrongAlias(digest, end),
                    Content::Unread => LayerAnswer::Unread(UnreadPart::Bytes),
                    Content::Right | Content::Unhashed => LayerAnswer::Served(end),
                },
                other => other,
            },
            // The server follows two links, never a third.
            Link::Names(end) => self.mismatch(target, end, target, end),
        }
    }

    /// The answer where the link of `digest` names `target`, and the server looks at the blob of `stat` and sends that of `end`.
    fn mismatch(
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

    /// The answer for a config or layer whose link names it.
    fn answer_of_blob(&self, digest: Self::Key) -> LayerAnswer<Self::Key> {
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
