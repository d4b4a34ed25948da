//! `scheduler-state.json` in the rootdirectory: what was moved aside comes back while what the repair left in its place is still
//! there, unchanged.

use std::path::Path;

use jiff::Timestamp;

use super::marked::MarkerCache;
use super::ours::quarantine;
use super::why::WhyTaken;
use super::{ChangeUndoState, Changes};
use crate::storage::edit::{EntryView, IfOccupied, WritableFolder};
use crate::storage::scheduler_state::{EMPTY, MAX_BYTES, NAME};
use crate::storage::{EntryKind, FolderError};

impl Changes<'_> {
    /// Puts the state back that was moved `to` the quarantine, over the empty one that was `written`, if one was.
    pub(super) fn scheduler_state(
        &self,
        (to, made): (&str, &[String]),
        written: Option<Timestamp>,
        marked: &mut MarkerCache<'_>,
    ) -> Result<ChangeUndoState, FolderError> {
        let (place, aside) = (Path::new(NAME), Path::new(to));
        let folder = quarantine(NAME, to).unwrap_or(to);
        let unmarked = marked.why_not(folder)?;
        let here = self.editor.look(WritableFolder::Root, place)?;
        let there = self.editor.look(WritableFolder::Aside, aside)?;
        let is_empty = match &here {
            Some(look) => self.is_empty_state(look, written)?,
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
            // The repair was stopped before it wrote.
            (Some(here), Some(there)) if unmarked.is_none() && self.is_copy(here, there, to)? => {
                self.editor.remove_file(WritableFolder::Aside, aside)?;
                ChangeUndoState::There
            }
            (Some(_), Some(_)) => ChangeUndoState::Taken(WhyTaken::StateRewritten { to: to.to_owned() }),
            (Some(_), None) if !is_empty => ChangeUndoState::There,
            (_, None) => return Ok(ChangeUndoState::Lost(marked.why_gone()?)),
        };
        self.remove_unfinished(WritableFolder::Root, NAME)?;
        self.editor.sync(WritableFolder::Root, Path::new("."))?;
        if unmarked.is_none() {
            self.remove_unfinished(WritableFolder::Aside, to)?;
            // The quarantine itself goes last, with its marker.
            let inner = |made: &&String| made.len() > folder.len();
            let inner: Vec<_> = made.iter().filter(inner).cloned().collect();
            self.folders(WritableFolder::Aside, &inner)?;
        }
        Ok(state)
    }

    /// Whether a repair wrote what stands there, and nobody since.
    fn is_empty_state(&self, look: &EntryView, written: Option<Timestamp>) -> Result<bool, FolderError> {
        let is_file = look.kind == EntryKind::File && written == Some(look.modified);
        Ok(is_file && self.editor.read(WritableFolder::Root, Path::new(NAME), EMPTY.len() + 1)? == EMPTY)
    }

    /// Whether what lies in the quarantine is a copy of what is still in its place.
    fn is_copy(&self, here: &EntryView, there: &EntryView, to: &str) -> Result<bool, FolderError> {
        let is_file = here.kind == EntryKind::File && there.kind == EntryKind::File;
        if !is_file || here.modified != there.modified || here.size != there.size {
            return Ok(false);
        }
        let here = self.editor.read(WritableFolder::Root, Path::new(NAME), MAX_BYTES + 1)?;
        Ok(here.len() <= MAX_BYTES
            && here == self.editor.read(WritableFolder::Aside, Path::new(to), MAX_BYTES + 1)?)
    }
}
