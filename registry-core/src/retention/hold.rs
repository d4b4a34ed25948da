//! The undo window: before rows are deleted, their manifests are put by digest, so that an undo can put the rows back for a day.
//! The server's collector leaves a row alone until it is a day old
//! (`services/packages/container/cleanup_sha256.go @ v15.0.3`).

use std::collections::HashSet;

use super::drift::row_identity;
use super::package::{Package, Row};
use super::plan::PackagePlan;
use super::record::{RecordedManifest, RecordedPackage};
use super::server::{NoAnswer, Writer};
use crate::Stop;

/// Puts by digest, children first, every manifest that only the rows to delete need ([`Package::held`]): what they reach, and
/// what was pushed by digest and refers to that.
///
/// # Errors
/// When the server did not accept one of them: then an undo could not put it back.
pub(super) async fn hold_manifests(
    writer: &impl Writer,
    planned: &PackagePlan,
    recorded: &RecordedPackage,
    package: &Package,
) -> Result<(), NoAnswer> {
    let deleted = planned.rows_to_delete();
    let deleted: HashSet<_> =
        deleted.map(|row| (row.version.as_str(), row_identity(row.id, row.created_at), row.digest)).collect();
    // A row that is gone already is not held: an undo of this run does not put it back. A row pushed since the plan stays.
    let goes = |row: &Row| {
        let digest = row.manifest.map(|manifest| package.digest(manifest));
        deleted.contains(&(&*row.version, row_identity(row.id, row.created_at), digest))
    };
    let tags = |is_going: bool| {
        let rows = package.rows.iter().filter(move |row| row.is_tag() && goes(row) == is_going);
        rows.filter_map(|row| row.manifest)
    };
    let held = package.held(tags(true), tags(false));
    for manifest in package.leaves_first(package.manifests()) {
        if !held[manifest.index()] {
            continue;
        }
        if writer.stop().is_some_and(Stop::is_stopped) {
            return Err(NoAnswer::new("the run was asked to stop"));
        }
        let digest = package.digest(manifest);
        let Some(RecordedManifest::Present { media_type, data, .. }) = recorded.manifests.get(&digest) else {
            continue;
        };
        writer.put(&planned.name, &digest.to_string(), media_type, data).await?;
    }
    Ok(())
}
