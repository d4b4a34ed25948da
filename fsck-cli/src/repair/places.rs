//! The places of the journal and the quarantine of a repair. A dry run checks them too, as far as it can without creating
//! anything.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use registry_cli::journal::{create_first_free, name};
use registry_core::repair::FileLog;
use registry_core::storage::{LocatedRegistry, folder_of};
use registry_core::text::escape_os;
use registry_core::tree_writer::{check_journal, find_place};

use crate::args::RepairArgs;
use crate::exit::Failure;
use crate::hints;

/// The places of the journal and the quarantine of one repair.
#[derive(Debug, Clone, Copy)]
pub(super) struct RepairPlaces<'p> {
    pub(super) args: &'p RepairArgs,
    pub(super) located: &'p LocatedRegistry,
}

impl RepairPlaces<'_> {
    /// Refuses a `--quarantine` that cannot be used.
    pub(super) fn check_quarantine(&self, now: Timestamp) -> Result<(), Failure> {
        let Some(path) = &self.args.quarantine else { return Ok(()) };
        find_place(self.located, Some(path), now).map(drop).map_err(hints::no_quarantine)
    }

    /// Refuses a `--journal` that cannot be used.
    pub(super) fn check_journal(&self) -> Result<(), Failure> {
        let Some(path) = &self.args.journal else { return Ok(()) };
        check_journal(&self.located.v2, path).map_err(hints::write_refused)?;
        let is_free = match path.symlink_metadata() {
            Ok(_) => Err(io::Error::from_raw_os_error(EEXIST)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => folder_of(path).metadata().map(drop),
            Err(error) => Err(error),
        };
        is_free.with_context(|| cannot_write_journal(path)).map_err(Failure::Io)
    }

    /// The path of the journal, and a function that creates it: without `--journal`, at the first free default path.
    pub(super) fn journal(
        &self,
        now: Timestamp,
    ) -> Result<(PathBuf, impl FnOnce() -> io::Result<FileLog> + use<>), Failure> {
        let named = self.args.journal.clone();
        let path = named.clone().unwrap_or_else(|| default_journal(now, 1));
        check_journal(&self.located.v2, &path).map_err(hints::write_refused)?;
        let create = move || match named {
            Some(path) => FileLog::create(&path),
            None => create_first_free(|number| default_journal(now, number)),
        };
        Ok((path, create))
    }
}

/// The number of the system's error for a file that exists already.
const EEXIST: i32 = 17;

/// The message for a journal that cannot be written.
pub(super) fn cannot_write_journal(path: &Path) -> String {
    format!("cannot write the journal {}, so nothing is changed", escape_os(path.as_os_str()))
}

/// The path of a journal without `--journal`.
fn default_journal(now: Timestamp, number: u32) -> PathBuf {
    name(env!("CARGO_PKG_NAME"), now, number)
}
