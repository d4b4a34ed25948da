//! A model of what a plan on a tree frees, written independently of the implementation.

use std::collections::{BTreeSet, HashSet};

use registry_core::oci::Digest;
use registry_core::retention::{Action, Plan, PlannedRow, Record};

/// The digests that only deleted images need, over all packages.
pub fn only_doomed(before: &Record, plan: &Plan) -> BTreeSet<Digest> {
    let (mut goes, mut stays) = (BTreeSet::new(), BTreeSet::new());
    for (package, planned) in before.packages().zip(&plan.packages) {
        assert_eq!(package.name, planned.name);
        let mut deleted = HashSet::new();
        let manifests_of = |wanted: &dyn Fn(&PlannedRow) -> bool| {
            let rows = planned.versions.iter().filter(|row| wanted(row)).filter_map(|row| row.digest);
            rows.filter_map(|digest| package.find(&digest)).collect::<Vec<_>>()
        };
        deleted.extend(manifests_of(&|row| row.action == Action::Delete));
        let reached = package.reach(deleted);
        let is_left = |row: &PlannedRow| {
            row.action != Action::Delete
                && (!row.version.contains(':')
                    || !row
                        .digest
                        .and_then(|digest| package.find(&digest))
                        .is_some_and(|one| reached[one.index()]))
        };
        let mut kept = package.reach(manifests_of(&is_left));
        // Referrers of what stays stay too, repeatedly until nothing is added.
        loop {
            let more: Vec<_> = package
                .manifests()
                .filter(|one| !kept[one.index()])
                .filter(|one| {
                    let subject = package.info(*one).and_then(|info| info.subject);
                    subject.is_some_and(|subject| kept[subject.index()])
                })
                .collect();
            if more.is_empty() {
                break;
            }
            kept.iter_mut().zip(package.reach(more)).for_each(|(kept, more)| *kept |= more);
        }
        for manifest in package.manifests() {
            let Some(info) = package.info(manifest) else { continue };
            let each = info.parts.iter().map(|part| package.part(*part).0);
            let mentions = package.named_manifests(manifest).map(|one| package.digest(one));
            let each = each.chain(mentions).chain([package.digest(manifest)]);
            if kept[manifest.index()] || !reached[manifest.index()] {
                stays.extend(each);
            } else {
                goes.extend(each);
            }
        }
    }
    goes.difference(&stays).copied().collect()
}
