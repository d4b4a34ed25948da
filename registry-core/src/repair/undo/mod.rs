//! Undoes a repair by its journal, the last change first. A change is undone only if the disk still shows what it left, and if
//! nothing was pushed since that may rely on it. An undo that was stopped can be run again.

mod marked;
mod ours;
mod scheduler_state;
mod since;
pub(super) mod why;
mod written;

use std::path::Path;

use serde::Serialize;

use self::marked::MarkerCache;
use self::ours::{may_be_from_repair, quarantine_of};
use self::since::PushesSince;
pub use self::why::{OtherRegistry, WhyKept, WhyLost};
use super::change::{Change, TEMP_SUFFIX};
use super::journal::RepairHistory;
use super::needs;
use crate::path::Place;
use crate::storage::edit::{Editor, IfOccupied, WritableFolder};
use crate::storage::{EntryKind, FolderError, RegistryProcess, V2};
use crate::tree_writer::{Access, MARKER, TreeWriter, WriteRefusal};

/// What an undo did about one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UndoneChange {
    /// Where: below the registry's `docker/registry/v2`; of the quarantine itself, below the folder that it lies in.
    pub path: String,
    /// How it went.
    #[serde(flatten)]
    pub state: ChangeUndoState,
}

/// How it went with one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
pub enum ChangeUndoState {
    /// It is as it was before the repair.
    Restored,
    /// It was so already: the change was never made, or is undone.
    There,
    /// Something was done there since, which stays.
    Taken(#[cfg_attr(feature = "schema", schemars(with = "String"))] WhyKept),
    /// It cannot be undone.
    Lost(#[cfg_attr(feature = "schema", schemars(with = "String"))] WhyLost),
}

/// The state of an undo under way.
#[derive(Debug, Clone, Copy)]
struct UndoProgress {
    /// Whether the journal is of a retention run.
    is_retention: bool,
    /// Whether a change could not be undone.
    has_lost: bool,
}

/// Undoes a repair, or a retention run on a tree, by its journal.
#[derive(Debug)]
pub struct Undo<'u> {
    history: &'u RepairHistory,
    writer: TreeWriter,
}

impl<'u> Undo<'u> {
    /// Opens the registry of a journal, and the folder that its quarantine lies in. When that folder cannot be opened, links can
    /// still be undone, and moves are reported as lost.
    ///
    /// # Errors
    /// When another process is in the way, or the registry cannot be opened.
    #[cfg(target_os = "linux")]
    pub fn open(told: &'u RepairHistory, access: Access) -> Result<Self, WriteRefusal> {
        let writer = TreeWriter::reopen(Path::new(&told.tree), Path::new(&told.aside), access, told.at)?;
        Ok(Self { history: told, writer })
    }

    /// Processes that were at work on the tree when it was opened, and do not prevent the undo.
    pub fn processes(&self) -> &[RegistryProcess] {
        self.writer.processes()
    }

    /// Undoes all changes, last first.
    pub fn undo_all(&self) -> Vec<UndoneChange> {
        ChangeUndoer { editor: self.writer.editor() }.undo_all(self.history)
    }
}

/// Undoes changes.
struct ChangeUndoer<'u> {
    editor: &'u dyn Editor,
}

