//! Reads the tree as it is right now, for the checks before a step. What a step needs is decided elsewhere.

use std::path::Path;
use std::sync::PoisonError;

use jiff::Timestamp;

use crate::oci::Digest;
use crate::path::Place;
use crate::repair::causes::{WhyFailed, WhySkipped};
use crate::repair::conditions::Conditions;
use crate::repair::step::{RepairStep, StepOutcome};
use crate::serve::{LINK_MAX, read_link};
use crate::storage::edit::{Editor, EntryView, WritableFolder};
use crate::storage::{EntryKind, FolderError};

/// One step that is checked.
pub(super) struct StepCheck<'c> {
    pub(super) editor: &'c dyn Editor,
    pub(super) step: &'c RepairStep,
    pub(super) conditions: &'c Conditions<'c>,
}

impl StepCheck<'_> {
    pub(super) fn look_at(&self, path: &str) -> Result<Option<EntryView>, StepOutcome> {
        match self.editor.look(WritableFolder::Tree, Path::new(path)) {
            // A file stands in the place of a folder of the path, so nothing is at the path.
            Err(FolderError::NotAFolder) => Ok(None),
            other => other.map_err(|error| disk_failure(path, &error)),
        }
    }

    /// The file at a path, `None` when there is nothing. Anything else there spares the step.
    pub(super) fn look_for_file(&self, path: &str) -> Result<Option<EntryView>, StepOutcome> {
        match self.look_at(path)? {
            Some(found) if found.kind != EntryKind::File => spare(WhySkipped::Occupied(found.kind)),
            found => Ok(found),
        }
    }

    /// The digest that a step is about.
    pub(super) fn digest(&self) -> Result<Digest, StepOutcome> {
        self.step.digest.ok_or(StepOutcome::Failed(WhyFailed::NoDigest))
    }

    /// The digest that a link names now: `None` without a link, `Some(Err(()))` when the link is invalid.
    pub(super) fn read_link_at(&self, path: &str) -> Result<Option<Result<Digest, ()>>, StepOutcome> {
        match self.editor.read(WritableFolder::Tree, Path::new(path), LINK_MAX + 1) {
            Ok(bytes) => Ok(Some(read_link(&bytes).map_err(drop))),
            Err(FolderError::NotFound | FolderError::NotAFolder) => Ok(None),
            Err(error) => Err(disk_failure(path, &error)),
        }
    }

    /// Whether the bytes filed under a digest hash to it. A file that this run hashed already is hashed again only if it changed.
    pub(super) fn is_intact(&self, digest: Digest) -> Result<bool, StepOutcome> {
        let path = Place::BlobData(digest).to_string();
        let Some(before) = self.look_at(&path)? else { return Ok(false) };
        let intact = || self.conditions.intact.lock().unwrap_or_else(PoisonError::into_inner);
        if intact().get(&digest) == Some(&before.identity) {
            return Ok(true);
        }
        let found = self
            .editor
            .hash(WritableFolder::Tree, Path::new(&path), digest.algorithm())
            .map_err(|error| disk_failure(&path, &error))?;
        if self.look_at(&path)?.map(|after| after.identity) != Some(before.identity) {
            return spare(WhySkipped::ChangedInHashing(path));
        }
        if found != digest {
            return Ok(false);
        }
        intact().insert(digest, before.identity);
        Ok(true)
    }
}

/// The outcome of a step for which `path` could not be read or written.
pub(crate) fn disk_failure(path: &str, error: &FolderError) -> StepOutcome {
    let path = path.to_owned();
    StepOutcome::Failed(match error {
        FolderError::OtherDevice => WhyFailed::OtherDevice { path },
        other => WhyFailed::Disk { path, error: other.to_string() },
    })
}

/// The result of the check of a step that is not done.
pub(crate) fn spare<T>(why: WhySkipped) -> Result<T, StepOutcome> {
    Err(StepOutcome::Spared(why))
}

/// The folders around an entry that do not exist yet, outermost first.
pub(crate) fn missing_folders(
    editor: &dyn Editor,
    room: WritableFolder,
    path: &str,
) -> Result<Vec<String>, StepOutcome> {
    let mut missing = Vec::new();
    for folder in Path::new(path).ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
        let path = folder.display().to_string();
        match editor.look(room, folder) {
            Ok(Some(found)) if found.kind == EntryKind::Folder => break,
            Ok(Some(found)) => {
                return Err(StepOutcome::Failed(WhyFailed::NotAFolder { path, kind: found.kind }));
            }
            Ok(None) => missing.push(path),
            Err(error) => return Err(disk_failure(&path, &error)),
        }
    }
    missing.reverse();
    Ok(missing)
}

/// The modification time of a new file: every file system keeps whole seconds, not all keep fractions of them.
pub(crate) fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
