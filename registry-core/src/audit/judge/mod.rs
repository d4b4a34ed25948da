//! The audit of one repository: which references do not hold. What a manifest references is judged in `parts`; what that means
//! for tags is the [verdict's](super::verdict) matter.

mod parts;

use std::collections::{HashMap, HashSet};

use super::access::{LayerAccess, ManifestAccess};
use super::code::Code;
use super::verdict::{RepositoryVerdict, Visit};
use super::{history, messages};
use crate::graph::{GraphLink, ManifestNode, NodeId, Recheck, View, walk};
use crate::oci::Algorithm;
use crate::oci::manifest::ReferenceRole;

/// What a repository is excused from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leniency {
    /// A cache: what is absent was not fetched, or has expired.
    pub(super) is_cache: bool,
    /// Children without revision link may be absent on purpose.
    pub(super) is_sparse: bool,
    /// Wrong bytes of the right size break a tag.
    pub(super) content: bool,
}

/// A client of one repository.
#[derive(Debug, Clone, Copy)]
struct SimulatedClient<'g> {
    view: View<'g>,
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

    /// The manifest that it gets to read, or would with its link mended, and the digest that it is filed under.
    fn manifest(self, node: NodeId, visit: &Visit) -> Option<(NodeId, &'g ManifestNode)> {
        let at = match visit.answer {
            ManifestAccess::Served { .. } => node,
            // Not served, but its bytes are here: what it lacks besides is another damage.
            ManifestAccess::Unlinked if !self.may_lack(node, visit) => node,
            ManifestAccess::LinkMismatch { target, sent: true } => target,
            _ => return None,
        };
        self.view.graph.manifest(at).map(|manifest| (at, manifest))
    }

    /// The children that it asks for then, with the numbers of their references.
    fn children(self, node: NodeId, visit: &Visit) -> impl Iterator<Item = (usize, NodeId)> + use<'g> {
        let manifest = self.manifest(node, visit).map(|(_, manifest)| manifest);
        let edges = manifest.map_or(&[][..], |manifest| self.view.graph.edges(manifest));
        let children =
            edges.iter().enumerate().filter(|(_, edge)| edge.role == ReferenceRole::Child && !edge.has_urls);
        children.filter_map(|(number, edge)| Some((number, edge.target?)))
    }
}

/// The judging of one repository.
pub(super) struct Judge<'g> {
    client: SimulatedClient<'g>,
    at: u32,
    verdict: RepositoryVerdict,
    layers: HashMap<NodeId, LayerAccess>,
    /// What tags name and somebody probably deleted through the API.
    deleted: HashSet<NodeId>,
}

impl<'g> Judge<'g> {
    /// Judges the repository with index `at`.
    pub(super) fn judge(view: View<'g>, at: u32, leniency: Leniency) -> RepositoryVerdict {
        let (verdict, layers, deleted) = (RepositoryVerdict::default(), HashMap::new(), HashSet::new());
        let client = SimulatedClient { view, leniency };
        let mut judge = Judge { client, at, verdict, layers, deleted };
        judge.tags();
        judge.follow(true);
        for entry in view.repository.revisions() {
            judge.verdict.enter(entry.node, None, |node| view.manifest(node));
        }
        judge.follow(false);
        judge.deleted = judge.probably_deleted();
        judge.manifests();
        judge.verdict.carry_up();
        // Whoever deleted a tag while we read has damaged nothing.
        let verdict = &mut judge.verdict;
        verdict.doubts.extend(verdict.broken.keys().map(|tag| Recheck::Tag(at, *tag)));
        judge.verdict
    }

    fn follow(&mut self, from_tag: bool) {
        let client = self.client;
        let children = |node, visit: &Visit| client.children(node, visit);
        self.verdict.follow(from_tag, children, |node| client.view.manifest(node));
    }

