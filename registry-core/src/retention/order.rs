//! The order of deletions: an image before everything that it names, what follows it after it.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::Action;
use super::images::followed;
use super::package::{ManifestId, Package};
use super::plan::{PackagePlan, Version};
use crate::oci::Digest;

/// One manifest that goes, with all its rows.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) digest: Digest,
    pub(super) rows: Vec<Version>,
    /// Steps, by number, that must be confirmed before this one; all of them are earlier.
    pub(super) after: Vec<usize>,
}

/// The steps of a package, and what no order can be found for: it stays.
pub(super) fn steps(planned: &PackagePlan, package: &Package) -> (Vec<Step>, Vec<Version>) {
    let mut rows: BTreeMap<Digest, Vec<Version>> = BTreeMap::new();
    for row in planned.versions.iter().filter(|row| row.action == Action::Delete) {
        if let Some(digest) = row.digest {
            rows.entry(digest).or_default().push(row.clone());
        }
    }
    let reached: BTreeMap<Digest, Vec<bool>> =
        rows.keys().map(|digest| (*digest, package.reach(package.find(digest)))).collect();
    let mut waiting: Vec<(Digest, Vec<Version>, BTreeSet<Digest>)> = Vec::new();
    for (digest, mine) in rows {
        let needs = needs(package, &digest, &mine);
        let is_first = |(other, reached): &(&Digest, &Vec<bool>)| {
            **other != digest && needs.iter().any(|manifest| reached[manifest.index()])
        };
        let before = reached.iter().filter(is_first).map(|(other, _)| *other).collect();
        waiting.push((digest, mine, before));
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut numbers: BTreeMap<Digest, usize> = BTreeMap::new();
    loop {
        let ready =
            waiting.iter().position(|(_, _, before)| before.iter().all(|one| numbers.contains_key(one)));
        // A circle cannot come from hashes; names of signatures could make one.
        let Some(at) = ready else { break };
        let (digest, rows, before) = waiting.swap_remove(at);
        let after = before.iter().filter_map(|one| numbers.get(one)).copied().collect();
        numbers.insert(digest, steps.len());
        steps.push(Step { digest, rows, after });
    }
    (steps, waiting.into_iter().flat_map(|(_, rows, _)| rows).collect())
}

/// What must not be reached any more before a manifest goes: itself, what it refers to, what its tags follow.
fn needs(package: &Package, digest: &Digest, rows: &[Version]) -> Vec<ManifestId> {
    let Some(this) = package.find(digest) else { return Vec::new() };
    let subject = package.info(this).and_then(|info| info.subject);
    let follows =
        rows.iter().filter_map(|row| followed(&row.version)).filter_map(|subject| package.find(&subject));
    [Some(this), subject].into_iter().flatten().chain(follows).collect()
}
