//! Undoes what a repair wrote: links and fetched bytes. Each is removed only if it is as the repair left it, and if nothing was
//! pushed since that may rely on it.

use std::path::Path;

use super::since::PushesSince;
use super::why::WhyKept;
use super::{ChangeUndoState, ChangeUndoer};
use crate::path::Place;
use crate::repair::change::{Change, FileBefore, TEMP_SUFFIX};
use crate::serve::LINK_MAX;
use crate::storage::edit::{EntryView, IfOccupied, WritableFolder};
use crate::storage::{EntryKind, FolderError};

impl ChangeUndoer<'_> {
    /// Undoes the writing of a link. A file that was written over is written as it was.
    pub(super) fn undo_link(
        &self,
        change: &Change,
        since: &mut PushesSince<'_>,
    ) -> Result<ChangeUndoState, FolderError> {
        let Change::Link { path, digest, modified, made, before } = change else {
            return Ok(ChangeUndoState::There);
        };
        let text = digest.to_string();
        let is_ours =
            |found: &EntryView, bytes: &[u8]| found.modified == *modified && bytes == text.as_bytes();
        let mut may_be_relied_on = || match Place::parse(path) {
            Some(Place::RevisionLink(repository, _) | Place::LayerLink(repository, _)) => {
                since.pushed_into(repository)
            }
            _ => Ok(false),
        };
        let at = Path::new(path);
        let found = self.editor.look(WritableFolder::Tree, at)?;
        let bytes = match &found {
            Some(found) if found.kind == EntryKind::File => {
                Some(self.editor.read(WritableFolder::Tree, at, LINK_MAX + 1)?)
            }
            _ => None,
        };
        let state = match (&found, &bytes, before) {
            (None, _, None) => ChangeUndoState::There,
            (Some(found), Some(bytes), _) if is_ours(found, bytes) && may_be_relied_on()? => {
                ChangeUndoState::Taken(WhyKept::ReliedOnHere)
            }
            (Some(found), Some(bytes), None) if is_ours(found, bytes) => {
                self.editor.remove_file(WritableFolder::Tree, at)?;
                ChangeUndoState::Restored
            }
            (Some(found), Some(bytes), Some(before)) if is_ours(found, bytes) => {
                self.restore_file(path, before)?;
                ChangeUndoState::Restored
            }
            (Some(found), Some(_), Some(before))
                if found.modified == before.modified
                    && found.size == before.bytes.len() as u64
                    && self.editor.read(WritableFolder::Tree, at, before.bytes.len() + 1)?
                        == before.bytes =>
            {
                ChangeUndoState::There
            }
            (Some(_), ..) => ChangeUndoState::Taken(WhyKept::Rewritten),
            (None, ..) => ChangeUndoState::Taken(WhyKept::Removed),
        };
        self.clean_up_around(path, made, state)
    }

    /// Removes what else a repair may have left around a file, unless the file stays.
    fn clean_up_around(
        &self,
        path: &str,
        made: &[String],
        state: ChangeUndoState,
    ) -> Result<ChangeUndoState, FolderError> {
        if !matches!(state, ChangeUndoState::Taken(_)) {
            self.remove_unfinished(WritableFolder::Tree, path)?;
            self.remove_folders(WritableFolder::Tree, made)?;
            self.sync_nearest_folder(path)?;
        }
        Ok(state)
    }

    /// Removes bytes that were fetched.
    pub(super) fn undo_data(
        &self,
        change: &Change,
        since: &mut PushesSince<'_>,
    ) -> Result<ChangeUndoState, FolderError> {
        let Change::Data { path, digest, modified, made } = change else { return Ok(ChangeUndoState::There) };
        let at = Path::new(path);
        let state = match self.editor.look(WritableFolder::Tree, at)? {
            None => ChangeUndoState::There,
            Some(found) if found.kind == EntryKind::File && found.modified == *modified => {
                if self.editor.hash(WritableFolder::Tree, at, digest.algorithm())? != *digest {
                    ChangeUndoState::Taken(WhyKept::OtherBytes)
                } else if since.pushed_anywhere()? {
                    ChangeUndoState::Taken(WhyKept::ReliedOn)
                } else {
                    self.editor.remove_file(WritableFolder::Tree, at)?;
                    ChangeUndoState::Restored
                }
            }
            Some(_) => ChangeUndoState::Taken(WhyKept::Rewritten),
        };
        self.clean_up_around(path, made, state)
    }

    /// Writes a file as it was before the repair.
    fn restore_file(&self, path: &str, before: &FileBefore) -> Result<(), FolderError> {
        let temp = format!("{path}{TEMP_SUFFIX}");
        self.editor.write(
            WritableFolder::Tree,
            Path::new(&temp),
            Some(before.attributes()),
            Some(before.modified),
            &mut |out| out.write_all(&before.bytes),
        )?;
        self.editor.rename(
            (WritableFolder::Tree, Path::new(&temp)),
            (WritableFolder::Tree, Path::new(path)),
            IfOccupied::Replace,
        )
    }
}
