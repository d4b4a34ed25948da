//! How `registry` 2.8 resolves a request, answered from the graph: link first, then the bytes it names
//! (`registry/storage/linkedblobstore.go`, `registry/handlers/blob.go @ v2.8.3`). Nothing is reported from here.

use crate::graph::{Content, Graph, Link, LinkFault, NodeId, Part, Presence, Repository};
use crate::oci::Algorithm;
use crate::oci::manifest::Kind;

const UNREAD_BYTES: &str = "its bytes could not be read";
const UNREAD_LINK: &str = "its layer link could not be read";

/// The answer to a GET of a manifest by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// 200, with these bytes. `right` is false only for schema 1, of which a client sees no digest.
    Served { right: bool, through_layers: bool },
    /// 404: no revision link; the bytes are here and hash right.
    Unlinked,
    /// 404: no usable bytes.
    Missing(Lack),
    /// 500.
    LinkInvalid(LinkFault),
    /// The link names another manifest: 200 or 500, and `sent` when a client cannot tell that from the right one.
    LinkMismatch { target: NodeId, sent: bool },
    /// 500, and why.
    Unreadable(String),
    /// 200, with bytes that do not hash to the digest.
    WrongBytes,
    /// Something on the way could not be read.
    Unknown(String),
    /// Not read yet: the source must be asked.
    Unasked,
}

/// Why a manifest's bytes are no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// Link and bytes are gone.
    Both,
    /// The link is here, the bytes are gone.
    Bytes,
    /// The link is gone, and what is filed under the digest is something else.
    LinkAndRightBytes,
}

/// What answers a GET of a config or layer, before its size is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LayerAnswer {
    /// 200, with the bytes filed under this digest.
    Served(NodeId),
    /// 404: the repository has no `_layers`.
    NoFolder,
    /// 404: this digest has no layer link; it is the alias' target when the alias itself is linked.
    Unlinked(NodeId),
    /// 500: this link is invalid.
    Invalid(NodeId, LinkFault),
    /// The link of the first names the second; the bytes served instead, if any are.
    Mismatch(NodeId, NodeId, Option<NodeId>),
    /// 404: the bytes are gone.
    NoBytes(NodeId),
    /// An alias whose bytes do not hash to it.
    WrongAlias(NodeId, NodeId),
    /// Something on the way could not be read.
    Unknown(String),
}

/// One repository, as a client sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'g> {
    pub(super) graph: &'g Graph,
    pub(super) repository: &'g Repository,
}

