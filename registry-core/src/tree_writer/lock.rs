//! A lock on the registry's folder, so that one writer at a time changes a tree. The system releases it when its holder exits.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A lock, released when dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held open")] File);

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds it.
    #[error("another repair, undo or layout retention is at work on {path}: wait for it", path = .0.display())]
    Held(PathBuf),
    /// The file system has no locks, like some network file systems.
    #[error(
        "the file system of {path} keeps no locks ({error}): make sure that nothing else repairs this registry, and say so",
        path = .0.display(), error = .1
    )]
    Unsupported(PathBuf, #[source] io::Error),
    /// The folder cannot be opened.
    #[error("cannot open {path}: {error}", path = .0.display(), error = .1)]
    Io(PathBuf, #[source] io::Error),
}

impl Lock {
    /// Takes the lock of a registry's `docker/registry/v2`.
    ///
    /// # Errors
    /// When the lock cannot be taken now; this never waits for it.
    pub(super) fn take(v2: &Path) -> Result<Self, LockError> {
        let io = |error: io::Error| LockError::Io(v2.into(), error);
        // A journal may name a FIFO, and opening that would wait for a writer.
        if !v2.metadata().map_err(io)?.is_dir() {
            return Err(io(io::ErrorKind::NotADirectory.into()));
        }
        let file = File::open(v2).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(std::fs::TryLockError::WouldBlock) => Err(LockError::Held(v2.into())),
            Err(std::fs::TryLockError::Error(error)) => Err(LockError::Unsupported(v2.into(), error)),
        }
    }
}
