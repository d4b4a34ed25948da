//! Decisions that depend on other packages: those about followers whose subject lies in another package.
//!
//! All these followers stay at first, and each round lets more of them go, as within one package. A package that a guard
//! refuses in some round stays refused; all other decisions then start again from the first ones, because nothing goes in the
//! refused package.

use std::collections::{BTreeMap, HashMap};

use super::decision::Decision;
use super::follow::FateElsewhere;
use super::package::Package;
use crate::oci::Digest;

/// Fates of the manifests of all packages decided so far, and the packages that wait for the fates in others.
#[derive(Debug, Default)]
pub(super) struct CrossPackageDecisions {
    /// By package and digest.
    fates: HashMap<String, BTreeMap<Digest, FateElsewhere>>,
    /// Packages with followers of subjects in other packages, each with its decision so far.
    pub(super) waiting: Vec<(Package, Decision)>,
}

impl CrossPackageDecisions {
    /// Records the fates in a package. Returns whether its decision is final.
    pub(super) fn record_fates(&mut self, package: &Package, decision: &Decision) -> bool {
        self.fates.insert(package.name.clone(), decision.fates.clone());
        decision.not_planned.is_some()
            || package.elsewhere.values().all(|elsewhere| elsewhere.packages.is_empty())
    }

    /// The fates of a package's subjects that lie in other packages.
    fn fates_elsewhere(&self, package: &Package) -> BTreeMap<Digest, FateElsewhere> {
        let mut fates = BTreeMap::new();
        for (subject, elsewhere) in &package.elsewhere {
            let in_packages = elsewhere.packages.iter().map(|name| match self.fates.get(name) {
                // No decision was made about this package, so it keeps everything.
                None => FateElsewhere::Stays,
                // Without a fate, the manifest answers and no row lists it.
                Some(fates) => fates.get(subject).copied().unwrap_or(FateElsewhere::Untagged),
            });
            let in_unread = elsewhere.unread.as_ref().map(|_| FateElsewhere::Untagged);
            if let Some(strongest) = in_packages.chain(in_unread).max() {
                fates.insert(*subject, strongest);
            }
        }
        fates
    }

    /// Decides about the waiting packages until no decision changes any more.
    pub(super) fn settle(&mut self, decide: impl Fn(&Package, &BTreeMap<Digest, FateElsewhere>) -> Decision) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let first_decisions: Vec<Decision> = waiting.iter().map(|(_, decision)| decision.clone()).collect();
        'restart: loop {
            for ((package, decision), first) in waiting.iter_mut().zip(&first_decisions) {
                if decision.not_planned.is_none() {
                    decision.clone_from(first);
                    self.record_fates(package, decision);
                }
            }
            loop {
                let mut has_changed = false;
                for (package, decision) in &mut waiting {
                    if decision.not_planned.is_some() {
                        continue;
                    }
                    let new_decision = decide(package, &self.fates_elsewhere(package));
                    if new_decision == *decision {
                        continue;
                    }
                    has_changed = true;
                    *decision = new_decision;
                    self.record_fates(package, decision);
                    if decision.not_planned.is_some() {
                        continue 'restart;
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
