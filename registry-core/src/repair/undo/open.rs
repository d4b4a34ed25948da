//! Opening what a journal is of. It may be anybody's, so no symbolic link is followed on the way.
#![cfg(target_os = "linux")]

use std::path::Path;

use crate::repair::journal::Told;
use crate::storage::FolderError;
use crate::storage::edit::FdEditor;
use crate::text::escape;

/// Why the registry of a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the registry of this journal, {tree}: {error}", tree = escape(.0), error = .1)]
pub struct OpenError(String, #[source] FolderError);

/// Opens the registry that a journal is of, and the folder that its quarantine lies in. Where that folder cannot be opened,
/// links can still be taken back, and moves are told as lost.
///
/// # Errors
/// When the registry cannot be opened.
pub fn open(told: &Told) -> Result<FdEditor, OpenError> {
    FdEditor::open_plainly(Path::new(&told.tree), Path::new(&told.aside))
        .map_err(|error| OpenError(told.tree.clone(), error))
}
