//! The only way to change a tree on disk, for repair, undo, purge and retention alike. A [`TreeWriter`] is made by
//! [`TreeWriter::open`], which refuses where a collector or a server is in the way, takes the registry's lock, finds the place of
//! the quarantine and only then opens an editor. What is changed is the caller's matter ([`crate::repair`],
//! [`crate::retention::layout`]).

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
pub(crate) use self::quarantine::{HOME, marker};
pub use self::quarantine::{
    MARKER, Marker, PlaceError, QuarantinePlace, SCHEMA as QUARANTINE_SCHEMA, UnusableError, check_place,
    place, stamp,
};
pub use self::refusal::WriteRefusal;
use crate::storage::edit::Editor;
#[cfg(target_os = "linux")]
use crate::storage::edit::FdEditor;
use crate::storage::{Job, Located, Serving, folder_of, registry_processes};

/// Access to a tree for writing. The lock is given back when this is dropped.
pub struct TreeWriter {
    editor: Box<dyn Editor>,
    tree: PathBuf,
    quarantine: Result<QuarantinePlace, PlaceError>,
    access: Access,
    processes: Vec<Serving>,
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
    /// Opens a registry for writing. `quarantine` is the folder to move things to, one in the rootdirectory where none is named;
    /// that it cannot be used is told by [`TreeWriter::quarantine`], as what only adds does not need one. `now` is the clock: the
    /// time of links that are written, and the name of the quarantine.
    ///
    /// # Errors
    /// When a process is in the way, the lock cannot be had, or the folders cannot be opened.
    #[cfg(target_os = "linux")]
    pub fn open(
        located: &Located,
        quarantine: Option<&Path>,
        access: Access,
        now: Timestamp,
    ) -> Result<Self, WriteRefusal> {
        let processes = allowed(&located.v2, access)?;
        let lock = lock(&located.v2, access)?;
        let quarantine = place(located, quarantine, now);
        let beside = quarantine.as_ref().map_or(&located.v2, |place| &place.base);
        let open = || Ok((FdEditor::open(&located.v2, beside)?, located.v2.canonicalize()?));
        let (editor, tree) = open().map_err(|error| WriteRefusal::Open(beside.clone(), error))?;
        Ok(Self { editor: Box::new(editor), tree, quarantine, access, processes, now, _lock: lock })
    }

    /// Opens a registry that a journal names, with the folder in which its quarantine lies. A journal may be anybody's: no
    /// symbolic link is followed on the way. Where the second folder cannot be opened, whatever asks for something in it gets
    /// that answer.
    #[cfg(target_os = "linux")]
    pub(crate) fn reopen(
        tree: &Path,
        aside: &Path,
        access: Access,
        now: Timestamp,
    ) -> Result<Self, WriteRefusal> {
        let processes = allowed(tree, access)?;
        let lock = lock(tree, access)?;
        let editor = FdEditor::open_plainly(tree, aside)
            .map_err(|error| WriteRefusal::Reopen(tree.to_owned(), error))?;
        let quarantine = Ok(QuarantinePlace { base: aside.to_owned(), below: String::new() });
        let editor = Box::new(editor);
        Ok(Self { editor, tree: tree.to_owned(), quarantine, access, processes, now, _lock: lock })
    }

    /// Looks for processes again, right before the first change.
    ///
    /// # Errors
    /// When one that started since is in the way.
    pub(crate) fn look_again(&mut self) -> Result<(), WriteRefusal> {
        self.processes = allowed(&self.tree, self.access)?;
        Ok(())
    }

    /// Where things are moved aside to, or why there is no such place.
    ///
    /// # Errors
    /// Why not.
    pub const fn quarantine(&self) -> Result<&QuarantinePlace, &PlaceError> {
        self.quarantine.as_ref()
    }

    /// The registry's `docker/registry/v2`, without symbolic links.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// Processes at work on the tree when it was last looked for them.
    pub fn processes(&self) -> &[Serving] {
        &self.processes
    }

    /// The server because of which nothing may be taken away, if there is one.
    pub(crate) fn adds_only(&self) -> Option<&Serving> {
        let may = self.access.servers == RunningServers::Accept;
        self.processes.iter().find(|one| !one.is_read_only && !may)
    }

    /// The clock.
    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// What changes the tree.
    pub(crate) fn editor(&self) -> &dyn Editor {
        &*self.editor
    }

    /// Puts something between this writer and the disk. For tests of this library alone, which let calls fail or let somebody
    /// push in between: all that [`TreeWriter::open`] checks was checked before.
    #[doc(hidden)]
    #[must_use]
    pub fn wrap_editor(self, wrap: impl FnOnce(Box<dyn Editor>) -> Box<dyn Editor>) -> Self {
        Self { editor: wrap(self.editor), ..self }
    }
}

/// Refuses a journal in the tree that it tells of.
///
/// # Errors
/// When it would lie there.
pub fn check_journal(v2: &Path, journal: &Path) -> Result<(), WriteRefusal> {
    match (folder_of(journal).canonicalize(), v2.canonicalize()) {
        (Ok(folder), Ok(v2)) if folder.starts_with(&v2) => {
            Err(WriteRefusal::JournalInside(journal.to_owned()))
        }
        _ => Ok(()),
    }
}

/// Processes at work on a tree, when none is in the way.
fn allowed(v2: &Path, access: Access) -> Result<Vec<Serving>, WriteRefusal> {
    let mut processes = registry_processes(v2);
    if let Some(at) = processes.iter().position(|one| one.job == Job::Collector) {
        return Err(WriteRefusal::Collector(processes.swap_remove(at)));
    }
    if access.servers == RunningServers::Refuse
        && let Some(at) = processes.iter().position(|one| !one.is_read_only)
    {
        return Err(WriteRefusal::Server(processes.swap_remove(at)));
    }
    Ok(processes)
}

/// The lock of a registry's `docker/registry/v2`, unless the caller answers for it.
fn lock(v2: &Path, access: Access) -> Result<Option<Lock>, WriteRefusal> {
    match access.locking {
        Locking::ByCaller => Ok(None),
        Locking::Required => Ok(Some(Lock::take(v2)?)),
    }
}

/// The lock of the registry that a quarantine is of: none is purged while something is moved there. A registry that is gone has
/// none, and neither has a file system that keeps no locks, where only one who knows that nothing else is at work may go on.
pub(crate) fn lock_of_quarantine(tree: &Path) -> Result<Option<Lock>, LockError> {
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
