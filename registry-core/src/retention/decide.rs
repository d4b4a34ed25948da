//! The decision on one package: which images go, which stay and why. Pure; the order of its steps is that of
//! docs/retention.md.
//!
//! Everything stays at first. An image goes only when the rules let it go and nothing that still stays needs it, so each
//! round may let go more, and none takes back what an earlier one needed.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::deciding::{Deciding, ImageDecision, Reached};
use super::decision::{Action, Decision, NotPlanned, RowDecision};
use super::follow::{FateElsewhere, Followed, SubjectFate};
use super::images::{self, Class, smaller};
use super::package::{ManifestId, ManifestState, Package};
use super::policy::{Policy, Unneeded, is_restored, is_young};
use super::reason::Reason;
use super::refusal::Refusal;
use super::undecided::{Undecided, UndecidedImages};
use super::{guard, reversal, untagged};
use crate::graph::walk::{self, ReferenceCounts};
use crate::oci::Digest;
use crate::text::escape;

/// Decides about a package, whose rows are in order ([`Package::seal`]); `path` is its repository path as image
/// references spell it, such as `owner/name`.
pub fn decide(package: &Package, path: &str, policy: &Policy, now: Timestamp) -> Decision {
    decide_among(package, path, policy, now, &BTreeMap::new())
}

/// The same among other packages; `others` is what becomes there of the subjects that they have. One that is missing stays.
pub(super) fn decide_among(
    package: &Package,
    path: &str,
    policy: &Policy,
    now: Timestamp,
    others: &BTreeMap<Digest, FateElsewhere>,
) -> Decision {
    if let Some(why) = images::unknown(package, policy) {
        let left = RowDecision::leave(Reason::PackageSkipped);
        let tagged: BTreeSet<_> =
            package.rows.iter().filter(|row| row.is_tag()).map(|row| row.manifest).collect();
        return Decision {
            not_planned: Some(NotPlanned::Skipped(why)),
            rows: vec![left; package.rows.len()],
            images_kept: tagged.len() as u64,
            images_deleted: 0,
            broken: Vec::new(),
            orphans: 0,
            undecided: Vec::new(),
            fates: package
                .manifests()
                .filter(|one| *package.state(*one) != ManifestState::Absent)
                .map(|one| (package.digest(one), FateElsewhere::Stays))
                .collect(),
            notes: Vec::new(),
        };
    }
    Deciding::new(package, path, policy, now, others).finish()
}

/// Manifests whose configs tell when images were built, as far as a guard depends on that and it was not read.
pub(super) fn undated(package: &Package, path: &str, policy: &Policy, now: Timestamp) -> Vec<Digest> {
    if images::unknown(package, policy).is_some() {
        return Vec::new();
    }
    let others = BTreeMap::new();
    let mut deciding = Deciding::new(package, path, policy, now, &others);
    deciding.settle();
    if guard::refusal(&deciding).is_some() {
        return Vec::new();
    }
    reversal::undated(&deciding).into_iter().map(|manifest| package.digest(manifest)).collect()
}

impl<'a> Deciding<'a> {
    fn finish(mut self) -> Decision {
        let reached = self.settle();
        let refusal = guard::refusal(&self);
        let fates = self.fates(&reached);
        self.rows(refusal, fates)
    }

    /// Decides which images go, and gives what is reached then.
    fn settle(&mut self) -> Reached {
        let mut reached = self.reached();
        // Each round lets go more or ends, so there are at most as many rounds as images.
        loop {
            let before = (self.gone.clone(), self.pruned.clone());
            self.round(&mut reached);
            self.prune();
            if (&self.gone, &self.pruned) == (&before.0, &before.1) {
                break;
            }
        }
        self.leave_circles(&reached);
        reached
    }

