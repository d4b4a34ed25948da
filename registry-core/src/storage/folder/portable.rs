//! Folders by path, for systems without the Linux calls, and for tests that compare the fd-relative folders with it. It looks
//! at an entry before it opens it, so an entry that is swapped in between is followed.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;
use walkdir::WalkDir;

use super::{EntryKind, Folder, FolderError, Result, Stat, Symlinks};
use crate::graph::saturating_seconds;

/// A folder known by its path.
#[derive(Debug)]
pub struct PathFolder {
    path: PathBuf,
    follow: bool,
}

impl PathFolder {
    /// Opens the folder at a path. `follow` also follows symbolic links to folders below it.
    ///
    /// # Errors
    /// Whatever the system answers.
    pub fn open_root(path: &Path, symlinks: Symlinks) -> io::Result<Self> {
        let follow = symlinks == Symlinks::Follow;
        let path = path.canonicalize()?;
        if !path.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path, follow })
    }

    /// The full path. An error when a folder on the way is a symbolic link that is not followed.
    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        let mut full = self.path.clone();
        let mut components = path.components().peekable();
        while let Some(component) = components.next() {
            match component {
                Component::Normal(name) => full.push(name),
                Component::CurDir => continue,
                _ => return Err(FolderError::Io(io::ErrorKind::InvalidInput.into())),
            }
            if components.peek().is_some()
                && !self.follow
                && full.symlink_metadata().map_err(folder_error)?.is_symlink()
            {
                return Err(FolderError::Symlink);
            }
        }
        Ok(full)
    }

    fn open_file(&self, path: &Path) -> Result<(Stat, Option<File>)> {
        let full = self.resolve(path)?;
        let stat = stat_of(&full.symlink_metadata().map_err(folder_error)?);
        match stat.kind {
            EntryKind::Symlink => Err(FolderError::Symlink),
            EntryKind::File => Ok((stat, Some(File::open(full).map_err(folder_error)?))),
            EntryKind::Folder | EntryKind::Other => Ok((stat, None)),
        }
    }
}

fn folder_error(error: io::Error) -> FolderError {
    match error.kind() {
        io::ErrorKind::NotFound => FolderError::NotFound,
        io::ErrorKind::NotADirectory => FolderError::NotAFolder,
        _ => FolderError::Io(error),
    }
}

fn entry_kind(file_type: std::fs::FileType) -> EntryKind {
    if file_type.is_symlink() {
        EntryKind::Symlink
    } else if file_type.is_dir() {
        EntryKind::Folder
    } else if file_type.is_file() {
        EntryKind::File
    } else {
        EntryKind::Other
    }
}

fn stat_of(metadata: &Metadata) -> Stat {
    let since_1970 = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified =
        since_1970.map_or(0, |time| saturating_seconds(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)));
    Stat { kind: entry_kind(metadata.file_type()), size: metadata.len(), modified, subfolders: None }
}

impl Folder for PathFolder {
    fn wait(&self, pause: Duration) {
        std::thread::sleep(pause);
    }

    fn open(&self, path: &Path) -> Result<Self> {
        let full = self.resolve(path)?;
        let metadata = full.symlink_metadata().map_err(folder_error)?;
        if metadata.is_symlink() {
            if !self.follow {
                return Err(FolderError::Symlink);
            }
            let target = full.canonicalize().map_err(folder_error)?;
            if self.path.canonicalize().map_err(folder_error)?.starts_with(&target) {
                return Err(FolderError::Symlink);
            }
            return Self::open_root(&target, Symlinks::Follow).map_err(folder_error);
        }
        if !metadata.is_dir() {
            return Err(FolderError::NotAFolder);
        }
        Ok(Self { path: full, follow: self.follow })
    }

    fn list(&mut self, each: &mut dyn FnMut(&OsStr, EntryKind)) -> Result<()> {
        for entry in WalkDir::new(&self.path).min_depth(1).max_depth(1).follow_links(false) {
            let entry = entry.map_err(io::Error::from)?;
            let mut kind = entry_kind(entry.file_type());
            if kind == EntryKind::Symlink && self.follow && entry.path().is_dir() {
                kind = EntryKind::Folder;
            }
            each(entry.file_name(), kind);
        }
        Ok(())
    }

    fn stat(&self, path: &Path) -> Result<Stat> {
        if path == Path::new(".") {
            return Ok(stat_of(&self.path.symlink_metadata().map_err(folder_error)?));
        }
        Ok(stat_of(&self.resolve(path)?.symlink_metadata().map_err(folder_error)?))
    }

    fn time(&self, path: &Path) -> Result<(EntryKind, Timestamp)> {
        let metadata = self.resolve(path)?.symlink_metadata().map_err(folder_error)?;
        let modified = metadata.modified().map_err(folder_error)?;
        Ok((entry_kind(metadata.file_type()), Timestamp::try_from(modified).unwrap_or(Timestamp::MAX)))
    }

    fn read(&self, path: &Path, limit: usize, into: &mut Vec<u8>) -> Result<Stat> {
        into.clear();
        let (stat, file) = self.open_file(path)?;
        if let Some(file) = file {
            file.take(limit as u64).read_to_end(into)?;
        }
        Ok(stat)
    }

    fn stream(&self, path: &Path, buffer: &mut [u8], each: &mut dyn FnMut(&[u8])) -> Result<Stat> {
        let (stat, file) = self.open_file(path)?;
        if let Some(mut file) = file {
            loop {
                match file.read(buffer) {
                    Ok(0) => break,
                    Ok(count) => each(&buffer[..count]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(stat)
    }
}