impl View<'_> {
    /// GET of a manifest by digest.
    pub(super) fn manifest(&self, node: NodeId) -> Answer {
        match self.repository.revision(node) {
            Link::Names(target) if target == node => self.bytes(node, true),
            Link::Names(target) => match self.graph.blob(target).presence {
                Presence::Unread => Answer::Unknown("what its revision link names could not be read".into()),
                Presence::Unseen => Answer::Unasked,
                Presence::Present if self.graph.manifest(target).is_none() => Answer::Unasked,
                Presence::Present | Presence::Absent => {
                    Answer::LinkMismatch { target, sent: self.passes_for(target, node) }
                }
            },
            Link::Invalid(fault) => Answer::LinkInvalid(fault),
            Link::Unread => Answer::Unknown("its revision link could not be read".into()),
            Link::Absent => match self.repository.layer(node) {
                // A leftover of a bug in 2.1.0: 2.8 looks there too.
                Link::Names(target) if target == node => match self.bytes(node, true) {
                    Answer::Served { right, .. } => Answer::Served { right, through_layers: true },
                    Answer::Missing(_) => Answer::Missing(Lack::Both),
                    other => other,
                },
                Link::Unread => Answer::Unknown(UNREAD_LINK.into()),
                Link::Names(_) | Link::Invalid(_) | Link::Absent => self.bytes(node, false),
            },
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
    fn bytes(&self, node: NodeId, linked: bool) -> Answer {
        let blob = self.graph.blob(node);
        match blob.presence {
            Presence::Unread => return Answer::Unknown(UNREAD_BYTES.into()),
            Presence::Unseen => return Answer::Unasked,
            Presence::Absent => return Answer::Missing(if linked { Lack::Bytes } else { Lack::Both }),
            Presence::Present => {}
        }
        let Some(manifest) = self.graph.manifest(node) else { return Answer::Unasked };
        let right = blob.content == Content::Right;
        if !linked {
            return if right && manifest.refusal().is_none() {
                Answer::Unlinked
            } else {
                Answer::Missing(Lack::LinkAndRightBytes)
            };
        }
        if let Some(problem) = manifest.refusal() {
            let at = if problem.pointer.is_empty() { String::new() } else { format!("{} ", problem.pointer) };
            return Answer::Unreadable(format!("{at}{}", problem.message));
        }
        if right || manifest.kind == Kind::Schema1 {
            return Answer::Served { right, through_layers: false };
        }
        Answer::WrongBytes
    }

    /// GET of a config or layer by digest.
    pub(super) fn layer(&self, node: NodeId) -> LayerAnswer {
        match self.repository.layers_part {
            Part::Absent => return LayerAnswer::NoFolder,
            Part::Present | Part::Unread => {}
        }
        match self.repository.layer(node) {
            Link::Absent => LayerAnswer::Unlinked(node),
            Link::Unread => LayerAnswer::Unknown(UNREAD_LINK.into()),
            Link::Invalid(fault) => LayerAnswer::Invalid(node, fault),
            Link::Names(target) if target == node => self.blob(node),
            Link::Names(target) if self.is_alias(node, target) => match self.repository.layer(target) {
                // The server resolves the target through its own link again before it sends the bytes.
                Link::Absent => LayerAnswer::Unlinked(target),
                Link::Unread => LayerAnswer::Unknown(UNREAD_LINK.into()),
                Link::Invalid(fault) => LayerAnswer::Invalid(target, fault),
                Link::Names(end) if end == target => match self.blob(target) {
                    // The alias' own node holds what hashing by its algorithm gave.
                    LayerAnswer::Served(end) => match self.graph.blob(node).content {
                        Content::Wrong => LayerAnswer::WrongAlias(node, end),
                        Content::Unread => LayerAnswer::Unknown(UNREAD_BYTES.into()),
                        Content::Right | Content::Unhashed => LayerAnswer::Served(end),
                    },
                    other => other,
                },
                // That was the second link, and no third is asked.
                Link::Names(end) => self.sent_for(target, end, target, end),
            },
            Link::Names(target) => self.mismatch(node, target),
        }
    }

    fn is_alias(&self, node: NodeId, target: NodeId) -> bool {
        self.graph.digest(node).algorithm() != Algorithm::Sha256
            && self.graph.digest(target).algorithm() == Algorithm::Sha256
    }

    /// A link that names another digest: what the server sends when that one is linked here and has bytes.
    fn mismatch(&self, node: NodeId, target: NodeId) -> LayerAnswer {
        let end = match self.repository.layer(target) {
            Link::Names(end) => end,
            Link::Unread => return LayerAnswer::Unknown(UNREAD_LINK.into()),
            Link::Invalid(_) | Link::Absent => return LayerAnswer::Mismatch(node, target, None),
        };
        self.sent_for(node, target, target, end)
    }

    /// The link of `node` names `target`: what is sent when the server looks for the bytes of `stat` and sends those of `end`.
    fn sent_for(&self, node: NodeId, target: NodeId, stat: NodeId, end: NodeId) -> LayerAnswer {
        let (stat, sent) = (self.graph.blob(stat), self.graph.blob(end));
        match (stat.presence, sent.presence) {
            (Presence::Absent, _) | (_, Presence::Absent) => LayerAnswer::Mismatch(node, target, None),
            (Presence::Present, Presence::Present) if sent.content != Content::Unread => {
                LayerAnswer::Mismatch(node, target, Some(end))
            }
            _ => LayerAnswer::Unknown(UNREAD_BYTES.into()),
        }
    }

    fn blob(&self, node: NodeId) -> LayerAnswer {
        let blob = self.graph.blob(node);
        match blob.presence {
            Presence::Present if blob.content == Content::Unread => LayerAnswer::Unknown(UNREAD_BYTES.into()),
            Presence::Present => LayerAnswer::Served(node),
            Presence::Absent => LayerAnswer::NoBytes(node),
            Presence::Unread | Presence::Unseen => LayerAnswer::Unknown(UNREAD_BYTES.into()),
        }
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
