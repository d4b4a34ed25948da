//! What stands in a tree right now, and why a step is not done where that is not what was planned.

use std::path::Path;
use std::sync::PoisonError;

use jiff::Timestamp;

use crate::oci::Digest;
use crate::path::Place;
use crate::repair::causes::{WhyFailed, WhySpared};
use crate::repair::conditions::Conditions;
use crate::repair::step::{RepairStep, StepOutcome};
use crate::serve::{LINK_MAX, read_link};
use crate::storage::edit::{Editor, EntryView, WritableFolder};
use crate::storage::{EntryKind, FolderError};

pub(crate) fn failed(what: &str, error: &FolderError) -> StepOutcome {
    let path = what.to_owned();
    StepOutcome::Failed(match error {
        FolderError::OtherDevice => WhyFailed::OtherDevice { path },
        other => WhyFailed::Disk { path, error: other.to_string() },
    })
}

pub(crate) fn look(editor: &dyn Editor, path: &str) -> Result<Option<EntryView>, StepOutcome> {
    match editor.look(WritableFolder::Tree, Path::new(path)) {
        // A file in the place of a folder on the way: there is nothing there.
        Err(FolderError::NotAFolder) => Ok(None),
        other => other.map_err(|error| failed(path, &error)),
    }
}

/// The digest that a step is about.
pub(crate) fn digest(step: &RepairStep) -> Result<Digest, StepOutcome> {
    step.digest.ok_or(StepOutcome::Failed(WhyFailed::NoDigest))
}

/// What a link says now; `None` when there is none.
pub(crate) fn link_at(editor: &dyn Editor, path: &str) -> Result<Option<Result<Digest, ()>>, StepOutcome> {
    match editor.read(WritableFolder::Tree, Path::new(path), LINK_MAX + 1) {
        Ok(bytes) => Ok(Some(read_link(&bytes).map_err(drop))),
        Err(FolderError::NotFound | FolderError::NotAFolder) => Ok(None),
        Err(error) => Err(failed(path, &error)),
    }
}

/// Folders on the way to an entry that are not there yet, outermost first.
pub(crate) fn to_be_made(
    editor: &dyn Editor,
    room: WritableFolder,
    path: &str,
) -> Result<Vec<String>, StepOutcome> {
    let mut missing = Vec::new();
    let mut at = Path::new(path).parent();
    while let Some(folder) = at.filter(|folder| !folder.as_os_str().is_empty()) {
        match editor.look(room, folder) {
            Ok(Some(look)) if look.kind == EntryKind::Folder => break,
            Ok(Some(look)) => {
                let path = folder.display().to_string();
                return Err(StepOutcome::Failed(WhyFailed::NotAFolder { path, kind: look.kind }));
            }
            Ok(None) => missing.push(folder.display().to_string()),
            Err(error) => return Err(failed(&folder.display().to_string(), &error)),
        }
        at = folder.parent();
    }
    missing.reverse();
    Ok(missing)
}

/// Whether the bytes filed under a digest are the right ones; hashed unless they were, in this very state.
pub(crate) fn is_right(
    editor: &dyn Editor,
    digest: Digest,
    now: &Conditions<'_>,
) -> Result<bool, StepOutcome> {
    let path = Place::BlobData(digest).to_string();
    let Some(before) = look(editor, &path)? else { return Ok(false) };
    let hashed = || now.hashed.lock().unwrap_or_else(PoisonError::into_inner);
    if hashed().get(&digest) == Some(&before.identity) {
        return Ok(true);
    }
    let found = editor
        .hash(WritableFolder::Tree, Path::new(&path), digest.algorithm())
        .map_err(|error| failed(&path, &error))?;
    let after = look(editor, &path)?;
    if after.map(|look| look.identity) != Some(before.identity) {
        return Err(StepOutcome::Spared(WhySpared::ChangedInHashing(path)));
    }
    if found != digest {
        return Ok(false);
    }
    hashed().insert(digest, before.identity);
    Ok(true)
}

/// The time that new files get: every file system keeps seconds, not all keep less.
pub(crate) fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
