//! Plans, journals and other files of JSON, read and left.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use registry_cli::file::{self, Readers};

/// Most bytes of a plan, a journal or a file of push times.
pub const FILE_MAX: u64 = 1 << 30;

/// The text of a file that is not larger than so many bytes.
///
/// # Errors
/// When it cannot be read, or is larger.
pub fn text_of(path: &Path, most: u64) -> anyhow::Result<String> {
    let opened = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    file::text(opened, most)
}

/// Writes a file of JSON so that nobody finds half of one.
///
/// # Errors
/// When it cannot be written.
pub fn keep(path: &Path, value: &impl serde::Serialize) -> anyhow::Result<()> {
    file::replace(path, Readers::Owner, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        Ok(out.write_all(b"\n")?)
    })
}
