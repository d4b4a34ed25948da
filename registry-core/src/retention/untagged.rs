//! Manifests listed under their digest: which of them go when untagged ones are to be pruned, and what is said of them.

use super::deciding::Deciding;
use super::decision::{Action, RowDecision};
use super::images::smaller;
use super::package::{ManifestId, ManifestState};
use super::policy::{is_restored, is_young};
use super::reason::{ImagePart, Reason};

/// For each row whether it goes: a digest that no root reaches, older than the grace.
pub(super) fn prune(deciding: &Deciding<'_>) -> Vec<bool> {
    let (package, policy, now) = (deciding.package, deciding.policy, deciding.now);
    let rows = &package.rows;
    // The undo window puts what images that go reach, and what refers to it, under its digest; all of it stays for a day.
    let staying =
        deciding.images.all.iter().zip(&deciding.gone).filter(|(_, gone)| !**gone || policy.undo_window);
    let young = rows.iter().filter(|row| {
        !row.is_tag()
            && (is_young(row.created_at, now, policy.grace) || is_restored(package, row, now, policy.hold))
    });
    // Of an opaque manifest nobody knows what it needs.
    let opaque = |manifest: &ManifestId| package.info(*manifest).is_some_and(|info| info.is_opaque);
    let listed = || rows.iter().filter_map(|row| row.manifest);
    let roots = staying
        .map(|(image, _)| image.manifest)
        .chain(deciding.in_use.iter().copied())
        .chain(young.filter_map(|row| row.manifest))
        .chain(listed().filter(opaque));
    // Referrers of what stays, and theirs, stay too.
    let reached = package.reach_with_referrers(roots, listed());
    let goes = |row: &super::Row| {
        !row.is_tag()
            && row.manifest.is_some_and(|manifest| {
                !reached[manifest.index()] && matches!(package.state(manifest), ManifestState::Present(_))
            })
    };
    rows.iter().map(goes).collect()
}

/// What is said of the row of a digest; `staying` and `going` are the newest rows of images above each manifest.
pub(super) fn verdict(
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
        let reasons = vec![Reason::Unreached];
        return RowDecision { action: Action::Delete, reasons, if_refused: None, after: Vec::new() };
    }
    let images = &deciding.images;
    let own = images.of_manifest[manifest.index()];
    let newest = |above: &[Option<usize>], gone: bool| {
        let own = own.filter(|id| deciding.gone[*id] == gone);
        let row = smaller(above[manifest.index()], own.and_then(|id| images.newest(id)))?;
        let id = images.of_row[row]?;
        let part = if Some(id) == own { ImagePart::Manifest } else { ImagePart::Child };
        Some((part, images.tags(package, id)))
    };
    let part_of = |(part, image)| match part {
        ImagePart::Manifest => Reason::ManifestOf { image },
        ImagePart::Child => Reason::ChildOf { parent: image },
    };
    let (stays, goes) = (newest(staying, false), newest(going, true));
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
