//! The decision on one package in the making: what is known of its images before it begins, and how far it has come. The
//! steps are in `decide`, the judgement of one image in `judge`.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::decision::Action;
use super::follow::{After, FateElsewhere};
use super::images::{ImageId, Images, TaggedImage};
use super::package::{ManifestId, Package};
use super::policy::{Policy, is_restored, is_young};
use super::rank::Rules;
use super::reason::Reason;
use crate::graph::walk::ReferenceCounts;
use crate::oci::Digest;

/// A decision in the making.
pub(super) struct Deciding<'a> {
    pub(super) package: &'a Package,
    pub(super) policy: &'a Policy,
    pub(super) now: Timestamp,
    /// What becomes in other packages of subjects that they have.
    pub(super) others: &'a BTreeMap<Digest, FateElsewhere>,
    pub(super) images: Images,
    pub(super) rules: Rules<'a>,
    /// Manifests in use and the indexes that name them, by number.
    pub(super) in_use: BTreeSet<ManifestId>,
    /// Images that go.
    pub(super) gone: Vec<bool>,
    /// What the last judgement of each image came to.
    pub(super) judgements: Vec<ImageDecision>,
    /// Rows of digests that go.
    pub(super) pruned: Vec<bool>,
    /// Whether followers here follow what this package has, and none follows what another has.
    pub(super) signs_its_own: bool,
    /// Followers whose subject is known to be gone.
    pub(super) orphans: BTreeSet<ImageId>,
    /// Rows by the manifest they carry.
    pub(super) rows_of: Vec<Vec<usize>>,
    /// Images with their newest row, the newest by what ranks images first.
    newest: Vec<(ImageId, usize)>,
    /// By manifest, the place in `newest` of the newest image above it.
    newest_above: Vec<Option<usize>>,
}

impl<'a> Deciding<'a> {
    pub(super) fn new(
        package: &'a Package,
        path: &str,
        policy: &'a Policy,
        now: Timestamp,
        others: &'a BTreeMap<Digest, FateElsewhere>,
    ) -> Self {
        let mut images = Images::new(package, policy);
        let in_use = protect(package, path, policy, now, &mut images);
        let rules = Rules::new(package, &images, policy);
        let count = images.all.len();
        let rows_of = package.rows_of();
        let newest = newest(&images, &rules);
        let mut places = vec![None; count];
        newest.iter().zip(0..).for_each(|((id, _), place)| places[*id] = Some(place));
        let newest_above = images.above(package, |id| places[id]);
        let mut subjects = images.all.iter().flat_map(|image| image.follows.iter().flatten());
        let is_here = |subject: &Digest| package.find(subject).and_then(|one| package.info(one)).is_some();
        let signs_its_own = subjects.any(is_here)
            && package.elsewhere.values().all(|elsewhere| elsewhere.packages.is_empty());
        Self {
            package,
            policy,
            now,
            others,
            images,
            rules,
            in_use,
            gone: vec![false; count],
            judgements: vec![ImageDecision::keep(Vec::new()); count],
            pruned: vec![false; package.rows.len()],
            signs_its_own,
            orphans: BTreeSet::new(),
            rows_of,
            newest,
            newest_above,
        }
    }

    /// The newest image above a manifest, staying or not, with its newest row.
    pub(super) fn newest_namer(&self, manifest: ManifestId) -> Option<(usize, ImageId)> {
        let (id, row) = self.newest[self.newest_above[manifest.index()]?];
        Some((row, id))
    }

    /// By manifest, the newest row of an image above it that stays, or of one that goes.
    pub(super) fn rows_above(&self, gone: bool) -> Vec<Option<usize>> {
        let mark = |id: ImageId| self.images.newest(id).filter(|_| self.gone[id] == gone);
        self.images.above(self.package, mark)
    }
}

/// Images with the row that makes them newest, the newest first: by what ranks images, then by the order of rows.
fn newest(images: &Images, rules: &Rules<'_>) -> Vec<(ImageId, usize)> {
    let best = |image: &TaggedImage| {
        let rows = image.rows.iter().map(|row| (rules.key_of(*row), Reverse(*row)));
        rows.max().map(|(key, row)| (Reverse(key), row.0))
    };
    let images = images.all.iter().enumerate().filter_map(|(id, image)| Some((best(image)?, id)));
    let mut newest: Vec<_> = images.collect();
    newest.sort_unstable();
    newest.into_iter().map(|((_, row), id)| (id, row)).collect()
}

