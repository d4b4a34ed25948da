//! The trait behind which a tree is read, so that another source (an object store, an archive) can take its place
//! without touching the scan or the audit. Two implementations: fd-relative on Linux, by path elsewhere.

#[cfg(target_os = "linux")]
mod fd;
mod portable;

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::Duration;

#[cfg(target_os = "linux")]
pub use fd::FdFolder;
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
    /// It is not there: the only answer that means "absent".
    #[error("not found")]
    NotFound,
    /// A file stands where a folder on the way to it belongs.
    #[error("a file in the place of a folder")]
    NotAFolder,
    /// A symbolic link on the way that is not followed.
    #[error("{}", EntryKind::Symlink.describe())]
    Symlink,
    /// It cannot be moved: its new place is on another file system.
    #[error("it lies on another file system")]
    OtherDevice,
    /// Anything else that the source answers.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What looking for an entry gives.
pub type Result<T> = std::result::Result<T, FolderError>;

/// A folder of a tree, open for reading. Paths are relative to it, consist of plain names, and never leave it.
pub trait Folder: Sized + Send + Sync {
    /// Opens a folder below this one.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn open(&self, path: &Path) -> Result<Self>;

    /// Calls `each` with the name and kind of every entry, in no particular order, `.` and `..` left out.
    ///
    /// # Errors
    /// Whatever the source answers. Entries before the error were reported, so the listing is incomplete.
    fn list(&mut self, each: &mut dyn FnMut(&OsStr, EntryKind)) -> Result<()>;

    /// Looks at an entry, `.` for the folder itself; a symbolic link itself, not its target.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn stat(&self, path: &Path) -> Result<Stat>;

    /// What an entry is and when its content last changed, as exactly as the source keeps it; a symbolic link itself. A
    /// time that cannot be told counts as the far future.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn time(&self, path: &Path) -> Result<(EntryKind, Timestamp)> {
        let stat = self.stat(path)?;
        Ok((stat.kind, timestamp(stat.modified.into(), 0)))
    }

    /// Lets time pass, so that somebody at work on what was just looked at gets on with it. Nothing passes where nobody else
    /// writes: that is what a source does by itself.
    fn wait(&self, pause: Duration) {
        let _ = pause;
    }

    /// Whether this process may add, move and remove entries of a folder, `.` for this one; `None` where only trying
    /// would tell.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn may_change(&self, path: &Path) -> Result<Option<bool>> {
        self.stat(path).map(|_| None)
    }

    /// Looks at a path of two names, of which a listing of this folder has just shown the first to be a folder.
    /// Cheaper than [`Folder::stat`]; whoever swaps that folder for a symbolic link in between shows a size and a time
    /// from elsewhere, never content.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn stat_inside(&self, path: &Path) -> Result<Stat> {
        self.stat(path)
    }

    /// Replaces `into` by the first `limit` bytes of a file. For what is no regular file only the `Stat` comes back.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn read(&self, path: &Path, limit: usize, into: &mut Vec<u8>) -> Result<Stat>;

    /// Reads the first bytes of a file into `room` with as few requests as can be, and without a look at what it is:
    /// what is no regular file gives an error, nothing, or anything. For files of which one content is expected.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn peek(&self, path: &Path, room: &mut [u8]) -> Result<usize> {
        let mut bytes = Vec::new();
        self.read(path, room.len(), &mut bytes)?;
        room[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    /// Calls `each` with the bytes of a file, piece by piece, using `buffer` as room for them.
    /// For what is no regular file only the `Stat` comes back.
    ///
    /// # Errors
    /// See [`FolderError`].
    fn stream(&self, path: &Path, buffer: &mut [u8], each: &mut dyn FnMut(&[u8])) -> Result<Stat>;
}

/// A time as a file system tells it, for which no calendar may have a name: that counts as the far future.
pub(in crate::storage) fn timestamp(seconds: i64, nanoseconds: u32) -> Timestamp {
    let nanoseconds = i32::try_from(nanoseconds).unwrap_or(0);
    Timestamp::new(seconds, nanoseconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_one() {
        let text = |seconds, nanoseconds| timestamp(seconds, nanoseconds).to_string();
        assert_eq!(text(0, 5), "1970-01-01T00:00:00.000000005Z");
        assert_eq!(text(-1, 500_000_000), "1969-12-31T23:59:59.5Z");
        for seconds in [i64::MIN, i64::MAX, 1 << 40, -(1 << 60)] {
            assert_eq!(timestamp(seconds, 999_999_999), Timestamp::MAX);
        }
        assert_eq!(timestamp(0, u32::MAX), Timestamp::UNIX_EPOCH);
    }
}
