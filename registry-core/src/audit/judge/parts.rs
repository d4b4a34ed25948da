//! What a manifest that is served references: children's sizes, configs and layers.

use super::Judge;
use crate::audit::access::LayerAnswer;
use crate::audit::code::Code;
use crate::audit::draft::Draft;
use crate::audit::words;
use crate::graph::{Content, Doubt, Edge, Link, ManifestNode, NodeId, Presence};
use crate::oci::manifest::{Defect, Kind, Role};
use crate::serve::Shelf as _;

impl Judge<'_> {
    /// Files what is wrong with the references of a manifest that is served.
    pub(super) fn parts(&mut self, node: NodeId, manifest: &ManifestNode) {
        for problem in manifest.problems.iter().filter(|problem| problem.defect == Defect::Part) {
            let draft = words::descriptor(self.client.view, node, &problem.pointer, &problem.message);
            self.verdict.file(node, draft, true);
        }
        let has_sizes = manifest.kind != Kind::Schema1;
        for (number, edge) in self.client.view.graph.edges(manifest).iter().enumerate() {
            let Some(target) = edge.target.filter(|_| !edge.has_urls) else { continue };
            if edge.role == Role::Child {
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
            let draft = words::size_lie(self.client.view, (node, manifest, number), child, actual);
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
        let mut doubts = vec![Doubt::Layer(self.at, target), Doubt::Blob(target)];
        let part = words::Part { manifest: node, role: edge.role, target };
        let (draft, breaks) = match answer {
            LayerAnswer::Served(end) => {
                doubts.push(Doubt::Blob(end));
                // What could be looked at only the second time was not hashed with the rest.
                if self.client.leniency.content {
                    let is_unhashed = |node: &NodeId| view.graph.blob(*node).content == Content::Unhashed;
                    let unhashed = [target, end].into_iter().filter(is_unhashed);
                    self.verdict.doubts.extend(unhashed.map(Doubt::Content));
                }
                match self.sizes((node, manifest, number), part, end, size) {
                    Some(found) => found,
                    None => return,
                }
            }
            LayerAnswer::Unread(part) => {
                // Looked at again: an error may pass, and what came to light in a second look was not looked for yet.
                for node in self.way(target) {
                    doubts.extend([Doubt::Layer(self.at, node), Doubt::Blob(node)]);
                    if view.graph.blob(node).content == Content::Unread {
                        doubts.push(Doubt::Content(node));
                    }
                }
                self.verdict.doubts.extend(doubts);
                self.verdict.set_unknown(node, format!("{}: {part}", view.graph.digest(target)));
                return;
            }
            LayerAnswer::NoFolder | LayerAnswer::Unlinked(_) | LayerAnswer::NoBytes(_)
                if self.client.leniency.is_cache =>
            {
                return;
            }
            LayerAnswer::NoFolder => {
                doubts.push(Doubt::LayersFolder(self.at));
                (words::layers_folder(view, true), true)
            }
            LayerAnswer::Unlinked(end) | LayerAnswer::Invalid(end, _) => {
                doubts.extend([Doubt::Layer(self.at, end), Doubt::Blob(end)]);
                self.want_content(end);
                (words::layer_link(view, part, &answer), true)
            }
            LayerAnswer::Mismatch(link, _, sent) => {
                doubts.extend([Doubt::Layer(self.at, link), Doubt::Blob(link)]);
                self.want_content(link);
                let same_size =
                    sent.is_some_and(|sent| size.is_none_or(|size| view.graph.blob(sent).size == size));
                let is_right = sent.is_some_and(|sent| view.graph.real_digest(sent) == Some(target));
                (
                    words::layer_link(view, part, &answer),
                    !same_size || self.client.leniency.content && !is_right,
                )
            }
            LayerAnswer::WrongAlias(..) => {
                (words::layer_link(view, part, &answer), self.client.leniency.content)
            }
            LayerAnswer::NoBytes(end) => {
                doubts.push(Doubt::Blob(end));
                (words::blob_missing(view, part, end), true)
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
            Link::Names(next) if next != *node => Some(next),
            _ => None,
        };
        let second = next(&target);
        [Some(target), second, second.as_ref().and_then(next)].into_iter().flatten()
    }

    /// Judges bytes that are sent with 200.
    fn sizes(
        &mut self,
        at: (NodeId, &ManifestNode, usize),
        part: words::Part,
        end: NodeId,
        size: Option<u64>,
    ) -> Option<(Draft, bool)> {
        let actual = self.client.view.graph.blob(end).size;
        let right = self.client.view.has_right_bytes(end);
        if size.is_none_or(|size| size == actual) {
            return (right == Some(false)).then(|| {
                (
                    words::wrong_blob(self.client.view, part, end, Code::BlobDigestMismatch, size),
                    self.client.leniency.content,
                )
            });
        }
        match right {
            None => {
                self.want_content(end);
                None
            }
            Some(true) => Some((words::size_lie(self.client.view, at, part.target, actual), true)),
            Some(false) => {
                Some((words::wrong_blob(self.client.view, part, end, Code::BlobSizeMismatch, size), true))
            }
        }
    }

    /// Asks for a blob to be hashed, where that decides what is said.
    fn want_content(&mut self, node: NodeId) {
        let blob = self.client.view.graph.blob(node);
        if blob.presence == Presence::Present && self.client.view.has_right_bytes(node).is_none() {
            self.verdict.doubts.push(Doubt::Content(node));
        }
    }
}
