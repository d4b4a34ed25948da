//! The decision on one package: which images go, which stay and why. Pure; the order of its steps is that of
//! docs/retention.md.
//!
//! Everything stays at first. An image goes only when the rules let it go and nothing that still stays needs it, so each
//! round may let go more, and none takes back what an earlier one needed.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::images::{self, Class, ImageId, Images};
use super::package::{Info, ManifestId, Package, State};
use super::policy::{Fate, Policy, is_young};
use super::rank::Rules;
use super::{guard, untagged};
use crate::text::escape;

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The policy keeps it.
    Keep,
    /// It goes.
    Delete,
    /// It stays, because nothing decides about it here.
    Leave,
}

/// What is said of a row that a guard saves.
pub(super) const SPARED: &str = "spared: a guard refused this package";

/// What was decided about a row, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of it.
    pub action: Action,
    /// Why, in words.
    pub reasons: Vec<String>,
}

/// What was decided about a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Why nothing goes although it could be decided, or could not.
    pub stop: Option<Stop>,
    /// For each row of the package, in its order.
    pub rows: Vec<Verdict>,
    /// Images that stay.
    pub images_kept: u64,
    /// Images that go.
    pub images_deleted: u64,
    /// Tags of images that are known not to answer down to the leaves.
    pub broken: Vec<String>,
    /// Signatures whose subject is known to be gone.
    pub orphans: u64,
}

/// Why nothing goes in a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Its graph is not known.
    Skipped(String),
    /// A guard refused what was decided.
    Refused(String),
}

impl Decision {
    /// Takes back what would go, for the reason given.
    pub(super) fn refuse(&mut self, why: String) {
        for row in self.rows.iter_mut().filter(|row| row.action == Action::Delete) {
            row.action = Action::Leave;
            row.reasons.push(SPARED.into());
        }
        self.images_kept += std::mem::take(&mut self.images_deleted);
        self.stop = Some(Stop::Refused(why));
    }
}

/// Decides about a package, whose rows are in order ([`Package::seal`]); `path` is its repository path as image
/// references spell it, such as `owner/name`.
pub fn decide(package: &Package, path: &str, policy: &Policy, now: Timestamp) -> Decision {
    if let Some(why) = images::unknown(package, policy) {
        let left = Verdict { action: Action::Leave, reasons: vec!["the package is skipped".into()] };
        let tagged: BTreeSet<_> =
            package.rows.iter().filter(|row| row.is_tag()).map(|row| row.manifest).collect();
        return Decision {
            stop: Some(Stop::Skipped(why)),
            rows: vec![left; package.rows.len()],
            images_kept: tagged.len() as u64,
            images_deleted: 0,
            broken: Vec::new(),
            orphans: 0,
        };
    }
    Deciding::new(package, path, policy, now).finish()
}

/// A decision in the making.
pub(super) struct Deciding<'a> {
    pub(super) package: &'a Package,
    pub(super) policy: &'a Policy,
    pub(super) now: Timestamp,
    pub(super) images: Images,
    pub(super) rules: Rules<'a>,
    /// Manifests in use and the indexes that name them, by number.
    pub(super) in_use: BTreeSet<ManifestId>,
    /// Images that go.
    pub(super) gone: Vec<bool>,
    /// Why each image stays or goes.
    pub(super) reasons: Vec<Vec<String>>,
    /// Rows of digests that go.
    pub(super) pruned: Vec<bool>,
    /// Followers whose subject is known to be gone.
    pub(super) orphans: BTreeSet<ImageId>,
    /// Rows by the manifest they carry.
    pub(super) rows_of: Vec<Vec<usize>>,
    /// Images by the manifests they reach, newest first.
    pub(super) namers_of: HashMap<ManifestId, Vec<ImageId>>,
}

impl<'a> Deciding<'a> {
    fn new(package: &'a Package, path: &str, policy: &'a Policy, now: Timestamp) -> Self {
        let mut images = Images::new(package, policy);
        let in_use = protect(package, path, policy, now, &mut images);
        let rules = Rules::new(package, &images, policy);
        let count = images.all.len();
        let rows_of = package.rows_of();
        let namers_of = images.namers(package);
        Self {
            package,
            policy,
            now,
            images,
            rules,
            in_use,
            gone: vec![false; count],
            reasons: vec![Vec::new(); count],
            pruned: vec![false; package.rows.len()],
            orphans: BTreeSet::new(),
            rows_of,
            namers_of,
        }
    }

    fn finish(mut self) -> Decision {
        // Each round lets go more or ends, so there are at most as many rounds as images.
        loop {
            let before = (self.gone.clone(), self.pruned.clone());
            self.round();
            self.prune();
            if (&self.gone, &self.pruned) == (&before.0, &before.1) {
                break;
            }
        }
        let refusal = guard::refusal(&self);
        self.rows(refusal)
    }

    /// Lets go every image that may go now.
    fn round(&mut self) {
        let reached = self.reached_by_staying();
        let untagged_children = self.children_of_staying_rows();
        for id in 0..self.images.all.len() {
            if self.gone[id] {
                continue;
            }
            let verdict = self.judge(id, &reached, &untagged_children);
            self.gone[id] = verdict.is_err();
            self.reasons[id] = match verdict {
                Ok(why) | Err(why) => why,
            };
        }
    }

