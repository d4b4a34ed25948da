//! [`Folder`]: the trait through which a tree is read, so that another source (an object store, an archive) can replace the
//! disk without a change to the scan or the audit. Two implementations: fd-relative on Linux, by path elsewhere.

#[cfg(target_os = "linux")]
mod fd;
mod portable;

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::Duration;

#[cfg(target_os = "linux")]
pub use fd::FdFolder;
#[cfg(target_os = "linux")]
pub(in crate::storage) use fd::entry_kind;
pub use portable::PathFolder;

use jiff::Timestamp;

use crate::graph::Seconds;

/// What becomes of symbolic links to folders below a root. Those in the place of link and data files are never followed, and those
/// on the way to the root itself always are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Symlinks {
    /// They are reported, and not followed.
    #[default]
    Refuse,
    /// They are followed.
    Follow,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, whatever it points to.
    Symlink,
    /// A FIFO, a socket, a device.
    Other,
}

impl EntryKind {
    /// The kind as a lower-case fragment with its article.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Symlink => "a symbolic link (not followed)",
            Self::Other => "a FIFO, socket or device",
        }
    }
}

/// What the file system says about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: EntryKind,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content.
    pub modified: Seconds,
    /// How many folders a folder holds, where the file system counts them; `None` where it does not.
    pub subfolders: Option<u64>,
}

/// Why an entry could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It does not exist. No other error means "absent".
    #[error("not found")]
    NotFound,
    /// A file is in the place of a folder on the way.
    #[error("a file in the place of a folder")]
    NotAFolder,
    /// A symbolic link is on the way, and is not followed.
    #[error("{}", EntryKind::Symlink.describe())]
    Symlink,
    /// It cannot be moved to another file system.
    #[error("it lies on another file system")]
    OtherDevice,
    /// Any other error of the source.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The result of an operation on a folder.
pub type Result<T> = std::result::Result<T, FolderError>;

/// A folder of a tree, open for reading. Paths are relative to it and consist of plain names (no `..`).
pub trait Folder: Sized + Send + Sync {
    /// Opens a folder below this one.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn open(&self, path: &Path) -> Result<Self>;

    /// Calls `each` with the name and kind of every entry except `.` and `..`, in no particular order.
    ///
    /// # Errors
    /// Whatever the source answers. `each` was called for the entries before the error.
    fn list(&mut self, each: &mut dyn FnMut(&OsStr, EntryKind)) -> Result<()>;

    /// Looks at an entry, or at this folder (`.`). A symbolic link is not followed.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn stat(&self, path: &Path) -> Result<Stat>;

    /// The kind of an entry and the last change of its content, as exactly as the source keeps it. A symbolic link is not
    /// followed. A time that cannot be represented counts as the far future.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn time(&self, path: &Path) -> Result<(EntryKind, Timestamp)> {
        let stat = self.stat(path)?;
        Ok((stat.kind, timestamp(stat.modified.into(), 0)))
    }

    /// Waits, so that another process can finish writing what was just looked at. A source that nobody else writes to need not
    /// wait: by default this returns at once.
    fn wait(&self, pause: Duration) {
        let _ = pause;
    }

    /// Whether this process may add, move and remove entries of a folder (`.` is this one); `None` where only an attempt
    /// would show it.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn may_change(&self, path: &Path) -> Result<Option<bool>> {
        self.stat(path).map(|_| None)
    }

    /// Looks at a path of two names; a listing of this folder has just shown the first to be a folder. Cheaper than
    /// [`Folder::stat`]: if that folder is swapped for a symbolic link in between, size and time come from the link's target.
    /// No content is ever read through it.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn stat_inside(&self, path: &Path) -> Result<Stat> {
        self.stat(path)
    }

    /// Replaces `into` by the first `limit` bytes of a regular file. For other entries only the `Stat` is returned.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn read(&self, path: &Path, limit: usize, into: &mut Vec<u8>) -> Result<Stat>;

    /// Reads the first bytes of a file into `room` with as few requests as possible, without a check of its kind: an entry
    /// other than a regular file gives an error, no bytes, or any bytes. For files whose content the caller compares.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn peek(&self, path: &Path, room: &mut [u8]) -> Result<usize> {
        let mut bytes = Vec::new();
        self.read(path, room.len(), &mut bytes)?;
        room[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    /// Reads a regular file through `buffer` and calls `each` with every piece. For other entries only the `Stat` is returned.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn stream(&self, path: &Path, buffer: &mut [u8], each: &mut dyn FnMut(&[u8])) -> Result<Stat>;
}

/// A time of a file system; one that no calendar can represent counts as the far future.
pub(in crate::storage) fn timestamp(seconds: i64, nanoseconds: u32) -> Timestamp {
    let nanoseconds = i32::try_from(nanoseconds).unwrap_or(0);
    Timestamp::new(seconds, nanoseconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_out_of_range_is_the_far_future() {
        let text = |seconds, nanoseconds| timestamp(seconds, nanoseconds).to_string();
        assert_eq!(text(0, 5), "1970-01-01T00:00:00.000000005Z");
        assert_eq!(text(-1, 500_000_000), "1969-12-31T23:59:59.5Z");
        for seconds in [i64::MIN, i64::MAX, 1 << 40, -(1 << 60)] {
            assert_eq!(timestamp(seconds, 999_999_999), Timestamp::MAX);
        }
        assert_eq!(timestamp(0, u32::MAX), Timestamp::UNIX_EPOCH);
    }
}
