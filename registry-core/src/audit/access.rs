//! What `registry` 2.8 answers to a request for a manifest, from the graph: the link first, by the rules of
//! [`serve`](crate::serve), then the bytes it names. Nothing is reported from here.

use crate::graph::{Content, LinkFault, NodeId, Presence, View};
use crate::oci::manifest::Kind;
use crate::serve::{self, Linked, Shelf as _, UnreadPart};

/// The answer to a GET of a manifest by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ManifestAccess {
    /// 200, with these bytes. `right` is false only for schema 1, of which a client sees no digest.
    Served { right: bool, through_layers: bool },
    /// 404: no revision link; the bytes are here and hash right.
    Unlinked,
    /// 404: no usable bytes.
    Missing(UnusableBytes),
    /// 500.
    LinkInvalid(LinkFault),
    /// The link names another manifest: 200 or 500, and `sent` when a client cannot tell that from the right one.
    LinkMismatch { target: NodeId, sent: bool },
    /// 500, and why.
    Unreadable(String),
    /// 200, with bytes that do not hash to the digest.
    WrongBytes,
    /// Something on the way could not be read.
    Unknown(UnreadPart),
    /// Not read yet: the source must be asked.
    Unasked,
}

/// Why a manifest's bytes are no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnusableBytes {
    /// Link and bytes are gone.
    Both,
    /// The link is here, the bytes are gone.
    Bytes,
    /// The link is gone, and what is filed under the digest is something else.
    LinkAndRightBytes,
}

/// What answers a GET of a config or layer, before its size is looked at.
pub(super) type LayerAccess = serve::LayerAnswer<NodeId>;

impl View<'_> {
    /// GET of a manifest by digest.
    pub(crate) fn manifest(&self, node: NodeId) -> ManifestAccess {
        match self.manifest_link(node).answer(node) {
            Linked::Itself { through_layers: false } => self.manifest_bytes(node, true),
            Linked::Itself { through_layers: true } => match self.manifest_bytes(node, true) {
                ManifestAccess::Served { right, .. } => {
                    ManifestAccess::Served { right, through_layers: true }
                }
                ManifestAccess::Missing(_) => ManifestAccess::Missing(UnusableBytes::Both),
                other => other,
            },
            Linked::Another(target) => match self.graph.blob(target).presence {
                Presence::Unread => ManifestAccess::Unknown(UnreadPart::RevisionTarget),
                Presence::Unseen => ManifestAccess::Unasked,
                Presence::Present if self.graph.manifest(target).is_none() => ManifestAccess::Unasked,
                Presence::Present | Presence::Absent => {
                    ManifestAccess::LinkMismatch { target, sent: self.passes_for(target, node) }
                }
            },
            Linked::Invalid(fault) => ManifestAccess::LinkInvalid(fault),
            Linked::Unread(part) => ManifestAccess::Unknown(part),
            Linked::Absent => self.manifest_bytes(node, false),
        }
    }

    /// Whether a client who asks for `node` and is sent what is filed under `target` cannot tell: the bytes are the
    /// right ones, filed under the wrong digest, or schema 1, of which a client sees no digest.
    fn passes_for(&self, target: NodeId, node: NodeId) -> bool {
        self.graph.blob(target).presence == Presence::Present
            && self.graph.manifest(target).is_some_and(|manifest| {
                let is_right = self.graph.real_digest(target) == Some(node);
                manifest.refusal().is_none() && (is_right || manifest.kind == Kind::Schema1)
            })
    }

    /// The bytes of a manifest, of which the link has been looked at.
    fn manifest_bytes(&self, node: NodeId, linked: bool) -> ManifestAccess {
        let blob = self.graph.blob(node);
        match blob.presence {
            Presence::Unread => return ManifestAccess::Unknown(UnreadPart::Bytes),
            Presence::Unseen => return ManifestAccess::Unasked,
            Presence::Absent => {
                return ManifestAccess::Missing(if linked {
                    UnusableBytes::Bytes
                } else {
                    UnusableBytes::Both
                });
            }
            Presence::Present => {}
        }
        let Some(manifest) = self.graph.manifest(node) else { return ManifestAccess::Unasked };
        let right = blob.content == Content::Right;
        if !linked {
            return if right && manifest.refusal().is_none() {
                ManifestAccess::Unlinked
            } else {
                ManifestAccess::Missing(UnusableBytes::LinkAndRightBytes)
            };
        }
        if let Some(problem) = manifest.refusal() {
            let at = if problem.pointer.is_empty() { String::new() } else { format!("{} ", problem.pointer) };
            return ManifestAccess::Unreadable(format!("{at}{}", problem.message));
        }
        if right || manifest.kind == Kind::Schema1 {
            return ManifestAccess::Served { right, through_layers: false };
        }
        ManifestAccess::WrongBytes
    }

    /// Whether the bytes filed under a digest are known to be the right ones; `None` when nobody could tell yet.
    pub(super) fn has_right_bytes(&self, node: NodeId) -> Option<bool> {
        let blob = self.graph.blob(node);
        match (blob.presence, blob.content) {
            (Presence::Present, Content::Right) => Some(true),
            (Presence::Present, Content::Unhashed) | (Presence::Unread, _) | (_, Content::Unread) => None,
            _ => Some(false),
        }
    }
}