    /// Manifests reached by roots. Followers are no roots here.
    fn reached_by_staying(&self) -> Reached {
        let images = self.images.all.iter().enumerate();
        let plain = |id: &ImageId| !matches!(self.images.all[*id].class, Class::Follower(_));
        let all: Vec<ImageId> = images.map(|(id, _)| id).filter(plain).collect();
        let manifest = |id: &ImageId| self.images.all[*id].manifest;
        let tagged = self.package.reach(all.iter().map(manifest));
        let mut stay = self.package.reach(all.iter().filter(|id| !self.gone[**id]).map(manifest));
        self.package.reach_more(&mut stay, self.in_use.iter().copied());
        // An untagged manifest of a push under way is a root, unless a tag that goes is all that reaches it.
        let young = self.package.rows.iter().filter(|row| {
            !row.is_tag()
                && is_young(row.created_at, self.now, self.policy.grace)
                && row.manifest.is_some_and(|manifest| !tagged[manifest.index()])
        });
        self.package.reach_more(&mut stay, young.filter_map(|row| row.manifest));
        let images = self.images.all.iter().zip(&self.gone).filter(|(_, gone)| !**gone);
        let mut kept = stay.clone();
        self.package.reach_more(&mut kept, images.map(|(image, _)| image.manifest));
        Reached { stay, kept, tagged }
    }

    /// What indexes listed by digest, and staying, name.
    fn children_of_staying_rows(&self) -> Vec<bool> {
        let rows = self.package.rows.iter().enumerate();
        let staying =
            rows.filter(|(at, row)| !row.is_tag() && !self.pruned[*at]).filter_map(|(_, row)| row.manifest);
        let children = staying.filter_map(|manifest| self.package.info(manifest));
        self.package.reach(children.flat_map(Info::named).copied())
    }

    fn prune(&mut self) {
        if self.policy.untagged == Fate::Prune {
            self.pruned = untagged::prune(self);
        }
    }

    fn rows(self, refusal: Option<String>) -> Decision {
        let count = |gone: bool| self.gone.iter().filter(|one| **one == gone).count() as u64;
        let mut rows = Vec::with_capacity(self.package.rows.len());
        for (at, row) in self.package.rows.iter().enumerate() {
            let verdict = match self.images.of_row[at] {
                Some(id) => {
                    let image = &self.images.all[id];
                    let is_left = matches!(image.class, Class::Broken(_) | Class::Follower(_))
                        && image.protection().is_none()
                        && image.named_by.iter().all(|index| self.gone[*index])
                        && !self.reasons[id].iter().any(|why| why.ends_with("which stays"));
                    let action = match (self.gone[id], is_left) {
                        (true, _) => Action::Delete,
                        (false, true) => Action::Leave,
                        (false, false) => Action::Keep,
                    };
                    Verdict { action, reasons: self.reasons[id].clone() }
                }
                None if row.is_tag() => {
                    Verdict { action: Action::Leave, reasons: vec!["its digest is not known".into()] }
                }
                None => untagged::verdict(&self, at),
            };
            rows.push(verdict);
        }
        let broken = self.images.all.iter().filter(|image| self.is_broken(image.manifest));
        let broken =
            broken.flat_map(|image| image.rows.iter().map(|row| escape(&self.package.rows[*row].version)));
        // A tag of which nothing but its name is known is here only because it is said to be lost.
        let lost = self.package.rows.iter().filter(|row| row.is_tag() && row.manifest.is_none());
        let mut broken: Vec<String> = broken.chain(lost.map(|row| escape(&row.version))).collect();
        broken.sort_unstable();
        let mut decision = Decision {
            stop: None,
            rows,
            images_kept: count(false),
            images_deleted: count(true),
            broken,
            orphans: self.orphans.len() as u64,
        };
        if let Some(why) = refusal {
            decision.refuse(why);
        }
        decision
    }

    fn is_broken(&self, manifest: ManifestId) -> bool {
        let mut stack = vec![manifest];
        let mut seen = BTreeSet::new();
        while let Some(manifest) = stack.pop() {
            if *self.package.state(manifest) == State::Absent {
                return true;
            }
            if seen.insert(manifest) {
                stack.extend(self.package.info(manifest).into_iter().flat_map(|info| &info.children));
            }
        }
        false
    }
}

/// Manifests by number.
pub(super) struct Reached {
    /// Reached by a root that stays.
    pub(super) stay: Vec<bool>,
    /// Reached by a root or a follower that stays.
    pub(super) kept: Vec<bool>,
    /// Reached by any tag, staying or not.
    pub(super) tagged: Vec<bool>,
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
            image.held.get_or_insert_with(|| "in use".into());
        }
        let within = policy.keep_within.filter(|seconds| {
            image.rows.iter().any(|row| is_young(package.rows[*row].created_at, now, *seconds))
        });
        if within.is_some() {
            image.held.get_or_insert_with(|| "younger than keep-within".into());
        }
    }
    used.extend(package.manifests().filter(|one| above.get(one.index()).is_some_and(|holds| *holds)));
    used
}
