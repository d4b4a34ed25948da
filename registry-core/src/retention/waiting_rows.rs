//! Rows whose deletion waits for other packages: followers of a subject in another package. They are deleted after the rows of
//! all packages, and only when their subject is confirmed to be gone. This file says which rows wait, in which order, and for
//! which subjects; it decides and deletes nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::decision::Action;
use super::order::deletion_steps;
use super::package::Package;
use super::plan::{PackagePlan, PackageState, Plan};
use crate::oci::Digest;

/// Whether some row of a package can be deleted without waiting for another package.
pub(super) fn has_rows_that_need_not_wait(planned: &PackagePlan) -> bool {
    planned.rows_to_delete().any(|row| row.after.is_empty())
}

/// A package's plan in which the waiting rows, and all rows whose deletion comes after theirs, are left.
pub(super) fn without_waiting_rows(planned: &PackagePlan, package: &Package) -> PackagePlan {
    let (order, _) = deletion_steps(planned, package);
    let mut waits: Vec<bool> = Vec::with_capacity(order.len());
    for step in &order {
        let waits_itself = step.rows.iter().any(|row| !row.after.is_empty());
        waits.push(
            waits_itself || step.after.iter().any(|other| waits.get(*other).is_some_and(|waits| *waits)),
        );
    }
    let waiting = order.iter().zip(&waits).filter(|(_, waits)| **waits).flat_map(|(step, _)| &step.rows);
    let waiting: HashSet<&str> = waiting.map(|row| row.version.as_str()).collect();
    let mut remaining = planned.clone();
    for row in remaining.versions.iter_mut().filter(|row| row.action == Action::Delete) {
        if waiting.contains(row.version.as_str()) || !row.after.is_empty() {
            row.action = Action::Leave;
        }
    }
    remaining
}

/// A package's plan without the rows to delete that are `finished`.
pub(super) fn without_finished_rows(planned: &PackagePlan, finished: &HashSet<&str>) -> PackagePlan {
    let mut remaining = planned.clone();
    remaining.versions.retain(|row| row.action != Action::Delete || !finished.contains(row.version.as_str()));
    remaining
}

/// The subjects in other packages that rows to delete wait for, by package.
pub(super) fn subjects_elsewhere(planned: &PackagePlan) -> BTreeMap<&str, BTreeSet<Digest>> {
    let mut subjects: BTreeMap<&str, BTreeSet<Digest>> = BTreeMap::new();
    for after in planned.rows_to_delete().flat_map(|row| &row.after) {
        subjects.entry(&after.package).or_default().insert(after.digest);
    }
    subjects
}

/// Packages with waiting rows, each after the packages that it waits for, where that is possible.
pub(super) fn packages_with_waiting_rows(plan: &Plan) -> Vec<&PackagePlan> {
    let has_waiting = |package: &&PackagePlan| {
        package.state == PackageState::Planned && package.rows_to_delete().any(|row| !row.after.is_empty())
    };
    let mut unordered: Vec<&PackagePlan> = plan.packages.iter().filter(has_waiting).collect();
    let mut ordered = Vec::with_capacity(unordered.len());
    while !unordered.is_empty() {
        let names: BTreeSet<&str> = unordered.iter().map(|package| package.name.as_str()).collect();
        let is_free = |package: &&PackagePlan| {
            let mut after = package.versions.iter().flat_map(|row| &row.after);
            !after.any(|after| after.package != package.name && names.contains(after.package.as_str()))
        };
        // Packages that wait for each other keep their order: rows whose subject is not confirmed to be gone are spared.
        let next = unordered.iter().position(is_free).unwrap_or(0);
        ordered.push(unordered.remove(next));
    }
    ordered
}

/// Whether no tag and no row to delete reaches a manifest of a package any more.
pub(super) fn is_gone(planned: Option<&PackagePlan>, now: &Package, digest: &Digest) -> bool {
    let deleted = planned.into_iter().flat_map(PackagePlan::rows_to_delete);
    let deleted: HashSet<&str> = deleted.map(|row| row.version.as_str()).collect();
    let mut roots = Vec::new();
    for row in now.rows.iter().filter(|row| row.is_tag() || deleted.contains(&*row.version)) {
        // A row whose manifest is unknown may name this digest.
        let Some(manifest) = row.manifest else { return false };
        roots.push(manifest);
    }
    now.find(digest).is_none_or(|manifest| !now.reach(roots)[manifest.index()])
}
