//! Bytes that only what goes needs. Shared bytes are not counted, whatever package shares them.

use super::decision::{Action, Decision};
use super::package::{ManifestId, ManifestState, Package};
use crate::oci::Digest;

/// The head of a hash, enough to tell contents apart in a sum.
type ContentHead = [u8; 16];

/// Contents that stay and contents that what goes needs, over all packages.
#[derive(Debug, Default)]
pub(super) struct Reclaim {
    stays: Vec<ContentHead>,
    goes: Vec<(ContentHead, u64)>,
}

fn head(digest: Digest) -> ContentHead {
    let mut head = ContentHead::default();
    head.copy_from_slice(&digest.as_bytes()[..16]);
    head
}

impl Reclaim {
    /// Adds a package. Rows that are left only because a collector takes them with their index are no reason to stay.
    pub(super) fn add(&mut self, package: &Package, decision: &Decision) {
        let rows = || package.rows.iter().zip(&decision.rows);
        let of = |action: Action, tags: bool| {
            rows()
                .filter(move |(row, verdict)| verdict.action == action && (row.is_tag() || !tags))
                .filter_map(|(row, _)| row.manifest)
        };
        let doomed = package.reach(of(Action::Delete, false));
        let untouched = of(Action::Leave, false).filter(|manifest| !doomed[manifest.index()]);
        let stays = package.reach(of(Action::Keep, false).chain(of(Action::Leave, true)).chain(untouched));
        for manifest in package.manifests() {
            let (stays, goes) = (stays[manifest.index()], doomed[manifest.index()]);
            if stays {
                self.each(package, manifest, |reclaim, digest, _| {
                    reclaim.stays.push(head(digest));
                });
            } else if goes {
                self.each(package, manifest, |reclaim, digest, bytes| {
                    reclaim.goes.push((head(digest), bytes));
                });
            }
        }
    }

    fn each(&mut self, package: &Package, manifest: ManifestId, mut one: impl FnMut(&mut Self, Digest, u64)) {
        let ManifestState::Present(info) = package.state(manifest) else { return };
        one(self, package.digest(manifest), info.bytes);
        for part in &info.parts {
            let (digest, bytes) = package.part(*part);
            one(self, digest, bytes);
        }
    }

    /// The sum.
    pub(super) fn bytes(mut self) -> u64 {
        self.stays.sort_unstable();
        self.goes.sort_unstable();
        self.goes.dedup_by_key(|(head, _)| *head);
        let exclusive = self.goes.iter().filter(|(head, _)| self.stays.binary_search(head).is_err());
        exclusive.map(|(_, bytes)| *bytes).fold(0, u64::saturating_add)
    }
}
