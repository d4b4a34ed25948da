//! [`Editor`] by file descriptor (Linux): opens the folder that holds an entry without following a symbolic link, and changes
//! the entry by its name in that folder. A folder that is swapped for a link meanwhile is an error.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::{Attributes, Editor, EntryView, Identity, IfOccupied, WritableFolder, WriteContent};
use crate::oci::{Algorithm, Digest, Hasher};
use crate::storage::folder::{
    EntryKind, FdFolder, Folder as _, FolderError, Result, Symlinks, entry_kind, timestamp,
};
use crate::storage::folder_of;
use crate::storage::locate::rootdirectory_of;

/// Bytes that hashing reads at once.
const BUFFER: usize = 256 << 10;

/// Changes a tree on disk.
#[derive(Debug)]
pub(crate) struct FdEditor {
    tree: FdFolder,
    root: FolderBeside,
    aside: FolderBeside,
}

/// A folder beside the tree, or the error of opening it, which every use of the folder returns; `None`: it does not exist.
type FolderBeside = std::result::Result<FdFolder, Option<(io::ErrorKind, String)>>;

fn keep_open_error(path: &Path, opened: Result<FdFolder>) -> FolderBeside {
    opened.map_err(|error| match error {
        FolderError::NotFound => None,
        FolderError::Io(error) => Some((error.kind(), format!("{}: {error}", path.display()))),
        other => Some((io::ErrorKind::Other, format!("{}: {other}", path.display()))),
    })
}

/// Opens the rootdirectory of a registry's `docker/registry/v2`.
fn open_rootdirectory(v2: &Path, open: impl FnOnce(&Path) -> Result<FdFolder>) -> FolderBeside {
    match rootdirectory_of(v2) {
        Some(root) if root.as_os_str().is_empty() => keep_open_error(Path::new("."), open(Path::new("."))),
        Some(root) => keep_open_error(root, open(root)),
        None => Err(Some((io::ErrorKind::Other, format!("{} is in no rootdirectory", v2.display())))),
    }
}

impl FdEditor {
    /// Opens a registry's `docker/registry/v2`, its rootdirectory, and the folder that things are moved aside to. Only the
    /// rootdirectory may be missing.
    ///
    /// # Errors
    /// Whatever the system answers.
    pub(crate) fn open(v2: &Path, aside: &Path) -> io::Result<Self> {
        Ok(Self {
            tree: FdFolder::open_root(v2, Symlinks::Refuse)?,
            root: open_rootdirectory(v2, |root| Ok(FdFolder::open_root(root, Symlinks::Refuse)?)),
            aside: Ok(FdFolder::open_root(aside, Symlinks::Refuse)?),
        })
    }

    /// Opens the same three folders without following a symbolic link on the way. If `aside` cannot be opened, every use of
    /// [`WritableFolder::Aside`] returns that error.
    ///
    /// # Errors
    /// When a path is not absolute, or the registry cannot be opened.
    pub(crate) fn open_plainly(v2: &Path, aside: &Path) -> Result<Self> {
        let root = FdFolder::open_root(Path::new("/"), Symlinks::Refuse)?;
        let open = |path: &Path| {
            let below = path.strip_prefix("/").map_err(|_| io::Error::other("it is no absolute path"))?;
            root.open(if below.as_os_str().is_empty() { Path::new(".") } else { below })
        };
        let aside = keep_open_error(aside, open(aside));
        Ok(Self { tree: open(v2)?, root: open_rootdirectory(v2, open), aside })
    }

    fn folder(&self, folder: WritableFolder) -> Result<&FdFolder> {
        let opened = match folder {
            WritableFolder::Tree => return Ok(&self.tree),
            WritableFolder::Root => &self.root,
            WritableFolder::Aside => &self.aside,
        };
        match opened {
            Ok(folder) => Ok(folder),
            Err(None) => Err(FolderError::NotFound),
            Err(Some((kind, why))) => Err(io::Error::new(*kind, why.clone()).into()),
        }
    }

