//! The journal of a run as a file. A line is on disk before what it tells is done.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use registry_cli::file::folder;
use registry_core::retention::{Entry, Journal};

use crate::exit::Failure;

/// An open journal.
#[derive(Debug)]
pub struct FileJournal {
    file: File,
    pub path: PathBuf,
}

impl FileJournal {
    /// Opens the journal of a run, a new file: where it was asked for, else here, else in the temporary folder.
    ///
    /// # Errors
    /// When nowhere can be written; then nothing may be deleted.
    pub fn open(asked: Option<&Path>, suffix: Option<&str>) -> Result<Self, Failure> {
        let with = |path: &Path| match suffix {
            Some(suffix) => {
                let mut name = path.as_os_str().to_owned();
                name.push(format!(".{suffix}"));
                PathBuf::from(name)
            }
            None => path.to_owned(),
        };
        if let Some(path) = asked {
            let path = with(path);
            let context = || format!("cannot write the journal {}, so nothing is deleted", path.display());
            return Self::create(&path).with_context(context).map_err(Failure::Io);
        }
        let now = Timestamp::now();
        let here = Path::new("");
        Self::create_in(here, now, with).or_else(|error| {
            let (path, there) = (with(&name(now, 1)), std::env::temp_dir());
            let other = with(&there.join(name(now, 1)));
            let (path, other) = (path.display(), other.display());
            tracing::warn!("cannot write the journal {path} ({error}); it goes to {other}");
            let context = || format!("cannot write the journal {other} either, so nothing is deleted");
            Self::create_in(&there, now, with).with_context(context).map_err(Failure::Io)
        })
    }

    /// Makes a journal in a folder under the first name that is free: several runs may begin in one second.
    fn create_in(folder: &Path, now: Timestamp, with: impl Fn(&Path) -> PathBuf) -> io::Result<Self> {
        let names = (1..1000).map(|number| with(&folder.join(name(now, number))));
        let is_taken = |made: &io::Result<Self>| {
            made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
        };
        let mut made = names.map(|path| Self::create(&path)).skip_while(is_taken);
        made.next().unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
    }

    fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        File::open(folder(path))?.sync_all()?;
        Ok(Self { file, path: path.to_owned() })
    }
}

/// The name of a journal that was given none.
fn name(now: Timestamp, number: u32) -> PathBuf {
    let number = if number == 1 { String::new() } else { format!("-{number}") };
    format!("registry-retention-{}{number}.journal", now.strftime("%Y%m%dT%H%M%SZ")).into()
}

impl FileJournal {
    /// Appends bytes, which are safe on disk when this returns.
    ///
    /// # Errors
    /// When they are not.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }
}

impl Journal for FileJournal {
    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.append(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bug_two_runs_in_one_second_had_one_name_for_their_journals() {
        let (folder, now) = (tempfile::tempdir().unwrap(), "2026-11-29T02:03:04Z".parse().unwrap());
        let made = || FileJournal::create_in(folder.path(), now, Path::to_path_buf).unwrap().path;
        let names = [made(), made(), made()].map(|path| path.file_name().unwrap().to_owned());
        let name = |number: &str| format!("registry-retention-20261129T020304Z{number}.journal");
        assert_eq!(names, [name(""), name("-2"), name("-3")].map(Into::<std::ffi::OsString>::into));
    }
}
