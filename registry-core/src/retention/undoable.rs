//! Which deletions an undo can put back, as long as the server's own collector has not run.

use std::collections::HashSet;

use super::decision::{Action, Decision};
use super::health::{Health, healths};
use super::package::{Package, PartId};
use super::policy::Policy;
use super::source::{Source, SourceKind};

/// For each row to delete, whether it can be put back; `None` for other rows.
///
/// Forgejo deletes a version's files with its row, so a manifest can be put back only while other rows of the package hold
/// its blobs (`services/packages/packages.go @ v15.0.3`, `RemovePackageVersion`), and an index only while its children
/// have rows. The undo window holds the manifests that deleted tags reach, and no others. On a tree, moved files can always be
/// moved back. Other registries delete no blob and no layer link with a manifest.
pub(super) fn undoable_rows(
    package: &Package,
    decision: &Decision,
    source: &Source,
    policy: &Policy,
) -> Vec<Option<bool>> {
    let rows = || package.rows.iter().zip(&decision.rows);
    let staying = rows().filter(|(_, verdict)| verdict.action != Action::Delete);
    let staying: HashSet<_> = staying.filter_map(|(row, _)| row.manifest).collect();
    let staying_info = staying.iter().filter_map(|manifest| package.info(*manifest));
    let held: HashSet<PartId> = staying_info.flat_map(|info| &info.parts).copied().collect();
    let deleted_tags = rows().filter(|(row, verdict)| row.is_tag() && verdict.action == Action::Delete);
    let in_window =
        package.reach(deleted_tags.filter(|_| policy.undo_window).filter_map(|(row, _)| row.manifest));
    let healths = healths(package);
    let can_be_put_back = |row: &super::Row| {
        if source.kind == SourceKind::Layout {
            return true;
        }
        let Some(manifest) = row.manifest else { return false };
        // No server accepts an index whose children are gone.
        if healths[manifest.index()] != Health::Whole {
            return false;
        }
        if source.kind != SourceKind::Forgejo || in_window[manifest.index()] || staying.contains(&manifest) {
            return true;
        }
        package.info(manifest).is_some_and(|info| {
            info.children.iter().all(|child| staying.contains(child))
                && info.parts.iter().all(|part| held.contains(part))
        })
    };
    rows().map(|(row, verdict)| (verdict.action == Action::Delete).then(|| can_be_put_back(row))).collect()
}
