//! Folders by file descriptor (Linux): the kernel resolves every path below an open folder, so that a folder swapped for a
//! symbolic link is an error, and is not followed. `openat2` (Linux 5.6) does this in one call; without it each component is
//! opened on its own.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::{EntryKind, Folder, FolderError, Result, Stat, Symlinks, timestamp};
use crate::graph::saturating_seconds;

/// Buffer of one listing call, in bytes; large folders take several calls.
const LIST_BUFFER: usize = 32 << 10;
/// Most symbolic links to folders that one walk follows, as planted links may multiply the paths of a tree.
const MAX_FOLLOWED: u32 = 10_000;
/// Deepest nesting of folders where links are followed: a guard against loops of links.
const MAX_DEPTH: usize = 512;

/// A folder held open by a file descriptor.
#[derive(Debug)]
pub struct FdFolder {
    fd: OwnedFd,
    walk: Arc<FdWalk>,
    /// Device and inode of this folder and of every folder above it, up to the root. Empty unless links are followed.
    ancestors: Vec<(u64, u64)>,
    was_listed: bool,
}

/// State shared by all folders opened from one root.
#[derive(Debug)]
struct FdWalk {
    has_openat2: bool,
    follow: bool,
    followed_links: AtomicU32,
}

impl FdFolder {
    /// Opens the folder at a path, which itself may be or contain symbolic links. `follow` also follows those to
    /// folders below it; never those in the place of files.
    ///
    /// # Errors
    /// Whatever the system answers.
    pub fn open_root(path: &Path, symlinks: Symlinks) -> io::Result<Self> {
        let follow = symlinks == Symlinks::Follow;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        let probe = rustix::fs::openat2(&fd, ".", flags, Mode::empty(), ResolveFlags::BENEATH);
        let walk = FdWalk { has_openat2: probe.is_ok(), follow, followed_links: AtomicU32::new(0) };
        let mut folder = Self { fd, walk: Arc::new(walk), ancestors: Vec::new(), was_listed: false };
        if follow {
            folder.ancestors.push(device_and_inode(&folder.fd)?);
        }
        Ok(folder)
    }

    /// Opens below this folder without following a symbolic link anywhere on the way.
    fn open_strictly(&self, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        if path
            .as_os_str()
            .as_bytes()
            .split(|byte| *byte == b'/')
            .any(|name| name.is_empty() || name == b"..")
        {
            return Err(invalid_path());
        }
        if self.walk.has_openat2 {
            // A path without links, `..` and a leading slash cannot leave the folder, so RESOLVE_BENEATH is not needed. It
            // takes a lock that all processors share.
            return Ok(rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?);
        }
        let mut parent: Option<OwnedFd> = None;
        let mut components = path.components().peekable();
        while let Some(component) = components.next() {
            let name = component.as_os_str();
            let last = components.peek().is_none();
            let flags = if last { flags } else { OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC };
            let at = parent.as_ref().unwrap_or(&self.fd);
            let opened = rustix::fs::openat(at, name, flags | OFlags::NOFOLLOW, Mode::empty());
            let opened = match opened {
                // O_NOFOLLOW with O_DIRECTORY answers ENOTDIR to a symbolic link, as it does to a file: tell them apart.
                Err(Errno::NOTDIR) if is_symlink(at, name) => Err(Errno::LOOP),
                other => other,
            }?;
            parent = Some(opened);
        }
        parent.ok_or_else(invalid_path)
    }

    /// Opens a folder below this one, `.` for itself, without following a symbolic link anywhere on the way.
    pub(in crate::storage) fn open_plainly(&self, path: &Path) -> Result<OwnedFd> {
        self.open_strictly(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens the folder of an entry, to look at the entry only.
    fn open_parent(&self, path: &Path) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        if self.walk.follow {
            return Ok(rustix::fs::openat(&self.fd, path, flags | OFlags::CLOEXEC, Mode::empty())?);
        }
        self.open_strictly(path, flags)
    }

    /// Opens a file, never through a link in its own place. If links are followed, the folders on the way may be links.
    fn open_file(&self, path: &Path) -> Result<OwnedFd> {
        // O_NONBLOCK: opening a FIFO must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        if self.walk.follow {
            return Ok(rustix::fs::openat(&self.fd, path, flags, Mode::empty())?);
        }
        self.open_strictly(path, flags)
    }
}

