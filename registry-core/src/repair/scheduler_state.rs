//! `scheduler-state.json` of a pull-through cache with which no server starts: it is put into the quarantine. An empty state takes
//! the place of a file, for that file marks the tree as a cache, and what is absent in a tree that is none is damage; so the place
//! is never without a file in between. Nothing else outside of `docker/registry/v2` is changed.

use std::path::Path;

use jiff::Timestamp;

use super::aside::{free, make_aside};
use super::causes::WhySpared;
use super::change::{Change, UNFINISHED};
use super::change_result::{NotMade, parent};
use super::check::look::{failed, whole_second};
use super::conditions::Conditions;
use super::step::StepOutcome;
use crate::storage::EntryKind;
use crate::storage::edit::{Editor, EntryView, IfOccupied, WritableFolder};
use crate::storage::scheduler_state::{EMPTY, MAX_BYTES, NAME, fault};

/// What no server starts with.
enum Broken {
    File(EntryView, Vec<u8>),
    Folder,
}

/// Looks at what stands there now.
fn broken(editor: &dyn Editor) -> Result<Broken, StepOutcome> {
    let at = Path::new(NAME);
    let look = || editor.look(WritableFolder::Root, at).map_err(|error| failed(NAME, &error));
    let Some(found) = look()? else { return Err(StepOutcome::Spared(WhySpared::Gone)) };
    match found.kind {
        EntryKind::File => {}
        EntryKind::Folder => return Ok(Broken::Folder),
        other => return Err(StepOutcome::Spared(WhySpared::Occupied(other))),
    }
    let bytes = editor.read(WritableFolder::Root, at, MAX_BYTES + 1).map_err(|error| failed(NAME, &error))?;
    if look()?.map(|look| look.identity) != Some(found.identity) {
        return Err(StepOutcome::Spared(WhySpared::ChangedInReading));
    }
    if bytes.len() > MAX_BYTES {
        return Err(StepOutcome::Spared(WhySpared::TooLarge));
    }
    if fault(&bytes).is_none() {
        return Err(StepOutcome::There);
    }
    Ok(Broken::File(found, bytes))
}

pub(super) fn check(editor: &dyn Editor, now: &Conditions<'_>) -> Result<Change, StepOutcome> {
    let written = match broken(editor)? {
        Broken::File(..) => Some(whole_second(now.now)),
        Broken::Folder => None,
    };
    let (to, made) = free(editor, NAME, now)?;
    Ok(Change::SchedulerState { to, made, written })
}

/// Moves a folder. Of a file a copy is safe in the quarantine before an empty state takes its place in one step.
pub(super) fn make(
    editor: &dyn Editor,
    (to, made): (&str, &[String]),
    written: Option<Timestamp>,
) -> Result<(), NotMade> {
    let (place, aside) = (Path::new(NAME), Path::new(to));
    for folder in made {
        make_aside(editor, folder)?;
    }
    let make_last = || -> Result<(), NotMade> {
        for folder in made.iter().map(|folder| parent(folder)).chain([parent(to)]) {
            editor.sync(WritableFolder::Aside, &folder)?;
        }
        Ok(())
    };
    match (broken(editor)?, written) {
        (Broken::Folder, None) => {
            editor.rename((WritableFolder::Root, place), (WritableFolder::Aside, aside), IfOccupied::Fail)?;
            make_last()
        }
        (Broken::File(look, bytes), Some(modified)) => {
            let copy = format!("{to}{UNFINISHED}");
            let attributes = Some(look.attributes);
            editor.write(
                WritableFolder::Aside,
                Path::new(&copy),
                attributes,
                Some(look.modified),
                &mut |out| out.write_all(&bytes),
            )?;
            editor.rename(
                (WritableFolder::Aside, Path::new(&copy)),
                (WritableFolder::Aside, aside),
                IfOccupied::Fail,
            )?;
            let replaced = make_last().and_then(|()| replace(editor, &look, modified));
            if replaced.is_err() {
                // Best effort: the original is in its place.
                let _ = editor.remove_file(WritableFolder::Aside, aside);
            }
            replaced
        }
        _ => Err(NotMade::Outcome(StepOutcome::Spared(WhySpared::ChangedInRepair))),
    }
}

/// Puts an empty state in the place of the file that was looked at, with its owner and mode.
fn replace(editor: &dyn Editor, broken: &EntryView, modified: Timestamp) -> Result<(), NotMade> {
    let (unfinished, place) = (format!("{NAME}{UNFINISHED}"), Path::new(NAME));
    let unfinished = Path::new(&unfinished);
    let attributes = Some(broken.attributes.of_file());
    editor.write(WritableFolder::Root, unfinished, attributes, Some(modified), &mut |out| {
        out.write_all(EMPTY)
    })?;
    let is_same = |now: Option<EntryView>| now.is_some_and(|now| now.identity == broken.identity);
    let renamed = match editor.look(WritableFolder::Root, place) {
        Ok(now) if is_same(now) => editor
            .rename((WritableFolder::Root, unfinished), (WritableFolder::Root, place), IfOccupied::Replace)
            .map_err(NotMade::Folder),
        Ok(_) => Err(NotMade::Outcome(StepOutcome::Spared(WhySpared::ChangedInRepair))),
        Err(error) => Err(NotMade::Folder(error)),
    };
    if renamed.is_err() {
        let _ = editor.remove_file(WritableFolder::Root, unfinished);
    }
    renamed
}
