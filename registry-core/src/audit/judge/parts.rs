//! Judges what a served manifest references: configs, layers, and the sizes of children.

use super::Judge;
use crate::audit::access::LayerAccess;
use crate::audit::code::Code;
use crate::audit::draft::Draft;
use crate::audit::messages;
use crate::graph::{Content, Edge, GraphLink, ManifestNode, NodeId, Presence, Recheck};
use crate::oci::manifest::{Defect, Kind, ReferenceRole};
use crate::serve::RepositoryLinks as _;

impl Judge<'_> {
    /// Judges the references of a served manifest.
    pub(super) fn judge_parts(&mut self, node: NodeId, manifest: &ManifestNode) {
        for problem in manifest.problems.iter().filter(|problem| problem.defect == Defect::Part) {
            let draft =
                messages::invalid_descriptor(self.client.view, node, &problem.pointer, &problem.message);
            self.verdict.file_draft(node, draft, true);
        }
        let has_sizes = manifest.kind != Kind::Schema1;
        for (number, edge) in self.client.view.graph.edges(manifest).iter().enumerate() {
            let Some(target) = edge.target.filter(|_| !edge.has_urls) else { continue };
            if edge.role == ReferenceRole::Child {
                self.judge_child_size(node, manifest, number, edge, target);
            } else {
                let size = u64::try_from(edge.size).ok().filter(|_| has_sizes);
                self.judge_layer(node, manifest, (number, edge, target), size);
            }
        }
    }

    fn judge_child_size(
        &mut self,
        node: NodeId,
        manifest: &ManifestNode,
        number: usize,
        edge: &Edge,
        child: NodeId,
    ) {
        let Some((at, child_manifest)) = self.served_manifest(child) else { return };
        let actual = self.client.view.graph.blob(at).size;
        if child_manifest.kind != Kind::Schema1 && edge.size >= 0 && u64::try_from(edge.size) != Ok(actual) {
            let draft =
                messages::wrong_declared_size(self.client.view, (node, manifest, number), child, actual);
            self.verdict.file_draft(node, draft, true);
        }
    }

    fn judge_layer(
        &mut self,
        node: NodeId,
        manifest: &ManifestNode,
        (number, edge, target): (usize, &Edge, NodeId),
        size: Option<u64>,
    ) {
        let view = self.client.view;
        let answer = *self.layers.entry(target).or_insert_with(|| view.layer(target));
        let from_tag = self.verdict.visits.get(&node).is_some_and(|visit| visit.from_tag);
        let mut doubts = vec![Recheck::Layer(self.index, target), Recheck::Blob(target)];
        let part = messages::BlobReference { manifest: node, role: edge.role, target };
        let (draft, breaks) = match answer {
            LayerAccess::Served(end) => {
                doubts.push(Recheck::Blob(end));
                // A blob that only the second look could read was not hashed with the others.
                if self.client.leniency.content {
                    let is_unhashed = |node: &NodeId| view.graph.blob(*node).content == Content::Unhashed;
                    let unhashed = [target, end].into_iter().filter(is_unhashed);
                    self.verdict.doubts.extend(unhashed.map(Recheck::Content));
                }
                match self.judge_sizes((node, manifest, number), part, end, size) {
                    Some(found) => found,
                    None => return,
                }
            }
            LayerAccess::Unread(part) => {
                // The error may pass; and the scan did not look for what only a second look found.
                for node in self.link_chain(target) {
                    doubts.extend([Recheck::Layer(self.index, node), Recheck::Blob(node)]);
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
                doubts.push(Recheck::LayersFolder(self.index));
                (messages::missing_layers_folder(view, true), true)
            }
            LayerAccess::Unlinked(end) | LayerAccess::Invalid(end, _) => {
                doubts.extend([Recheck::Layer(self.index, end), Recheck::Blob(end)]);
                self.request_hash(end);
                (messages::layer_link_damage(view, part, &answer), true)
            }
            LayerAccess::Mismatch(link, _, sent) => {
                doubts.extend([Recheck::Layer(self.index, link), Recheck::Blob(link)]);
                self.request_hash(link);
                let same_size =
                    sent.is_some_and(|sent| size.is_none_or(|size| view.graph.blob(sent).size == size));
                let is_right = sent.is_some_and(|sent| view.graph.real_digest(sent) == Some(target));
                (
                    messages::layer_link_damage(view, part, &answer),
                    !same_size || self.client.leniency.content && !is_right,
                )
            }
            LayerAccess::WrongAlias(..) => {
                (messages::layer_link_damage(view, part, &answer), self.client.leniency.content)
            }
            LayerAccess::NoBytes(end) => {
                doubts.push(Recheck::Blob(end));
                (messages::missing_blob(view, part, end), true)
            }
        };
        if from_tag {
            self.verdict.doubts.extend(doubts);
        }
        self.verdict.file_draft(node, draft, breaks);
    }

    /// A layer, what its link names, and what the link of that names: a registry follows no further link.
    fn link_chain(&self, target: NodeId) -> impl Iterator<Item = NodeId> {
        let next = |node: &NodeId| match self.client.view.repository.layer(*node) {
            GraphLink::Names(next) if next != *node => Some(next),
            _ => None,
        };
        let second = next(&target);
        [Some(target), second, second.as_ref().and_then(next)].into_iter().flatten()
    }

    /// Judges bytes that are sent with 200: their size, and their hash where it is known. `end` names them.
    fn judge_sizes(
        &mut self,
        at: (NodeId, &ManifestNode, usize),
        part: messages::BlobReference,
        end: NodeId,
        size: Option<u64>,
    ) -> Option<(Draft, bool)> {
        let view = self.client.view;
        let actual = view.graph.blob(end).size;
        let right = view.has_right_bytes(end);
        if size.is_none_or(|size| size == actual) {
            return (right == Some(false)).then(|| {
                (
                    messages::wrong_blob(view, part, end, Code::BlobDigestMismatch, size),
                    self.client.leniency.content,
                )
            });
        }
        match right {
            None => {
                self.request_hash(end);
                None
            }
            Some(true) => Some((messages::wrong_declared_size(view, at, part.target, actual), true)),
            Some(false) => Some((messages::wrong_blob(view, part, end, Code::BlobSizeMismatch, size), true)),
        }
    }

    /// Asks for a blob to be hashed, if that is still to be done.
    fn request_hash(&mut self, node: NodeId) {
        let blob = self.client.view.graph.blob(node);
        if blob.presence == Presence::Present && self.client.view.has_right_bytes(node).is_none() {
            self.verdict.doubts.push(Recheck::Content(node));
        }
    }
}
