//! Undoes the move of `scheduler-state.json` in the rootdirectory: the file is moved back if the state that the repair left in its
//! place is unchanged.

use std::path::Path;

use jiff::Timestamp;

use super::marked::MarkerCache;
use super::ours::quarantine_of;
use super::why::WhyKept;
use super::{ChangeUndoState, ChangeUndoer};
use crate::storage::edit::{EntryView, IfOccupied, WritableFolder};
use crate::storage::scheduler_state::{EMPTY_STATE, FILE_NAME, MAX_BYTES};
use crate::storage::{EntryKind, FolderError};

impl ChangeUndoer<'_> {
    /// Moves back the state that was moved `to` the quarantine, over the empty state if one was `written`.
    pub(super) fn undo_scheduler_state(
        &self,
        (to, made): (&str, &[String]),
        written: Option<Timestamp>,
        markers: &mut MarkerCache<'_>,
    ) -> Result<ChangeUndoState, FolderError> {
        let (place, aside) = (Path::new(FILE_NAME), Path::new(to));
        let folder = quarantine_of(FILE_NAME, to).unwrap_or(to);
        let unmarked = markers.why_not_ours(folder)?;
        let here = self.editor.look(WritableFolder::Root, place)?;
        let there = self.editor.look(WritableFolder::Aside, aside)?;
        let is_empty = match &here {
            Some(found) => self.is_empty_state(found, written)?,
            None => false,
        };
        if let Some(why) = unmarked.clone().filter(|_| there.is_some() && (here.is_none() || is_empty)) {
            return Ok(ChangeUndoState::Lost(why));
        }
        let state = match (&here, &there) {
            (None, Some(_)) => {
                self.editor.rename(
                    (WritableFolder::Aside, aside),
                    (WritableFolder::Root, place),
                    IfOccupied::Fail,
                )?;
                ChangeUndoState::Restored
            }
            (Some(_), Some(_)) if is_empty => {
                self.editor.rename(
                    (WritableFolder::Aside, aside),
                    (WritableFolder::Root, place),
                    IfOccupied::Replace,
                )?;
                ChangeUndoState::Restored
            }
            // The repair was stopped before it replaced the file.
            (Some(here), Some(there)) if unmarked.is_none() && self.is_copy(here, there, to)? => {
                self.editor.remove_file(WritableFolder::Aside, aside)?;
                ChangeUndoState::There
            }
            (Some(_), Some(_)) => ChangeUndoState::Taken(WhyKept::StateRewritten { to: to.to_owned() }),
            (Some(_), None) if !is_empty => ChangeUndoState::There,
            (_, None) => return Ok(ChangeUndoState::Lost(markers.why_gone()?)),
        };
        self.remove_unfinished(WritableFolder::Root, FILE_NAME)?;
        self.editor.sync(WritableFolder::Root, Path::new("."))?;
        if unmarked.is_none() {
            self.remove_unfinished(WritableFolder::Aside, to)?;
            self.remove_folders_in_quarantine(folder, made)?;
        }
        Ok(state)
    }

    /// Whether `found` is the empty state that the repair wrote.
    fn is_empty_state(&self, found: &EntryView, written: Option<Timestamp>) -> Result<bool, FolderError> {
        let is_file = found.kind == EntryKind::File && written == Some(found.modified);
        Ok(is_file
            && self.editor.read(WritableFolder::Root, Path::new(FILE_NAME), EMPTY_STATE.len() + 1)?
                == EMPTY_STATE)
    }

    /// Whether the file in the quarantine is a copy of the file that is still in its place.
    fn is_copy(&self, here: &EntryView, there: &EntryView, to: &str) -> Result<bool, FolderError> {
        let is_file = here.kind == EntryKind::File && there.kind == EntryKind::File;
        if !is_file || here.modified != there.modified || here.size != there.size {
            return Ok(false);
        }
        let here = self.editor.read(WritableFolder::Root, Path::new(FILE_NAME), MAX_BYTES + 1)?;
        Ok(here.len() <= MAX_BYTES
            && here == self.editor.read(WritableFolder::Aside, Path::new(to), MAX_BYTES + 1)?)
    }
}
