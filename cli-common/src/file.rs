//! Reads whole files up to a size limit, and replaces files: only regular files are replaced, and no reader sees half of one.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use registry_core::storage::folder_of;

/// Most bytes of a small file.
const SMALL_MAX: u64 = 4 << 20;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// The user who runs the program.
    Owner,
    /// All users: a metrics collector runs as another user.
    All,
}

/// Reads the text of a file of at most `most` bytes.
///
/// # Errors
/// When it cannot be read, is larger, or is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> anyhow::Result<String> {
    read_open_text(File::open(path)?, most)
}

/// Reads a small file: credentials or certificates.
///
/// # Errors
/// When it cannot be read, or is larger than 4 MiB.
pub fn read_small(path: &Path) -> anyhow::Result<Vec<u8>> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(SMALL_MAX + 1).read_to_end(&mut bytes)?;
        refuse_larger(bytes.len(), SMALL_MAX)?;
        Ok::<_, anyhow::Error>(bytes)
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

/// Reads the text of an open file of at most `most` bytes.
///
/// # Errors
/// As [`read_text`].
pub fn read_open_text(from: impl Read, most: u64) -> anyhow::Result<String> {
    let mut text = String::new();
    from.take(most + 1).read_to_string(&mut text)?;
    refuse_larger(text.len(), most)?;
    Ok(text)
}

fn refuse_larger(bytes: usize, most: u64) -> anyhow::Result<()> {
    if bytes as u64 <= most {
        return Ok(());
    }
    let (number, unit) = if most >= 1 << 30 { (most >> 30, "GiB") } else { (most >> 20, "MiB") };
    bail!("it is larger than {number} {unit}")
}

/// Refuses to overwrite a FIFO, a device or a folder.
///
/// # Errors
/// When the path is something other than a regular file.
pub fn refuse_non_file(path: &Path) -> anyhow::Result<()> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => bail!("there is something that is no regular file"),
        _ => Ok(()),
    }
}

/// Replaces a file at once: a reader sees the old or the new one, never half of one.
///
/// # Errors
/// When the new file cannot be written; the old one is unchanged.
pub fn replace(
    path: &Path,
    readers: Readers,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    refuse_non_file(path)?;
    let folder = folder_of(path);
    let created = tempfile::Builder::new().prefix(".registry-").tempfile_in(folder);
    // The error of `tempfile` names the temporary file, which means nothing to the user.
    let mut file =
        created.map_err(|error| anyhow!("no file can be made in {}: {}", folder.display(), error.kind()))?;
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

/// Checks that a file could be replaced now, without doing so.
///
/// # Errors
/// When it could not be replaced.
pub fn check_replaceable(path: &Path) -> anyhow::Result<()> {
    refuse_non_file(path)?;
    // Only the kind of the error is kept: the rest names the temporary file.
    tempfile::tempfile_in(folder_of(path)).map_err(|error| std::io::Error::from(error.kind()))?;
    Ok(())
}
