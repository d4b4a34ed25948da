//! The result of making one change: its outcome, and the folders whose entries changed.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::step::StepOutcome;
use crate::storage::edit::WritableFolder;
use crate::storage::{FolderError, folder_of};

/// TouchedFolders whose entries were changed.
pub(super) type TouchedFolders = BTreeSet<(WritableFolder, PathBuf)>;

/// The result of making one change.
#[derive(Debug)]
pub(super) struct ChangeResult {
    pub(super) outcome: StepOutcome,
    pub(super) touched: TouchedFolders,
    /// Whether the run ends here: the disk refuses every write.
    pub(super) is_fatal: bool,
}

impl Default for ChangeResult {
    fn default() -> Self {
        Self { outcome: StepOutcome::Planned, touched: TouchedFolders::new(), is_fatal: false }
    }
}

/// Why a change was not made.
pub(super) enum NotMade {
    Outcome(StepOutcome),
    Folder(FolderError),
}

impl From<StepOutcome> for NotMade {
    fn from(outcome: StepOutcome) -> Self {
        Self::Outcome(outcome)
    }
}

impl From<FolderError> for NotMade {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
    }
}

/// Notes that the folder around `path` has other entries now.
pub(super) fn touch_folder_of(touched: &mut TouchedFolders, room: WritableFolder, path: &str) {
    touched.insert((room, folder_of(Path::new(path)).to_owned()));
}

/// Whether the disk refuses every write: it is full, read-only or failing.
pub(super) fn is_fatal(error: &FolderError) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    const EIO: i32 = 5;
    match error {
        FolderError::Io(error) => {
            matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
                || error.raw_os_error() == Some(EIO)
        }
        _ => false,
    }
}
