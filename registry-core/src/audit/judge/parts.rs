//! What a manifest that is served references: children's sizes, configs and layers.

use super::Judge;
use crate::audit::access::LayerAccess;
use crate::audit::code::Code;
use crate::audit::draft::Draft;
use crate::audit::messages;
use crate::graph::{Content, Edge, GraphLink, ManifestNode, NodeId, Presence, Recheck};
use crate::oci::manifest::{Defect, Kind, ReferenceRole};
use crate::serve::Shelf as _;

impl Judge<'_> {
    /// Files what is wrong with the references of a manifest that is served.
    pub(super) fn parts(&mut self, node: NodeId, manifest: &ManifestNode) {
        for problem in manifest.problems.iter().filter(|problem| problem.defect == Defect::Part) {
            let draft = messages::descriptor(self.client.view, node, &problem.pointer, &problem.message);
            self.verdict.file(node, draft, true);
        }
        let has_sizes = manifest.kind != Kind::Schema1;
        for (number, edge) in self.client.view.graph.edges(manifest).iter().enumerate() {
            let Some(target) = edge.target.filter(|_| !edge.has_urls) else { continue };
            if edge.role == ReferenceRole::Child {
                self.child_size(node, manifest, number, edge, target);
            } else {
                let size = u64::try_from(edge.size).ok().filter(|_| has_sizes);
                self.layer(node, manifest, (number, edge, target), size);
            }
        }
    }

    fn child_size(
        &mut self,
        node: NodeId,
        manifest: &ManifestNode,
        number: usize,
        edge: &Edge,
        child: NodeId,
    ) {
        let Some((at, child_manifest)) = self.served(child) else { return };
        let actual = self.client.view.graph.blob(at).size;
        if child_manifest.kind != Kind::Schema1 && edge.size >= 0 && u64::try_from(edge.size) != Ok(actual) {
            let draft = messages::size_lie(self.client.view, (node, manifest, number), child, actual);
            self.verdict.file(node, draft, true);
        }
    }

    fn layer(
        &mut self,
        node: NodeId,
        manifest: &ManifestNode,
        (number, edge, target): (usize, &Edge, NodeId),
        size: Option<u64>,
    ) {
        let view = self.client.view;
        let answer = *self.layers.entry(target).or_insert_with(|| view.layer(target));
        let from_tag = self.verdict.visits.get(&node).is_some_and(|visit| visit.from_tag);
        let mut doubts = vec![Recheck::Layer(self.at, target), Recheck::Blob(target)];
        let part = messages::BlobReference { manifest: node, role: edge.role, target };
        let (draft, breaks) = match answer {
            LayerAccess::Served(end) => {
                doubts.push(Recheck::Blob(end));
                // What could be looked at only the second time was not hashed with the rest.
                if self.client.leniency.content {
                    let is_unhashed = |node: &NodeId| view.graph.blob(*node).content == Content::Unhashed;
                    let unhashed = [target, end].into_iter().filter(is_unhashed);
                    self.verdict.doubts.extend(unhashed.map(Recheck::Content));
                }
                match self.sizes((node, manifest, number), part, end, size) {
                    Some(found) => found,
                    None => return,
                }
            }
            LayerAccess::Unread(part) => {
                // Looked at again: an error may pass, and what came to light in a second look was not looked for yet.
                for node in self.way(target) {
                    doubts.extend([Recheck::Layer(self.at, node), Recheck::Blob(node)]);
                    if view.graph.blob(node).content == Content::Unread {
                        doubts.push(Recheck::Content(node));
                    }
                }
                self.verdict.doubts.extend(doubts);
                self.verdict.set_unknown(node, format!("{}: {part}", view.graph.digest(target)));
                return;
            }
            LayerAccess::NoFolder | LayerAccess::Unlinked(_) | LayerAccess::NoBytes(_)
                if self.client.leniency.is_cache =>
            {
                return;
            }
            LayerAccess::NoFolder => {
                doubts.push(Recheck::LayersFolder(self.at));
                (messages::layers_folder(view, true), true)
            }
            LayerAccess::Unlinked(end) | LayerAccess::Invalid(end, _) => {
                doubts.extend([Recheck::Layer(self.at, end), Recheck::Blob(end)]);
                self.want_content(end);
                (messages::layer_link(view, part, &answer), true)
            }
            LayerAccess::Mismatch(link, _, sent) => {
                doubts.extend([Recheck::Layer(self.at, link), Recheck::Blob(link)]);
                self.want_content(link);
                let same_size =
                    sent.is_some_and(|sent| size.is_none_or(|size| view.graph.blob(sent).size == size));
                let is_right = sent.is_some_and(|sent| view.graph.real_digest(sent) == Some(target));
                (
                    messages::layer_link(view, part, &answer),
                    !same_size || self.client.leniency.content && !is_right,
                )
            }
            LayerAccess::WrongAlias(..) => {
                (messages::layer_link(view, part, &answer), self.client.leniency.content)
            }
            LayerAccess::NoBytes(end) => {
                doubts.push(Recheck::Blob(end));
                (messages::blob_missing(view, part, end), true)
            }
        };
        if from_tag {
            self.verdict.doubts.extend(doubts);
        }
        self.verdict.file(node, draft, breaks);
    }

    /// A layer, what its link names, and what the link of that names: as far as the server goes.
    fn way(&self, target: NodeId) -> impl Iterator<Item = NodeId> {
        let next = |node: &NodeId| match self.client.view.repository.layer(*node) {
            GraphLink::Names(next) if next != *node => Some(next),
            _ => None,
        };
        let second = next(&target);
        [Some(target), second, second.as_ref().and_then(next)].into_iter().flatten()
    }

    /// Judges bytes that are sent with 200.
    fn sizes(
        &mut self,
        at: (NodeId, &ManifestNode, usize),
        part: messages::BlobReference,
        end: NodeId,
        size: Option<u64>,
    ) -> Option<(Draft, bool)> {
        let actual = self.client.view.graph.blob(end).size;
        let right = self.client.view.has_right_bytes(end);
        if size.is_none_or(|size| size == actual) {
            return (right == Some(false)).then(|| {
                (
                    messages::wrong_blob(self.client.view, part, end, Code::BlobDigestMismatch, size),
                    self.client.leniency.content,
                )
            });
        }
        match right {
            None => {
                self.want_content(end);
                None
            }
            Some(true) => Some((messages::size_lie(self.client.view, at, part.target, actual), true)),
            Some(false) => {
                Some((messages::wrong_blob(self.client.view, part, end, Code::BlobSizeMismatch, size), true))
            }
        }
    }

    /// Asks for a blob to be hashed, where that decides what is said.
    fn want_content(&mut self, node: NodeId) {
        let blob = self.client.view.graph.blob(node);
        if blob.presence == Presence::Present && self.client.view.has_right_bytes(node).is_none() {
            self.verdict.doubts.push(Recheck::Content(node));
        }
    }
}
