//! The order of deletions: an image before everything that it names, its followers after it, otherwise the oldest first.
//!
//! A manifest that stays but lies between two that are deleted is a step without rows: a failure at the upper one holds the
//! lower one too.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::follow::followed_digest;
use super::package::{ManifestId, Package};
use super::plan::{PackagePlan, PlannedRow};
use crate::graph::walk;
use crate::oci::Digest;

/// One manifest, with all its rows to delete.
#[derive(Debug)]
pub(super) struct DeletionStep {
    pub(super) digest: Digest,
    pub(super) rows: Vec<PlannedRow>,
    /// Steps, by number, that must be confirmed before this one; all of them are earlier.
    pub(super) after: Vec<usize>,
}

/// Steps by number, not yet in order.
#[derive(Default)]
struct UnorderedSteps {
    digests: Vec<Digest>,
    rows: Vec<Vec<PlannedRow>>,
    /// For each step, those that must be confirmed before it.
    after: Vec<Vec<usize>>,
    of_manifest: HashMap<ManifestId, usize>,
}

/// The steps of a package in order, and the rows for which there is no order; these stay.
pub(super) fn deletion_steps(
    planned: &PackagePlan,
    package: &Package,
) -> (Vec<DeletionStep>, Vec<PlannedRow>) {
    let mut unordered = UnorderedSteps::from_plan(planned, package);
    let with_rows = unordered.digests.len();
    unordered.add_dependencies(package);
    let mut before = vec![Vec::new(); unordered.digests.len()];
    for (number, after) in unordered.after.iter_mut().enumerate() {
        after.sort_unstable();
        after.dedup();
        after.iter().for_each(|other| before[*other].push(number));
    }
    let all: Vec<usize> = (0..before.len()).collect();
    let has_rows = |number: usize| number < with_rows;
    // Steps without rows come first, then the oldest: a run that stops leaves the newer images.
    let key = |number: usize| (has_rows(number), Reverse(number));
    let order = walk::parents_first(all.len(), &all, |number| before[number].iter().copied(), key);
    let mut numbers: Vec<Option<usize>> = vec![None; all.len()];
    let mut steps: Vec<DeletionStep> = Vec::new();
    for number in order {
        if !has_rows(number) && before[number].is_empty() {
            continue;
        }
        numbers[number] = Some(steps.len());
        let after = unordered.after[number].iter().filter_map(|other| numbers[*other]).collect();
        let rows = std::mem::take(&mut unordered.rows[number]);
        steps.push(DeletionStep { digest: unordered.digests[number], rows, after });
    }
    // Hashes cannot make a circle, but names of signatures could: the rows in it have no order.
    (steps, unordered.rows.into_iter().flatten().collect())
}

impl UnorderedSteps {
    fn add(&mut self, digest: Digest, manifest: Option<ManifestId>) -> usize {
        let number = self.digests.len();
        self.digests.push(digest);
        self.rows.push(Vec::new());
        self.after.push(Vec::new());
        self.of_manifest.extend(manifest.map(|manifest| (manifest, number)));
        number
    }

    /// A step for each digest with rows to delete, in the order of the plan.
    fn from_plan(planned: &PackagePlan, package: &Package) -> Self {
        let mut steps = Self::default();
        let mut numbers: HashMap<Digest, usize> = HashMap::new();
        for row in planned.rows_to_delete() {
            if let Some(digest) = row.digest {
                let number =
                    *numbers.entry(digest).or_insert_with(|| steps.add(digest, package.find(&digest)));
                steps.rows[number].push(row.clone());
            }
        }
        steps
    }

    /// Makes each step wait for the manifests that name its own, for the one that its own refers to, and for those that its tags
    /// follow. Adds steps without rows for the manifests in between.
    fn add_dependencies(&mut self, package: &Package) {
        let mut deleted: Vec<(ManifestId, usize)> =
            self.of_manifest.iter().map(|(manifest, number)| (*manifest, *number)).collect();
        deleted.sort_unstable_by_key(|(_, number)| *number);
        let mut reached = package.leaves_first(deleted.iter().map(|(manifest, _)| *manifest));
        reached.sort_unstable_by_key(|manifest| package.digest(*manifest));
        for manifest in &reached {
            if !self.of_manifest.contains_key(manifest) {
                self.add(package.digest(*manifest), Some(*manifest));
            }
        }
        for manifest in &reached {
            for child in package.named_manifests(*manifest) {
                self.after[self.of_manifest[&child]].push(self.of_manifest[manifest]);
            }
        }
        for (manifest, number) in deleted {
            let followed = self.rows[number].iter().filter_map(|row| followed_digest(&row.version));
            let followed = followed.filter_map(|subject| package.find(&subject));
            let subjects = package.subject(manifest).into_iter().chain(followed);
            let subjects: Vec<ManifestId> =
                subjects.filter(|subject| self.of_manifest.contains_key(subject)).collect();
            if subjects.is_empty() {
                continue;
            }
            let own = manifest_and_below(package, manifest);
            for subject in subjects {
                if !own.contains(&subject) {
                    self.after[number].push(self.of_manifest[&subject]);
                    continue;
                }
                // The manifest names the subject that it follows. It cannot wait for its own children; it waits for the
                // others that name these.
                let steps: HashSet<usize> = own.iter().map(|inner| self.of_manifest[inner]).collect();
                let namers = steps.iter().flat_map(|inner| &self.after[*inner]);
                let others: Vec<usize> = namers.filter(|other| !steps.contains(other)).copied().collect();
                self.after[number].extend(others);
            }
        }
    }
}

/// A manifest and everything that it reaches.
fn manifest_and_below(package: &Package, manifest: ManifestId) -> HashSet<ManifestId> {
    walk::reach(HashSet::new(), [manifest], |manifest| package.named_manifests(manifest)).collect()
}