    /// Reads the tags' links and enters what they name.
    fn tags(&mut self) {
        let view = self.client.view;
        for (index, tag) in view.repository.numbered_tags() {
            let fault = match tag.current {
                _ if tag.is_file => {
                    Some((Code::TagLinkInvalid, "a file stands in the place of its folder".into()))
                }
                GraphLink::Names(node) if view.graph.digest(node).algorithm() == Algorithm::Sha256 => {
                    self.verdict.enter_tag(index, node, |node| view.manifest(node));
                    None
                }
                GraphLink::Names(_) => Some((Code::TagLinkInvalid, "its link names no sha256 digest".into())),
                GraphLink::Absent => Some((Code::TagLinkMissing, "it has no current/link".into())),
                GraphLink::Invalid(fault) => Some((Code::TagLinkInvalid, messages::link("its link", fault))),
                GraphLink::Unread => {
                    self.verdict.doubts.push(Recheck::Tag(self.at, index));
                    self.verdict.unknown.insert(index, "the tag's link could not be read".into());
                    None
                }
            };
            if let Some((code, message)) = fault {
                self.verdict.doubts.push(Recheck::Tag(self.at, index));
                self.verdict.break_tag(index, history::tag(view, tag, code, message));
            }
        }
    }

    /// The manifest that a client gets to read, or would with its link mended, and the digest that it is filed under.
    fn served(&self, node: NodeId) -> Option<(NodeId, &'g ManifestNode)> {
        self.client.manifest(node, self.verdict.visits.get(&node)?)
    }

    /// Manifests that only tags of their own lead to, and tags that lead to others of these: a child of an index that stays was
    /// not deleted on purpose.
    fn probably_deleted(&self) -> HashSet<NodeId> {
        let visits = &self.verdict.visits;
        let is_gone =
            |visit: &Visit| matches!(visit.answer, ManifestAccess::Unlinked | ManifestAccess::Missing(_));
        let named = visits.iter().filter(|(_, visit)| !visit.tags.is_empty() && is_gone(visit));
        let emptied =
            named.map(|(node, _)| *node).filter(|node| self.client.view.repository.is_emptied(*node));
        let mut deleted: HashSet<NodeId> = emptied.collect();
        let stays = |parent: &NodeId| visits[parent].from_tag && !deleted.contains(parent);
        let is_child = |node: &NodeId| visits[node].parents.iter().any(|(parent, _)| stays(parent));
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

    /// Files what is wrong with every manifest visited and with what it references.
    fn manifests(&mut self) {
        let mut nodes: Vec<NodeId> = self.verdict.visits.keys().copied().collect();
        nodes.sort_unstable_by_key(|node| self.client.view.graph.digest(*node));
        for node in nodes {
            self.answer(node);
            if let Some((_, manifest)) = self.served(node) {
                self.parts(node, manifest);
            }
        }
    }

    /// Files what is wrong with the answer to a manifest itself.
    fn answer(&mut self, node: NodeId) {
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
                self.verdict.doubts.extend([Recheck::Revision(self.at, node), Recheck::Manifest(node)]);
                self.verdict.doubts.extend(self.linked(node).map(Recheck::Manifest));
                let digest = self.client.view.graph.digest(node);
                self.verdict.set_unknown(node, format!("{digest}: {reason}"));
                return;
            }
            ManifestAccess::Unasked => {
                self.verdict.doubts.push(Recheck::Manifest(node));
                self.verdict.doubts.extend(self.linked(node).map(Recheck::Manifest));
                self.verdict
                    .set_unknown(node, format!("{} was not read", self.client.view.graph.digest(node)));
                return;
            }
            _ => true,
        };
        if from_tag {
            self.verdict.doubts.extend([
                Recheck::Revision(self.at, node),
                Recheck::Layer(self.at, node),
                Recheck::Manifest(node),
            ]);
        }
        // Too large to have been read: whether it may be moved away depends on its hash.
        if matches!(answer, ManifestAccess::Unreadable(_)) && self.client.view.has_right_bytes(node).is_none()
        {
            self.verdict.doubts.push(Recheck::Content(node));
        }
        let draft = messages::manifest(self.client.view, node, visit, self.deleted.contains(&node));
        self.verdict.file(node, draft, breaks);
    }

    /// What a revision link names.
    fn linked(&self, node: NodeId) -> Option<NodeId> {
        self.client.view.repository.revision(node).target()
    }
}
