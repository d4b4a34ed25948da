//! Deletions that wait for other packages: followers of what another package has go after all packages, each only when its
//! subject is confirmed to be gone there. Decides nothing; says what waits, in which order, and for what.

use std::collections::{BTreeSet, HashSet};

use super::decision::Action;
use super::order::steps;
use super::package::Package;
use super::plan::{PackagePlan, PackageState, Plan};
use crate::oci::Digest;

/// A package's plan without what waits: rows that follow something in another package, and all that goes after them, are
/// left in it.
pub(super) fn early(planned: &PackagePlan, package: &Package) -> PackagePlan {
    let (order, _) = steps(planned, package);
    let mut waits: Vec<bool> = Vec::with_capacity(order.len());
    for step in &order {
        let own = step.rows.iter().any(|row| !row.after.is_empty());
        waits.push(own || step.after.iter().any(|other| waits.get(*other).copied().unwrap_or(false)));
    }
    let late = order.iter().zip(&waits).filter(|(_, waits)| **waits).flat_map(|(step, _)| &step.rows);
    let late: HashSet<&str> = late.map(|row| row.version.as_str()).collect();
    let mut early = planned.clone();
    for row in &mut early.versions {
        if late.contains(row.version.as_str()) || !row.after.is_empty() {
            row.action = if row.action == Action::Delete { Action::Leave } else { row.action };
        }
    }
    early
}

/// A package's plan of what waited: rows that were to go and are in `done` are not in it.
pub(super) fn late(planned: &PackagePlan, done: &HashSet<(&str, &str)>) -> PackagePlan {
    let mut late = planned.clone();
    late.versions.retain(|row| {
        row.action != Action::Delete || !done.contains(&(planned.name.as_str(), row.version.as_str()))
    });
    late
}

/// Whether something of a package waits for another.
pub(super) fn waits(planned: &PackagePlan) -> bool {
    planned.state == PackageState::Planned
        && planned.versions.iter().any(|row| row.action == Action::Delete && !row.after.is_empty())
}

/// Packages of which something waits, each after those that it waits for, where that is possible.
pub(super) fn sequence(plan: &Plan) -> Vec<&PackagePlan> {
    let mut left: Vec<&PackagePlan> = plan.packages.iter().filter(|package| waits(package)).collect();
    let mut sequence = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let names: BTreeSet<&str> = left.iter().map(|package| package.name.as_str()).collect();
        let is_free = |package: &&PackagePlan| {
            let mut after = package.versions.iter().flat_map(|row| &row.after);
            !after.any(|after| after.package != package.name && names.contains(after.package.as_str()))
        };
        // Packages that wait for each other are taken as they come: what is not confirmed then is spared.
        let at = left.iter().position(is_free).unwrap_or(0);
        sequence.push(left.remove(at));
    }
    sequence
}

/// Whether nothing of a package reaches a manifest any more: no tag, and no row that was to go.
pub(super) fn is_gone(planned: Option<&PackagePlan>, now: &Package, digest: &Digest) -> bool {
    let doomed = planned.into_iter().flat_map(|package| &package.versions);
    let doomed: HashSet<&str> =
        doomed.filter(|row| row.action == Action::Delete).map(|row| row.version.as_str()).collect();
    let holds = now.rows.iter().filter(|row| row.is_tag() || doomed.contains(&*row.version));
    // A row of which it is not known what it names may name this.
    let mut roots = Vec::new();
    for row in holds {
        let Some(manifest) = row.manifest else { return false };
        roots.push(manifest);
    }
    now.find(digest).is_none_or(|manifest| !now.reach(roots)[manifest.index()])
}
