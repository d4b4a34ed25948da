//! The verdict on one repository: which references do not hold, and which tags that breaks. What a manifest references
//! is judged in `parts`; how damage reaches tags is in `reach`.
//!
//! Every manifest is visited once, whatever number of tags reach it; damage is filed where it lies and carried up to
//! the tags afterwards.

mod parts;
mod reach;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::access::{Answer, LayerAnswer};
use super::code::Code;
use super::draft::{Draft, Key};
use super::visit::Visit;
use super::{history, words};
use crate::graph::{Doubt, Link, ManifestNode, NodeId, View};
use crate::oci::Algorithm;
use crate::oci::manifest::Role;

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

/// All that was found out about one repository.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) visits: HashMap<NodeId, Visit>,
    pub(super) drafts: Vec<Draft>,
    /// Broken tags by index, with the drafts that break them.
    pub(super) broken: BTreeMap<u32, Vec<usize>>,
    /// Tags that are not known to be broken, with what could not be read.
    pub(super) unknown: BTreeMap<u32, String>,
    pub(super) doubts: Vec<Doubt>,
}

/// The walk over one repository.
pub(super) struct Judge<'g> {
    view: View<'g>,
    at: u32,
    leniency: Leniency,
    verdict: Verdict,
    filed: HashMap<Key, usize>,
    layers: HashMap<NodeId, LayerAnswer>,
    /// What tags name and somebody probably deleted through the API.
    deleted: HashSet<NodeId>,
}

impl<'g> Judge<'g> {
    /// Judges the repository with index `at`.
    pub(super) fn judge(view: View<'g>, at: u32, leniency: Leniency) -> Verdict {
        let mut judge = Judge {
            view,
            at,
            leniency,
            verdict: Verdict::default(),
            filed: HashMap::new(),
            layers: HashMap::new(),
            deleted: HashSet::new(),
        };
        judge.tags();
        judge.walk(true);
        for entry in view.repository.revisions() {
            judge.enter(entry.node, None);
        }
        judge.walk(false);
        judge.deleted = judge.probably_deleted();
        judge.manifests();
        judge.carry_up();
        judge.verdict
    }

    /// Reads the tags' links and enters what they name.
    fn tags(&mut self) {
        let repository = self.view.repository;
        for (index, tag) in repository.numbered_tags() {
            let fault = match tag.current {
                _ if tag.is_file => {
                    Some((Code::TagLinkInvalid, "a file stands in the place of its folder".into()))
                }
                Link::Names(node) if self.view.graph.digest(node).algorithm() == Algorithm::Sha256 => {
                    self.enter(node, None);
                    if let Some(visit) = self.verdict.visits.get_mut(&node) {
                        visit.tags.push(index);
                    }
                    None
                }
                Link::Names(_) => Some((Code::TagLinkInvalid, "its link names no sha256 digest".into())),
                Link::Absent => Some((Code::TagLinkMissing, "it has no current/link".into())),
                Link::Invalid(fault) => Some((Code::TagLinkInvalid, words::link("its link", fault))),
                Link::Unread => {
                    self.verdict.doubts.push(Doubt::Tag(self.at, index));
                    self.verdict.unknown.insert(index, "the tag's link could not be read".into());
                    None
                }
            };
            if let Some((code, message)) = fault {
                self.verdict.doubts.push(Doubt::Tag(self.at, index));
                let draft = history::tag(self.view, tag, index, code, message);
                self.verdict.broken.insert(index, vec![self.verdict.drafts.len()]);
                self.verdict.drafts.push(draft);
            }
        }
    }

    /// Notes that something leads to a manifest; visits it if nobody has.
    fn enter(&mut self, node: NodeId, parent: Option<(NodeId, usize)>) -> bool {
        let view = self.view;
        let mut is_new = false;
        let visit = self.verdict.visits.entry(node).or_insert_with(|| {
            is_new = true;
            let answer = view.manifest(node);
            Visit { parents: vec![], tags: vec![], from_tag: false, answer, own: vec![], unknown: None }
        });
        visit.parents.extend(parent);
        is_new
    }

    /// Follows children from everything entered and not walked yet.
    fn walk(&mut self, from_tag: bool) {
        let mut frontier: Vec<NodeId> = self.verdict.visits.keys().copied().collect();
        if !from_tag {
            frontier.retain(|node| !self.verdict.visits[node].from_tag);
        }
        while let Some(node) = frontier.pop() {
            if let Some(visit) = self.verdict.visits.get_mut(&node) {
                visit.from_tag = from_tag;
            }
            let Some((_, manifest)) = self.served(node) else { continue };
            for (number, edge) in self.view.graph.edges(manifest).iter().enumerate() {
                if let Some(child) = edge.target.filter(|_| edge.role == Role::Child && !edge.has_urls)
                    && self.enter(child, Some((node, number)))
                {
                    frontier.push(child);
                }
            }
        }
    }

