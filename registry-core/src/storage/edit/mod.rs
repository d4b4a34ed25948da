//! The trait through which a [`TreeWriter`](crate::tree_writer::TreeWriter) changes a tree: few operations, each atomic, each
//! below an open folder, none that follows a symbolic link. What is changed, and whether it may be, is decided elsewhere.
//!
//! Public only so that the tests of this library can put faults between a writer and the disk: nothing outside of it makes an
//! editor.

#[cfg(target_os = "linux")]
mod fd;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

#[cfg(target_os = "linux")]
pub(crate) use fd::FdEditor;

use jiff::Timestamp;

use super::folder::{EntryKind, FolderError, Result};
use crate::oci::{Algorithm, Digest};

/// Which folder a path is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WritableFolder {
    /// The registry's `docker/registry/v2`.
    Tree,
    /// The rootdirectory that holds it, for the state of a cache's scheduler and nothing else.
    Root,
    /// The folder that things are moved aside to.
    Aside,
}

/// What a rename does where something has the new place already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfOccupied {
    /// It fails.
    Fail,
    /// It takes the place of a file.
    Replace,
}

/// Owner and permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// User.
    pub user: u32,
    /// Group.
    pub group: u32,
}

impl Attributes {
    /// Those of a file in a folder that has these: no bit that lets a file be run, no other than permissions.
    #[must_use]
    pub const fn of_file(self) -> Self {
        Self { mode: self.mode & 0o666, ..self }
    }
}

/// What tells one state of a file from another: changes with every write, rename and change of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Last change of anything about it: seconds and nanoseconds since 1970.
    pub changed: (i64, u32),
    /// Size in bytes.
    pub size: u64,
}

/// What a look at an entry shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryView {
    /// What it is; a symbolic link itself, never its target.
    pub kind: EntryKind,
    /// Size in bytes.
    pub size: u64,
    /// Last change of its content.
    pub modified: Timestamp,
    /// Owner and permissions.
    pub attributes: Attributes,
    /// Which state of which file this is.
    pub identity: Identity,
}

/// Fills a file that is being written.
pub type Fill<'f> = &'f mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

/// What a writer may do. Paths consist of plain names and never leave their room.
pub trait Editor: Send + Sync {
    /// Looks at an entry; `None` only when it is not there.
    ///
    /// # Errors
    /// When that cannot be told.
    fn look(&self, room: WritableFolder, path: &Path) -> Result<Option<EntryView>>;

    /// The first `limit` bytes of a regular file.
    ///
    /// # Errors
    /// When it is no regular file, or cannot be read.
    fn read(&self, room: WritableFolder, path: &Path, limit: usize) -> Result<Vec<u8>>;

    /// The names in a folder, in no particular order.
    ///
    /// # Errors
    /// When it cannot be listed.
    fn names(&self, room: WritableFolder, path: &Path) -> Result<Vec<OsString>>;

    /// What the bytes of a regular file hash to.
    ///
    /// # Errors
    /// When it is no regular file, or cannot be read.
    fn hash(&self, room: WritableFolder, path: &Path, algorithm: Algorithm) -> Result<Digest>;

    /// Makes a folder; one that is there already is left as it is. Without attributes it is for whoever runs this alone.
    ///
    /// # Errors
    /// When it cannot be made, or something else stands there.
    fn make_folder(&self, room: WritableFolder, path: &Path, attributes: Option<Attributes>) -> Result<()>;

    /// Writes a new file and makes it last (fsync). What is left of an earlier attempt is replaced; nothing is left of one
    /// that fails. Without attributes it is for whoever runs this alone.
    ///
    /// # Errors
    /// When it cannot be written whole, with these attributes.
    fn write(
        &self,
        room: WritableFolder,
        path: &Path,
        attributes: Option<Attributes>,
        modified: Option<Timestamp>,
        fill: Fill<'_>,
    ) -> Result<()>;

    /// Gives an entry another place in one step.
    ///
    /// # Errors
    /// When it cannot be done; then nothing has changed.
    fn rename(
        &self,
        from: (WritableFolder, &Path),
        to: (WritableFolder, &Path),
        if_occupied: IfOccupied,
    ) -> Result<()>;

    /// Removes a file, or a symbolic link itself.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove_file(&self, room: WritableFolder, path: &Path) -> Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    /// When it cannot be removed, also because it is not empty.
    fn remove_folder(&self, room: WritableFolder, path: &Path) -> Result<()>;

    /// Makes the entries of a folder last (fsync).
    ///
    /// # Errors
    /// When the disk refuses.
    fn sync(&self, room: WritableFolder, path: &Path) -> Result<()>;
}

/// Owner and mode of the nearest folder around a path.
pub(crate) fn neighbours(editor: &dyn Editor, room: WritableFolder, path: &str) -> Result<Attributes> {
    for folder in Path::new(path).ancestors().skip(1) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if let Some(look) = editor.look(room, folder)? {
            return Ok(look.attributes);
        }
    }
    Err(FolderError::NotFound)
}
