//! What `registry` 2.8 answers to a request for a manifest, worked out from the graph: first the link, by the rules of
//! [`serve`](crate::serve), then the bytes that it names. Findings are made elsewhere.

use crate::graph::{Content, LinkFault, NodeId, Presence, RepositoryView};
use crate::oci::manifest::Kind;
use crate::serve::{self, ManifestAnswer, RepositoryLinks as _, UnreadPart};

/// The answer to a GET of a manifest by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ManifestAccess {
    /// 200. `right` is false only for schema 1, which a client does not check against a digest.
    Served { right: bool, through_layers: bool },
    /// 404: there is no revision link; the bytes are present and hash to the digest.
    Unlinked,
    /// 404: no usable bytes.
    Missing(UnusableBytes),
    /// 500.
    LinkInvalid(LinkFault),
    /// The link names another manifest: 200 or 500. `sent` is true when a client accepts that manifest as the right one.
    LinkMismatch { target: NodeId, sent: bool },
    /// 500, with the reason.
    Unreadable(String),
    /// 200, with bytes that do not hash to the digest.
    WrongBytes,
    /// The link or the bytes could not be read.
    Unknown(UnreadPart),
    /// Not read yet: the source must read it first.
    Unasked,
}

/// Why a manifest without a servable link or without bytes cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnusableBytes {
    /// Both the link and the bytes are absent.
    Both,
    /// The link is present, the bytes are absent.
    Bytes,
    /// The link is absent, and the file under the digest holds other bytes.
    LinkAndRightBytes,
}

/// The answer to a GET of a config or layer, before its size is checked.
pub(super) type LayerAccess = serve::LayerAnswer<NodeId>;

impl RepositoryView<'_> {
    /// Answers a GET of a manifest by digest.
    pub(crate) fn manifest(&self, node: NodeId) -> ManifestAccess {
        match self.manifest_link(node).answer(node) {
            ManifestAnswer::Itself { through_layers: false } => self.manifest_bytes(node, true),
            ManifestAnswer::Itself { through_layers: true } => match self.manifest_bytes(node, true) {
                ManifestAccess::Served { right, .. } => {
                    ManifestAccess::Served { right, through_layers: true }
                }
                ManifestAccess::Missing(_) => ManifestAccess::Missing(UnusableBytes::Both),
                other => other,
            },
            ManifestAnswer::Another(target) => match self.graph.blob(target).presence {
                Presence::Unread => ManifestAccess::Unknown(UnreadPart::RevisionTarget),
                Presence::Unseen => ManifestAccess::Unasked,
                Presence::Present if self.graph.manifest(target).is_none() => ManifestAccess::Unasked,
                Presence::Present | Presence::Absent => {
                    ManifestAccess::LinkMismatch { target, sent: self.is_accepted_instead(target, node) }
                }
            },
            ManifestAnswer::Invalid(fault) => ManifestAccess::LinkInvalid(fault),
            ManifestAnswer::Unread(part) => ManifestAccess::Unknown(part),
            ManifestAnswer::Absent => self.manifest_bytes(node, false),
        }
    }

    /// Whether a client who asks for `node` accepts the file under `target`: its bytes are those of `node`, or it is
    /// schema 1, which a client does not check against a digest.
    fn is_accepted_instead(&self, target: NodeId, node: NodeId) -> bool {
        self.graph.blob(target).presence == Presence::Present
            && self.graph.manifest(target).is_some_and(|manifest| {
                let is_right = self.graph.real_digest(target) == Some(node);
                manifest.refusal().is_none() && (is_right || manifest.kind == Kind::Schema1)
            })
    }

    /// The answer as far as it depends on the bytes; `linked` tells whether a link names them.
    fn manifest_bytes(&self, node: NodeId, linked: bool) -> ManifestAccess {
        let blob = self.graph.blob(node);
        match blob.presence {
            Presence::Unread => return ManifestAccess::Unknown(UnreadPart::Bytes),
            Presence::Unseen => return ManifestAccess::Unasked,
            Presence::Absent if linked => return ManifestAccess::Missing(UnusableBytes::Bytes),
            Presence::Absent => return ManifestAccess::Missing(UnusableBytes::Both),
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

    /// Whether the file under a digest hashes to it; `None` while that is not known.
    pub(super) fn has_right_bytes(&self, node: NodeId) -> Option<bool> {
        let blob = self.graph.blob(node);
        match (blob.presence, blob.content) {
            (Presence::Present, Content::Right) => Some(true),
            (Presence::Present, Content::Unhashed) | (Presence::Unread, _) | (_, Content::Unread) => None,
            _ => Some(false),
        }
    }
}