/// What is reached, as of now.
pub(super) struct Reached {
    /// By an image that stays, or by something fixed.
    pub(super) kept: ReferenceCounts,
    /// What stays without a tag: what is in use, with the indexes that name it, and a push under way.
    pub(super) fixed: HashSet<ManifestId>,
    /// By any tag, staying or not.
    pub(super) tagged: Vec<bool>,
    /// Indexes by what they name; made when first asked for.
    pub(super) parents: OnceCell<HashMap<ManifestId, Vec<ManifestId>>>,
}

/// What becomes of one image, and why.
#[derive(Debug, Clone)]
pub(super) struct ImageDecision {
    pub(super) action: Action,
    pub(super) reasons: Vec<Reason>,
    /// Why it stays after all when a guard refuses the package, where that is another reason.
    pub(super) if_refused: Option<Vec<Reason>>,
    /// Of what goes: what it follows in other packages.
    pub(super) after: Vec<After>,
    /// Whether it stays only because something that it follows does.
    pub(super) stays_as_follower: bool,
}

impl ImageDecision {
    /// The policy keeps it.
    pub(super) const fn keep(reasons: Vec<Reason>) -> Self {
        Self::new(Action::Keep, reasons)
    }

    /// Nothing decides about it.
    pub(super) const fn leave(reasons: Vec<Reason>) -> Self {
        Self::new(Action::Leave, reasons)
    }

    /// It goes.
    pub(super) const fn delete(reasons: Vec<Reason>) -> Self {
        Self::new(Action::Delete, reasons)
    }

    pub(super) const fn new(action: Action, reasons: Vec<Reason>) -> Self {
        Self { action, reasons, if_refused: None, after: Vec::new(), stays_as_follower: false }
    }

    /// It stays with what it follows.
    pub(super) fn follow(reasons: Vec<Reason>) -> Self {
        Self { stays_as_follower: true, ..Self::keep(reasons) }
    }

    /// What the rules say of an image.
    pub(super) fn of_rules(verdict: Result<Vec<Reason>, Vec<Reason>>) -> Self {
        verdict.map_or_else(Self::delete, Self::keep)
    }
}

/// Notes what protects each image, and gives the manifests in use, with the indexes that name them.
fn protect(
    package: &Package,
    path: &str,
    policy: &Policy,
    now: Timestamp,
    images: &mut Images,
) -> BTreeSet<ManifestId> {
    let mut used: BTreeSet<ManifestId> =
        policy.in_use.digests().filter_map(|digest| package.find(digest)).collect();
    let tags = policy.in_use.tags(path);
    let named = package.rows.iter().filter(|row| tags.contains(&*row.version.to_lowercase()));
    used.extend(named.filter_map(|row| row.manifest));
    let below = package.reach(used.iter().copied());
    let above = if used.is_empty() { Vec::new() } else { package.reach_up(used.iter().copied()) };
    for image in &mut images.all {
        let at = image.manifest.index();
        if below[at] || above.get(at).is_some_and(|holds| *holds) {
            image.held.get_or_insert(Reason::InUse);
        }
        let restored = image.rows.iter().map(|row| &package.rows[*row]);
        let mut restored = restored.filter(|row| is_restored(package, row, now, policy.hold));
        if let Some(restored) = restored.find_map(|row| package.restored(row)) {
            image.held.get_or_insert(Reason::Restored { at: restored.at });
        }
        let within = policy.keep_within.filter(|seconds| {
            image.rows.iter().any(|row| is_young(package.rows[*row].created_at, now, *seconds))
        });
        if within.is_some() {
            image.held.get_or_insert(Reason::YoungerThanKeepWithin { tag: None, rule: None });
        }
    }
    used.extend(package.manifests().filter(|one| above.get(one.index()).is_some_and(|holds| *holds)));
    used
}
