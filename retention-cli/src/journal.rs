//! The journal of a run as a file. A line is on disk before what it tells is done.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
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
        let name = jiff::Timestamp::now().strftime("registry-retention-%Y%m%dT%H%M%SZ.journal").to_string();
        let here = with(Path::new(&name));
        match Self::create(&here) {
            Ok(journal) => Ok(journal),
            Err(error) => {
                let there = with(&std::env::temp_dir().join(&name));
                let (path, other) = (here.display(), there.display());
                tracing::warn!("cannot write the journal {path} ({error}); it goes to {other}");
                let context = || format!("cannot write the journal {other} either, so nothing is deleted");
                Self::create(&there).with_context(context).map_err(Failure::Io)
            }
        }
    }

    fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        File::open(folder(path))?.sync_all()?;
        Ok(Self { file, path: path.to_owned() })
    }
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
