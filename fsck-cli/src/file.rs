//! Files that a run leaves: nothing but a regular file is written over, and a reader never finds half of one. What they
//! hold is their writers' matter.

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::bail;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Whoever runs the program.
    Owner,
    /// Everybody: a collector of metrics runs as another user.
    All,
}

/// The folder that a file is made in.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses to write in the place of a FIFO, a device or a folder.
///
/// # Errors
/// When something other than a regular file stands there.
pub fn refuse_non_file(path: &Path) -> anyhow::Result<()> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => bail!("there is something that is no regular file"),
        _ => Ok(()),
    }
}

/// Writes a file so that a reader finds the old one or the new one, never half of one.
///
/// # Errors
/// When it cannot be written; the old one is there as it was.
pub fn replace(
    path: &Path,
    readers: Readers,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    refuse_non_file(path)?;
    let mut file = tempfile::Builder::new().prefix(".registry-fsck-").tempfile_in(folder(path))?;
    let mut out = BufWriter::new(&mut file);
    fill(&mut out)?;
    out.flush()?;
    drop(out);
    #[cfg(unix)]
    if readers == Readers::All {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
