//! Packages among each other: followers of what another package has, decided when all packages are.
//!
//! All of them stay at first, and each round lets go more, as within a package. A guard that refuses a package because of it
//! refuses it for good, and everything is decided anew from the start, with what is in that package staying.

use std::collections::{BTreeMap, HashMap};

use super::decision::{Decision, NotPlanned};
use super::follow::FateElsewhere;
use super::package::Package;
use crate::oci::Digest;

/// What becomes of manifests in packages that were decided, and packages that wait for that.
#[derive(Debug, Default)]
pub(super) struct Among {
    /// By package and digest.
    fates: HashMap<String, BTreeMap<Digest, FateElsewhere>>,
    /// Packages with followers of what others have, each with its decision so far.
    pub(super) waiting: Vec<(Package, Decision)>,
}

impl Among {
    /// Notes what becomes of a package; whether its decision is final.
    pub(super) fn add(&mut self, package: &Package, decision: &Decision) -> bool {
        self.fates.insert(package.name.clone(), decision.fates.clone());
        decision.not_planned.is_some()
            || package.elsewhere.values().all(|elsewhere| elsewhere.packages.is_empty())
    }

    /// What becomes of the subjects of a package that others have.
    fn others(&self, package: &Package) -> BTreeMap<Digest, FateElsewhere> {
        let mut others = BTreeMap::new();
        for (subject, elsewhere) in &package.elsewhere {
            // A package that nothing was decided about keeps what it has.
            let fate = |name: &String| self.fates.get(name)?.get(subject).copied();
            let worst = elsewhere.packages.iter().map(|name| match self.fates.get(name) {
                None => FateElsewhere::Stays,
                // It answered and nothing lists it.
                Some(_) => fate(name).unwrap_or(FateElsewhere::Untagged),
            });
            let unread = elsewhere.unread.as_ref().map(|_| FateElsewhere::Untagged);
            if let Some(worst) = worst.chain(unread).max() {
                others.insert(*subject, worst);
            }
        }
        others
    }

    /// Decides about the packages that wait until nothing changes any more.
    pub(super) fn settle(&mut self, decide: impl Fn(&Package, &BTreeMap<Digest, FateElsewhere>) -> Decision) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let first: Vec<Decision> = waiting.iter().map(|(_, decision)| decision.clone()).collect();
        let mut refused = vec![false; waiting.len()];
        'anew: loop {
            for ((package, decision), first) in
                waiting.iter_mut().zip(&first).filter(|((_, one), _)| one.not_planned.is_none())
            {
                decision.clone_from(first);
                self.add(package, decision);
            }
            loop {
                let mut has_changed = false;
                for at in (0..waiting.len()).filter(|at| !refused[*at]).collect::<Vec<_>>() {
                    let (package, decision) = &mut waiting[at];
                    let now = decide(package, &self.others(package));
                    if now == *decision {
                        continue;
                    }
                    has_changed = true;
                    *decision = now;
                    self.add(package, decision);
                    if matches!(decision.not_planned, Some(NotPlanned::Refused(_))) {
                        refused[at] = true;
                        continue 'anew;
                    }
                }
                if !has_changed {
                    self.waiting = waiting;
                    return;
                }
            }
        }
    }
}