    /// What becomes of each manifest that answers, for followers in other packages.
    fn fates(&self, reached: &Reached) -> BTreeMap<Digest, FateElsewhere> {
        let fate = |one: ManifestId| {
            let taken = || {
                let rows = &self.rows_of[one.index()];
                let goes =
                    |at: &usize| self.images.of_row[*at].map_or(self.pruned[*at], |image| self.gone[image]);
                !rows.is_empty() && rows.iter().all(goes)
            };
            match self.package.state(one) {
                ManifestState::Absent => None,
                _ if reached.kept.holds(one) => Some(FateElsewhere::Stays),
                ManifestState::Present(_) if reached.tagged[one.index()] || taken() => {
                    Some(FateElsewhere::Goes)
                }
                ManifestState::Present(_) => Some(FateElsewhere::Untagged),
                // Nobody asked whether it is there: what is known of it in other packages decides.
                ManifestState::Unasked => None,
                ManifestState::Unknown(_) => Some(FateElsewhere::Stays),
            }
        };
        self.package.manifests().filter_map(|one| Some((self.package.digest(one), fate(one)?))).collect()
    }

    /// Images that stay because no ranking decides about them, by cause.
    fn undecided(&self) -> Vec<UndecidedImages> {
        let mut count: BTreeMap<Undecided, u64> = BTreeMap::new();
        for (id, image) in self.images.all.iter().enumerate() {
            let is_judged = image.class == Class::Plain && image.protection().is_none();
            if let Some(why) = self.rules.cause(id, image).filter(|_| is_judged && !self.gone[id]) {
                *count.entry(why).or_default() += 1;
            }
        }
        if self.images.kaniko > 0 {
            count.insert(Undecided::KanikoCache, self.images.kaniko);
        }
        count.into_iter().map(|(why, images)| UndecidedImages { why, images }).collect()
    }

    /// Lets go every image that may go now.
    fn round(&mut self, reached: &mut Reached) {
        let untagged_children = self.children_of_staying_rows();
        // An index is judged before what it names, a subject before what follows it: so what they held may go in the same
        // round.
        let mut above: Vec<Option<usize>> = vec![None; self.package.len()];
        for at in 0..self.images.down.len() {
            let manifest = self.images.down[at];
            let mut best = above[manifest.index()];
            if let Some(id) = self.images.of_manifest[manifest.index()].filter(|id| !self.gone[*id]) {
                let namer = best.and_then(|row| self.images.of_row[row]);
                let judgement = self.judge(id, namer, reached, &untagged_children);
                self.gone[id] = judgement.action == Action::Delete;
                if self.gone[id] {
                    reached.kept.remove(manifest, |one| self.package.named(one));
                } else {
                    best = smaller(best, self.images.newest(id));
                }
                self.judgements[id] = judgement;
            }
            for child in self.package.named(manifest) {
                above[child.index()] = smaller(above[child.index()], best);
            }
        }
    }

    /// What is reached while nothing is gone.
    fn reached(&self) -> Reached {
        let package = self.package;
        let tags = || self.images.all.iter().map(|image| image.manifest);
        let tagged = package.reach(tags());
        // An untagged manifest of a push under way is a root, unless a tag that goes is all that reaches it.
        let young = package.rows.iter().filter(|row| {
            !row.is_tag()
                && (is_young(row.created_at, self.now, self.policy.grace)
                    || is_restored(package, row, self.now, self.policy.hold))
                && row.manifest.is_some_and(|manifest| !tagged[manifest.index()])
        });
        let fixed: Vec<ManifestId> =
            young.filter_map(|row| row.manifest).chain(self.in_use.iter().copied()).collect();
        let roots = tags().chain(fixed.iter().copied());
        let kept = ReferenceCounts::new(package.len(), roots, |one| package.named(one));
        Reached { kept, fixed: fixed.into_iter().collect(), tagged, parents: OnceCell::new() }
    }

    /// What indexes listed by digest, and staying, name.
    fn children_of_staying_rows(&self) -> Vec<bool> {
        let rows = self.package.rows.iter().enumerate();
        let staying =
            rows.filter(|(at, row)| !row.is_tag() && !self.pruned[*at]).filter_map(|(_, row)| row.manifest);
        self.package.reach(staying.flat_map(|manifest| self.package.named(manifest)))
    }

