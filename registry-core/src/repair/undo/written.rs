//! What a repair wrote: a link, or fetched bytes. Each goes only while it is as the repair left it, and while nothing was pushed
//! that may rely on it.

use std::path::Path;

use super::since::Since;
use super::why::WhyTaken;
use super::{Changes, UndoState};
use crate::path::Place;
use crate::repair::change::{Before, Change, UNFINISHED};
use crate::serve::LINK_MAX;
use crate::storage::edit::{Look, Room};
use crate::storage::{FolderError, Kind};

impl Changes<'_> {
    /// Takes back a link; one that was written over becomes what it was.
    pub(super) fn link(&self, change: &Change, since: &mut Since<'_>) -> Result<UndoState, FolderError> {
        let Change::Link { path, digest, modified, made, before } = change else {
            return Ok(UndoState::There);
        };
        let text = digest.to_string();
        let ours = |look: &Look, bytes: &[u8]| look.modified == *modified && bytes == text.as_bytes();
        let mut relied_on = || match Place::parse(path) {
            Some(Place::RevisionLink(repository, _) | Place::LayerLink(repository, _)) => {
                since.pushed_into(repository)
            }
            _ => Ok(false),
        };
        let at = Path::new(path);
        let look = self.editor.look(Room::Tree, at)?;
        let bytes = match &look {
            Some(look) if look.kind == Kind::File => Some(self.editor.read(Room::Tree, at, LINK_MAX + 1)?),
            _ => None,
        };
        let state = match (&look, &bytes, before) {
            (None, _, None) => UndoState::There,
            (Some(look), Some(bytes), _) if ours(look, bytes) && relied_on()? => {
                UndoState::Taken(WhyTaken::ReliedOnHere)
            }
            (Some(look), Some(bytes), None) if ours(look, bytes) => {
                self.editor.remove_file(Room::Tree, at)?;
                UndoState::Restored
            }
            (Some(look), Some(bytes), Some(before)) if ours(look, bytes) => {
                self.put(path, before)?;
                UndoState::Restored
            }
            (Some(look), Some(_), Some(before))
                if look.modified == before.modified
                    && look.size == before.bytes.len() as u64
                    && self.editor.read(Room::Tree, at, before.bytes.len() + 1)? == before.bytes =>
            {
                UndoState::There
            }
            (Some(_), ..) => UndoState::Taken(WhyTaken::Rewritten),
            (None, ..) => UndoState::Taken(WhyTaken::Removed),
        };
        if !matches!(state, UndoState::Taken(_)) {
            self.remove_unfinished(Room::Tree, path)?;
            self.folders(Room::Tree, made)?;
            self.sync(Room::Tree, path)?;
        }
        Ok(state)
    }

    /// Takes back bytes that were fetched.
    pub(super) fn data(&self, change: &Change, since: &mut Since<'_>) -> Result<UndoState, FolderError> {
        let Change::Data { path, digest, modified, made } = change else { return Ok(UndoState::There) };
        let at = Path::new(path);
        let state = match self.editor.look(Room::Tree, at)? {
            None => UndoState::There,
            Some(look) if look.kind == Kind::File && look.modified == *modified => {
                if self.editor.hash(Room::Tree, at, digest.algorithm())? != *digest {
                    UndoState::Taken(WhyTaken::OtherBytes)
                } else if since.pushed_anywhere()? {
                    UndoState::Taken(WhyTaken::ReliedOn)
                } else {
                    self.editor.remove_file(Room::Tree, at)?;
                    UndoState::Restored
                }
            }
            Some(_) => UndoState::Taken(WhyTaken::Rewritten),
        };
        if !matches!(state, UndoState::Taken(_)) {
            self.remove_unfinished(Room::Tree, path)?;
            self.folders(Room::Tree, made)?;
            self.sync(Room::Tree, path)?;
        }
        Ok(state)
    }

    /// Writes a file as it was.
    fn put(&self, path: &str, before: &Before) -> Result<(), FolderError> {
        let unfinished = format!("{path}{UNFINISHED}");
        self.editor.write(
            Room::Tree,
            Path::new(&unfinished),
            Some(before.attributes()),
            Some(before.modified),
            &mut |out| out.write_all(&before.bytes),
        )?;
        self.editor.rename((Room::Tree, Path::new(&unfinished)), (Room::Tree, Path::new(path)), true)
    }
}
