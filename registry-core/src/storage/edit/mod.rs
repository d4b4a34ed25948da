//! [`Editor`]: the operations by which a [`TreeWriter`](crate::tree_writer::TreeWriter) changes a tree. Each is atomic, works
//! below an open folder, and follows no symbolic link. Callers decide what to change, and whether they may.
//!
//! Public only so that the tests of this library can put faults between a writer and the disk.

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
    /// User number.
    pub user: u32,
    /// Group number.
    pub group: u32,
}

impl Attributes {
    /// The attributes for a file in a folder that has these: the same owner, and only the read and write bits.
    #[must_use]
    pub const fn for_file(self) -> Self {
        Self { mode: self.mode & 0o666, ..self }
    }
}

/// Identifies one state of one file: it changes with every write, rename and change of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Last change of content or attributes (ctime): seconds and nanoseconds since 1970.
    pub changed: (i64, u32),
    /// Size in bytes.
    pub size: u64,
}

/// An entry of a folder, as the file system describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryView {
    /// What it is. A symbolic link is not followed.
    pub kind: EntryKind,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content.
    pub modified: Timestamp,
    /// Owner and permissions.
    pub attributes: Attributes,
    /// The file and its state.
    pub identity: Identity,
}

/// Writes the content of a new file.
pub type WriteContent<'f> = &'f mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

/// Changes a tree. Paths consist of plain names (no `..`) and are relative to a [`WritableFolder`].
pub trait Editor: Send + Sync {
    /// Looks at an entry; `None` only when it does not exist.
    ///
    /// # Errors
    /// When the entry cannot be looked at.
    fn look(&self, folder: WritableFolder, path: &Path) -> Result<Option<EntryView>>;

    /// Reads the first `limit` bytes of a regular file.
    ///
    /// # Errors
    /// When it is no regular file, or cannot be read.
    fn read(&self, folder: WritableFolder, path: &Path, limit: usize) -> Result<Vec<u8>>;

    /// Lists the names in a folder, in no particular order.
    ///
    /// # Errors
    /// When it cannot be listed.
    fn names(&self, folder: WritableFolder, path: &Path) -> Result<Vec<OsString>>;

    /// Hashes a regular file.
    ///
    /// # Errors
    /// When it is no regular file, or cannot be read.
    fn hash(&self, folder: WritableFolder, path: &Path, algorithm: Algorithm) -> Result<Digest>;

    /// Makes a folder, unless there is one. Without attributes only the user who runs this may use it.
    ///
    /// # Errors
    /// When it cannot be made, or something other than a folder has that path.
    fn make_folder(&self, folder: WritableFolder, path: &Path, attributes: Option<Attributes>) -> Result<()>;

    /// Writes a new file and syncs it (fsync). Replaces an existing file; a failed write leaves no file. Without attributes only
    /// the user who runs this may use it.
    ///
    /// # Errors
    /// When the whole file cannot be written with these attributes.
    fn write(
        &self,
        folder: WritableFolder,
        path: &Path,
        attributes: Option<Attributes>,
        modified: Option<Timestamp>,
        fill: WriteContent<'_>,
    ) -> Result<()>;

    /// Moves an entry in one step.
    ///
    /// # Errors
    /// When the entry cannot be moved; then nothing has changed.
    fn rename(
        &self,
        from: (WritableFolder, &Path),
        to: (WritableFolder, &Path),
        if_occupied: IfOccupied,
    ) -> Result<()>;

    /// Removes a file, or a symbolic link (not its target).
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove_file(&self, folder: WritableFolder, path: &Path) -> Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    /// When it cannot be removed, or is not empty.
    fn remove_folder(&self, folder: WritableFolder, path: &Path) -> Result<()>;

    /// Syncs the entries of a folder to disk (fsync).
    ///
    /// # Errors
    /// When the disk refuses.
    fn sync(&self, folder: WritableFolder, path: &Path) -> Result<()>;
}

/// Owner and permissions of the nearest existing folder above a path.
pub(crate) fn nearest_attributes(
    editor: &dyn Editor,
    folder: WritableFolder,
    path: &str,
) -> Result<Attributes> {
    for ancestor in Path::new(path).ancestors().skip(1) {
        let ancestor = if ancestor.as_os_str().is_empty() { Path::new(".") } else { ancestor };
        if let Some(view) = editor.look(folder, ancestor)? {
            return Ok(view.attributes);
        }
    }
    Err(FolderError::NotFound)
}
