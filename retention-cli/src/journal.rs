//! The journal of a run as a file. Each line is on disk before the change that it announces.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use registry_cli::journal::{create_first_free, name};
use registry_core::repair::{FileLog, JournalOutput};
use registry_core::retention::{DeletionEntry, DeletionJournal};

use crate::exit::Failure;

/// An open journal.
#[derive(Debug)]
pub struct FileJournal(FileLog);

impl FileJournal {
    /// Creates the journal of a run: at the path that was named, else in the working folder, else in the temporary folder.
    ///
    /// # Errors
    /// When no journal can be created; nothing may be deleted then.
    pub fn create(named: Option<&Path>, suffix: Option<&str>) -> Result<Self, Failure> {
        let with_suffix = |path: &Path| match suffix {
            Some(suffix) => {
                let mut name = path.as_os_str().to_owned();
                name.push(format!(".{suffix}"));
                PathBuf::from(name)
            }
            None => path.to_owned(),
        };
        if let Some(path) = named {
            let path = with_suffix(path);
            let context = || format!("cannot write the journal {}, so nothing is deleted", path.display());
            return FileLog::create(&path).map(Self).with_context(context).map_err(Failure::Io);
        }
        let now = Timestamp::now();
        let default_path =
            |folder: &Path, number| with_suffix(&folder.join(name(env!("CARGO_PKG_NAME"), now, number)));
        let path = |number| default_path(Path::new(""), number);
        let created = create_first_free(path).or_else(|error| {
            let temporary = std::env::temp_dir();
            let other_path = |number| default_path(&temporary, number);
            let (path, other) = (path(1), other_path(1));
            let (path, other) = (path.display(), other.display());
            tracing::warn!("cannot write the journal {path} ({error}); it goes to {other}");
            let context = || format!("cannot write the journal {other} either, so nothing is deleted");
            create_first_free(other_path).with_context(context).map_err(Failure::Io)
        });
        created.map(Self)
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl JournalOutput for &mut FileJournal {
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
