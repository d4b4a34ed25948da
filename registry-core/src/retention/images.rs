//! Rows as images: which tags name one manifest, what class of image that is, whether it answers down to the leaves.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::package::{Info, ManifestId, Package, State};
use super::policy::Policy;
use crate::oci::{Digest, Tag};

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
pub(super) struct Image {
    pub(super) manifest: ManifestId,
    /// Its tags: indexes of rows, newest first.
    pub(super) rows: Vec<usize>,
    pub(super) class: Class,
    /// Other images that reach it through children, however deep. While one of them is there, this one stays.
    pub(super) named_by: Vec<ImageId>,
    /// Why it stays whatever its rank, by row; an entry for each row.
    pub(super) protected: Vec<Option<String>>,
    /// Why it stays whatever its tags.
    pub(super) held: Option<String>,
    /// Whether it takes no place in a ranking, because of what it is.
    pub(super) is_unranked: bool,
}

impl Image {
    /// Rows whose tags nothing protects.
    pub(super) fn unprotected(&self) -> impl Iterator<Item = usize> + '_ {
        self.rows.iter().zip(&self.protected).filter(|(_, why)| why.is_none()).map(|(row, _)| *row)
    }

    /// Why this image stays whatever its rank.
    pub(super) fn protection(&self) -> Option<&String> {
        self.held.as_ref().or_else(|| self.protected.iter().flatten().next())
    }
}

/// The images of a package, and which image a row belongs to.
#[derive(Debug)]
pub(super) struct Images {
    pub(super) all: Vec<Image>,
    pub(super) of_row: Vec<Option<ImageId>>,
}

/// Why nothing can be decided about a package.
pub(super) fn unknown(package: &Package, policy: &Policy) -> Option<String> {
    if let Some(why) = &package.unreadable {
        return Some(why.clone());
    }
    for row in package.rows.iter().filter(|row| row.is_tag()) {
        let is_lost = policy.assume_lost.contains(&format!("{}:{}", package.name, row.version));
        let Some(manifest) = row.manifest else {
            if is_lost {
                continue;
            }
            return Some(format!(
                "tag {} is listed, and what it names is not known; if it is lost for good, say --assume-lost {}:{}",
                row.version, package.name, row.version
            ));
        };
        match package.state(manifest) {
            State::Absent if !is_lost => {
                return Some(format!(
                    "tag {} is listed and its manifest answers 404; if it is lost for good, say --assume-lost {}:{}",
                    row.version, package.name, row.version
                ));
            }
            _ => {}
        }
    }
    // Whatever could not be read may reference anything here.
    for manifest in package.manifests() {
        if let State::Unknown(why) = package.state(manifest) {
            return Some(format!("manifest {} could not be read: {why}", package.digest(manifest)));
        }
    }
    let listed = package.rows.iter().filter_map(|row| row.manifest);
    if let Some(unread) = listed.clone().find(|manifest| *package.state(*manifest) == State::Unasked) {
        return Some(format!("manifest {} is listed and was not read", package.digest(unread)));
    }
    // A child must have been asked for; a mere mention need not be a manifest at all.
    let reached = package.reach(listed);
    let parents = package.manifests().filter(|manifest| reached[manifest.index()]);
    let mut children = parents.filter_map(|parent| package.info(parent)).flat_map(|info| &info.children);
    let unread = children.find(|child| *package.state(**child) == State::Unasked)?;
    Some(format!("manifest {} was not read", package.digest(*unread)))
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
        let mut of_row = vec![None; package.rows.len()];
        let mut all: Vec<Image> = Vec::with_capacity(by_manifest.len());
        for (manifest, rows) in by_manifest {
            for row in &rows {
                of_row[*row] = Some(all.len());
            }
            let info = package.info(manifest);
            let cache = info.filter(|info| info.is_cache && policy.keep_cache);
            let held = match (cache, info.is_some_and(|info| info.is_opaque)) {
                (Some(_), _) => Some("it is a build cache".to_owned()),
                (None, true) => Some("its media type is not known, so what it needs is not known".to_owned()),
                (None, false) => None,
            };
            let protected = rows.iter().map(|row| policy.protects(&package.rows[*row].version)).collect();
            all.push(Image {
                manifest,
                rows,
                class: Class::Plain,
                named_by: Vec::new(),
                protected,
                is_unranked: held.is_some(),
                held,
            });
        }
        let mut images = Self { all, of_row };
        images.classify(package);
        images
    }

    fn classify(&mut self, package: &Package) {
        let by_manifest: BTreeMap<ManifestId, ImageId> =
            self.all.iter().enumerate().map(|(id, image)| (image.manifest, id)).collect();
        let mut namers: Vec<Vec<ImageId>> = vec![Vec::new(); self.all.len()];
        let mut broken: Vec<Option<ManifestId>> = vec![None; self.all.len()];
        for (id, image) in self.all.iter().enumerate() {
            let (mut stack, mut seen) = (vec![image.manifest], HashSet::new());
            while let Some(manifest) = stack.pop() {
                if !seen.insert(manifest) {
                    continue;
                }
                if *package.state(manifest) == State::Absent {
                    // Of several the one with the smallest digest is named, whatever the order of reading.
                    let first = broken[id].filter(|other| package.digest(*other) < package.digest(manifest));
                    broken[id] = first.or(Some(manifest));
                }
                if let Some(other) = by_manifest.get(&manifest).filter(|other| **other != id) {
                    namers[*other].push(id);
                }
                stack.extend(package.info(manifest).into_iter().flat_map(Info::named));
            }
        }
        for (id, image) in self.all.iter_mut().enumerate() {
            let tags = image.rows.iter().map(|row| &*package.rows[*row].version);
            let followed: Option<Vec<Digest>> = tags.map(followed).collect();
            image.class = match (followed, broken[id]) {
                (Some(subjects), _) => Class::Follower(subjects),
                (None, Some(manifest)) => Class::Broken(manifest),
                (None, None) if !namers[id].is_empty() => Class::Child,
                (None, None) => Class::Plain,
            };
            image.named_by = std::mem::take(&mut namers[id]);
        }
    }

    /// Images by the manifests they reach, newest first.
    pub(super) fn namers(&self, package: &Package) -> HashMap<ManifestId, Vec<ImageId>> {
        let mut order: Vec<ImageId> = (0..self.all.len()).collect();
        order.sort_by_key(|id| self.all[*id].rows.first().copied());
        let mut namers: HashMap<ManifestId, Vec<ImageId>> = HashMap::new();
        for id in order {
            let (mut stack, mut seen) = (vec![self.all[id].manifest], HashSet::new());
            while let Some(manifest) = stack.pop() {
                if seen.insert(manifest) {
                    namers.entry(manifest).or_default().push(id);
                    stack.extend(package.info(manifest).into_iter().flat_map(Info::named));
                }
            }
        }
        namers
    }

    /// Tags of an image, newest first, for a message.
    pub(super) fn names(&self, package: &Package, image: ImageId) -> String {
        let rows = &self.all[image].rows;
        let names: Vec<_> = rows.iter().take(3).map(|row| &*package.rows[*row].version).collect();
        match rows.len().saturating_sub(3) {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    }
}

/// The digest that a tag is named after, by the rules of cosign and of the referrers fallback.
pub(super) fn followed(tag: &str) -> Option<Digest> {
    if !Tag::new(tag).is_ok_and(|tag| tag.follows_a_digest()) {
        return None;
    }
    let hex = tag.strip_prefix("sha256-")?.get(..64)?;
    format!("sha256:{hex}").parse().ok()
}
