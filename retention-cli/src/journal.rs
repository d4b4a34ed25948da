//! The journal of a run as a file. A line is on disk before what it tells is done.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use registry_cli::journal::{create_first_free, name};
use registry_core::repair::{FileLog, Log};
use registry_core::retention::{DeletionEntry, DeletionJournal};

use crate::exit::Failure;

/// An open journal.
#[derive(Debug)]
pub struct FileJournal(FileLog);

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
            return FileLog::create(&path).map(Self).with_context(context).map_err(Failure::Io);
        }
        let now = Timestamp::now();
        let below = |folder: &Path, number| with(&folder.join(name(env!("CARGO_PKG_NAME"), now, number)));
        let here = |number| below(Path::new(""), number);
        let made = create_first_free(here).or_else(|error| {
            let temporary = std::env::temp_dir();
            let there = |number| below(&temporary, number);
            let (path, other) = (here(1), there(1));
            let (path, other) = (path.display(), other.display());
            tracing::warn!("cannot write the journal {path} ({error}); it goes to {other}");
            let context = || format!("cannot write the journal {other} either, so nothing is deleted");
            create_first_free(there).with_context(context).map_err(Failure::Io)
        });
        made.map(Self)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Log for &mut FileJournal {
    fn path(&self) -> Option<&Path> {
        Some(FileJournal::path(self))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }
}

impl DeletionJournal for FileJournal {
    fn write(&mut self, entry: &DeletionEntry) -> io::Result<()> {
        self.0.write(entry)
    }
}
