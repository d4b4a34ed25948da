//! The state of a decision on one package while it is made: what is known of its images, and what was decided so far. The steps
//! are in `decide`, the judgement of one image in `judge`.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::decision::{Action, RowDecision};
use super::follow::FateElsewhere;
use super::images::{ImageId, Images, TaggedImage};
use super::package::{ManifestId, Package, Row};
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
    /// The fates of subjects that lie in other packages.
    pub(super) fates_elsewhere: &'a BTreeMap<Digest, FateElsewhere>,
    pub(super) images: Images,
    pub(super) rules: Rules<'a>,
    /// Manifests in use, and the indexes that name them.
    pub(super) in_use: BTreeSet<ManifestId>,
    /// By image, whether it goes.
    pub(super) gone: Vec<bool>,
    /// By image, its last judgement, which is the decision about all its rows.
    pub(super) judgements: Vec<RowDecision>,
    /// Images that stay only because a subject of them stays.
    pub(super) kept_as_followers: BTreeSet<ImageId>,
    /// By row, whether it is the row of a digest and goes.
    pub(super) pruned: Vec<bool>,
    /// Whether some follower follows a manifest of this package, and none follows one of another package.
    pub(super) signs_its_own: bool,
    /// Followers whose subject is known to be gone.
    pub(super) orphans: BTreeSet<ImageId>,
    /// By manifest, the rows that name it.
    pub(super) rows_of: Vec<Vec<usize>>,
    /// Images with the row that ranks them highest, the newest image first.
    newest_first: Vec<(ImageId, usize)>,
    /// By manifest, the place in `newest_first` of the newest image above it.
    newest_above: Vec<Option<usize>>,
}

impl<'a> Deciding<'a> {
    pub(super) fn new(
        package: &'a Package,
        path: &str,
        policy: &'a Policy,
        now: Timestamp,
        fates_elsewhere: &'a BTreeMap<Digest, FateElsewhere>,
    ) -> Self {
        let mut images = Images::new(package, policy);
        let in_use = set_protection(package, path, policy, now, &mut images);
        let rules = Rules::new(package, &images, policy);
        let count = images.all.len();
        let rows_of = package.rows_of();
        let newest_first = newest_first(&images, &rules);
        let mut places = vec![None; count];
        newest_first.iter().zip(0..).for_each(|((id, _), place)| places[*id] = Some(place));
        let newest_above = images.smallest_mark_above(package, |id| places[id]);
        let mut subjects = images.all.iter().flat_map(|image| image.follows.iter().flatten());
        let is_here =
            |subject: &Digest| package.find(subject).and_then(|manifest| package.info(manifest)).is_some();
        let signs_its_own = subjects.any(is_here)
            && package.elsewhere.values().all(|elsewhere| elsewhere.packages.is_empty());
        Self {
            package,
            policy,
            now,
            fates_elsewhere,
            images,
            rules,
            in_use,
            gone: vec![false; count],
            judgements: vec![RowDecision::new(Action::Keep, Vec::new()); count],
            kept_as_followers: BTreeSet::new(),
            pruned: vec![false; package.rows.len()],
            signs_its_own,
            orphans: BTreeSet::new(),
            rows_of,
            newest_first,
            newest_above,
        }
    }

    /// The newest image above a manifest, staying or not, with the row that ranks it highest.
    pub(super) fn newest_image_above(&self, manifest: ManifestId) -> Option<(usize, ImageId)> {
        let (id, row) = self.newest_first[self.newest_above[manifest.index()]?];
        Some((row, id))
    }

    /// By manifest, the newest row of the images above it that go, or of those that stay.
    pub(super) fn newest_rows_above(&self, gone: bool) -> Vec<Option<usize>> {
        let mark = |id: ImageId| self.images.newest_row(id).filter(|_| self.gone[id] == gone);
        self.images.smallest_mark_above(self.package, mark)
    }

    /// Whether a row goes.
    pub(super) fn row_goes(&self, row: usize) -> bool {
        self.images.of_row[row].map_or(self.pruned[row], |image| self.gone[image])
    }

    /// Whether the row of a digest is younger than the grace, or was put back by an undo within the hold.
    pub(super) fn is_fresh_digest_row(&self, row: &Row) -> bool {
        !row.is_tag()
            && (is_young(row.created_at, self.now, self.policy.grace)
                || is_restored(self.package, row, self.now, self.policy.hold))
    }
}

/// Images with the row that ranks them highest, the newest image first. Images with equal keys come in the order of their rows.
fn newest_first(images: &Images, rules: &Rules<'_>) -> Vec<(ImageId, usize)> {
    let best = |image: &TaggedImage| {
        let rows = image.rows.iter().map(|row| (rules.key_of(*row), Reverse(*row)));
        rows.max().map(|(key, row)| (Reverse(key), row.0))
    };
    let images = images.all.iter().enumerate().filter_map(|(id, image)| Some((best(image)?, id)));
    let mut newest: Vec<_> = images.collect();
    newest.sort_unstable();
    newest.into_iter().map(|((_, row), id)| (id, row)).collect()
}

/// Which manifests are reached, at some point of the decision.
pub(super) struct Reached {
    /// Those that a staying image or something in `fixed` reaches.
    pub(super) kept: ReferenceCounts,
    /// Manifests that stay without a tag: those in use, the indexes that name these, and those of a push under way.
    pub(super) fixed: HashSet<ManifestId>,
    /// By manifest, whether a tag reaches it, staying or not.
    pub(super) tagged: Vec<bool>,
    /// Indexes by the manifests that they name; built on first use.
    pub(super) parents: OnceCell<HashMap<ManifestId, Vec<ManifestId>>>,
}

/// Sets the protection of each image. Returns the manifests in use, with the indexes that name them.
fn set_protection(
    package: &Package,
    path: &str,
    policy: &Policy,
    now: Timestamp,
    images: &mut Images,
) -> BTreeSet<ManifestId> {
    let mut used: BTreeSet<ManifestId> =
        policy.in_use.digests().filter_map(|digest| package.find(digest)).collect();
    let tags = policy.in_use.tags(path);
    let tagged = package.rows.iter().filter(|row| tags.contains(&*row.version.to_lowercase()));
    used.extend(tagged.filter_map(|row| row.manifest));
    let below = package.reach(used.iter().copied());
    let above = if used.is_empty() { Vec::new() } else { package.reach_up(used.iter().copied()) };
    let is_above = |manifest: ManifestId| above.get(manifest.index()).is_some_and(|is_above| *is_above);
    for image in &mut images.all {
        if below[image.manifest.index()] || is_above(image.manifest) {
            image.held.get_or_insert(Reason::InUse);
        }
        let mut rows = image.rows.iter().map(|row| &package.rows[*row]);
        let mut restored = rows.clone().filter(|row| is_restored(package, row, now, policy.hold));
        if let Some(restored) = restored.find_map(|row| package.restored(row)) {
            image.held.get_or_insert(Reason::Restored { at: restored.at });
        }
        if policy.keep_within.is_some_and(|within| rows.any(|row| is_young(row.created_at, now, within))) {
            image.held.get_or_insert(Reason::YoungerThanKeepWithin { tag: None, rule: None });
        }
    }
    used.extend(package.manifests().filter(|manifest| is_above(*manifest)));
    used
}
