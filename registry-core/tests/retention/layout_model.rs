//! A model of what a plan on a tree frees, beside the real thing.

use std::collections::{BTreeSet, HashSet};

use registry_core::oci::Digest;
use registry_core::retention::{Action, Plan, PlannedRow, Record};

/// Digests that what a plan lets go needs and nothing else does, over all packages: a model beside the real thing.
pub fn only_doomed(before: &Record, plan: &Plan) -> BTreeSet<Digest> {
    let (mut goes, mut stays) = (BTreeSet::new(), BTreeSet::new());
    for (package, planned) in before.packages().zip(&plan.packages) {
        assert_eq!(package.name, planned.name);
        let mut doomed = HashSet::new();
        let of = |wanted: &dyn Fn(&PlannedRow) -> bool| {
            let rows = planned.versions.iter().filter(|row| wanted(row)).filter_map(|row| row.digest);
            rows.filter_map(|digest| package.find(&digest)).collect::<Vec<_>>()
        };
        doomed.extend(of(&|row| row.action == Action::Delete));
        let reached = package.reach(doomed);
        let is_left = |row: &PlannedRow| {
            row.action != Action::Delete
                && (!row.version.contains(':')
                    || !row
                        .digest
                        .and_then(|digest| package.find(&digest))
                        .is_some_and(|one| reached[one.index()]))
        };
        let mut kept = package.reach(of(&is_left));
        // What refers to something that stays does too, as often as it takes.
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
            let mentions = package.named(manifest).map(|one| package.digest(one));
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
