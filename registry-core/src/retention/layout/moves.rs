//! What a plan moves aside in one repository: the tag folders of what goes, and the revision and layer links that it reaches
//! and nothing that stays does. Pure; whether it may still be done is looked at when it is done.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::links::Links;
use crate::oci::Digest;
use crate::path::Place;
use crate::repair::{Act, RepairStep};
use crate::retention::decision::Action;
use crate::retention::package::{ManifestId, ManifestState, Package};
use crate::retention::plan::PackagePlan;

/// What becomes of a row, as far as the links behind it are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFate {
    /// It goes.
    Goes,
    /// It stays, with everything that it reaches.
    Stays,
    /// A manifest that the plan leaves: it stays unless something that goes reaches it.
    Left,
}

/// What is moved aside, in an order in which each prefix is safe: no tag without its manifest, no index without a child.
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
    /// All of it in order.
    pub fn steps(&self) -> impl Iterator<Item = &RepairStep> {
        self.tags.iter().chain(&self.revisions).chain(&self.layers)
    }
}

/// What a plan says of each row of a package, in the order of the package. A row that the plan does not know, or knows
/// otherwise, stays.
pub(super) fn fates(planned: &PackagePlan, package: &Package) -> Vec<RowFate> {
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

/// What a plan moves aside in a package that has not changed since.
pub fn moves_of(planned: &PackagePlan, package: &Package, links: &Links) -> Moves {
    moves(package, links, &fates(planned, package), &[], &HashSet::new())
}

/// What is moved aside. `fates` are those of the package's rows; `gone` are images whose tags went already, `stays` are
/// manifests that stay beyond what the rows say.
///
/// Where anything is not known, nothing is moved: it may need whatever there is.
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
    let of = |fate: RowFate| {
        let rows = package.rows.iter().zip(fates).filter(move |(_, one)| **one == fate);
        rows.map(|(row, _)| row)
    };
    let gone = gone.iter().filter_map(|digest| package.find(digest));
    let doomed = package.reach(of(RowFate::Goes).filter_map(|row| row.manifest).chain(gone));
    let left = of(RowFate::Left).filter_map(|row| row.manifest).filter(|one| !doomed[one.index()]);
    let roots = of(RowFate::Stays).filter_map(|row| row.manifest).chain(left).chain(stays.iter().copied());
    let kept = kept(package, roots);
    let goes = |manifest: &ManifestId| doomed[manifest.index()] && !kept[manifest.index()];

    let name: Arc<str> = package.name.as_str().into();
    let step = |path: String, digest: Digest, message: &str| RepairStep {
        action: Act::Retire,
        path,
        repository: Some(Arc::clone(&name)),
        tag: None,
        digest: Some(digest),
        bytes: 0,
        code: None,
        tags: crate::audit::SharedTags::default(),
        message: message.into(),
        modified: None,
    };
    let mut moves = Moves::default();
    for row in of(RowFate::Goes).filter(|row| row.is_tag()) {
        let Some(manifest) = row.manifest else { continue };
        let path = Place::TagFolder(&name, &row.version).to_string();
        let mut step = step(path, package.digest(manifest), "the plan lets this tag go");
        (step.tag, step.modified) = (Some(row.version.clone()), row.created_at);
        moves.tags.push(step);
    }
    let times: HashMap<ManifestId, _> = package
        .rows
        .iter()
        .filter(|row| !row.is_tag())
        .filter_map(|row| Some((row.manifest?, row.created_at)))
        .collect();
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
    let (unneeded, needed) = (layers(package, goes, false), layers(package, |one| !goes(one), true));
    for (target, group) in links.groups() {
        let any = |set: &BTreeSet<Digest>| set.contains(&target) || group.iter().any(|one| set.contains(one));
        if any(&unneeded) && !any(&needed) {
            moves.layers.extend(group.iter().map(|digest| {
                let path = Place::LayerFolder(&name, *digest).to_string();
                step(path, target, "only manifests that go name these bytes")
            }));
        }
    }
    moves
}

/// Whether something that may need anything here was not read. A mere mention need not be a manifest at all.
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

/// Everything that roots reach, and that refers to it (`subject`), by number.
pub(super) fn kept(package: &Package, roots: impl Iterator<Item = ManifestId>) -> Vec<bool> {
    package.reach_with_referrers(roots, package.manifests())
}

/// Digests that some manifests need a layer link for: configs and layers, and themselves, for 2.8 serves a manifest through
/// such a link too. With `mentions` also what an unknown kind of manifest spells anywhere.
fn layers(package: &Package, these: impl Fn(&ManifestId) -> bool, mentions: bool) -> BTreeSet<Digest> {
    let mut layers = BTreeSet::new();
    for manifest in package.manifests().filter(these) {
        let Some(info) = package.info(manifest) else { continue };
        layers.insert(package.digest(manifest));
        layers.extend(info.parts.iter().map(|part| package.part(*part).0));
        if mentions {
            layers.extend(info.mentions.iter().map(|mention| package.digest(*mention)));
        }
    }
    layers
}
