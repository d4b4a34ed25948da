//! The verdict on one repository of a tree or server: its manifests, what leads to each, its damage, and the tags that this
//! breaks. Every manifest is visited once, however many tags reach it; damage is filed where it lies, and then carried up
//! to all tags above it. The judges decide what is damage.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use super::access::ManifestAccess;
use super::draft::{DamageKey, Draft};
use crate::graph::{NodeId, Recheck, walk};

/// A manifest that was visited. `N` names a manifest, `A` is the source's answer to a GET of it.
#[derive(Debug)]
pub(crate) struct Visit<N = NodeId, A = ManifestAccess> {
    /// The references that lead here: the parent, and the index of its reference.
    pub(crate) parents: Vec<(N, usize)>,
    /// Numbers of the tags that name it.
    pub(crate) tags: Vec<u32>,
    /// Whether a tag reaches it.
    pub(crate) from_tag: bool,
    /// The answer of the source.
    pub(crate) answer: A,
    /// The drafts filed here, by index, and whether each keeps a client from pulling this manifest.
    drafts: Vec<(usize, bool)>,
    /// What could not be read, if that leaves it open whether this manifest is whole.
    unknown: Option<String>,
}

/// Everything found out about one repository.
#[derive(Debug)]
pub(crate) struct RepositoryVerdict<N = NodeId, A = ManifestAccess> {
    pub(crate) visits: HashMap<N, Visit<N, A>>,
    pub(crate) drafts: Vec<Draft<N>>,
    /// Broken tags by number, with the indexes of the drafts that break them.
    pub(crate) broken: BTreeMap<u32, Vec<usize>>,
    /// Unknown tags by number, with what could not be read.
    pub(crate) unknown: BTreeMap<u32, String>,
    /// What the source should look at again; empty for a server.
    pub(crate) doubts: Vec<Recheck>,
    /// Index of the draft for each damage.
    filed: HashMap<DamageKey<N>, usize>,
}

impl<N, A> Default for RepositoryVerdict<N, A> {
    fn default() -> Self {
        Self {
            visits: HashMap::new(),
            drafts: Vec::new(),
            broken: BTreeMap::new(),
            unknown: BTreeMap::new(),
            doubts: Vec::new(),
            filed: HashMap::new(),
        }
    }
}

impl<N: Copy + Eq + Hash, A> RepositoryVerdict<N, A> {
    /// Visits a manifest, by the reference of a parent if given. Returns whether it is new; only then `answer` is called.
    pub(crate) fn visit(&mut self, node: N, parent: Option<(N, usize)>, answer: impl FnOnce(N) -> A) -> bool {
        let mut is_new = false;
        let visit = self.visits.entry(node).or_insert_with(|| {
            is_new = true;
            let answer = answer(node);
            Visit { parents: vec![], tags: vec![], from_tag: false, answer, drafts: vec![], unknown: None }
        });
        visit.parents.extend(parent);
        is_new
    }

    /// Visits the manifest that a tag names.
    pub(crate) fn visit_tag(&mut self, tag: u32, node: N, answer: impl FnOnce(N) -> A) {
        self.visit(node, None, answer);
        if let Some(visit) = self.visits.get_mut(&node) {
            visit.tags.push(tag);
        }
    }

    /// Visits all descendants of the manifests that were not followed from a tag yet. `children` gives the children of one
    /// manifest, each with the index of its reference.
    pub(crate) fn follow_children<I: Iterator<Item = (usize, N)>>(
        &mut self,
        from_tag: bool,
        children: impl Fn(N, &Visit<N, A>) -> I,
        answer: impl Fn(N) -> A,
    ) {
        let unfollowed = self.visits.iter().filter(|(_, visit)| !visit.from_tag);
        let roots: Vec<N> = unfollowed.map(|(node, _)| *node).collect();
        let new_children = |node: N| -> Vec<N> {
            let Some(visit) = self.visits.get_mut(&node) else { return Vec::new() };
            visit.from_tag = from_tag;
            let mut children = children(node, visit);
            let is_new = |(number, child): &(usize, N)| self.visit(*child, Some((node, *number)), &answer);
            children.by_ref().filter(is_new).map(|(_, child)| child).collect()
        };
        // Only new children are followed: the others have been, or are among the roots.
        walk::mark((), roots, new_children);
    }

    /// Notes why a manifest is not known to be whole; the first reason is kept.
    pub(crate) fn set_unknown(&mut self, node: N, reason: String) {
        if let Some(visit) = self.visits.get_mut(&node) {
            visit.unknown.get_or_insert(reason);
        }
    }

