//! How it went with one change: which folders have other entries now, or why it was not made.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::step::StepOutcome;
use crate::storage::FolderError;
use crate::storage::edit::WritableFolder;

/// Folders whose entries were changed.
pub(super) type Folders = BTreeSet<(WritableFolder, PathBuf)>;

/// How it went with one change.
#[derive(Debug)]
pub(super) struct ChangeResult {
    pub(super) outcome: StepOutcome,
    pub(super) folders: Folders,
    /// Whether there is no use in going on.
    pub(super) is_hopeless: bool,
}

impl Default for ChangeResult {
    fn default() -> Self {
        Self { outcome: StepOutcome::Planned, folders: Folders::new(), is_hopeless: false }
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

/// The folder in which an entry stands.
pub(super) fn parent(path: &str) -> PathBuf {
    Path::new(path)
        .parent()
        .filter(|path| !path.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
        .to_path_buf()
}

/// Whether the disk as a whole refuses: no space, read-only, failing.
pub(super) fn is_hopeless(error: &FolderError) -> bool {
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
