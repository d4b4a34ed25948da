//! What a repair wrote: a link, or fetched bytes. Each goes only while it is as the repair left it, and while nothing was pushed
//! that may rely on it.

use std::path::Path;

use super::since::Since;
use super::why::WhyTaken;
use super::{ChangeUndoState, Changes};
use crate::path::Place;
use crate::repair::change::{Before, Change, UNFINISHED};
use crate::serve::LINK_MAX;
use crate::storage::edit::{EntryView, IfOccupied, WritableFolder};
use crate::storage::{EntryKind, FolderError};

impl Changes<'_> {
    /// Takes back a link; one that was written over becomes what it was.
    pub(super) fn link(
        &self,
        change: &Change,
        since: &mut Since<'_>,
    ) -> Result<ChangeUndoState, FolderError> {
        let Change::Link { path, digest, modified, made, before } = change else {
            return Ok(ChangeUndoState::There);
        };
        let text = digest.to_string();
        let ours = |look: &EntryView, bytes: &[u8]| look.modified == *modified && bytes == text.as_bytes();
        let mut relied_on = || match Place::parse(path) {
            Some(Place::RevisionLink(repository, _) | Place::LayerLink(repository, _)) => {
                since.pushed_into(repository)
            }
            _ => Ok(false),
        };
        let at = Path::new(path);
        let look = self.editor.look(WritableFolder::Tree, at)?;
        let bytes = match &look {
            Some(look) if look.kind == EntryKind::File => {
                Some(self.editor.read(WritableFolder::Tree, at, LINK_MAX + 1)?)
            }
            _ => None,
        };
        let state = match (&look, &bytes, before) {
            (None, _, None) => ChangeUndoState::There,
            (Some(look), Some(bytes), _) if ours(look, bytes) && relied_on()? => {
                ChangeUndoState::Taken(WhyTaken::ReliedOnHere)
            }
            (Some(look), Some(bytes), None) if ours(look, bytes) => {
                self.editor.remove_file(WritableFolder::Tree, at)?;
                ChangeUndoState::Restored
            }
            (Some(look), Some(bytes), Some(before)) if ours(look, bytes) => {
                self.put(path, before)?;
                ChangeUndoState::Restored
            }
            (Some(look), Some(_), Some(before))
                if look.modified == before.modified
                    && look.size == before.bytes.len() as u64
                    && self.editor.read(WritableFolder::Tree, at, before.bytes.len() + 1)?
                        == before.bytes =>
            {
                ChangeUndoState::There
            }
            (Some(_), ..) => ChangeUndoState::Taken(WhyTaken::Rewritten),
            (None, ..) => ChangeUndoState::Taken(WhyTaken::Removed),
        };
        if !matches!(state, ChangeUndoState::Taken(_)) {
            self.remove_unfinished(WritableFolder::Tree, path)?;
            self.folders(WritableFolder::Tree, made)?;
            self.sync(WritableFolder::Tree, path)?;
        }
        Ok(state)
    }

    /// Takes back bytes that were fetched.
    pub(super) fn data(
        &self,
        change: &Change,
        since: &mut Since<'_>,
    ) -> Result<ChangeUndoState, FolderError> {
        let Change::Data { path, digest, modified, made } = change else { return Ok(ChangeUndoState::There) };
        let at = Path::new(path);
        let state = match self.editor.look(WritableFolder::Tree, at)? {
            None => ChangeUndoState::There,
            Some(look) if look.kind == EntryKind::File && look.modified == *modified => {
                if self.editor.hash(WritableFolder::Tree, at, digest.algorithm())? != *digest {
                    ChangeUndoState::Taken(WhyTaken::OtherBytes)
                } else if since.pushed_anywhere()? {
                    ChangeUndoState::Taken(WhyTaken::ReliedOn)
                } else {
                    self.editor.remove_file(WritableFolder::Tree, at)?;
                    ChangeUndoState::Restored
                }
            }
            Some(_) => ChangeUndoState::Taken(WhyTaken::Rewritten),
        };
        if !matches!(state, ChangeUndoState::Taken(_)) {
            self.remove_unfinished(WritableFolder::Tree, path)?;
            self.folders(WritableFolder::Tree, made)?;
            self.sync(WritableFolder::Tree, path)?;
        }
        Ok(state)
    }

    /// Writes a file as it was.
    fn put(&self, path: &str, before: &Before) -> Result<(), FolderError> {
        let unfinished = format!("{path}{UNFINISHED}");
        self.editor.write(
            WritableFolder::Tree,
            Path::new(&unfinished),
            Some(before.attributes()),
            Some(before.modified),
            &mut |out| out.write_all(&before.bytes),
        )?;
        self.editor.rename(
            (WritableFolder::Tree, Path::new(&unfinished)),
            (WritableFolder::Tree, Path::new(path)),
            IfOccupied::Replace,
        )
    }
}
