//! The undo window: what goes is put by digest first, so that it can be put back for a day. The server's collector goes by a
//! row's age (`services/packages/container/cleanup_sha256.go @ v15.0.3`).

use std::collections::HashSet;

use super::decision::Action;
use super::health::{Health, healths};
use super::package::Package;
use super::plan::PackagePlan;
use super::record::{RecordedManifest, RecordedPackage};
use super::server::{Unanswered, Writer};
use crate::Stop;

/// Puts by digest, children first, every manifest that what goes reaches and nothing kept does.
///
/// # Errors
/// When one of them was not taken: then it could not be put back.
pub(super) async fn hold(
    writer: &impl Writer,
    planned: &PackagePlan,
    recorded: &RecordedPackage,
    package: &Package,
) -> Result<(), Unanswered> {
    // What is gone already is not this run's deletion, and no undo of it puts it back.
    let there: HashSet<&str> = package.rows.iter().map(|row| &*row.version).collect();
    let of = |goes: bool| {
        let rows = planned.versions.iter().filter(|row| {
            !row.version.contains(':')
                && (row.action == Action::Delete) == goes
                && there.contains(row.version.as_str())
        });
        package.reach(rows.filter_map(|row| row.digest).filter_map(|digest| package.find(&digest)))
    };
    let (goes, stays) = (of(true), of(false));
    let healths = healths(package);
    for manifest in package.leaves_first(package.manifests()) {
        // What is broken cannot be put back anyway, and no server takes an index without its children.
        let at = manifest.index();
        if !goes[at] || stays[at] || healths[at] != Health::Whole {
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