    fn prune(&mut self) {
        if self.policy.untagged == Unneeded::Prune {
            self.pruned = untagged::prune(self);
        }
    }

    /// Marks as left what stays only because it follows itself, through whatever chain.
    fn leave_circles(&mut self, reached: &Reached) {
        let follows = |id: usize| {
            let image = &self.images.all[id];
            image.is_follower() && self.judgements[id].stays_as_follower
        };
        // What stays for a reason of its own, and what follows that.
        let all = || (0..self.images.all.len()).filter(|id| !self.gone[*id]);
        let own = all().filter(|id| !follows(*id)).map(|id| self.images.all[id].manifest);
        let roots = own.chain(reached.fixed.iter().copied());
        let subjects = |id: usize| {
            let follows = self.images.all[id].follows.iter().flatten();
            follows.filter_map(|subject| self.package.find(subject))
        };
        let mut followers: HashMap<ManifestId, Vec<ManifestId>> = HashMap::new();
        for id in all().filter(|id| follows(*id)) {
            for subject in subjects(id) {
                followers.entry(subject).or_default().push(self.images.all[id].manifest);
            }
        }
        let mut grounded = vec![false; self.package.len()];
        let followers = |one| followers.get(&one).into_iter().flatten().copied();
        walk::mark(&mut grounded, roots, |one| self.package.named(one).chain(followers(one)));
        let is_grounded = |id: usize| subjects(id).any(|subject| grounded[subject.index()]);
        for id in all().filter(|id| follows(*id) && !is_grounded(*id)).collect::<Vec<_>>() {
            let held = |subject: &&Digest| {
                self.package.find(subject).is_some_and(|subject| reached.kept.holds(subject))
            };
            let subjects = self.images.all[id].follows.iter().flatten().filter(held);
            let why = subjects.map(|subject| {
                let (packages, fate) = (Vec::new(), SubjectFate::Circle);
                Reason::Follows(Followed { subject: *subject, packages, fate })
            });
            self.judgements[id] = ImageDecision::leave(why.collect());
        }
    }

    fn rows(self, refusal: Option<Refusal>, fates: BTreeMap<Digest, FateElsewhere>) -> Decision {
        let notes = reversal::notes(&self);
        let count = |gone: bool| self.gone.iter().filter(|one| **one == gone).count() as u64;
        let (staying, going) = (self.rows_above(false), self.rows_above(true));
        let mut rows = Vec::with_capacity(self.package.rows.len());
        for (at, row) in self.package.rows.iter().enumerate() {
            let verdict = match self.images.of_row[at] {
                Some(id) => {
                    let ImageDecision { action, reasons, if_refused, after, .. } =
                        self.judgements[id].clone();
                    RowDecision { action, reasons, if_refused, after }
                }
                None if row.is_tag() => RowDecision::leave(Reason::UnknownDigest),
                None => untagged::verdict(&self, at, &staying, &going),
            };
            rows.push(verdict);
        }
        let broken = self.images.all.iter().filter(|image| image.lost.is_some());
        let broken =
            broken.flat_map(|image| image.rows.iter().map(|row| escape(&self.package.rows[*row].version)));
        // A tag of which nothing but its name is known is here only because it is said to be lost.
        let lost = self.package.rows.iter().filter(|row| row.is_tag() && row.manifest.is_none());
        let mut broken: Vec<String> = broken.chain(lost.map(|row| escape(&row.version))).collect();
        broken.sort_unstable();
        let mut decision = Decision {
            not_planned: None,
            rows,
            images_kept: count(false),
            images_deleted: count(true),
            broken,
            orphans: self.orphans.len() as u64,
            undecided: self.undecided(),
            fates,
            notes,
        };
        if let Some(why) = refusal {
            decision.refuse(why);
        }
        decision
    }
}
