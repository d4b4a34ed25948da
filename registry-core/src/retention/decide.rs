//! Decides about one package: which images go, which stay, and why. The code is pure, and its steps are in the order of
//! docs/retention.md.
//!
//! At first every image stays. An image goes only when the rules let it go and nothing that still stays needs it. So each round
//! may let more images go, and no round takes back what an earlier one decided.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::deciding::{Deciding, Reached};
use super::decision::{Action, Decision, RowDecision, WhyNotPlanned};
use super::follow::{FateElsewhere, FollowedSubject, SubjectFate};
use super::images::{self, Class, smaller};
use super::package::{ManifestId, ManifestState, Package};
use super::policy::{Policy, UnneededAction};
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
    decide_with_fates_elsewhere(package, path, policy, now, &BTreeMap::new())
}

/// Decides about a package some of whose subjects lie in other packages. `fates_elsewhere` are the fates of these subjects; one
/// that is missing there stays.
pub(super) fn decide_with_fates_elsewhere(
    package: &Package,
    path: &str,
    policy: &Policy,
    now: Timestamp,
    fates_elsewhere: &BTreeMap<Digest, FateElsewhere>,
) -> Decision {
    if let Some(why) = images::skip_reason(package, policy) {
        let left = RowDecision::leave(Reason::PackageSkipped);
        let tagged: BTreeSet<_> =
            package.rows.iter().filter(|row| row.is_tag()).map(|row| row.manifest).collect();
        return Decision {
            not_planned: Some(WhyNotPlanned::Skipped(why)),
            rows: vec![left; package.rows.len()],
            images_kept: tagged.len() as u64,
            images_deleted: 0,
            broken: Vec::new(),
            orphans: 0,
            undecided: Vec::new(),
            fates: package
                .manifests()
                .filter(|manifest| *package.state(*manifest) != ManifestState::Absent)
                .map(|manifest| (package.digest(manifest), FateElsewhere::Stays))
                .collect(),
            notes: Vec::new(),
        };
    }
    Deciding::new(package, path, policy, now, fates_elsewhere).finish()
}

