//! Rows as images: which tags name one manifest, what class of image that is, whether it answers down to the leaves.

use std::collections::{BTreeMap, HashMap};

use super::follow::followed;
use super::health::{Health, healths};
use super::package::{ManifestId, ManifestState, Package};
use super::policy::Policy;
use super::reason::{ImageTags, Reason};
use super::skip::Skip;
use super::undecided::Undecided;
use crate::graph::walk;
use crate::oci::Digest;

/// An image's number in its package.
pub(super) type ImageId = usize;

/// What an image is to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Class {
    /// Stands for itself, and is ranked.
    Plain,
    /// A child of other tagged images.
    Child,
    /// All its tags are named after the digests that it follows: a signature, an attestation, a fallback list of referrers.
    Follower(Vec<Digest>),
    /// This manifest is known to be absent.
    Broken(ManifestId),
}

/// A manifest that at least one tag names.
#[derive(Debug, Clone)]
pub(super) struct TaggedImage {
    pub(super) manifest: ManifestId,
    /// Its tags: indexes of rows, newest first.
    pub(super) rows: Vec<usize>,
    /// The digests that its tags are named after, by row; an entry for each row.
    pub(super) follows: Vec<Option<Digest>>,
    pub(super) class: Class,
    /// A manifest in it that is known to be absent.
    pub(super) lost: Option<ManifestId>,
    /// Why it stays whatever its rank, by row; an entry for each row.
    pub(super) protected: Vec<Option<Reason>>,
    /// Why it stays whatever its tags.
    pub(super) held: Option<Reason>,
    /// Whether it takes no place in a ranking, because of what it is.
    pub(super) is_unranked: bool,
}

impl TaggedImage {
    /// Rows that rank it: their tags stand for the image itself, and nothing protects them.
    pub(super) fn ranking(&self) -> impl Iterator<Item = usize> + '_ {
        let rows = self.rows.iter().zip(self.protected.iter().zip(&self.follows));
        rows.filter(|(_, (why, follows))| why.is_none() && follows.is_none()).map(|(row, _)| *row)
    }

    /// Whether all its tags are named after digests.
    pub(super) fn is_follower(&self) -> bool {
        matches!(self.class, Class::Follower(_))
    }

    /// What tags of an image that stands for itself follow all the same.
    pub(super) fn also_follows(&self) -> impl Iterator<Item = &Digest> {
        let stands_for_itself = !self.is_follower();
        self.follows.iter().flatten().filter(move |_| stands_for_itself)
    }

    /// Why this image stays whatever its rank.
    pub(super) fn protection(&self) -> Option<&Reason> {
        self.held.as_ref().or_else(|| self.protected.iter().flatten().next())
    }
}

/// The images of a package, and which image a row belongs to.
#[derive(Debug)]
pub(super) struct Images {
    pub(super) all: Vec<TaggedImage>,
    pub(super) of_row: Vec<Option<ImageId>>,
    /// By manifest.
    pub(super) of_manifest: Vec<Option<ImageId>>,
    /// Every manifest that an image reaches, before all that it names; where it can be, before what follows it too.
    pub(super) down: Vec<ManifestId>,
    /// Images that stay because the package is a kaniko build cache.
    pub(super) kaniko: u64,
}

/// Why nothing can be decided about a package.
pub(super) fn unknown(package: &Package, policy: &Policy) -> Option<Skip> {
    if let Some(error) = package.unreadable.clone() {
        return Some(Skip::UnreadListing { error });
    }
    for row in package.rows.iter().filter(|row| row.is_tag()) {
        let is_lost = policy.assume_lost.contains(&format!("{}:{}", package.name, row.version));
        let Some(manifest) = row.manifest else {
            if is_lost {
                continue;
            }
            return Some(Skip::TagWithoutDigest { tag: row.version.to_string() });
        };
        if *package.state(manifest) == ManifestState::Absent && !is_lost {
            let (tag, lost) = (row.version.to_string(), package.lost(manifest));
            return Some(Skip::TagWithoutManifest { tag, lost });
        }
    }
    // Whatever could not be read may reference anything here. Of several the one with the smallest digest is named.
    let unread = package.manifests().filter_map(|manifest| match package.state(manifest) {
        ManifestState::Unknown(why) => Some((package.digest(manifest), why)),
        _ => None,
    });
    if let Some((digest, error)) = unread.min() {
        return Some(Skip::UnreadManifest { digest, error: error.to_string() });
    }
    let unasked = |manifest: &ManifestId| *package.state(*manifest) == ManifestState::Unasked;
    let digest = |manifest: ManifestId| package.digest(manifest);
    let listed = package.rows.iter().filter_map(|row| row.manifest);
    if let Some(digest) = listed.clone().filter(unasked).map(digest).min() {
        return Some(Skip::UnaskedManifest { digest, is_listed: true });
    }
    // A child must have been asked for; a mere mention need not be a manifest at all.
    let reached = package.reach(listed);
    let parents = package.manifests().filter(|manifest| reached[manifest.index()]);
    let children =
        parents.filter_map(|parent| package.info(parent)).flat_map(|info| info.children.iter().copied());
    let digest = children.filter(unasked).map(digest).min()?;
    Some(Skip::UnaskedManifest { digest, is_listed: false })
}

