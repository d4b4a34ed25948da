//! The verdict on one repository, read from a disk or asked for: the manifests that were met, what leads to each, what is wrong
//! there, and which tags that breaks. What is wrong is decided by the judges; here every manifest is entered once, whatever
//! number of tags reach it, damage is filed where it lies and then carried up to the tags through which a client meets it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use super::access::ManifestAccess;
use super::draft::{DamageKey, Draft};
use crate::graph::{NodeId, Recheck, walk};

/// A manifest that was met. `N` names a manifest, `A` is what the source answers to a GET of it.
#[derive(Debug)]
pub(crate) struct Visit<N = NodeId, A = ManifestAccess> {
    /// The references that led here: a manifest, and the number of its reference.
    pub(crate) parents: Vec<(N, usize)>,
    /// Tags that name it, by number.
    pub(crate) tags: Vec<u32>,
    /// Whether a tag reaches it.
    pub(crate) from_tag: bool,
    /// What the source answers.
    pub(crate) answer: A,
    /// Findings that lie here, and whether a client who pulls this manifest runs into them.
    own: Vec<(usize, bool)>,
    /// What could not be read, so that nothing is known of it.
    unknown: Option<String>,
}

/// All that was found out about one repository.
#[derive(Debug)]
pub(crate) struct RepositoryVerdict<N = NodeId, A = ManifestAccess> {
    pub(crate) visits: HashMap<N, Visit<N, A>>,
    pub(crate) drafts: Vec<Draft<N>>,
    /// Broken tags by number, with the drafts that break them.
    pub(crate) broken: BTreeMap<u32, Vec<usize>>,
    /// Tags that are not known to be broken, with what could not be read.
    pub(crate) unknown: BTreeMap<u32, String>,
    /// What a source is to look at once more, where one can.
    pub(crate) doubts: Vec<Recheck>,
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
    /// Notes that a reference leads to a manifest, or something else does; whether nobody had met it. Then `answer` is asked.
    pub(crate) fn enter(&mut self, node: N, parent: Option<(N, usize)>, answer: impl FnOnce(N) -> A) -> bool {
        let mut is_new = false;
        let visit = self.visits.entry(node).or_insert_with(|| {
            is_new = true;
            let answer = answer(node);
            Visit { parents: vec![], tags: vec![], from_tag: false, answer, own: vec![], unknown: None }
        });
        visit.parents.extend(parent);
        is_new
    }

    /// Notes that a tag names a manifest.
    pub(crate) fn enter_tag(&mut self, tag: u32, node: N, answer: impl FnOnce(N) -> A) {
        self.enter(node, None, answer);
        if let Some(visit) = self.visits.get_mut(&node) {
            visit.tags.push(tag);
        }
    }

    /// Follows the children, with the numbers of the references, of all manifests that were entered and not followed from a
    /// tag, and theirs.
    pub(crate) fn follow<I: Iterator<Item = (usize, N)>>(
        &mut self,
        from_tag: bool,
        children: impl Fn(N, &Visit<N, A>) -> I,
        answer: impl Fn(N) -> A,
    ) {
        let roots = self.visits.iter().filter(|(_, visit)| !visit.from_tag).map(|(node, _)| *node);
        let roots: Vec<N> = roots.collect();
        let new_children = |node: N| -> Vec<N> {
            let Some(visit) = self.visits.get_mut(&node) else { return Vec::new() };
            visit.from_tag = from_tag;
            let mut children = children(node, visit);
            let is_new = |(number, child): &(usize, N)| self.enter(*child, Some((node, *number)), &answer);
            children.by_ref().filter(is_new).map(|(_, child)| child).collect()
        };
        // What was met before has been followed, or will be.
        walk::mark((), roots, new_children);
    }

    /// Notes that not all is known of a manifest.
    pub(crate) fn set_unknown(&mut self, node: N, reason: String) {
        if let Some(visit) = self.visits.get_mut(&node) {
            visit.unknown.get_or_insert(reason);
        }
    }

    /// Files a finding about a tag itself, which breaks it.
    pub(crate) fn break_tag(&mut self, tag: u32, mut draft: Draft<N>) {
        draft.tags = [tag].into();
        self.broken.insert(tag, vec![self.drafts.len()]);
        self.drafts.push(draft);
    }

    /// Files a finding once, and notes that `node` is where a client meets it.
    pub(crate) fn file(&mut self, node: N, draft: Draft<N>, breaks: bool) {
        let drafts = &mut self.drafts;
        let number = *self.filed.entry(draft.key.clone()).or_insert_with(|| {
            drafts.push(draft);
            drafts.len() - 1
        });
        if let Some(visit) = self.visits.get_mut(&node) {
            visit.own.push((number, breaks));
        }
    }

    /// Carries findings and unread places from where they lie up to the tags.
    pub(crate) fn carry_up(&mut self) {
        let has_something = |visit: &Visit<N, A>| !visit.own.is_empty() || visit.unknown.is_some();
        let marked = self.visits.iter().filter(|(_, visit)| has_something(visit)).map(|(node, _)| *node);
        let (marked, mut known): (Vec<N>, _) = (marked.collect(), HashMap::new());
        for node in marked {
            let tags = self.tags_above(node, &mut known);
            let Some(visit) = self.visits.get(&node) else { continue };
            for (draft, breaks) in &visit.own {
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
                    // Of several the same one is named in every run.
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

    /// All tags from which a manifest is reached. Children of the same index, and of no other, share one list.
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

/// Both lists as one, ascending.
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
    fn of_several_unread_parts_of_a_tag_the_same_one_is_named_in_every_run() {
        for _ in 0..20 {
            let mut verdict: RepositoryVerdict<u32, ()> = RepositoryVerdict::default();
            verdict.enter_tag(0, 1, |_| ());
            let children = |node, _: &Visit<u32, ()>| (2..10).enumerate().filter(move |_| node == 1);
            verdict.follow(true, children, |_| ());
            (2..10).for_each(|node| verdict.set_unknown(node, format!("{node} could not be read")));
            verdict.carry_up();
            assert_eq!(verdict.unknown, BTreeMap::from([(0, "2 could not be read".to_owned())]));
        }
    }
}
