//! How many bytes a plan frees: those that only deleted images need. Bytes that something else needs, in whatever package, are
//! not counted.

use super::decision::{Action, Decision};
use super::package::{ManifestId, Package};
use crate::oci::Digest;

/// The first bytes of a hash, which suffice to tell contents apart.
pub(super) type ContentHead = [u8; 16];

/// The contents that staying images need and those that deleted images need, over all packages.
#[derive(Debug, Default)]
pub(super) struct ReclaimableBytes {
    needed: Vec<ContentHead>,
    deleted: Vec<(ContentHead, u64)>,
}

pub(super) fn content_head(digest: &Digest) -> ContentHead {
    let mut head = ContentHead::default();
    head.copy_from_slice(&digest.as_bytes()[..16]);
    head
}

impl ReclaimableBytes {
    /// Adds a package. Rows of digests that are left to the collector, because the index above them goes, do not count as
    /// staying.
    pub(super) fn add(&mut self, package: &Package, decision: &Decision) {
        let rows = || package.rows.iter().zip(&decision.rows);
        let with_action = |action: Action, only_tags: bool| {
            rows()
                .filter(move |(row, verdict)| verdict.action == action && (row.is_tag() || !only_tags))
                .filter_map(|(row, _)| row.manifest)
        };
        let deleted = package.reach(with_action(Action::Delete, false));
        let untouched = with_action(Action::Leave, false).filter(|manifest| !deleted[manifest.index()]);
        let roots = with_action(Action::Keep, false).chain(with_action(Action::Leave, true)).chain(untouched);
        let needed = package.reach(roots);
        for manifest in package.manifests() {
            if needed[manifest.index()] {
                self.needed.extend(contents(package, manifest).map(|(head, _)| head));
            } else if deleted[manifest.index()] {
                self.deleted.extend(contents(package, manifest));
            }
        }
    }

    /// How many bytes only deleted images need.
    pub(super) fn total(mut self) -> u64 {
        self.needed.sort_unstable();
        self.deleted.sort_unstable();
        self.deleted.dedup_by_key(|(head, _)| *head);
        let exclusive = self.deleted.iter().filter(|(head, _)| self.needed.binary_search(head).is_err());
        exclusive.map(|(_, bytes)| *bytes).fold(0, u64::saturating_add)
    }
}

/// A manifest that was read, its config and its layers, each with its size.
fn contents(package: &Package, manifest: ManifestId) -> impl Iterator<Item = (ContentHead, u64)> + '_ {
    package.info(manifest).into_iter().flat_map(move |info| {
        let parts = info.parts.iter().map(|part| package.part(*part));
        let own = (package.digest(manifest), info.bytes);
        std::iter::once(own).chain(parts).map(|(digest, bytes)| (content_head(&digest), bytes))
    })
}
