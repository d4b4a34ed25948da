//! Changes by file descriptor: the folder that holds an entry is opened without following a symbolic link, and the entry is
//! changed by its name in that folder. Whoever swaps a folder for a link meanwhile is refused, not followed.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::{Attributes, Editor, EntryView, Fill, Identity, IfOccupied, WritableFolder};
use crate::oci::{Algorithm, Digest, Hasher};
use crate::storage::folder::{EntryKind, FdFolder, Folder as _, FolderError, Result, Symlinks, timestamp};
use crate::storage::locate::above;

/// Bytes read at once when hashing.
const BUFFER: usize = 256 << 10;

/// Changes a tree on disk.
#[derive(Debug)]
pub(crate) struct FdEditor {
    tree: FdFolder,
    root: Beside,
    aside: Beside,
}

/// A folder beside the tree, or why it cannot be opened; `None` when it is not there.
type Beside = std::result::Result<FdFolder, Option<(io::ErrorKind, String)>>;

/// What becomes of a folder beside the tree that could not be opened: whatever asks for something in it gets that answer.
fn beside(path: &Path, opened: Result<FdFolder>) -> Beside {
    opened.map_err(|error| match error {
        FolderError::NotFound => None,
        FolderError::Io(error) => Some((error.kind(), format!("{}: {error}", path.display()))),
        other => Some((io::ErrorKind::Other, format!("{}: {other}", path.display()))),
    })
}

/// The rootdirectory of a registry's `docker/registry/v2`.
fn rootdirectory(v2: &Path, open: impl FnOnce(&Path) -> Result<FdFolder>) -> Beside {
    match above(v2) {
        Some(root) if root.as_os_str().is_empty() => beside(Path::new("."), open(Path::new("."))),
        Some(root) => beside(root, open(root)),
        None => Err(Some((io::ErrorKind::Other, format!("{} is in no rootdirectory", v2.display())))),
    }
}

impl FdEditor {
    /// Opens a registry's `docker/registry/v2`, its rootdirectory by that path, and the folder that things are moved aside to; the
    /// first and the last are there.
    ///
    /// # Errors
    /// Whatever the system answers.
    pub(crate) fn open(v2: &Path, aside: &Path) -> io::Result<Self> {
        Ok(Self {
            tree: FdFolder::open_root(v2, Symlinks::Refuse)?,
            root: rootdirectory(v2, |root| Ok(FdFolder::open_root(root, Symlinks::Refuse)?)),
            aside: Ok(FdFolder::open_root(aside, Symlinks::Refuse)?),
        })
    }

    /// Opens all three without following a symbolic link on the way to them. Where the folder that things are moved aside to
    /// cannot be opened, whatever asks for something in it gets that answer.
    ///
    /// # Errors
    /// When a path is not absolute, or the registry cannot be opened.
    pub(crate) fn open_plainly(v2: &Path, aside: &Path) -> Result<Self> {
        let root = FdFolder::open_root(Path::new("/"), Symlinks::Refuse)?;
        let open = |path: &Path| {
            let below = path.strip_prefix("/").map_err(|_| io::Error::other("it is no absolute path"))?;
            root.open(if below.as_os_str().is_empty() { Path::new(".") } else { below })
        };
        Ok(Self { tree: open(v2)?, root: rootdirectory(v2, open), aside: beside(aside, open(aside)) })
    }

    fn room(&self, room: WritableFolder) -> Result<&FdFolder> {
        let beside = match room {
            WritableFolder::Tree => return Ok(&self.tree),
            WritableFolder::Root => &self.root,
            WritableFolder::Aside => &self.aside,
        };
        match beside {
            Ok(folder) => Ok(folder),
            Err(None) => Err(FolderError::NotFound),
            Err(Some((kind, why))) => Err(io::Error::new(*kind, why.clone()).into()),
        }
    }

    /// The folder that holds an entry, and the entry's name there.
    fn parent<'p>(&self, room: WritableFolder, path: &'p Path) -> Result<(OwnedFd, &'p OsStr)> {
        let name = path.file_name().ok_or_else(|| FolderError::Io(io::ErrorKind::InvalidInput.into()))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Ok((self.room(room)?.open_plainly(parent.unwrap_or(Path::new(".")))?, name))
    }

    fn fill(
        fd: OwnedFd,
        (attributes, modified): (Option<Attributes>, Option<Timestamp>),
        fill: Fill<'_>,
    ) -> Result<()> {
        let mut file = std::fs::File::from(fd);
        let mut out = BufWriter::with_capacity(64 << 10, &mut file);
        fill(&mut out)?;
        out.flush()?;
        drop(out);
        if let Some(attributes) = attributes {
            own(&file, attributes)?;
        }
        if let Some(modified) = modified {
            let time = timespec(modified);
            rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time })?;
        }
        file.sync_all()?;
        Ok(())
    }
}

