//! The order of deletions: an image before everything that it names, what follows it after it, else the oldest first.
//!
//! Manifests that stay themselves but lie between two that go are steps without rows, so that what holds the first holds
//! the last too.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::decision::Action;
use super::follow::followed;
use super::package::{ManifestId, Package};
use super::plan::{PackagePlan, PlannedRow};
use crate::graph::walk;
use crate::oci::Digest;

/// One manifest, with all its rows that go.
#[derive(Debug)]
pub(super) struct DeletionStep {
    pub(super) digest: Digest,
    pub(super) rows: Vec<PlannedRow>,
    /// Steps, by number, that must be confirmed before this one; all of them are earlier.
    pub(super) after: Vec<usize>,
}

/// Steps that wait for each other; by number, not yet in order.
#[derive(Default)]
struct Waiting {
    digests: Vec<Digest>,
    rows: Vec<Vec<PlannedRow>>,
    after: Vec<Vec<usize>>,
    of: HashMap<ManifestId, usize>,
}

/// The steps of a package, and what no order can be found for: it stays.
pub(super) fn steps(planned: &PackagePlan, package: &Package) -> (Vec<DeletionStep>, Vec<PlannedRow>) {
    let mut waiting = Waiting::new(planned, package);
    let doomed = waiting.digests.len();
    waiting.link(package);
    let mut before = vec![Vec::new(); waiting.digests.len()];
    for (number, after) in waiting.after.iter_mut().enumerate() {
        after.sort_unstable();
        after.dedup();
        after.iter().for_each(|other| before[*other].push(number));
    }
    let all: Vec<usize> = (0..before.len()).collect();
    let has_rows = |number: usize| number < doomed;
    // What has no rows goes first, then the oldest: a run that stops leaves what is newer.
    let key = |number: usize| (has_rows(number), Reverse(number));
    let order = walk::parents_first(all.len(), &all, |number| before[number].iter().copied(), key);
    let mut numbers: Vec<Option<usize>> = vec![None; all.len()];
    let mut steps: Vec<DeletionStep> = Vec::new();
    for number in order {
        if !has_rows(number) && before[number].is_empty() {
            continue;
        }
        numbers[number] = Some(steps.len());
        let after = waiting.after[number].iter().filter_map(|other| numbers[*other]).collect();
        let rows = std::mem::take(&mut waiting.rows[number]);
        steps.push(DeletionStep { digest: waiting.digests[number], rows, after });
    }
    // A circle cannot come from hashes; names of signatures could make one.
    (steps, waiting.rows.into_iter().flatten().collect())
}

impl Waiting {
    fn add(&mut self, digest: Digest, manifest: Option<ManifestId>) -> usize {
        let number = self.digests.len();
        self.digests.push(digest);
        self.rows.push(Vec::new());
        self.after.push(Vec::new());
        self.of.extend(manifest.map(|manifest| (manifest, number)));
        number
    }

    /// What goes, in the order of the plan.
    fn new(planned: &PackagePlan, package: &Package) -> Self {
        let mut waiting = Self::default();
        let mut numbers: HashMap<Digest, usize> = HashMap::new();
        for row in planned.versions.iter().filter(|row| row.action == Action::Delete) {
            if let Some(digest) = row.digest {
                let number =
                    *numbers.entry(digest).or_insert_with(|| waiting.add(digest, package.find(&digest)));
                waiting.rows[number].push(row.clone());
            }
        }
        waiting
    }

    /// Notes what must not be reached any more before a manifest goes: itself, what it refers to, what its tags follow.
    fn link(&mut self, package: &Package) {
        let mut doomed: Vec<(ManifestId, usize)> =
            self.of.iter().map(|(one, number)| (*one, *number)).collect();
        doomed.sort_unstable_by_key(|(_, number)| *number);
        let mut reached = package.leaves_first(doomed.iter().map(|(manifest, _)| *manifest));
        reached.sort_unstable_by_key(|manifest| package.digest(*manifest));
        for manifest in &reached {
            if !self.of.contains_key(manifest) {
                self.add(package.digest(*manifest), Some(*manifest));
            }
        }
        for manifest in &reached {
            for child in package.named(*manifest) {
                self.after[self.of[&child]].push(self.of[manifest]);
            }
        }
        for (manifest, number) in doomed {
            let subject = package.info(manifest).and_then(|info| info.subject);
            let follows = self.rows[number].iter().filter_map(|row| followed(&row.version));
            let follows = follows.filter_map(|subject| package.find(&subject));
            let subjects: Vec<ManifestId> =
                subject.into_iter().chain(follows).filter(|subject| self.of.contains_key(subject)).collect();
            if subjects.is_empty() {
                continue;
            }
            let own = below(package, manifest);
            for subject in subjects {
                if !own.contains(&subject) {
                    self.after[number].push(self.of[&subject]);
                    continue;
                }
                // It names what it follows: others that name it go before, it does not wait for itself.
                let inner = own.iter().flat_map(|inner| &self.after[self.of[inner]]);
                let own: HashSet<usize> = own.iter().map(|inner| self.of[inner]).collect();
                let others: Vec<usize> = inner.filter(|other| !own.contains(other)).copied().collect();
                self.after[number].extend(others);
            }
        }
    }
}

/// A manifest and everything that it reaches.
fn below(package: &Package, manifest: ManifestId) -> HashSet<ManifestId> {
    walk::reach(HashSet::new(), [manifest], |one| package.named(one)).collect()
}
