//! The way from the tags of one repository down to every manifest that answers, and back up to the tags.

use std::collections::{BTreeSet, HashMap};

use super::seen::{SeenRepository, TagAnswer};
use crate::oci::Digest;

/// A manifest on the way from tags to leaves.
#[derive(Debug, Default)]
pub(super) struct Visit {
    /// The manifests that name it, and the number of the reference there.
    pub(super) parents: Vec<(Digest, usize)>,
    /// Tags that name it, by number.
    pub(super) tags: Vec<u32>,
    /// Findings that lie here, and whether a client who pulls this manifest runs into them.
    pub(super) own: Vec<(usize, bool)>,
    /// Why it is not known whether it can be pulled.
    pub(super) unknown: Option<String>,
    /// Whether something here was not asked for.
    pub(super) is_unasked: bool,
}

impl Visit {
    fn is_marked(&self) -> bool {
        !self.own.is_empty() || self.unknown.is_some() || self.is_unasked
    }
}

/// How the manifests of one repository are reached, beside what was answered of it.
#[derive(Debug)]
pub(super) struct Visits<'a> {
    pub(super) answers: &'a SeenRepository,
    by_digest: HashMap<Digest, Visit>,
}

impl<'a> Visits<'a> {
    /// Visits what tags name, and follows children from there.
    pub(super) fn new(answers: &'a SeenRepository) -> Self {
        let mut by_digest: HashMap<Digest, Visit> = HashMap::new();
        for (number, answer) in (0_u32..).zip(answers.tags.values()) {
            if let TagAnswer::Names(digest) = answer {
                by_digest.entry(*digest).or_default().tags.push(number);
            }
        }
        let mut frontier: Vec<Digest> = by_digest.keys().copied().collect();
        while let Some(digest) = frontier.pop() {
            let Some(seen) = answers.manifest(&digest) else { continue };
            for (number, child) in seen.children() {
                let visit = by_digest.entry(child).or_insert_with(|| {
                    frontier.push(child);
                    Visit::default()
                });
                visit.parents.push((digest, number));
            }
        }
        Self { answers, by_digest }
    }

    /// Number of manifests.
    pub(super) fn len(&self) -> usize {
        self.by_digest.len()
    }

    /// All manifests, in order.
    pub(super) fn digests(&self) -> Vec<Digest> {
        let mut digests: Vec<Digest> = self.by_digest.keys().copied().collect();
        digests.sort_unstable();
        digests
    }

    /// A manifest that was met.
    pub(super) fn get(&self, digest: Digest) -> Option<&Visit> {
        self.by_digest.get(&digest)
    }

    /// A manifest, to note something of it.
    pub(super) fn visit(&mut self, digest: Digest) -> &mut Visit {
        self.by_digest.entry(digest).or_default()
    }

    /// Manifests of which something was noted that concerns the tags above them.
    pub(super) fn marked(&self) -> impl Iterator<Item = (&Digest, &Visit)> {
        self.by_digest.iter().filter(|(_, visit)| visit.is_marked())
    }

    /// All tags from which a manifest is reached.
    pub(super) fn tags_above(&self, digest: Digest) -> BTreeSet<u32> {
        let (mut tags, mut seen, mut frontier) = (BTreeSet::new(), BTreeSet::from([digest]), vec![digest]);
        while let Some(visit) = frontier.pop().and_then(|digest| self.by_digest.get(&digest)) {
            tags.extend(&visit.tags);
            frontier.extend(
                visit.parents.iter().map(|(parent, _)| *parent).filter(|parent| seen.insert(*parent)),
            );
        }
        tags
    }
}
