//! The judgement of one image: its protection, the indexes that name it, its class, then whatever else may need it.

use std::collections::HashSet;

use super::deciding::{Deciding, Reached};
use super::decision::{Action, RowDecision};
use super::follow::{FateElsewhere, FollowedSubject, SubjectElsewhere, SubjectFate};
use super::images::{Class, ImageId};
use super::package::{Loss, ManifestId, ManifestState};
use super::policy::{UnneededAction, is_young};
use super::reason::Reason;
use crate::graph::walk;
use crate::oci::Digest;

impl Deciding<'_> {
    /// The digest of a manifest that is not there, and what is lost of it.
    fn lost(&self, manifest: ManifestId) -> (Digest, Loss) {
        (self.package.digest(manifest), self.package.what_is_lost(manifest))
    }

    /// Judges an image. `above` is the newest staying image that names it.
    pub(super) fn judge(
        &mut self,
        id: ImageId,
        above: Option<ImageId>,
        reached: &Reached,
        untagged_children: &[bool],
    ) -> RowDecision {
        self.kept_as_followers.remove(&id);
        let image = &self.images.all[id];
        let lost =
            image.lost.map(|lost| self.lost(lost)).map(|(digest, lost)| Reason::Broken { digest, lost });
        if let Some(why) = image.protection() {
            // A protected image may take a place in a ranking too, which explains the ranks of the others.
            let reasons = [why.clone()].into_iter().chain(self.rules.newest_reasons(id)).chain(lost);
            return RowDecision::new(Action::Keep, reasons.collect());
        }
        if let Some(index) = above {
            let why = Reason::ChildOf { parent: self.images.tags(self.package, index) };
            return RowDecision::new(Action::Keep, [why].into_iter().chain(lost).collect());
        }
        let judgement = match &image.class {
            Class::Plain => match self.rules.verdict(self.package, id, image, self.now) {
                Ok(reasons) => RowDecision::new(Action::Keep, reasons),
                Err(reasons) => RowDecision::new(Action::Delete, reasons),
            },
            Class::Child => self.child_verdict(id),
            Class::Broken(lost) => {
                let (digest, lost) = self.lost(*lost);
                if self.rules.is_below_kept(self.package, image, None, self.now) {
                    RowDecision::delete(Reason::BrokenBelowRanked { digest, lost })
                } else {
                    RowDecision::leave(Reason::BrokenAmongRanked { digest, lost })
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
        if let Some(subject) = self.package.subject(image.manifest)
            && self.is_held(id, subject, reached)
        {
            return RowDecision::keep(Reason::RefersTo { subject: self.package.digest(subject) });
        }
        let is_held = |digest: &&Digest| {
            self.package.find(digest).is_some_and(|subject| self.is_held(id, subject, reached))
        };
        if let Some(digest) = image.also_follows().find(is_held) {
            return RowDecision::keep(Reason::Follows(self.followed(*digest, SubjectFate::Stays)));
        }
        let has_row = || {
            let rows = &self.rows_of[image.manifest.index()];
            rows.iter().any(|at| self.images.of_row[*at].is_none() && !self.pruned[*at])
        };
        if untagged_children[image.manifest.index()] && !has_row() {
            return match image.class {
                Class::Plain | Class::Child => RowDecision::keep(Reason::OnlyRowOfChild),
                Class::Broken(_) | Class::Follower(_) => RowDecision::leave(Reason::OnlyRowOfChild),
            };
        }
        judgement
    }

    /// Judges a tagged child that no staying index names: the rule of the newest index that named it decides.
    fn child_verdict(&self, id: ImageId) -> RowDecision {
        let image = &self.images.all[id];
        let Some((row, index)) = self.newest_image_above(image.manifest) else {
            return RowDecision::new(Action::Keep, Vec::new());
        };
        let parent = self.images.tags(self.package, index);
        let Some(rule) = self.rules.ranking_of_row(row) else {
            return RowDecision::keep(Reason::ChildWithoutRule { parent });
        };
        let if_refused = Some(vec![Reason::ChildOf { parent: parent.clone() }]);
        let decision = if self.rules.is_below_kept(self.package, image, Some(rule), self.now) {
            RowDecision::delete(Reason::ChildBelowRanked { parent })
        } else {
            RowDecision::keep(Reason::ChildAmongRanked { parent })
        };
        RowDecision { if_refused, ..decision }
    }

    /// Whether something that stays reaches a subject of an image, apart from the image itself.
    fn is_held(&self, id: ImageId, subject: ManifestId, reached: &Reached) -> bool {
        reached.kept.holds(subject)
            && (!self.reaches(id, subject) || self.others_reach(id, subject, reached, false))
    }

    /// Whether a tag reaches a subject of an image, apart from the tags of the image itself. The tag may go.
    fn is_tagged(&self, id: ImageId, subject: ManifestId, reached: &Reached) -> bool {
        reached.tagged[subject.index()]
            && (!self.reaches(id, subject) || self.others_reach(id, subject, reached, true))
    }

    /// Whether a manifest is an image or lies below it, at whatever depth.
    fn reaches(&self, id: ImageId, wanted: ManifestId) -> bool {
        let image = self.images.all[id].manifest;
        walk::reach(HashSet::new(), [image], |manifest| self.package.named_manifests(manifest))
            .any(|manifest| manifest == wanted)
    }

    /// Whether another image reaches a manifest, or something fixed does. With `or_gone`, images that go count too.
    fn others_reach(&self, id: ImageId, subject: ManifestId, reached: &Reached, or_gone: bool) -> bool {
        let parents = reached.parents.get_or_init(|| self.package.parents());
        let above = |manifest| parents.get(&manifest).into_iter().flatten().copied();
        walk::reach(HashSet::new(), [subject], above).any(|manifest| {
            let image = self.images.of_manifest[manifest.index()].filter(|other| *other != id);
            image.is_some_and(|other| or_gone || !self.gone[other]) || reached.fixed.contains(&manifest)
        })
    }

    /// The fate of a digest that a tag of an image is named after.
    fn subject_fate(&self, id: ImageId, digest: &Digest, reached: &Reached) -> SubjectFate {
        let Some(subject) = self.package.find(digest) else { return SubjectFate::Unknown };
        match self.package.state(subject) {
            _ if self.is_held(id, subject, reached) => SubjectFate::Stays,
            ManifestState::Absent => self.absent_subject_fate(digest),
            ManifestState::Present(_)
                if self.is_tagged(id, subject, reached) || self.other_rows_go(id, subject) =>
            {
                SubjectFate::Goes
            }
            ManifestState::Present(_) if reached.tagged[subject.index()] => SubjectFate::Circle,
            ManifestState::Present(_) => SubjectFate::Untagged,
            ManifestState::Unasked | ManifestState::Unknown(_) => SubjectFate::Unknown,
        }
    }

    /// Judges a follower, such as a signature: it stays while something that stays reaches one of its subjects, and goes with the
    /// last such thing.
    fn follower_verdict(&mut self, id: ImageId, subjects: &[Digest], reached: &Reached) -> RowDecision {
        let followed = subjects.iter().map(|subject| (*subject, self.subject_fate(id, subject, reached)));
        let followed: Vec<FollowedSubject> =
            followed.map(|(subject, fate)| self.followed(subject, fate)).collect();
        let with_fate = |fate: SubjectFate| followed.iter().find(move |followed| followed.fate == fate);
        if let Some(held) = with_fate(SubjectFate::Elsewhere(FateElsewhere::Stays)) {
            return RowDecision::keep(Reason::Follows(held.clone()));
        }
        if let Some(held) = with_fate(SubjectFate::Stays) {
            self.kept_as_followers.insert(id);
            return RowDecision::keep(Reason::Follows(held.clone()));
        }
        if with_fate(SubjectFate::Gone).is_some() {
            self.orphans.insert(id);
        }
        let (goes, stays): (Vec<FollowedSubject>, Vec<FollowedSubject>) =
            followed.into_iter().partition(|followed| match followed.fate {
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
            return RowDecision::new(Action::Leave, stays.into_iter().map(Reason::Follows).collect());
        }
        let refused = goes.iter().map(|followed| match followed.fate {
            SubjectFate::Goes => Reason::Follows(self.followed(followed.subject, SubjectFate::Stays)),
            _ => Reason::Follows(followed.clone()),
        });
        let if_refused = Some(refused.collect());
        // Only subjects in other packages have packages.
        let after = goes.iter().flat_map(|followed| {
            followed
                .packages
                .iter()
                .map(|package| SubjectElsewhere { package: package.clone(), digest: followed.subject })
        });
        let after = after.collect();
        let why = goes.into_iter().map(Reason::Follows).collect();
        RowDecision { if_refused, after, ..RowDecision::new(Action::Delete, why) }
    }

    /// A subject with its fate, and with the packages that have it if it lies in others.
    fn followed(&self, subject: Digest, fate: SubjectFate) -> FollowedSubject {
        let elsewhere = self.package.elsewhere.get(&subject);
        let elsewhere = elsewhere.filter(|_| matches!(fate, SubjectFate::Elsewhere(_)));
        let packages = elsewhere.map(|elsewhere| elsewhere.packages.clone()).unwrap_or_default();
        FollowedSubject { subject, packages, fate }
    }

    /// The fate of a subject that this package does not have. Signatures may be kept in another repository than the images that
    /// they sign (`COSIGN_REPOSITORY`), even in another registry. So a signature can be an orphan only where other signatures of
    /// this package sign images of this package.
    fn absent_subject_fate(&self, digest: &Digest) -> SubjectFate {
        match self.package.elsewhere.get(digest) {
            Some(elsewhere) if !elsewhere.packages.is_empty() => {
                let fate = self.fates_elsewhere.get(digest).copied();
                SubjectFate::Elsewhere(fate.unwrap_or(FateElsewhere::Stays))
            }
            Some(elsewhere) if elsewhere.unread.is_none() && self.signs_its_own => SubjectFate::Gone,
            _ => SubjectFate::Outside,
        }
    }

    /// Whether the policy lets a follower go whose subject is gone.
    fn may_prune_orphan(&self, id: ImageId) -> bool {
        let mut rows = self.images.all[id].rows.iter().map(|row| &self.package.rows[*row]);
        let is_young = rows.any(|row| is_young(row.created_at, self.now, self.policy.grace));
        let has_images = self.images.all.iter().any(|image| !image.is_follower());
        self.policy.orphan_signatures == UnneededAction::Prune && !is_young && has_images
    }

    /// Whether a manifest has rows apart from those of an image, and all of these go.
    fn other_rows_go(&self, id: ImageId, manifest: ManifestId) -> bool {
        let rows = self.rows_of[manifest.index()].iter().filter(|at| self.images.of_row[**at] != Some(id));
        let mut rows = rows.peekable();
        rows.peek().is_some() && rows.all(|at| self.row_goes(*at))
    }
}