impl ChangeUndoer<'_> {
    /// Undoes all changes, last first.
    fn undo_all(&self, history: &RepairHistory) -> Vec<UndoneChange> {
        let mut since = PushesSince::new(self.editor, history);
        let mut markers = MarkerCache::new(self.editor, history);
        let refused = match self.is_registry(history) {
            Ok(true) => None,
            Ok(false) => Some(WhyLost::NoRegistry),
            Err(error) => Some(WhyLost::Disk(error.to_string())),
        };
        let is_retention = history.changes.iter().any(needs::is_retention_move);
        let mut progress = UndoProgress { is_retention, has_lost: false };
        let mut undo_one = |change: &Change| {
            if let Some(why) = &refused {
                return ChangeUndoState::Lost(why.clone());
            }
            if !may_be_from_repair(change) {
                return ChangeUndoState::Lost(WhyLost::NotOurs);
            }
            let state = self.undo_change(change, progress, &mut since, &mut markers);
            let state = state.unwrap_or_else(|error| ChangeUndoState::Lost(WhyLost::Disk(error.to_string())));
            progress.has_lost |= matches!(state, ChangeUndoState::Lost(_));
            state
        };
        let changes = history.changes.iter().rev();
        changes
            .map(|change| UndoneChange { path: change.path().to_owned(), state: undo_one(change) })
            .collect()
    }

    /// Whether the folder that a journal names is a registry. The journal is not trusted: anybody may have written it.
    fn is_registry(&self, history: &RepairHistory) -> Result<bool, FolderError> {
        if Path::new(&history.tree).ends_with(V2) {
            return Ok(true);
        }
        for name in [Place::Blobs, Place::Repositories] {
            let look = self.editor.look(WritableFolder::Tree, Path::new(&name.to_string()))?;
            if look.is_some_and(|look| matches!(look.kind, EntryKind::Folder | EntryKind::Symlink)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn undo_change(
        &self,
        change: &Change,
        progress: UndoProgress,
        since: &mut PushesSince<'_>,
        markers: &mut MarkerCache<'_>,
    ) -> Result<ChangeUndoState, FolderError> {
        match change {
            Change::Aside { made, marker } => {
                self.remove_quarantine(made, marker, markers, progress.has_lost)
            }
            Change::Folder { made } => {
                let was_there = self.editor.look(WritableFolder::Tree, Path::new(change.path()))?.is_some();
                self.remove_folders(WritableFolder::Tree, made)?;
                let is_there = self.editor.look(WritableFolder::Tree, Path::new(change.path()))?.is_some();
                Ok(match (was_there, is_there) {
                    (false, _) => ChangeUndoState::There,
                    (true, false) => ChangeUndoState::Restored,
                    (true, true) => ChangeUndoState::Taken(WhyKept::FolderUsed),
                })
            }
            Change::Link { .. } => self.undo_link(change, since),
            Change::Data { .. } => self.undo_data(change, since),
            Change::Move { path, to, made, .. } => {
                let find_lost = || needs::lost_since_move(self.editor, change, progress.is_retention);
                self.move_back((path, to), made, markers, find_lost)
            }
            Change::SchedulerState { to, made, written } => {
                self.undo_scheduler_state((to, made), *written, markers)
            }
        }
    }

    /// Moves an entry back to its place, out of a quarantine that is marked as this registry's, unless `find_lost` finds that
    /// what it needs was collected.
    fn move_back(
        &self,
        (path, to): (&str, &str),
        made: &[String],
        markers: &mut MarkerCache<'_>,
        find_lost: impl FnOnce() -> Result<Option<WhyLost>, FolderError>,
    ) -> Result<ChangeUndoState, FolderError> {
        let (place, aside) = (Path::new(path), Path::new(to));
        let folder = quarantine_of(path, to).unwrap_or(to);
        let unmarked = markers.why_not_ours(folder)?;
        let here = match self.editor.look(WritableFolder::Tree, place) {
            Err(FolderError::NotAFolder) => None,
            other => other?,
        };
        let there = self.editor.look(WritableFolder::Aside, aside)?;
        let state = match (here, there) {
            (None, Some(_)) => {
                if let Some(why) = unmarked {
                    return Ok(ChangeUndoState::Lost(why));
                }
                if let Some(why) = find_lost()? {
                    return Ok(ChangeUndoState::Lost(why));
                }
                self.editor.rename(
                    (WritableFolder::Aside, aside),
                    (WritableFolder::Tree, place),
                    IfOccupied::Fail,
                )?;
                self.sync_nearest_folder(path)?;
                ChangeUndoState::Restored
            }
            (Some(_), None) => ChangeUndoState::There,
            (Some(_), Some(_)) => ChangeUndoState::Taken(WhyKept::ThereAgain { to: to.to_owned() }),
            (None, None) => return Ok(ChangeUndoState::Lost(markers.why_gone()?)),
        };
        if unmarked.is_none() {
            self.remove_folders_in_quarantine(folder, made)?;
        }
        Ok(state)
    }

    /// Removes folders that were made inside a quarantine. The quarantine itself is removed last, with its marker.
    fn remove_folders_in_quarantine(&self, quarantine: &str, made: &[String]) -> Result<(), FolderError> {
        let inner: Vec<_> = made.iter().filter(|folder| folder.len() > quarantine.len()).cloned().collect();
        self.remove_folders(WritableFolder::Aside, &inner)
    }

    /// Removes the quarantine if nothing is left in it.
    fn remove_quarantine(
        &self,
        made: &[String],
        marker: &str,
        markers: &MarkerCache<'_>,
        has_lost: bool,
    ) -> Result<ChangeUndoState, FolderError> {
        let folder = Path::new(marker).parent().unwrap_or(Path::new("."));
        let names = match self.editor.names(WritableFolder::Aside, folder) {
            Err(FolderError::NotFound) => {
                // A run that was stopped may have made only the folders around it.
                self.remove_folders(WritableFolder::Aside, made)?;
                return Ok(ChangeUndoState::There);
            }
            other => other?,
        };
        if names.iter().any(|name| name != MARKER) {
            if has_lost {
                return Ok(ChangeUndoState::Lost(WhyLost::QuarantineUsed));
            }
            return Ok(ChangeUndoState::Taken(WhyKept::QuarantineUsed));
        }
        if !names.is_empty() {
            if let Some(other) = markers.other_registry(marker)? {
                return Ok(ChangeUndoState::Taken(WhyKept::OtherRegistry(other)));
            }
            self.editor.remove_file(WritableFolder::Aside, Path::new(marker))?;
        }
        self.remove_folders(WritableFolder::Aside, made)?;
        Ok(ChangeUndoState::Restored)
    }

    /// Removes folders that were made, innermost first. A folder that is not empty stays.
    fn remove_folders(&self, room: WritableFolder, made: &[String]) -> Result<(), FolderError> {
        for folder in made.iter().rev() {
            match self.editor.remove_folder(room, Path::new(folder)) {
                Ok(()) | Err(FolderError::NotFound | FolderError::NotAFolder) => {}
                Err(FolderError::Io(error)) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Syncs the nearest folder around a path of the tree that still exists.
    fn sync_nearest_folder(&self, path: &str) -> Result<(), FolderError> {
        for folder in Path::new(path).ancestors().skip(1) {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            if self.editor.look(WritableFolder::Tree, folder)?.is_some() {
                return self.editor.sync(WritableFolder::Tree, folder);
            }
        }
        Ok(())
    }

    /// Removes the unfinished file that an interrupted run may have left.
    fn remove_unfinished(&self, room: WritableFolder, path: &str) -> Result<(), FolderError> {
        match self.editor.remove_file(room, Path::new(&format!("{path}{TEMP_SUFFIX}"))) {
            Err(FolderError::NotFound | FolderError::NotAFolder) => Ok(()),
            other => other,
        }
    }
}
