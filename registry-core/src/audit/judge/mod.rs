//! Judges one repository of a tree: its tags and manifests. `parts` judges what a manifest references; the
//! [verdict](super::verdict) carries damage up to the tags.

mod parts;

use std::collections::{HashMap, HashSet};

use super::access::{LayerAccess, ManifestAccess};
use super::code::Code;
use super::verdict::{RepositoryVerdict, Visit};
use super::{history, messages};
use crate::graph::{GraphLink, ManifestNode, NodeId, Recheck, RepositoryView, walk};
use crate::oci::Algorithm;
use crate::oci::manifest::ReferenceRole;

/// What is not damage in a repository.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leniency {
    /// In a cache, what is absent was not fetched or has expired.
    pub(super) is_cache: bool,
    /// In a sparse repository, children without a revision link may be absent on purpose.
    pub(super) is_sparse: bool,
    /// Whether all bytes were hashed: only then wrong bytes of the right size break a tag.
    pub(super) content: bool,
}

/// A client that pulls from one repository.
#[derive(Debug, Clone, Copy)]
struct SimulatedClient<'g> {
    view: RepositoryView<'g>,
    leniency: Leniency,
}

impl<'g> SimulatedClient<'g> {
    /// Whether a manifest may be absent here: in a cache, or as a child in a sparse repository.
    fn may_lack(self, node: NodeId, visit: &Visit) -> bool {
        let is_absent = matches!(visit.answer, ManifestAccess::Unlinked | ManifestAccess::Missing(_));
        let is_unlinked = self.view.repository.revision(node) == GraphLink::Absent;
        is_absent
            && (self.leniency.is_cache || self.leniency.is_sparse && is_unlinked && visit.tags.is_empty())
    }

    /// The manifest that the client reads, or would read with the revision link repaired, and the digest it is filed under.
    fn manifest(self, node: NodeId, visit: &Visit) -> Option<(NodeId, &'g ManifestNode)> {
        let at = match visit.answer {
            ManifestAccess::Served { .. } => node,
            // Its bytes are present; what they reference may be damaged too.
            ManifestAccess::Unlinked if !self.may_lack(node, visit) => node,
            ManifestAccess::LinkMismatch { target, sent: true } => target,
            _ => return None,
        };
        self.view.graph.manifest(at).map(|manifest| (at, manifest))
    }

    /// The children that the client asks for then, each with the index of its reference.
    fn children(self, node: NodeId, visit: &Visit) -> impl Iterator<Item = (usize, NodeId)> + use<'g> {
        let manifest = self.manifest(node, visit).map(|(_, manifest)| manifest);
        let edges = manifest.map_or(&[][..], |manifest| self.view.graph.edges(manifest));
        let children =
            edges.iter().enumerate().filter(|(_, edge)| edge.role == ReferenceRole::Child && !edge.has_urls);
        children.filter_map(|(number, edge)| Some((number, edge.target?)))
    }
}

/// Judges one repository.
pub(super) struct Judge<'g> {
    client: SimulatedClient<'g>,
    /// Index of the repository in the graph.
    index: u32,
    verdict: RepositoryVerdict,
    layers: HashMap<NodeId, LayerAccess>,
    /// Tagged manifests that somebody probably deleted through the API.
    deleted: HashSet<NodeId>,
}

impl<'g> Judge<'g> {
    pub(super) fn judge(view: RepositoryView<'g>, index: u32, leniency: Leniency) -> RepositoryVerdict {
        let (verdict, layers, deleted) = (RepositoryVerdict::default(), HashMap::new(), HashSet::new());
        let client = SimulatedClient { view, leniency };
        let mut judge = Judge { client, index, verdict, layers, deleted };
        judge.judge_tags();
        judge.follow_children(true);
        for entry in view.repository.revisions() {
            judge.verdict.visit(entry.node, None, |node| view.manifest(node));
        }
        judge.follow_children(false);
        judge.deleted = judge.probably_deleted();
        judge.judge_manifests();
        judge.verdict.carry_up();
        // A broken tag may have been deleted during the scan.
        let verdict = &mut judge.verdict;
        verdict.doubts.extend(verdict.broken.keys().map(|tag| Recheck::Tag(index, *tag)));
        judge.verdict
    }

    fn follow_children(&mut self, from_tag: bool) {
        let client = self.client;
        let children = |node, visit: &Visit| client.children(node, visit);
        self.verdict.follow_children(from_tag, children, |node| client.view.manifest(node));
    }