    /// The manifest that a client gets to read, or would with its link mended, and the digest that it is filed under.
    fn served(&self, node: NodeId) -> Option<(NodeId, &'g ManifestNode)> {
        let at = match self.verdict.visits.get(&node)?.answer {
            Answer::Served { .. } => node,
            // Not served, but its bytes are here: what it lacks besides is another damage.
            Answer::Unlinked if !self.is_excused(node) => node,
            Answer::LinkMismatch { target, sent: true } => target,
            _ => return None,
        };
        self.view.graph.manifest(at).map(|manifest| (at, manifest))
    }

    /// Manifests that only tags of their own lead to, and tags that lead to others of these: a child of an index that stays was
    /// not deleted on purpose.
    fn probably_deleted(&self) -> HashSet<NodeId> {
        let visits = &self.verdict.visits;
        let is_gone = |visit: &Visit| matches!(visit.answer, Answer::Unlinked | Answer::Missing(_));
        let mut deleted: HashSet<NodeId> = visits
            .iter()
            .filter(|(node, visit)| {
                !visit.tags.is_empty() && is_gone(visit) && self.view.repository.is_emptied(**node)
            })
            .map(|(node, _)| *node)
            .collect();
        loop {
            let stays = |parent: &NodeId| visits[parent].from_tag && !deleted.contains(parent);
            let is_child = |node: &&NodeId| visits[*node].parents.iter().any(|(parent, _)| stays(parent));
            let children: Vec<NodeId> = deleted.iter().filter(is_child).copied().collect();
            if children.is_empty() {
                return deleted;
            }
            for node in children {
                deleted.remove(&node);
            }
        }
    }

    /// Files what is wrong with every manifest visited and with what it references.
    fn manifests(&mut self) {
        let mut nodes: Vec<NodeId> = self.verdict.visits.keys().copied().collect();
        nodes.sort_unstable_by_key(|node| self.view.graph.digest(*node));
        for node in nodes {
            self.answer(node);
            if let Some((_, manifest)) = self.served(node) {
                self.parts(node, manifest);
            }
        }
    }

    /// Whether a manifest may be absent here: in a cache, or as a child in a sparse repository.
    fn is_excused(&self, node: NodeId) -> bool {
        let Some(visit) = self.verdict.visits.get(&node) else { return false };
        let is_absent = matches!(visit.answer, Answer::Unlinked | Answer::Missing(_));
        let is_unlinked = self.view.repository.revision(node) == Link::Absent;
        is_absent
            && (self.leniency.is_cache || self.leniency.is_sparse && is_unlinked && visit.tags.is_empty())
    }

    /// Files what is wrong with the answer to a manifest itself.
    fn answer(&mut self, node: NodeId) {
        let Some(visit) = self.verdict.visits.get(&node) else { return };
        let (from_tag, answer) = (visit.from_tag, visit.answer.clone());
        if self.is_excused(node) {
            return;
        }
        let breaks = match &answer {
            Answer::Served { right: true, .. } => return,
            Answer::Served { right: false, .. } | Answer::LinkMismatch { sent: true, .. } => false,
            Answer::Unknown(reason) => {
                self.verdict.doubts.extend([Doubt::Revision(self.at, node), Doubt::Manifest(node)]);
                self.verdict.doubts.extend(self.linked(node).map(Doubt::Manifest));
                let digest = self.view.graph.digest(node);
                self.set_unknown(node, format!("{digest}: {reason}"));
                return;
            }
            Answer::Unasked => {
                self.verdict.doubts.push(Doubt::Manifest(node));
                self.verdict.doubts.extend(self.linked(node).map(Doubt::Manifest));
                self.set_unknown(node, format!("{} was not read", self.view.graph.digest(node)));
                return;
            }
            _ => true,
        };
        if from_tag {
            self.verdict.doubts.extend([
                Doubt::Revision(self.at, node),
                Doubt::Layer(self.at, node),
                Doubt::Manifest(node),
            ]);
        }
        // Too large to have been read: whether it may be moved away depends on its hash.
        if matches!(answer, Answer::Unreadable(_)) && self.view.has_right_bytes(node).is_none() {
            self.verdict.doubts.push(Doubt::Content(node));
        }
        let draft = words::manifest(self.view, node, visit, self.deleted.contains(&node));
        self.file(node, draft, breaks);
    }

    /// What a revision link names.
    fn linked(&self, node: NodeId) -> Option<NodeId> {
        self.view.repository.revision(node).target()
    }

    fn set_unknown(&mut self, node: NodeId, reason: String) {
        if let Some(visit) = self.verdict.visits.get_mut(&node) {
            visit.unknown.get_or_insert(reason);
        }
    }

    /// Files a finding once, and notes that `node` is where a client meets it.
    fn file(&mut self, node: NodeId, draft: Draft, breaks: bool) {
        let drafts = &mut self.verdict.drafts;
        let number = *self.filed.entry(draft.key.clone()).or_insert_with(|| {
            drafts.push(draft);
            drafts.len() - 1
        });
        if let Some(visit) = self.verdict.visits.get_mut(&node) {
            visit.own.push((number, breaks));
        }
    }
}
