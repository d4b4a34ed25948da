//! Where a repair writes its journal, and where it moves things aside to. Looked at in a dry run too, as far as that can be
//! done without making anything.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use registry_cli::journal::{create_first_free, name};
use registry_core::repair::FileLog;
use registry_core::storage::{Located, folder_of};
use registry_core::text::escape_os;
use registry_core::tree_writer::{check_journal, place};

use crate::args::RepairArgs;
use crate::exit::Failure;
use crate::hints;

/// The places of one repair.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'p> {
    pub(super) args: &'p RepairArgs,
    pub(super) located: &'p Located,
}

impl Places<'_> {
    /// Refuses a quarantine that was asked for and will not do.
    pub(super) fn check_quarantine(&self, now: Timestamp) -> Result<(), Failure> {
        let Some(wish) = &self.args.quarantine else { return Ok(()) };
        place(self.located, Some(wish), now).map(drop).map_err(hints::no_place)
    }

    /// Refuses a journal that was asked for and will not do.
    pub(super) fn check_journal(&self) -> Result<(), Failure> {
        let Some(path) = &self.args.journal else { return Ok(()) };
        check_journal(&self.located.v2, path).map_err(hints::refused)?;
        let is_free = match path.symlink_metadata() {
            Ok(_) => Err(io::Error::from_raw_os_error(EEXIST)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => folder_of(path).metadata().map(drop),
            Err(error) => Err(error),
        };
        is_free.with_context(|| cannot(path)).map_err(Failure::Io)
    }

    /// The journal that will be made, and how: under the first name that is free where none was asked for.
    pub(super) fn journal(
        &self,
        now: Timestamp,
    ) -> Result<(PathBuf, impl FnOnce() -> io::Result<FileLog> + use<>), Failure> {
        let wish = self.args.journal.clone();
        let shown = wish.clone().unwrap_or_else(|| default(now, 1));
        check_journal(&self.located.v2, &shown).map_err(hints::refused)?;
        let make = move || match wish {
            Some(path) => FileLog::create(&path),
            None => create_first_free(|number| default(now, number)),
        };
        Ok((shown, make))
    }
}

/// What the system answers where a file is already.
const EEXIST: i32 = 17;

/// What is said of a journal that cannot be written.
pub(super) fn cannot(path: &Path) -> String {
    format!("cannot write the journal {}, so nothing is changed", escape_os(path.as_os_str()))
}

/// The name of a journal that was given none.
fn default(now: Timestamp, number: u32) -> PathBuf {
    name(env!("CARGO_PKG_NAME"), now, number)
}
