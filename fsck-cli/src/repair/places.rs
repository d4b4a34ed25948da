//! Where a repair writes its journal, and where it moves things aside to. Looked at in a dry run too, as far as that can be
//! done without making anything.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use registry_cli::file::folder;
use registry_core::repair::{AsidePlace, FileLog, Journal, Plan, place, stamp};
use registry_core::storage::Located;
use registry_core::text::escape_os;

use crate::args::RepairArgs;
use crate::exit::Failure;

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
        place(self.located, Some(wish), now).map(drop).map_err(|error| Failure::Usage(error.into()))
    }

    /// Refuses a journal that was asked for and will not do.
    pub(super) fn check_journal(&self) -> Result<(), Failure> {
        let Some(path) = &self.args.journal else { return Ok(()) };
        self.refuse_inside(path)?;
        let is_free = match path.symlink_metadata() {
            Ok(_) => Err(io::Error::from_raw_os_error(EEXIST)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => folder(path).metadata().map(drop),
            Err(error) => Err(error),
        };
        is_free.with_context(|| cannot(path)).map_err(Failure::Io)
    }

    /// Where things are moved aside to. Without any to move, its place does not matter.
    pub(super) fn aside(&self, plan: &Plan, now: Timestamp) -> Result<AsidePlace, Failure> {
        match place(self.located, self.args.quarantine.as_deref(), now) {
            Ok(place) => Ok(place),
            Err(_) if !plan.steps.iter().any(|step| step.action.takes_away()) => {
                Ok(AsidePlace { base: self.located.v2.clone(), below: String::new() })
            }
            Err(error) => Err(Failure::Usage(error.into())),
        }
    }

    /// Begins the journal: the registry as it tells of it, where it is, and itself.
    pub(super) fn begin(
        &self,
        aside: &AsidePlace,
        now: Timestamp,
    ) -> Result<(PathBuf, PathBuf, Journal<FileLog>), Failure> {
        let wish = self.args.journal.clone();
        let shown = wish.clone().unwrap_or_else(|| default(now, 1));
        self.refuse_inside(&shown)?;
        let failed = |error: io::Error| Failure::Io(anyhow::Error::new(error).context(cannot(&shown)));
        let v2 = self.located.v2.canonicalize().map_err(failed)?;
        // Before the file is made: what cannot begin leaves nothing.
        if v2.to_str().is_none() || aside.base.to_str().is_none() {
            return Err(failed(io::Error::other("the path of the registry is no text (UTF-8)")));
        }
        let (path, log) = match wish {
            Some(path) => FileLog::create(&path).map(|log| (path, log)),
            None => create(now),
        }
        .map_err(failed)?;
        match Journal::begin(log, &v2, &aside.base, now) {
            Ok(journal) => Ok((v2, path, journal)),
            Err(error) => {
                // Best effort: nothing was done that it could tell of.
                let _ = std::fs::remove_file(&path);
                Err(failed(error))
            }
        }
    }

    /// Refuses a journal in the tree that it tells of.
    fn refuse_inside(&self, journal: &Path) -> Result<(), Failure> {
        let is_inside = match (folder(journal).canonicalize(), self.located.v2.canonicalize()) {
            (Ok(folder), Ok(v2)) => folder.starts_with(v2),
            _ => false,
        };
        if is_inside {
            let shown = escape_os(journal.as_os_str());
            return Err(Failure::Usage(anyhow!(
                "the journal {shown} would lie inside the registry: name another place with --journal"
            )));
        }
        Ok(())
    }
}

/// What the system answers where a file is already.
const EEXIST: i32 = 17;

fn cannot(path: &Path) -> String {
    format!("cannot write the journal {}, so nothing is changed", escape_os(path.as_os_str()))
}

/// The name of a journal that was given none; several may begin in one second.
fn default(now: Timestamp, number: u32) -> PathBuf {
    let number = if number == 1 { String::new() } else { format!("-{number}") };
    PathBuf::from(format!("registry-fsck-{}{number}.journal", stamp(now)))
}

/// Makes a journal under the first name that is free.
fn create(now: Timestamp) -> io::Result<(PathBuf, FileLog)> {
    let mut number = 1;
    loop {
        let path = default(now, number);
        match FileLog::create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            other => return other.map(|log| (path, log)),
        }
    }
}
