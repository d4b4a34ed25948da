//! Groups the tags of a package into images, one for each tagged manifest, and finds the class of each image.

use std::collections::{BTreeMap, HashMap};

use super::follow::followed_digest;
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

/// How an image relates to other images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Class {
    /// It stands for itself, and is ranked.
    Plain,
    /// It is a child of another tagged image.
    Child,
    /// All its tags are named after these digests: a signature, an attestation, a fallback list of referrers.
    Follower(Vec<Digest>),
    /// This manifest, which is the image or below it, is absent.
    Broken(ManifestId),
}

/// A manifest that at least one tag names.
#[derive(Debug, Clone)]
pub(super) struct TaggedImage {
    pub(super) manifest: ManifestId,
    /// Indexes of the rows of its tags, newest first.
    pub(super) rows: Vec<usize>,
    /// For each of `rows`, the digest that the tag is named after.
    pub(super) follows: Vec<Option<Digest>>,
    pub(super) class: Class,
    /// A manifest in it that is absent.
    pub(super) lost: Option<ManifestId>,
    /// For each of `rows`, why the tag keeps the image whatever its rank.
    pub(super) protected: Vec<Option<Reason>>,
    /// Why it stays whatever its tags are.
    pub(super) held: Option<Reason>,
    /// Whether it takes no place in a ranking, because of what it is.
    pub(super) is_unranked: bool,
}

impl TaggedImage {
    /// The rows that rank the image: nothing protects their tags, and these are not named after a digest.
    pub(super) fn ranking_rows(&self) -> impl Iterator<Item = usize> + '_ {
        let rows = self.rows.iter().zip(self.protected.iter().zip(&self.follows));
        rows.filter(|(_, (why, follows))| why.is_none() && follows.is_none()).map(|(row, _)| *row)
    }

    /// Whether all its tags are named after digests.
    pub(super) fn is_follower(&self) -> bool {
        matches!(self.class, Class::Follower(_))
    }

    /// The digests that single tags are named after, for an image that is not a follower as a whole.
    pub(super) fn also_follows(&self) -> impl Iterator<Item = &Digest> {
        let is_follower = self.is_follower();
        self.follows.iter().flatten().filter(move |_| !is_follower)
    }

    /// Why this image stays whatever its rank.
    pub(super) fn protection(&self) -> Option<&Reason> {
        self.held.as_ref().or_else(|| self.protected.iter().flatten().next())
    }
}

/// The images of a package, with the image of each row and of each manifest.
#[derive(Debug)]
pub(super) struct Images {
    pub(super) all: Vec<TaggedImage>,
    pub(super) of_row: Vec<Option<ImageId>>,
    /// By manifest.
    pub(super) of_manifest: Vec<Option<ImageId>>,
    /// Every manifest that an image reaches, each before all that it names and, where possible, before its followers.
    pub(super) parents_first: Vec<ManifestId>,
    /// How many images stay because the package is a kaniko build cache.
    pub(super) kaniko: u64,
}

/// Why nothing can be decided about a package, if something in it is unknown.
pub(super) fn skip_reason(package: &Package, policy: &Policy) -> Option<Skip> {
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
            let (tag, lost) = (row.version.to_string(), package.what_is_lost(manifest));
            return Some(Skip::TagWithoutManifest { tag, lost });
        }
    }
    // A manifest that could not be read may reference any other. Of several, the one with the smallest digest is reported.
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
    // Every child must have been asked for. Mentions need not: they may be no manifests.
    let reached = package.reach(listed);
    let parents = package.manifests().filter(|manifest| reached[manifest.index()]);
    let children = parents.flat_map(|parent| package.children(parent));
    let digest = children.filter(unasked).map(digest).min()?;
    Some(Skip::UnaskedManifest { digest, is_listed: false })
}

impl Images {
    /// Groups the tags of a package about which a decision is possible ([`skip_reason`]).
    pub(super) fn new(package: &Package, policy: &Policy) -> Self {
        let mut by_manifest: BTreeMap<ManifestId, Vec<usize>> = BTreeMap::new();
        for (index, row) in package.rows.iter().enumerate().filter(|(_, row)| row.is_tag()) {
            if let Some(manifest) = row.manifest {
                by_manifest.entry(manifest).or_default().push(index);
            }
        }
        let (of_row, of_manifest) = (vec![None; package.rows.len()], vec![None; package.len()]);
        let all = Vec::with_capacity(by_manifest.len());
        let mut images = Self { all, of_row, of_manifest, parents_first: Vec::new(), kaniko: 0 };
        let (healths, is_kaniko) = (healths(package), is_kaniko_cache(package));
        for (manifest, rows) in by_manifest {
            let id = images.all.len();
            images.of_manifest[manifest.index()] = Some(id);
            rows.iter().for_each(|row| images.of_row[*row] = Some(id));
            let mut image = single_image(package, policy, manifest, rows, healths[manifest.index()]);
            if is_kaniko && image.held.is_none() && keeps_cache(package, policy, &image.rows) {
                image.held = Some(Undecided::KanikoCache.reason(""));
                image.is_unranked = true;
                images.kaniko += 1;
            }
            images.all.push(image);
        }
        images.parents_first = parents_first(package, &images.all);
        let above = images.smallest_mark_above(package, Some);
        for image in &mut images.all {
            if image.class == Class::Plain && above[image.manifest.index()].is_some() {
                image.class = Class::Child;
            }
        }
        images
    }

