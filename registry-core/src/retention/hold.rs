//! The undo window: what goes is put by digest first, so that it can be put back for a day. The server's collector goes by a
//! row's age (`services/packages/container/cleanup_sha256.go @ v15.0.3`).

use std::collections::HashSet;

use super::decision::Action;
use super::drift::row_identity;
use super::package::{Package, Row};
use super::plan::PackagePlan;
use super::record::{RecordedManifest, RecordedPackage};
use super::server::{Unanswered, Writer};
use crate::Stop;

/// Puts by digest, children first, every manifest that what goes needs and nothing kept does ([`Package::held`]): what it
/// reaches, and what was pushed by digest and refers to that.
///
/// # Errors
/// When one of them was not taken: then it could not be put back.
pub(super) async fn hold(
    writer: &impl Writer,
    planned: &PackagePlan,
    recorded: &RecordedPackage,
    package: &Package,
) -> Result<(), Unanswered> {
    let going = planned.versions.iter().filter(|row| row.action == Action::Delete);
    let going: HashSet<_> =
        going.map(|row| (row.version.as_str(), row_identity(row.id, row.created_at), row.digest)).collect();
    // What is gone already is not this run's deletion, and no undo of it puts it back. What was pushed since the plan stays.
    let goes = |row: &Row| {
        let digest = row.manifest.map(|manifest| package.digest(manifest));
        going.contains(&(&*row.version, row_identity(row.id, row.created_at), digest))
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
            return Err(Unanswered::new("the run was asked to stop"));
        }
        let digest = package.digest(manifest);
        let Some(RecordedManifest::Present { media_type, data, .. }) = recorded.manifests.get(&digest) else {
            continue;
        };
        writer.put(&planned.name, &digest.to_string(), media_type, data).await?;
    }
    Ok(())
}