    /// Judges the links of the tags, and visits the manifests that they name.
    fn judge_tags(&mut self) {
        let view = self.client.view;
        for (number, tag) in view.repository.numbered_tags() {
            let fault = match tag.current {
                _ if tag.is_file => {
                    Some((Code::TagLinkInvalid, "a file stands in the place of its folder".into()))
                }
                GraphLink::Names(node) if view.graph.digest(node).algorithm() == Algorithm::Sha256 => {
                    self.verdict.visit_tag(number, node, |node| view.manifest(node));
                    None
                }
                GraphLink::Names(_) => Some((Code::TagLinkInvalid, "its link names no sha256 digest".into())),
                GraphLink::Absent => Some((Code::TagLinkMissing, "it has no current/link".into())),
                GraphLink::Invalid(fault) => {
                    Some((Code::TagLinkInvalid, messages::link_fault("its link", fault)))
                }
                GraphLink::Unread => {
                    self.verdict.doubts.push(Recheck::Tag(self.index, number));
                    self.verdict.unknown.insert(number, "the tag's link could not be read".into());
                    None
                }
            };
            if let Some((code, message)) = fault {
                self.verdict.doubts.push(Recheck::Tag(self.index, number));
                self.verdict.break_tag(number, history::broken_tag(view, tag, code, message));
            }
        }
    }

    /// As [`SimulatedClient::manifest`], for a manifest that was visited.
    fn served_manifest(&self, node: NodeId) -> Option<(NodeId, &'g ManifestNode)> {
        self.client.manifest(node, self.verdict.visits.get(&node)?)
    }

    /// Tagged manifests that were probably deleted through the API: the folder of the revision link is empty. A child of an
    /// index that is not deleted itself does not count: nobody deletes such a child on purpose.
    fn probably_deleted(&self) -> HashSet<NodeId> {
        let visits = &self.verdict.visits;
        let is_gone =
            |visit: &Visit| matches!(visit.answer, ManifestAccess::Unlinked | ManifestAccess::Missing(_));
        let named = visits.iter().filter(|(_, visit)| !visit.tags.is_empty() && is_gone(visit));
        let with_empty_folder = named
            .map(|(node, _)| *node)
            .filter(|node| self.client.view.repository.has_empty_revision_folder(*node));
        let mut deleted: HashSet<NodeId> = with_empty_folder.collect();
        let is_kept = |parent: &NodeId| visits[parent].from_tag && !deleted.contains(parent);
        let is_child = |node: &NodeId| visits[node].parents.iter().any(|(parent, _)| is_kept(parent));
        let is_deleted = |node: &NodeId| deleted.contains(node);
        let children = |node| {
            let children = self.client.children(node, &visits[&node]);
            children.map(|(_, child)| child).filter(is_deleted)
        };
        let roots = deleted.iter().copied().filter(is_child);
        let children: HashSet<NodeId> = walk::reach(HashSet::new(), roots, children).collect();
        deleted.retain(|node| !children.contains(node));
        deleted
    }

    /// Judges every visited manifest and what it references.
    fn judge_manifests(&mut self) {
        let mut nodes: Vec<NodeId> = self.verdict.visits.keys().copied().collect();
        nodes.sort_unstable_by_key(|node| self.client.view.graph.digest(*node));
        for node in nodes {
            self.judge_answer(node);
            if let Some((_, manifest)) = self.served_manifest(node) {
                self.judge_parts(node, manifest);
            }
        }
    }

    /// Judges the answer to a GET of a manifest.
    fn judge_answer(&mut self, node: NodeId) {
        let Some(visit) = self.verdict.visits.get(&node) else { return };
        let (from_tag, answer) = (visit.from_tag, visit.answer.clone());
        if self.client.may_lack(node, visit) {
            return;
        }
        let breaks = match &answer {
            ManifestAccess::Served { right: true, .. } => return,
            ManifestAccess::Served { right: false, .. } | ManifestAccess::LinkMismatch { sent: true, .. } => {
                false
            }
            ManifestAccess::Unknown(reason) => {
                self.verdict.doubts.push(Recheck::Revision(self.index, node));
                self.set_unread(node, &format!(": {reason}"));
                return;
            }
            ManifestAccess::Unasked => {
                self.set_unread(node, " was not read");
                return;
            }
            _ => true,
        };
        if from_tag {
            self.verdict.doubts.extend([
                Recheck::Revision(self.index, node),
                Recheck::Layer(self.index, node),
                Recheck::Manifest(node),
            ]);
        }
        // The manifest may have been too large to be read; whether a repair may move it away depends on its hash.
        if matches!(answer, ManifestAccess::Unreadable(_)) && self.client.view.has_right_bytes(node).is_none()
        {
            self.verdict.doubts.push(Recheck::Content(node));
        }
        let draft = messages::manifest_damage(self.client.view, node, visit, self.deleted.contains(&node));
        self.verdict.file_draft(node, draft, breaks);
    }

    /// Marks a manifest as unknown, and doubts it and what its revision link names.
    fn set_unread(&mut self, node: NodeId, reason: &str) {
        let RepositoryView { graph, repository } = self.client.view;
        let target = repository.revision(node).target();
        self.verdict.doubts.extend([Some(node), target].into_iter().flatten().map(Recheck::Manifest));
        self.verdict.set_unknown(node, format!("{}{reason}", graph.digest(node)));
    }
}