/// Manifests whose build dates a guard needs and nobody has read yet.
pub(super) fn undated(package: &Package, path: &str, policy: &Policy, now: Timestamp) -> Vec<Digest> {
    if images::skip_reason(package, policy).is_some() {
        return Vec::new();
    }
    let fates_elsewhere = BTreeMap::new();
    let mut deciding = Deciding::new(package, path, policy, now, &fates_elsewhere);
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
        self.into_decision(refusal, fates)
    }

    /// Decides which images go. Returns what is reached at the end.
    fn settle(&mut self) -> Reached {
        let mut reached = self.reached_at_start();
        // Each round but the last lets more go, so there are at most as many rounds as images and rows.
        loop {
            let before = (self.gone.clone(), self.pruned.clone());
            self.judge_all(&mut reached);
            self.prune_untagged();
            if (&self.gone, &self.pruned) == (&before.0, &before.1) {
                break;
            }
        }
        self.leave_circles(&reached);
        reached
    }

    /// The fate of each manifest that is not known to be absent, for followers in other packages.
    fn fates(&self, reached: &Reached) -> BTreeMap<Digest, FateElsewhere> {
        let fate = |manifest: ManifestId| {
            let all_rows_go = || {
                let rows = &self.rows_of[manifest.index()];
                !rows.is_empty() && rows.iter().all(|row| self.row_goes(*row))
            };
            match self.package.state(manifest) {
                ManifestState::Absent => None,
                _ if reached.kept.holds(manifest) => Some(FateElsewhere::Stays),
                ManifestState::Present(_) if reached.tagged[manifest.index()] || all_rows_go() => {
                    Some(FateElsewhere::Goes)
                }
                ManifestState::Present(_) => Some(FateElsewhere::Untagged),
                // Nobody asked for it here, so its fates in other packages decide.
                ManifestState::Unasked => None,
                ManifestState::Unknown(_) => Some(FateElsewhere::Stays),
            }
        };
        let with_fate = |manifest| Some((self.package.digest(manifest), fate(manifest)?));
        self.package.manifests().filter_map(with_fate).collect()
    }

    /// How many images stay because no ranking decides about them, by cause.
    fn undecided(&self) -> Vec<UndecidedImages> {
        let mut count: BTreeMap<Undecided, u64> = BTreeMap::new();
        for (id, image) in self.images.all.iter().enumerate() {
            let is_judged = image.class == Class::Plain && image.protection().is_none();
            if let Some(why) = self.rules.undecided_cause(id, image).filter(|_| is_judged && !self.gone[id]) {
                *count.entry(why).or_default() += 1;
            }
        }
        if self.images.kaniko > 0 {
            count.insert(Undecided::KanikoCache, self.images.kaniko);
        }
        count.into_iter().map(|(why, images)| UndecidedImages { why, images }).collect()
    }

    /// Judges every image that still stays, and lets those go that may go now.
    fn judge_all(&mut self, reached: &mut Reached) {
        let untagged_children = self.children_of_staying_rows();
        // An index is judged before its children, and a subject before its followers, so that these may go in the same round.
        // `above` holds, by manifest, the newest row of the staying images above it.
        let mut above: Vec<Option<usize>> = vec![None; self.package.len()];
        for at in 0..self.images.parents_first.len() {
            let manifest = self.images.parents_first[at];
            let mut best = above[manifest.index()];
            if let Some(id) = self.images.of_manifest[manifest.index()].filter(|id| !self.gone[*id]) {
                let parent = best.and_then(|row| self.images.of_row[row]);
                let judgement = self.judge(id, parent, reached, &untagged_children);
                self.gone[id] = judgement.action == Action::Delete;
                if self.gone[id] {
                    reached.kept.remove(manifest, |manifest| self.package.named_manifests(manifest));
                } else {
                    best = smaller(best, self.images.newest_row(id));
                }
                self.judgements[id] = judgement;
            }
            for child in self.package.named_manifests(manifest) {
                above[child.index()] = smaller(above[child.index()], best);
            }
        }
    }

    /// What is reached before any image goes.
    fn reached_at_start(&self) -> Reached {
        let package = self.package;
        let tags = || self.images.all.iter().map(|image| image.manifest);
        let tagged = package.reach(tags());
        // A manifest without a tag may be part of a push under way, so it is a root. If a tag reaches it, the tag decides.
        let fresh = package.rows.iter().filter(|row| self.is_fresh_digest_row(row));
        let fresh = fresh.filter_map(|row| row.manifest).filter(|manifest| !tagged[manifest.index()]);
        let fixed: Vec<ManifestId> = fresh.chain(self.in_use.iter().copied()).collect();
        let roots = tags().chain(fixed.iter().copied());
        let kept = ReferenceCounts::new(package.len(), roots, |manifest| package.named_manifests(manifest));
        Reached { kept, fixed: fixed.into_iter().collect(), tagged, parents: OnceCell::new() }
    }

    /// By manifest, whether it lies below an index whose row is that of a digest and stays.
    fn children_of_staying_rows(&self) -> Vec<bool> {
        let rows = self.package.rows.iter().enumerate();
        let staying =
            rows.filter(|(at, row)| !row.is_tag() && !self.pruned[*at]).filter_map(|(_, row)| row.manifest);
        self.package.reach(staying.flat_map(|manifest| self.package.named_manifests(manifest)))
    }

    /// Lets the untagged manifests go that the policy prunes.
    fn prune_untagged(&mut self) {
        if self.policy.untagged == UnneededAction::Prune {
            self.pruned = untagged::rows_to_prune(self);
        }
    }

    /// Changes followers from kept to left if they stay only because they follow each other in a circle.
    fn leave_circles(&mut self, reached: &Reached) {
        let staying = || (0..self.images.all.len()).filter(|id| !self.gone[*id]);
        let subjects = |id: usize| {
            let follows = self.images.all[id].follows.iter().flatten();
            follows.filter_map(|subject| self.package.find(subject))
        };
        let mut followers: HashMap<ManifestId, Vec<ManifestId>> = HashMap::new();
        for id in staying().filter(|id| self.kept_as_followers.contains(id)) {
            for subject in subjects(id) {
                followers.entry(subject).or_default().push(self.images.all[id].manifest);
            }
        }
        // What stays for a reason of its own grounds everything that it names and that follows it.
        let own = staying()
            .filter(|id| !self.kept_as_followers.contains(id))
            .map(|id| self.images.all[id].manifest);
        let roots = own.chain(reached.fixed.iter().copied());
        let mut grounded = vec![false; self.package.len()];
        let followers = |manifest| followers.get(&manifest).into_iter().flatten().copied();
        walk::mark(&mut grounded, roots, |manifest| {
            self.package.named_manifests(manifest).chain(followers(manifest))
        });
        let is_grounded = |id: usize| subjects(id).any(|subject| grounded[subject.index()]);
        let in_circle = staying().filter(|id| self.kept_as_followers.contains(id) && !is_grounded(*id));
        for id in in_circle.collect::<Vec<_>>() {
            let is_held = |subject: &&Digest| {
                self.package.find(subject).is_some_and(|subject| reached.kept.holds(subject))
            };
            let subjects = self.images.all[id].follows.iter().flatten().filter(is_held);
            let why = subjects.map(|subject| {
                let (packages, fate) = (Vec::new(), SubjectFate::Circle);
                Reason::Follows(FollowedSubject { subject: *subject, packages, fate })
            });
            self.judgements[id] = RowDecision::new(Action::Leave, why.collect());
        }
    }

    /// The decision row by row; refused if a guard says so.
    fn into_decision(self, refusal: Option<Refusal>, fates: BTreeMap<Digest, FateElsewhere>) -> Decision {
        let notes = reversal::accepted_reversals(&self);
        let count = |gone: bool| self.gone.iter().filter(|is_gone| **is_gone == gone).count() as u64;
        let (staying, going) = (self.newest_rows_above(false), self.newest_rows_above(true));
        let mut rows = Vec::with_capacity(self.package.rows.len());
        for (at, row) in self.package.rows.iter().enumerate() {
            let decision = match self.images.of_row[at] {
                Some(id) => self.judgements[id].clone(),
                None if row.is_tag() => RowDecision::leave(Reason::UnknownDigest),
                None => untagged::digest_row_decision(&self, at, &staying, &going),
            };
            rows.push(decision);
        }
        let broken = self.images.all.iter().filter(|image| image.lost.is_some());
        let broken = broken.flat_map(|image| &image.rows).map(|row| &self.package.rows[*row]);
        // A package with a tag without a manifest is decided about only if the policy says that the tag is lost.
        let lost = self.package.rows.iter().filter(|row| row.is_tag() && row.manifest.is_none());
        let mut broken: Vec<String> = broken.chain(lost).map(|row| escape(&row.version)).collect();
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
