//! What reaches what in a package.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::built::is_date;
use super::health::{Health, healths};
use super::package::{Info, ManifestId, Package};
use crate::oci::manifest::Kind;

impl Package {
    /// When an image was built; of an index, when the last of its images was, and only where none of them has a date, when an
    /// index among them says.
    pub fn built_at(&self, manifest: ManifestId) -> Option<Timestamp> {
        let (mut images, mut indexes) = (None, None);
        let (mut seen, mut stack) = (HashSet::new(), vec![manifest]);
        while let Some(one) = stack.pop() {
            let Some(info) = self.info(one).filter(|_| seen.insert(one)) else { continue };
            let newest = if info.kind == Kind::Index { &mut indexes } else { &mut images };
            *newest = (*newest).max(info.built_at);
            stack.extend(&info.children);
        }
        images.filter(|at| is_date(*at)).or(indexes).or(images)
    }

    /// Everything reached from `roots` through children, `roots` included, by number.
    pub fn reach(&self, roots: impl IntoIterator<Item = ManifestId>) -> Vec<bool> {
        let mut reached = vec![false; self.len()];
        self.reach_more(&mut reached, roots);
        reached
    }

    /// Everything reached from `roots`, each once and after all that it names.
    pub(super) fn leaves_first(&self, roots: impl IntoIterator<Item = ManifestId>) -> Vec<ManifestId> {
        last_first(self, roots, |manifest| self.info(manifest).into_iter().flat_map(Info::named).copied())
    }

    /// Indexes by the manifests that they name.
    pub fn parents(&self) -> HashMap<ManifestId, Vec<ManifestId>> {
        let mut parents: HashMap<ManifestId, Vec<ManifestId>> = HashMap::new();
        for manifest in self.manifests() {
            for child in self.info(manifest).into_iter().flat_map(Info::named) {
                parents.entry(*child).or_default().push(manifest);
            }
        }
        parents
    }

    /// Everything that reaches one of `targets`, `targets` included, by number.
    pub fn reach_up(&self, targets: impl IntoIterator<Item = ManifestId>) -> Vec<bool> {
        let parents = self.parents();
        let mut reached = vec![false; self.len()];
        let mut stack: Vec<ManifestId> = targets.into_iter().collect();
        while let Some(manifest) = stack.pop() {
            if !std::mem::replace(&mut reached[manifest.index()], true) {
                stack.extend(parents.get(&manifest).into_iter().flatten());
            }
        }
        reached
    }

    /// Adds everything reached from `roots` to `reached`.
    pub fn reach_more(&self, reached: &mut [bool], roots: impl IntoIterator<Item = ManifestId>) {
        let mut stack: Vec<ManifestId> = roots.into_iter().collect();
        while let Some(manifest) = stack.pop() {
            if !std::mem::replace(&mut reached[manifest.index()], true)
                && let Some(info) = self.info(manifest)
            {
                stack.extend(info.named().copied().filter(|child| !reached[child.index()]));
            }
        }
    }

    /// Everything that `roots` need, by number: what they reach, and what was pushed by digest only and refers to something
    /// needed (`subject`), with what that reaches. A referrer that has a tag is an image of its own.
    pub(super) fn needed(&self, roots: impl IntoIterator<Item = ManifestId>) -> Vec<bool> {
        let mut needed = self.reach(roots);
        let tagged = self.rows.iter().filter(|row| row.is_tag()).filter_map(|row| row.manifest);
        let tagged: HashSet<ManifestId> = tagged.collect();
        self.reach_referrers(&mut needed, |referrer| !tagged.contains(&referrer));
        needed
    }

    /// Adds listed manifests that refer to something reached, of those that are asked for, and what these reach.
    pub(super) fn reach_referrers(&self, reached: &mut [bool], of: impl Fn(ManifestId) -> bool) {
        let mut referrers: HashMap<ManifestId, Vec<ManifestId>> = HashMap::new();
        for manifest in self.rows.iter().filter_map(|row| row.manifest).filter(|one| of(*one)) {
            if let Some(subject) = self.info(manifest).and_then(|info| info.subject) {
                referrers.entry(subject).or_default().push(manifest);
            }
        }
        if referrers.is_empty() {
            return;
        }
        let mut stack: Vec<ManifestId> = self.manifests().filter(|one| reached[one.index()]).collect();
        while let Some(manifest) = stack.pop() {
            let named = self.info(manifest).into_iter().flat_map(Info::named);
            for next in named.chain(referrers.get(&manifest).into_iter().flatten()) {
                if !std::mem::replace(&mut reached[next.index()], true) {
                    stack.push(*next);
                }
            }
        }
    }

    /// What the undo window puts by digest, by number: what `going` needs and `staying` does not. A manifest that an index
    /// which stays names is never put: the server's collector takes a row that is younger than its index
    /// (`services/packages/container/cleanup_sha256.go @ v15.0.3`). What is broken cannot be put back anyway, and no server
    /// takes an index without its children.
    pub(super) fn held(
        &self,
        going: impl IntoIterator<Item = ManifestId>,
        staying: impl IntoIterator<Item = ManifestId>,
    ) -> Vec<bool> {
        let (mut held, stays) = (self.needed(going), self.needed(staying));
        for ((held, stays), health) in held.iter_mut().zip(stays).zip(healths(self)) {
            *held &= !stays && health == Health::Whole;
        }
        held
    }

    /// Rows by the manifest they carry.
    pub(super) fn rows_of(&self) -> Vec<Vec<usize>> {
        let mut rows = vec![Vec::new(); self.len()];
        for (at, row) in self.rows.iter().enumerate() {
            if let Some(manifest) = row.manifest {
                rows[manifest.index()].push(at);
            }
        }
        rows
    }
}

/// Everything reached from `roots` by `next`, each once and, but for circles, after all that it leads to.
pub(super) fn last_first<I: Iterator<Item = ManifestId>>(
    package: &Package,
    roots: impl IntoIterator<Item = ManifestId>,
    next: impl Fn(ManifestId) -> I,
) -> Vec<ManifestId> {
    let mut seen = vec![false; package.len()];
    let mut order = Vec::new();
    let mut stack: Vec<(ManifestId, bool)> = roots.into_iter().map(|root| (root, false)).collect();
    while let Some((manifest, is_done)) = stack.pop() {
        if is_done {
            order.push(manifest);
        } else if !std::mem::replace(&mut seen[manifest.index()], true) {
            stack.push((manifest, true));
            stack.extend(next(manifest).filter(|one| !seen[one.index()]).map(|one| (one, false)));
        }
    }
    order
}
