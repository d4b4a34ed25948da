//! Checks of the steps that move something aside: wrong bytes, unneeded links, leftovers, what retention removes.

use std::path::Path;

use jiff::SignedDuration;

use super::look::{StepCheck, disk_failure, spare};
use crate::oci::{Algorithm, Digest};
use crate::path::Place;
use crate::repair::aside::quarantine_place;
use crate::repair::causes::{WhyFailed, WhySkipped};
use crate::repair::change::Change;
use crate::repair::step::{StepAction, StepOutcome};
use crate::storage::edit::{EntryView, WritableFolder};
use crate::storage::{EntryKind, FolderError};

impl StepCheck<'_> {
    /// A blob: its bytes still do not hash to its digest.
    pub(super) fn check_quarantine(&self) -> Result<Change, StepOutcome> {
        let digest = self.digest()?;
        if self.look_for_file(&Place::BlobData(digest).to_string())?.is_none() {
            return Err(StepOutcome::There);
        }
        if self.is_intact(digest)? {
            return spare(WhySkipped::BytesRight);
        }
        self.move_aside()
    }

    fn is_young(&self, found: &EntryView) -> bool {
        let age = SignedDuration::from_secs(i64::from(self.conditions.min_age));
        found.modified.checked_add(age).is_ok_and(|old| old > self.conditions.now)
    }

    /// The link below the folder that a step moves. A folder without one spares the step, for the reason `no_link`.
    fn look_for_link(&self, link: &str, no_link: WhySkipped) -> Result<EntryView, StepOutcome> {
        match self.look_for_file(link)? {
            Some(found) => Ok(found),
            None if self.look_at(&self.step.path)?.is_none() => Err(StepOutcome::There),
            None => spare(no_link),
        }
    }

    /// A layer link that no manifest needs, or an entry of a tag's history that does not resolve.
    pub(super) fn check_unlink(&self) -> Result<Change, StepOutcome> {
        let link = format!("{}/link", self.step.path);
        let found = self.look_for_link(&link, WhySkipped::LinkGone)?;
        match self.read_link_at(&link)? {
            Some(Ok(named)) if Some(named) != self.step.digest => return spare(WhySkipped::LinkNamesOther),
            Some(Err(())) if self.step.digest.is_some() => return spare(WhySkipped::LinkNamesNothing),
            _ => {}
        }
        match Place::parse(&self.step.path) {
            Some(Place::LayerFolder(repository, _)) => {
                if self.is_young(&found) {
                    return spare(WhySkipped::LinkYoung);
                }
                self.spare_if_pushed_since(repository)?;
            }
            Some(Place::TagIndexFolder(repository, tag, entry)) => {
                match self.read_link_at(&Place::TagLink(repository, tag).to_string())? {
                    Some(Ok(named)) if named == entry => return spare(WhySkipped::NamedAgain),
                    Some(Ok(_)) => {}
                    // Only the history tells what the tag named, so the entry stays.
                    _ => return spare(WhySkipped::TagNamesNothing),
                }
                let is_file = |place: Place<'_>| -> Result<bool, StepOutcome> {
                    Ok(self.look_at(&place.to_string())?.is_some_and(|found| found.kind == EntryKind::File))
                };
                if is_file(Place::RevisionLink(repository, entry))? && is_file(Place::BlobData(entry))? {
                    return spare(WhySkipped::Resolves);
                }
            }
            _ => return Err(StepOutcome::Failed(WhyFailed::NoLink)),
        }
        self.move_aside()
    }

    /// Spares the step if the repository has a manifest that the plan did not know.
    fn spare_if_pushed_since(&self, repository: &str) -> Result<(), StepOutcome> {
        let known = self.conditions.revisions.and_then(|revisions| revisions.get(repository));
        let folder = Place::RevisionsAlgorithm(repository, Algorithm::Sha256).to_string();
        let names = match self.editor.names(WritableFolder::Tree, Path::new(&folder)) {
            Ok(names) => names,
            Err(FolderError::NotFound) => return Ok(()),
            Err(error) => return Err(disk_failure(&folder, &error)),
        };
        let digests =
            names.iter().filter_map(|name| Digest::from_hex(Algorithm::Sha256, name.to_str()?).ok());
        for digest in digests.filter(|digest| known.is_none_or(|known| !known.contains(digest))) {
            if self.look_at(&Place::RevisionLink(repository, digest).to_string())?.is_some() {
                return spare(WhySkipped::ManifestPushed);
            }
        }
        Ok(())
    }

    /// An upload, a temporary file or a stray.
    pub(super) fn check_move_aside(&self) -> Result<Change, StepOutcome> {
        let Some(found) = self.look_at(&self.step.path)? else { return Err(StepOutcome::There) };
        if found.kind == EntryKind::Symlink {
            return spare(WhySkipped::Symlink);
        }
        let mut entries = vec![found];
        if self.step.action == StepAction::Clear && found.kind == EntryKind::Folder {
            for file in ["data", "startedat"] {
                entries.extend(self.look_at(&format!("{}/{file}", self.step.path))?);
            }
        }
        if entries.iter().any(|entry| self.is_young(entry)) {
            return spare(WhySkipped::Young);
        }
        self.move_aside()
    }

    /// A tag, revision link or layer link that retention removes: it still names the planned digest.
    pub(super) fn check_retire(&self) -> Result<Change, StepOutcome> {
        let link = match Place::parse(&self.step.path) {
            Some(Place::TagFolder(repository, tag)) => Place::TagLink(repository, tag).to_string(),
            Some(Place::RevisionFolder(..) | Place::LayerFolder(..)) => format!("{}/link", self.step.path),
            _ => return Err(StepOutcome::Failed(WhyFailed::NotRetired)),
        };
        let found = self.look_for_link(&link, WhySkipped::NoLink)?;
        if self.read_link_at(&link)? != Some(Ok(self.digest()?)) {
            return spare(WhySkipped::NamesOther);
        }
        if self.step.modified.is_some_and(|planned| planned != found.modified) {
            return spare(WhySkipped::PushedAgain);
        }
        self.move_aside()
    }

    /// A tag whose manifest was probably deleted: it still names that manifest, which has no revision link.
    pub(super) fn check_drop(&self) -> Result<Change, StepOutcome> {
        let Some(Place::TagFolder(repository, _)) = Place::parse(&self.step.path) else {
            return Err(StepOutcome::Failed(WhyFailed::NoTag));
        };
        let revision = Place::RevisionLink(repository, self.digest()?).to_string();
        if self.look_at(&revision)?.is_some() {
            return spare(WhySkipped::RevisionLinked);
        }
        self.check_retire()
    }

    /// The move of an entry into the quarantine, to the same path there.
    fn move_aside(&self) -> Result<Change, StepOutcome> {
        let (to, made) = quarantine_place(self.editor, &self.step.path, self.conditions)?;
        Ok(Change::Move { path: self.step.path.clone(), to, made, lacked: Vec::new() })
    }
}
