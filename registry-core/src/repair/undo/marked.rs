//! Checks that a quarantine is marked as this registry's: entries are moved back only out of such a quarantine, as anybody may have
//! written the journal and named any folder in it.

use std::collections::HashMap;
use std::path::Path;

use super::why::{OtherRegistry, WhyLost};
use crate::repair::journal::RepairHistory;
use crate::storage::FolderError;
use crate::storage::edit::{Editor, WritableFolder};
use crate::text::escape;
use crate::tree_writer::{MARKER, Marker};

/// The markers of quarantines. Each is read from the disk once.
pub(super) struct MarkerCache<'m> {
    editor: &'m dyn Editor,
    history: &'m RepairHistory,
    refusals: HashMap<String, Option<WhyLost>>,
}

impl<'m> MarkerCache<'m> {
    pub(super) fn new(editor: &'m dyn Editor, history: &'m RepairHistory) -> Self {
        Self { editor, history, refusals: HashMap::new() }
    }

    /// Why nothing is moved back out of a quarantine; `None` when its marker names this registry.
    pub(super) fn why_not_ours(&mut self, quarantine: &str) -> Result<Option<WhyLost>, FolderError> {
        if let Some(known) = self.refusals.get(quarantine) {
            return Ok(known.clone());
        }
        let path = format!("{quarantine}/{MARKER}");
        let why = match self.read_marker(&path)? {
            None => Some(WhyLost::NoMarker { marker: self.display_path(&path) }),
            Some(None) => Some(WhyLost::BadMarker { marker: self.display_path(&path) }),
            Some(Some(marker)) => self.compare(&path, &marker).map(WhyLost::OtherRegistry),
        };
        self.refusals.insert(quarantine.to_owned(), why.clone());
        Ok(why)
    }

    /// The other registry that a marker names; `None` if it names this one, or was not written to its end.
    pub(super) fn other_registry(&self, path: &str) -> Result<Option<OtherRegistry>, FolderError> {
        Ok(self.read_marker(path)?.flatten().and_then(|marker| self.compare(path, &marker)))
    }

    /// Why an entry is not where it was moved to.
    pub(super) fn why_gone(&self) -> Result<WhyLost, FolderError> {
        if self.editor.look(WritableFolder::Aside, Path::new("."))?.is_none() {
            return Ok(WhyLost::NoFolder { folder: escape(&self.history.aside) });
        }
        Ok(WhyLost::Gone)
    }

    /// The registry that a marker names, if it is another one.
    fn compare(&self, path: &str, marker: &Marker) -> Option<OtherRegistry> {
        let is_ours = marker.tree == self.history.tree;
        (!is_ours).then(|| OtherRegistry { marker: self.display_path(path), tree: escape(&marker.tree) })
    }

    /// Reads a marker: `None` when there is no file, `Some(None)` when the file is no marker.
    fn read_marker(&self, path: &str) -> Result<Option<Option<Marker>>, FolderError> {
        match self.editor.read(WritableFolder::Aside, Path::new(path), Marker::MAX_BYTES) {
            Ok(bytes) => Ok(Some(Marker::parse(&bytes))),
            Err(FolderError::NotFound | FolderError::NotAFolder) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn display_path(&self, path: &str) -> String {
        escape(&Path::new(&self.history.aside).join(path).to_string_lossy())
    }
}