    /// Files a draft about a tag itself, and marks the tag as broken.
    pub(crate) fn break_tag(&mut self, tag: u32, mut draft: Draft<N>) {
        draft.tags = [tag].into();
        self.broken.insert(tag, vec![self.drafts.len()]);
        self.drafts.push(draft);
    }

    /// Files a draft at `node`; one for the same damage is kept. `breaks` tells whether it keeps a client from pulling `node`.
    pub(crate) fn file_draft(&mut self, node: N, draft: Draft<N>, breaks: bool) {
        let drafts = &mut self.drafts;
        let number = *self.filed.entry(draft.key.clone()).or_insert_with(|| {
            drafts.push(draft);
            drafts.len() - 1
        });
        if let Some(visit) = self.visits.get_mut(&node) {
            visit.drafts.push((number, breaks));
        }
    }

    /// Carries damage, and what could not be read, up to the tags above it.
    pub(crate) fn carry_up(&mut self) {
        let has_something = |visit: &Visit<N, A>| !visit.drafts.is_empty() || visit.unknown.is_some();
        let affected = self.visits.iter().filter(|(_, visit)| has_something(visit)).map(|(node, _)| *node);
        let (affected, mut known): (Vec<N>, _) = (affected.collect(), HashMap::new());
        for node in affected {
            let tags = self.tags_above(node, &mut known);
            let Some(visit) = self.visits.get(&node) else { continue };
            for (draft, breaks) in &visit.drafts {
                let draft_tags = &mut self.drafts[*draft].tags;
                *draft_tags = union(draft_tags, &tags);
                if *breaks {
                    for tag in &*tags {
                        self.broken.entry(*tag).or_default().push(*draft);
                    }
                }
            }
            if let Some(reason) = &visit.unknown {
                for tag in &*tags {
                    // Of several reasons the smallest, so that every run names the same one.
                    let first = self.unknown.entry(*tag).or_insert_with(|| reason.clone());
                    if reason < first {
                        first.clone_from(reason);
                    }
                }
            }
        }
        for drafts in self.broken.values_mut() {
            drafts.sort_unstable();
            drafts.dedup();
        }
        let broken = &self.broken;
        self.unknown.retain(|tag, _| !broken.contains_key(tag));
    }

    /// Numbers of all tags that reach a manifest, ascending. Children of only one index share a list, kept in `known`.
    pub(crate) fn tags_above(&self, node: N, known: &mut HashMap<N, Arc<[u32]>>) -> Arc<[u32]> {
        if let Some(tags) = known.get(&node) {
            return Arc::clone(tags);
        }
        let visit = self.visits.get(&node);
        let only_parent = visit.filter(|visit| visit.tags.is_empty()).and_then(|visit| {
            let (first, _) = visit.parents.first()?;
            visit.parents.iter().all(|(parent, _)| parent == first).then_some(*first)
        });
        let tags = match only_parent.filter(|parent| *parent != node) {
            Some(parent) => Arc::clone(known.entry(parent).or_insert_with(|| self.collect_tags(parent))),
            None => self.collect_tags(node),
        };
        known.insert(node, Arc::clone(&tags));
        tags
    }

    /// The tags of a manifest and of all its ancestors.
    fn collect_tags(&self, node: N) -> Arc<[u32]> {
        let parents = |node| self.visits.get(&node).into_iter().flat_map(|visit| &visit.parents);
        let above = walk::reach(HashSet::new(), [node], |node| parents(node).map(|(parent, _)| *parent));
        let visits = above.filter_map(|node| self.visits.get(&node));
        let mut tags: Vec<u32> = visits.flat_map(|visit| &visit.tags).copied().collect();
        tags.sort_unstable();
        tags.dedup();
        tags.into()
    }
}

/// The union of two ascending lists, ascending.
fn union(a: &Arc<[u32]>, b: &Arc<[u32]>) -> Arc<[u32]> {
    if b.is_empty() || a == b {
        return Arc::clone(a);
    }
    if a.is_empty() {
        return Arc::clone(b);
    }
    let mut all: Vec<u32> = a.iter().chain(&**b).copied().collect();
    all.sort_unstable();
    all.dedup();
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_names_the_same_one_of_several_unread_parts() {
        for _ in 0..20 {
            let mut verdict: RepositoryVerdict<u32, ()> = RepositoryVerdict::default();
            verdict.visit_tag(0, 1, |_| ());
            let children = |node, _: &Visit<u32, ()>| (2..10).enumerate().filter(move |_| node == 1);
            verdict.follow_children(true, children, |_| ());
            (2..10).for_each(|node| verdict.set_unknown(node, format!("{node} could not be read")));
            verdict.carry_up();
            assert_eq!(verdict.unknown, BTreeMap::from([(0, "2 could not be read".to_owned())]));
        }
    }
}