impl Images {
    /// Groups the tags of a package whose manifests are all known.
    pub(super) fn new(package: &Package, policy: &Policy) -> Self {
        let mut by_manifest: BTreeMap<ManifestId, Vec<usize>> = BTreeMap::new();
        for (index, row) in package.rows.iter().enumerate().filter(|(_, row)| row.is_tag()) {
            if let Some(manifest) = row.manifest {
                by_manifest.entry(manifest).or_default().push(index);
            }
        }
        let (of_row, of_manifest) = (vec![None; package.rows.len()], vec![None; package.len()]);
        let all = Vec::with_capacity(by_manifest.len());
        let mut images = Self { all, of_row, of_manifest, down: Vec::new(), kaniko: 0 };
        let (healths, is_kaniko) = (healths(package), is_kaniko_cache(package));
        for (manifest, rows) in by_manifest {
            let id = images.all.len();
            images.of_manifest[manifest.index()] = Some(id);
            rows.iter().for_each(|row| images.of_row[*row] = Some(id));
            let mut image = image(package, policy, manifest, rows, healths[manifest.index()]);
            if is_kaniko && image.held.is_none() && keeps_cache(package, policy, &image.rows) {
                image.held = Some(Undecided::KanikoCache.reason(""));
                image.is_unranked = true;
                images.kaniko += 1;
            }
            images.all.push(image);
        }
        images.down = down(package, &images.all);
        let above = images.above(package, Some);
        for image in &mut images.all {
            if image.class == Class::Plain && above[image.manifest.index()].is_some() {
                image.class = Class::Child;
            }
        }
        images
    }

    /// For each manifest, by number, the smallest mark among the images above it; those without one do not count.
    pub(super) fn above(
        &self,
        package: &Package,
        mark: impl Fn(ImageId) -> Option<usize>,
    ) -> Vec<Option<usize>> {
        let mut above: Vec<Option<usize>> = vec![None; package.len()];
        for manifest in &self.down {
            let own = self.of_manifest[manifest.index()].and_then(&mark);
            let best = smaller(above[manifest.index()], own);
            for child in package.named(*manifest) {
                above[child.index()] = smaller(above[child.index()], best);
            }
        }
        above
    }

    /// The newest row of an image.
    pub(super) fn newest(&self, image: ImageId) -> Option<usize> {
        self.all[image].rows.first().copied()
    }

    /// The newest tags of an image, to name it by.
    pub(super) fn tags(&self, package: &Package, image: ImageId) -> ImageTags {
        let rows = &self.all[image].rows;
        let tags = rows.iter().take(3).map(|row| package.rows[*row].version.to_string());
        ImageTags { tags: tags.collect(), more: rows.len().saturating_sub(3) as u64 }
    }
}

/// Everything that images reach, each before all that it names. Of what no index orders, subjects come before what refers
/// to them or follows them, so that a long chain of signatures is judged in one round.
fn down(package: &Package, images: &[TaggedImage]) -> Vec<ManifestId> {
    let mut after: HashMap<ManifestId, Vec<ManifestId>> = HashMap::new();
    for image in images {
        let follows = image.follows.iter().flatten().filter_map(|digest| package.find(digest));
        let subject = package.info(image.manifest).and_then(|info| info.subject);
        for subject in follows.chain(subject) {
            after.entry(subject).or_default().push(image.manifest);
        }
    }
    let roots = || images.iter().map(|image| image.manifest);
    let named = |manifest| package.named(manifest);
    let followers = |manifest| after.get(&manifest).into_iter().flatten().copied();
    let count = package.len();
    let wanted = walk::children_first(count, roots(), |manifest| named(manifest).chain(followers(manifest)));
    let mut places = vec![0; count];
    wanted.iter().rev().zip(0..).for_each(|(manifest, place)| places[manifest.index()] = place);
    let reached = package.leaves_first(roots());
    walk::parents_first(count, &reached, named, |manifest| places[manifest.index()])
}

/// The smaller of two marks, if there is one.
pub(super) fn smaller(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    one.into_iter().chain(other).min()
}

/// Whether a package is a cache of layers that kaniko built: the last part of its path is `cache`, and every tag is a cache
/// key of 64 hexadecimal digits (`pkg/cache/cache.go @ kaniko v1.23.2`). What is in it is images like others otherwise.
fn is_kaniko_cache(package: &Package) -> bool {
    let mut tags = package.rows.iter().filter(|row| row.is_tag()).peekable();
    package.name.rsplit('/').next() == Some("cache")
        && tags.peek().is_some()
        && tags.all(|row| row.version.len() == 64 && row.version.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether a build cache with these tags stays: one of them belongs to a rule, or to none, that keeps it.
fn keeps_cache(package: &Package, policy: &Policy, rows: &[usize]) -> bool {
    rows.iter().any(|row| policy.keeps_cache(&package.name, &package.rows[*row].version))
}

/// An image by itself; whether others name it is not known yet.
fn image(
    package: &Package,
    policy: &Policy,
    manifest: ManifestId,
    rows: Vec<usize>,
    health: Health,
) -> TaggedImage {
    let info = package.info(manifest);
    let cache = info.filter(|info| info.is_cache && keeps_cache(package, policy, &rows));
    let held = match info {
        _ if cache.is_some() => Some(Reason::BuildCache),
        Some(info) if info.is_opaque => Some(Reason::UnknownMediaType),
        Some(info) if info.is_signed_anew => Some(Reason::SignedAnew),
        _ => None,
    };
    let tags = || rows.iter().map(|row| &*package.rows[*row].version);
    let follows: Vec<Option<Digest>> = tags().map(followed).collect();
    let lost = if let Health::Broken(lost) = health { Some(lost) } else { None };
    let subjects: Option<Vec<Digest>> = follows.iter().copied().collect();
    let class = match (subjects, lost) {
        (Some(subjects), _) => Class::Follower(subjects),
        (None, Some(lost)) => Class::Broken(lost),
        (None, None) => Class::Plain,
    };
    let protected = tags().map(|tag| policy.protects(&package.name, tag)).collect();
    TaggedImage { manifest, rows, follows, class, lost, protected, is_unranked: held.is_some(), held }
}
