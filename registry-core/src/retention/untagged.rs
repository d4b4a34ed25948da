//! Rows of digests: which of them go when the policy prunes untagged manifests, and the reasons of each.

use super::deciding::Deciding;
use super::decision::RowDecision;
use super::images::smaller;
use super::package::{ManifestId, ManifestState};
use super::reason::{ImagePart, Reason};

/// For each row, whether it goes: it is that of a digest, older than the grace, and no root reaches its manifest.
pub(super) fn rows_to_prune(deciding: &Deciding<'_>) -> Vec<bool> {
    let package = deciding.package;
    let rows = &package.rows;
    // With the undo window, images that go are put by digest with their referrers, and stay for a day: they are roots too.
    let images = deciding.images.all.iter().zip(&deciding.gone);
    let staying = images.filter(|(_, gone)| !**gone || deciding.policy.undo_window);
    let fresh = rows.iter().filter(|row| deciding.is_fresh_digest_row(row));
    // What an opaque manifest needs is unknown, so it is a root.
    let is_opaque = |manifest: &ManifestId| package.info(*manifest).is_some_and(|info| info.is_opaque);
    let listed = || rows.iter().filter_map(|row| row.manifest);
    let roots = staying
        .map(|(image, _)| image.manifest)
        .chain(deciding.in_use.iter().copied())
        .chain(fresh.filter_map(|row| row.manifest))
        .chain(listed().filter(is_opaque));
    // The referrers of staying manifests stay too, and so do their own referrers.
    let reached = package.reach_with_referrers(roots, listed());
    let goes = |row: &super::Row| {
        !row.is_tag()
            && row.manifest.is_some_and(|manifest| {
                !reached[manifest.index()] && matches!(package.state(manifest), ManifestState::Present(_))
            })
    };
    rows.iter().map(goes).collect()
}

/// The decision about the row of a digest. `staying` and `going` are, by manifest, the newest rows of the staying and going
/// images above it.
pub(super) fn digest_row_decision(
    deciding: &Deciding<'_>,
    at: usize,
    staying: &[Option<usize>],
    going: &[Option<usize>],
) -> RowDecision {
    let package = deciding.package;
    let row = &package.rows[at];
    let leave = RowDecision::leave;
    let Some(manifest) = row.manifest else { return leave(Reason::UnreadableDigest) };
    if deciding.pruned[at] {
        return RowDecision::delete(Reason::Unreached);
    }
    let images = &deciding.images;
    let own = images.of_manifest[manifest.index()];
    let newest_image = |above: &[Option<usize>], gone: bool| {
        let own = own.filter(|id| deciding.gone[*id] == gone);
        let row = smaller(above[manifest.index()], own.and_then(|id| images.newest_row(id)))?;
        let id = images.of_row[row]?;
        let part = if Some(id) == own { ImagePart::Manifest } else { ImagePart::Child };
        Some((part, images.tags(package, id)))
    };
    let part_of = |(part, image)| match part {
        ImagePart::Manifest => Reason::ManifestOf { image },
        ImagePart::Child => Reason::ChildOf { parent: image },
    };
    let (stays, goes) = (newest_image(staying, false), newest_image(going, true));
    match (stays, goes, package.state(manifest)) {
        (Some(image), ..) => leave(part_of(image)),
        (None, Some((part, image)), _) => {
            let if_refused = Some(vec![part_of((part, image.clone()))]);
            RowDecision { if_refused, ..leave(Reason::LeftToCollector { part, image }) }
        }
        (None, None, ManifestState::Absent) => leave(Reason::ListedAndAbsent),
        (None, None, _) => leave(Reason::Untagged),
    }
}
