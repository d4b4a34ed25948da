//! The only way to change a tree on disk, for repair, undo, purge and retention. [`TreeWriter::open`] refuses if a collector or a
//! server forbids changes, takes the registry's lock, finds the place of the quarantine, and only then opens an editor. Callers
//! decide what to change ([`crate::repair`], [`crate::retention::layout`]).

mod access;
mod lock;
mod quarantine;
mod refusal;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use self::access::{Access, Locking, RunningServers};
use self::lock::Lock;
pub use self::lock::LockError;
pub use self::quarantine::{
    MARKER, Marker, PlaceError, QuarantinePlace, SCHEMA as QUARANTINE_SCHEMA, UnusableError, check_place,
    find_place, time_stamp,
};
pub(crate) use self::quarantine::{QUARANTINES_FOLDER, read_marker};
pub use self::refusal::WriteRefusal;
use crate::storage::edit::Editor;
#[cfg(target_os = "linux")]
use crate::storage::edit::FdEditor;
use crate::storage::{Job, LocatedRegistry, RegistryProcess, folder_of, registry_processes};

/// Access to a tree for writing. Dropping it releases the lock.
pub struct TreeWriter {
    editor: Box<dyn Editor>,
    tree: PathBuf,
    quarantine: Result<QuarantinePlace, PlaceError>,
    access: Access,
    processes: Vec<RegistryProcess>,
    now: Timestamp,
    _lock: Option<Lock>,
}

impl std::fmt::Debug for TreeWriter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("TreeWriter")
            .field("tree", &self.tree)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl TreeWriter {
    /// Opens a registry for writing. `quarantine` is the folder to move things to; by default a new one in the rootdirectory. If it
    /// cannot be used, [`TreeWriter::quarantine`] returns the error: a caller that only adds needs none. `now` becomes the time
    /// of the links that are written, and the name of the quarantine.
    ///
    /// # Errors
    /// When a process forbids changes, the lock cannot be taken, or the folders cannot be opened.
    #[cfg(target_os = "linux")]
    pub fn open(
        located: &LocatedRegistry,
        quarantine: Option<&Path>,
        access: Access,
        now: Timestamp,
    ) -> Result<Self, WriteRefusal> {
        let processes = check_processes(&located.v2, access)?;
        let lock = take_lock(&located.v2, access)?;
        let quarantine = find_place(located, quarantine, now);
        let aside = quarantine.as_ref().map_or(&located.v2, |place| &place.base);
        let open = || Ok((FdEditor::open(&located.v2, aside)?, located.v2.canonicalize()?));
        let (editor, tree) = open().map_err(|error| WriteRefusal::Open(aside.clone(), error))?;
        Ok(Self { editor: Box::new(editor), tree, quarantine, access, processes, now, _lock: lock })
    }

    /// Opens a registry that a journal names, and the folder of its quarantine (`aside`). Anybody may have written the journal, so
    /// no symbolic link is followed on the way. If `aside` cannot be opened, every use of it returns that error.
    #[cfg(target_os = "linux")]
    pub(crate) fn reopen(
        tree: &Path,
        aside: &Path,
        access: Access,
        now: Timestamp,
    ) -> Result<Self, WriteRefusal> {
        let processes = check_processes(tree, access)?;
        let lock = take_lock(tree, access)?;
        let editor = FdEditor::open_plainly(tree, aside)
            .map_err(|error| WriteRefusal::Reopen(tree.to_owned(), error))?;
        let quarantine = Ok(QuarantinePlace { base: aside.to_owned(), below: String::new() });
        let editor = Box::new(editor);
        Ok(Self { editor, tree: tree.to_owned(), quarantine, access, processes, now, _lock: lock })
    }

    /// Looks for processes again, right before the first change.
    ///
    /// # Errors
    /// When a process that started since forbids changes.
    pub(crate) fn recheck_processes(&mut self) -> Result<(), WriteRefusal> {
        self.processes = check_processes(&self.tree, self.access)?;
        Ok(())
    }

    /// The place that things are moved aside to.
    ///
    /// # Errors
    /// When there is no such place.
    pub const fn quarantine(&self) -> Result<&QuarantinePlace, &PlaceError> {
        self.quarantine.as_ref()
    }

    /// The registry's `docker/registry/v2`, without symbolic links.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// The processes at work on the tree at the last look for them.
    pub fn processes(&self) -> &[RegistryProcess] {
        &self.processes
    }

    /// The server, if any, because of which the caller may add to the tree but take nothing away.
    pub(crate) fn server_forbidding_removal(&self) -> Option<&RegistryProcess> {
        let may_take_away = self.access.servers == RunningServers::Accept;
        self.processes.iter().find(|process| !process.is_read_only && !may_take_away)
    }

    /// The time of this run.
    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// The editor of the tree.
    pub(crate) fn editor(&self) -> &dyn Editor {
        &*self.editor
    }

    /// Wraps the editor after all checks of [`TreeWriter::open`]. Only for tests of this library, which make calls fail or push
    /// between two calls.
    #[doc(hidden)]
    #[must_use]
    pub fn wrap_editor(self, wrap: impl FnOnce(Box<dyn Editor>) -> Box<dyn Editor>) -> Self {
        Self { editor: wrap(self.editor), ..self }
    }
}

/// Refuses a journal that would lie in the tree that it describes.
///
/// # Errors
/// When the journal would lie there.
pub fn check_journal(v2: &Path, journal: &Path) -> Result<(), WriteRefusal> {
    match (folder_of(journal).canonicalize(), v2.canonicalize()) {
        (Ok(folder), Ok(v2)) if folder.starts_with(&v2) => {
            Err(WriteRefusal::JournalInside(journal.to_owned()))
        }
        _ => Ok(()),
    }
}

/// The processes at work on a tree.
///
/// # Errors
/// When one of them forbids changes.
fn check_processes(v2: &Path, access: Access) -> Result<Vec<RegistryProcess>, WriteRefusal> {
    let mut processes = registry_processes(v2);
    if let Some(at) = processes.iter().position(|process| process.job == Job::Collector) {
        return Err(WriteRefusal::Collector(processes.swap_remove(at)));
    }
    if access.servers == RunningServers::Refuse
        && let Some(at) = processes.iter().position(|process| !process.is_read_only)
    {
        return Err(WriteRefusal::Server(processes.swap_remove(at)));
    }
    Ok(processes)
}

/// Takes the lock of a registry's `docker/registry/v2`, unless the caller keeps others away.
fn take_lock(v2: &Path, access: Access) -> Result<Option<Lock>, WriteRefusal> {
    match access.locking {
        Locking::ByCaller => Ok(None),
        Locking::Required => Ok(Some(Lock::take(v2)?)),
    }
}

/// Takes the lock of the registry of a quarantine, which must not be purged while something is moved into it. `None` where the
/// registry no longer exists, or its file system has no locks: then the user must know that nothing else is at work.
pub(crate) fn lock_registry_of_quarantine(tree: &Path) -> Result<Option<Lock>, LockError> {
    match Lock::take(tree) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Unsupported(..)) => Ok(None),
        Err(LockError::Io(_, error))
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
