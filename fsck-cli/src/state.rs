//! Reads and writes the state file, which a probe leaves for the next one.

use std::path::Path;

use anyhow::Context as _;
use registry_cli::file::{self, Readers};
use registry_core::probe::ProbeState;

use crate::settings;

/// Reads the state of a registry. A file that is absent or empty means an empty state.
///
/// # Errors
/// When the file cannot be read, is no state, or is that of another registry.
pub fn read(path: &Path, source: &str) -> anyhow::Result<ProbeState> {
    let text = match file::read_text(path, settings::MAX_BYTES) {
        Ok(text) if text.trim().is_empty() => return Ok(ProbeState::new(source)),
        Err(error)
            if error
                .downcast_ref()
                .is_some_and(|error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound) =>
        {
            return Ok(ProbeState::new(source));
        }
        read => read.with_context(|| format!("cannot read the state {}", path.display()))?,
    };
    ProbeState::read(&text, source).with_context(|| {
        format!("cannot use the state {}; remove it to begin anew, or name another file", path.display())
    })
}

/// Replaces the state file at once: a reader sees the old or the new state.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, state: &ProbeState) -> anyhow::Result<()> {
    let write = file::replace(path, Readers::Owner, |out| {
        serde_json::to_writer(&mut *out, state)?;
        Ok(out.write_all(b"\n")?)
    });
    write.with_context(|| format!("cannot write the state {}", path.display()))
}