    /// By manifest, the smallest mark among the images above it. Images without a mark do not count.
    pub(super) fn smallest_mark_above(
        &self,
        package: &Package,
        mark: impl Fn(ImageId) -> Option<usize>,
    ) -> Vec<Option<usize>> {
        let mut above: Vec<Option<usize>> = vec![None; package.len()];
        for manifest in &self.parents_first {
            let own = self.of_manifest[manifest.index()].and_then(&mark);
            let best = smaller(above[manifest.index()], own);
            for child in package.named_manifests(*manifest) {
                above[child.index()] = smaller(above[child.index()], best);
            }
        }
        above
    }

    /// The newest row of an image.
    pub(super) fn newest_row(&self, image: ImageId) -> Option<usize> {
        self.all[image].rows.first().copied()
    }

    /// The newest tags of an image, as its name in messages.
    pub(super) fn tags(&self, package: &Package, image: ImageId) -> ImageTags {
        let rows = &self.all[image].rows;
        let tags = rows.iter().take(3).map(|row| package.rows[*row].version.to_string());
        ImageTags { tags: tags.collect(), more: rows.len().saturating_sub(3) as u64 }
    }
}

/// Everything that images reach, each manifest before all that it names. Where no index orders two manifests, a subject comes
/// before its referrers and followers, so that a long chain of signatures is judged in one round.
fn parents_first(package: &Package, images: &[TaggedImage]) -> Vec<ManifestId> {
    let mut followers: HashMap<ManifestId, Vec<ManifestId>> = HashMap::new();
    for image in images {
        let follows = image.follows.iter().flatten().filter_map(|digest| package.find(digest));
        for subject in follows.chain(package.subject(image.manifest)) {
            followers.entry(subject).or_default().push(image.manifest);
        }
    }
    let roots = || images.iter().map(|image| image.manifest);
    let named = |manifest| package.named_manifests(manifest);
    let followers = |manifest| followers.get(&manifest).into_iter().flatten().copied();
    let count = package.len();
    let wanted = walk::children_first(count, roots(), |manifest| named(manifest).chain(followers(manifest)));
    let mut places = vec![0; count];
    wanted.iter().rev().zip(0..).for_each(|(manifest, place)| places[manifest.index()] = place);
    let reached = package.leaves_first(roots());
    walk::parents_first(count, &reached, named, |manifest| places[manifest.index()])
}

/// The smaller of two marks; a missing mark does not count.
pub(super) fn smaller(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    one.into_iter().chain(other).min()
}

/// Whether a package is a layer cache of kaniko: the last part of its path is `cache`, and every tag is a cache key of 64
/// hexadecimal digits (`pkg/cache/cache.go @ kaniko v1.23.2`). Its manifests do not differ from those of other images.
fn is_kaniko_cache(package: &Package) -> bool {
    let mut tags = package.rows.iter().filter(|row| row.is_tag()).peekable();
    package.name.rsplit('/').next() == Some("cache")
        && tags.peek().is_some()
        && tags.all(|row| row.version.len() == 64 && row.version.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether a build cache with these tags stays: the rule of one of them keeps caches, or the policy does where no rule says so.
fn keeps_cache(package: &Package, policy: &Policy, rows: &[usize]) -> bool {
    rows.iter().any(|row| policy.keeps_cache(&package.name, &package.rows[*row].version))
}

/// An image without regard to the others: whether another image names it is found out later.
fn single_image(
    package: &Package,
    policy: &Policy,
    manifest: ManifestId,
    rows: Vec<usize>,
    health: Health,
) -> TaggedImage {
    let info = package.info(manifest);
    let held = match info {
        Some(info) if info.is_cache && keeps_cache(package, policy, &rows) => Some(Reason::BuildCache),
        Some(info) if info.is_opaque => Some(Reason::UnknownMediaType),
        Some(info) if info.is_signed_anew => Some(Reason::SignedAnew),
        _ => None,
    };
    let tags = || rows.iter().map(|row| &*package.rows[*row].version);
    let follows: Vec<Option<Digest>> = tags().map(followed_digest).collect();
    let lost = if let Health::Broken(lost) = health { Some(lost) } else { None };
    let subjects: Option<Vec<Digest>> = follows.iter().copied().collect();
    let class = match (subjects, lost) {
        (Some(subjects), _) => Class::Follower(subjects),
        (None, Some(lost)) => Class::Broken(lost),
        (None, None) => Class::Plain,
    };
    let protected = tags().map(|tag| policy.protection_of_tag(&package.name, tag)).collect();
    TaggedImage { manifest, rows, follows, class, lost, protected, is_unranked: held.is_some(), held }
}
