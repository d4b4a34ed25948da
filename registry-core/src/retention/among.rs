//! Packages among each other: followers of what another package has, decided when all packages are.
//!
//! All of them stay at first, and each round lets go more, as within a package. A guard that refuses a package because of it
//! refuses it for good, and everything is decided anew from the start, with what is in that package staying.

use std::collections::{BTreeMap, HashMap};

use super::decision::{Decision, Stop};
use super::follow::Outer;
use super::package::Package;
use crate::oci::Digest;

/// What becomes of manifests in packages that were decided, and packages that wait for that.
#[derive(Debug, Default)]
pub(super) struct Among {
    /// By package and digest.
    fates: HashMap<String, BTreeMap<Digest, Outer>>,
    /// Packages with followers of what others have, each with its decision so far.
    pub(super) waiting: Vec<(Package, Decision)>,
}

impl Among {
    /// Notes what becomes of a package; whether its decision is final.
    pub(super) fn add(&mut self, package: &Package, decision: &Decision) -> bool {
        self.fates.insert(package.name.clone(), decision.fates.clone());
        decision.stop.is_some() || package.elsewhere.values().all(|elsewhere| elsewhere.packages.is_empty())
    }

    /// What becomes of the subjects of a package that others have.
    fn others(&self, package: &Package) -> BTreeMap<Digest, Outer> {
        let mut others = BTreeMap::new();
        for (subject, elsewhere) in &package.elsewhere {
            // A package that nothing was decided about keeps what it has.
            let fate = |name: &String| self.fates.get(name)?.get(subject).copied();
            let worst = elsewhere.packages.iter().map(|name| match self.fates.get(name) {
                None => Outer::Stays,
                // It answered and nothing lists it.
                Some(_) => fate(name).unwrap_or(Outer::Untagged),
            });
            let unread = elsewhere.unread.as_ref().map(|_| Outer::Untagged);
            if let Some(worst) = worst.chain(unread).max() {
                others.insert(*subject, worst);
            }
        }
        others
    }

    /// Decides about the packages that wait until nothing changes any more.
    pub(super) fn settle(&mut self, decide: impl Fn(&Package, &BTreeMap<Digest, Outer>) -> Decision) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let first: Vec<Decision> = waiting.iter().map(|(_, decision)| decision.clone()).collect();
        let mut refused = vec![false; waiting.len()];
        'anew: loop {
            for ((package, decision), first) in
                waiting.iter_mut().zip(&first).filter(|((_, one), _)| one.stop.is_none())
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
                    if matches!(decision.stop, Some(Stop::Refused(_))) {
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