    /// The folder that holds an entry, and the entry's name there.
    fn parent<'p>(&self, folder: WritableFolder, path: &'p Path) -> Result<(OwnedFd, &'p OsStr)> {
        let name = path.file_name().ok_or_else(|| FolderError::Io(io::ErrorKind::InvalidInput.into()))?;
        Ok((self.folder(folder)?.open_plainly(folder_of(path))?, name))
    }

    /// Writes a new file's content, attributes and time, and syncs it.
    fn write_new(
        fd: OwnedFd,
        (attributes, modified): (Option<Attributes>, Option<Timestamp>),
        fill: WriteContent<'_>,
    ) -> Result<()> {
        let mut file = std::fs::File::from(fd);
        let mut out = BufWriter::with_capacity(64 << 10, &mut file);
        fill(&mut out)?;
        out.flush()?;
        drop(out);
        if let Some(attributes) = attributes {
            set_attributes(&file, attributes)?;
        }
        if let Some(modified) = modified {
            let time = timespec(modified);
            rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time })?;
        }
        file.sync_all()?;
        Ok(())
    }
}

fn set_attributes(fd: impl std::os::fd::AsFd, attributes: Attributes) -> Result<()> {
    let stat = rustix::fs::fstat(&fd)?;
    if (stat.st_uid, stat.st_gid) != (attributes.user, attributes.group) {
        let (user, group) = (Uid::from_raw(attributes.user), Gid::from_raw(attributes.group));
        rustix::fs::fchown(&fd, Some(user), Some(group)).map_err(|errno| {
            error_in_context(errno, "it cannot be given the owner of its neighbours; run as them or as root")
        })?;
    }
    // Permissions come after the owner: a change of owner clears the set-group bit.
    if stat.st_mode & 0o7777 != attributes.mode {
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(attributes.mode))?;
    }
    Ok(())
}

/// The system's error with `what` in front.
fn error_in_context(errno: Errno, what: &str) -> FolderError {
    let error = io::Error::from(errno);
    FolderError::Io(io::Error::new(error.kind(), format!("{what} ({error})")))
}

fn timespec(at: Timestamp) -> Timespec {
    let (mut seconds, mut nanos) = (at.as_second(), at.subsec_nanosecond());
    if nanos < 0 {
        (seconds, nanos) = (seconds - 1, nanos + 1_000_000_000);
    }
    Timespec { tv_sec: seconds, tv_nsec: nanos as _ }
}

#[expect(clippy::cast_possible_truncation, reason = "the kernel gives 0 to 999,999,999")]
fn entry_view(stat: &rustix::fs::Stat) -> EntryView {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    EntryView {
        kind: entry_kind(FileType::from_raw_mode(stat.st_mode)),
        size,
        modified: timestamp(stat.st_mtime, stat.st_mtime_nsec as u32),
        attributes: Attributes { mode: stat.st_mode & 0o7777, user: stat.st_uid, group: stat.st_gid },
        identity: Identity {
            device: stat.st_dev,
            inode: stat.st_ino,
            changed: (stat.st_ctime, stat.st_ctime_nsec as u32),
            size,
        },
    }
}

