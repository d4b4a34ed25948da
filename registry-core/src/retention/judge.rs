//! The judgement of one image: protection, indexes that name it, its class, then what else may need it.

use std::collections::HashSet;

use super::deciding::{Deciding, ImageDecision, Reached};
use super::decision::Action;
use super::follow::{After, FateElsewhere, Followed, SubjectFate};
use super::images::{Class, ImageId};
use super::package::{Loss, ManifestId, ManifestState};
use super::policy::{Unneeded, is_young};
use super::reason::Reason;
use crate::graph::walk;
use crate::oci::Digest;

impl Deciding<'_> {
    /// The digest of a manifest that is not there, and what is lost of it.
    fn lost(&self, manifest: ManifestId) -> (Digest, Loss) {
        (self.package.digest(manifest), self.package.lost(manifest))
    }

    /// What becomes of an image; `above` is the newest that stays and names it.
    pub(super) fn judge(
        &mut self,
        id: ImageId,
        above: Option<ImageId>,
        reached: &Reached,
        untagged_children: &[bool],
    ) -> ImageDecision {
        let image = &self.images.all[id];
        let lost =
            image.lost.map(|lost| self.lost(lost)).map(|(digest, lost)| Reason::Broken { digest, lost });
        if let Some(why) = image.protection() {
            // It may take a place of a rule all the same, which explains the others.
            return ImageDecision::keep(
                [why.clone()].into_iter().chain(self.rules.places(id)).chain(lost).collect(),
            );
        }
        if let Some(index) = above {
            let why = Reason::ChildOf { parent: self.images.tags(self.package, index) };
            return ImageDecision::keep([why].into_iter().chain(lost).collect());
        }
        let judgement = match &image.class {
            Class::Plain => ImageDecision::of_rules(self.rules.verdict(self.package, id, image, self.now)),
            Class::Child => self.child_verdict(id),
            Class::Broken(lost) => {
                let (digest, lost) = self.lost(*lost);
                if self.rules.lies_below(self.package, image, None, self.now) {
                    ImageDecision::delete(vec![Reason::BrokenBelowRanked { digest, lost }])
                } else {
                    ImageDecision::leave(vec![Reason::BrokenAmongRanked { digest, lost }])
                }
            }
            Class::Follower(subjects) => {
                let subjects = subjects.clone();
                self.follower_verdict(id, &subjects, reached)
            }
        };
        if judgement.action != Action::Delete {
            return judgement;
        }
        let image = &self.images.all[id];
        if let Some(subject) = self.package.info(image.manifest).and_then(|info| info.subject)
            && self.is_held(id, subject, reached)
        {
            return ImageDecision::keep(vec![Reason::RefersTo { subject: self.package.digest(subject) }]);
        }
        let is_held = |digest: &&Digest| {
            self.package.find(digest).is_some_and(|subject| self.is_held(id, subject, reached))
        };
        if let Some(digest) = image.also_follows().find(is_held) {
            return ImageDecision::keep(vec![Reason::Follows(self.followed(*digest, SubjectFate::Stays))]);
        }
        let has_row = || {
            let rows = &self.rows_of[image.manifest.index()];
            rows.iter().any(|at| self.images.of_row[*at].is_none() && !self.pruned[*at])
        };
        if untagged_children[image.manifest.index()] && !has_row() {
            let why = vec![Reason::OnlyRowOfChild];
            return match image.class {
                Class::Plain | Class::Child => ImageDecision::keep(why),
                Class::Broken(_) | Class::Follower(_) => ImageDecision::leave(why),
            };
        }
        judgement
    }

    /// A child tag that no remaining index names goes by the rule of the newest index that named it.
    fn child_verdict(&self, id: ImageId) -> ImageDecision {
        let image = &self.images.all[id];
        let Some((row, index)) = self.newest_namer(image.manifest) else {
            return ImageDecision::keep(Vec::new());
        };
        let parent = self.images.tags(self.package, index);
        let Some(rule) = self.rules.of_row(row) else {
            return ImageDecision::keep(vec![Reason::ChildWithoutRule { parent }]);
        };
        let if_refused = Some(vec![Reason::ChildOf { parent: parent.clone() }]);
        if self.rules.lies_below(self.package, image, Some(rule), self.now) {
            ImageDecision { if_refused, ..ImageDecision::delete(vec![Reason::ChildBelowRanked { parent }]) }
        } else {
            ImageDecision { if_refused, ..ImageDecision::keep(vec![Reason::ChildAmongRanked { parent }]) }
        }
    }

    /// Whether something that stays reaches a manifest, other than through an image that it may hold itself.
    fn is_held(&self, id: ImageId, subject: ManifestId, reached: &Reached) -> bool {
        reached.kept.holds(subject)
            && (!self.reaches(id, subject) || self.others_reach(id, subject, reached, false))
    }

    /// Whether a tag ever reached a manifest, other than those of an image that may hold it itself.
    fn is_tagged(&self, id: ImageId, subject: ManifestId, reached: &Reached) -> bool {
        reached.tagged[subject.index()]
            && (!self.reaches(id, subject) || self.others_reach(id, subject, reached, true))
    }

    /// Whether an image is a manifest, or names it at whatever depth.
    fn reaches(&self, id: ImageId, wanted: ManifestId) -> bool {
        let image = self.images.all[id].manifest;
        walk::reach(HashSet::new(), [image], |one| self.package.named(one)).any(|one| one == wanted)
    }

    /// Whether another image reaches a manifest, or something fixed does; with `gone` also one that goes.
    fn others_reach(&self, id: ImageId, subject: ManifestId, reached: &Reached, gone: bool) -> bool {
        let parents = reached.parents.get_or_init(|| self.package.parents());
        let above = |one| parents.get(&one).into_iter().flatten().copied();
        walk::reach(HashSet::new(), [subject], above).any(|one| {
            let image = self.images.of_manifest[one.index()].filter(|other| *other != id);
            image.is_some_and(|other| gone || !self.gone[other]) || reached.fixed.contains(&one)
        })
    }

    /// What becomes of a digest that a tag of an image is named after.
    fn fate(&self, id: ImageId, digest: &Digest, reached: &Reached) -> SubjectFate {
        let Some(subject) = self.package.find(digest) else { return SubjectFate::Unknown };
        match self.package.state(subject) {
            _ if self.is_held(id, subject, reached) => SubjectFate::Stays,
            ManifestState::Absent => self.absent(digest),
            ManifestState::Present(_)
                if self.is_tagged(id, subject, reached) || self.is_taken(id, subject) =>
            {
                SubjectFate::Goes
            }
            ManifestState::Present(_) if reached.tagged[subject.index()] => SubjectFate::Circle,
            ManifestState::Present(_) => SubjectFate::Untagged,
            ManifestState::Unasked | ManifestState::Unknown(_) => SubjectFate::Unknown,
        }
    }

    /// A signature stays while anything that stays reaches one of its subjects, and goes with the last that did.
    fn follower_verdict(&mut self, id: ImageId, subjects: &[Digest], reached: &Reached) -> ImageDecision {
        let each = subjects.iter().map(|subject| (*subject, self.fate(id, subject, reached)));
        let each: Vec<Followed> = each.map(|(subject, fate)| self.followed(subject, fate)).collect();
        if let Some(held) = each.iter().find(|one| one.fate == SubjectFate::Elsewhere(FateElsewhere::Stays)) {
            return ImageDecision::keep(vec![Reason::Follows(held.clone())]);
        }
        if let Some(held) = each.iter().find(|one| one.fate == SubjectFate::Stays) {
            return ImageDecision::follow(vec![Reason::Follows(held.clone())]);
        }
        if each.iter().any(|one| one.fate == SubjectFate::Gone) {
            self.orphans.insert(id);
        }
        let (goes, stays): (Vec<Followed>, Vec<Followed>) =
            each.into_iter().partition(|one| match one.fate {
                SubjectFate::Goes | SubjectFate::Elsewhere(FateElsewhere::Goes) => true,
                SubjectFate::Gone => self.may_prune_orphan(id),
                SubjectFate::Stays
                | SubjectFate::Circle
                | SubjectFate::Elsewhere(_)
                | SubjectFate::Outside
                | SubjectFate::Untagged
                | SubjectFate::Unknown => false,
            });
        if !stays.is_empty() || goes.is_empty() {
            return ImageDecision::leave(stays.into_iter().map(Reason::Follows).collect());
        }
        let refused = goes.iter().map(|one| match one.fate {
            SubjectFate::Goes => Reason::Follows(self.followed(one.subject, SubjectFate::Stays)),
            _ => Reason::Follows(one.clone()),
        });
        let if_refused = Some(refused.collect());
        let elsewhere = goes.iter().filter(|one| one.fate == SubjectFate::Elsewhere(FateElsewhere::Goes));
        let after = elsewhere.flat_map(|one| {
            one.packages.iter().map(|package| After { package: package.clone(), digest: one.subject })
        });
        let after = after.collect();
        let why = goes.into_iter().map(Reason::Follows).collect();
        ImageDecision { if_refused, after, ..ImageDecision::delete(why) }
    }

    /// A subject with the packages that have it, where this one does not.
    fn followed(&self, subject: Digest, fate: SubjectFate) -> Followed {
        let elsewhere = self.package.elsewhere.get(&subject);
        let elsewhere = elsewhere.filter(|_| matches!(fate, SubjectFate::Elsewhere(_)));
        let packages = elsewhere.map(|one| one.packages.clone()).unwrap_or_default();
        Followed { subject, packages, fate }
    }

    /// What is known of a subject that this package does not have. Signatures may be kept in another repository than what
    /// they sign (`COSIGN_REPOSITORY`), even of another registry: only where the others of this package follow what is in it
    /// can one be an orphan.
    fn absent(&self, digest: &Digest) -> SubjectFate {
        match self.package.elsewhere.get(digest) {
            Some(elsewhere) if !elsewhere.packages.is_empty() => {
                SubjectFate::Elsewhere(self.others.get(digest).copied().unwrap_or(FateElsewhere::Stays))
            }
            Some(elsewhere) if elsewhere.unread.is_none() && self.signs_its_own => SubjectFate::Gone,
            _ => SubjectFate::Outside,
        }
    }

    fn may_prune_orphan(&self, id: ImageId) -> bool {
        let rows = self.images.all[id].rows.iter().map(|row| &self.package.rows[*row]);
        let is_young =
            rows.fold(false, |young, row| young | is_young(row.created_at, self.now, self.policy.grace));
        let has_images = self.images.all.iter().any(|image| !matches!(image.class, Class::Follower(_)));
        self.policy.orphan_signatures == Unneeded::Prune && !is_young && has_images
    }

    /// Whether every row that carries a manifest goes; those of the image given do not count.
    fn is_taken(&self, id: ImageId, manifest: ManifestId) -> bool {
        let rows = self.rows_of[manifest.index()].iter().filter(|at| self.images.of_row[**at] != Some(id));
        let goes = |at: &usize| self.images.of_row[*at].map_or(self.pruned[*at], |image| self.gone[image]);
        let mut rows = rows.peekable();
        rows.peek().is_some() && rows.all(goes)
    }
}
