//! Kept children that Forgejo's own collector will take: a fault of it that only digests in several packages meet, and
//! that no plan can mend. It is told, so that somebody pushes the tag again in time.
//!
//! The collector passes over all versions of the server by number and remembers of each digest only the last row. An index
//! strikes out what it names; a row that comes after counts as unreferenced
//! (`services/packages/container/cleanup_sha256.go @ v15.0.3`). Packages of other owners cannot be seen here.

use super::decision::{Action, Decision};
use super::package::Package;
use crate::oci::Digest;

/// Rows of digests and names in tagged indexes, over all packages of a plan.
#[derive(Debug, Default)]
pub(super) struct Collector {
    events: Vec<Event>,
}

/// The head of a hash is enough to bring what concerns one digest together; a warning is checked against the digest.
type Head = [u8; 16];

#[derive(Debug)]
struct Event {
    head: Head,
    /// The server's number of the row.
    id: u64,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A tagged index names the digest.
    Named,
    /// A row of the digest, in the package of this number; whether something tagged that stays reaches it there.
    Row { package: u32, is_needed: bool },
}

fn head(digest: &Digest) -> Head {
    let mut head = Head::default();
    head.copy_from_slice(&digest.as_bytes()[..16]);
    head
}

impl Collector {
    /// Adds what stays of a package.
    pub(super) fn add(&mut self, number: u32, package: &Package, decision: &Decision) {
        let staying = || {
            let rows = package.rows.iter().zip(&decision.rows);
            rows.filter(|(_, verdict)| verdict.action != Action::Delete).map(|(row, _)| row)
        };
        let tags = || staying().filter(|row| row.is_tag());
        let reached = package.reach(tags().filter_map(|row| row.manifest));
        for row in staying() {
            let (Some(manifest), Some(id)) = (row.manifest, row.id) else { continue };
            if row.is_tag() {
                let children = package.info(manifest).into_iter().flat_map(|info| &info.children);
                let names = children.map(|child| head(&package.digest(*child)));
                self.events.extend(names.map(|head| Event { head, id, what: What::Named }));
            } else {
                let what = What::Row { package: number, is_needed: reached[manifest.index()] };
                self.events.push(Event { head: head(&package.digest(manifest)), id, what });
            }
        }
    }

    /// Plays the collector: rows that it takes although something kept needs them, by package and head of the digest.
    pub(super) fn takes(mut self) -> Vec<(u32, Head)> {
        self.events.sort_unstable_by_key(|event| (event.head, event.id));
        let mut taken = Vec::new();
        for events in self.events.chunk_by(|a, b| a.head == b.head) {
            let (mut last, mut is_named_before) = (None, false);
            for event in events {
                match event.what {
                    What::Row { package, is_needed } => last = Some((package, is_needed)),
                    What::Named => is_named_before |= last.take().is_none(),
                }
            }
            if let Some((package, true)) = last.filter(|_| !is_named_before) {
                taken.push((package, events[0].head));
            }
        }
        taken
    }
}

/// Whether a digest begins so.
pub(super) fn begins(digest: &Digest, with: &Head) -> bool {
    head(digest) == *with
}
