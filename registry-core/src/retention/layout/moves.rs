//! Which folders a plan moves aside in one repository: those of deleted tags, and those of the revision and layer links that only
//! deleted images need. The code is pure; each step is checked again when it is done.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::links::Links;
use crate::oci::Digest;
use crate::path::Place;
use crate::repair::{RepairStep, StepAction};
use crate::retention::decision::Action;
use crate::retention::package::{ManifestId, ManifestState, Package};
use crate::retention::plan::PackagePlan;

/// What becomes of a row and the links that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFate {
    /// It goes.
    Goes,
    /// It stays, with everything that it reaches.
    Stays,
    /// The row of a digest that the plan leaves: it stays unless something that goes reaches it.
    Left,
}

/// The folders to move aside. Their order is safe to interrupt anywhere: no tag is left without its manifest, and no index
/// without a child.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moves {
    /// Tag folders.
    pub tags: Vec<RepairStep>,
    /// Folders of revision links, each before those of the manifests that it names.
    pub revisions: Vec<RepairStep>,
    /// Folders of layer links.
    pub layers: Vec<RepairStep>,
}

impl Moves {
    /// All steps in order.
    pub fn steps(&self) -> impl Iterator<Item = &RepairStep> {
        self.tags.iter().chain(&self.revisions).chain(&self.layers)
    }
}

/// The fate of each row of a package, in the order of the package. A row that is not in the plan, or differs from it, stays.
pub(super) fn row_fates(planned: &PackagePlan, package: &Package) -> Vec<RowFate> {
    let known: HashMap<&str, _> = planned.versions.iter().map(|row| (row.version.as_str(), row)).collect();
    let fate = |row: &crate::retention::Row| {
        let digest = row.manifest.map(|manifest| package.digest(manifest));
        let same = known
            .get(&*row.version)
            .filter(|known| known.digest == digest && known.created_at == row.created_at);
        match same.map(|row| row.action) {
            Some(Action::Delete) => RowFate::Goes,
            Some(Action::Leave) if !row.is_tag() => RowFate::Left,
            _ => RowFate::Stays,
        }
    };
    package.rows.iter().map(fate).collect()
}

/// The folders that a plan moves aside in a package that has not changed since it was planned.
pub fn moves_of(planned: &PackagePlan, package: &Package, links: &Links) -> Moves {
    moves(package, links, &row_fates(planned, package), &[], &HashSet::new())
}

/// The step that moves a folder of a repository aside.
pub(super) fn retire_step(repository: Arc<str>, path: String, digest: Digest, message: String) -> RepairStep {
    RepairStep {
        action: StepAction::Retire,
        path,
        repository: Some(repository),
        tag: None,
        digest: Some(digest),
        bytes: 0,
        code: None,
        tags: crate::audit::SharedTags::default(),
        message,
        modified: None,
    }
}

/// The folders to move aside. `fates` are those of the package's rows, `gone` are images whose tags were moved already, and
/// `stays` are further manifests that stay.
///
/// If anything in the package is unknown, nothing is moved: the unknown part may need any link.
pub fn moves(
    package: &Package,
    links: &Links,
    fates: &[RowFate],
    gone: &[Digest],
    stays: &HashSet<ManifestId>,
) -> Moves {
    if fates.len() != package.rows.len() || is_unknown(package) {
        return Moves::default();
    }
    let rows_with = |fate: RowFate| {
        let rows = package.rows.iter().zip(fates).filter(move |(_, other)| **other == fate);
        rows.map(|(row, _)| row)
    };
    let manifests_with = |fate: RowFate| rows_with(fate).filter_map(|row| row.manifest);
    let gone = gone.iter().filter_map(|digest| package.find(digest));
    let deleted = package.reach(manifests_with(RowFate::Goes).chain(gone));
    let left = manifests_with(RowFate::Left).filter(|manifest| !deleted[manifest.index()]);
    let roots = manifests_with(RowFate::Stays).chain(left).chain(stays.iter().copied());
    let kept = with_referrers(package, roots);
    let goes = |manifest: &ManifestId| deleted[manifest.index()] && !kept[manifest.index()];

    let name: Arc<str> = package.name.as_str().into();
    let step = |path: String, digest: Digest, message: &str| {
        retire_step(Arc::clone(&name), path, digest, message.to_owned())
    };
    let mut moves = Moves::default();
    for row in rows_with(RowFate::Goes).filter(|row| row.is_tag()) {
        let Some(manifest) = row.manifest else { continue };
        let path = Place::TagFolder(&name, &row.version).to_string();
        let mut step = step(path, package.digest(manifest), "the plan lets this tag go");
        (step.tag, step.modified) = (Some(row.version.clone()), row.created_at);
        moves.tags.push(step);
    }
    let digest_rows = package.rows.iter().filter(|row| !row.is_tag());
    let times: HashMap<ManifestId, _> =
        digest_rows.filter_map(|row| Some((row.manifest?, row.created_at))).collect();
    let mut order = package.leaves_first(package.manifests().filter(goes));
    order.reverse();
    for manifest in order.into_iter().filter(goes) {
        let digest = package.digest(manifest);
        if links.revisions.contains(&digest) {
            let path = Place::RevisionFolder(&name, digest).to_string();
            let mut step = step(path, digest, "only what goes reaches this manifest");
            step.modified = times.get(&manifest).copied().flatten();
            moves.revisions.push(step);
        }
    }
    let deleted = needed_layers(package, goes, false);
    let needed = needed_layers(package, |manifest| !goes(manifest), true);
    for (target, group) in links.by_target() {
        let any_in =
            |set: &BTreeSet<Digest>| set.contains(&target) || group.iter().any(|digest| set.contains(digest));
        if any_in(&deleted) && !any_in(&needed) {
            moves.layers.extend(group.iter().map(|digest| {
                let path = Place::LayerFolder(&name, *digest).to_string();
                step(path, target, "only manifests that go name these bytes")
            }));
        }
    }
    moves
}

/// Whether something was not read that may need any link of the package. Mentions do not count: they may be no manifests.
fn is_unknown(package: &Package) -> bool {
    let unasked = |manifest: &ManifestId| *package.state(*manifest) == ManifestState::Unasked;
    package.unreadable.is_some()
        || package.manifests().any(|manifest| match package.state(manifest) {
            ManifestState::Unknown(_) => true,
            ManifestState::Present(info) => info.children.iter().any(unasked),
            ManifestState::Unasked | ManifestState::Absent => false,
        })
        || package.rows.iter().filter_map(|row| row.manifest).any(|manifest| unasked(&manifest))
}

/// By manifest, whether roots reach it, through children or through manifests that refer to something reached (`subject`).
pub(super) fn with_referrers(package: &Package, roots: impl Iterator<Item = ManifestId>) -> Vec<bool> {
    package.reach_with_referrers(roots, package.manifests())
}

/// The digests for which some manifests need layer links: their configs and layers, and their own, because 2.8 serves a manifest
/// through such a link too. With `with_mentions` also the digests that stand anywhere in a manifest of unknown kind.
fn needed_layers(
    package: &Package,
    is_wanted: impl Fn(&ManifestId) -> bool,
    with_mentions: bool,
) -> BTreeSet<Digest> {
    let mut layers = BTreeSet::new();
    for manifest in package.manifests().filter(is_wanted) {
        let Some(info) = package.info(manifest) else { continue };
        layers.insert(package.digest(manifest));
        layers.extend(info.parts.iter().map(|part| package.part(*part).0));
        if with_mentions {
            layers.extend(info.mentions.iter().map(|mention| package.digest(*mention)));
        }
    }
    layers
}
