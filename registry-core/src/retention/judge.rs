//! The judgement of one image: protection, indexes that name it, its class, then what else may need it.

use std::collections::HashSet;

use super::decide::{Deciding, Reached};
use super::images::{Class, ImageId};
use super::package::{Info, ManifestId, State};
use super::policy::{Fate, is_young};
use crate::oci::Digest;

impl Deciding<'_> {
    /// What an image lacks.
    fn lost(&self, manifest: ManifestId) -> String {
        format!("{} {}", self.package.digest(manifest), self.package.lost(manifest))
    }

    /// Why an image stays (`Ok`) or goes; `above` is the newest that stays and names it.
    pub(super) fn judge(
        &mut self,
        id: ImageId,
        above: Option<ImageId>,
        reached: &Reached,
        untagged_children: &[bool],
    ) -> Result<Vec<String>, Vec<String>> {
        let image = &self.images.all[id];
        let lost = image.lost.map(|lost| format!("broken: {}", self.lost(lost)));
        if let Some(why) = image.protection() {
            // It may take a place of a rule all the same, which explains the others.
            return Ok([why.clone()].into_iter().chain(self.rules.places(id)).chain(lost).collect());
        }
        if let Some(index) = above {
            let why = format!("child of {}", self.images.names(self.package, index));
            return Ok([why].into_iter().chain(lost).collect());
        }
        let goes = match &image.class {
            Class::Plain => self.rules.verdict(self.package, id, image, self.now),
            Class::Child => self.child_verdict(id),
            Class::Broken(lost) => {
                let lost = self.lost(*lost);
                if self.rules.lies_below(self.package, image, None, self.now) {
                    Err(vec![format!("broken: {lost}; below all that stay by rank")])
                } else {
                    Ok(vec![format!(
                        "broken: {lost}; stays until as many whole images as asked for are newer"
                    )])
                }
            }
            Class::Follower(subjects) => {
                let subjects = subjects.clone();
                self.follower_verdict(id, &subjects, reached)
            }
        };
        let image = &self.images.all[id];
        let why = match goes {
            Ok(why) => return Ok(why),
            Err(why) => why,
        };
        if let Some(subject) = self.package.info(image.manifest).and_then(|info| info.subject)
            && reached.kept.holds(subject)
        {
            return Ok(vec![format!("refers to {}, which stays", self.package.digest(subject))]);
        }
        if let Some(digest) =
            image.also_follows().find(|digest| self.others_reach(image.manifest, digest, reached))
        {
            return Ok(vec![format!("follows {digest}, which stays")]);
        }
        let has_row = || {
            let rows = &self.rows_of[image.manifest.index()];
            rows.iter().any(|at| self.images.of_row[*at].is_none() && !self.pruned[*at])
        };
        if untagged_children[image.manifest.index()] && !has_row() {
            return Ok(vec!["the only row of a manifest that an untagged index names".into()]);
        }
        Err(why)
    }

    /// A child tag that no remaining index names goes by the rule of the newest index that named it.
    fn child_verdict(&self, id: ImageId) -> Result<Vec<String>, Vec<String>> {
        let image = &self.images.all[id];
        let Some((row, index)) = self.newest_namer(image.manifest) else { return Ok(Vec::new()) };
        let named = self.images.names(self.package, index);
        let Some(rule) = self.rules.of_tag(&self.package.rows[row].version) else {
            return Ok(vec![format!("child of {named}, of which no rule matches")]);
        };
        if self.rules.lies_below(self.package, image, Some(rule), self.now) {
            Err(vec![format!("child of {named}, which goes; below all that stay by rank")])
        } else {
            Ok(vec![format!("child of {named}, which goes; not below all that stay by rank")])
        }
    }

    /// Whether a root that stays, other than this image, reaches what one of its tags follows.
    fn others_reach(&self, manifest: ManifestId, digest: &Digest, reached: &Reached) -> bool {
        let Some(subject) = self.package.find(digest) else { return false };
        let (mut stack, mut seen) = (vec![manifest], HashSet::new());
        while let Some(one) = stack.pop() {
            if one == subject {
                return reached.others.holds(subject);
            }
            if seen.insert(one) {
                stack.extend(self.package.info(one).into_iter().flat_map(Info::named));
            }
        }
        reached.stay.holds(subject)
    }

    /// A signature lives while a root that stays reaches its subject.
    fn follower_verdict(
        &mut self,
        id: ImageId,
        subjects: &[Digest],
        reached: &Reached,
    ) -> Result<Vec<String>, Vec<String>> {
        let (mut goes, mut stays) = (Vec::new(), Vec::new());
        for digest in subjects {
            let subject = self.package.find(digest);
            if subject.is_some_and(|subject| reached.stay.holds(subject)) {
                return Ok(vec![format!("follows {digest}, which stays")]);
            }
            match subject.map_or(&State::Unasked, |subject| self.package.state(subject)) {
                State::Absent => {
                    self.orphans.insert(id);
                    if self.may_prune_orphan(id) {
                        goes.push(format!("follows {digest}, which is gone"));
                    } else {
                        stays.push(format!("follows {digest}, which is gone"));
                    }
                }
                State::Present(_) if subject.is_some_and(|subject| reached.tagged[subject.index()]) => {
                    goes.push(format!("follows {digest}, which goes"));
                }
                State::Present(_) if subject.is_some_and(|subject| self.is_taken(subject)) => {
                    goes.push(format!("follows {digest}, which goes"));
                }
                State::Present(_) => {
                    stays.push(format!("follows {digest}, which answers and no tag reaches"));
                }
                State::Unasked | State::Unknown(_) => {
                    stays.push(format!("follows {digest}, of which nothing is known"));
                }
            }
        }
        if stays.is_empty() && !goes.is_empty() { Err(goes) } else { Ok(stays) }
    }

    fn may_prune_orphan(&self, id: ImageId) -> bool {
        let rows = self.images.all[id].rows.iter().map(|row| &self.package.rows[*row]);
        let is_young =
            rows.fold(false, |young, row| young | is_young(row.created_at, self.now, self.policy.grace));
        let has_images = self.images.all.iter().any(|image| !matches!(image.class, Class::Follower(_)));
        self.policy.orphan_signatures == Fate::Prune && !is_young && has_images
    }

    /// Whether every row that carries a manifest goes.
    fn is_taken(&self, manifest: ManifestId) -> bool {
        let rows = &self.rows_of[manifest.index()];
        let goes = |at: &usize| self.images.of_row[*at].map_or(self.pruned[*at], |image| self.gone[image]);
        !rows.is_empty() && rows.iter().all(goes)
    }
}