/// Gives an open file or folder its owner and permissions.
fn own(fd: impl std::os::fd::AsFd, attributes: Attributes) -> Result<()> {
    let stat = rustix::fs::fstat(&fd)?;
    if (stat.st_uid, stat.st_gid) != (attributes.user, attributes.group) {
        let (user, group) = (Uid::from_raw(attributes.user), Gid::from_raw(attributes.group));
        rustix::fs::fchown(&fd, Some(user), Some(group)).map_err(|errno| {
            refused(errno, "it cannot be given the owner of its neighbours; run as them or as root")
        })?;
    }
    // After the owner: a change of owner takes the set-group bit away.
    if stat.st_mode & 0o7777 != attributes.mode {
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(attributes.mode))?;
    }
    Ok(())
}

/// An error that says what was tried.
fn refused(errno: Errno, what: &str) -> FolderError {
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
fn look_of(stat: &rustix::fs::Stat) -> EntryView {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Folder,
        FileType::Symlink => EntryKind::Symlink,
        _ => EntryKind::Other,
    };
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    EntryView {
        kind,
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
    fn look(&self, room: WritableFolder, path: &Path) -> Result<Option<EntryView>> {
        let stat = if path == Path::new(".") {
            self.room(room)
                .and_then(|room| room.open_plainly(path))
                .and_then(|fd| Ok(rustix::fs::fstat(&fd)?))
        } else {
            self.parent(room, path)
                .and_then(|(parent, name)| Ok(rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?))
        };
        match stat {
            Ok(stat) => Ok(Some(look_of(&stat))),
            Err(FolderError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, room: WritableFolder, path: &Path, limit: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.room(room)?.read(path, limit, &mut bytes)?.kind {
            EntryKind::File => Ok(bytes),
            EntryKind::Symlink => Err(FolderError::Symlink),
            other => Err(io::Error::other(other.describe()).into()),
        }
    }

    fn names(&self, room: WritableFolder, path: &Path) -> Result<Vec<OsString>> {
        let mut names = Vec::new();
        self.room(room)?.open(path)?.list(&mut |name, _| names.push(name.to_owned()))?;
        Ok(names)
    }

    fn hash(&self, room: WritableFolder, path: &Path, algorithm: Algorithm) -> Result<Digest> {
        // Most files that are hashed here are small: room for all of one, and the end of it, is enough.
        let size = usize::try_from(self.room(room)?.stat(path)?.size).unwrap_or(BUFFER);
        let (mut hasher, mut buffer) = (Hasher::new(algorithm), vec![0; size.saturating_add(1).min(BUFFER)]);
        match self.room(room)?.stream(path, &mut buffer, &mut |bytes| hasher.update(bytes))?.kind {
            EntryKind::File => Ok(hasher.finish()),
            other => Err(io::Error::other(other.describe()).into()),
        }
    }

    fn make_folder(&self, room: WritableFolder, path: &Path, attributes: Option<Attributes>) -> Result<()> {
        let (parent, name) = self.parent(room, path)?;
        let mode = attributes.map_or(0o700, |attributes| attributes.mode);
        // What is moved aside may be secret: nobody else looks in before the folder has its owner.
        let mode = if room == WritableFolder::Aside { mode & 0o700 } else { mode };
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(mode)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                return match look_of(&stat).kind {
                    EntryKind::Folder => Ok(()),
                    EntryKind::Symlink => Err(FolderError::Symlink),
                    EntryKind::File | EntryKind::Other => Err(FolderError::NotAFolder),
                };
            }
            Err(errno) => return Err(errno.into()),
        }
        let Some(attributes) = attributes else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        own(rustix::fs::openat(&parent, name, flags, Mode::empty())?, attributes)
    }

    fn write(
        &self,
        room: WritableFolder,
        path: &Path,
        attributes: Option<Attributes>,
        modified: Option<Timestamp>,
        fill: Fill<'_>,
    ) -> Result<()> {
        let (parent, name) = self.parent(room, path)?;
        // Made anew, so that what stands there (a link planted, a second name of another file) is never written through.
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(attributes.map_or(0o600, |attributes| attributes.mode));
        let fd = rustix::fs::openat(&parent, name, flags, mode)?;
        let filled = Self::fill(fd, (attributes, modified), fill);
        if filled.is_err() {
            // Best effort: whoever comes next replaces it.
            let _ = rustix::fs::unlinkat(&parent, name, AtFlags::empty());
        }
        filled
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

    fn remove_file(&self, room: WritableFolder, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(room, path)?;
        Ok(rustix::fs::unlinkat(&parent, name, AtFlags::empty())?)
    }

    fn remove_folder(&self, room: WritableFolder, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(room, path)?;
        Ok(rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?)
    }

    fn sync(&self, room: WritableFolder, path: &Path) -> Result<()> {
        Ok(rustix::fs::fsync(self.room(room)?.open_plainly(path)?)?)
    }
}
