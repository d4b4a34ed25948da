//! Whether a quarantine can be made where it is to lie, as far as that can be told without writing.

use std::path::{Path, PathBuf};

use super::quarantine::Place;
use crate::storage::{DiskFolder, Folder as _};

/// Why this process cannot make a quarantine.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The folder that it would be made in takes nothing from this user.
    #[error("what goes cannot be moved to {path}, which is not writable, or on a read-only file system: name another folder on the same file system with --quarantine", path = .0.display())]
    Denied(PathBuf),
    /// Renaming does not cross file systems.
    #[error("what goes cannot be moved to {path}, which is on another file system than the registry: name a folder on the same one with --quarantine", path = .0.display())]
    OtherDevice(PathBuf),
}

/// Looks at the folder that a quarantine would be made in, or itself where it is there.
///
/// # Errors
/// When it cannot be made; what could not be told is none.
pub fn room(place: &Place, v2: &Path) -> Result<(), RoomError> {
    let whole = place.base.join(&place.below);
    let Some(folder) = whole.ancestors().find_map(|folder| folder.canonicalize().ok()) else { return Ok(()) };
    let may =
        DiskFolder::open_root(&folder, false).ok().and_then(|open| open.may_change(Path::new(".")).ok());
    if may.flatten() == Some(false) {
        return Err(RoomError::Denied(folder));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
        if let (Some(there), Some(here)) = (device(&folder), device(v2))
            && there != here
        {
            return Err(RoomError::OtherDevice(folder));
        }
    }
    Ok(())
}
