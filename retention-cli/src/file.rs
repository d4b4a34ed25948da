//! Files that a run reads whole, up to a size, and those that it leaves, of which nobody finds half.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};

/// Most bytes of a plan, a journal or a file of push times.
pub const FILE_MAX: u64 = 1 << 30;

/// The text of a file that is not larger than so many bytes.
///
/// # Errors
/// When it cannot be read, or is larger.
pub fn text_of(path: &Path, most: u64) -> anyhow::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let open = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    if open.take(most + 1).read_to_string(&mut text)? as u64 > most {
        bail!("it is larger than {} MiB", most >> 20);
    }
    Ok(text)
}

/// Writes a file of JSON so that nobody finds half of one.
///
/// # Errors
/// When it cannot be written.
pub fn keep(path: &Path, value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    replace(path, &text, false)
}

/// Writes a file so that a reader sees the old one or the new one; only its owner may read it unless it is public.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, bytes: &[u8], is_public: bool) -> anyhow::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix(".registry-retention-").tempfile_in(folder);
    // The error of that crate names its own file, which helps nobody.
    let mut file =
        made.map_err(|error| anyhow!("no file can be made in {}: {}", folder.display(), error.kind()))?;
    file.write_all(bytes)?;
    #[cfg(unix)]
    if is_public {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