impl Editor for FdEditor {
    fn look(&self, folder: WritableFolder, path: &Path) -> Result<Option<EntryView>> {
        let stat = if path == Path::new(".") {
            self.folder(folder)
                .and_then(|folder| folder.open_plainly(path))
                .and_then(|fd| Ok(rustix::fs::fstat(&fd)?))
        } else {
            self.parent(folder, path)
                .and_then(|(parent, name)| Ok(rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?))
        };
        match stat {
            Ok(stat) => Ok(Some(entry_view(&stat))),
            Err(FolderError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, folder: WritableFolder, path: &Path, limit: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.folder(folder)?.read(path, limit, &mut bytes)?.kind {
            EntryKind::File => Ok(bytes),
            EntryKind::Symlink => Err(FolderError::Symlink),
            other => Err(io::Error::other(other.describe()).into()),
        }
    }

    fn names(&self, folder: WritableFolder, path: &Path) -> Result<Vec<OsString>> {
        let mut names = Vec::new();
        self.folder(folder)?.open(path)?.list(&mut |name, _| names.push(name.to_owned()))?;
        Ok(names)
    }

    fn hash(&self, folder: WritableFolder, path: &Path, algorithm: Algorithm) -> Result<Digest> {
        // Most files hashed here are small. One byte more than the size, so that one read reaches the end of the file.
        let size = usize::try_from(self.folder(folder)?.stat(path)?.size).unwrap_or(BUFFER);
        let (mut hasher, mut buffer) = (Hasher::new(algorithm), vec![0; size.saturating_add(1).min(BUFFER)]);
        match self.folder(folder)?.stream(path, &mut buffer, &mut |bytes| hasher.update(bytes))?.kind {
            EntryKind::File => Ok(hasher.finish()),
            other => Err(io::Error::other(other.describe()).into()),
        }
    }

    fn make_folder(&self, folder: WritableFolder, path: &Path, attributes: Option<Attributes>) -> Result<()> {
        let (parent, name) = self.parent(folder, path)?;
        let mode = attributes.map_or(0o700, |attributes| attributes.mode);
        // What is moved aside may be secret: nobody else may look into the folder before it has its owner.
        let mode = if folder == WritableFolder::Aside { mode & 0o700 } else { mode };
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(mode)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                return match entry_kind(FileType::from_raw_mode(stat.st_mode)) {
                    EntryKind::Folder => Ok(()),
                    EntryKind::Symlink => Err(FolderError::Symlink),
                    EntryKind::File | EntryKind::Other => Err(FolderError::NotAFolder),
                };
            }
            Err(errno) => return Err(errno.into()),
        }
        let Some(attributes) = attributes else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        set_attributes(rustix::fs::openat(&parent, name, flags, Mode::empty())?, attributes)
    }

    fn write(
        &self,
        folder: WritableFolder,
        path: &Path,
        attributes: Option<Attributes>,
        modified: Option<Timestamp>,
        fill: WriteContent<'_>,
    ) -> Result<()> {
        let (parent, name) = self.parent(folder, path)?;
        // Remove what is there first: it may be a planted link or a hard link, and writing would go through it.
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(attributes.map_or(0o600, |attributes| attributes.mode));
        let fd = rustix::fs::openat(&parent, name, flags, mode)?;
        let written = Self::write_new(fd, (attributes, modified), fill);
        if written.is_err() {
            // Best effort: the next attempt replaces the file.
            let _ = rustix::fs::unlinkat(&parent, name, AtFlags::empty());
        }
        written
    }

    fn rename(
        &self,
        from: (WritableFolder, &Path),
        to: (WritableFolder, &Path),
        if_occupied: IfOccupied,
    ) -> Result<()> {
        let (source, name) = self.parent(from.0, from.1)?;
        let (target, new_name) = self.parent(to.0, to.1)?;
        if if_occupied == IfOccupied::Replace {
            return Ok(rustix::fs::renameat(&source, name, &target, new_name)?);
        }
        match rustix::fs::renameat_with(&source, name, &target, new_name, RenameFlags::NOREPLACE) {
            // A file system or kernel without that flag: look, then rename.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                match rustix::fs::statat(&target, new_name, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => Ok(rustix::fs::renameat(&source, name, &target, new_name)?),
                    Ok(_) => Err(Errno::EXIST.into()),
                    Err(errno) => Err(errno.into()),
                }
            }
            Err(Errno::XDEV) => Err(FolderError::OtherDevice),
            other => Ok(other?),
        }
    }

    fn remove_file(&self, folder: WritableFolder, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(folder, path)?;
        Ok(rustix::fs::unlinkat(&parent, name, AtFlags::empty())?)
    }

    fn remove_folder(&self, folder: WritableFolder, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(folder, path)?;
        Ok(rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?)
    }

    fn sync(&self, folder: WritableFolder, path: &Path) -> Result<()> {
        Ok(rustix::fs::fsync(self.folder(folder)?.open_plainly(path)?)?)
    }
}
