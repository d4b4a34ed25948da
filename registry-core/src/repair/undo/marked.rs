//! Whether a quarantine is marked as this registry's: only out of such a one is anything moved back, for a journal may be
//! anybody's and name any folder.

use std::collections::HashMap;
use std::path::Path;

use super::why::{OtherRegistry, WhyLost};
use crate::repair::journal::RepairHistory;
use crate::storage::FolderError;
use crate::storage::edit::{Editor, WritableFolder};
use crate::text::escape;
use crate::tree_writer::{MARKER, Marker};

/// Answers from the markers on the disk; each is read once.
pub(super) struct MarkerCache<'m> {
    editor: &'m dyn Editor,
    told: &'m RepairHistory,
    known: HashMap<String, Option<WhyLost>>,
}

impl<'m> MarkerCache<'m> {
    pub(super) fn new(editor: &'m dyn Editor, told: &'m RepairHistory) -> Self {
        Self { editor, told, known: HashMap::new() }
    }

    /// Why nothing is moved back out of a quarantine; `None` when its marker names this registry.
    pub(super) fn why_not(&mut self, quarantine: &str) -> Result<Option<WhyLost>, FolderError> {
        if let Some(known) = self.known.get(quarantine) {
            return Ok(known.clone());
        }
        let path = format!("{quarantine}/{MARKER}");
        let why = match self.read(&path)? {
            None => Some(WhyLost::NoMarker { marker: self.shown(&path) }),
            Some(None) => Some(WhyLost::BadMarker { marker: self.shown(&path) }),
            Some(Some(marker)) => self.others(&path, &marker).map(WhyLost::OtherRegistry),
        };
        self.known.insert(quarantine.to_owned(), why.clone());
        Ok(why)
    }

    /// Whose quarantine a marker tells of, if of another registry. One that was not written to its end tells of none.
    pub(super) fn is_others(&self, path: &str) -> Result<Option<OtherRegistry>, FolderError> {
        Ok(self.read(path)?.flatten().and_then(|marker| self.others(path, &marker)))
    }

    /// Why something is not where it was moved to.
    pub(super) fn why_gone(&self) -> Result<WhyLost, FolderError> {
        if self.editor.look(WritableFolder::Aside, Path::new("."))?.is_none() {
            return Ok(WhyLost::NoFolder { folder: escape(&self.told.aside) });
        }
        Ok(WhyLost::Gone)
    }

    fn others(&self, path: &str, marker: &Marker) -> Option<OtherRegistry> {
        let is_ours = marker.tree == self.told.tree;
        (!is_ours).then(|| OtherRegistry { marker: self.shown(path), tree: escape(&marker.tree) })
    }

    fn read(&self, path: &str) -> Result<Option<Option<Marker>>, FolderError> {
        match self.editor.read(WritableFolder::Aside, Path::new(path), Marker::MAX_BYTES) {
            Ok(bytes) => Ok(Some(Marker::parse(&bytes))),
            Err(FolderError::NotFound | FolderError::NotAFolder) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn shown(&self, path: &str) -> String {
        escape(&Path::new(&self.told.aside).join(path).to_string_lossy())
    }
}
