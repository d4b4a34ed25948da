//! What roots reach, kept up to date while roots go one by one: each manifest counts the roots and indexes that hold it.

use super::package::{Info, ManifestId, Package};

/// Manifests with the number of roots and held manifests that name each.
#[derive(Debug)]
pub(super) struct Support(Vec<usize>);

impl Support {
    /// What these roots reach; a root given twice counts twice.
    pub(super) fn of(package: &Package, roots: impl IntoIterator<Item = ManifestId>) -> Self {
        let mut counts = vec![0_usize; package.len()];
        let mut stack: Vec<ManifestId> = roots.into_iter().collect();
        while let Some(manifest) = stack.pop() {
            let count = &mut counts[manifest.index()];
            *count += 1;
            if *count == 1 {
                stack.extend(package.info(manifest).into_iter().flat_map(Info::named));
            }
        }
        Self(counts)
    }

    /// Whether a root reaches it.
    pub(super) fn holds(&self, manifest: ManifestId) -> bool {
        self.0[manifest.index()] > 0
    }

    /// Takes away one root.
    pub(super) fn remove(&mut self, package: &Package, root: ManifestId) {
        let mut stack = vec![root];
        while let Some(manifest) = stack.pop() {
            let count = &mut self.0[manifest.index()];
            if *count == 1 {
                stack.extend(package.info(manifest).into_iter().flat_map(Info::named));
            }
            *count = count.saturating_sub(1);
        }
    }
}
