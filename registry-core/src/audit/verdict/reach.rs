//! From where damage lies up to the tags through which a client meets it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Judge;
use crate::graph::{Doubt, NodeId};

impl Judge<'_> {
    /// Carries findings and unread places from where they lie up to the tags.
    pub(super) fn carry_up(&mut self) {
        let marked: Vec<NodeId> = self
            .verdict
            .visits
            .iter()
            .filter(|(_, visit)| !visit.own.is_empty() || visit.unknown.is_some())
            .map(|(node, _)| *node)
            .collect();
        let mut known = HashMap::new();
        for node in marked {
            let tags = self.tags_above(node, &mut known);
            let Some(visit) = self.verdict.visits.get(&node) else { continue };
            for (draft, breaks) in &visit.own {
                let draft_tags = &mut self.verdict.drafts[*draft].tags;
                *draft_tags = union(draft_tags, &tags);
                if *breaks {
                    for tag in &*tags {
                        self.verdict.broken.entry(*tag).or_default().push(*draft);
                    }
                }
            }
            if let Some(reason) = &visit.unknown {
                for tag in &*tags {
                    self.verdict.unknown.entry(*tag).or_insert_with(|| reason.clone());
                }
            }
        }
        for drafts in self.verdict.broken.values_mut() {
            drafts.sort_unstable();
            drafts.dedup();
        }
        // Whoever deleted a tag while we read has damaged nothing.
        self.verdict.doubts.extend(self.verdict.broken.keys().map(|tag| Doubt::Tag(self.at, *tag)));
        let broken = &self.verdict.broken;
        self.verdict.unknown.retain(|tag, _| !broken.contains_key(tag));
    }

    /// All tags from which a manifest is reached. Children of the same index, and of no other, share one list.
    fn tags_above(&self, node: NodeId, known: &mut HashMap<NodeId, Arc<[u32]>>) -> Arc<[u32]> {
        if let Some(tags) = known.get(&node) {
            return Arc::clone(tags);
        }
        let visit = self.verdict.visits.get(&node);
        let only_parent = visit.filter(|visit| visit.tags.is_empty()).and_then(|visit| {
            let (first, _) = visit.parents.first()?;
            visit.parents.iter().all(|(parent, _)| parent == first).then_some(*first)
        });
        let tags = match only_parent.filter(|parent| *parent != node) {
            Some(parent) if known.contains_key(&parent) => Arc::clone(&known[&parent]),
            Some(parent) => {
                let tags = self.collect_tags(parent);
                known.insert(parent, Arc::clone(&tags));
                tags
            }
            None => self.collect_tags(node),
        };
        known.insert(node, Arc::clone(&tags));
        tags
    }

    fn collect_tags(&self, node: NodeId) -> Arc<[u32]> {
        let (mut tags, mut seen, mut frontier) = (Vec::new(), HashSet::from([node]), vec![node]);
        while let Some(node) = frontier.pop() {
            let Some(visit) = self.verdict.visits.get(&node) else { continue };
            tags.extend(&visit.tags);
            frontier.extend(
                visit.parents.iter().map(|(parent, _)| *parent).filter(|parent| seen.insert(*parent)),
            );
        }
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
