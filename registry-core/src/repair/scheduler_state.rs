//! Moves a broken `scheduler-state.json`, with which no pull-through cache starts, into the quarantine. An empty state takes the
//! place of a file in one step: the file marks the tree as a cache, and in a tree that is no cache absent blobs are damage. A
//! repair changes nothing else outside of `docker/registry/v2`.

use std::path::Path;

use jiff::Timestamp;

use super::aside::{make_quarantine_folder, quarantine_place};
use super::causes::WhySkipped;
use super::change::{Change, TEMP_SUFFIX};
use super::change_result::NotMade;
use super::check::look::{disk_failure, whole_second};
use super::conditions::Conditions;
use super::step::StepOutcome;
use crate::storage::edit::{Editor, EntryView, IfOccupied, WritableFolder};
use crate::storage::scheduler_state::{EMPTY_STATE, FILE_NAME, MAX_BYTES, find_fault};
use crate::storage::{EntryKind, folder_of};

/// A state with which no server starts.
enum BrokenState {
    File(EntryView, Vec<u8>),
    Folder,
}

/// Reads the state as it is now.
fn read_broken_state(editor: &dyn Editor) -> Result<BrokenState, StepOutcome> {
    let at = Path::new(FILE_NAME);
    let look = || editor.look(WritableFolder::Root, at).map_err(|error| disk_failure(FILE_NAME, &error));
    let Some(found) = look()? else { return Err(StepOutcome::Spared(WhySkipped::Gone)) };
    match found.kind {
        EntryKind::File => {}
        EntryKind::Folder => return Ok(BrokenState::Folder),
        other => return Err(StepOutcome::Spared(WhySkipped::Occupied(other))),
    }
    let bytes = editor
        .read(WritableFolder::Root, at, MAX_BYTES + 1)
        .map_err(|error| disk_failure(FILE_NAME, &error))?;
    if look()?.map(|found| found.identity) != Some(found.identity) {
        return Err(StepOutcome::Spared(WhySkipped::ChangedInReading));
    }
    if bytes.len() > MAX_BYTES {
        return Err(StepOutcome::Spared(WhySkipped::TooLarge));
    }
    if find_fault(&bytes).is_none() {
        return Err(StepOutcome::There);
    }
    Ok(BrokenState::File(found, bytes))
}

/// Checks that the state is still broken.
pub(super) fn check(editor: &dyn Editor, conditions: &Conditions<'_>) -> Result<Change, StepOutcome> {
    let written = match read_broken_state(editor)? {
        BrokenState::File(..) => Some(whole_second(conditions.now)),
        BrokenState::Folder => None,
    };
    let (to, made) = quarantine_place(editor, FILE_NAME, conditions)?;
    Ok(Change::SchedulerState { to, made, written })
}

/// Moves a folder aside. A file is copied to the quarantine, and the copy synced, before an empty state replaces the file.
pub(super) fn make(
    editor: &dyn Editor,
    (to, made): (&str, &[String]),
    written: Option<Timestamp>,
) -> Result<(), NotMade> {
    let (place, aside) = (Path::new(FILE_NAME), Path::new(to));
    for folder in made {
        make_quarantine_folder(editor, folder)?;
    }
    let sync_quarantine = || -> Result<(), NotMade> {
        for path in made.iter().map(String::as_str).chain([to]) {
            editor.sync(WritableFolder::Aside, folder_of(Path::new(path)))?;
        }
        Ok(())
    };
    match (read_broken_state(editor)?, written) {
        (BrokenState::Folder, None) => {
            editor.rename((WritableFolder::Root, place), (WritableFolder::Aside, aside), IfOccupied::Fail)?;
            sync_quarantine()
        }
        (BrokenState::File(found, bytes), Some(modified)) => {
            let copy = format!("{to}{TEMP_SUFFIX}");
            let attributes = Some(found.attributes);
            editor.write(
                WritableFolder::Aside,
                Path::new(&copy),
                attributes,
                Some(found.modified),
                &mut |out| out.write_all(&bytes),
            )?;
            editor.rename(
                (WritableFolder::Aside, Path::new(&copy)),
                (WritableFolder::Aside, aside),
                IfOccupied::Fail,
            )?;
            let replaced = sync_quarantine().and_then(|()| write_empty_state(editor, &found, modified));
            if replaced.is_err() {
                // Best effort: the original is still in its place.
                let _ = editor.remove_file(WritableFolder::Aside, aside);
            }
            replaced
        }
        _ => Err(NotMade::Outcome(StepOutcome::Spared(WhySkipped::ChangedInRepair))),
    }
}

/// Replaces the file `broken` by an empty state with the same owner and mode.
fn write_empty_state(editor: &dyn Editor, broken: &EntryView, modified: Timestamp) -> Result<(), NotMade> {
    let (temp, place) = (format!("{FILE_NAME}{TEMP_SUFFIX}"), Path::new(FILE_NAME));
    let temp = Path::new(&temp);
    let attributes = Some(broken.attributes.for_file());
    editor.write(WritableFolder::Root, temp, attributes, Some(modified), &mut |out| {
        out.write_all(EMPTY_STATE)
    })?;
    let renamed = match editor.look(WritableFolder::Root, place) {
        Ok(Some(found)) if found.identity == broken.identity => editor
            .rename((WritableFolder::Root, temp), (WritableFolder::Root, place), IfOccupied::Replace)
            .map_err(NotMade::Folder),
        Ok(_) => Err(NotMade::Outcome(StepOutcome::Spared(WhySkipped::ChangedInRepair))),
        Err(error) => Err(NotMade::Folder(error)),
    };
    if renamed.is_err() {
        let _ = editor.remove_file(WritableFolder::Root, temp);
    }
    renamed
}
