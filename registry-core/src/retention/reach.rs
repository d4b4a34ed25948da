//! What reaches what in a package.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::built::is_date;
use super::health::{Health, healths};
use super::package::{ManifestId, Package};
use crate::graph::walk;
use crate::oci::manifest::Kind;

impl Package {
    /// When an image was built; of an index, when the last of its images was, and only where none of them has a date, when an
    /// index among them says.
    pub fn built_at(&self, manifest: ManifestId) -> Option<Timestamp> {
        let (mut images, mut indexes) = (None, None);
        let children = |one| self.info(one).into_iter().flat_map(|info| info.children.iter().copied());
        let below = walk::reach(HashSet::new(), [manifest], children);
        for info in below.filter_map(|one| self.info(one)) {
            let newest = if info.kind == Kind::Index { &mut indexes } else { &mut images };
            *newest = (*newest).max(info.built_at);
        }
        images.filter(|at| is_date(*at)).or(indexes).or(images)
    }

    /// Everything reached from `roots` through children, `roots` included, by number.
    pub fn reach(&self, roots: impl IntoIterator<Item = ManifestId>) -> Vec<bool> {
        let mut reached = vec![false; self.len()];
        walk::mark(&mut reached, roots, |manifest| self.named(manifest));
        reached
    }

    /// Everything reached from `roots`, each once and after all that it names.
    pub(super) fn leaves_first(&self, roots: impl IntoIterator<Item = ManifestId>) -> Vec<ManifestId> {
        walk::children_first(self.len(), roots, |manifest| self.named(manifest))
    }

    /// Indexes by the manifests that they name.
    pub fn parents(&self) -> HashMap<ManifestId, Vec<ManifestId>> {
        let mut parents: HashMap<ManifestId, Vec<ManifestId>> = HashMap::new();
        for manifest in self.manifests() {
            for child in self.named(manifest) {
                parents.entry(child).or_default().push(manifest);
            }
        }
        parents
    }

    /// Everything that reaches one of `targets`, `targets` included, by number.
    pub(crate) fn reach_up(&self, targets: impl IntoIterator<Item = ManifestId>) -> Vec<bool> {
        let parents = self.parents();
        let mut reached = vec![false; self.len()];
        walk::mark(&mut reached, targets, |one| parents.get(&one).into_iter().flatten().copied());
        reached
    }

    /// Everything that `roots` need, by number: what they reach, and what was pushed by digest only and refers to something
    /// needed. A referrer that has a tag is an image of its own.
    pub(super) fn needed(&self, roots: impl IntoIterator<Item = ManifestId>) -> Vec<bool> {
        let tagged = self.rows.iter().filter(|row| row.is_tag()).filter_map(|row| row.manifest);
        let tagged: HashSet<ManifestId> = tagged.collect();
        let listed = self.rows.iter().filter_map(|row| row.manifest);
        self.reach_with_referrers(roots, listed.filter(|one| !tagged.contains(one)))
    }

    /// Everything reached from `roots`, by number, with those of `referrers` that refer to something reached (`subject`) and
    /// what these reach.
    pub(super) fn reach_with_referrers(
        &self,
        roots: impl IntoIterator<Item = ManifestId>,
        referrers: impl IntoIterator<Item = ManifestId>,
    ) -> Vec<bool> {
        let mut by_subject: HashMap<ManifestId, Vec<ManifestId>> = HashMap::new();
        for manifest in referrers {
            if let Some(subject) = self.info(manifest).and_then(|info| info.subject) {
                by_subject.entry(subject).or_default().push(manifest);
            }
        }
        let mut reached = vec![false; self.len()];
        let referrers = |one| by_subject.get(&one).into_iter().flatten().copied();
        walk::mark(&mut reached, roots, |one| self.named(one).chain(referrers(one)));
        reached
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
