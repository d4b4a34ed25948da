//! Walks over the manifests of a package: what reaches what, and what needs what.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::built::is_date;
use super::health::{Health, healths};
use super::package::{ManifestId, Package};
use crate::graph::walk;
use crate::oci::manifest::Kind;

impl Package {
    /// When an image was built. For an index, when the last of its images was built; when none of them has a date, the date
    /// that an index gives.
    pub fn built_at(&self, manifest: ManifestId) -> Option<Timestamp> {
        let (mut images, mut indexes) = (None, None);
        let below = walk::reach(HashSet::new(), [manifest], |manifest| self.children(manifest));
        for info in below.filter_map(|manifest| self.info(manifest)) {
            let newest = if info.kind == Kind::Index { &mut indexes } else { &mut images };
            *newest = (*newest).max(info.built_at);
        }
        images.filter(|at| is_date(*at)).or(indexes).or(images)
    }

    /// By manifest, whether `roots` reach it through children; `roots` reach themselves.
    pub fn reach(&self, roots: impl IntoIterator<Item = ManifestId>) -> Vec<bool> {
        let mut reached = vec![false; self.len()];
        walk::mark(&mut reached, roots, |manifest| self.named_manifests(manifest));
        reached
    }

    /// Everything reached from `roots`, each manifest once and after all that it names.
    pub(super) fn leaves_first(&self, roots: impl IntoIterator<Item = ManifestId>) -> Vec<ManifestId> {
        walk::children_first(self.len(), roots, |manifest| self.named_manifests(manifest))
    }

    /// Indexes by the manifests that they name.
    pub fn parents(&self) -> HashMap<ManifestId, Vec<ManifestId>> {
        let mut parents: HashMap<ManifestId, Vec<ManifestId>> = HashMap::new();
        for manifest in self.manifests() {
            for child in self.named_manifests(manifest) {
                parents.entry(child).or_default().push(manifest);
            }
        }
        parents
    }

    /// By manifest, whether it reaches one of `targets`; `targets` reach themselves.
    pub(crate) fn reach_up(&self, targets: impl IntoIterator<Item = ManifestId>) -> Vec<bool> {
        let parents = self.parents();
        let mut reached = vec![false; self.len()];
        walk::mark(&mut reached, targets, |manifest| parents.get(&manifest).into_iter().flatten().copied());
        reached
    }

    /// By manifest, whether `roots` need it: they reach it, or it refers to something needed and was pushed by digest only. A
    /// referrer with a tag is an image of its own.
    pub(super) fn needed(&self, roots: impl IntoIterator<Item = ManifestId>) -> Vec<bool> {
        let tagged: HashSet<ManifestId> = self.tagged_manifests().collect();
        let listed = self.rows.iter().filter_map(|row| row.manifest);
        self.reach_with_referrers(roots, listed.filter(|manifest| !tagged.contains(manifest)))
    }

    /// By manifest, whether `roots` reach it, through children or through those of `referrers` whose `subject` is reached.
    pub(super) fn reach_with_referrers(
        &self,
        roots: impl IntoIterator<Item = ManifestId>,
        referrers: impl IntoIterator<Item = ManifestId>,
    ) -> Vec<bool> {
        let mut by_subject: HashMap<ManifestId, Vec<ManifestId>> = HashMap::new();
        for manifest in referrers {
            if let Some(subject) = self.subject(manifest) {
                by_subject.entry(subject).or_default().push(manifest);
            }
        }
        let mut reached = vec![false; self.len()];
        let referrers = |manifest| by_subject.get(&manifest).into_iter().flatten().copied();
        walk::mark(&mut reached, roots, |manifest| self.named_manifests(manifest).chain(referrers(manifest)));
        reached
    }

    /// By manifest, whether the undo window puts it by digest: `going` needs it, `staying` does not, and it is whole.
    ///
    /// A manifest that a staying index names is never put: the server's collector takes a row that is younger than its index
    /// (`services/packages/container/cleanup_sha256.go @ v15.0.3`). A broken image cannot be put back anyway: no server accepts
    /// an index without its children.
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

    /// By manifest, the indexes of the rows that name it.
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
