//! Checks of the steps that write: links, tags, `_layers` folders, fetched bytes.

use std::path::Path;

use super::look::{StepCheck, disk_failure, missing_folders, spare, whole_second};
use crate::oci::{Algorithm, Digest, Manifest};
use crate::path::Place;
use crate::repair::causes::{WhyFailed, WhySkipped};
use crate::repair::change::{Change, FileBefore, REWRITE_MAX};
use crate::repair::step::StepOutcome;
use crate::storage::EntryKind;
use crate::storage::edit::{Attributes, EntryView, WritableFolder};

impl StepCheck<'_> {
    /// The `_layers` folder of a repository.
    pub(super) fn check_rebuild(&self) -> Result<Change, StepOutcome> {
        match self.look_at(&self.step.path)? {
            None => {
                self.spare_if_repository_gone()?;
                let mut made = missing_folders(self.editor, WritableFolder::Tree, &self.step.path)?;
                made.push(self.step.path.clone());
                Ok(Change::Folder { made })
            }
            Some(found) if found.kind == EntryKind::Folder => Err(StepOutcome::There),
            Some(found) => spare(WhySkipped::Occupied(found.kind)),
        }
    }

    /// A revision or layer link. Its content follows from its path; a file in its place is only kept for the journal.
    pub(super) fn check_link(&self) -> Result<Change, StepOutcome> {
        let digest = self.digest()?;
        let before = match self.look_for_file(&self.step.path)? {
            None => {
                self.spare_if_repository_gone()?;
                None
            }
            Some(_) if self.read_link_at(&self.step.path)? == Some(Ok(digest)) => {
                return Err(StepOutcome::There);
            }
            Some(found) => Some(self.read_before(&found)?),
        };
        if !self.is_intact(digest)? {
            return spare(WhySkipped::BytesWrong);
        }
        self.write_link(digest, before)
    }

    fn write_link(&self, digest: Digest, before: Option<FileBefore>) -> Result<Change, StepOutcome> {
        let made = missing_folders(self.editor, WritableFolder::Tree, &self.step.path)?;
        Ok(Change::Link {
            path: self.step.path.clone(),
            digest,
            modified: whole_second(self.conditions.now),
            made,
            before,
        })
    }

    /// Spares a step in a repository that was removed: writing into it would bring it back.
    fn spare_if_repository_gone(&self) -> Result<(), StepOutcome> {
        let Some(repository) = Place::parse(&self.step.path).and_then(|place| place.repository()) else {
            return Ok(());
        };
        match self.look_at(&Place::Manifests(repository).to_string())? {
            Some(found) if found.kind == EntryKind::Folder => Ok(()),
            _ => spare(WhySkipped::RepositoryGone),
        }
    }

    /// The file that a step writes over, as the journal keeps it.
    fn read_before(&self, found: &EntryView) -> Result<FileBefore, StepOutcome> {
        let bytes = self
            .editor
            .read(WritableFolder::Tree, Path::new(&self.step.path), REWRITE_MAX + 1)
            .map_err(|error| disk_failure(&self.step.path, &error))?;
        if bytes.len() > REWRITE_MAX {
            return Err(StepOutcome::Failed(WhyFailed::TooLargeToKeep { most: REWRITE_MAX }));
        }
        let Attributes { mode, user, group } = found.attributes;
        Ok(FileBefore { bytes, mode, user, group, modified: found.modified })
    }

    /// A tag whose link names nothing: exactly one entry of its history still resolves, and it is the planned one. The link gets
    /// the time of the repair. With the time of the history entry it would seem to have been pushed then, and a retention rule on
    /// push times could remove it for its age.
    pub(super) fn check_restore(&self) -> Result<Change, StepOutcome> {
        let digest = self.digest()?;
        let Some(Place::TagLink(repository, tag)) = Place::parse(&self.step.path) else {
            return Err(StepOutcome::Failed(WhyFailed::NoTag));
        };
        let folder = Place::TagFolder(repository, tag).to_string();
        if self.look_at(&folder)?.is_none_or(|found| found.kind != EntryKind::Folder) {
            return spare(WhySkipped::TagGone);
        }
        let before = match self.look_for_file(&self.step.path)? {
            None => None,
            Some(found) => {
                match self.read_link_at(&self.step.path)? {
                    Some(Ok(named)) if named == digest => return Err(StepOutcome::There),
                    Some(Ok(named)) if named.algorithm() == Algorithm::Sha256 => {
                        return spare(WhySkipped::TagPushed);
                    }
                    _ => {}
                }
                Some(self.read_before(&found)?)
            }
        };
        let history = Place::TagIndexAlgorithm(repository, tag, Algorithm::Sha256).to_string();
        let names = self
            .editor
            .names(WritableFolder::Tree, Path::new(&history))
            .map_err(|error| disk_failure(&history, &error))?;
        let mut is_named = false;
        for entry in names.iter().filter_map(|name| Digest::from_hex(Algorithm::Sha256, name.to_str()?).ok())
        {
            if self.look_at(&Place::TagIndexLink(repository, tag, entry).to_string())?.is_none() {
                continue;
            }
            if entry == digest {
                is_named = true;
            } else if self.look_at(&Place::BlobData(entry).to_string())?.is_some() {
                // Even if this entry is not served, it may be the newer push.
                return spare(WhySkipped::OtherEntry);
            }
        }
        if !is_named {
            return spare(WhySkipped::NotInHistory);
        }
        if !self.resolves(repository, digest)? {
            return spare(WhySkipped::HistoryUnresolved);
        }
        self.write_link(digest, before)
    }

    /// Whether a manifest with intact bytes is served through its own revision link.
    fn resolves(&self, repository: &str, digest: Digest) -> Result<bool, StepOutcome> {
        let link = Place::RevisionLink(repository, digest).to_string();
        if self.read_link_at(&link)? != Some(Ok(digest)) || !self.is_intact(digest)? {
            return Ok(false);
        }
        let path = Place::BlobData(digest).to_string();
        let limit = usize::try_from(crate::oci::manifest::MAX_BYTES).unwrap_or(usize::MAX) + 1;
        let bytes = self
            .editor
            .read(WritableFolder::Tree, Path::new(&path), limit)
            .map_err(|error| disk_failure(&path, &error))?;
        Ok(Manifest::parse(&bytes).refusal().is_none())
    }

    /// Bytes from another registry: nothing is in their place.
    pub(super) fn check_fetch(&self) -> Result<Change, StepOutcome> {
        let digest = self.digest()?;
        let path = Place::BlobData(digest).to_string();
        if self.look_for_file(&path)?.is_some() {
            return if self.is_intact(digest)? {
                Err(StepOutcome::There)
            } else {
                spare(WhySkipped::OtherBytes)
            };
        }
        let made = missing_folders(self.editor, WritableFolder::Tree, &path)?;
        Ok(Change::Data { path, digest, modified: whole_second(self.conditions.now), made })
    }
}
