//! Which deletions can be put back, as long as the server's own collector has not run.

use std::collections::HashSet;

use super::decision::{Action, Decision};
use super::health::{Health, healths};
use super::package::{Package, PartId};
use super::policy::Policy;
use super::source::{Source, SourceKind};

/// For each row that goes, whether it can be put back.
///
/// On Forgejo a version's files go with its row, so a manifest can be put back only while other rows of the package hold
/// its blobs (`services/packages/packages.go @ v15.0.3`, `RemovePackageVersion`), and an index only while its children
/// have rows. What is moved aside on a tree can always be moved back. The undo window holds what images that go reach, and no other digest. On other registries deleting a manifest deletes no blob and no layer link.
pub(super) fn undoable(
    package: &Package,
    decision: &Decision,
    source: &Source,
    policy: &Policy,
) -> Vec<Option<bool>> {
    let rows = || package.rows.iter().zip(&decision.rows);
    let staying: HashSet<_> = rows()
        .filter(|(_, verdict)| verdict.action != Action::Delete)
        .filter_map(|(row, _)| row.manifest)
        .collect();
    let held: HashSet<PartId> = staying
        .iter()
        .filter_map(|manifest| package.info(*manifest))
        .flat_map(|info| &info.parts)
        .copied()
        .collect();
    let doomed = rows().filter(|(row, verdict)| row.is_tag() && verdict.action == Action::Delete);
    let window = package.reach(doomed.filter(|_| policy.undo_window).filter_map(|(row, _)| row.manifest));
    let healths = healths(package);
    let can = |row: &super::Row| {
        if source.kind == SourceKind::Layout {
            return true;
        }
        let Some(manifest) = row.manifest else { return false };
        // No server takes an index whose children are gone.
        if healths[manifest.index()] != Health::Whole {
            return false;
        }
        if source.kind != SourceKind::Forgejo || window[manifest.index()] || staying.contains(&manifest) {
            return true;
        }
        package.info(manifest).is_some_and(|info| {
            info.children.iter().all(|child| staying.contains(child))
                && info.parts.iter().all(|part| held.contains(part))
        })
    };
    rows().map(|(row, verdict)| (verdict.action == Action::Delete).then(|| can(row))).collect()
}
