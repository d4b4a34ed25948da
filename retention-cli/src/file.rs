//! Reads and writes plans, journals and other JSON files.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use registry_cli::file::{self, Readers};

/// Most bytes of a plan, an inventory, a journal or a file of push times.
const FILE_MAX: u64 = 1 << 30;

/// Reads the text of a file of at most [`FILE_MAX`] bytes.
///
/// # Errors
/// When it cannot be read, or is larger.
pub fn read_text(path: &Path) -> anyhow::Result<String> {
    let opened = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    file::read_open_text(opened, FILE_MAX)
}

/// Replaces a JSON file at once: no reader sees half of one.
///
/// # Errors
/// When it cannot be written.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> anyhow::Result<()> {
    file::replace(path, Readers::Owner, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        Ok(out.write_all(b"\n")?)
    })
}