impl From<Errno> for FolderError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::NotFound,
            Errno::NOTDIR => Self::NotAFolder,
            Errno::LOOP => Self::Symlink,
            other => Self::Io(other.into()),
        }
    }
}

/// The error for a path that is empty, absolute or contains `..`. This crate builds none.
fn invalid_path() -> FolderError {
    FolderError::Io(io::ErrorKind::InvalidInput.into())
}

fn device_and_inode(fd: &OwnedFd) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(fd)?;
    Ok((stat.st_dev, stat.st_ino))
}

fn is_symlink(at: &OwnedFd, name: &OsStr) -> bool {
    rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

pub(in crate::storage) const fn entry_kind(file_type: FileType) -> EntryKind {
    match file_type {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Folder,
        FileType::Symlink => EntryKind::Symlink,
        _ => EntryKind::Other,
    }
}

/// The kind of a listed entry. Some file systems leave it out of a listing: then `stat` is called. `None` when the entry was
/// removed since, which is no error of the listing.
fn listed_kind(listed: FileType, stat: impl FnOnce() -> Result<Stat>) -> Result<Option<EntryKind>> {
    if listed != FileType::Unknown {
        return Ok(Some(entry_kind(listed)));
    }
    match stat() {
        Ok(stat) => Ok(Some(stat.kind)),
        Err(FolderError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn stat_of(statx: &Statx) -> Stat {
    Stat {
        kind: entry_kind(FileType::from_raw_mode(u32::from(statx.stx_mode))),
        size: statx.stx_size,
        modified: saturating_seconds(statx.stx_mtime.tv_sec),
        // The links of a folder: its own name, its `.`, and the `..` of each subfolder. File systems that do not count say 1.
        subfolders: u64::from(statx.stx_nlink).checked_sub(2),
    }
}

const STATX_FIELDS: StatxFlags =
    StatxFlags::TYPE.union(StatxFlags::SIZE).union(StatxFlags::MTIME).union(StatxFlags::NLINK);

fn stat_fd(fd: &OwnedFd) -> Result<Stat> {
    Ok(stat_of(&rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, STATX_FIELDS)?))
}

impl Folder for FdFolder {
    fn wait(&self, pause: Duration) {
        std::thread::sleep(pause);
    }

    fn open(&self, path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let walk = Arc::clone(&self.walk);
        if !walk.follow {
            return Ok(Self {
                fd: self.open_strictly(path, flags)?,
                walk,
                ancestors: Vec::new(),
                was_listed: false,
            });
        }
        let (fd, followed) = match self.open_strictly(path, flags) {
            Err(FolderError::Symlink) => {
                (rustix::fs::openat(&self.fd, path, flags | OFlags::CLOEXEC, Mode::empty())?, true)
            }
            other => (other?, false),
        };
        let identity = device_and_inode(&fd)?;
        let too_many = followed && walk.followed_links.fetch_add(1, Ordering::Relaxed) >= MAX_FOLLOWED;
        let is_loop = followed && self.ancestors.contains(&identity);
        if too_many || is_loop || self.ancestors.len() >= MAX_DEPTH {
            return Err(FolderError::Symlink);
        }
        let mut ancestors = self.ancestors.clone();
        ancestors.push(identity);
        Ok(Self { fd, walk, ancestors, was_listed: false })
    }

    fn list(&mut self, each: &mut dyn FnMut(&OsStr, EntryKind)) -> Result<()> {
        // The open file keeps the position of a listing: hence `&mut self`, and the seek before another listing.
        if std::mem::replace(&mut self.was_listed, true) {
            rustix::fs::seek(&self.fd, rustix::fs::SeekFrom::Start(0))?;
        }
        let mut buffer = Vec::with_capacity(LIST_BUFFER);
        let mut entries = RawDir::new(&self.fd, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let Some(kind) = listed_kind(entry.file_type(), || self.stat(Path::new(name)))? else { continue };
            // If links are followed, a link to a folder counts as a folder. Opening it checks for loops.
            let leads_to_folder = || {
                rustix::fs::statat(&self.fd, name, AtFlags::empty())
                    .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
            };
            let followed = kind == EntryKind::Symlink && self.walk.follow && leads_to_folder();
            each(name, if followed { EntryKind::Folder } else { kind });
        }
        Ok(())
    }

    fn stat(&self, path: &Path) -> Result<Stat> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        if path == Path::new(".") {
            return stat_fd(&self.fd);
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(invalid_path());
        };
        if parent.as_os_str().is_empty() {
            return Ok(stat_of(&rustix::fs::statx(&self.fd, name, flags, STATX_FIELDS)?));
        }
        if self.walk.follow {
            return Ok(stat_of(&rustix::fs::statx(&self.fd, path, flags, STATX_FIELDS)?));
        }
        let parent = self.open_strictly(parent, OFlags::PATH | OFlags::DIRECTORY)?;
        Ok(stat_of(&rustix::fs::statx(&parent, name, flags, STATX_FIELDS)?))
    }

    fn time(&self, path: &Path) -> Result<(EntryKind, Timestamp)> {
        let name = path.file_name().ok_or_else(invalid_path)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.map(|parent| self.open_parent(parent)).transpose()?;
        let at = parent.as_ref().unwrap_or(&self.fd);
        let statx = rustix::fs::statx(at, name, AtFlags::SYMLINK_NOFOLLOW, STATX_FIELDS)?;
        let time = statx.stx_mtime;
        Ok((stat_of(&statx).kind, timestamp(time.tv_sec, time.tv_nsec)))
    }

    fn may_change(&self, path: &Path) -> Result<Option<bool>> {
        let folder = self.open_plainly(path)?;
        match rustix::fs::accessat(&folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
            Ok(()) => Ok(Some(true)),
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Ok(Some(false)),
            Err(errno) => Err(errno.into()),
        }
    }

    fn stat_inside(&self, path: &Path) -> Result<Stat> {
        Ok(stat_of(&rustix::fs::statx(&self.fd, path, AtFlags::SYMLINK_NOFOLLOW, STATX_FIELDS)?))
    }

    fn read(&self, path: &Path, limit: usize, into: &mut Vec<u8>) -> Result<Stat> {
        into.clear();
        let fd = self.open_file(path)?;
        let stat = stat_fd(&fd)?;
        if stat.kind != EntryKind::File {
            return Ok(stat);
        }
        let wanted = usize::try_from(stat.size).unwrap_or(usize::MAX).min(limit);
        into.resize(wanted, 0);
        let mut filled = 0;
        while filled < wanted {
            match rustix::io::retry_on_intr(|| rustix::io::read(&fd, &mut into[filled..]))? {
                0 => break,
                count => filled += count,
            }
        }
        into.truncate(filled);
        Ok(stat)
    }

    fn peek(&self, path: &Path, room: &mut [u8]) -> Result<usize> {
        let fd = self.open_file(path)?;
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(&fd, &mut *room))?)
    }

    fn stream(&self, path: &Path, buffer: &mut [u8], each: &mut dyn FnMut(&[u8])) -> Result<Stat> {
        let fd = self.open_file(path)?;
        let stat = stat_fd(&fd)?;
        if stat.kind != EntryKind::File {
            return Ok(stat);
        }
        loop {
            let count = rustix::io::retry_on_intr(|| rustix::io::read(&fd, &mut *buffer))?;
            if count == 0 {
                return Ok(stat);
            }
            each(&buffer[..count]);
        }
    }
}

#[cfg(test)]
mod tests;
